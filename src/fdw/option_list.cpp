/*
 * mongoferry.options(): the option table as rows, for people and for the test that holds the manual against it.
 */
#include "fdw/options.h"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_options);
}

namespace mongoferry::fdw {

static const char *levels_text(unsigned levels) {
    static const struct {
        unsigned level;
        const char *name;
    } names[] = {{on_server, "server"},
                 {on_user_mapping, "user mapping"},
                 {on_table, "table"},
                 {on_column, "column"},
                 {on_import, "import"}};
    StringInfoData text;
    initStringInfo(&text);
    for (const auto &entry : names)
        if (levels & entry.level)
            appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", entry.name);
    return text.data;
}

static const char *values_text(const OptionDefinition &definition) {
    switch (definition.kind) {
    case OptionKind::text:
        return "text";
    case OptionKind::boolean:
        return "boolean";
    case OptionKind::integer:
        return "integer";
    case OptionKind::duration:
        return "time";
    case OptionKind::choice:
        return definition.choices;
    }
    return "";
}

} // namespace mongoferry::fdw

extern "C" Datum mongoferry_options(PG_FUNCTION_ARGS) {
    using namespace mongoferry::fdw;
    FuncCallContext *call;
    if (SRF_IS_FIRSTCALL()) {
        call = SRF_FIRSTCALL_INIT();
        MemoryContext previous = MemoryContextSwitchTo(call->multi_call_memory_ctx);
        TupleDesc row;
        if (get_call_result_type(fcinfo, nullptr, &row) != TYPEFUNC_COMPOSITE)
            elog(ERROR, "return type must be a row type");
        call->tuple_desc = BlessTupleDesc(row);
        MemoryContextSwitchTo(previous);
    }
    call = SRF_PERCALL_SETUP();
    int count;
    const OptionDefinition *definitions = option_definitions(&count);
    if (call->call_cntr >= static_cast<uint64>(count))
        SRF_RETURN_DONE(call);
    const OptionDefinition &definition = definitions[call->call_cntr];
    Datum values[] = {
        CStringGetTextDatum(definition.name),
        CStringGetTextDatum(levels_text(definition.levels)),
        CStringGetTextDatum(values_text(definition)),
        definition.default_text ? CStringGetTextDatum(definition.default_text) : 0,
        BoolGetDatum(definition.reads_files),
        CStringGetTextDatum(definition.description),
    };
    bool nulls[lengthof(values)] = {};
    nulls[3] = !definition.default_text;
    SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls)));
}

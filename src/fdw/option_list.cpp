/*
 * mongoferry.options(): the option table as rows, for people and for the test that holds the manual against it.
 */
#include "fdw/options.h"
#include "pg/set_returning.h"

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
    case OptionKind::number:
        return "number";
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
    const mongoferry::ResultRows rows = mongoferry::begin_result_rows(fcinfo);
    int count;
    const OptionDefinition *definitions = option_definitions(&count);
    for (int i = 0; i < count; ++i) {
        const OptionDefinition &definition = definitions[i];
        Datum values[] = {
            CStringGetTextDatum(definition.name),
            CStringGetTextDatum(levels_text(definition.levels)),
            CStringGetTextDatum(values_text(definition)),
            definition.default_text ? CStringGetTextDatum(definition.default_text) : 0,
            BoolGetDatum(definition.reads_files),
            CStringGetTextDatum(definition.description),
        };
        bool nulls[lengthof(values)] = {false, false, false, !definition.default_text, false, false};
        rows.put(values, nulls);
    }
    return 0;
}

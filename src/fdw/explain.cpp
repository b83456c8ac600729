/*
 * What EXPLAIN tells of a foreign scan: where the documents come from, the command that the server gets (one that
 * db.runCommand(EJSON.parse('…')) runs in mongosh) and, with ANALYZE, what came over.
 */
#include "fdw/callbacks.h"

#include "bson/string_info_sink.h"
#include "fdw/parallel.h"
#include "fdw/row_filter.h"
#include "pg/guard.h"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace mongoferry::fdw {

namespace {

/* Integers beyond this are not exact in JavaScript, so relaxed Extended JSON would lose digits in mongosh. */
constexpr int64 largest_exact_in_javascript = INT64CONST(9007199254740991);

bool has_large_integer(bson::View document) {
    bson::Iterator iterator(document);
    while (iterator.next()) {
        if (iterator.type() == bson::Type::int64) {
            int64 value = bson::load_int64(iterator.value().bytes);
            if (value > largest_exact_in_javascript || value < -largest_exact_in_javascript)
                return true;
        } else if (iterator.type() == bson::Type::object || iterator.type() == bson::Type::array) {
            if (has_large_integer(bson::document_of(iterator.value())))
                return true;
        }
    }
    return false;
}

const char *json_text(bson::View document) {
    StringInfoData json;
    initStringInfo(&json);
    bson::write_document(document,
                         has_large_integer(document) ? bson::JsonFormat::canonical : bson::JsonFormat::relaxed,
                         bson::string_info_sink(&json));
    return pg_any_to_server(json.data, json.len, PG_UTF8);
}

const char *command_text(const source::Request &request) {
    return json_text(pg_entry([&] { return palloc_copy(source::live::find_command(request)); }));
}

/* The chunk that the scan is restricted to, where the plan knows it, and puts its range into the request. */
void explain_chunk(const Expr *bounds, source::Request *request, ExplainState *explain) {
    if (!IsA(bounds, Const)) {
        ExplainPropertyText("Chunk", "known when the scan starts", explain);
        return;
    }
    const Const *constant = reinterpret_cast<const Const *>(bounds);
    if (constant->constisnull) {
        ExplainPropertyText("Chunk", "none", explain);
        return;
    }
    const bytea *bytes = DatumGetByteaPP(constant->constvalue);
    const bson::View view{reinterpret_cast<const uint8_t *>(VARDATA_ANY(bytes)), VARSIZE_ANY_EXHDR(bytes)};
    pg_entry([&] { request->range = source::parse_range(view); });
    ExplainPropertyText(
        "Chunk", request->range.kind == source::Range::Kind::raw ? "documents given with the query" : json_text(view),
        explain);
}

/* The file of a dump that the scan reads; the dump itself where that can't be told, which the scan will say why. */
const char *dump_file_name(const SourceOptions &options) {
    return pg_entry([&]() -> const char * {
        std::string name;
        try {
            name =
                source::describe(file_options(options), options.database ? options.database : "", options.collection);
        } catch (const Error &) {
            return options.dump;
        }
        return pg_guard([&] { return pstrdup(name.c_str()); });
    });
}

/* What came over, to all processes of a parallel scan. */
void explain_received(const ForeignScanState *node, const ScanState *state, ExplainState *explain) {
    if (!node->ss.ps.plan->parallel_aware && node->ss.ps.worker_instrument)
        return; /* workers that read all of it, each for itself, keep to themselves what they received */
    const source::Statistics statistics = total_statistics(state);
    ExplainPropertyInteger("Documents Received", nullptr, statistics.documents, explain);
    ExplainPropertyInteger("Bytes Received", nullptr, statistics.bytes, explain);
    ExplainPropertyInteger("Batches Received", nullptr, statistics.batches, explain);
    if (state->parallel && state->parallel->shared)
        ExplainPropertyInteger("Parts Read", nullptr, state->parallel->shared->parts_taken(), explain);
}

/* mongoferry.remote_explain: what the server says of the command. */
void explain_remotely(const ScanState *state, ExplainState *explain) {
    if (!explain_asks_server || !state->command_is_known || !state->command.sendable || state->command.empty)
        return;
    const SourceOptions &source = state->table->source;
    ExplainPropertyText("Server Plan", json_text(pg_entry([&] {
                            return palloc_copy(source::live::explain_command(
                                connection_key(source), connection_options(source), *state->request, explain->analyze));
                        })),
                        explain);
}

} // namespace

bool explain_asks_server = false;

void explain_foreign_scan(ForeignScanState *node, ExplainState *explain) {
    const ScanState *state = static_cast<const ScanState *>(node->fdw_state);
    if (!state->has_command) /* never executed */
        sketch_command(node);
    const SourceOptions &source = state->table->source;
    if (source.dump) {
        ExplainPropertyText("Source", psprintf("dump of server \"%s\"", source.server->servername), explain);
        ExplainPropertyText("Dump", dump_file_name(source), explain);
    } else {
        ExplainPropertyText("Source", psprintf("live server \"%s\"", source.server->servername), explain);
    }
    if (source.database)
        ExplainPropertyText("Database", source.database, explain);
    ExplainPropertyText("Collection", source.collection, explain);
    if (state->table->fields.unwind)
        ExplainPropertyText("Unwind", state->table->fields.unwind, explain);
    const ForeignScan *scan = reinterpret_cast<const ForeignScan *>(node->ss.ps.plan);
    const List *stages = static_cast<const List *>(list_nth(scan->fdw_private, private_stages));
    if (explain->verbose && stages != NIL)
        ExplainPropertyList("Decoded Before Filter",
                            columns_of_stages(state->table->fields, scan->scan.scanrelid, scan->scan.plan.qual, stages),
                            explain);
    if (state->chunk_bounds)
        explain_chunk(state->chunk_bounds->expr, state->request, explain);
    if (!state->command.sendable && !state->source)
        ExplainPropertyText("Command", "known when the scan starts", explain);
    else if (!source.dump && !state->raw_documents && state->request->range.kind != source::Range::Kind::raw) {
        ExplainPropertyText("Command", command_text(*state->request), explain);
        explain_remotely(state, explain);
    }
    if (node->ss.ps.plan->parallel_aware)
        ExplainPropertyText("Divided By", source.dump ? "bytes" : "_id", explain);
    if (explain->analyze && state->source) {
        explain_received(node, state, explain);
        if (state->local_plan_runs > 0)
            ExplainPropertyInteger("Local Plan Runs", nullptr, state->local_plan_runs, explain);
    }
}

} // namespace mongoferry::fdw

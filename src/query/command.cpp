/* See command.h. */
#include "query/command.h"

#include "query/filter_node.h"
#include "query/projection.h"

#include <string_view>
#include <vector>

namespace mongoferry::query {

/* The conditions' predicates. False if one of them is not exact though it must be. */
static bool translate_conditions(Translation *translation, const List *conditions, bool must_be_exact,
                                 Command *command) {
    command->filters = static_cast<FilterNode **>(palloc(sizeof(FilterNode *) * Max(list_length(conditions), 1)));
    ListCell *cell;
    foreach (cell, conditions) {
        bool exact;
        FilterNode *node = translate_condition(translation, static_cast<Node *>(lfirst(cell)), &exact);
        if (must_be_exact && (!node || !exact))
            return false;
        if (node && node->kind == NodeKind::nothing)
            command->empty = true;
        if (node)
            command->filters[command->filter_count++] = node;
    }
    return true;
}

Command make_command(const RemoteQuery &query, const TranslatedTable *tables, int table_count, bool values_known) {
    Command command{};
    command.limit = -1;
    Translation translation{};
    translation.tables = tables;
    translation.table_count = table_count;
    translation.values_known = values_known;
    const bool rows_of_a_table = query.output == NIL;
    command.sendable = translate_conditions(&translation, query.conditions, !rows_of_a_table, &command);
    if (!command.sendable || rows_of_a_table)
        return command;
    command.sendable = false;
    return command;
}

/* What a scan of a table's rows reads. */
static bson::Document projection_of(const RemoteQuery &query, const RelationFields &fields) {
    std::vector<std::string_view> paths;
    ListCell *cell;
    foreach (cell, query.attributes)
        paths.push_back(fields.fields[lfirst_int(cell) - 1].path);
    if (fields.unwind)
        paths.push_back(fields.unwind);
    return make_projection(paths);
}

void write_command(const Command &command, const RemoteQuery &query, const TranslatedTable *tables,
                   source::Request *request) {
    request->filter.clear();
    if (command.filter_count > 0)
        request->filter = render_filter(command.filters, command.filter_count);
    request->pipeline.clear();
    request->sort.clear();
    if (command.pipeline) {
        request->projection.clear();
        request->pipeline = render_document(command.pipeline);
        return;
    }
    request->projection = projection_of(query, *tables[0].fields);
    if (command.sort)
        request->sort = render_document(command.sort);
    request->offset = command.offset;
    request->limit = Max(command.limit, 0);
}

} // namespace mongoferry::query

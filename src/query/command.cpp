/* See command.h. */
#include "query/command.h"

#include "bson/path.h"
#include "pg/encoding.h"
#include "query/filter_node.h"
#include "query/group.h"
#include "query/join.h"
#include "query/order.h"
#include "query/projection.h"
#include "query/unwind.h"

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

/*
 * The same for a table that is unwound by a stage: its translation is that of what stands behind the stage. Conditions
 * go before it as far as they can, and those on elements, which are wide there, once more behind it.
 */
static bool translate_unwound_conditions(Translation *translation, const TranslatedTable *tables,
                                         const List *conditions, Command *command) {
    command->filters = static_cast<FilterNode **>(palloc(sizeof(FilterNode *) * Max(list_length(conditions), 1)));
    List *on_elements = NIL;
    ListCell *cell;
    foreach (cell, conditions) {
        Node *condition = static_cast<Node *>(lfirst(cell));
        Translation before{};
        before.tables = tables;
        before.table_count = translation->table_count;
        before.values_known = translation->values_known;
        bool exact;
        FilterNode *node = translate_condition(&before, condition, &exact);
        if (node && node->kind == NodeKind::nothing)
            command->empty = true;
        if (node)
            command->filters[command->filter_count++] = node;
        if (node && exact) {
            ListCell *use;
            foreach (use, before.uses)
                use_field(translation, static_cast<const FieldUse *>(lfirst(use))->table,
                          static_cast<const FieldUse *>(lfirst(use))->column);
            translation->troubles = list_concat(translation->troubles, before.troubles);
            continue;
        }
        node = translate_condition(translation, condition, &exact);
        if (!node || !exact)
            return false;
        on_elements = lappend(on_elements, node);
    }
    if (!append_unwind_stage(translation, command))
        return false;
    foreach (cell, on_elements)
        append_item(command->pipeline, match_stage(static_cast<FilterNode *>(lfirst(cell))));
    return true;
}

/* Columns as they stand in the documents. */
static bool set_plain_outputs(const Translation *translation, const RemoteQuery &query, Command *command) {
    command->output_count = list_length(query.output);
    command->outputs = static_cast<OutputField *>(palloc0(sizeof(OutputField) * Max(command->output_count, 1)));
    ListCell *cell;
    foreach (cell, query.output) {
        int table;
        AttrNumber column;
        const Field *field = field_of(translation, static_cast<Node *>(lfirst(cell)), &table, &column);
        if (!field || strcmp(field->path, "$$INDEX") == 0)
            return false;
        const bool is_document = strcmp(field->path, "$$ROOT") == 0;
        const char *unwind = translation->tables[table].fields->unwind;
        if (unwind && (is_document || (strcmp(unwind, field->path) != 0 && bson::is_at_or_below(unwind, field->path))))
            return false; /* there is but one element in it */
        const char *prefix = translation->tables[table].prefix;
        if (is_document && !prefix && query.joins != NIL)
            return false; /* the joined documents would be in it */
        const char *path = !prefix ? field->path : is_document ? prefix : psprintf("%s.%s", prefix, field->path);
        command->outputs[foreach_current_index(cell)] = {field->column_name, path, field->type, field->typmod,
                                                         field->options};
    }
    return true;
}

void add_probe(Command *command, int table, FilterNode *const *filters, int filter_count, FilterNode *odd) {
    if (!odd)
        return;
    const size_t size = sizeof(Probe) * (command->probe_count + 1);
    command->probes = static_cast<Probe *>(command->probes ? repalloc(command->probes, size) : palloc(size));
    Probe *probe = &command->probes[command->probe_count++];
    *probe = {};
    probe->table = table;
    probe->filters = static_cast<FilterNode **>(palloc(sizeof(FilterNode *) * (filter_count + 1)));
    if (filter_count > 0)
        memcpy(probe->filters, filters, sizeof(FilterNode *) * filter_count);
    probe->filters[filter_count] = odd;
    probe->filter_count = filter_count + 1;
}

static bool has_order(const RemoteQuery &query) {
    return query.sort_keys != NIL || query.offset || query.limit;
}

Command make_command(const RemoteQuery &query, const TranslatedTable *tables, int table_count, bool values_known) {
    Command command{};
    command.limit = -1;
    Translation translation{};
    translation.tables = tables;
    translation.table_count = table_count;
    translation.values_known = values_known;
    const bool rows_of_a_table = query.output == NIL && query.joins == NIL;
    if (!rows_of_a_table)
        command.pipeline = array_value({});
    if (!rows_of_a_table && tables[0].fields->unwind) {
        translation.tables = unwound_tables(tables, table_count);
        command.sendable = translate_unwound_conditions(&translation, tables, query.conditions, &command);
    } else {
        command.sendable = translate_conditions(&translation, query.conditions, !rows_of_a_table, &command);
    }
    if (!command.sendable || rows_of_a_table)
        return command;
    Translation grouped{};
    command.sendable = (query.joins == NIL || append_join_stages(&translation, query, &command)) &&
                       (!query.grouped || append_group_stages(&translation, query, &command, &grouped)) &&
                       (!has_order(query) || append_order(query.grouped ? &grouped : &translation, query, &command)) &&
                       (query.grouped || set_plain_outputs(&translation, query, &command));
    command.reasons = list_concat(translation.reasons, grouped.reasons);
    return command;
}

bson::Document make_field_projection(std::vector<std::string> paths, const RelationFields &fields) {
    if (fields.unwind)
        paths.push_back(fields.unwind);
    for (std::string &path : paths)
        path = to_utf8(path);
    return make_projection({paths.begin(), paths.end()});
}

/* What a scan of a table's rows reads, or what outputs of plain columns are made of. */
static bson::Document projection_of(const Command &command, const RemoteQuery &query, const RelationFields &fields) {
    std::vector<std::string> paths;
    for (int i = 0; i < command.output_count; ++i)
        paths.push_back(command.outputs[i].path);
    ListCell *cell;
    foreach (cell, query.attributes)
        paths.push_back(fields.fields[lfirst_int(cell) - 1].path);
    return make_field_projection(std::move(paths), fields);
}

/* Whether the predicate's answer may depend on how strings are compared. */
static bool compares_text(const FilterNode *node) {
    auto is_text = [](const Constant &constant) {
        return constant.kind == ConstantKind::text || constant.kind == ConstantKind::regex;
    };
    switch (node->kind) {
    case NodeKind::compare:
        return is_text(node->constant);
    case NodeKind::not_in:
        for (int i = 0; i < node->constant_count; ++i)
            if (is_text(node->constants[i]))
                return true;
        return false;
    case NodeKind::all_of:
    case NodeKind::any_of:
        for (int i = 0; i < node->child_count; ++i)
            if (compares_text(node->children[i]))
                return true;
        return false;
    case NodeKind::expression:
        return true;
    default:
        return false;
    }
}

void write_command(const Command &command, const RemoteQuery &query, const TranslatedTable *tables,
                   source::Request *request) {
    request->filter.clear();
    if (command.filter_count > 0)
        request->filter = render_filter(command.filters, command.filter_count);
    request->pipeline.clear();
    request->sort.clear();
    request->simple_collation = command.pipeline || command.sort;
    for (int i = 0; i < command.filter_count; ++i)
        request->simple_collation = request->simple_collation || compares_text(command.filters[i]);
    request->offset = request->limit = 0;
    request->offset_placeholder = request->limit_placeholder = 0;
    if (command.pipeline && (!command.sort || command.needs_pipeline)) {
        request->projection.clear();
        if (!query.grouped)
            request->projection = projection_of(command, query, *tables[0].fields);
        request->pipeline = render_document(command.pipeline);
        return;
    }
    request->projection = projection_of(command, query, *tables[0].fields);
    if (command.sort)
        request->sort = render_document(command.sort);
    request->offset = command.offset;
    request->limit = Max(command.limit, 0);
    request->offset_placeholder = command.offset_placeholder;
    request->limit_placeholder = command.limit_placeholder;
}

} // namespace mongoferry::query

/* See join.h. */
#include "query/join.h"

#include "query/filter_node.h"

extern "C" {
#include "nodes/makefuncs.h"
}

namespace mongoferry::query {

/* --- plain nodes ------------------------------------------------------------------------------------------------ */

/* The type of the join stands as a Const, because a List of nodes is walked by the backend's functions. */
List *join_to_list(const Join &join) {
    List *outers = NIL;
    List *inners = NIL;
    ListCell *cell;
    foreach (cell, join.keys) {
        const JoinKey *key = static_cast<const JoinKey *>(lfirst(cell));
        outers = lappend(outers, key->outer);
        inners = lappend(inners, key->inner);
    }
    return list_make5(makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(join.type), false, true), outers,
                      inners, join.conditions, join.own_conditions);
}

static Join join_from_list(const List *list) {
    Join join{};
    join.type = static_cast<JoinType>(DatumGetInt32(static_cast<const Const *>(list_nth(list, 0))->constvalue));
    ListCell *outer;
    ListCell *inner;
    forboth(outer, static_cast<const List *>(list_nth(list, 1)), inner, static_cast<const List *>(list_nth(list, 2))) {
        JoinKey *key = static_cast<JoinKey *>(palloc(sizeof(JoinKey)));
        *key = {static_cast<Node *>(lfirst(outer)), static_cast<Node *>(lfirst(inner))};
        join.keys = lappend(join.keys, key);
    }
    join.conditions = static_cast<List *>(list_nth(list, 3));
    join.own_conditions = static_cast<List *>(list_nth(list, 4));
    return join;
}

/* --- stages ----------------------------------------------------------------------------------------------------- */

const char *joined_field(int table) {
    return psprintf("mongoferry_%d", table + 1);
}

namespace {

/* The path of a key that is nothing but a field, compared as it is stored (not a day, say); else NULL. */
const char *plain_path(const Translation *translation, Node *expression) {
    Translation trial = *translation;
    trial.uses = trial.troubles = trial.reasons = NIL;
    const ServerValue *value = translate_operand(&trial, expression);
    return value && value->kind == ServerValueKind::field ? value->text : nullptr;
}

/* The translation of what concerns the joined table's documents alone, in the pipeline of its $lookup. */
Translation inner_translation(const Translation *outer, int table) {
    TranslatedTable *tables =
        static_cast<TranslatedTable *>(palloc(sizeof(TranslatedTable) * Max(outer->table_count, 1)));
    memcpy(tables, outer->tables, sizeof(TranslatedTable) * outer->table_count);
    tables[table].prefix = nullptr;
    Translation inner{};
    inner.tables = tables;
    inner.table_count = outer->table_count;
    inner.values_known = outer->values_known;
    return inner;
}

/* {$and: [{$gt: ["$$k0", null]}, {$eq: [inner, "$$k0"]}, …]}; fills let. */
ServerValue *key_condition(Translation *outer, Translation *inner, const Join &join, ServerValue *let) {
    ServerValue *conditions = array_value({});
    ListCell *cell;
    foreach (cell, join.keys) {
        const JoinKey *key = static_cast<const JoinKey *>(lfirst(cell));
        ServerValue *outer_value = translate_value(outer, key->outer);
        /* As it is: what is odd there equals no native key, and an index serves. */
        ServerValue *inner_value = translate_operand(inner, key->inner);
        if (!outer_value || !inner_value)
            return nullptr;
        const char *name = psprintf("k%d", foreach_current_index(cell));
        append_entry(let, name, outer_value);
        append_item(conditions, operation("$gt", {variable_value(name), null_value()}));
        append_item(conditions, operation("$eq", {inner_value, variable_value(name)}));
    }
    return operation_of("$and", conditions);
}

/* The first pair of keys that are plain fields, named for the index. */
void append_key_fields(ServerValue *lookup, const Translation *outer, const Translation *inner, const Join &join) {
    ListCell *cell;
    foreach (cell, join.keys) {
        const JoinKey *key = static_cast<const JoinKey *>(lfirst(cell));
        const char *local = plain_path(outer, key->outer);
        const char *foreign = plain_path(inner, key->inner);
        if (local && foreign) {
            append_entry(lookup, "localField", text_value(local));
            append_entry(lookup, "foreignField", text_value(foreign));
            return;
        }
    }
}

/* Whether there are matches: for semi and anti joins. */
ServerValue *existence_stage(const char *field, bool exists) {
    return match_stage(expression_node(
        operation(exists ? "$gt" : "$eq", {operation_of("$size", field_value(field)), integer_value(0)})));
}

void append_matches_stage(ServerValue *pipeline, JoinType type, const char *field) {
    switch (type) {
    case JOIN_LEFT:
        append_item(pipeline,
                    operation_of("$unwind", append_entry(append_entry(document_value(), "path", field_value(field)),
                                                         "preserveNullAndEmptyArrays", boolean_value(true))));
        break;
    case JOIN_SEMI:
    case JOIN_ANTI:
        append_item(pipeline, existence_stage(field, type == JOIN_SEMI));
        break;
    default:
        append_item(pipeline, operation_of("$unwind", field_value(field)));
        break;
    }
}

/* Which documents give trouble could be asked of one table at most. */
bool may_fail(Translation *translation) {
    not_sent(translation, nullptr, "its condition computes something that may raise an error");
    return false;
}

bool append_join(Translation *translation, const RemoteQuery &query, int table, Command *command) {
    const Join join = join_from_list(static_cast<const List *>(list_nth(query.joins, table - 1)));
    const char *field = joined_field(table);
    Translation inner = inner_translation(translation, table);

    ServerValue *let = document_value();
    ServerValue *condition = key_condition(translation, &inner, join, let);
    bool sendable = condition != nullptr;
    const int own_count = list_length(join.own_conditions);
    FilterNode **filters = static_cast<FilterNode **>(palloc(sizeof(FilterNode *) * (own_count + 1)));
    ListCell *cell;
    foreach (cell, join.own_conditions) {
        bool exact;
        FilterNode *node = sendable ? translate_condition(&inner, static_cast<Node *>(lfirst(cell)), &exact) : nullptr;
        sendable = node && exact;
        filters[foreach_current_index(cell)] = node;
    }
    translation->reasons = list_concat(translation->reasons, inner.reasons);
    if (sendable && inner.troubles != NIL)
        return may_fail(translation);
    if (!sendable)
        return false;
    filters[own_count] = expression_node(condition);

    ServerValue *pipeline = array_value({operation_of("$match", predicate_value(filters, own_count + 1))});
    if (join.type == JOIN_SEMI || join.type == JOIN_ANTI) { /* one match tells */
        append_item(pipeline, operation_of("$limit", integer_value(1)));
        append_item(pipeline, operation_of("$project", append_entry(document_value(), "_id", integer_value(1))));
    }
    ServerValue *lookup = document_value();
    append_entry(lookup, "from", text_value(translation->tables[table].collection));
    append_key_fields(lookup, translation, &inner, join);
    append_entry(lookup, "let", let);
    append_entry(lookup, "pipeline", pipeline);
    append_entry(lookup, "as", text_value(field));
    append_item(command->pipeline, operation_of("$lookup", lookup));
    append_matches_stage(command->pipeline, join.type, field);
    add_probe(command, table, filters, own_count, odd_uses_filter(&inner, table));

    foreach (cell, join.conditions) {
        bool exact;
        FilterNode *node = translate_condition(translation, static_cast<Node *>(lfirst(cell)), &exact);
        if (!node || !exact)
            return false;
        append_item(command->pipeline, match_stage(node));
    }
    return true;
}

} // namespace

bool append_join_stages(Translation *translation, const RemoteQuery &query, Command *command) {
    for (int table = 1; table <= list_length(query.joins); ++table)
        if (!append_join(translation, query, table, command))
            return false;
    if (translation->troubles != NIL)
        return may_fail(translation);
    /* What the joins' keys and conditions rely on in tables that were joined before: those tables are probed whole, for
     * a document that is odd there may match what the server does not see. */
    add_probe(command, 0, command->filters, command->filter_count, odd_uses_filter(translation, 0));
    for (int table = 1; table <= list_length(query.joins); ++table) {
        Translation inner = inner_translation(translation, table);
        inner.uses = translation->uses;
        add_probe(command, table, nullptr, 0, odd_uses_filter(&inner, table));
    }
    return true;
}

} // namespace mongoferry::query

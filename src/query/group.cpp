/* See group.h. */
#include "query/group.h"

#include "query/filter_node.h"
#include "query/group_aggregates.h"
#include "query/value_comparison.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
}

namespace mongoferry::query {

static constexpr const char *odd_field = "odd";

/*
 * Equality that is the same on both sides:
 * - numbers by value, across BSON's number types; NaN is one value, 0 and -0 are one. Of equal values that read
 *   differently (numeric 1.0 and 1.00) the group shows the first, as PostgreSQL's hash aggregate does.
 * - text byte by byte, which a nondeterministic collation would not.
 * - dates and times by the millisecond, which is all they have.
 * Not jsonb, json, arrays: MongoDB has its own notion of equal documents. Not real: different doubles become one value.
 */
const char *refusal_of_key(Node *key) {
    const Oid type = getBaseType(exprType(key));
    switch (type) {
    case TEXTOID:
    case VARCHAROID:
        return get_collation_isdeterministic(exprCollation(key)) ? nullptr
                                                                 : "the collation calls different texts equal";
    case UUIDOID:
        return IsA(key, Var) ? nullptr : "there is no rule for an expression of type uuid as a key";
    default:
        return is_equal_by_value(type) ? nullptr : "there is no rule for a key of this type";
    }
}

static ServerValue *translate_key(Translation *translation, Node *key) {
    if (const char *refusal = refusal_of_key(key))
        return not_sent(translation, key, refusal);
    /* Integers beyond 2^53 may become one double. */
    const bool is_double = getBaseType(exprType(key)) == FLOAT8OID;
    ServerValue *value = is_double ? translate_value(translation, key) : translate_operand(translation, key);
    if (!value)
        return nullptr;
    if (is_double)
        return operation_of("$toDouble", value);        /* missing ones are null then */
    return operation("$ifNull", {value, null_value()}); /* missing and null are one group */
}

static const char *key_path(int key) {
    return psprintf("_id.k%d", key);
}

static void add_known(Translation *grouped, Node *expression, const char *path) {
    KnownValue *known = static_cast<KnownValue *>(palloc(sizeof(KnownValue)));
    *known = {expression, path};
    grouped->known = lappend(grouped->known, known);
}

/* The argument of DISTINCT as a key of the first grouping; rows that FILTER keeps out have null, which does not count.
 */
static bool add_distinct_key(GroupStage *stage, ServerValue *id) {
    Node *argument = reinterpret_cast<Node *>(linitial_node(TargetEntry, stage->distinct->args)->expr);
    ServerValue *value = translate_key(stage->translation, argument);
    Node *filter = reinterpret_cast<Node *>(stage->distinct->aggfilter);
    if (value && filter) {
        ServerValue *passes = translate_truth(stage->translation, filter, true);
        value = passes ? operation("$cond", {passes, value, null_value()}) : nullptr;
    }
    if (value)
        append_entry(id, "d", value);
    return value;
}

static bool add_keys(GroupStage *stage, const RemoteQuery &query, Translation *grouped) {
    ServerValue *id = query.group_keys == NIL && !stage->distinct ? null_value() : document_value();
    ServerValue *same = query.group_keys == NIL ? null_value() : document_value(); /* of the second grouping */
    ListCell *cell;
    foreach (cell, query.group_keys) {
        Node *key = static_cast<Node *>(lfirst(cell));
        ServerValue *value = translate_key(stage->translation, key);
        if (!value)
            return false;
        const char *name = psprintf("k%d", foreach_current_index(cell));
        append_entry(id, name, value);
        append_entry(same, name, field_value(key_path(foreach_current_index(cell))));
        add_known(grouped, key, key_path(foreach_current_index(cell)));
    }
    append_entry(stage->group, "_id", id);
    if (stage->regroup)
        append_entry(stage->regroup, "_id", same);
    return !stage->distinct || add_distinct_key(stage, id);
}

/* The position among the keys; -1: it is none. */
static int find_key(const RemoteQuery &query, const Node *expression) {
    ListCell *cell;
    foreach (cell, query.group_keys)
        if (equal(lfirst(cell), expression))
            return foreach_current_index(cell);
    return -1;
}

static bool add_outputs(GroupStage *stage, const RemoteQuery &query, Command *command, Translation *grouped) {
    command->finish_count = list_length(query.output);
    command->finishes = static_cast<Finish *>(palloc0(sizeof(Finish) * Max(command->finish_count, 1)));
    ListCell *cell;
    foreach (cell, query.output) {
        Node *expression = static_cast<Node *>(lfirst(cell));
        Finish *finish = &command->finishes[foreach_current_index(cell)];
        const int key = find_key(query, expression);
        if (key >= 0) {
            finish->parts[0] = part_of(stage, key_path(key), exprType(expression));
            continue;
        }
        if (!IsA(expression, Aggref))
            return refuse(stage->translation, expression, "it is neither a key of the groups nor an aggregate");
        const char *known = nullptr;
        if (!add_aggregate(stage, reinterpret_cast<const Aggref *>(expression), finish, &known))
            return false;
        if (known)
            add_known(grouped, expression, known);
    }
    return true;
}

static void set_parts(const GroupStage *stage, const RemoteQuery &query, Command *command) {
    command->output_count = list_length(stage->part_paths);
    command->outputs = static_cast<OutputField *>(palloc0(sizeof(OutputField) * Max(command->output_count, 1)));
    for (int i = 0; i < command->output_count; ++i) {
        const char *path = static_cast<const char *>(list_nth(stage->part_paths, i));
        command->outputs[i] = {path, path, list_nth_oid(stage->part_types, i), -1, bson::ConversionOptions{}};
    }
    /* A plain column is read as its own options say. */
    ListCell *cell;
    foreach (cell, query.group_keys) {
        int table;
        AttrNumber column;
        const Field *field = field_of(stage->translation, static_cast<Node *>(lfirst(cell)), &table, &column);
        for (int i = 0; field && i < command->output_count; ++i)
            if (strcmp(command->outputs[i].path, key_path(foreach_current_index(cell))) == 0) {
                command->outputs[i].column_name = field->column_name;
                command->outputs[i].options = field->options;
            }
    }
}

/* {$set: …}, with what calls for the local plan. True if there may be odd groups. */
static bool append_set_stage(const GroupStage *stage, ServerValue *odd, ServerValue *pipeline) {
    if (stage->troubles != NIL) {
        ServerValue *any = array_value({});
        if (odd)
            append_item(any, field_value(odd_field));
        ListCell *cell;
        foreach (cell, stage->troubles)
            append_item(any, static_cast<ServerValue *>(lfirst(cell)));
        append_entry(stage->after, odd_field, operation_of("$or", any));
    }
    if (stage->after->count > 0)
        append_item(pipeline, operation_of("$set", stage->after));
    return odd || stage->troubles != NIL;
}

/* {$match: …} with the odd groups let through. False if a condition can't be sent. */
static bool append_having_stage(Translation *grouped, const RemoteQuery &query, bool may_be_odd,
                                ServerValue *pipeline) {
    if (query.having == NIL)
        return true;
    FilterNode **filters = static_cast<FilterNode **>(palloc(sizeof(FilterNode *) * list_length(query.having)));
    ListCell *cell;
    foreach (cell, query.having) {
        bool exact;
        FilterNode *filter = translate_condition(grouped, static_cast<Node *>(lfirst(cell)), &exact);
        if (!filter || !exact)
            return false;
        if (grouped->troubles != NIL) /* the guards are over by then */
            return refuse(grouped, lfirst(cell), "it may raise an error");
        filters[foreach_current_index(cell)] = filter;
    }
    FilterNode *condition = combine(NodeKind::all_of, filters, list_length(query.having));
    if (may_be_odd) {
        condition = either(condition, compare_node(odd_field, BTEqualStrategyNumber, boolean_constant(true)));
    }
    append_item(pipeline, match_stage(condition));
    return true;
}

bool append_group_stages(Translation *translation, const RemoteQuery &query, Command *command, Translation *grouped) {
    GroupStage stage{};
    stage.translation = translation;
    stage.group = document_value();
    stage.after = document_value();
    stage.distinct = find_distinct_aggregate(query.output);
    stage.regroup = stage.distinct ? document_value() : nullptr;
    *grouped = {};
    grouped->tables = translation->tables;
    grouped->values_known = translation->values_known;
    if (!add_keys(&stage, query, grouped) || !add_outputs(&stage, query, command, grouped))
        return false;
    set_parts(&stage, query, command);
    ServerValue *odd = odd_test(translation);
    if (odd)
        append_entry(stage.group, odd_field, operation_of("$max", odd));
    append_item(command->pipeline, operation_of("$group", stage.group));
    if (stage.regroup) {
        if (odd)
            append_entry(stage.regroup, odd_field, operation_of("$max", field_value(odd_field)));
        append_item(command->pipeline, operation_of("$group", stage.regroup));
    }
    const bool may_be_odd = append_set_stage(&stage, odd, command->pipeline);
    if (!append_having_stage(grouped, query, may_be_odd, command->pipeline)) {
        translation->reasons = list_concat(translation->reasons, grouped->reasons);
        return false;
    }
    command->odd_field = may_be_odd ? odd_field : nullptr;
    command->row_without_documents = query.group_keys == NIL;
    if (may_be_odd && query.group_keys != NIL && query.sort_keys == NIL) {
        ServerValue *sort = append_entry(document_value(), odd_field, integer_value(-1));
        append_item(command->pipeline, operation_of("$sort", sort));
    }
    return true;
}

} // namespace mongoferry::query

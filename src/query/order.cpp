/* See order.h. */
#include "query/order.h"

#include "query/column_rule.h"
#include "query/filter_node.h"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
}

#include <cmath>

namespace mongoferry::query {

namespace {

/* A compound sort key has no more fields (MongoDB manual, "$sort (aggregation)"). */
constexpr int most_server_keys = 32;

constexpr int64 exact_in_float64 = INT64CONST(9007199254740992);

// clang-format off
constexpr const char *types_without_numbers[] = {
    "string", "object", "array", "binData", "undefined", "objectId", "bool", "date", "regex", "dbPointer", "javascript",
    "symbol", "javascriptWithScope", "timestamp", "minKey", "maxKey"};
// clang-format on
constexpr const char *array_type[] = {"array"};
constexpr const char *undefined_type[] = {"undefined"};
constexpr const char *double_type[] = {"double"};
constexpr const char *decimal_type[] = {"decimal"};
constexpr const char *long_type[] = {"long"};

FilterNode *is_nan(const char *path) {
    return compare_node(path, BTEqualStrategyNumber, float64_constant(std::nan("")));
}

/* One key of SQL's order, on the server. */
struct OrderKey {
    const char *path;   /* of the field that is sorted by as it is; NULL: an expression */
    ServerValue *value; /* the field, or the expression */
    bool descending;
    bool nulls_lowest; /* as MongoDB has it */
    bool may_be_null;
    bool may_be_nan;
    /* Documents of `table` for which the plain form is wrong; NULL: none. */
    FilterNode *null_or_nan;
};

struct OrderWork {
    Translation *translation;
    const RemoteQuery *query;
    Command *command;
    OrderKey *keys;
    int key_count;
    /* By table: odd documents whose value in a key may be any. */
    FilterNode **disturbing;
};

/* --- one key ---------------------------------------------------------------------------------------------------- */

Node *without_relabeling(Node *node) {
    while (node && IsA(node, RelabelType))
        node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
    return node;
}

bool is_text(Oid type) {
    return type == TEXTOID || type == VARCHAROID;
}

bool is_float_or_numeric(ColumnKind kind) {
    return kind == ColumnKind::float32 || kind == ColumnKind::float64 || kind == ColumnKind::numeric;
}

/* Why values of a type are in another order on the server; NULL if they are not (but for nulls and NaN). */
const char *refusal_of_order(Node *expression, const ColumnRule &rule) {
    const Oid type = getBaseType(exprType(expression));
    if (type != rule.base_type && !(is_text(type) && is_text(rule.base_type)))
        return "it is compared as another type";
    switch (rule.kind) {
    case ColumnKind::text:
        return collation_is_c(exprCollation(expression)) ? nullptr : "the order of text depends on the collation";
    case ColumnKind::uuid:
        return rule.uuid_binary == 4 ? nullptr : "UUIDs of subtype 3 are only compared with constants";
    case ColumnKind::bytes:
    case ColumnKind::other:
        return psprintf("there is no rule for the order of type %s", format_type_be(rule.base_type));
    default:
        return nullptr;
    }
}

/* Why a column is not sorted by as it is. */
const char *refusal_of_plain_key(const UsedColumn &used, bool is_last) {
    if (const char *refusal = refusal_in_expression(used))
        return refusal;
    const ColumnRule &rule = used.rule;
    const bool rounds =
        rule.kind == ColumnKind::float32 || (rule.kind == ColumnKind::numeric && rule.precision >= 0) ||
        (rule.not_comparable && (rule.kind == ColumnKind::numeric || rule.kind == ColumnKind::timestamp));
    /* Rounding keeps the order but for ties, which are open behind the last key. */
    if (rounds && !is_last)
        return "the column rounds values, so that rows tie here that do not on the server";
    if (rule.not_exact && !(rounds && rule.not_exact == rule.not_comparable))
        return rule.not_exact;
    return nullptr;
}

/* Odd documents that a scan reads and whose place in the order by the field may be another than in that by the column.
 * used: without the table's prefix. Not the mixture of numbers in numeric columns, see mixed_numbers(). */
FilterNode *disturbing_filter(const UsedColumn &used, bool is_last) {
    FilterNode *filter = nullptr;
    const bool reads_as_null = used.field->options.on_mismatch == bson::OnMismatch::null;
    if (reads_as_null && is_float_or_numeric(used.rule.kind)) {
        filter = type_node(used.path, list_of(types_without_numbers));
        if (used.rule.kind == ColumnKind::float32 || used.rule.precision >= 0) /* what is too large is NULL */
            filter = either(filter, expression_node(odd_value_test(used)));
        if (used.rule.kind == ColumnKind::float64)
            filter = either(filter,
                            both(type_node(used.path, list_of(decimal_type)), expression_node(odd_value_test(used))));
    } else if (reads_as_null || strchr(used.path, '.')) {
        filter = null_by_oddity_filter(used);
    }
    filter = either(filter, convertible_filter(used));
    if (is_last)
        return filter; /* what else is odd ties with what it should not, or is undefined, which lies with the nulls */
    if (used.rule.kind != ColumnKind::numeric)
        filter = either(filter, odd_filter(used));
    /* A document with arrays under two keys is an error on the server. */
    return either(either(filter, type_node(used.path, list_of(undefined_type))),
                  type_node(used.path, list_of(array_type)));
}

/* Two kinds of numbers that must not both be there, if the order is to be that of numeric (order.h). */
void add_mixed_number_probes(OrderWork *work, int table, const UsedColumn &used) {
    FilterNode *decimals =
        either(type_node(used.path, list_of(decimal_type)),
               both(type_node(used.path, list_of(long_type)),
                    either(compare_node(used.path, BTGreaterStrategyNumber, integer_constant(exact_in_float64)),
                           compare_node(used.path, BTLessStrategyNumber, integer_constant(-exact_in_float64)))));
    FilterNode *doubles = both(type_node(used.path, list_of(double_type)), expression_node(odd_value_test(used)));
    Command *command = work->command;
    FilterNode **filters = table == 0 ? command->filters : nullptr;
    const int count = table == 0 ? command->filter_count : 0;
    add_probe(command, table, filters, count, decimals);
    command->probes[command->probe_count - 1].only_with_next = true;
    add_probe(command, table, filters, count, doubles);
}

/* Whether a condition that holds says that the expression is not NULL. */
bool implies_not_null(Node *condition, Node *expression) {
    auto is_expression = [&](void *argument) {
        return equal(without_relabeling(static_cast<Node *>(argument)), expression);
    };
    switch (nodeTag(condition)) {
    case T_OpExpr: {
        const OpExpr *operation = reinterpret_cast<const OpExpr *>(condition);
        ListCell *cell;
        foreach (cell, operation->args)
            if (is_expression(lfirst(cell)))
                return op_strict(operation->opno);
        return false;
    }
    case T_ScalarArrayOpExpr: {
        const ScalarArrayOpExpr *operation = reinterpret_cast<const ScalarArrayOpExpr *>(condition);
        return operation->useOr && is_expression(linitial(operation->args)) && op_strict(operation->opno);
    }
    case T_NullTest: {
        const NullTest *test = reinterpret_cast<const NullTest *>(condition);
        return test->nulltesttype == IS_NOT_NULL && !test->argisrow && is_expression(test->arg);
    }
    case T_BoolExpr: {
        const BoolExpr *boolean = reinterpret_cast<const BoolExpr *>(condition);
        if (boolean->boolop == OR_EXPR)
            return false;
        ListCell *cell;
        foreach (cell, boolean->args) /* NOT of a strict one is strict */
            if (boolean->boolop == NOT_EXPR ? is_expression(lfirst(cell))
                                            : implies_not_null(static_cast<Node *>(lfirst(cell)), expression))
                return true;
        return false;
    }
    default:
        return is_expression(condition);
    }
}

bool may_be_null(const RemoteQuery &query, Node *expression) {
    ListCell *cell;
    foreach (cell, query.conditions)
        if (implies_not_null(static_cast<Node *>(lfirst(cell)), without_relabeling(expression)))
            return false;
    return true;
}

/* The table's columns as they stand in its own documents. */
UsedColumn column_without_prefix(const Translation *translation, int table, AttrNumber column) {
    TranslatedTable *tables =
        static_cast<TranslatedTable *>(palloc(sizeof(TranslatedTable) * translation->table_count));
    memcpy(tables, translation->tables, sizeof(TranslatedTable) * translation->table_count);
    tables[table].prefix = nullptr;
    Translation own = *translation;
    own.tables = tables;
    return column_at(&own, table, column);
}

bool add_plain_key(OrderWork *work, Node *expression, const UsedColumn &used, bool is_last, OrderKey *key) {
    if (const char *refusal = refusal_of_plain_key(used, is_last)) {
        not_sent(work->translation, expression, refusal);
        return false;
    }
    key->path = used.path;
    key->value = field_value(used.path);
    key->may_be_nan = is_float_or_numeric(used.rule.kind);
    if (!used.field) /* a known value, native or null */
        return true;
    key->may_be_null = used.table > 0 || may_be_null(*work->query, expression);
    const UsedColumn own = column_without_prefix(work->translation, used.table, used.column);
    work->disturbing[used.table] = either(work->disturbing[used.table], disturbing_filter(own, is_last));
    if (used.rule.kind == ColumnKind::numeric)
        add_mixed_number_probes(work, used.table, own);
    if (key->may_be_null && !key->nulls_lowest) {
        Constant null_constant{}; /* equals missing fields too */
        key->null_or_nan = either(compare_node(own.path, BTEqualStrategyNumber, null_constant),
                                  type_node(own.path, list_of(undefined_type)));
    }
    if (key->may_be_nan)
        key->null_or_nan = either(key->null_or_nan, is_nan(own.path));
    return true;
}

bool add_key(OrderWork *work, const SortKey *sort_key, bool is_last) {
    OrderKey *key = &work->keys[work->key_count++];
    *key = {};
    key->descending = sort_key->descending;
    key->nulls_lowest = sort_key->nulls_first != sort_key->descending;
    key->may_be_null = true;
    Node *expression = sort_key->expression;
    UsedColumn used;
    const bool is_column = find_column(work->translation, expression, &used);
    const ColumnRule rule = is_column ? used.rule : rule_of_type(exprType(expression), -1, bson::ConversionOptions{});
    if (const char *refusal = refusal_of_order(expression, rule)) {
        not_sent(work->translation, expression, refusal);
        return false;
    }
    /* The day of a date column is an expression where rows of one day must tie. */
    if (is_column && (rule.kind != ColumnKind::date || is_last || !used.field))
        return add_plain_key(work, expression, used, is_last, key);
    key->value = translate_value(work->translation, expression);
    key->may_be_nan = is_float_or_numeric(rule.kind);
    return key->value != nullptr;
}

/* --- probes ----------------------------------------------------------------------------------------------------- */

/* For what keys and (where nobody has done it yet) conditions rely on. conditions: the translation they were made with.
 * False if it can't be asked. */
bool add_probes(OrderWork *work, const List *uses, const List *troubles) {
    const RemoteQuery &query = *work->query;
    if (query.grouped) /* all is known; and PostgreSQL's errors about groups are not looked for */
        return troubles == NIL;
    if (query.joins != NIL && troubles != NIL)
        return false;
    for (int table = 0; table < work->translation->table_count; ++table) {
        FilterNode *odd = work->disturbing[table];
        ListCell *cell;
        foreach (cell, uses) {
            const FieldUse *use = static_cast<const FieldUse *>(lfirst(cell));
            if (use->table == table)
                odd = either(odd, odd_filter(column_without_prefix(work->translation, table, use->column)));
        }
        foreach (cell, troubles)
            odd = either(odd, expression_node(static_cast<ServerValue *>(lfirst(cell))));
        if (table == 0)
            add_probe(work->command, table, work->command->filters, work->command->filter_count, odd);
        else
            add_probe(work->command, table, nullptr, 0, odd);
    }
    return true;
}

/* --- stages ----------------------------------------------------------------------------------------------------- */

bool needs_rank(const OrderKey &key) {
    return (key.may_be_null && !key.nulls_lowest) || key.may_be_nan;
}

/* NaN above all numbers; nulls where SQL wants them. */
ServerValue *rank_of(const OrderKey &key) {
    ServerValue *rank = integer_value(0);
    if (key.may_be_nan)
        rank = operation("$cond", {operation("$eq", {key.value, float64_value(std::nan(""))}), integer_value(1), rank});
    return operation("$cond",
                     {operation("$gt", {key.value, null_value()}), rank, integer_value(key.nulls_lowest ? -1 : 2)});
}

ServerValue *direction_of(const OrderKey &key) {
    return integer_value(key.descending ? -1 : 1);
}

/* {path: 1, …}; NULL if the order is not that of fields alone (ranks apart). */
ServerValue *plain_sort(const OrderWork &work) {
    ServerValue *sort = document_value();
    if (work.command->odd_field)
        append_entry(sort, work.command->odd_field, integer_value(-1));
    for (int i = 0; i < work.key_count; ++i) {
        if (!work.keys[i].path)
            return nullptr;
        for (int j = 0; j < sort->count; ++j)
            if (strcmp(sort->keys[j], work.keys[i].path) == 0)
                return nullptr;
        append_entry(sort, work.keys[i].path, direction_of(work.keys[i]));
    }
    return sort;
}

/* The stages with added keys, around those that cut the window out. False if there are too many keys. */
bool append_ranked_order(const OrderWork &work, ServerValue *window) {
    ServerValue *pipeline = work.command->pipeline;
    ServerValue *fields = document_value();
    append_entry(fields, "_id", integer_value(0));
    append_entry(fields, "document", variable_value("ROOT"));
    ServerValue *sort = document_value();
    if (work.command->odd_field) {
        append_entry(fields, "odd", field_value(work.command->odd_field));
        append_entry(sort, "odd", integer_value(-1));
    }
    for (int i = 0; i < work.key_count; ++i) {
        const OrderKey &key = work.keys[i];
        if (needs_rank(key)) {
            const char *name = psprintf("r%d", i);
            append_entry(fields, name, rank_of(key));
            append_entry(sort, name, direction_of(key));
        }
        const char *name = psprintf("k%d", i);
        append_entry(fields, name, key.value);
        append_entry(sort, name, direction_of(key));
    }
    append_item(pipeline, operation_of("$project", fields));
    append_item(pipeline, operation_of("$sort", sort));
    for (int i = 0; i < window->count; ++i)
        append_item(pipeline, window->items[i]);
    append_item(pipeline,
                operation_of("$replaceRoot", append_entry(document_value(), "newRoot", field_value("document"))));
    return sort->count <= most_server_keys;
}

bool append_plain_order(ServerValue *pipeline, ServerValue *sort, ServerValue *window) {
    append_item(pipeline, operation_of("$sort", sort));
    for (int i = 0; i < window->count; ++i)
        append_item(pipeline, window->items[i]);
    return sort->count <= most_server_keys;
}

/* --- offset and limit ------------------------------------------------------------------------------------------- */

struct Window {
    Constant offset;
    Constant limit;
    bool has_offset;
    bool has_limit;
};

/* NULL is as if there were none. */
bool read_count(const Translation *translation, Node *count, Constant *constant) {
    if (!count)
        return false;
    const Const *value = constant_of(translation, count);
    if (!value || value->constisnull)
        return false;
    *constant = integer_constant(DatumGetInt64(value->constvalue));
    constant->placeholder = placeholder_of(count);
    return true;
}

/* False for a negative count, which is PostgreSQL's error. */
bool read_window(const OrderWork &work, Window *window) {
    *window = {};
    window->has_offset = read_count(work.translation, work.query->offset, &window->offset);
    window->has_limit = read_count(work.translation, work.query->limit, &window->limit);
    if ((window->has_offset && window->offset.integer < 0) || (window->has_limit && window->limit.integer < 0))
        return false;
    if (window->has_offset && window->offset.integer == 0)
        window->has_offset = false;
    /* The server refuses a sum beyond int64. */
    if (window->has_offset && window->has_limit && window->limit.integer > PG_INT64_MAX - window->offset.integer)
        window->has_limit = false;
    return true;
}

/* $skip and $limit. Where an odd document is to be seen first, it must not be passed over on the server. */
ServerValue *window_stages(const Window &window, Command *command) {
    ServerValue *stages = array_value({});
    const bool passes_over_here = window.has_offset && command->odd_field;
    if (passes_over_here)
        command->passed_over = window.offset.integer;
    else if (window.has_offset)
        append_item(stages, operation_of("$skip", constant_value(window.offset)));
    if (!window.has_limit)
        return stages;
    ServerValue *limit = constant_value(window.limit);
    if (passes_over_here && (window.limit.placeholder > 0 || window.offset.placeholder > 0)) /* to be shown only */
        limit = operation("$add", {constant_value(window.offset), limit});
    else if (passes_over_here)
        limit = integer_value(window.offset.integer + window.limit.integer);
    return append_item(stages, operation_of("$limit", limit));
}

void set_find_window(const Window &window, Command *command) {
    if (window.has_offset) {
        command->offset = window.offset.integer;
        command->offset_placeholder = window.offset.placeholder;
    }
    if (window.has_limit) {
        command->limit = window.limit.integer;
        command->limit_placeholder = window.limit.placeholder;
    }
}

/* --- the form --------------------------------------------------------------------------------------------------- */

bool append_forms(OrderWork *work, const Window &window) {
    Command *command = work->command;
    const RemoteQuery &query = *work->query;
    const bool can_be_find = query.joins == NIL && !query.grouped;
    if (query.sort_keys == NIL && can_be_find) {
        command->pipeline = nullptr;
        set_find_window(window, command);
        return true;
    }
    ServerValue *stages = window_stages(window, command);
    if (query.sort_keys == NIL) {
        for (int i = 0; i < stages->count; ++i)
            append_item(command->pipeline, stages->items[i]);
        return true;
    }
    ServerValue *sort = plain_sort(*work);
    FilterNode *null_or_nan = nullptr;
    bool is_ranked = !sort;
    for (int i = 0; i < work->key_count; ++i) {
        is_ranked = is_ranked || needs_rank(work->keys[i]);
        null_or_nan = either(null_or_nan, work->keys[i].null_or_nan);
    }
    if (sort && can_be_find && query.sorted_by_index) {
        set_find_window(window, command);
        command->sort = sort;
        command->plain_filter = null_or_nan;
        if (!is_ranked) {
            command->pipeline = nullptr;
            return sort->count <= most_server_keys;
        }
    }
    return is_ranked ? append_ranked_order(*work, stages) : append_plain_order(command->pipeline, sort, stages);
}

} // namespace

bool append_order(Translation *translation, const RemoteQuery &query, Command *command) {
    OrderWork work{};
    work.query = &query;
    work.command = command;
    work.keys = static_cast<OrderKey *>(palloc(sizeof(OrderKey) * Max(list_length(query.sort_keys), 1)));
    work.disturbing = static_cast<FilterNode **>(palloc0(sizeof(FilterNode *) * Max(translation->table_count, 1)));
    /* What the keys alone rely on: joins have probes of their own for what stands before. */
    Translation keys = *translation;
    if (query.joins != NIL)
        keys.uses = keys.troubles = NIL;
    work.translation = &keys;

    Window window;
    bool sendable = read_window(work, &window);
    ListCell *cell;
    foreach (cell, query.sort_keys)
        sendable =
            sendable && add_key(&work, static_cast<const SortKey *>(lfirst(cell)), !lnext(query.sort_keys, cell));
    sendable = sendable && add_probes(&work, keys.uses, keys.troubles) && append_forms(&work, window);
    translation->reasons = keys.reasons;
    if (sendable && window.has_limit && window.limit.integer == 0)
        command->empty = true;
    return sendable;
}

bool is_count(const Node *count) {
    if (!count || IsA(count, Const))
        return true;
    Node *node = const_cast<Node *>(count);
    return exprType(node) == INT8OID && !contain_volatile_functions(node) && !contain_subplans(node) &&
           !contain_var_clause(node);
}

const char *plain_sort_path(const RemoteQuery &query, const TranslatedTable *tables, const SortKey *key) {
    if (query.joins != NIL || query.grouped)
        return nullptr;
    Translation translation{};
    translation.tables = tables;
    translation.table_count = 1;
    int table;
    AttrNumber column;
    const Field *field = field_of(&translation, key->expression, &table, &column);
    return field && field->path[0] != '$' ? field->path : nullptr;
}

} // namespace mongoferry::query

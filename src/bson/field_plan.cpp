/*
 * See field_plan.h. The paths of the wanted fields form a tree; reading a document walks document and tree together,
 * and leaves a level as soon as all of its keys were found.
 *
 * With unwind there are two trees. That of the document is walked once a document: it finds the array, and keeps the
 * values of the other columns as they stand in the document, to be converted for each row (a row's values live in the
 * row's memory). That of the element is walked for each row.
 */
#include "bson/field_plan.h"

#include "bson/converter.h"
#include "bson/path.h"

extern "C" {
#include "nodes/pg_list.h"
}

namespace mongoferry::bson {

namespace {

constexpr std::string_view path_root = "$$ROOT";
constexpr std::string_view path_index = "$$INDEX";

/* A place in the tree of paths. */
struct Node {
    std::string_view key; /* UTF-8 */
    int64_t position;     /* the key as a position in an array, -1 if it is none */
    List *children;       /* of Node, while the tree is built */
    List *column_list;    /* of int, indexes into columns */

    Node **nodes; /* the children, in the order of keys */
    int node_count;
    bool has_positions; /* some child's key is one */
    KeySet *keys;
    int *columns; /* those that this place's value goes into */
    int column_count;
    bool is_unwound;
    uint64_t seen_in; /* the walk that found it last */
};

} // namespace

struct FieldPlan {
    Conversion conversion{};
    Column *columns = nullptr;
    int column_count = 0;
    int slot_count = 0;
    Node *document_tree = nullptr;
    Node *element_tree = nullptr; /* NULL without unwind */
    bool unwind_outer = false;
    int *late_columns = nullptr; /* whose NULL must be checked when nothing was found: domains */
    int late_count = 0;

    /* Walks are numbered, so that the marks of the walk before need no clearing. */
    uint64_t last_walk = 0;
    uint64_t document_walk = 0;

    /* The rows of the document that are still to come. */
    enum class Rows : uint8_t { none, single, elements, unwound_value, outer } rows = Rows::none;
    bool is_first_row = false;
    Value unwound{}; /* the value at the unwound path */
    bool has_unwound = false;
    Iterator elements{View{}};
    int64_t shown_position = 0; /* what $$INDEX reads */
};

/* --- building --------------------------------------------------------------------------------------------------- */

static int64_t position_of(std::string_view key) {
    if (key.empty() || key.size() > 9 || (key[0] == '0' && key.size() > 1))
        return -1;
    int64_t position = 0;
    for (char character : key) {
        if (character < '0' || character > '9')
            return -1;
        position = position * 10 + (character - '0');
    }
    return position;
}

static Node *new_node(std::string_view key) {
    Node *node = static_cast<Node *>(palloc0(sizeof(Node)));
    node->key = key;
    node->position = position_of(key);
    return node;
}

static Node *find_child(Node *node, std::string_view key) {
    ListCell *cell;
    foreach (cell, node->children) {
        Node *child = static_cast<Node *>(lfirst(cell));
        if (child->key == key)
            return child;
    }
    Node *child = new_node(key);
    node->children = lappend(node->children, child);
    return child;
}

/* The node of a path below this one; the path is UTF-8 and stays valid. */
static Node *node_at(Node *node, std::string_view path) {
    while (true) {
        const size_t dot = path.find('.');
        node = find_child(node, path.substr(0, dot));
        if (dot == std::string_view::npos)
            return node;
        path.remove_prefix(dot + 1);
    }
}

static void settle_node(Node *node) {
    check_stack_depth();
    node->node_count = list_length(node->children);
    node->nodes = static_cast<Node **>(palloc(sizeof(Node *) * static_cast<size_t>(Max(node->node_count, 1))));
    std::string_view *keys = static_cast<std::string_view *>(
        palloc(sizeof(std::string_view) * static_cast<size_t>(Max(node->node_count, 1))));
    for (int index = 0; index < node->node_count; ++index) {
        Node *child = static_cast<Node *>(list_nth(node->children, index));
        node->nodes[index] = child;
        new (&keys[index]) std::string_view(child->key);
        node->has_positions = node->has_positions || child->position >= 0;
        settle_node(child);
    }
    node->keys = make_key_set(keys, node->node_count);
    node->column_count = list_length(node->column_list);
    node->columns = static_cast<int *>(palloc(sizeof(int) * static_cast<size_t>(Max(node->column_count, 1))));
    for (int index = 0; index < node->column_count; ++index)
        node->columns[index] = list_nth_int(node->column_list, index);
}

FieldPlan *make_field_plan(const FieldSpec *fields, int field_count, int slot_count, const char *unwind,
                           bool unwind_outer, const PlanSource &source) {
    FieldPlan *plan = new (palloc(sizeof(FieldPlan))) FieldPlan();
    Conversion *conversion = &plan->conversion;
    conversion->context = CurrentMemoryContext;
    conversion->source.relation_name = pstrdup(source.relation_name);
    conversion->source.collection = pstrdup(source.collection);
    conversion->source.file_name = source.file_name ? pstrdup(source.file_name) : nullptr;
    conversion->unwind = unwind ? pstrdup(unwind) : nullptr;
    conversion->position = -1;
    initStringInfo(&conversion->text);

    plan->slot_count = slot_count;
    plan->unwind_outer = unwind_outer;
    plan->column_count = field_count;
    plan->columns = static_cast<Column *>(palloc0(sizeof(Column) * static_cast<size_t>(Max(field_count, 1))));
    plan->late_columns = static_cast<int *>(palloc(sizeof(int) * static_cast<size_t>(Max(field_count, 1))));
    plan->document_tree = new_node({});
    std::string_view unwind_path;
    if (unwind) {
        unwind_path = utf8_name(conversion->unwind);
        plan->element_tree = new_node({});
        node_at(plan->document_tree, unwind_path)->is_unwound = true;
    }

    for (int index = 0; index < field_count; ++index) {
        Column *column = &plan->columns[index];
        column->field = fields[index];
        column->field.column_name = pstrdup(fields[index].column_name);
        column->field.path = pstrdup(fields[index].path);
        column->converter =
            make_converter(fields[index].type, fields[index].typmod, fields[index].options, column->field.column_name);
        if (column->converter->is_domain)
            plan->late_columns[plan->late_count++] = index;

        const std::string_view path = utf8_name(column->field.path);
        Node *node;
        if (path == path_root)
            node = plan->document_tree;
        else if (path == path_index) {
            if (!unwind)
                ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
                                errmsg("column \"%s\" of foreign table \"%s\" reads $$INDEX, but the table has no "
                                       "option unwind",
                                       column->field.column_name, conversion->source.relation_name),
                                errhint("Set unwind to the path of the array whose elements become rows.")));
            column->is_position = true;
            continue;
        } else if (unwind && is_at_or_below(path, unwind_path)) {
            column->of_element = true;
            node = path.size() == unwind_path.size() ? plan->element_tree
                                                     : node_at(plan->element_tree, path.substr(unwind_path.size() + 1));
        } else
            node = node_at(plan->document_tree, path);
        node->column_list = lappend_int(node->column_list, index);
    }
    settle_node(plan->document_tree);
    if (plan->element_tree)
        settle_node(plan->element_tree);
    return plan;
}

void set_file_name(FieldPlan *plan, const char *file_name) {
    Conversion *conversion = &plan->conversion;
    if (conversion->source.file_name)
        pfree(const_cast<char *>(conversion->source.file_name));
    conversion->source.file_name = MemoryContextStrdup(conversion->context, file_name);
}

const char *check_path(const char *path) {
    const std::string_view text = path;
    if (text == path_root || text == path_index)
        return nullptr;
    if (text.empty())
        return "A path must not be empty.";
    if (text.front() == '.' || text.back() == '.' || text.find("..") != std::string_view::npos)
        return "A path must not have an empty part before, between or after its dots.";
    for (size_t start = 0; start != std::string_view::npos;) {
        if (text[start] == '$')
            return "Part of a path must not begin with \"$\", except in $$ROOT and $$INDEX; such keys are reached "
                   "through a jsonb column.";
        const size_t dot = text.find('.', start);
        start = dot == std::string_view::npos ? dot : dot + 1;
    }
    return nullptr;
}

/* --- walking ---------------------------------------------------------------------------------------------------- */

namespace {

/* What a walk does with the values that columns want. */
enum class Walk : uint8_t { convert, keep };

struct Target {
    FieldPlan *plan;
    uint64_t walk;
    Datum *values;
    bool *nulls;
};

inline void convert_column(const Target &target, Column *column, const Value &value) {
    Conversion &conversion = target.plan->conversion;
    conversion.column = column;
    const int slot = column->field.slot;
    target.nulls[slot] = !convert(*column->converter, conversion, value, &target.values[slot]);
}

template <Walk walk>
void walk_document(const Target &target, Node *node, View document);
template <Walk walk>
void walk_array(const Target &target, Node *node, View array);

template <Walk walk>
inline void visit(const Target &target, Node *node, const Value &value) {
    FieldPlan *plan = target.plan;
    for (int index = 0; index < node->column_count; ++index) {
        Column *column = &plan->columns[node->columns[index]];
        column->found_in = target.walk;
        if constexpr (walk == Walk::convert)
            convert_column(target, column, value);
        else
            column->value = value;
    }
    if constexpr (walk == Walk::keep)
        if (node->is_unwound) {
            plan->unwound = value;
            plan->has_unwound = true;
        }
    if (node->node_count > 0) {
        if (value.type == Type::object)
            walk_document<walk>(target, node, document_of(value));
        else if (value.type == Type::array && node->has_positions)
            walk_array<walk>(target, node, document_of(value));
    }
}

template <Walk walk>
void walk_document(const Target &target, Node *node, View document) {
    KeySet *keys = node->keys;
    KeySet::Place place = keys->begin();
    int remaining = node->node_count;
    Iterator iterator(document);
    while (iterator.next()) {
        const int index = keys->find(iterator.key(), &place);
        if (index < 0)
            continue;
        Node *child = node->nodes[index];
        if (child->seen_in == target.walk) /* of duplicate keys the first counts */
            continue;
        child->seen_in = target.walk;
        visit<walk>(target, child, iterator.value());
        if (--remaining == 0)
            return;
    }
    if (iterator.failed())
        raise_corrupt_document(target.plan->conversion, document.data + iterator.error_offset(), iterator.error());
}

/* Through an array by position: its keys are not looked at, as MongoDB doesn't. */
template <Walk walk>
void walk_array(const Target &target, Node *node, View array) {
    int remaining = 0;
    for (int index = 0; index < node->node_count; ++index)
        remaining += node->nodes[index]->position >= 0;
    Iterator iterator(array);
    for (int64_t position = 0; remaining > 0 && iterator.next(); ++position)
        for (int index = 0; index < node->node_count; ++index)
            if (node->nodes[index]->position == position) {
                visit<walk>(target, node->nodes[index], iterator.value());
                --remaining;
                break;
            }
    if (iterator.failed())
        raise_corrupt_document(target.plan->conversion, array.data + iterator.error_offset(), iterator.error());
}

/* Domains judge the NULL of a field that is not there. element_walk is 0 without unwind. */
void convert_missing_columns(const Target &target, uint64_t element_walk) {
    FieldPlan *plan = target.plan;
    for (int index = 0; index < plan->late_count; ++index) {
        Column *column = &plan->columns[plan->late_columns[index]];
        if (column->found_in == (column->of_element ? element_walk : plan->document_walk))
            continue;
        plan->conversion.column = column;
        plan->conversion.repeats = !plan->is_first_row && !column->of_element;
        const int slot = column->field.slot;
        target.nulls[slot] = !convert_missing(*column->converter, plan->conversion, &target.values[slot]);
    }
}

/* The columns of an unwound row that don't come from the element. */
void convert_kept_columns(const Target &target) {
    FieldPlan *plan = target.plan;
    Conversion *conversion = &plan->conversion;
    for (int index = 0; index < plan->column_count; ++index) {
        Column *column = &plan->columns[index];
        if (column->of_element)
            continue;
        if (column->is_position) {
            if (conversion->position < 0)
                continue;
            plan->shown_position = conversion->position;
            column->value = {Type::int64, reinterpret_cast<const uint8_t *>(&plan->shown_position),
                             sizeof plan->shown_position};
            column->found_in = plan->document_walk;
        } else if (column->found_in != plan->document_walk)
            continue;
        /* A misfit in the document is the same one for each of its rows, a position is another one each time. */
        conversion->repeats = !plan->is_first_row && !column->is_position;
        convert_column(target, column, column->value);
    }
}

/* Finds the element of the next row. False if there are no more rows; the element has no bytes in an outer row. */
bool next_element(FieldPlan *plan, Value *element, bool *has_element) {
    Conversion *conversion = &plan->conversion;
    *has_element = true;
    switch (plan->rows) {
    case FieldPlan::Rows::elements:
        if (plan->elements.next()) {
            *element = plan->elements.value();
            ++conversion->position;
            return true;
        }
        if (plan->elements.failed())
            raise_corrupt_document(*conversion, plan->unwound.bytes + plan->elements.error_offset(),
                                   plan->elements.error());
        plan->rows = FieldPlan::Rows::none;
        *has_element = false;
        return conversion->position < 0 && plan->unwind_outer; /* an empty array */
    case FieldPlan::Rows::unwound_value:
        *element = plan->unwound;
        plan->rows = FieldPlan::Rows::none;
        return true;
    case FieldPlan::Rows::outer:
        *has_element = false;
        plan->rows = FieldPlan::Rows::none;
        return true;
    default:
        return false;
    }
}

bool next_unwound_row(FieldPlan *plan, Datum *values, bool *nulls) {
    Value element;
    bool has_element;
    if (!next_element(plan, &element, &has_element))
        return false;

    memset(nulls, true, sizeof(bool) * static_cast<size_t>(plan->slot_count));
    const Target target{plan, ++plan->last_walk, values, nulls};
    convert_kept_columns(target);
    plan->conversion.repeats = false;
    if (has_element)
        visit<Walk::convert>(target, plan->element_tree, element);
    if (plan->late_count > 0)
        convert_missing_columns(target, target.walk);
    plan->is_first_row = false;
    return true;
}

} // namespace

void begin_document(FieldPlan *plan, View document, int64_t offset) {
    Conversion *conversion = &plan->conversion;
    conversion->document = document;
    conversion->offset = offset;
    conversion->position = -1;
    conversion->step = nullptr; /* an error may have left it */
    conversion->repeats = false;
    plan->document_walk = ++plan->last_walk;
    plan->is_first_row = true;

    if (!plan->element_tree) {
        plan->rows = FieldPlan::Rows::single;
        return;
    }

    plan->has_unwound = false;
    plan->rows = FieldPlan::Rows::none;
    visit<Walk::keep>(Target{plan, plan->document_walk, nullptr, nullptr}, plan->document_tree,
                      Value{Type::object, document.data, document.size});
    if (!plan->has_unwound || plan->unwound.type == Type::null || plan->unwound.type == Type::undefined)
        plan->rows = plan->unwind_outer ? FieldPlan::Rows::outer : FieldPlan::Rows::none;
    else if (plan->unwound.type == Type::array) {
        plan->rows = FieldPlan::Rows::elements;
        plan->elements = Iterator(document_of(plan->unwound));
    } else
        plan->rows = FieldPlan::Rows::unwound_value;
}

bool next_row(FieldPlan *plan, Datum *values, bool *nulls) {
    if (plan->element_tree)
        return next_unwound_row(plan, values, nulls);
    if (plan->rows != FieldPlan::Rows::single)
        return false;
    plan->rows = FieldPlan::Rows::none;
    memset(nulls, true, sizeof(bool) * static_cast<size_t>(plan->slot_count));
    const View document = plan->conversion.document;
    const Target target{plan, plan->document_walk, values, nulls};
    visit<Walk::convert>(target, plan->document_tree, Value{Type::object, document.data, document.size});
    if (plan->late_count > 0)
        convert_missing_columns(target, 0);
    return true;
}

void report_mismatches(FieldPlan *plan) {
    warn_of_misfits(plan->conversion, plan->columns, plan->column_count);
}

int count_columns(const FieldPlan *plan) {
    return plan->column_count;
}

void take_mismatches(FieldPlan *plan, TakeMismatches take, void *context) {
    for (int i = 0; i < plan->column_count; ++i) {
        Column &column = plan->columns[i];
        if (column.misfits == 0)
            continue;
        take(context, i, column.misfits, column.first_id);
        pfree(column.first_id);
        column.misfits = 0;
        column.first_id = nullptr;
    }
}

void add_mismatches(FieldPlan *plan, int column, int64_t count, const char *first_id) {
    Column &to = plan->columns[column];
    if (to.misfits == 0)
        to.first_id = MemoryContextStrdup(plan->conversion.context, first_id);
    to.misfits += count;
}

} // namespace mongoferry::bson

/*
 * Building a field plan: the tree of paths, and the stages of the row filter. See field_plan.h.
 */
#include "bson/field_plan_parts.h"

#include "bson/path.h"

namespace mongoferry::bson {

static constexpr std::string_view path_root = "$$ROOT";
static constexpr std::string_view path_index = "$$INDEX";

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

static PathNode *new_node(std::string_view key) {
    PathNode *node = static_cast<PathNode *>(palloc0(sizeof(PathNode)));
    node->key = key;
    node->position = position_of(key);
    return node;
}

static PathNode *find_child(PathNode *node, std::string_view key) {
    ListCell *cell;
    foreach (cell, node->children) {
        PathNode *child = static_cast<PathNode *>(lfirst(cell));
        if (child->key == key)
            return child;
    }
    PathNode *child = new_node(key);
    node->children = lappend(node->children, child);
    return child;
}

/* The node of a path below this one; the path is UTF-8 and stays valid. */
static PathNode *node_at(PathNode *node, std::string_view path) {
    while (true) {
        const size_t dot = path.find('.');
        node = find_child(node, path.substr(0, dot));
        if (dot == std::string_view::npos)
            return node;
        path.remove_prefix(dot + 1);
    }
}

static void settle_node(PathNode *node) {
    check_stack_depth();
    node->node_count = list_length(node->children);
    node->nodes = static_cast<PathNode **>(palloc(sizeof(PathNode *) * static_cast<size_t>(Max(node->node_count, 1))));
    std::string_view *keys = static_cast<std::string_view *>(
        palloc(sizeof(std::string_view) * static_cast<size_t>(Max(node->node_count, 1))));
    for (int index = 0; index < node->node_count; ++index) {
        PathNode *child = static_cast<PathNode *>(list_nth(node->children, index));
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
        PathNode *node;
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

void set_row_filter(FieldPlan *plan, const RowFilter &filter) {
    MemoryContext previous = MemoryContextSwitchTo(plan->conversion.context);
    plan->filter = filter;
    plan->stages = static_cast<Stage *>(palloc0(sizeof(Stage) * static_cast<size_t>(filter.stage_count + 1)));
    bool is_of_document = plan->element_tree != nullptr;
    for (int number = 0; number <= filter.stage_count; ++number) {
        Stage *stage = &plan->stages[number];
        stage->columns = static_cast<int *>(palloc(sizeof(int) * static_cast<size_t>(Max(plan->column_count, 1))));
        for (int index = 0; index < plan->column_count; ++index) {
            Column *column = &plan->columns[index];
            if (Min(column->field.stage, filter.stage_count) != number)
                continue;
            column->field.stage = number;
            stage->columns[stage->column_count++] = index;
            is_of_document = is_of_document && !column->of_element && !column->is_position;
        }
        if (is_of_document && number < filter.stage_count)
            ++plan->document_stages;
    }
    MemoryContextSwitchTo(previous);
}

int64_t take_rows_removed(FieldPlan *plan) {
    const int64_t removed = plan->rows_removed;
    plan->rows_removed = 0;
    return removed;
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

} // namespace mongoferry::bson

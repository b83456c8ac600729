/* See filter_node.h. */
#include "query/filter_node.h"

#include "query/server_value.h"

namespace mongoferry::query {

FilterNode *make_node(NodeKind kind) {
    FilterNode *node = static_cast<FilterNode *>(palloc0(sizeof(FilterNode)));
    node->kind = kind;
    return node;
}

FilterNode *compare_node(const char *path, StrategyNumber comparison, const Constant &constant) {
    FilterNode *node = make_node(NodeKind::compare);
    node->path = path;
    node->comparison = comparison;
    node->constant = constant;
    return node;
}

FilterNode *type_node(const char *path, const TypeList &types) {
    FilterNode *node = make_node(NodeKind::has_type);
    node->path = path;
    node->types = types;
    return node;
}

FilterNode *expression_node(const ServerValue *value) {
    FilterNode *node = make_node(NodeKind::expression);
    node->value = value;
    return node;
}

static bool says_the_same(const FilterNode *left, const FilterNode *right) {
    return left->kind == NodeKind::has_type && right->kind == NodeKind::has_type &&
           strcmp(left->path, right->path) == 0 && left->types.names == right->types.names;
}

/* Adds a child to a node, or the child's children where it is of the same kind; a type check only once. */
static void add_child(FilterNode *node, FilterNode *child) {
    if (child->kind == node->kind) {
        for (int i = 0; i < child->child_count; ++i)
            add_child(node, child->children[i]);
        return;
    }
    for (int i = 0; i < node->child_count; ++i)
        if (says_the_same(node->children[i], child))
            return;
    size_t size = sizeof(FilterNode *) * (node->child_count + 1);
    node->children = static_cast<FilterNode **>(node->children ? repalloc(node->children, size) : palloc(size));
    node->children[node->child_count++] = child;
}

FilterNode *combine(NodeKind kind, FilterNode *const *children, int count) {
    if (count == 1)
        return children[0];
    FilterNode *node = make_node(kind);
    for (int i = 0; i < count; ++i)
        add_child(node, children[i]);
    return node;
}

FilterNode *either(FilterNode *left, FilterNode *right) {
    FilterNode *children[] = {left, right};
    return combine(NodeKind::any_of, children, 2);
}

} // namespace mongoferry::query

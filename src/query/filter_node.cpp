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

static bool same_constant(const Constant &left, const Constant &right) {
    if (left.kind != right.kind || left.placeholder != right.placeholder)
        return false;
    switch (left.kind) {
    case ConstantKind::null:
        return true;
    case ConstantKind::boolean:
        return left.boolean == right.boolean;
    case ConstantKind::integer:
    case ConstantKind::date:
    case ConstantKind::float64:
        return left.integer == right.integer; /* of a double its bits */
    case ConstantKind::text:
    case ConstantKind::regex:
        return left.text.size == right.text.size && memcmp(left.text.data, right.text.data, left.text.size) == 0 &&
               strcmp(left.text.options ? left.text.options : "", right.text.options ? right.text.options : "") == 0;
    case ConstantKind::object_id:
        return memcmp(left.bytes, right.bytes, 12) == 0;
    case ConstantKind::decimal128:
    case ConstantKind::uuid:
        return left.binary_subtype == right.binary_subtype && memcmp(left.bytes, right.bytes, 16) == 0;
    }
    return false;
}

static bool says_the_same(const FilterNode *left, const FilterNode *right) {
    if (left->kind != right->kind)
        return false;
    switch (left->kind) {
    case NodeKind::compare:
        return left->comparison == right->comparison && strcmp(left->path, right->path) == 0 &&
               same_constant(left->constant, right->constant);
    case NodeKind::has_type: {
        if (strcmp(left->path, right->path) != 0 || left->types.count != right->types.count)
            return false;
        for (int i = 0; i < left->types.count; ++i)
            if (strcmp(left->types.names[i], right->types.names[i]) != 0)
                return false;
        return true;
    }
    case NodeKind::all_of:
    case NodeKind::any_of:
        if (left->child_count != right->child_count)
            return false;
        for (int i = 0; i < left->child_count; ++i)
            if (!says_the_same(left->children[i], right->children[i]))
                return false;
        return true;
    case NodeKind::expression:
        return left->value == right->value;
    default:
        return false;
    }
}

/* Among the many arms of a long IN list only these can be said twice, by the arms for odd documents. */
static bool may_be_repeated(const FilterNode *node) {
    return node->kind != NodeKind::compare || node->comparison != BTEqualStrategyNumber ||
           node->constant.kind == ConstantKind::regex || node->constant.kind == ConstantKind::float64 ||
           node->constant.kind == ConstantKind::null;
}

/* Puts what another not_in of the same path excludes into this one. */
static void exclude_too(FilterNode *node, const FilterNode *other) {
    const size_t size = sizeof(Constant) * (node->constant_count + other->constant_count);
    Constant *constants = static_cast<Constant *>(palloc(size));
    int count = 0;
    for (const FilterNode *from : {static_cast<const FilterNode *>(node), other})
        for (int i = 0; i < from->constant_count; ++i)
            if (from->constants[i].kind != ConstantKind::null)
                constants[count++] = from->constants[i];
    constants[count++] = Constant{}; /* null, which each has */
    node->constants = constants;
    node->constant_count = count;
}

/* Adds a child to a node, or the child's children where it is of the same kind. */
static void add_child(FilterNode *node, FilterNode *child) {
    if (child->kind == node->kind) {
        for (int i = 0; i < child->child_count; ++i)
            add_child(node, child->children[i]);
        return;
    }
    for (int i = 0; i < node->child_count && may_be_repeated(child); ++i)
        if (says_the_same(node->children[i], child))
            return;
    if (child->kind == NodeKind::not_in && node->kind == NodeKind::all_of)
        for (int i = 0; i < node->child_count; ++i)
            if (node->children[i]->kind == NodeKind::not_in && strcmp(node->children[i]->path, child->path) == 0) {
                exclude_too(node->children[i], child);
                return;
            }
    if (child->kind == NodeKind::not_in) { /* which may grow */
        FilterNode *copy = make_node(NodeKind::not_in);
        *copy = *child;
        child = copy;
    }
    /* Room doubles, so that long lists take linear time. */
    if ((node->child_count & (node->child_count - 1)) == 0) {
        const size_t size = sizeof(FilterNode *) * Max(node->child_count * 2, 1);
        node->children = static_cast<FilterNode **>(node->children ? repalloc(node->children, size) : palloc(size));
    }
    node->children[node->child_count++] = child;
}

FilterNode *differs_node(const char *path, const Constant &constant) {
    FilterNode *node = make_node(NodeKind::not_in);
    node->path = path;
    node->constants = static_cast<Constant *>(palloc0(sizeof(Constant) * 2)); /* the second one is null */
    node->constants[0] = constant;
    node->constant_count = 2;
    return node;
}

FilterNode *not_null_node(const char *path) {
    FilterNode *node = make_node(NodeKind::not_in);
    node->path = path;
    node->constants = static_cast<Constant *>(palloc0(sizeof(Constant)));
    node->constant_count = 1;
    return node;
}

FilterNode *combine(NodeKind kind, FilterNode *const *children, int count) {
    const bool is_all = kind == NodeKind::all_of;
    const NodeKind decides = is_all ? NodeKind::nothing : NodeKind::everything;
    const NodeKind says_nothing = is_all ? NodeKind::everything : NodeKind::nothing;
    FilterNode *node = make_node(kind);
    for (int i = 0; i < count; ++i) {
        if (children[i]->kind == decides)
            return make_node(decides);
        if (children[i]->kind != says_nothing)
            add_child(node, children[i]);
    }
    if (node->child_count == 0)
        return make_node(says_nothing);
    return node->child_count == 1 ? node->children[0] : node;
}

FilterNode *either(FilterNode *left, FilterNode *right) {
    if (!left || !right)
        return left ? left : right;
    FilterNode *children[] = {left, right};
    return combine(NodeKind::any_of, children, 2);
}

FilterNode *both(FilterNode *left, FilterNode *right) {
    FilterNode *children[] = {left, right};
    return combine(NodeKind::all_of, children, 2);
}

} // namespace mongoferry::query

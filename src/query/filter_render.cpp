/*
 * The filter tree as BSON, in the plain query language, so that a collection's indexes serve.
 *
 * Source: MongoDB manual, "Query Predicates": $eq, $gt, $in, $nin, $ne, $type, $and, $or, $expr.
 */
#include "query/filter.h"

#include "query/filter_node.h"
#include "query/server_value.h"

#include <vector>

namespace mongoferry::query {

namespace {

const char *comparison_name(StrategyNumber comparison) {
    switch (comparison) {
    case BTLessStrategyNumber:
        return "$lt";
    case BTLessEqualStrategyNumber:
        return "$lte";
    case BTGreaterEqualStrategyNumber:
        return "$gte";
    case BTGreaterStrategyNumber:
        return "$gt";
    default:
        return "$eq";
    }
}

void render_node(bson::Builder &builder, const FilterNode *node);

bool is_equality_on(const FilterNode *node, const char *path) {
    return node->kind == NodeKind::compare && node->comparison == BTEqualStrategyNumber &&
           strcmp(node->path, path) == 0;
}

/* The path of which an any_of node has several equalities, which $in says shorter and with one index scan; or NULL. */
const char *path_of_choice(const FilterNode *node) {
    const char *path = nullptr;
    for (int i = 0; i < node->child_count; ++i) {
        if (path && is_equality_on(node->children[i], path))
            return path;
        if (!path && node->children[i]->kind == NodeKind::compare &&
            node->children[i]->comparison == BTEqualStrategyNumber)
            path = node->children[i]->path;
    }
    return nullptr;
}

void render_choice(bson::Builder &builder, const FilterNode *node, const char *path) {
    builder.begin_document(path);
    builder.begin_array("$in");
    for (int i = 0; i < node->child_count; ++i)
        if (is_equality_on(node->children[i], path))
            render_constant(&builder, builder.array_key(), node->children[i]->constant);
    builder.end();
    builder.end();
}

void render_any_of(bson::Builder &builder, const FilterNode *node) {
    const char *choice = path_of_choice(node);
    bool only_choice = choice != nullptr;
    for (int i = 0; choice && i < node->child_count; ++i)
        only_choice = only_choice && is_equality_on(node->children[i], choice);
    if (only_choice) {
        render_choice(builder, node, choice);
        return;
    }
    builder.begin_array("$or");
    if (choice) {
        builder.begin_document(builder.array_key());
        render_choice(builder, node, choice);
        builder.end();
    }
    for (int i = 0; i < node->child_count; ++i) {
        if (choice && is_equality_on(node->children[i], choice))
            continue;
        builder.begin_document(builder.array_key());
        render_node(builder, node->children[i]);
        builder.end();
    }
    builder.end();
}

void render_list(bson::Builder &builder, const char *key, const FilterNode *const *nodes, int count) {
    builder.begin_array(key);
    for (int i = 0; i < count; ++i) {
        builder.begin_document(builder.array_key());
        render_node(builder, nodes[i]);
        builder.end();
    }
    builder.end();
}

/* Appends the node as one element of the open document. */
void render_node(bson::Builder &builder, const FilterNode *node) {
    switch (node->kind) {
    case NodeKind::compare:
        if (node->comparison == BTEqualStrategyNumber) {
            render_constant(&builder, node->path, node->constant);
        } else {
            builder.begin_document(node->path);
            render_constant(&builder, comparison_name(node->comparison), node->constant);
            builder.end();
        }
        break;
    case NodeKind::not_in:
        builder.begin_document(node->path);
        if (node->constant_count == 1) {
            render_constant(&builder, "$ne", node->constants[0]);
        } else {
            builder.begin_array("$nin");
            for (int i = 0; i < node->constant_count; ++i)
                render_constant(&builder, builder.array_key(), node->constants[i]);
            builder.end();
        }
        builder.end();
        break;
    case NodeKind::has_type:
        builder.begin_document(node->path);
        builder.begin_array("$type");
        for (int i = 0; i < node->types.count; ++i)
            builder.append_string(builder.array_key(), node->types.names[i]);
        builder.end();
        builder.end();
        break;
    case NodeKind::expression:
        render_value(&builder, "$expr", node->value);
        break;
    case NodeKind::everything: /* {} */
        break;
    case NodeKind::nothing:
        builder.append_bool("$expr", false);
        break;
    case NodeKind::any_of:
        render_any_of(builder, node);
        break;
    case NodeKind::all_of:
        render_list(builder, "$and", node->children, node->child_count);
        break;
    }
}

} // namespace

bson::Document render_filter(const FilterNode *const *nodes, int count) {
    std::vector<const FilterNode *> telling;
    for (int i = 0; i < count; ++i)
        if (nodes[i]->kind != NodeKind::everything)
            telling.push_back(nodes[i]);
    bson::Builder builder;
    if (telling.size() == 1)
        render_node(builder, telling[0]);
    else if (!telling.empty())
        render_list(builder, "$and", telling.data(), static_cast<int>(telling.size()));
    return builder.finish();
}

} // namespace mongoferry::query

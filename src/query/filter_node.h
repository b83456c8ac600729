/*
 * The tree between SQL conditions and a query predicate: what filter.cpp makes and filter_render.cpp writes as BSON.
 *
 * POD, palloc'd in the planner's memory context.
 */
#pragma once

#include "pg/backend.h"

#include "query/constant.h"

extern "C" {
#include "access/stratnum.h"
}

namespace mongoferry::query {

enum class NodeKind : uint8_t {
    all_of,
    any_of,
    compare,
    not_in, /* none of the constants: {$nin: …} */
    has_type,
    expression, /* {$expr: …}: true where the value is */
    everything, /* all documents */
    nothing,    /* no document */
};

/* The BSON types that a has_type node names, in MongoDB's words. */
struct TypeList {
    const char *const *names;
    int count;
};
template <int count>
constexpr TypeList list_of(const char *const (&names)[count]) {
    return {names, count};
}

struct FilterNode {
    NodeKind kind;
    const char *path;          /* compare, not_in, has_type */
    StrategyNumber comparison; /* compare: of btree */
    Constant constant;         /* compare */
    Constant *constants;       /* not_in */
    int constant_count;        /* not_in */
    TypeList types;            /* has_type */
    FilterNode **children;     /* all_of, any_of */
    int child_count;
    const struct ServerValue *value; /* expression */
};

FilterNode *make_node(NodeKind kind);
/* "path comparison constant" */
FilterNode *compare_node(const char *path, StrategyNumber comparison, const Constant &constant);
/* "the field at path is neither the constant nor null, nor missing" */
FilterNode *differs_node(const char *path, const Constant &constant);
/* "the field at path is not null, nor missing" */
FilterNode *not_null_node(const char *path);
/* "the field at path has one of these types"; the list must live on */
FilterNode *type_node(const char *path, const TypeList &types);
/* all_of or any_of the children; children of the same kind are merged in, and what is said twice is kept once. May be
 * everything or nothing. */
FilterNode *combine(NodeKind kind, FilterNode *const *children, int count);
/* "the value is true", of the aggregation language */
FilterNode *expression_node(const struct ServerValue *value);
/* any_of, all_of two; of either() one may be NULL, or both. */
FilterNode *either(FilterNode *left, FilterNode *right);
FilterNode *both(FilterNode *left, FilterNode *right);

} // namespace mongoferry::query

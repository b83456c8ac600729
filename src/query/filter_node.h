/*
 * The tree between SQL conditions and a query predicate: what filter.cpp makes and filter_render.cpp writes as BSON.
 *
 * POD, palloc'd in the planner's memory context.
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "access/stratnum.h"
}

namespace mongoferry::query {

enum class NodeKind : uint8_t { all_of, any_of, compare, has_type };

enum class ConstantKind : uint8_t { integer, float64, decimal128, boolean, object_id, date, text };

struct Constant {
    ConstantKind kind;
    union {
        int64 integer; /* also milliseconds of a date */
        double float64;
        uint8_t bytes[16]; /* Decimal128 or ObjectId */
        bool boolean;
        struct {
            const char *data;
            size_t size;
        } text;
    };
};

/* The BSON types that a has_type node names, in MongoDB's words. */
struct TypeList {
    const char *const *names;
    int count;
};

struct FilterNode {
    NodeKind kind;
    const char *path;          /* compare, has_type */
    StrategyNumber comparison; /* compare: of btree */
    Constant constant;         /* compare */
    TypeList types;            /* has_type */
    FilterNode **children;     /* all_of, any_of */
    int child_count;
};

FilterNode *make_node(NodeKind kind);
/* "path comparison constant" */
FilterNode *compare_node(const char *path, StrategyNumber comparison, const Constant &constant);
/* "the field at path has one of these types"; the list must live on */
FilterNode *type_node(const char *path, const TypeList &types);
/* all_of or any_of the children (at least one); children of the same kind are merged in, type checks kept once. */
FilterNode *combine(NodeKind kind, FilterNode *const *children, int count);
FilterNode *either(FilterNode *left, FilterNode *right);

} // namespace mongoferry::query

/*
 * What a field plan is made of: for field_plan_build.cpp, which makes it, and field_plan.cpp, which reads documents by
 * it.
 *
 * POD world (pg/guard.h).
 */
#pragma once

#include "bson/converter.h"
#include "bson/field_plan.h"

extern "C" {
#include "nodes/pg_list.h"
}

namespace mongoferry::bson {

/* A place in the tree of paths. */
struct PathNode {
    std::string_view key; /* UTF-8 */
    int64_t position;     /* the key as a position in an array, -1 if it is none */
    List *children;       /* of PathNode, while the tree is built */
    List *column_list;    /* of int, indexes into columns */

    PathNode **nodes; /* the children, in the order of keys */
    int node_count;
    bool has_positions; /* some child's key is one */
    KeySet *keys;
    int *columns; /* those that this place's value goes into */
    int column_count;
    bool is_unwound;
    uint64_t seen_in; /* the walk that found it last */
};

/* The columns of a stage of the row filter. */
struct Stage {
    int *columns;
    int column_count;
};

struct FieldPlan {
    Conversion conversion{};
    Column *columns = nullptr;
    int column_count = 0;
    int slot_count = 0;
    PathNode *document_tree = nullptr;
    PathNode *element_tree = nullptr; /* NULL without unwind */
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

    RowFilter filter{};      /* stage_count 0: none */
    Stage *stages = nullptr; /* one more than the filter has: what is read in the end */
    int document_stages = 0; /* unwind: so many look at nothing of the element, and are asked once a document */
    bool is_document_judged = false;
    int64_t rows_removed = 0;
    /* The row that is being read. */
    int stage = 0;   /* the stage that is due */
    int pending = 0; /* how many of its columns are not found yet */
    bool is_removed = false;
};

} // namespace mongoferry::bson

/*
 * A column compared with a constant, as a query predicate: the rules by column type.
 *
 * POD world.
 */
#pragma once

#include "pg/backend.h"

#include "query/column_rule.h"
#include "query/filter_node.h"
#include "query/text_pattern.h"
#include "query/translation.h"

namespace mongoferry::query {

enum class Comparison : uint8_t { equal, not_equal, less, less_equal, greater, greater_equal };

/* NOT (a op b) for values that are not NULL; and the other way round, b op a. */
Comparison negated(Comparison comparison);
Comparison commuted(Comparison comparison);

/* What an operator compares in the default order of its left operand's type; false if it is no comparison of it. */
bool find_comparison(Oid operator_id, Oid left_type, Comparison *comparison);

/* A predicate and whether it is exact (translation.h); node NULL: not sent. */
struct Predicate {
    FilterNode *node;
    bool exact;
};

/* "column comparison constant" is true. The column is seen as compared_type, to which an exact cast may have widened
 * it. The constant is not NULL. expression is what a reason is about. */
Predicate compare_with_constant(Translation *translation, Node *expression, const UsedColumn &used, Oid compared_type,
                                Comparison comparison, const Const *constant, int placeholder, Oid collation);
/* The same of to_uuid(column), of an objectid column, and a UUID. */
Predicate compare_object_id_with_uuid(Translation *translation, Node *expression, const UsedColumn &used,
                                      Comparison comparison, const Const *constant, int placeholder);

/* A text column matches a pattern, or does not. The pattern is not NULL. */
Predicate match_pattern(Translation *translation, Node *expression, const UsedColumn &used, PatternKind kind,
                        bool matches, const Const *pattern, int placeholder, Oid collation);

/* The column is NULL; is not. */
Predicate is_null_predicate(Translation *translation, Node *expression, const UsedColumn &used);
Predicate is_not_null_predicate(Translation *translation, Node *expression, const UsedColumn &used);

} // namespace mongoferry::query

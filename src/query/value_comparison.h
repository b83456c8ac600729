/*
 * Comparisons of two values in the aggregation language as SQL decides them. POD world.
 *
 * MongoDB orders values of all types in one line (null before numbers, NaN before all other numbers), so null has to
 * be looked for, and NaN, which is the largest number in SQL and equal to itself in both.
 */
#pragma once

#include "query/comparison.h"
#include "query/rule.h"

namespace mongoferry::query {

struct ComparedTypes {
    Comparison comparison;
    bool has_nan;
};

/* What a comparison operator does. False, with a reason in *why, if it is none or the two languages differ. */
bool read_comparison(Oid operator_id, Oid collation, ComparedTypes *types, const char **why);

/* Whether equal native values of a base type are the equal ones on the server whatever the collation, the database's
 * encoding, and the way they are stored: numbers, booleans, times, ObjectIds. */
bool is_equal_by_value(Oid type);

/* Whether values of a type are ordered alike; false with a reason. */
bool is_ordered_alike(Oid type, Oid collation, const char **why);

/* True where the comparison is; false where it is not or an operand is null. */
ServerValue *compare_values(ComparedTypes types, ServerValue *left, ServerValue *right);

bool is_nan_constant(const ServerValue *value);

} // namespace mongoferry::query

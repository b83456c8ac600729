/* What the rules of numbers lend each other. POD world. */
#pragma once

#include "query/rule.h"

namespace mongoferry::query {

/* Adds the trouble that a result lies outside of the range of an integer type. */
void add_range_trouble(Translation *translation, ServerValue *result, Oid type);
ServerValue *smallest_integer(Oid type);
ServerValue *largest_integer(Oid type);

/* A double made whole by $round, $trunc, $ceil or $floor. */
ServerValue *rounded_float64(const char *name, ServerValue *value);

/* A numeric argument as a Decimal128; NULL if it can't be sent. */
ServerValue *decimal_argument(const Call &call, int number);
/* Rounded half away from zero. */
ServerValue *rounded_decimal(const Call &call, ServerValue *value, int scale);

} // namespace mongoferry::query

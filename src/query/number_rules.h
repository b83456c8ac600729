/* What the rules of numbers lend each other. POD world. */
#pragma once

#include "query/rule.h"

namespace mongoferry::query {

/* A result of the call's integer type, or null where it is out of range, which is trouble. */
ServerValue *integer_result(const Call &call, ServerValue *result);

/* A double made whole by $round, $trunc, $ceil or $floor. */
ServerValue *rounded_float64(const char *name, ServerValue *value);

/* A numeric argument as a Decimal128; NULL if it can't be sent. */
ServerValue *decimal_argument(const Call &call, int number);
/* Rounded half away from zero. */
ServerValue *rounded_decimal(const Call &call, ServerValue *value, int scale);

} // namespace mongoferry::query

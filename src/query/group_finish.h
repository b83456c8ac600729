/*
 * Aggregates that are finished here: the server gives counts, sums and sums of squares, all exact, and what PostgreSQL
 * makes of these is made with PostgreSQL's own functions, so that the digits are the same. POD world.
 */
#pragma once

#include "pg/backend.h"

namespace mongoferry::query {

enum class FinishKind : uint8_t {
    none,            /* the first part is the value */
    count,           /* likewise; 0 for nothing */
    average_numeric, /* sum (numeric), count (bigint) */
    average_float64, /* sum (double precision), count (bigint) */
    var_pop,         /* count (bigint), sum (numeric), sum of squares (numeric) */
    var_samp,        /* likewise, as the following two */
    stddev_pop,      /* */
    stddev_samp,     /* */
    int8_pair,       /* count (bigint), sum (bigint): the transition value of avg(integer), a bigint array */
};

/* How a column of the result is made of the values that the server gives (Command.outputs, by position). */
struct Finish {
    FinishKind kind;
    int parts[3];
};

/* The column's value; values and nulls are those of the outputs, which are all NULL if there was no document. */
Datum finish_value(const Finish &finish, const Datum *values, const bool *nulls, bool *is_null);

} // namespace mongoferry::query

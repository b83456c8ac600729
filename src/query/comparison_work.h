/*
 * What the rules of comparison.cpp share, a file for each kind of types: compare_number.cpp, compare_time.cpp,
 * compare_text.cpp. POD world.
 */
#pragma once

#include "query/comparison.h"

namespace mongoferry::query {

/* One comparison under translation. */
struct Work {
    const UsedColumn *used;
    Comparison comparison;
    int placeholder;
    bool exact; /* so far */

    const char *path() const { return used->path; }
};

/* Where a constant lies among the values of a column that are all integers (also days, milliseconds). */
struct Place {
    enum class Kind : uint8_t { at, between, below_all, above_all } kind;
    int64 floor; /* the integer that it is, or the next lower one */
};

/* The same comparison with an integer that is as good; false if the answer is the same for all: then *comparison is
 * equal for "none", not_equal for "all". */
bool settle_place(const Place &place, Comparison *comparison);

bool is_greater(Comparison comparison);
bool is_less(Comparison comparison);

FilterNode *nothing();
/* The field has that BSON type, and the node holds. */
FilterNode *typed(const Work &work, const char *const *type, FilterNode *node);
FilterNode *equals(const Work &work, Constant constant);
/* Whether "<>" has to be said by < and >, because $nin is about all elements of an array. */
bool differs_by_order(const Work &work);
/* "the field comparison constant", as MongoDB compares. */
FilterNode *compare(const Work &work, Comparison comparison, Constant constant);
/* There is a value. Of elements this can't be said; then any document may be meant. */
FilterNode *some_value(Work *work);
/* SQL puts NaN above every number, also above infinity. */
FilterNode *with_nan(const Work &work, FilterNode *node);
FilterNode *compare_with_nan(Work *work);

/* The rules; NULL where there is none for the constant. */
FilterNode *compare_integer(Work *work, const Const *constant);
FilterNode *compare_float64(Work *work, double value);
FilterNode *compare_float32(Work *work, double value);
FilterNode *compare_numeric(Work *work, Datum value);
FilterNode *compare_timestamp(Work *work, const Const *constant);
FilterNode *compare_date(Work *work, const Const *constant);
FilterNode *compare_text(Work *work, Datum value);
FilterNode *match_text(const Work &work, const TextPattern &pattern);

} // namespace mongoferry::query

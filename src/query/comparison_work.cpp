/* See comparison_work.h. */
#include "query/comparison_work.h"

#include <cmath>

namespace mongoferry::query {

bool is_greater(Comparison comparison) {
    return comparison == Comparison::greater || comparison == Comparison::greater_equal;
}

bool is_less(Comparison comparison) {
    return comparison == Comparison::less || comparison == Comparison::less_equal;
}

FilterNode *nothing() {
    return make_node(NodeKind::nothing);
}

FilterNode *typed(const Work &work, const char *const *type, FilterNode *node) {
    return both(type_node(work.path(), {type, 1}), node);
}

FilterNode *equals(const Work &work, Constant constant) {
    constant.placeholder = work.placeholder;
    return compare_node(work.path(), BTEqualStrategyNumber, constant);
}

/* $nin and $ne are about all elements of an array; where some element is meant, "<>" is less or greater, which other
 * types of BSON and NaN are neither. */
bool differs_by_order(const Work &work) {
    return work.used->of_elements || work.used->has_position;
}

/* "the field comparison constant", as MongoDB compares. */
FilterNode *compare(const Work &work, Comparison comparison, Constant constant) {
    constant.placeholder = work.placeholder;
    switch (comparison) {
    case Comparison::equal:
        return compare_node(work.path(), BTEqualStrategyNumber, constant);
    case Comparison::less:
        return compare_node(work.path(), BTLessStrategyNumber, constant);
    case Comparison::less_equal:
        return compare_node(work.path(), BTLessEqualStrategyNumber, constant);
    case Comparison::greater:
        return compare_node(work.path(), BTGreaterStrategyNumber, constant);
    case Comparison::greater_equal:
        return compare_node(work.path(), BTGreaterEqualStrategyNumber, constant);
    default:
        break;
    }
    if (differs_by_order(work))
        return either(compare(work, Comparison::less, constant), compare(work, Comparison::greater, constant));
    return differs_node(work.path(), constant);
}

/* There is a value. Of elements this can't be said; then any document may be meant. */
FilterNode *some_value(Work *work) {
    if (!work->used->of_elements && !work->used->has_position)
        return not_null_node(work->path());
    return make_node(NodeKind::everything);
}

/* SQL puts NaN above every number, also above infinity. */
FilterNode *with_nan(const Work &work, FilterNode *node) {
    const bool is_wanted =
        is_greater(work.comparison) || (work.comparison == Comparison::not_equal && differs_by_order(work));
    if (!is_wanted)
        return node;
    return either(node, compare_node(work.path(), BTEqualStrategyNumber, float64_constant(std::nan(""))));
}

FilterNode *compare_with_nan(Work *work) {
    switch (work->comparison) {
    case Comparison::equal:
    case Comparison::greater_equal:
        return equals(*work, float64_constant(std::nan("")));
    case Comparison::greater:
        return nothing();
    case Comparison::less_equal:
        return some_value(work);
    default:
        if (work->used->of_elements || work->used->has_position)
            return some_value(work);
        return compare(*work, Comparison::not_equal, float64_constant(std::nan("")));
    }
}

/* The same comparison with an integer that is as good; false if the answer is the same for all: then *comparison is
 * equal for "none", not_equal for "all". */
bool settle_place(const Place &place, Comparison *comparison) {
    switch (place.kind) {
    case Place::Kind::at:
        return true;
    case Place::Kind::between:
        if (*comparison == Comparison::equal || *comparison == Comparison::not_equal)
            return false;
        *comparison = is_less(*comparison) ? Comparison::less_equal : Comparison::greater;
        return true;
    default: {
        const bool all = *comparison == Comparison::not_equal ||
                         (place.kind == Place::Kind::above_all ? is_less(*comparison) : is_greater(*comparison));
        *comparison = all ? Comparison::not_equal : Comparison::equal;
        return false;
    }
    }
}

} // namespace mongoferry::query

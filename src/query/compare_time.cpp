/* Times and days compared with a constant. See comparison.cpp for what is known of MongoDB. */
#include "query/comparison_work.h"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
}

namespace mongoferry::query {

static constexpr int64 epoch_days = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;
static constexpr int64 milliseconds_per_day = 86400000;

static int64 floor_divide(int64 value, int64 divisor, bool *is_whole) {
    int64 quotient = value / divisor;
    const int64 rest = value % divisor;
    *is_whole = rest == 0;
    return rest < 0 ? quotient - 1 : quotient;
}

/* Microseconds since 2000 among the dates of BSON, which have milliseconds. */
static Place place_of_timestamp(Timestamp microseconds) {
    if (TIMESTAMP_IS_NOBEGIN(microseconds))
        return {Place::Kind::below_all, 0};
    if (TIMESTAMP_IS_NOEND(microseconds))
        return {Place::Kind::above_all, 0};
    bool is_whole;
    const int64 milliseconds = floor_divide(microseconds, 1000, &is_whole) + epoch_days * milliseconds_per_day;
    return {is_whole ? Place::Kind::at : Place::Kind::between, milliseconds};
}

/* The constant in the column's type, as PostgreSQL's operators between the types convert it; timestamptz in the time
 * zone of the session. What overflows lies beyond all values. */
static bool timestamp_of_constant(const Const *constant, bool with_zone, Timestamp *timestamp) {
    const Oid type = getBaseType(constant->consttype);
    int overflow = 0;
    if (type == (with_zone ? TIMESTAMPTZOID : TIMESTAMPOID))
        *timestamp = DatumGetTimestamp(constant->constvalue);
    else if (type == DATEOID)
        *timestamp = with_zone ? date2timestamptz_opt_overflow(DatumGetDateADT(constant->constvalue), &overflow)
                               : date2timestamp_opt_overflow(DatumGetDateADT(constant->constvalue), &overflow);
    else if (type == TIMESTAMPOID && with_zone)
        *timestamp = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(constant->constvalue), &overflow);
    else
        return false;
    if (overflow != 0)
        *timestamp = overflow > 0 ? DT_NOEND : DT_NOBEGIN;
    return true;
}

/* timestamp against timestamptz: which time the column's value means depends on the zone's changes around it, so the
 * constant is moved by more than any of these. */
static FilterNode *compare_timestamp_with_zoned(Work *work, const Const *constant) {
    work->exact = false;
    constexpr int64 slack = INT64CONST(2) * 86400 * 1000;
    const Place place = place_of_timestamp(DatumGetTimestampTz(constant->constvalue));
    Comparison comparison = work->comparison;
    if (!settle_place(place, &comparison) && comparison == Comparison::equal && place.kind != Place::Kind::between)
        return nothing();
    FilterNode *from = compare(*work, Comparison::greater_equal, date_constant(place.floor - slack));
    FilterNode *to = compare(*work, Comparison::less_equal, date_constant(place.floor + slack));
    if (place.kind != Place::Kind::at && place.kind != Place::Kind::between)
        return some_value(work);
    switch (work->comparison) {
    case Comparison::equal:
        return both(from, to);
    case Comparison::not_equal:
        return some_value(work);
    default:
        return is_less(work->comparison) ? to : from;
    }
}

FilterNode *compare_timestamp(Work *work, const Const *constant) {
    const bool with_zone = work->used->rule.base_type == TIMESTAMPTZOID;
    if (!with_zone && getBaseType(constant->consttype) == TIMESTAMPTZOID)
        return compare_timestamp_with_zoned(work, constant);
    Timestamp timestamp;
    if (!timestamp_of_constant(constant, with_zone, &timestamp))
        return nullptr;
    const Place place = place_of_timestamp(timestamp);
    Comparison comparison = work->comparison;
    if (!settle_place(place, &comparison))
        return comparison == Comparison::equal ? nothing() : some_value(work);
    return compare(*work, comparison, date_constant(place.floor));
}

/* A constant among the days since 1970. */
static bool place_of_day(const Const *constant, Place *place) {
    const Oid type = getBaseType(constant->consttype);
    if (type == DATEOID) {
        const DateADT day = DatumGetDateADT(constant->constvalue);
        *place = {DATE_IS_NOBEGIN(day) ? Place::Kind::below_all
                  : DATE_IS_NOEND(day) ? Place::Kind::above_all
                                       : Place::Kind::at,
                  day + epoch_days};
        return true;
    }
    if (type != TIMESTAMPOID && type != TIMESTAMPTZOID)
        return false;
    const Timestamp timestamp = DatumGetTimestamp(constant->constvalue);
    if (TIMESTAMP_NOT_FINITE(timestamp)) {
        *place = {TIMESTAMP_IS_NOBEGIN(timestamp) ? Place::Kind::below_all : Place::Kind::above_all, 0};
        return true;
    }
    if (type == TIMESTAMPOID) {
        bool is_whole;
        const int64 day = floor_divide(timestamp, USECS_PER_DAY, &is_whole) + epoch_days;
        *place = {is_whole ? Place::Kind::at : Place::Kind::between, day};
        return true;
    }
    /* The day begins at midnight in the session's time zone, or, where that is left out, a little later. */
    const DateADT day = DatumGetDateADT(DirectFunctionCall1(timestamptz_date, constant->constvalue));
    int overflow = 0;
    const TimestampTz midnight = date2timestamptz_opt_overflow(day, &overflow);
    if (overflow != 0)
        return false;
    *place = {midnight == timestamp ? Place::Kind::at : Place::Kind::between,
              day + epoch_days - (midnight > timestamp ? 1 : 0)};
    return true;
}

/* A day is a half-open range of milliseconds. */
FilterNode *compare_date(Work *work, const Const *constant) {
    Place place;
    if (!place_of_day(constant, &place))
        return nullptr;
    Comparison comparison = work->comparison;
    if (!settle_place(place, &comparison))
        return comparison == Comparison::equal ? nothing() : some_value(work);
    const Constant begin = date_constant(place.floor * milliseconds_per_day);
    const Constant end = date_constant((place.floor + 1) * milliseconds_per_day);
    switch (comparison) {
    case Comparison::equal:
        return both(compare(*work, Comparison::greater_equal, begin), compare(*work, Comparison::less, end));
    case Comparison::not_equal:
        return either(compare(*work, Comparison::less, begin), compare(*work, Comparison::greater_equal, end));
    case Comparison::less:
        return compare(*work, Comparison::less, begin);
    case Comparison::less_equal:
        return compare(*work, Comparison::less, end);
    case Comparison::greater:
        return compare(*work, Comparison::greater_equal, end);
    default:
        return compare(*work, Comparison::greater_equal, begin);
    }
}

} // namespace mongoferry::query

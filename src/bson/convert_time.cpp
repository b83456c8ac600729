/*
 * BSON → timestamptz, timestamp (in UTC) and date (the UTC day), with PostgreSQL's ranges checked exactly. See
 * converter.h.
 */
#include "bson/converter.h"

extern "C" {
#include "datatype/timestamp.h"
#include "utils/date.h"
#include "utils/timestamp.h"
}

namespace mongoferry::bson {

namespace {

constexpr int64_t epoch_days = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE; /* 1970 … 2000 */
constexpr int64_t milliseconds_per_day = 86400000;
constexpr int64_t epoch_milliseconds = epoch_days * milliseconds_per_day;

/* timestamp's range is whole milliseconds, so it can be checked before anything could overflow. */
static_assert(MIN_TIMESTAMP % 1000 == 0 && END_TIMESTAMP % 1000 == 0);
constexpr int64_t timestamp_first = MIN_TIMESTAMP / 1000 + epoch_milliseconds;
constexpr int64_t timestamp_beyond = END_TIMESTAMP / 1000 + epoch_milliseconds;

Outcome refuse_time(Conversion &conversion) {
    return refuse(conversion, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "is out of range");
}

int64_t creation_milliseconds(const Value &object_id) {
    uint32_t seconds;
    memcpy(&seconds, object_id.bytes, sizeof seconds);
    return static_cast<int64_t>(__builtin_bswap32(seconds)) * 1000;
}

int64_t internal_milliseconds(const Value &timestamp) {
    /* the increment comes first */
    return static_cast<int64_t>(static_cast<uint32_t>(load_int32(timestamp.bytes + 4))) * 1000;
}

/* For timestamp in UTC and timestamptz alike: both count microseconds from 2000. */
Outcome timestamp_from_milliseconds(Conversion &conversion, int64_t milliseconds, Datum *result) {
    if (milliseconds < timestamp_first || milliseconds >= timestamp_beyond) [[unlikely]]
        return refuse_time(conversion);
    *result = TimestampTzGetDatum((milliseconds - epoch_milliseconds) * 1000);
    return Outcome::value;
}

Outcome date_from_milliseconds(Conversion &conversion, int64_t milliseconds, Datum *result) {
    int64_t day = milliseconds / milliseconds_per_day;
    if (milliseconds % milliseconds_per_day < 0)
        --day;
    day -= epoch_days;
    if (!IS_VALID_DATE(day)) [[unlikely]]
        return refuse_time(conversion);
    *result = DateADTGetDatum(static_cast<DateADT>(day));
    return Outcome::value;
}

Outcome timestamp_from_date(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    return timestamp_from_milliseconds(conversion, load_int64(value.bytes), result);
}

Outcome timestamp_from_object_id(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    return timestamp_from_milliseconds(conversion, creation_milliseconds(value), result);
}

Outcome timestamp_from_internal(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    return timestamp_from_milliseconds(conversion, internal_milliseconds(value), result);
}

Outcome date_from_date(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    return date_from_milliseconds(conversion, load_int64(value.bytes), result);
}

Outcome date_from_object_id(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    return date_from_milliseconds(conversion, creation_milliseconds(value), result);
}

Outcome date_from_internal(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    return date_from_milliseconds(conversion, internal_milliseconds(value), result);
}

} // namespace

void choose_time_converters(Converter *converter) {
    const bool is_date = converter->base_type == DATEOID;
    converter->by_type[type_index(Type::date)] = is_date ? date_from_date : timestamp_from_date;
    converter->by_type[type_index(Type::object_id)] = is_date ? date_from_object_id : timestamp_from_object_id;
    converter->by_type[type_index(Type::timestamp)] = is_date ? date_from_internal : timestamp_from_internal;
    converter->by_type[type_index(Type::string)] = convert_string_by_input;
}

} // namespace mongoferry::bson

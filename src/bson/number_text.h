/*
 * Numbers and times as text, and back: the forms that text columns, Extended JSON and numeric share.
 *
 * Pure C++, POD world: writes into a caller's buffer, never throws.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mongoferry::bson {

/* Long enough for any of the texts below, NUL included. */
constexpr size_t number_text_size = 64;

/* The shortest decimal text that reads back as the same double, exactly as PostgreSQL's float8 output has it ("0.1",
 * "1e+15", "1e-05", "NaN", "Infinity", "-0"; 1e23 is "9.999999999999999e+22", because 1e23 lies in the middle between
 * two doubles). NUL-terminated, as are the next two. Returns the length. */
size_t write_float64(double value, char *buffer) noexcept;

/* The canonical string of a Decimal128 (IEEE 754-2008 BID, 16 bytes little-endian) as MongoDB's specification has it:
 * "1.50", "1E+3", "-0", "NaN", "Infinity", "-Infinity". Returns the length.
 * Source: https://github.com/mongodb/specifications/blob/master/source/bson-decimal128/decimal128.md */
size_t write_decimal128(const uint8_t bytes[16], char *buffer) noexcept;

/* The parts of a Decimal128: value = (-1)^negative * coefficient * 10^exponent; non-canonical coefficients are 0. */
struct Decimal128Parts {
    enum class Kind : uint8_t { finite, infinity, nan } kind;
    bool negative;
    uint64_t coefficient_high; /* coefficient = high * 2^64 + low < 10^34 */
    uint64_t coefficient_low;
    int exponent; /* -6176 … 6111 */
};
Decimal128Parts decimal128_parts(const uint8_t bytes[16]) noexcept;

/* Parses a decimal number ("-12.50", "1e3", "NaN", "Infinity" …). False if the text is no number or does not fit
 * exactly into 34 digits and the exponent's range (a clamped exponent that keeps the value is fine). */
bool parse_decimal128(std::string_view text, uint8_t bytes[16]) noexcept;

/* ISO 8601 in UTC with milliseconds and Z: "2024-02-29T12:00:00.000Z". Any int64 is accepted: years beyond 9999 or
 * before 0 are written with sign and six or more digits, as ECMAScript's expanded years
 * ("+275760-09-13T00:00:00.000Z"). Returns the length. */
size_t write_iso_date(int64_t milliseconds_since_1970, char *buffer) noexcept;
/* RFC 3339 / ISO 8601 with Z or an offset ("+02:00", "+0200", "+02"), a fraction of up to 9 digits cut to
 * milliseconds, and what write_iso_date() writes. False if the text is no such time or beyond int64. */
bool parse_iso_date(std::string_view text, int64_t *milliseconds_since_1970) noexcept;

/* 24 lower-case hex digits, and back (either case). */
void write_object_id(const uint8_t bytes[12], char buffer[24]) noexcept;
bool parse_object_id(std::string_view text, uint8_t bytes[12]) noexcept;

/* 36 characters of a UUID, lower case, and back. */
void write_uuid(const uint8_t bytes[16], char buffer[36]) noexcept;
bool parse_uuid(std::string_view text, uint8_t bytes[16]) noexcept;

} // namespace mongoferry::bson

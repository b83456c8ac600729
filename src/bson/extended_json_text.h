/*
 * The texts inside Extended JSON's wrappers, for whoever writes it, as JSON text or as jsonb.
 *
 * Pure C++, POD world: no allocation, no exception.
 * Source: https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md
 */
#pragma once

#include "bson/number_text.h"

namespace mongoferry::bson {

/* A double with the point or exponent that tells it from an integer: "1.0", "1e+15", "-0.0", and "NaN", "Infinity",
 * "-Infinity", which only $numberDouble can hold. NUL-terminated. Returns the length, below number_text_size. */
size_t write_json_float64(double value, char *buffer) noexcept;

/* The ISO 8601 text that relaxed format has for dates of the years 1970 to 9999, where milliseconds are left out when
 * they are zero. NUL-terminated. Returns the length, 0 for a date outside of those years: it is written as a
 * $numberLong. */
size_t write_relaxed_date(int64_t milliseconds_since_1970, char *buffer) noexcept;

/* Two hex digits of a binary's subtype. */
void write_subtype(uint8_t subtype, char buffer[2]) noexcept;

/* A regular expression's options in alphabetical order: options.size() characters, no NUL. Options with bytes that are
 * no ASCII stay as they are. */
void write_regex_options(std::string_view options, char *buffer) noexcept;

} // namespace mongoferry::bson

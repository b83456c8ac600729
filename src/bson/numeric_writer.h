/*
 * Numbers → PostgreSQL's numeric, written directly in its storage form: no text, no input function.
 *
 * Pure C++, POD world: writes into a caller's buffer, never throws. The storage form (base 10000, in a short or a long
 * header) is what pg_upgrade carries from version to version; src/backend/utils/adt/numeric.c describes it. Its
 * declarations are private to that file, so they are repeated in numeric_writer.cpp.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace mongoferry::bson {

/* Room for every numeric below, varlena header included. */
constexpr size_t numeric_buffer_size = 32;

/* Each writes a whole varlena with a four-byte header to buffer, which is aligned to four bytes, and returns its size.
 */
size_t write_numeric_int64(int64_t value, char *buffer) noexcept;

/* The shortest numeric that reads back as the same double: 0.1 becomes 0.1. value is finite; -0.0 becomes 0. */
size_t write_numeric_float64(double value, char *buffer) noexcept;

/* (-1)^negative * digits * 10^exponent, with max(0, -exponent) digits after the decimal point, as if that number had
 * been read from text. digits are at most 40 decimal digits in ASCII, leading zeros allowed; exponent is within ±16000.
 */
size_t write_numeric_decimal(bool negative, const char *digits, size_t count, int exponent, char *buffer) noexcept;

} // namespace mongoferry::bson

/*
 * BSON → boolean, integers, floating point and numeric: exact, or refused. See converter.h.
 *
 * Into real a value is rounded, because that is what a column of that type asks for; it may not become infinite or
 * zero by it, as in PostgreSQL's own cast.
 */
#include <charconv>
#include <cmath>
#include <limits>

#include "bson/converter.h"
#include "bson/guarded_call.h"
#include "bson/number_text.h"
#include "bson/numeric_writer.h"

extern "C" {
#include "utils/numeric.h"
}

namespace mongoferry::bson {

namespace {

constexpr char out_of_range[] = "is out of range";
constexpr char not_whole[] = "is not a whole number";
constexpr char not_exact[] = "cannot be represented exactly";

Outcome refuse_range(Conversion &conversion) {
    return refuse(conversion, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, out_of_range);
}

/* A number that is in range but would change. */
Outcome refuse_inexact(Conversion &conversion, const char *reason) {
    return refuse(conversion, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, reason);
}

/* --- boolean --------------------------------------------------------------------------------------------------- */

Outcome boolean_from_boolean(const Converter &, Conversion &, const Value &value, Datum *result) {
    *result = BoolGetDatum(value.bytes[0] != 0);
    return Outcome::value;
}

/* --- integers -------------------------------------------------------------------------------------------------- */

template <typename Integer>
Datum integer_datum(Integer value) {
    if constexpr (sizeof(Integer) == 2)
        return Int16GetDatum(value); // NOLINT(bugprone-branch-clone): the branches are macros of different widths
    else if constexpr (sizeof(Integer) == 4)
        return Int32GetDatum(value);
    else
        return Int64GetDatum(value);
}

template <typename Integer>
Outcome integer_result(Conversion &conversion, int64_t value, Datum *result) {
    if constexpr (sizeof(Integer) < 8)
        if (value < std::numeric_limits<Integer>::min() || value > std::numeric_limits<Integer>::max()) [[unlikely]]
            return refuse_range(conversion);
    *result = integer_datum(static_cast<Integer>(value));
    return Outcome::value;
}

template <typename Integer>
Outcome integer_from_int32(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    return integer_result<Integer>(conversion, load_int32(value.bytes), result);
}

template <typename Integer>
Outcome integer_from_int64(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    return integer_result<Integer>(conversion, load_int64(value.bytes), result);
}

/* The bounds of int64 as doubles: the lower one is in it, the upper one is the first that is not. */
constexpr double int64_lower = -9223372036854775808.0;
constexpr double int64_beyond = 9223372036854775808.0;

template <typename Integer>
Outcome integer_from_float64(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    const double number = load_float64(value.bytes);
    if (!(number >= int64_lower && number < int64_beyond)) /* NaN too */
        return refuse_range(conversion);
    const int64_t whole = static_cast<int64_t>(number);
    if (static_cast<double>(whole) != number)
        return refuse_inexact(conversion, not_whole);
    return integer_result<Integer>(conversion, whole, result);
}

using Coefficient = unsigned __int128;

Coefficient coefficient_of(const Decimal128Parts &parts) {
    return static_cast<Coefficient>(parts.coefficient_high) << 64 | parts.coefficient_low;
}

template <typename Integer>
Outcome integer_from_decimal128(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    const Decimal128Parts parts = decimal128_parts(value.bytes);
    if (parts.kind != Decimal128Parts::Kind::finite)
        return refuse_range(conversion);
    Coefficient magnitude = coefficient_of(parts);
    int exponent = magnitude == 0 ? 0 : parts.exponent;
    for (; exponent < 0; ++exponent) {
        if (magnitude % 10 != 0)
            return refuse_inexact(conversion, not_whole);
        magnitude /= 10;
    }
    constexpr Coefficient largest = static_cast<Coefficient>(1) << 63; /* of a negative number */
    for (; exponent > 0 && magnitude <= largest; --exponent)
        magnitude *= 10;
    if (magnitude > largest || (magnitude == largest && !parts.negative))
        return refuse_range(conversion);
    const uint64_t bits = static_cast<uint64_t>(magnitude);
    return integer_result<Integer>(conversion, static_cast<int64_t>(parts.negative ? 0 - bits : bits), result);
}

/* --- floating point -------------------------------------------------------------------------------------------- */

Outcome float64_from_int32(const Converter &, Conversion &, const Value &value, Datum *result) {
    *result = Float8GetDatum(load_int32(value.bytes));
    return Outcome::value;
}

Outcome float64_from_int64(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    const int64_t number = load_int64(value.bytes);
    const double converted = static_cast<double>(number);
    /* The largest integers round up to 2^63, which is none. */
    if (converted >= int64_beyond || static_cast<int64_t>(converted) != number)
        return refuse_inexact(conversion, not_exact);
    *result = Float8GetDatum(converted);
    return Outcome::value;
}

Outcome float64_from_float64(const Converter &, Conversion &, const Value &value, Datum *result) {
    *result = Float8GetDatum(load_float64(value.bytes));
    return Outcome::value;
}

/* The digits and the exponent of a decimal number, without zeros at either end: equal for equal numbers. */
struct Digits {
    char text[number_text_size];
    size_t size;
    int exponent;
};

Digits digits_of(std::string_view number) {
    Digits digits{};
    bool after_point = false;
    size_t at = 0;
    for (; at < number.size() && number[at] != 'e' && number[at] != 'E'; ++at) {
        const char character = number[at];
        if (character == '.')
            after_point = true;
        else if (character >= '0' && character <= '9') {
            if (after_point)
                --digits.exponent;
            if (digits.size > 0 || character != '0')
                digits.text[digits.size++] = character;
        }
    }
    if (at < number.size()) {
        const char *exponent = number.data() + at + 1;
        if (*exponent == '+')
            ++exponent;
        int power = 0;
        std::from_chars(exponent, number.data() + number.size(), power);
        digits.exponent += power;
    }
    while (digits.size > 0 && digits.text[digits.size - 1] == '0') {
        --digits.size;
        ++digits.exponent;
    }
    if (digits.size == 0)
        digits.exponent = 0;
    return digits;
}

/* The double nearest to a Decimal128; false if it is finite and the double is not, or is zero and the number is not. */
bool nearest_float64(const uint8_t *bytes, double *number, char *text, size_t *size) {
    const Decimal128Parts parts = decimal128_parts(bytes);
    *size = 0;
    switch (parts.kind) {
    case Decimal128Parts::Kind::nan:
        *number = std::numeric_limits<double>::quiet_NaN();
        return true;
    case Decimal128Parts::Kind::infinity:
        *number = parts.negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
        return true;
    case Decimal128Parts::Kind::finite:
        break;
    }
    if (coefficient_of(parts) == 0) {
        *number = parts.negative ? -0.0 : 0.0;
        return true;
    }
    *size = write_decimal128(bytes, text);
    const auto [end, error] = std::from_chars(text, text + *size, *number);
    return error == std::errc() && end == text + *size && *number != 0 && std::isfinite(*number);
}

Outcome float64_from_decimal128(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    double number;
    char text[number_text_size];
    size_t size;
    if (!nearest_float64(value.bytes, &number, text, &size))
        return refuse_range(conversion);
    if (size > 0) {
        /* Exact in the sense in which doubles become numerics: the shortest digits that mean this double. */
        char shortest[number_text_size];
        const std::to_chars_result end = std::to_chars(shortest, shortest + sizeof shortest, number);
        const Digits there = digits_of({shortest, static_cast<size_t>(end.ptr - shortest)});
        const Digits here = digits_of({text, size});
        if (there.exponent != here.exponent || there.size != here.size || memcmp(there.text, here.text, here.size) != 0)
            return refuse_inexact(conversion, not_exact);
    }
    *result = Float8GetDatum(number);
    return Outcome::value;
}

Outcome float32_result(Conversion &conversion, double number, Datum *result) {
    const float rounded = static_cast<float>(number);
    if (std::isinf(rounded) && !std::isinf(number))
        return refuse_range(conversion);
    if (rounded == 0 && number != 0)
        return refuse_range(conversion);
    *result = Float4GetDatum(rounded);
    return Outcome::value;
}

Outcome float32_from_int32(const Converter &, Conversion &, const Value &value, Datum *result) {
    *result = Float4GetDatum(static_cast<float>(load_int32(value.bytes)));
    return Outcome::value;
}

Outcome float32_from_int64(const Converter &, Conversion &, const Value &value, Datum *result) {
    *result = Float4GetDatum(static_cast<float>(load_int64(value.bytes)));
    return Outcome::value;
}

Outcome float32_from_float64(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    return float32_result(conversion, load_float64(value.bytes), result);
}

Outcome float32_from_decimal128(const Converter &, Conversion &conversion, const Value &value, Datum *result) {
    double number;
    char text[number_text_size];
    size_t size;
    if (!nearest_float64(value.bytes, &number, text, &size))
        return refuse_range(conversion);
    if (size == 0)
        return float32_result(conversion, number, result);
    /* From the digits, not from the double: rounding twice may miss the nearest. */
    float rounded;
    const auto [end, error] = std::from_chars(text, text + size, rounded);
    if (error != std::errc() || end != text + size || rounded == 0 || std::isinf(rounded))
        return refuse_range(conversion);
    *result = Float4GetDatum(rounded);
    return Outcome::value;
}

/* --- numeric --------------------------------------------------------------------------------------------------- */

Datum make_numeric(const char *written, size_t size) {
    void *numeric = palloc(size);
    memcpy(numeric, written, size);
    return PointerGetDatum(numeric);
}

Datum special_numeric(const char *text) {
    return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

Outcome numeric_from_int32(const Converter &, Conversion &, const Value &value, Datum *result) {
    alignas(4) char written[numeric_buffer_size];
    *result = make_numeric(written, write_numeric_int64(load_int32(value.bytes), written));
    return Outcome::value;
}

Outcome numeric_from_int64(const Converter &, Conversion &, const Value &value, Datum *result) {
    alignas(4) char written[numeric_buffer_size];
    *result = make_numeric(written, write_numeric_int64(load_int64(value.bytes), written));
    return Outcome::value;
}

Outcome numeric_from_float64(const Converter &, Conversion &, const Value &value, Datum *result) {
    const double number = load_float64(value.bytes);
    if (!std::isfinite(number)) [[unlikely]] {
        *result = special_numeric(std::isnan(number) ? "NaN" : number < 0 ? "-Infinity" : "Infinity");
        return Outcome::value;
    }
    alignas(4) char written[numeric_buffer_size];
    *result = make_numeric(written, write_numeric_float64(number, written));
    return Outcome::value;
}

Outcome numeric_from_decimal128(const Converter &, Conversion &, const Value &value, Datum *result) {
    const Decimal128Parts parts = decimal128_parts(value.bytes);
    if (parts.kind != Decimal128Parts::Kind::finite) [[unlikely]] {
        *result = special_numeric(parts.kind == Decimal128Parts::Kind::nan ? "NaN"
                                  : parts.negative                         ? "-Infinity"
                                                                           : "Infinity");
        return Outcome::value;
    }
    constexpr int digits_max = 40; /* a coefficient has 34 */
    char digits[digits_max];
    size_t first = digits_max;
    Coefficient rest = coefficient_of(parts);
    while (rest >> 64 != 0) { /* 128-bit division is slow: few steps of many digits */
        constexpr uint64_t step = 1000000000000000000u;
        uint64_t part = static_cast<uint64_t>(rest % step);
        rest /= step;
        for (int digit = 0; digit < 18; ++digit, part /= 10)
            digits[--first] = static_cast<char>('0' + part % 10);
    }
    for (uint64_t part = static_cast<uint64_t>(rest); part != 0; part /= 10)
        digits[--first] = static_cast<char>('0' + part % 10);
    alignas(4) char written[numeric_buffer_size];
    *result = make_numeric(
        written, write_numeric_decimal(parts.negative, digits + first, digits_max - first, parts.exponent, written));
    return Outcome::value;
}

void choose_by_number(Converter *converter, Convert from_int32, Convert from_int64, Convert from_float64,
                      Convert from_decimal128) {
    converter->by_type[type_index(Type::int32)] = from_int32;
    converter->by_type[type_index(Type::int64)] = from_int64;
    converter->by_type[type_index(Type::float64)] = from_float64;
    converter->by_type[type_index(Type::decimal128)] = from_decimal128;
}

template <typename Integer>
void choose_integer_converters(Converter *converter) {
    choose_by_number(converter, integer_from_int32<Integer>, integer_from_int64<Integer>, integer_from_float64<Integer>,
                     integer_from_decimal128<Integer>);
}

} // namespace

void choose_number_converters(Converter *converter) {
    converter->by_type[type_index(Type::string)] = coerced_string(*converter);
    switch (converter->base_type) {
    case BOOLOID:
        converter->by_type[type_index(Type::boolean)] = boolean_from_boolean;
        break;
    case INT2OID:
        choose_integer_converters<int16_t>(converter);
        break;
    case INT4OID:
        choose_integer_converters<int32_t>(converter);
        break;
    case INT8OID:
        choose_integer_converters<int64_t>(converter);
        break;
    case FLOAT4OID:
        choose_by_number(converter, float32_from_int32, float32_from_int64, float32_from_float64,
                         float32_from_decimal128);
        break;
    case FLOAT8OID:
        choose_by_number(converter, float64_from_int32, float64_from_int64, float64_from_float64,
                         float64_from_decimal128);
        break;
    default:
        choose_by_number(converter, numeric_from_int32, numeric_from_int64, numeric_from_float64,
                         numeric_from_decimal128);
    }
}

} // namespace mongoferry::bson

/*
 * Doubles, ObjectIds and UUIDs as text, and the latter two back. (decimal128_text.cpp and date_text.cpp have the rest
 * of number_text.h.)
 */
#include "bson/number_text.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace mongoferry::bson {

namespace {

/* A decimal number: digits[0].digits[1]… * 10^exponent. */
struct Digits {
    char digits[20];
    int count;
    int exponent;
};

/* The digits of a positive finite double: the shortest that read back, or precision ones. */
Digits digits_of(double value, int precision) noexcept {
    char text[40];
    const auto written =
        precision < 0 ? std::to_chars(text, text + sizeof text, value, std::chars_format::scientific)
                      : std::to_chars(text, text + sizeof text, value, std::chars_format::scientific, precision - 1);
    Digits result{};
    const char *position = text;
    for (; *position != 'e'; ++position)
        if (*position != '.')
            result.digits[result.count++] = *position;
    ++position;
    if (*position == '+')
        ++position;
    std::from_chars(position, written.ptr, result.exponent);
    while (result.count > 1 && result.digits[result.count - 1] == '0')
        --result.count;
    return result;
}

/*
 * Whether the decimal number lies exactly in the middle between two doubles next to value (the upper or the lower one).
 * Such a number reads back as value only by the rule of rounding to even, and PostgreSQL does not print it: 1e23 is
 * written as 9.999999999999999e+22. Compares digits * 10^e with odd * 2^k, both made odd, in whole numbers.
 */
bool is_midpoint(const Digits &number, double value) noexcept {
    int binary_exponent;
    const uint64_t mantissa = static_cast<uint64_t>(std::ldexp(std::frexp(value, &binary_exponent), 53));
    if (mantissa % 2 != 0 || binary_exponent < -1021) /* only even ones accept their borders; no subnormal has one */
        return false;
    uint64_t odd = 0;
    std::from_chars(number.digits, number.digits + number.count, odd);
    int power_of_ten = number.exponent - (number.count - 1);
    int power_of_two = power_of_ten;
    while (odd % 2 == 0) {
        odd /= 2;
        ++power_of_two;
    }
    for (; power_of_ten > 0; --power_of_ten)
        if (__builtin_mul_overflow(odd, uint64_t{5}, &odd))
            return false;
    for (; power_of_ten < 0; ++power_of_ten) {
        if (odd % 5 != 0)
            return false;
        odd /= 5;
    }
    /* value = mantissa * 2^(binary_exponent - 53); its neighbours' middles in halves of that unit, or quarters below a
     * power of two */
    const int unit = binary_exponent - 53;
    const auto is = [&](uint64_t middle, int power) {
        const int twos = __builtin_ctzll(middle);
        return middle >> twos == odd && power + twos == power_of_two;
    };
    const bool power = mantissa == uint64_t{1} << 52;
    return is(2 * mantissa + 1, unit - 1) || (power ? is(4 * mantissa - 1, unit - 2) : is(2 * mantissa - 1, unit - 1));
}

bool reads_back(const Digits &number, double value) noexcept {
    char text[40];
    memcpy(text, number.digits, static_cast<size_t>(number.count));
    text[number.count] = 'e';
    const auto written =
        std::to_chars(text + number.count + 1, text + sizeof text, number.exponent - (number.count - 1));
    double back = 0;
    std::from_chars(text, written.ptr, back);
    return back == value;
}

Digits shortest_digits(double value) noexcept {
    Digits number = digits_of(value, -1);
    if (is_midpoint(number, value)) [[unlikely]]
        for (int precision = number.count; precision <= 17; ++precision) {
            number = digits_of(value, precision);
            if (reads_back(number, value) && !is_midpoint(number, value))
                break;
        }
    return number;
}

constexpr char hex_digits[] = "0123456789abcdef";

int hex_value(char character) noexcept {
    if (character >= '0' && character <= '9')
        return character - '0';
    const char lower = static_cast<char>(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

char *write_hex(const uint8_t *bytes, size_t count, char *out) noexcept {
    for (size_t i = 0; i < count; ++i) {
        *out++ = hex_digits[bytes[i] >> 4];
        *out++ = hex_digits[bytes[i] & 15];
    }
    return out;
}

bool parse_hex(const char *text, size_t count, uint8_t *bytes) noexcept {
    for (size_t i = 0; i < count; ++i) {
        const int high = hex_value(text[2 * i]);
        const int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = static_cast<uint8_t>(high << 4 | low);
    }
    return true;
}

/* How many bytes stand between the dashes of a UUID's text. */
constexpr size_t uuid_groups[] = {4, 2, 2, 2, 6};

} // namespace

size_t write_float64(double value, char *buffer) noexcept {
    char *out = buffer;
    const auto put = [&out](const char *text, size_t size) {
        memcpy(out, text, size);
        out += size;
    };
    if (std::isnan(value)) {
        memcpy(buffer, "NaN", 4);
        return 3;
    }
    if (std::signbit(value))
        *out++ = '-';
    if (std::isinf(value)) {
        put("Infinity", 8);
    } else if (value == 0) {
        *out++ = '0';
    } else {
        const Digits number = shortest_digits(std::fabs(value));
        const auto count = static_cast<size_t>(number.count);
        const int exponent = number.exponent;
        if (exponent < -4 || exponent >= 15) { /* PostgreSQL's limits, those of %.15g */
            *out++ = number.digits[0];
            if (count > 1) {
                *out++ = '.';
                put(number.digits + 1, count - 1);
            }
            *out++ = 'e';
            *out++ = exponent < 0 ? '-' : '+';
            const int magnitude = exponent < 0 ? -exponent : exponent;
            if (magnitude < 10)
                *out++ = '0';
            out = std::to_chars(out, out + 4, magnitude).ptr;
        } else if (exponent < 0) {
            put("0.0000", static_cast<size_t>(1 - exponent));
            put(number.digits, count);
        } else {
            const auto whole = static_cast<size_t>(exponent) + 1;
            if (count <= whole) {
                put(number.digits, count);
                memset(out, '0', whole - count);
                out += whole - count;
            } else {
                put(number.digits, whole);
                *out++ = '.';
                put(number.digits + whole, count - whole);
            }
        }
    }
    *out = 0;
    return static_cast<size_t>(out - buffer);
}

void write_object_id(const uint8_t bytes[12], char buffer[24]) noexcept {
    write_hex(bytes, 12, buffer);
}

bool parse_object_id(std::string_view text, uint8_t bytes[12]) noexcept {
    return text.size() == 24 && parse_hex(text.data(), 12, bytes);
}

void write_uuid(const uint8_t bytes[16], char buffer[36]) noexcept {
    char *out = buffer;
    for (size_t group : uuid_groups) {
        if (out != buffer)
            *out++ = '-';
        out = write_hex(bytes, group, out);
        bytes += group;
    }
}

bool parse_uuid(std::string_view text, uint8_t bytes[16]) noexcept {
    if (text.size() != 36)
        return false;
    const char *position = text.data();
    for (size_t group : uuid_groups) {
        if (position != text.data() && *position++ != '-')
            return false;
        if (!parse_hex(position, group, bytes))
            return false;
        position += 2 * group;
        bytes += group;
    }
    return true;
}

} // namespace mongoferry::bson

/*
 * See numeric_writer.h. Relies on the storage form of numeric: after the varlena header a 16-bit header, in the long
 * form another 16 bits for the weight, then 16-bit digits in base 10000, without leading or trailing zeros.
 */
#include "bson/numeric_writer.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace mongoferry::bson {

namespace {

constexpr int decimal_digits_per_digit = 4;
constexpr unsigned base = 10000;
constexpr size_t varlena_header_size = 4;
/* Of 40 decimal digits, when the first and the last digit of base 10000 hold only some of them. */
constexpr size_t max_digits = 11;
static_assert(varlena_header_size + 4 + 2 * max_digits <= numeric_buffer_size);

constexpr uint16_t short_form = 0x8000;
constexpr uint16_t short_negative = 0x2000;
constexpr int short_scale_shift = 7;
constexpr int short_scale_max = 63;
constexpr uint16_t short_weight_sign = 0x0040;
constexpr uint16_t short_weight_mask = 0x003F;
constexpr int short_weight_max = 63;
constexpr int short_weight_min = -64;
constexpr uint16_t long_negative = 0x4000;
constexpr uint16_t long_scale_mask = 0x3FFF;

template <typename T>
char *put(char *position, T value) noexcept {
    memcpy(position, &value, sizeof value);
    return position + sizeof value;
}

/* Writes the varlena. digits[0] is worth base^weight; neither it nor the last one is zero, or there is none. */
size_t assemble(bool negative, int weight, int scale, const uint16_t *digits, size_t count, char *buffer) noexcept {
    if (count == 0) {
        negative = false;
        weight = 0;
    }
    char *position = buffer + varlena_header_size;
    if (scale <= short_scale_max && weight <= short_weight_max && weight >= short_weight_min) {
        position =
            put(position, static_cast<uint16_t>(short_form | (negative ? short_negative : 0) |
                                                (scale << short_scale_shift) | (weight < 0 ? short_weight_sign : 0) |
                                                (static_cast<unsigned>(weight) & short_weight_mask)));
    } else {
        position = put(position, static_cast<uint16_t>((negative ? long_negative : 0) | (scale & long_scale_mask)));
        position = put(position, static_cast<int16_t>(weight));
    }
    if (count > 0)
        memcpy(position, digits, count * sizeof(uint16_t));
    position += count * sizeof(uint16_t);
    const size_t size = static_cast<size_t>(position - buffer);
    /* A varlena's length word, as SET_VARSIZE has it on a little-endian machine. */
    put(buffer, static_cast<uint32_t>(size << 2));
    return size;
}

/* whole + fraction / base, where scale is the number of decimal digits that the fraction is shown with. */
size_t assemble_fixed_point(bool negative, uint64_t whole, uint16_t fraction, int scale, char *buffer) noexcept {
    constexpr size_t whole_digits = 5; /* 2^64 < base^5 */
    uint16_t digits[whole_digits + 1];
    size_t first = whole_digits;
    for (; whole != 0; whole /= base)
        digits[--first] = static_cast<uint16_t>(whole % base);
    const int weight = static_cast<int>(whole_digits - first) - 1;
    digits[whole_digits] = fraction;
    size_t end = whole_digits + 1;
    while (end > first && digits[end - 1] == 0)
        --end;
    return assemble(negative, weight, scale, digits + first, end - first, buffer);
}

} // namespace

size_t write_numeric_int64(int64_t value, char *buffer) noexcept {
    const bool negative = value < 0;
    const uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    return assemble_fixed_point(negative, magnitude, 0, 0, buffer);
}

size_t write_numeric_decimal(bool negative, const char *digits, size_t count, int exponent, char *buffer) noexcept {
    const int scale = exponent < 0 ? -exponent : 0;
    while (count > 0 && *digits == '0') {
        ++digits;
        --count;
    }
    while (count > 0 && digits[count - 1] == '0') {
        --count;
        ++exponent;
    }
    if (count == 0)
        return assemble(false, 0, scale, nullptr, 0, buffer);

    /* How many decimal digits stand before the point; negative for zeros after it. The first digit of base 10000 has
     * 1 to 4 of them. */
    const int before_point = static_cast<int>(count) + exponent;
    const int weight =
        before_point > 0 ? (before_point - 1) / decimal_digits_per_digit : before_point / decimal_digits_per_digit - 1;
    int room = before_point - weight * decimal_digits_per_digit;
    uint16_t groups[max_digits];
    size_t group_count = 0;
    size_t position = 0;
    while (position < count) {
        unsigned group = 0;
        for (; room > 0; --room)
            group = group * 10 + (position < count ? static_cast<unsigned>(digits[position++] - '0') : 0);
        groups[group_count++] = static_cast<uint16_t>(group);
        room = decimal_digits_per_digit;
    }
    return assemble(negative, weight, scale, groups, group_count, buffer);
}

size_t write_numeric_float64(double value, char *buffer) noexcept {
    /* Below 2^53 an integer's own digits are its shortest ones. */
    constexpr double exact_integers = 9007199254740992.0;
    if (std::fabs(value) < exact_integers && value == std::trunc(value))
        return write_numeric_int64(static_cast<int64_t>(value), buffer);

    /* Most doubles that are meant as decimals have two digits after the point. A number of at most 15 digits whose
     * nearest double this is has no equal among such numbers, so it is the shortest: what follows would find it too. */
    constexpr double fifteen_digits = 1e13;
    if (std::fabs(value) < fifteen_digits) {
        /* A wrong guess is noticed in the next line. NOLINTNEXTLINE(bugprone-incorrect-roundings) */
        const uint64_t hundredths = static_cast<uint64_t>(std::fabs(value) * 100 + 0.5);
        if (static_cast<double>(hundredths) / 100 == std::fabs(value))
            return assemble_fixed_point(value < 0, hundredths / 100, static_cast<uint16_t>(hundredths % 100 * 100),
                                        hundredths % 10 == 0 ? 1 : 2, buffer);
    }

    /* "d.ddde±xx": the shortest digits that read back. */
    char written[32];
    const std::to_chars_result end =
        std::to_chars(written, written + sizeof written, std::fabs(value), std::chars_format::scientific);
    const char *mark = static_cast<const char *>(memchr(written, 'e', static_cast<size_t>(end.ptr - written)));
    char digits[24];
    size_t count = 1;
    digits[0] = written[0];
    if (mark - written > 2) {
        count += static_cast<size_t>(mark - written) - 2;
        memcpy(digits + 1, written + 2, count - 1);
    }
    int exponent = 0;
    const char *exponent_digits = mark + 1 + (mark[1] == '+');
    std::from_chars(exponent_digits, end.ptr, exponent);
    return write_numeric_decimal(value < 0, digits, count, exponent - static_cast<int>(count - 1), buffer);
}

} // namespace mongoferry::bson

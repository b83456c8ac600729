/*
 * Decimal128 ↔ text, exactly.
 *
 * Sources: IEEE 754-2008, section 3.5 (the encoding with a binary coefficient);
 * https://github.com/mongodb/specifications/blob/master/source/bson-decimal128/decimal128.md (the text form).
 */
#include "bson/number_text.h"

#include <charconv>
#include <cstring>

namespace mongoferry::bson {

namespace {

__extension__ typedef unsigned __int128 uint128;

constexpr int max_digits = 34;
constexpr int min_exponent = -6176;
constexpr int max_exponent = 6111;
constexpr int exponent_bias = 6176;

constexpr uint128 power_of_ten(int exponent) noexcept {
    uint128 power = 1;
    while (exponent-- > 0)
        power *= 10;
    return power;
}

constexpr uint64_t sign_bit = uint64_t{1} << 63;
constexpr uint64_t infinity_bits = uint64_t{0x1E} << 58;
constexpr uint64_t nan_bits = uint64_t{0x1F} << 58;

void store(uint64_t high, uint64_t low, uint8_t bytes[16]) noexcept {
    memcpy(bytes, &low, sizeof low);
    memcpy(bytes + 8, &high, sizeof high);
}

char lower(char character) noexcept {
    return character >= 'A' && character <= 'Z' ? static_cast<char>(character + 32) : character;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower_case) noexcept {
    if (text.size() != lower_case.size())
        return false;
    for (size_t i = 0; i < text.size(); ++i)
        if (lower(text[i]) != lower_case[i])
            return false;
    return true;
}

bool is_digit(char character) noexcept {
    return character >= '0' && character <= '9';
}

} // namespace

Decimal128Parts decimal128_parts(const uint8_t bytes[16]) noexcept {
    uint64_t low;
    uint64_t high;
    memcpy(&low, bytes, sizeof low);
    memcpy(&high, bytes + 8, sizeof high);
    Decimal128Parts parts{Decimal128Parts::Kind::finite, (high & sign_bit) != 0, 0, 0, 0};
    const uint64_t combination = high & nan_bits;
    if (combination == nan_bits) {
        parts.kind = Decimal128Parts::Kind::nan;
        return parts;
    }
    if (combination == infinity_bits) {
        parts.kind = Decimal128Parts::Kind::infinity;
        return parts;
    }
    if ((high >> 61 & 3) == 3) {
        /* the form for coefficients of 2^113 and above, which 34 digits never need: not canonical, hence 0 */
        parts.exponent = static_cast<int>(high >> 47 & 0x3FFF) - exponent_bias;
        return parts;
    }
    parts.exponent = static_cast<int>(high >> 49 & 0x3FFF) - exponent_bias;
    const uint64_t coefficient_high = high & 0x1FFFFFFFFFFFF;
    constexpr uint128 limit = power_of_ten(max_digits);
    if ((static_cast<uint128>(coefficient_high) << 64 | low) < limit) {
        parts.coefficient_high = coefficient_high;
        parts.coefficient_low = low;
    }
    return parts;
}

size_t write_decimal128(const uint8_t bytes[16], char *buffer) noexcept {
    const Decimal128Parts parts = decimal128_parts(bytes);
    char *out = buffer;
    const auto put = [&out](const char *text, size_t size) {
        memcpy(out, text, size);
        out += size;
    };
    if (parts.kind == Decimal128Parts::Kind::nan) { /* its sign and payload mean nothing */
        memcpy(buffer, "NaN", 4);
        return 3;
    }
    if (parts.negative)
        *out++ = '-';
    if (parts.kind == Decimal128Parts::Kind::infinity) {
        put("Infinity", 8);
        *out = 0;
        return static_cast<size_t>(out - buffer);
    }

    char digits[max_digits];
    char *first = digits + max_digits;
    uint128 coefficient = static_cast<uint128>(parts.coefficient_high) << 64 | parts.coefficient_low;
    /* nineteen digits at a time: divisions of 128 bits are slow */
    constexpr uint64_t chunk = 10'000'000'000'000'000'000u;
    while (coefficient >= chunk) {
        uint64_t rest = static_cast<uint64_t>(coefficient % chunk);
        coefficient /= chunk;
        for (int i = 0; i < 19; ++i, rest /= 10)
            *--first = static_cast<char>('0' + rest % 10);
    }
    uint64_t rest = static_cast<uint64_t>(coefficient);
    do {
        *--first = static_cast<char>('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    const int count = static_cast<int>(digits + max_digits - first);
    const auto size = static_cast<size_t>(count);

    const int scientific_exponent = count - 1 + parts.exponent;
    if (parts.exponent > 0 || scientific_exponent < -6) {
        *out++ = *first;
        if (count > 1) {
            *out++ = '.';
            put(first + 1, size - 1);
        }
        *out++ = 'E';
        if (scientific_exponent >= 0)
            *out++ = '+';
        out = std::to_chars(out, out + 6, scientific_exponent).ptr;
    } else if (parts.exponent == 0) {
        put(first, size);
    } else if (scientific_exponent >= 0) {
        const auto whole = static_cast<size_t>(scientific_exponent) + 1;
        put(first, whole);
        *out++ = '.';
        put(first + whole, size - whole);
    } else {
        put("0.00000", static_cast<size_t>(1 - scientific_exponent));
        put(first, size);
    }
    *out = 0;
    return static_cast<size_t>(out - buffer);
}

bool parse_decimal128(std::string_view text, uint8_t bytes[16]) noexcept {
    uint64_t sign = 0;
    if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
        sign = text[0] == '-' ? sign_bit : 0;
        text.remove_prefix(1);
    }
    if (equals_ignoring_case(text, "nan")) {
        store(nan_bits, 0, bytes);
        return true;
    }
    if (equals_ignoring_case(text, "inf") || equals_ignoring_case(text, "infinity")) {
        store(infinity_bits | sign, 0, bytes);
        return true;
    }

    /* The coefficient without its trailing zeros, which are counted and go in as far as there is room for them:
     * 1.50 keeps its zero, and a number with a hundred zeros is exact as well. */
    uint128 coefficient = 0;
    int digits = 0;              /* of coefficient */
    int64_t pending_zeros = 0;   /* seen since its last digit that is not zero */
    int64_t fraction_digits = 0; /* all that stood after the point */
    bool any_digit = false;
    bool in_fraction = false;
    size_t position = 0;
    for (; position < text.size(); ++position) {
        const char character = text[position];
        if (character == '.' && !in_fraction) {
            in_fraction = true;
            continue;
        }
        if (!is_digit(character))
            break;
        any_digit = true;
        if (in_fraction)
            ++fraction_digits;
        if (character == '0') {
            if (digits > 0)
                ++pending_zeros;
            continue;
        }
        if (digits > 0 && digits + pending_zeros + 1 > max_digits)
            return false;
        for (; pending_zeros > 0; --pending_zeros, ++digits)
            coefficient *= 10;
        coefficient = coefficient * 10 + static_cast<unsigned>(character - '0');
        ++digits;
    }
    if (!any_digit)
        return false;

    int64_t exponent = 0;
    if (position < text.size() && lower(text[position]) == 'e') {
        ++position;
        bool negative = false;
        if (position < text.size() && (text[position] == '-' || text[position] == '+'))
            negative = text[position++] == '-';
        if (position == text.size())
            return false;
        constexpr int64_t beyond_any = int64_t{1} << 40; /* more than the digits of any text can make good */
        for (; position < text.size() && is_digit(text[position]); ++position)
            if (exponent < beyond_any)
                exponent = exponent * 10 + (text[position] - '0');
        if (negative)
            exponent = -exponent;
    }
    if (position != text.size())
        return false;
    exponent -= fraction_digits;

    if (coefficient == 0) { /* the exponent of a zero is clamped */
        exponent = exponent < min_exponent ? min_exponent : exponent > max_exponent ? max_exponent : exponent;
    } else {
        /* now value = coefficient * 10^(exponent + pending_zeros); the exponent written is kept if it can be */
        int64_t wanted = pending_zeros;
        if (wanted > max_digits - digits)
            wanted = max_digits - digits;
        int64_t real_exponent = exponent + pending_zeros;
        if (real_exponent - wanted < min_exponent) /* fewer zeros */
            wanted = real_exponent - min_exponent;
        if (real_exponent - wanted > max_exponent) /* more zeros: the clamping of large exponents */
            wanted = real_exponent - max_exponent;
        if (wanted < 0 || wanted > max_digits - digits)
            return false;
        coefficient *= power_of_ten(static_cast<int>(wanted));
        exponent = real_exponent - wanted;
    }
    const uint64_t high =
        sign | static_cast<uint64_t>(exponent + exponent_bias) << 49 | static_cast<uint64_t>(coefficient >> 64);
    store(high, static_cast<uint64_t>(coefficient), bytes);
    return true;
}

} // namespace mongoferry::bson

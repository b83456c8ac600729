/*
 * Decimal128: the specification's rules as cases, in both directions.
 * https://github.com/mongodb/specifications/blob/master/source/bson-decimal128/decimal128.md
 */
#include "bson/number_text.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>

namespace {

using namespace mongoferry::bson;

struct Bits {
    uint64_t high;
    uint64_t low;
};

void store(Bits bits, uint8_t bytes[16]) {
    memcpy(bytes, &bits.low, 8);
    memcpy(bytes + 8, &bits.high, 8);
}

std::string text_of(Bits bits) {
    uint8_t bytes[16];
    store(bits, bytes);
    char buffer[number_text_size];
    const size_t size = write_decimal128(bytes, buffer);
    EXPECT_EQ(size, strlen(buffer));
    return {buffer, size};
}

bool parse(std::string_view text, Bits *bits) {
    uint8_t bytes[16];
    if (!parse_decimal128(text, bytes))
        return false;
    memcpy(&bits->low, bytes, 8);
    memcpy(&bits->high, bytes + 8, 8);
    return true;
}

/* The high half of a number with this exponent, without sign and coefficient. */
constexpr uint64_t exponent_bits(int exponent) {
    return static_cast<uint64_t>(exponent + 6176) << 49;
}

constexpr uint64_t negative = uint64_t{1} << 63;
/* 10^34 - 1 and 10^33, the largest coefficient and the smallest of 34 digits */
constexpr Bits nines = {0x0001ED09BEAD87C0, 0x378D8E63FFFFFFFF};
constexpr Bits ten_to_33 = {0x0000314DC6448D93, 0x38C15B0A00000000};

struct Case {
    Bits bits;
    const char *text;
};

const Case canonical_cases[] = {
    {{0x3040000000000000, 0}, "0"},
    {{0xB040000000000000, 0}, "-0"},
    {{0x3040000000000000, 1}, "1"},
    {{0xB040000000000000, 1}, "-1"},
    {{0x303E000000000000, 1}, "0.1"},
    {{0x303E000000000000, 10}, "1.0"},
    {{0x303C000000000000, 150}, "1.50"},
    {{0x303A000000000000, 0}, "0.000"},
    {{0x3034000000000000, 1234}, "0.001234"},
    {{0x3040000000000000, 123456789012}, "123456789012"},
    {{0x3040000000000000, 0x8000000000000000}, "9223372036854775808"},
    {{0x3040000000000001, 0}, "18446744073709551616"},
    {{0x3040000000000000, 0xFFFFFFFFFFFFFFFF}, "18446744073709551615"},
    /* the switch to scientific form: an exponent above 0, or a first digit below the sixth after the point */
    {{0x3042000000000000, 1}, "1E+1"},
    {{0x3046000000000000, 0}, "0E+3"},
    {{0x3046000000000000, 15}, "1.5E+4"},
    {{exponent_bits(-6), 1}, "0.000001"},
    {{exponent_bits(-7), 1}, "1E-7"},
    {{exponent_bits(-7), 12}, "0.0000012"},
    {{exponent_bits(-8), 12}, "1.2E-7"},
    {{exponent_bits(-6), 0}, "0.000000"},
    {{exponent_bits(-7), 0}, "0E-7"},
    /* the limits */
    {{exponent_bits(6111) | nines.high, nines.low}, "9.999999999999999999999999999999999E+6144"},
    {{negative | exponent_bits(6111) | nines.high, nines.low}, "-9.999999999999999999999999999999999E+6144"},
    {{exponent_bits(0) | nines.high, nines.low}, "9999999999999999999999999999999999"},
    {{exponent_bits(-34) | nines.high, nines.low}, "0.9999999999999999999999999999999999"},
    {{exponent_bits(-33) | nines.high, nines.low}, "9.999999999999999999999999999999999"},
    {{exponent_bits(-39) | nines.high, nines.low}, "0.000009999999999999999999999999999999999"},
    {{exponent_bits(-40) | nines.high, nines.low}, "9.999999999999999999999999999999999E-7"},
    {{exponent_bits(6111) | ten_to_33.high, ten_to_33.low}, "1.000000000000000000000000000000000E+6144"},
    {{exponent_bits(6111), 1}, "1E+6111"},
    {{exponent_bits(6111), 0}, "0E+6111"},
    {{exponent_bits(-6176), 1}, "1E-6176"},
    {{exponent_bits(-6176), 0}, "0E-6176"},
    {{negative | exponent_bits(-6176), 0}, "-0E-6176"},
    {{exponent_bits(-6176) | ten_to_33.high, ten_to_33.low}, "1.000000000000000000000000000000000E-6143"},
    {{0x7800000000000000, 0}, "Infinity"},
    {{0xF800000000000000, 0}, "-Infinity"},
    {{0x7C00000000000000, 0}, "NaN"},
};

TEST(Decimal128Text, CanonicalFormsBothWays) {
    for (const Case &expected : canonical_cases) {
        EXPECT_EQ(text_of(expected.bits), expected.text);
        Bits bits{};
        ASSERT_TRUE(parse(expected.text, &bits)) << expected.text;
        EXPECT_EQ(bits.high, expected.bits.high) << expected.text;
        EXPECT_EQ(bits.low, expected.bits.low) << expected.text;
    }
}

TEST(Decimal128Text, NotCanonicalBitsMeanZeroOrTheSameSpecial) {
    const Case cases[] = {
        /* a coefficient of 10^34 and above */
        {{exponent_bits(0) | nines.high, nines.low + 1}, "0"},
        {{exponent_bits(-2) | 0x0001FFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF}, "0.00"},
        {{negative | exponent_bits(3) | 0x0001FFFFFFFFFFFF, 0}, "-0E+3"},
        /* the encoding with its exponent two bits further right */
        {{0x6C10000000000000, 0}, "0"},
        {{0x6C11FFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF}, "0E+3"},
        {{0xEC10000000000000, 1}, "-0"},
        /* signs, payloads, signalling */
        {{0xFC00000000000000, 0}, "NaN"},
        {{0x7E00000000000000, 0}, "NaN"},
        {{0xFE00000000000000, 0}, "NaN"},
        {{0x7C00000000000000, 18}, "NaN"},
        {{0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF}, "NaN"},
        {{0x7800000000000000, 1}, "Infinity"},
        {{0xFBFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF}, "-Infinity"},
    };
    for (const Case &expected : cases)
        EXPECT_EQ(text_of(expected.bits), expected.text) << std::hex << expected.bits.high;
}

TEST(Decimal128Text, Parts) {
    uint8_t bytes[16];
    store({negative | exponent_bits(-6176) | nines.high, nines.low}, bytes);
    Decimal128Parts parts = decimal128_parts(bytes);
    EXPECT_EQ(parts.kind, Decimal128Parts::Kind::finite);
    EXPECT_TRUE(parts.negative);
    EXPECT_EQ(parts.coefficient_high, nines.high);
    EXPECT_EQ(parts.coefficient_low, nines.low);
    EXPECT_EQ(parts.exponent, -6176);
    store({exponent_bits(6111) | nines.high, nines.low + 1}, bytes);
    parts = decimal128_parts(bytes);
    EXPECT_FALSE(parts.negative);
    EXPECT_EQ(parts.coefficient_high | parts.coefficient_low, 0u);
    EXPECT_EQ(parts.exponent, 6111);
    store({0xF800000000000000, 5}, bytes);
    EXPECT_EQ(decimal128_parts(bytes).kind, Decimal128Parts::Kind::infinity);
    EXPECT_TRUE(decimal128_parts(bytes).negative);
    store({0x7C00000000000000, 5}, bytes);
    EXPECT_EQ(decimal128_parts(bytes).kind, Decimal128Parts::Kind::nan);
}

TEST(Decimal128Text, ParsesOtherForms) {
    const std::string zeros(100, '0');
    const std::pair<std::string, const char *> cases[] = {
        {"+1", "1"},
        {"1.", "1"},
        {".1", "0.1"},
        {"-.5e1", "-5"},
        {"007", "7"},
        {"1e3", "1E+3"},
        {"1E3", "1E+3"},
        {"1e+3", "1E+3"},
        {"1e003", "1E+3"},
        {"12.50e1", "125.0"},
        {"000.00e2", "0"},
        {"0.000000000000000000000000000000000000000001", "1E-42"},
        {"nan", "NaN"},
        {"NAN", "NaN"},
        {"-NaN", "NaN"},
        {"inf", "Infinity"},
        {"-INFINITY", "-Infinity"},
        {"+Inf", "Infinity"},
        /* 34 digits hold the number, zeros in excess go into the exponent or away */
        {"1" + zeros, "1.000000000000000000000000000000000E+100"},
        {"1." + zeros, "1.000000000000000000000000000000000"},
        {zeros + "1", "1"},
        {"9999999999999999999999999999999999000", "9.999999999999999999999999999999999E+36"},
        {"12345.6789012345678901234567890123400000", "12345.67890123456789012345678901234"},
        /* large exponents are clamped: zeros move into the coefficient */
        {"1E+6112", "1.0E+6112"},
        {"1E+6144", "1.000000000000000000000000000000000E+6144"},
        {"12E+6143", "1.200000000000000000000000000000000E+6144"},
        {"100E+6110", "1.00E+6112"},
        {"1000000000000000000000000000000000000E+6108", "1.000000000000000000000000000000000E+6144"},
        /* small ones give up zeros */
        {"10E-6177", "1E-6176"},
        {"1000000000000000000000000000000000E-6209", "1E-6176"},
        {"1.0E-6176", "1E-6176"},
        /* a zero takes any exponent, as near as it goes */
        {"0E+6112", "0E+6111"},
        {"0E+99999999999999999999", "0E+6111"},
        {"-0E-99999999999999999999", "-0E-6176"},
        {"0E-6177", "0E-6176"},
        {"1" + zeros + "E-100", "1.000000000000000000000000000000000"},
    };
    for (const auto &[text, expected] : cases) {
        Bits bits{};
        ASSERT_TRUE(parse(text, &bits)) << text;
        EXPECT_EQ(text_of(bits), expected) << text;
    }
}

TEST(Decimal128Text, RefusesWhatIsNoNumberOrDoesNotFit) {
    const char *cases[] = {
        "",
        "+",
        "-",
        ".",
        "-.",
        "e1",
        ".e1",
        "1e",
        "1e+",
        "1e-",
        "1e1.5",
        "1..5",
        "1.5.",
        "1.5.1",
        "--1",
        "+-1",
        " 1",
        "1 ",
        "1a",
        "0x1",
        "1_000",
        "E02",
        "..1",
        "1e1e1",
        "in",
        "infinit",
        "infinityx",
        "na",
        "nan1",
        "i",
        /* inexact: 35 digits */
        "12345678901234567890123456789012345",
        "1.2345678901234567890123456789012345",
        "100000000000000000000000000000000000000000000000001",
        /* overflow */
        "1E+6145",
        "10E+6144",
        "9.999999999999999999999999999999999E+6145",
        "11E+6144",
        "1E+99999999999999999999",
        /* underflow, which would round */
        "1E-6177",
        "11E-6177",
        "1.1E-6176",
        "9E-99999999999999999999",
    };
    Bits bits{};
    for (const char *text : cases)
        EXPECT_FALSE(parse(text, &bits)) << text;
    EXPECT_FALSE(parse(std::string_view("1\0", 2), &bits));
}

TEST(Decimal128Text, EachValueReadsBack) {
    std::mt19937_64 random(34);
    for (int i = 0; i < 200000; ++i) {
        const int exponent =
            i % 3 == 0 ? static_cast<int>(random() % 12288) - 6176 : static_cast<int>(random() % 80) - 50;
        const uint64_t high = random() % 4 == 0 ? random() % (nines.high + 1) : 0;
        const uint64_t low = high == nines.high ? random() % nines.low : random() >> random() % 64;
        const Bits bits = {(random() % 2 ? negative : 0) | exponent_bits(exponent) | high, low};
        const std::string text = text_of(bits);
        Bits back{};
        ASSERT_TRUE(parse(text, &back)) << text;
        ASSERT_EQ(back.high, bits.high) << text;
        ASSERT_EQ(back.low, bits.low) << text;
    }
}

} // namespace

/*
 * The storage form of numeric: read back by a second reading of its description, and against bytes that PostgreSQL
 * made.
 */
#include "bson/numeric_writer.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <string>

namespace {

using namespace mongoferry::bson;

/* The bytes behind the varlena header, after checking that header. */
std::string payload(const char *buffer, size_t size) {
    uint32_t header;
    memcpy(&header, buffer, 4);
    EXPECT_EQ(header, size << 2);
    EXPECT_LE(size, numeric_buffer_size);
    return {buffer + 4, size - 4};
}

/* The number as PostgreSQL prints it, with its display scale. Fails the test if the form is not the normal one. */
std::string printed(const std::string &bytes) {
    uint16_t header;
    memcpy(&header, bytes.data(), 2);
    size_t at = 2;
    bool negative;
    int weight, scale;
    if (header & 0x8000) {
        negative = header & 0x2000;
        scale = (header & 0x1F80) >> 7;
        weight = (header & 0x003F) - (header & 0x0040 ? 64 : 0);
    } else {
        negative = header & 0x4000;
        scale = header & 0x3FFF;
        int16_t long_weight;
        memcpy(&long_weight, bytes.data() + 2, 2);
        weight = long_weight;
        at = 4;
        EXPECT_TRUE(scale > 63 || weight > 63 || weight < -64) << "the long form where the short one would do";
    }
    EXPECT_EQ((bytes.size() - at) % 2, 0u);
    std::string whole, fraction;
    int power = weight;
    for (int zero = -1; zero > weight; --zero)
        fraction += "0000";
    for (size_t first = at; at < bytes.size(); at += 2, --power) {
        int16_t digit;
        memcpy(&digit, bytes.data() + at, 2);
        EXPECT_TRUE(digit >= 0 && digit < 10000);
        EXPECT_FALSE(digit == 0 && (at == first || at + 2 == bytes.size())) << "a zero at an end";
        char text[8];
        snprintf(text, sizeof text, "%04d", digit);
        (power >= 0 ? whole : fraction) += text;
    }
    for (; power >= 0; --power)
        whole += "0000";
    whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
    EXPECT_LE(fraction.find_last_not_of('0') + 1, static_cast<size_t>(scale)) << "digits beyond the scale";
    fraction.resize(static_cast<size_t>(scale), '0');
    return (negative ? "-" : "") + (whole.empty() ? "0" : whole) + (scale > 0 ? "." + fraction : "");
}

std::string of_int64(int64_t value) {
    alignas(4) char buffer[numeric_buffer_size];
    const size_t size = write_numeric_int64(value, buffer);
    return printed(payload(buffer, size));
}

std::string of_float64(double value) {
    alignas(4) char buffer[numeric_buffer_size];
    const size_t size = write_numeric_float64(value, buffer);
    return printed(payload(buffer, size));
}

std::string of_decimal(bool negative, std::string_view digits, int exponent) {
    alignas(4) char buffer[numeric_buffer_size];
    const size_t size = write_numeric_decimal(negative, digits.data(), digits.size(), exponent, buffer);
    return printed(payload(buffer, size));
}

std::string hex(const std::string &bytes) {
    std::string text;
    char digits[3];
    for (unsigned char byte : bytes) {
        snprintf(digits, sizeof digits, "%02x", byte);
        text += digits;
    }
    return text;
}

TEST(NumericWriter, Integers) {
    const int64_t cases[] = {0,
                             1,
                             -1,
                             9999,
                             10000,
                             -10000,
                             10001,
                             99999999,
                             100000000,
                             1000000000000,
                             std::numeric_limits<int32_t>::max(),
                             std::numeric_limits<int32_t>::min(),
                             std::numeric_limits<int64_t>::max(),
                             std::numeric_limits<int64_t>::min()};
    for (int64_t value : cases)
        EXPECT_EQ(of_int64(value), std::to_string(value));
    std::mt19937_64 random(1);
    for (int i = 0; i < 10000; ++i) {
        const int64_t value = static_cast<int64_t>(random()) >> (random() % 64);
        ASSERT_EQ(of_int64(value), std::to_string(value));
    }
}

TEST(NumericWriter, DoublesBecomeTheShortestNumeric) {
    const std::pair<double, std::string> cases[] = {
        {0.0, "0"},
        {-0.0, "0"},
        {1.0, "1"},
        {-2.5, "-2.5"},
        {0.1, "0.1"},
        {19.99, "19.99"},
        {123456.789, "123456.789"},
        {1e-7, "0.0000001"},
        {1e23, "1" + std::string(23, '0')},
        {9007199254740991.0, "9007199254740991"},
        {9007199254740992.0, "9007199254740992"},
        {9223372036854775808.0, "9223372036854775808"},
        {1e300, "1" + std::string(300, '0')},
        {5e-324, "0." + std::string(323, '0') + "5"},
        {std::numeric_limits<double>::max(), "17976931348623157" + std::string(292, '0')},
        {0.0001, "0.0001"},
        {0.00001, "0.00001"},
        {12345.6789, "12345.6789"},
        {1e15 + 0.5, "1000000000000000.5"},
    };
    for (const auto &[value, text] : cases) {
        if (value == 9223372036854775808.0)
            EXPECT_EQ(of_float64(value), "9223372036854776000"); /* the shortest that reads back, not the exact one */
        else
            EXPECT_EQ(of_float64(value), text);
    }
}

TEST(NumericWriter, DoublesReadBack) {
    std::mt19937_64 random(2);
    for (int i = 0; i < 20000; ++i) {
        uint64_t bits = random();
        double value;
        memcpy(&value, &bits, sizeof value);
        if (i % 2)
            value = static_cast<double>(static_cast<int64_t>(bits) >> 20) / 100;
        if (!std::isfinite(value))
            continue;
        const std::string text = of_float64(value);
        double back = 0;
        std::from_chars(text.data(), text.data() + text.size(), back);
        ASSERT_EQ(back, value) << text;
    }
}

/* The digits that std::to_chars finds, with and without the way that is short for two decimals. */
TEST(NumericWriter, DoublesWithFewDecimalsHaveTheShortestDigits) {
    std::mt19937_64 random(4);
    for (int i = 0; i < 200000; ++i) {
        const double divisor[] = {10, 100, 100, 100, 1000, 3, 10000};
        const double value =
            static_cast<double>(static_cast<int64_t>(random()) >> (random() % 62)) / divisor[random() % 7] +
            (random() % 50 == 0 ? 1e-9 : 0);
        char digits[64];
        const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed);
        std::string expected(digits, end.ptr);
        if (std::fabs(value) >= 9007199254740992.0)
            continue; /* fixed writes all digits of large numbers, not the shortest */
        ASSERT_EQ(of_float64(value), expected == "-0" ? "0" : expected);
    }
    for (double value :
         {0.01, 0.99, 1.005, 1e12 + 0.01, 1e13 - 0.01, 9999999999999.99, 10000000000000.5, 0.001, 99999.995})
        for (double neighbour : {std::nextafter(value, 0), value, std::nextafter(value, 1e18)}) {
            char digits[64];
            const std::to_chars_result end =
                std::to_chars(digits, digits + sizeof digits, neighbour, std::chars_format::fixed);
            EXPECT_EQ(of_float64(neighbour), std::string(digits, end.ptr));
        }
}

TEST(NumericWriter, DecimalsKeepTheirScale) {
    EXPECT_EQ(of_decimal(false, "150", -2), "1.50");
    EXPECT_EQ(of_decimal(true, "150", -2), "-1.50");
    EXPECT_EQ(of_decimal(false, "1", 3), "1000");
    EXPECT_EQ(of_decimal(false, "0", -3), "0.000");
    EXPECT_EQ(of_decimal(true, "0", -3), "0.000");
    EXPECT_EQ(of_decimal(false, "0", 5), "0");
    EXPECT_EQ(of_decimal(false, "", 0), "0");
    EXPECT_EQ(of_decimal(false, "000012", -1), "1.2");
    EXPECT_EQ(of_decimal(false, "1", -6176), "0." + std::string(6175, '0') + "1");
    EXPECT_EQ(of_decimal(false, "1", 6111), "1" + std::string(6111, '0'));
    const std::string nines(34, '9');
    EXPECT_EQ(of_decimal(false, nines, 0), nines);
    for (int exponent = -40; exponent <= 8; ++exponent) { /* every position of the point within a digit */
        std::string text = nines;
        if (exponent >= 0)
            text += std::string(static_cast<size_t>(exponent), '0');
        else if (exponent > -34)
            text.insert(static_cast<size_t>(34 + exponent), ".");
        else
            text = "0." + std::string(static_cast<size_t>(-exponent - 34), '0') + text;
        EXPECT_EQ(of_decimal(false, nines, exponent), text);
    }
}

/* What PostgreSQL 15 stores in a table, behind the varlena header, as pageinspect shows it. */
TEST(NumericWriter, IsPostgresqlsForm) {
    alignas(4) char buffer[numeric_buffer_size];
    const auto stored = [&](size_t size) { return hex(payload(buffer, size)); };
    EXPECT_EQ(stored(write_numeric_int64(0, buffer)), "0080");
    EXPECT_EQ(stored(write_numeric_int64(1, buffer)), "00800100");
    EXPECT_EQ(stored(write_numeric_int64(-10001, buffer)), "01a001000100");
    EXPECT_EQ(stored(write_numeric_float64(0.1, buffer)), "ff80e803");
    EXPECT_EQ(stored(write_numeric_decimal(false, "150", 3, -2, buffer)), "008101008813");
    EXPECT_EQ(stored(write_numeric_float64(1e300, buffer)), "00004b000100");
}

} // namespace

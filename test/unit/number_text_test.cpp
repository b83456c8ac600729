/*
 * Doubles, ObjectIds and UUIDs as text.
 */
#include "bson/number_text.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace {

using namespace mongoferry::bson;

std::string text_of_float64(double value) {
    char buffer[number_text_size];
    const size_t size = write_float64(value, buffer);
    EXPECT_EQ(size, strlen(buffer));
    return {buffer, size};
}

/* The right side is what PostgreSQL 15 prints for the value on the left (SELECT …::float8). */
TEST(Float64Text, IsPostgresqlsOutput) {
    using limits = std::numeric_limits<double>;
    const std::pair<double, const char *> cases[] = {
        {0.0, "0"},
        {-0.0, "-0"},
        {1.0, "1"},
        {-1.0, "-1"},
        {0.1, "0.1"},
        {1.5, "1.5"},
        {100.0, "100"},
        {1e14, "100000000000000"},
        {999999999999999.0, "999999999999999"},
        {1e15, "1e+15"},
        {1234567890123456.0, "1.234567890123456e+15"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {123456789012345.6, "123456789012345.6"},
        {0.0001, "0.0001"},
        {0.00012345, "0.00012345"},
        {1e-5, "1e-05"},
        {1.2345e-5, "1.2345e-05"},
        {1e22, "1e+22"},
        {1e23, "9.999999999999999e+22"},
        {9007199254740993.0, "9.007199254740992e+15"},
        {1e100, "1e+100"},
        {1e-100, "1e-100"},
        {limits::max(), "1.7976931348623157e+308"},
        {limits::min(), "2.2250738585072014e-308"},
        {limits::denorm_min(), "5e-324"},
        {3.141592653589793, "3.141592653589793"},
        {0.30000000000000004, "0.30000000000000004"},
        {limits::infinity(), "Infinity"},
        {-limits::infinity(), "-Infinity"},
        {limits::quiet_NaN(), "NaN"},
        {-limits::quiet_NaN(), "NaN"},
    };
    for (const auto &[value, text] : cases)
        EXPECT_EQ(text_of_float64(value), text);
}

TEST(Float64Text, ReadsBackAndIsShortest) {
    std::mt19937_64 random(7);
    const auto check = [](double value) {
        const std::string text = text_of_float64(value);
        EXPECT_EQ(std::strtod(text.c_str(), nullptr), value) << text;
        /* no text with fewer digits reads back, except for the one that PostgreSQL leaves aside as a borderline */
        size_t digits = 0;
        for (char character : text.substr(0, text.find('e')))
            digits += character >= '0' && character <= '9';
        if (digits <= 17 && text.find('e') != std::string::npos && digits > 1) {
            char shorter[40];
            snprintf(shorter, sizeof shorter, "%.*e", static_cast<int>(digits) - 2, value);
            const bool borderline =
                std::strtold(shorter, nullptr) != value &&
                std::fabs(std::strtold(shorter, nullptr) - value) * 2 ==
                    std::fabs(std::nextafter(value, shorter[0] == '-' ? -INFINITY : INFINITY) - value);
            if (!borderline) {
                EXPECT_NE(std::strtod(shorter, nullptr), value) << text << " " << shorter;
            }
        }
    };
    for (int exponent = -1074; exponent < 1024; ++exponent) {
        const double power = std::ldexp(1.0, exponent);
        check(power);
        check(-power);
        check(std::nextafter(power, 0));
        check(std::nextafter(power, INFINITY));
    }
    for (int i = 0; i < 50000; ++i) {
        const uint64_t bits = random();
        double value;
        memcpy(&value, &bits, sizeof value);
        if (std::isfinite(value))
            check(value);
        check(static_cast<double>(random() % 1000000) / 1000);
    }
}

TEST(ObjectIdText, BothWays) {
    const uint8_t bytes[12] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xab, 0xcd, 0xef, 0x10, 0x20, 0x30, 0x4a};
    char text[24];
    write_object_id(bytes, text);
    EXPECT_EQ(std::string(text, 24), "00017f80ffabcdef1020304a");
    for (const char *form : {"00017f80ffabcdef1020304a", "00017F80FFABCDEF1020304A"}) {
        uint8_t back[12] = {};
        ASSERT_TRUE(parse_object_id(form, back));
        EXPECT_EQ(memcmp(back, bytes, 12), 0);
    }
}

TEST(ObjectIdText, RefusesOthers) {
    uint8_t bytes[12];
    for (const char *text : {"", "00017f80ffabcdef1020304", "00017f80ffabcdef1020304a0", "00017f80ffabcdef1020304g",
                             "00017f80ffabcdef102030 a", "0x017f80ffabcdef1020304a", "@0017f80ffabcdef1020304a",
                             "00017f80ffabcdef1020304`", "00017f80ffabcdef1020304\x1a"})
        EXPECT_FALSE(parse_object_id(text, bytes)) << text;
}

TEST(UuidText, BothWays) {
    const uint8_t bytes[16] = {0xc8, 0xed, 0xab, 0xc3, 0xf7, 0x38, 0x4c, 0xa3,
                               0xb6, 0x8d, 0xab, 0x92, 0xa9, 0x14, 0x78, 0xa3};
    char text[36];
    write_uuid(bytes, text);
    EXPECT_EQ(std::string(text, 36), "c8edabc3-f738-4ca3-b68d-ab92a91478a3");
    for (const char *form : {"c8edabc3-f738-4ca3-b68d-ab92a91478a3", "C8EDABC3-F738-4CA3-B68D-AB92A91478A3"}) {
        uint8_t back[16] = {};
        ASSERT_TRUE(parse_uuid(form, back));
        EXPECT_EQ(memcmp(back, bytes, 16), 0);
    }
}

TEST(UuidText, RefusesOthers) {
    uint8_t bytes[16];
    for (const char *text : {"", "c8edabc3f7384ca3b68dab92a91478a3", "c8edabc3-f738-4ca3-b68d-ab92a91478a",
                             "c8edabc3-f738-4ca3-b68d-ab92a91478a3a", "{c8edabc3-f738-4ca3-b68d-ab92a91478a}",
                             "c8edabc3-f738-4ca3-b68d+ab92a91478a3", "c8edabc-3f738-4ca3-b68d-ab92a91478a3",
                             "g8edabc3-f738-4ca3-b68d-ab92a91478a3"})
        EXPECT_FALSE(parse_uuid(text, bytes)) << text;
}

} // namespace

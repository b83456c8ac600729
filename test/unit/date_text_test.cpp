/*
 * Dates as ISO 8601 text, over the whole range of int64.
 */
#include "bson/number_text.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace {

using namespace mongoferry::bson;

std::string text_of(int64_t milliseconds) {
    char buffer[number_text_size];
    const size_t size = write_iso_date(milliseconds, buffer);
    EXPECT_EQ(size, strlen(buffer));
    return {buffer, size};
}

constexpr int64_t day = 86'400'000;

TEST(DateText, BothWays) {
    const std::pair<int64_t, const char *> cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-day, "1969-12-31T00:00:00.000Z"},
        {-day - 1, "1969-12-30T23:59:59.999Z"},
        {951'782'400'000, "2000-02-29T00:00:00.000Z"},
        {951'868'800'000, "2000-03-01T00:00:00.000Z"},
        {1'709'210'096'789, "2024-02-29T12:34:56.789Z"},
        {4'107'542'400'000, "2100-03-01T00:00:00.000Z"},
        {4'107'542'399'999, "2100-02-28T23:59:59.999Z"},
        {-2'203'891'200'000, "1900-03-01T00:00:00.000Z"},
        {-2'203'891'200'001, "1900-02-28T23:59:59.999Z"},
        {-62'135'596'800'000, "0001-01-01T00:00:00.000Z"},
        {-62'135'596'800'001, "0000-12-31T23:59:59.999Z"},
        {-62'162'208'000'000, "0000-02-28T00:00:00.000Z"},
        {-62'167'219'200'000, "0000-01-01T00:00:00.000Z"},
        {-62'167'219'200'001, "-000001-12-31T23:59:59.999Z"},
        {253'402'300'799'999, "9999-12-31T23:59:59.999Z"},
        {253'402'300'800'000, "+010000-01-01T00:00:00.000Z"},
        /* the limits of ECMAScript's Date */
        {8'640'000'000'000'000, "+275760-09-13T00:00:00.000Z"},
        {-8'640'000'000'000'000, "-271821-04-20T00:00:00.000Z"},
        {31'494'784'780'799'999, "+999999-12-31T23:59:59.999Z"},
        {31'494'784'780'800'000, "+1000000-01-01T00:00:00.000Z"},
        /* the limits of the type */
        {INT64_MAX, "+292278994-08-17T07:12:55.807Z"},
        {INT64_MIN, "-292275055-05-16T16:47:04.192Z"},
    };
    for (const auto &[milliseconds, text] : cases) {
        EXPECT_EQ(text_of(milliseconds), text);
        int64_t back = 42;
        EXPECT_TRUE(parse_iso_date(text, &back)) << text;
        EXPECT_EQ(back, milliseconds) << text;
    }
}

TEST(DateText, EachDayFollowsTheOneBefore) {
    /* counted by hand, over four centuries and the year 0 */
    const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = -401;
    int month = 1;
    int day_of_month = 1;
    int64_t milliseconds;
    ASSERT_TRUE(parse_iso_date("-000401-01-01T00:00:00Z", &milliseconds));
    while (year < 2405) {
        char expected[32];
        snprintf(expected, sizeof expected, year < 0 ? "-%06d-%02d-%02dT" : "%04d-%02d-%02dT", year < 0 ? -year : year,
                 month, day_of_month);
        ASSERT_EQ(text_of(milliseconds).substr(0, strlen(expected)), expected);
        const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        if (++day_of_month > lengths[month - 1] + (month == 2 && leap ? 1 : 0)) {
            day_of_month = 1;
            if (++month > 12) {
                month = 1;
                ++year;
            }
        }
        milliseconds += day;
    }
}

TEST(DateText, RandomTimesReadBack) {
    std::mt19937_64 random(1582);
    for (int i = 0; i < 200000; ++i) {
        const int64_t milliseconds = static_cast<int64_t>(random()) >> (random() % 63);
        const std::string text = text_of(milliseconds);
        int64_t back = 0;
        ASSERT_TRUE(parse_iso_date(text, &back)) << text;
        ASSERT_EQ(back, milliseconds) << text;
    }
}

TEST(DateText, ParsesOtherForms) {
    const std::pair<const char *, const char *> cases[] = {
        {"2024-02-29T12:34:56Z", "2024-02-29T12:34:56.000Z"},
        {"2024-02-29t12:34:56z", "2024-02-29T12:34:56.000Z"},
        {"2024-02-29T12:34:56.7Z", "2024-02-29T12:34:56.700Z"},
        {"2024-02-29T12:34:56.78Z", "2024-02-29T12:34:56.780Z"},
        {"2024-02-29T12:34:56.7899Z", "2024-02-29T12:34:56.789Z"},
        {"2024-02-29T12:34:56.789999999Z", "2024-02-29T12:34:56.789Z"},
        {"1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"},
        {"2024-02-29T00:30:00+01:00", "2024-02-28T23:30:00.000Z"},
        {"2024-02-29T00:30:00.000+0100", "2024-02-28T23:30:00.000Z"},
        {"2024-02-28T23:30:00-01:30", "2024-02-29T01:00:00.000Z"},
        {"2024-02-29T00:30:00+01", "2024-02-28T23:30:00.000Z"},
        {"2024-12-31T23:59:59-00:01", "2025-01-01T00:00:59.000Z"},
        {"2024-02-29T00:00:00-00:00", "2024-02-29T00:00:00.000Z"},
        {"+002024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"},
        {"-0001-12-31T23:59:59.999Z", "-000001-12-31T23:59:59.999Z"},
        {"-12345-01-01T00:00:00Z", "-012345-01-01T00:00:00.000Z"},
        {"+292278994-08-17T08:12:55.807+01:00", "+292278994-08-17T07:12:55.807Z"},
    };
    for (const auto &[text, expected] : cases) {
        int64_t milliseconds = 0;
        ASSERT_TRUE(parse_iso_date(text, &milliseconds)) << text;
        EXPECT_EQ(text_of(milliseconds), expected) << text;
    }
}

TEST(DateText, RefusesWhatIsNoTime) {
    const char *cases[] = {
        "",
        "2024",
        "2024-02-29",
        "2024-02-29T12:34Z",
        "2024-02-29T12:34:56",
        "2024-02-29 12:34:56Z",
        "2024-02-29T12:34:56.Z",
        "2024-02-29T12:34:56,5Z",
        "2024-02-29T12:34:56.0000000000Z",
        "2024-02-29T12:34:56ZZ",
        "2024-02-29T12:34:56Z ",
        " 2024-02-29T12:34:56Z",
        "2024-02-29T12:34:56+1",
        "2024-02-29T12:34:56+1:00",
        "2024-02-29T12:34:56+01:0",
        "2024-02-29T12:34:56+01:",
        "2024-02-29T12:34:56+24:00",
        "2024-02-29T12:34:56+01:60",
        "2024-02-29T12:34:56+010000",
        "2024-00-01T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-32T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:60Z",
        "24-01-01T00:00:00Z",
        "12024-01-01T00:00:00Z",
        "+2024-01-01T00:00:00Z",
        "+02024-01-01T00:00:00Z",
        "-024-01-01T00:00:00Z",
        "+1000000000-01-01T00:00:00Z",
        "2024-1-01T00:00:00Z",
        "2024-01-01T0:00:00Z",
        "2024-0a-01T00:00:00Z",
        /* beyond int64 */
        "+292278994-08-17T07:12:55.808Z",
        "-292275055-05-16T16:47:04.191Z",
        "+292278994-08-17T07:12:55.807-00:01",
        "+999999999-12-31T00:00:00Z",
        "-999999999-01-01T00:00:00Z",
    };
    int64_t milliseconds = 0;
    for (const char *text : cases)
        EXPECT_FALSE(parse_iso_date(text, &milliseconds)) << text;
    EXPECT_FALSE(parse_iso_date(std::string_view("2024-01-01T00:00:00Z\0", 21), &milliseconds));
}

} // namespace

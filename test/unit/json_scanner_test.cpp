/*
 * The pieces of JSON text: RFC 8259's rules as cases.
 */
#include "bson/json_scanner.h"
#include "raw_bson.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace {

using namespace mongoferry::bson;
using namespace mongoferry::test;
using namespace std::string_literals;

/* The text lies in a block of exactly its size, so that a sanitizer sees a read behind it. */
class Scanned {
public:
    explicit Scanned(std::string_view text)
        : bytes_(text), scanner(std::string_view(reinterpret_cast<const char *>(bytes_.view().data), text.size())) {}

private:
    ExactBytes bytes_;

public:
    JsonScanner scanner;
};

/* "offset: message" of the error that a call raises, "" if it raises none. */
template <typename Call>
std::string error_of(Call call) {
    try {
        call();
    } catch (const ParseError &error) {
        return std::to_string(error.offset) + ": " + error.what();
    }
    return "";
}

const std::string ends = ": the text ends inside a document";

TEST(JsonScanner, Strings) {
    const std::pair<std::string, std::string> cases[] = {
        {R"("")", ""},
        {R"("a")", "a"},
        {R"("a b/c")", "a b/c"},
        {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
        {R"("\u0041\u00e9\u20AC\ud83d\ude00")", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {R"("\u0000")", "\0"s},
        {R"("\u007f\u0080\u07ff\u0800\uffff")", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"},
        {R"("\ud800\udc00\udbff\udfff")", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
        {R"("before\nafter")", "before\nafter"},
        {R"("\n\n")", "\n\n"},
        /* the first and last sequence of each length, and around the surrogates */
        {"\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
         "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
    };
    for (const auto &[text, expected] : cases)
        for (size_t before = 0; before < 9; ++before) { /* strings are searched by words of eight bytes */
            const std::string filler(before, 'x');
            Scanned scanned('"' + filler + text.substr(1));
            JsonText string;
            EXPECT_EQ(error_of([&] { scanned.scanner.read_string(string); }), "") << text;
            EXPECT_EQ(string.view(), filler + expected) << text;
            EXPECT_EQ(scanned.scanner.offset(), before + text.size());
        }
}

TEST(JsonScanner, AStringCanBeReadIntoAgain) {
    Scanned scanned(R"("\n" "plain" "\t")");
    JsonText string;
    scanned.scanner.read_string(string);
    EXPECT_EQ(string.view(), "\n");
    scanned.scanner.skip_white_space();
    scanned.scanner.read_string(string);
    EXPECT_EQ(string.view(), "plain");
    EXPECT_EQ(string.offset, 5u);
    scanned.scanner.skip_white_space();
    scanned.scanner.read_string(string);
    EXPECT_EQ(string.view(), "\t");
}

TEST(JsonScanner, RefusesMalformedStrings) {
    const std::string utf8 = ": a string is not valid UTF-8";
    const std::string control = ": a control character stands unescaped in a string";
    const std::string escape = ": an unknown escape sequence stands in a string";
    const std::string hex = ": a hexadecimal digit is expected in an escape sequence";
    const std::string surrogate = ": half of a surrogate pair stands alone in a string";
    const std::pair<std::string, std::string> cases[] = {
        {"x", "0: a string is expected"},
        {"'a'", "0: a string is expected"},
        {"", "0" + ends},
        {"\"", "1" + ends},
        {"\"abc", "4" + ends},
        {"\"0123456789", "11" + ends},
        {"\"a\\", "3" + ends},
        {"\"a\\u", "4" + ends},
        {"\"a\\u12", "6" + ends},
        {"\"\\ud83d", "7" + ends},
        {"\"\\ud83d\\", "8" + ends},
        {"\"\\ud83d\\ude0", "12" + ends},
        {"\"\xc3", "2" + ends},
        {"\"\xf0\x9f\x98", "4" + ends},
        {"\"a\nb\"", "2" + control},
        {"\"\t\"", "1" + control},
        {"\"a\0\""s, "2" + control},
        {"\"\x1f\"", "1" + control},
        {"\"a\\x\"", "2" + escape},
        {"\"\\'\"", "1" + escape},
        {"\"\\U0041\"", "1" + escape},
        {"\"\\0\"", "1" + escape},
        {"\"\\u12g4\"", "5" + hex},
        {"\"\\u12\"", "5" + hex},
        {"\"\\u 041\"", "3" + hex},
        {"\"\\ud83d\\u00\"", "11" + hex},
        {"\"a\\ud83d\"", "2" + surrogate},
        {"\"\\ude00\"", "1" + surrogate},
        {"\"\\ude00\\ud83d\"", "1" + surrogate},
        {"\"\\ud83d\\ud83d\"", "1" + surrogate},
        {"\"\\ud83dx\"", "1" + surrogate},
        {"\"\\ud83d\\n\"", "1" + surrogate},
        {"\"\\ud83d\\u0041\"", "1" + surrogate},
        {"\"\\ud83d\\ue000\"", "1" + surrogate},
        /* UTF-8 that is none: a tail alone, no tail, overlong, surrogates, too large, bytes that never occur */
        {"\"\x80\"", "1" + utf8},
        {"\"a\xbf\"", "2" + utf8},
        {"\"\xc3\"", "1" + utf8},
        {"\"\xc3(\"", "1" + utf8},
        {"\"\xe2\x82\"", "1" + utf8},
        {"\"\xe2(\xac\"", "1" + utf8},
        {"\"\xf0\x9f\x98\"", "1" + utf8},
        {"\"\xc0\x80\"", "1" + utf8},
        {"\"\xc1\xbf\"", "1" + utf8},
        {"\"\xe0\x9f\xbf\"", "1" + utf8},
        {"\"\xf0\x8f\xbf\xbf\"", "1" + utf8},
        {"\"\xed\xa0\x80\"", "1" + utf8},
        {"\"\xed\xbf\xbf\"", "1" + utf8},
        {"\"\xf4\x90\x80\x80\"", "1" + utf8},
        {"\"\xf5\x80\x80\x80\"", "1" + utf8},
        {"\"\xff\"", "1" + utf8},
        {"\"\xc3\xa9\xff\"", "3" + utf8},
    };
    for (const auto &[text, expected] : cases) {
        Scanned scanned(text);
        JsonText string;
        EXPECT_EQ(error_of([&] { scanned.scanner.read_string(string); }), expected) << text;
    }
}

TEST(JsonScanner, KeysMustNotContainNul) {
    JsonText key;
    EXPECT_EQ(error_of([&] { Scanned(R"("a\u0000b")").scanner.read_key(key); }), "0: a key must not contain U+0000");
    EXPECT_EQ(error_of([&] { Scanned("a").scanner.read_key(key); }), "0: a key in double quotes is expected");
    Scanned good(R"("a\u0001b")");
    good.scanner.read_key(key);
    EXPECT_EQ(key.view(), "a\x01"
                          "b");
}

TEST(JsonScanner, Integers) {
    const std::pair<const char *, int64_t> cases[] = {
        {"0", 0},
        {"7,", 7},
        {"-1]", -1},
        {"2147483648", 2147483648},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    for (const auto &[text, expected] : cases) {
        Scanned scanned(text);
        const JsonNumber number = scanned.scanner.read_number();
        EXPECT_TRUE(number.is_integer) << text;
        EXPECT_EQ(number.integer, expected) << text;
    }
}

TEST(JsonScanner, Doubles) {
    using limits = std::numeric_limits<double>;
    const std::string zeros(400, '0');
    const std::pair<std::string, double> cases[] = {
        {"1.5", 1.5},
        {"-1.5", -1.5},
        {"1.0", 1.0},
        {"1e3", 1000.0},
        {"1E+3", 1000.0},
        {"1e-3", 0.001},
        {"12.5e1", 125.0},
        {"0e5", 0.0},
        {"0.1", 0.1},
        {"9007199254740993.0", 9007199254740992.0}, /* a tie goes to the even one */
        {"9007199254740993.00000001", 9007199254740994.0},
        {"2.2250738585072011e-308", 2.2250738585072011e-308},
        {"1.7976931348623157e308", limits::max()},
        {"1.7976931348623158e308", limits::max()},
        {"4.9406564584124654e-324", limits::denorm_min()},
        {"3e-324", limits::denorm_min()},
        {"1e-400", 0.0},
        {"2e-324", 0.0},
        {"0." + zeros + "1", 0.0},
        {"0." + zeros + "1e401", 1.0},
        {"1" + zeros + "e-400", 1.0},
        {"12345678901234567890.5", 12345678901234567890.5},
        {"1e-99999999999999999999", 0.0},
        {"0e99999999999999999999", 0.0},
    };
    for (const auto &[text, expected] : cases) {
        Scanned scanned(text);
        JsonNumber number{};
        EXPECT_EQ(error_of([&] { number = scanned.scanner.read_number(); }), "") << text;
        EXPECT_FALSE(number.is_integer) << text;
        EXPECT_EQ(number.float64, expected) << text;
        EXPECT_EQ(scanned.scanner.offset(), text.size());
    }
    for (const char *text : {"-0", "-0.0", "-0e1", "-1e-400"}) {
        const JsonNumber number = Scanned(text).scanner.read_number();
        EXPECT_FALSE(number.is_integer) << text;
        EXPECT_EQ(number.float64, 0.0) << text;
        EXPECT_TRUE(std::signbit(number.float64)) << text;
    }
}

TEST(JsonScanner, RefusesMalformedNumbers) {
    const std::string integer = ": an integer is beyond the range of 64 bits";
    const std::string real = ": a number is beyond the range of a double";
    const std::string value = ": a value is expected";
    const std::pair<std::string, std::string> cases[] = {
        {"", "0" + ends},
        {"-", "1" + ends},
        {"1.", "2" + ends},
        {"1e", "2" + ends},
        {"1e+", "3" + ends},
        {"+1", "0" + value},
        {"-a", "0" + value},
        {"--1", "0" + value},
        {".5", "0" + value},
        {"NaN", "0" + value},
        {"-Infinity", "0" + value},
        {"01", "0: a number begins with a zero"},
        {"-00", "1: a number begins with a zero"},
        {"1.a", "2: a digit is expected after the point of a number"},
        {"1.e5", "2: a digit is expected after the point of a number"},
        {"1e,", "2: a digit is expected in the exponent of a number"},
        {"1e+-1", "3: a digit is expected in the exponent of a number"},
        {"9223372036854775808", "0" + integer},
        {"-9223372036854775809", "0" + integer},
        {"18446744073709551616", "0" + integer},
        {"18446744073709551617", "0" + integer},
        {"100000000000000000000000000000000000000", "0" + integer},
        {"1e309", "0" + real},
        {"-1.8e308", "0" + real},
        {"1e99999999999999999999", "0" + real},
        {"0.0001e313", "0" + real},
    };
    for (const auto &[text, expected] : cases) {
        Scanned scanned(text);
        EXPECT_EQ(error_of([&] { scanned.scanner.read_number(); }), expected) << text;
    }
}

TEST(JsonScanner, Words) {
    const std::pair<const char *, std::string> cases[] = {
        {"true", ""},
        {"true,", ""},
        {"tru", "3" + ends},
        {"t", "1" + ends},
        {"trux", "0: a value is expected"},
        {"TRUE", "0: a value is expected"},
        {"tx", "0: a value is expected"},
    };
    for (const auto &[text, expected] : cases)
        EXPECT_EQ(error_of([&] { Scanned(text).scanner.read_word("true"); }), expected) << text;
}

TEST(JsonScanner, WhiteSpaceIsJsonsOnly) {
    Scanned scanned(" \t\r\n\f");
    scanned.scanner.skip_white_space();
    EXPECT_EQ(scanned.scanner.offset(), 4u);
}

} // namespace

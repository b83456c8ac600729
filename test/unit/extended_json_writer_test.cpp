/*
 * BSON → Extended JSON: each type in both formats, and documents that cannot be written.
 * https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md
 */
#include "bson/base64.h"
#include "bson/extended_json_writer.h"
#include "json_text.h"
#include "raw_bson.h"

#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace {

using namespace mongoferry::bson;
using namespace mongoferry::test;
using namespace std::string_literals;

struct Written {
    std::string text;
    WriteError error;
    std::string message() const { return error.message == nullptr ? "" : error.message; }
};

Written write(const std::string &document, JsonFormat format) {
    const ExactBytes bytes(document);
    Written written;
    written.error = write_document(bytes.view(), format, sink_into(&written.text));
    return written;
}

std::string written(const std::string &element, JsonFormat format) {
    const Written result = write(raw_document(element), format);
    EXPECT_EQ(result.message(), "");
    return result.text;
}

struct Case {
    std::string element;
    std::string relaxed;
    std::string canonical;
};

void check(const Case &expected) {
    EXPECT_EQ(written(expected.element, JsonFormat::relaxed), expected.relaxed);
    EXPECT_EQ(written(expected.element, JsonFormat::canonical), expected.canonical);
}

std::string date(int64_t milliseconds) {
    return raw_element(0x09, "d", raw(milliseconds));
}
std::string number(double value) {
    return raw_element(0x01, "d", raw(value));
}
std::string number_double(const std::string &text) {
    return R"({"d": {"$numberDouble": ")" + text + R"("}})";
}
std::string number_long(const std::string &text) {
    return R"({"d": {"$date": {"$numberLong": ")" + text + R"("}}})";
}

const std::string object_id = "\x50\x7f\x1f\x77\xbc\xf8\x6c\xd7\x99\x43\x90\x11";

TEST(ExtendedJsonWriter, Empty) {
    check({"", "{}", "{}"});
}

TEST(ExtendedJsonWriter, Doubles) {
    using limits = std::numeric_limits<double>;
    check({number(1.5), R"({"d": 1.5})", number_double("1.5")});
    check({number(1), R"({"d": 1.0})", number_double("1.0")});
    check({number(-100), R"({"d": -100.0})", number_double("-100.0")});
    check({number(0), R"({"d": 0.0})", number_double("0.0")});
    check({number(-0.0), R"({"d": -0.0})", number_double("-0.0")});
    check({number(999999999999999), R"({"d": 999999999999999.0})", number_double("999999999999999.0")});
    check({number(1e15), R"({"d": 1e+15})", number_double("1e+15")});
    check({number(1e-5), R"({"d": 1e-05})", number_double("1e-05")});
    check({number(limits::max()), R"({"d": 1.7976931348623157e+308})", number_double("1.7976931348623157e+308")});
    for (JsonFormat format : {JsonFormat::relaxed, JsonFormat::canonical}) {
        EXPECT_EQ(written(number(limits::infinity()), format), number_double("Infinity"));
        EXPECT_EQ(written(number(-limits::infinity()), format), number_double("-Infinity"));
        EXPECT_EQ(written(number(limits::quiet_NaN()), format), number_double("NaN"));
    }
}

TEST(ExtendedJsonWriter, Integers) {
    check({raw_element(0x10, "i", raw(INT32_MAX)), R"({"i": 2147483647})", R"({"i": {"$numberInt": "2147483647"}})"});
    check({raw_element(0x10, "i", raw(INT32_MIN)), R"({"i": -2147483648})", R"({"i": {"$numberInt": "-2147483648"}})"});
    check({raw_element(0x12, "i", raw(INT64_MAX)), R"({"i": 9223372036854775807})",
           R"({"i": {"$numberLong": "9223372036854775807"}})"});
    check({raw_element(0x12, "i", raw(INT64_MIN)), R"({"i": -9223372036854775808})",
           R"({"i": {"$numberLong": "-9223372036854775808"}})"});
    check({raw_element(0x12, "i", raw(int64_t{0})), R"({"i": 0})", R"({"i": {"$numberLong": "0"}})"});
}

TEST(ExtendedJsonWriter, Dates) {
    check({date(0), R"({"d": {"$date": "1970-01-01T00:00:00Z"}})", number_long("0")});
    check({date(1), R"({"d": {"$date": "1970-01-01T00:00:00.001Z"}})", number_long("1")});
    check({date(1709210096500), R"({"d": {"$date": "2024-02-29T12:34:56.500Z"}})", number_long("1709210096500")});
    check({date(253402300799999), R"({"d": {"$date": "9999-12-31T23:59:59.999Z"}})", number_long("253402300799999")});
    for (int64_t outside : {int64_t{-1}, int64_t{253402300800000}, INT64_MAX, INT64_MIN})
        check({date(outside), number_long(std::to_string(outside)), number_long(std::to_string(outside))});
}

TEST(ExtendedJsonWriter, TypesThatAreTheSameInBothFormats) {
    const std::pair<std::string, std::string> cases[] = {
        {raw_element(0x02, "k", raw_text("text")), R"({"k": "text"})"},
        {raw_element(0x02, "", raw_text("")), R"({"": ""})"},
        {raw_element(0x03, "k", raw_document()), R"({"k": {}})"},
        {raw_element(0x04, "k", raw_document()), R"({"k": []})"},
        {raw_element(0x04, "k", raw_document(raw_element(0x0A, "0") + raw_element(0x04, "1", raw_document()))),
         R"({"k": [null, []]})"},
        {raw_element(0x03, "k", raw_document(raw_element(0x0A, "a.b") + raw_element(0x0A, "$c"))),
         R"({"k": {"a.b": null, "$c": null}})"},
        {raw_element(0x05, "k", raw_binary(0, "")), R"({"k": {"$binary": {"base64": "", "subType": "00"}}})"},
        {raw_element(0x05, "k", raw_binary(0, "foobar!")),
         R"({"k": {"$binary": {"base64": "Zm9vYmFyIQ==", "subType": "00"}}})"},
        {raw_element(0x05, "k", raw_binary(2, raw(int32_t{3}) + "foo")),
         R"({"k": {"$binary": {"base64": "Zm9v", "subType": "02"}}})"},
        {raw_element(0x05, "k", raw_binary(4, "\xc8\xed\xab\xc3\xf7\x38\x4c\xa3\xb6\x8d\xab\x92\xa9\x14\x78\xa3")),
         R"({"k": {"$binary": {"base64": "yO2rw/c4TKO2jauSqRR4ow==", "subType": "04"}}})"},
        {raw_element(0x05, "k", raw_binary(0x80, "\xff\xff")),
         R"({"k": {"$binary": {"base64": "//8=", "subType": "80"}}})"},
        {raw_element(0x06, "k"), R"({"k": {"$undefined": true}})"},
        {raw_element(0x07, "k", object_id), R"({"k": {"$oid": "507f1f77bcf86cd799439011"}})"},
        {raw_element(0x08, "k", "\0"s), R"({"k": false})"},
        {raw_element(0x08, "k", "\x01"), R"({"k": true})"},
        {raw_element(0x0A, "k"), R"({"k": null})"},
        {raw_element(0x0B, "k", "a\"\\b\0xmsi\0"s),
         R"({"k": {"$regularExpression": {"pattern": "a\"\\b", "options": "imsx"}}})"},
        {raw_element(0x0B, "k", "\0\0"s), R"({"k": {"$regularExpression": {"pattern": "", "options": ""}}})"},
        {raw_element(0x0B, "k", "a\0\xc3\xa9i\0"s),
         "{\"k\": {\"$regularExpression\": {\"pattern\": \"a\", \"options\": \"\xc3\xa9i\"}}}"},
        {raw_element(0x0B, "k", "a\0"s + std::string(128, 'x') + "i\0"s),
         R"({"k": {"$regularExpression": {"pattern": "a", "options": ")" + std::string(128, 'x') + R"(i"}}})"},
        {raw_element(0x0C, "k", raw_text("shop.users") + object_id),
         R"({"k": {"$dbPointer": {"$ref": "shop.users", "$id": {"$oid": "507f1f77bcf86cd799439011"}}}})"},
        {raw_element(0x0D, "k", raw_text("x = \"y\"")), R"({"k": {"$code": "x = \"y\""}})"},
        {raw_element(0x0E, "k", raw_text("s")), R"({"k": {"$symbol": "s"}})"},
        {raw_element(0x0F, "k", raw_code_with_scope("x", raw_document(raw_element(0x0A, "x")))),
         R"({"k": {"$code": "x", "$scope": {"x": null}}})"},
        {raw_element(0x11, "k", raw(uint32_t{0xFFFFFFFF}) + raw(uint32_t{0xFFFFFFFE})),
         R"({"k": {"$timestamp": {"t": 4294967294, "i": 4294967295}}})"},
        {raw_element(0x13, "k", "\x96\0\0\0\0\0\0\0\0\0\0\0\0\0\x3c\x30"s), R"({"k": {"$numberDecimal": "1.50"}})"},
        {raw_element(0x13, "k", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf8"s), R"({"k": {"$numberDecimal": "-Infinity"}})"},
        {raw_element(0x7F, "k"), R"({"k": {"$maxKey": 1}})"},
        {raw_element(0xFF, "k"), R"({"k": {"$minKey": 1}})"},
        {raw_element(0x0A, "k") + raw_element(0x08, "k", "\x01"), R"({"k": null, "k": true})"},
    };
    for (const auto &[element, text] : cases)
        check({element, text, text});
}

TEST(ExtendedJsonWriter, FormatReachesNestedValues) {
    const std::string inner = raw_document(raw_element(0x10, "0", raw(int32_t{1})));
    check({raw_element(0x04, "a", inner) + raw_element(0x03, "o", inner) +
               raw_element(0x0F, "c", raw_code_with_scope("", inner)),
           R"({"a": [1], "o": {"0": 1}, "c": {"$code": "", "$scope": {"0": 1}}})",
           R"({"a": [{"$numberInt": "1"}], "o": {"0": {"$numberInt": "1"}}, )"
           R"("c": {"$code": "", "$scope": {"0": {"$numberInt": "1"}}}})"});
}

TEST(ExtendedJsonWriter, EscapesStringsAndKeys) {
    const std::pair<std::string, std::string> cases[] = {
        {"\"\\/", R"(\"\\/)"},
        {"\b\f\n\r\t", R"(\b\f\n\r\t)"},
        {"a\0b"s, R"(a\u0000b)"},
        {"\x01\x0b\x1f", R"(\u0001\u000b\u001f)"},
        {"\x20\x7e\x7f", "\x20\x7e\x7f"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xff\xfe", "\xff\xfe"}, /* not ours to judge */
    };
    for (const auto &[text, escaped] : cases) {
        EXPECT_EQ(written(raw_element(0x02, "k", raw_text(text)), JsonFormat::relaxed),
                  R"({"k": ")" + escaped + R"("})");
        if (text.find('\0') == std::string::npos) {
            EXPECT_EQ(written(raw_element(0x0A, text), JsonFormat::relaxed), R"({")" + escaped + R"(": null})");
        }
    }
}

/* The writer gathers its text in a buffer: values of any size must come out whole wherever they begin in it. */
TEST(ExtendedJsonWriter, LongTextsComeOutWhole) {
    for (size_t size : {100u, 511u, 512u, 513u, 1000u, 1023u, 1024u, 1025u, 5000u, 100000u})
        for (size_t before : {0u, 1u, 500u, 1000u, 1010u}) {
            std::string data;
            for (size_t i = 0; i < size; ++i)
                data += static_cast<char>('a' + i % 26);
            const std::string first = raw_element(0x02, "f", raw_text(std::string(before, 'x')));
            const std::string prefix = R"({"f": ")" + std::string(before, 'x') + R"(", )";
            EXPECT_EQ(written(first + raw_element(0x02, "s", raw_text(data)), JsonFormat::relaxed),
                      prefix + R"("s": ")" + data + R"("})");
            EXPECT_EQ(
                written(first + raw_element(0x02, "s", raw_text(std::string(size, '\n'))), JsonFormat::relaxed).size(),
                prefix.size() + 2 * size + 8);
            EXPECT_EQ(written(first + raw_element(0x0A, data), JsonFormat::relaxed),
                      prefix + '"' + data + R"(": null})");

            const std::string binary =
                written(first + raw_element(0x05, "b", raw_binary(0, data)), JsonFormat::relaxed);
            std::vector<uint8_t> back;
            const std::string open = prefix + R"("b": {"$binary": {"base64": ")";
            const std::string close = R"(", "subType": "00"}}})";
            ASSERT_GT(binary.size(), open.size() + close.size());
            EXPECT_EQ(binary.substr(0, open.size()), open);
            EXPECT_EQ(binary.substr(binary.size() - close.size()), close);
            ASSERT_TRUE(parse_base64(binary.substr(open.size(), binary.size() - open.size() - close.size()), &back));
            EXPECT_EQ(std::string(back.begin(), back.end()), data);
        }
}

TEST(ExtendedJsonWriter, ArraysAndSingleValues) {
    const ExactBytes array(raw_document(raw_element(0x10, "0", raw(int32_t{1})) + raw_element(0x0A, "7")));
    std::string text;
    EXPECT_EQ(write_array(array.view(), JsonFormat::relaxed, sink_into(&text)).message, nullptr);
    EXPECT_EQ(text, "[1, null]");

    const ExactBytes all(raw_document_of_all_types());
    std::string values;
    std::string document;
    Iterator iterator(all.view());
    while (iterator.next()) {
        values += (values.empty() ? "{\"" : ", \"") + std::string(iterator.key()) + "\": ";
        EXPECT_EQ(write_value(iterator.value(), JsonFormat::canonical, sink_into(&values)).message, nullptr);
    }
    values += "}";
    EXPECT_EQ(write_document(all.view(), JsonFormat::canonical, sink_into(&document)).message, nullptr);
    EXPECT_EQ(values, document);
}

TEST(ExtendedJsonWriter, SaysWhereADocumentIsCorrupt) {
    const std::string corrupt = raw_document(raw_element(0x0A, "a") + raw_element(0x14, "b"));
    /* {"k": {…}}: 4 length, 1 type, 2 key; in the inner one 4 length, 3 the first element */
    struct {
        std::string document;
        size_t offset;
    } const cases[] = {
        {corrupt, 7},
        {raw_document(raw_element(0x03, "k", corrupt)), 14},
        {raw_document(raw_element(0x0A, "x") + raw_element(0x04, "k", corrupt)), 17},
        {raw_document(raw_element(0x0F, "k", raw_code_with_scope("f", corrupt))), 24},
    };
    for (const auto &expected : cases) {
        const Written result = write(expected.document, JsonFormat::relaxed);
        EXPECT_EQ(result.message(), "unknown element type 0x14");
        EXPECT_EQ(result.error.offset, expected.offset);
    }
    EXPECT_EQ(write("\x05\0\0\0"s, JsonFormat::relaxed).message(), "its length does not fit its bytes");

    const ExactBytes outer(raw_document(raw_element(0x0A, "x") + raw_element(0x04, "k", corrupt)));
    Value value;
    ASSERT_TRUE(find(outer.view(), "k", &value));
    std::string text;
    const WriteError error = write_value(value, JsonFormat::relaxed, sink_into(&text));
    EXPECT_STREQ(error.message, "unknown element type 0x14");
    EXPECT_EQ(error.offset, 7u) << "counted from the value's bytes";
}

TEST(ExtendedJsonWriter, RefusesToNestTooDeeply) {
    for (int type : {0x03, 0x04}) {
        std::string document = raw_document();
        for (int depth = 1; depth < max_nesting; ++depth)
            document = raw_document(raw_element(type, "k", document));
        EXPECT_EQ(write(document, JsonFormat::relaxed).message(), "");
        document = raw_document(raw_element(type, "k", document));
        const Written result = write(document, JsonFormat::relaxed);
        EXPECT_EQ(result.message(), "it is nested too deeply");
        EXPECT_EQ(result.error.offset, static_cast<size_t>(max_nesting) * 7);
    }
    /* no deeper on the stack, however deep the document */
    EXPECT_EQ(write(raw_nested_document(200000), JsonFormat::relaxed).message(), "it is nested too deeply");
    std::string scopes = raw_document();
    for (int depth = 0; depth < max_nesting; ++depth)
        scopes = raw_document(raw_element(0x0F, "k", raw_code_with_scope("", scopes)));
    EXPECT_EQ(write(scopes, JsonFormat::relaxed).message(), "it is nested too deeply");
}

} // namespace

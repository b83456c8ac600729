/*
 * Extended JSON → BSON: every form that is a value, every form that is none, and the way there and back.
 * https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md
 */
#include "bson/extended_json_parser.h"
#include "json_text.h"
#include "raw_bson.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace {

using namespace mongoferry::bson;
using namespace mongoferry::test;
using namespace std::string_literals;

struct Parsed {
    std::string bytes;
    size_t consumed = 0;
    std::string error; /* "offset: message" */
};

Parsed parse(const std::string &text) {
    const ExactBytes exact(text);
    Parsed parsed;
    try {
        const Document document =
            parse_document({reinterpret_cast<const char *>(exact.view().data), text.size()}, &parsed.consumed);
        parsed.bytes.assign(document.begin(), document.end());
    } catch (const ParseError &error) {
        parsed.error = std::to_string(error.offset) + ": " + error.what();
    }
    return parsed;
}

std::string write(const std::string &bytes, JsonFormat format) {
    std::string text;
    const WriteError error =
        write_document({reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()}, format, sink_into(&text));
    EXPECT_EQ(error.message, nullptr) << error.message;
    return text;
}

/* {"k": value} must become this one element. */
void expect_element(const std::string &value, const std::string &element) {
    const Parsed parsed = parse(R"({"k": )" + value + "}");
    EXPECT_EQ(parsed.error, "") << value;
    EXPECT_EQ(testing::PrintToString(parsed.bytes), testing::PrintToString(raw_document(element))) << value;
}

const std::string object_id = "\x50\x7f\x1f\x77\xbc\xf8\x6c\xd7\x99\x43\x90\x11";
const std::string uuid = "\xc8\xed\xab\xc3\xf7\x38\x4c\xa3\xb6\x8d\xab\x92\xa9\x14\x78\xa3";

std::string decimal(uint64_t high, uint64_t low) {
    return raw_element(0x13, "k", raw(low) + raw(high));
}
std::string date(int64_t milliseconds) {
    return raw_element(0x09, "k", raw(milliseconds));
}
std::string regex(const std::string &pattern, const std::string &options) {
    return raw_element(0x0B, "k", pattern + '\0' + options + '\0');
}
std::string object(const std::string &elements) {
    return raw_element(0x03, "k", raw_document(elements));
}
std::string string(const std::string &key, const std::string &text) {
    return raw_element(0x02, key, raw_text(text));
}

TEST(ExtendedJsonParser, PlainValues) {
    expect_element("null", raw_element(0x0A, "k"));
    expect_element("true", raw_element(0x08, "k", "\x01"));
    expect_element("false", raw_element(0x08, "k", "\0"s));
    expect_element(R"("text")", string("k", "text"));
    expect_element(R"("a\u0000b")", string("k", "a\0b"s));
    expect_element("{}", object(""));
    expect_element("[]", raw_element(0x04, "k", raw_document()));
    expect_element(
        "[ 1 , [ ] , {\"a\":null} ]",
        raw_element(0x04, "k",
                    raw_document(raw_element(0x10, "0", raw(int32_t{1})) + raw_element(0x04, "1", raw_document()) +
                                 raw_element(0x03, "2", raw_document(raw_element(0x0A, "a"))))));
    expect_element(R"({"a.b": 1, "": {"$c": 2}})",
                   object(raw_element(0x10, "a.b", raw(int32_t{1})) +
                          raw_element(0x03, "", raw_document(raw_element(0x10, "$c", raw(int32_t{2}))))));
}

TEST(ExtendedJsonParser, PlainNumbers) {
    expect_element("0", raw_element(0x10, "k", raw(int32_t{0})));
    expect_element("2147483647", raw_element(0x10, "k", raw(INT32_MAX)));
    expect_element("-2147483648", raw_element(0x10, "k", raw(INT32_MIN)));
    expect_element("2147483648", raw_element(0x12, "k", raw(int64_t{2147483648})));
    expect_element("-2147483649", raw_element(0x12, "k", raw(int64_t{-2147483649})));
    expect_element("9223372036854775807", raw_element(0x12, "k", raw(INT64_MAX)));
    expect_element("1.0", raw_element(0x01, "k", raw(1.0)));
    expect_element("1e2", raw_element(0x01, "k", raw(100.0)));
    expect_element("-0", raw_element(0x01, "k", raw(-0.0)));
    expect_element("-0.0", raw_element(0x01, "k", raw(-0.0)));
}

TEST(ExtendedJsonParser, LongArraysAreCounted) {
    std::string text = R"({"k": [)";
    std::string elements;
    for (int i = 0; i < 1234; ++i) {
        text += i == 0 ? "null" : ",null";
        elements += raw_element(0x0A, std::to_string(i));
    }
    EXPECT_EQ(parse(text + "]}").bytes, raw_document(raw_element(0x04, "k", raw_document(elements))));
}

TEST(ExtendedJsonParser, Wrappers) {
    expect_element(R"({"$oid": "507f1f77bcf86cd799439011"})", raw_element(0x07, "k", object_id));
    expect_element(R"({"$oid":"507F1F77BCF86CD799439011"})", raw_element(0x07, "k", object_id));
    expect_element(R"( { "$oid" : "507f1f77bcf86cd799439011" } )", raw_element(0x07, "k", object_id));
    expect_element(R"({"$o\u0069d": "507f1f77bcf86cd79943\u0039011"})", raw_element(0x07, "k", object_id));
    expect_element(R"({"$symbol": "s"})", raw_element(0x0E, "k", raw_text("s")));
    expect_element(R"({"$numberInt": "-2147483648"})", raw_element(0x10, "k", raw(INT32_MIN)));
    expect_element(R"({"$numberLong": "5"})", raw_element(0x12, "k", raw(int64_t{5})));
    expect_element(R"({"$numberLong": "-9223372036854775808"})", raw_element(0x12, "k", raw(INT64_MIN)));
    expect_element(R"({"$numberDouble": "1"})", raw_element(0x01, "k", raw(1.0)));
    expect_element(R"({"$numberDouble": "-0.0"})", raw_element(0x01, "k", raw(-0.0)));
    expect_element(R"({"$numberDouble": "1.2E+18"})", raw_element(0x01, "k", raw(1.2e18)));
    expect_element(R"({"$numberDouble": "Infinity"})", raw_element(0x01, "k", raw(HUGE_VAL)));
    expect_element(R"({"$numberDouble": "-Infinity"})", raw_element(0x01, "k", raw(-HUGE_VAL)));
    expect_element(R"({"$numberDouble": "NaN"})", raw_element(0x01, "k", raw(uint64_t{0x7FF8000000000000})));
    expect_element(R"({"$numberDecimal": "1.50"})", decimal(0x303C000000000000, 150));
    expect_element(R"({"$numberDecimal": "NaN"})", decimal(0x7C00000000000000, 0));
    expect_element(R"({"$binary": {"base64": "Zm9v", "subType": "00"}})", raw_element(0x05, "k", raw_binary(0, "foo")));
    expect_element(R"({"$binary": {"subType": "80", "base64": ""}})", raw_element(0x05, "k", raw_binary(0x80, "")));
    expect_element(R"({"$binary": {"base64": "Zm9v", "subType": "5"}})", raw_element(0x05, "k", raw_binary(5, "foo")));
    expect_element(R"({"$binary": {"base64": "Zm9v", "subType": "02"}})",
                   raw_element(0x05, "k", raw_binary(2, raw(int32_t{3}) + "foo")));
    expect_element(R"({"$uuid": "c8edabc3-f738-4ca3-b68d-ab92a91478a3"})", raw_element(0x05, "k", raw_binary(4, uuid)));
    expect_element(R"({"$code": "f"})", raw_element(0x0D, "k", raw_text("f")));
    expect_element(
        R"({"$code": "f\n", "$scope": {"a": {"$numberInt": "1"}}})",
        raw_element(0x0F, "k", raw_code_with_scope("f\n", raw_document(raw_element(0x10, "a", raw(int32_t{1}))))));
    expect_element(R"({"$scope": {}, "$code": "f"})", raw_element(0x0F, "k", raw_code_with_scope("f", raw_document())));
    expect_element(R"({"$timestamp": {"t": 4294967295, "i": 1}})",
                   raw_element(0x11, "k", raw(uint32_t{1}) + raw(uint32_t{4294967295})));
    expect_element(R"({"$timestamp": {"i": 4294967295, "t": 0}})",
                   raw_element(0x11, "k", raw(uint32_t{4294967295}) + raw(uint32_t{0})));
    expect_element(R"({"$regularExpression": {"pattern": "a\"b", "options": "im"}})", regex("a\"b", "im"));
    expect_element(R"({"$regularExpression": {"options": "", "pattern": ""}})", regex("", ""));
    expect_element(R"({"$dbPointer": {"$ref": "d.c", "$id": {"$oid": "507f1f77bcf86cd799439011"}}})",
                   raw_element(0x0C, "k", raw_text("d.c") + object_id));
    expect_element(R"({"$dbPointer": {"$id": {"$oid": "507f1f77bcf86cd799439011"}, "$ref": "d.c"}})",
                   raw_element(0x0C, "k", raw_text("d.c") + object_id));
    expect_element(R"({"$minKey": 1})", raw_element(0xFF, "k"));
    expect_element(R"({"$maxKey": 1})", raw_element(0x7F, "k"));
    expect_element(R"({"$undefined": true})", raw_element(0x06, "k"));
}

TEST(ExtendedJsonParser, Dates) {
    expect_element(R"({"$date": "1970-01-01T00:00:00Z"})", date(0));
    expect_element(R"({"$date": "2024-02-29T12:34:56.789Z"})", date(1709210096789));
    expect_element(R"({"$date": {"$numberLong": "-62135596800000"}})", date(-62135596800000));
    expect_element(R"({"$date": {"$numberLong": "-9223372036854775808"}})", date(INT64_MIN));
}

/* What mongoexport of MongoDB 4.0 and before wrote. */
TEST(ExtendedJsonParser, OlderForms) {
    expect_element(R"({"$date": "2013-12-11T19:51:23.123+0100"})", date(1386787883123));
    expect_element(R"({"$date": 1386787883123})", date(1386787883123));
    expect_element(R"({"$date": -1})", date(-1));
    expect_element(R"({"$binary": "Zm9v", "$type": "00"})", raw_element(0x05, "k", raw_binary(0, "foo")));
    expect_element(R"({"$type": "3", "$binary": "Zm9v"})", raw_element(0x05, "k", raw_binary(3, "foo")));
    expect_element(R"({"$regex": "a\"", "$options": "mi"})", regex("a\"", "mi"));
    expect_element(R"({"$options": "", "$regex": "a"})", regex("a", ""));
    expect_element("NaN", raw_element(0x01, "k", raw(uint64_t{0x7FF8000000000000})));
    expect_element("Infinity", raw_element(0x01, "k", raw(HUGE_VAL)));
    expect_element("+Infinity", raw_element(0x01, "k", raw(HUGE_VAL)));
    expect_element("[-Infinity]", raw_element(0x04, "k", raw_document(raw_element(0x01, "0", raw(-HUGE_VAL)))));
    expect_element(R"({"$date": "-0001-12-31T23:59:59.999Z"})", date(-62167219200001));
    expect_element(R"({"$ref": "c", "$id": {"$oid": "507f1f77bcf86cd799439011"}})",
                   object(string("$ref", "c") + raw_element(0x07, "$id", object_id)));
    expect_element(R"({"$ref": "c", "$id": 1, "$db": "d"})",
                   object(string("$ref", "c") + raw_element(0x10, "$id", raw(int32_t{1})) + string("$db", "d")));
}

/* Documents about queries hold keys with a dollar too. */
TEST(ExtendedJsonParser, OperatorsAreKeys) {
    expect_element(R"({"$gt": 1})", object(raw_element(0x10, "$gt", raw(int32_t{1}))));
    expect_element(R"({"$type": "string"})", object(string("$type", "string")));
    expect_element(R"({"$type": 2})", object(raw_element(0x10, "$type", raw(int32_t{2}))));
    expect_element(R"({"$type": "a", "b": "c"})", object(string("$type", "a") + string("b", "c")));
    expect_element(R"({"$regex": "a"})", object(string("$regex", "a")));
    expect_element(R"({"$regex": "a", "$ne": "b"})", object(string("$regex", "a") + string("$ne", "b")));
    expect_element(R"({"$regex": "a", "$options": 1})",
                   object(string("$regex", "a") + raw_element(0x10, "$options", raw(int32_t{1}))));
    expect_element(R"({"$regex": "a", "$options": "i", "$ne": "b"})",
                   object(string("$regex", "a") + string("$options", "i") + string("$ne", "b")));
    expect_element(R"({"$regex": {"$regularExpression": {"pattern": "a", "options": ""}}, "$options": "i"})",
                   object(raw_element(0x0B, "$regex", "a\0\0"s) + string("$options", "i")));
    expect_element(R"({"$options": "i"})", object(string("$options", "i")));
    expect_element(R"({"$options": "i", "a": 1})",
                   object(string("$options", "i") + raw_element(0x10, "a", raw(int32_t{1}))));
    expect_element(R"({"a": 1, "$regex": "a", "$options": "i"})",
                   object(raw_element(0x10, "a", raw(int32_t{1})) + string("$regex", "a") + string("$options", "i")));
    expect_element(R"({"$scope": {"a": 1}})",
                   object(raw_element(0x03, "$scope", raw_document(raw_element(0x10, "a", raw(int32_t{1}))))));
    expect_element(R"({"$scope": {"$oid": "507f1f77bcf86cd799439011"}, "b": "c"})",
                   object(raw_element(0x07, "$scope", object_id) + string("b", "c")));
    expect_element(R"({"$scope": 5})", object(raw_element(0x10, "$scope", raw(int32_t{5}))));
    expect_element(R"({"$scope": {}, "a": "b", "c": {}})",
                   object(raw_element(0x03, "$scope", raw_document()) + string("a", "b") +
                          raw_element(0x03, "c", raw_document())));
    expect_element(R"({"$oidx": "507f1f77bcf86cd799439011", "$oi": 1})",
                   object(string("$oidx", "507f1f77bcf86cd799439011") + raw_element(0x10, "$oi", raw(int32_t{1}))));
    expect_element(R"({"$": 1, "oid": 2})",
                   object(raw_element(0x10, "$", raw(int32_t{1})) + raw_element(0x10, "oid", raw(int32_t{2}))));
    /* at the outermost level too */
    EXPECT_EQ(parse(R"({"$regex": "a", "$options": "i"})").bytes,
              raw_document(string("$regex", "a") + string("$options", "i")));
}

TEST(ExtendedJsonParser, DuplicateKeysAreKept) {
    EXPECT_EQ(parse(R"({"a": 1, "b": 2, "a": 3})").bytes,
              raw_document(raw_element(0x10, "a", raw(int32_t{1})) + raw_element(0x10, "b", raw(int32_t{2})) +
                           raw_element(0x10, "a", raw(int32_t{3}))));
}

TEST(ExtendedJsonParser, StopsBehindTheDocument) {
    const std::pair<const char *, size_t> cases[] = {
        {"{}", 2}, {" \n{}", 4}, {"{} ", 2}, {"{}{}", 2}, {"{}x", 2}, {"{\"a\":{}},", 8}, {"{\n}\n", 3},
    };
    for (const auto &[text, consumed] : cases) {
        const Parsed parsed = parse(text);
        EXPECT_EQ(parsed.error, "") << text;
        EXPECT_EQ(parsed.consumed, consumed) << text;
    }
}

TEST(ExtendedJsonParser, RefusesMalformedText) {
    const std::string ends = ": the text ends inside a document";
    const std::string value = ": a value is expected";
    const std::string key = ": a key in double quotes is expected";
    const std::pair<std::string, std::string> cases[] = {
        {"", "0" + ends},
        {"  ", "2" + ends},
        {"[]", "0: a document is expected"},
        {"1", "0: a document is expected"},
        {"\xef\xbb\xbf{}", "0: a document is expected"},
        {"{", "1" + ends},
        {"{ ", "2" + ends},
        {"{\"a\"", "4" + ends},
        {"{\"a\":", "5" + ends},
        {"{\"a\":1", "6" + ends},
        {"{\"a\":12.", "8" + ends},
        {"{\"a\":1,", "7" + ends},
        {"{\"a\":{}", "7" + ends},
        {"{\"a\":[", "6" + ends},
        {"{\"a\":[1", "7" + ends},
        {"{\"a\":[1,", "8" + ends},
        {"{\"a\":{\"$oid\":", "13" + ends},
        {"{\"a\":{\"$oid\":\"507f1f77bcf86cd799439011\"", "39" + ends},
        {"{\"a\":{\"$date\":{", "15" + ends},
        {"{a:1}", "1" + key},
        {"{'a':1}", "1" + key},
        {"{,}", "1" + key},
        {"{\"a\":1,}", "7" + key},
        {"{\"a\" 1}", "5: a colon is expected after a key"},
        {"{\"a\":}", "5" + value},
        {"{\"a\":,}", "5" + value},
        {"{\"a\":1 \"b\":2}", "7: a comma or the object's end is expected"},
        {"{\"a\":1]", "6: a comma or the object's end is expected"},
        {"{\"a\":12x}", "7: a comma or the object's end is expected"},
        {"{\"a\":nullx}", "9: a comma or the object's end is expected"},
        {"{\"a\":[,]}", "6" + value},
        {"{\"a\":[1,]}", "8" + value},
        {"{\"a\":[1 2]}", "8: a comma or the array's end is expected"},
        {"{\"a\":[1}", "7: a comma or the array's end is expected"},
        {"{\"a\":undefined}", "5" + value},
        {"{\"a\":Nan}", "5" + value},
        {"{\"a\":inf}", "5" + value},
        {"{\"a\":-infinity}", "5" + value},
        {"{\"a\":-Inf}", "5" + value},
        {"{\"a\":-NaN}", "5" + value},
        {"{\"a\":+1}", "5" + value},
        {"{\"a\":[-I", "8" + ends},
        {"{\"a\":Infinit", "12" + ends},
        {"{\"a\":NaN", "8" + ends},
        {"{\"a\":ISODate(\"2024-01-01T00:00:00Z\")}", "5" + value},
        {"{\"a\":/x/}", "5" + value},
        {"{/* */}", "1" + key},
        {"{\"a\":9223372036854775808}", "5: an integer is beyond the range of 64 bits"},
        {"{\"a\":1e400}", "5: a number is beyond the range of a double"},
        {"{\"a\":\"\xff\"}", "6: a string is not valid UTF-8"},
        {"{\"\xff\":1}", "2: a string is not valid UTF-8"},
        {"{\"a\\u0000\":1}", "1: a key must not contain U+0000"},
        {"{\"a\":{\"b\\u0000\":1}}", "6: a key must not contain U+0000"},
        {"{\xff}", "1" + key},
    };
    for (const auto &[text, expected] : cases)
        EXPECT_EQ(parse(text).error, expected) << text;
}

/* A value of each kind that its wrapper can't hold; the error must stand inside the wrapper, behind {"k": . */
TEST(ExtendedJsonParser, RefusesWrappersThatHoldSomethingElse) {
    const std::pair<const char *, const char *> cases[] = {
        {R"({"$oid": 1})", "$oid must hold"},
        {R"({"$oid": "507f1f77bcf86cd79943901"})", "$oid must hold"},
        {R"({"$oid": "507f1f77bcf86cd79943901g"})", "$oid must hold"},
        {R"({"$oid": null})", "$oid must hold"},
        {R"({"$oid": {}})", "$oid must hold"},
        {R"({"$numberInt": 1})", "$numberInt must hold"},
        {R"({"$numberInt": "2147483648"})", "$numberInt must hold"},
        {R"({"$numberInt": "1.0"})", "$numberInt must hold"},
        {R"({"$numberInt": ""})", "$numberInt must hold"},
        {R"({"$numberInt": " 1"})", "$numberInt must hold"},
        {R"({"$numberInt": "+1"})", "$numberInt must hold"},
        {R"({"$numberInt": "1\u0000"})", "$numberInt must hold"},
        {R"({"$numberLong": 1})", "$numberLong must hold"},
        {R"({"$numberLong": "9223372036854775808"})", "$numberLong must hold"},
        {R"({"$numberLong": "-9223372036854775809"})", "$numberLong must hold"},
        {R"({"$numberLong": "0x1"})", "$numberLong must hold"},
        {R"({"$numberDouble": 1.5})", "$numberDouble must hold"},
        {R"({"$numberDouble": "1e400"})", "$numberDouble must hold"},
        {R"({"$numberDouble": "nan"})", "$numberDouble must hold"},
        {R"({"$numberDouble": "inf"})", "$numberDouble must hold"},
        {R"({"$numberDouble": "-inf"})", "$numberDouble must hold"},
        {R"({"$numberDouble": "+1"})", "$numberDouble must hold"},
        {R"({"$numberDouble": ""})", "$numberDouble must hold"},
        {R"({"$numberDouble": "-"})", "$numberDouble must hold"},
        {R"({"$numberDouble": "1.5x"})", "$numberDouble must hold"},
        {R"({"$numberDecimal": 1})", "$numberDecimal must hold"},
        {R"({"$numberDecimal": "x"})", "$numberDecimal must hold"},
        {R"({"$numberDecimal": "12345678901234567890123456789012345"})", "$numberDecimal must hold"},
        {R"({"$date": "2024-02-30T00:00:00Z"})", "$date must hold"},
        {R"({"$date": "yesterday"})", "$date must hold"},
        {R"({"$date": 1.5})", "$date must hold"},
        {R"({"$date": true})", "$date must hold"},
        {R"({"$date": {}})", "$date must hold"},
        {R"({"$date": {"$numberInt": "1"}})", "$date must hold"},
        {R"({"$date": {"$numberLong": 1}})", "$numberLong must hold"},
        {R"({"$date": {"$numberLong": "1", "a": 1}})", "$date must hold"},
        {R"({"$date": {"$numberLong": "1", "$numberLong": "1"}})", "$date must hold"},
        {R"({"$binary": 1})", "$binary must hold"},
        {R"({"$binary": {}})", "$binary must hold"},
        {R"({"$binary": {"base64": "Zm9v"}})", "$binary must hold"},
        {R"({"$binary": {"subType": "00"}})", "$binary must hold"},
        {R"({"$binary": {"base64": "Zm9v", "subType": "00", "x": 1}})", "$binary must hold"},
        {R"({"$binary": {"base64": "Zm9v", "base64": "Zm9v", "subType": "00"}})", "$binary must hold"},
        {R"({"$binary": {"base64": "Zm9v", "subType": "00", "subType": "00"}})", "$binary must hold"},
        {R"({"$regularExpression": {"pattern": "a", "pattern": "a", "options": ""}})", "$regularExpression must hold"},
        {R"({"$dbPointer": {"$ref": "a", "$ref": "a", "$id": {"$oid": "507f1f77bcf86cd799439011"}}})",
         "$dbPointer must hold"},
        {R"({"$binary": {"base64": 1, "subType": "00"}})", "base64 must hold"},
        {R"({"$binary": {"base64": "Zm9v", "subType": 0}})", "subType must hold"},
        {R"({"$binary": {"base64": "Zm9", "subType": "00"}})", "must be base64"},
        {R"({"$binary": {"base64": "Zm9v", "subType": ""}})", "subtype of $binary"},
        {R"({"$binary": {"base64": "Zm9v", "subType": "000"}})", "subtype of $binary"},
        {R"({"$binary": {"base64": "Zm9v", "subType": "0g"}})", "subtype of $binary"},
        {R"({"$binary": {"base64": "Zm9v", "subType": "-1"}})", "subtype of $binary"},
        {R"({"$binary": "Zm9v"})", "needs $type"},
        {R"({"$binary": "Zm9v", "x": "00"})", "needs $type"},
        {R"({"$binary": "Zm9v", "$type": 0})", "needs $type"},
        {R"({"$binary": "Zm9v", "$type": "0x"})", "subtype of $binary"},
        {R"({"$type": "00", "$binary": 1})", "$binary makes a value of its own"},
        {R"({"$type": "00", "$binary": "Zm9"})", "must be base64"},
        {R"({"$uuid": 1})", "$uuid must hold"},
        {R"({"$uuid": "c8edabc3f7384ca3b68dab92a91478a3"})", "$uuid must hold"},
        {R"({"$code": 1})", "$code must hold"},
        {R"({"$code": "f", "$scope": 1})", "a document is expected"},
        {R"({"$code": "f", "$scope": {"$oid": "507f1f77bcf86cd799439011"}})", "$oid makes a value of its own"},
        {R"({"$scope": {}, "$code": 1})", "$code makes a value of its own"},
        {R"({"$scope": 1, "$code": "f"})", "$code makes a value of its own"},
        {R"({"$symbol": 1})", "$symbol must hold"},
        {R"({"$timestamp": 1})", "$timestamp must hold"},
        {R"({"$timestamp": {}})", "$timestamp must hold"},
        {R"({"$timestamp": {"t": 1}})", "$timestamp must hold"},
        {R"({"$timestamp": {"i": 1}})", "$timestamp must hold"},
        {R"({"$timestamp": {"t": 1, "i": 1, "x": 1}})", "$timestamp must hold"},
        {R"({"$timestamp": {"t": 1, "t": 1}})", "$timestamp must hold"},
        {R"({"$timestamp": {"t": -1, "i": 1}})", "$timestamp must hold"},
        {R"({"$timestamp": {"t": 4294967296, "i": 1}})", "$timestamp must hold"},
        {R"({"$timestamp": {"t": 1.0, "i": 1}})", "$timestamp must hold"},
        {R"({"$timestamp": {"t": "1", "i": 1}})", "$timestamp must hold"},
        {R"({"$regularExpression": "a"})", "$regularExpression must hold"},
        {R"({"$regularExpression": {"pattern": "a"}})", "$regularExpression must hold"},
        {R"({"$regularExpression": {"options": "i"}})", "$regularExpression must hold"},
        {R"({"$regularExpression": {"pattern": "a", "options": "i", "x": 1}})", "$regularExpression must hold"},
        {R"({"$regularExpression": {"pattern": 1, "options": "i"}})", "pattern must hold"},
        {R"({"$regularExpression": {"pattern": "a\u0000", "options": "i"}})", "must not contain U+0000"},
        {R"({"$regex": "a", "$options": "i\u0000"})", "must not contain U+0000"},
        {R"({"$dbPointer": "a"})", "$dbPointer must hold"},
        {R"({"$dbPointer": {"$ref": "a"}})", "$dbPointer must hold"},
        {R"({"$dbPointer": {"$id": {"$oid": "507f1f77bcf86cd799439011"}}})", "$dbPointer must hold"},
        {R"({"$dbPointer": {"$ref": 1, "$id": {"$oid": "507f1f77bcf86cd799439011"}}})", "$ref must hold"},
        {R"({"$dbPointer": {"$ref": "a", "$id": "507f1f77bcf86cd799439011"}})", "$id of $dbPointer"},
        {R"({"$dbPointer": {"$ref": "a", "$id": {"$oid": "507f"}}})", "$oid must hold"},
        {R"({"$dbPointer": {"$ref": "a", "$id": {}}})", "$id of $dbPointer"},
        {R"({"$minKey": 2})", "$minKey must hold"},
        {R"({"$minKey": "1"})", "$minKey must hold"},
        {R"({"$minKey": 1.0})", "$minKey must hold"},
        {R"({"$maxKey": true})", "$maxKey must hold"},
        {R"({"$undefined": false})", "$undefined must hold"},
        {R"({"$undefined": 1})", "$undefined must hold"},
    };
    for (const auto &[value, message] : cases) {
        const Parsed parsed = parse(R"({"k": )" + std::string(value) + "}");
        EXPECT_NE(parsed.error.find(message), std::string::npos) << value << " gave " << parsed.error;
        const size_t offset = std::stoul("0" + parsed.error);
        EXPECT_GT(offset, 6u) << value;
        EXPECT_LT(offset, 6 + strlen(value)) << value;
    }
}

TEST(ExtendedJsonParser, RefusesOtherMembersBesideAWrapper) {
    const std::string wrappers[] = {
        R"("$oid": "507f1f77bcf86cd799439011")",
        R"("$symbol": "s")",
        R"("$numberInt": "1")",
        R"("$numberLong": "1")",
        R"("$numberDouble": "1")",
        R"("$numberDecimal": "1")",
        R"("$binary": {"base64": "", "subType": "00"})",
        R"("$binary": "", "$type": "00")",
        R"("$uuid": "c8edabc3-f738-4ca3-b68d-ab92a91478a3")",
        R"("$code": "f")",
        R"("$code": "f", "$scope": {})",
        R"("$timestamp": {"t": 1, "i": 1})",
        R"("$regularExpression": {"pattern": "a", "options": "i"})",
        R"("$dbPointer": {"$ref": "c", "$id": {"$oid": "507f1f77bcf86cd799439011"}})",
        R"("$date": "1970-01-01T00:00:00Z")",
        R"("$minKey": 1)",
        R"("$maxKey": 1)",
        R"("$undefined": true)",
    };
    for (const std::string &wrapper : wrappers) {
        const std::string good = R"({"k": {)" + wrapper + "}}";
        EXPECT_EQ(parse(good).error, "") << good;
        const std::string before = R"({"k": {)" + wrapper;
        EXPECT_NE(parse(before + R"(, "x": 1}})").error.find("does not belong to it"), std::string::npos) << wrapper;
        const std::string name = wrapper.substr(1, wrapper.find('"', 1) - 1);
        EXPECT_EQ(parse(R"({"k": {"x": 1, )" + wrapper + "}}").error,
                  "15: the key " + name + " makes a value of its own and cannot stand in this object");
        EXPECT_EQ(parse("{" + wrapper + "}").error,
                  "1: the key " + name + " makes a value of its own and cannot stand in this object");
    }
}

TEST(ExtendedJsonParser, NestsAsDeeplyAsTheWriter) {
    const auto nested = [](const char *open, const char *close, int depth) {
        std::string text = R"({"k": )";
        for (int i = 0; i < depth; ++i)
            text += open;
        text += R"({"$oid": "507f1f77bcf86cd799439011"})"; /* no level of its own */
        for (int i = 0; i < depth; ++i)
            text += close;
        return text + "}";
    };
    const std::pair<const char *, const char *> forms[] = {
        {R"({"a": )", "}"}, {"[", "]"}, {R"({"$scope": )", "}"}, {R"({"$code": "", "$scope": {"a": )", "}}"}};
    for (const auto &[open, close] : forms) {
        const Parsed parsed = parse(nested(open, close, max_nesting - 1));
        EXPECT_EQ(parsed.error, "") << open;
        EXPECT_FALSE(write(parsed.bytes, JsonFormat::canonical).empty());
        EXPECT_NE(parse(nested(open, close, max_nesting)).error.find("nested too deeply"), std::string::npos) << open;
        EXPECT_NE(parse(nested(open, close, 200000)).error.find("nested too deeply"), std::string::npos) << open;
    }
}

TEST(ExtendedJsonParser, ReadsBackWhatTheWriterWrites) {
    const std::string all = raw_document_of_all_types();
    EXPECT_EQ(testing::PrintToString(parse(write(all, JsonFormat::canonical)).bytes), testing::PrintToString(all));

    const std::string object =
        raw_document(raw_element(0x03, "o", all) + raw_element(0x04, "a", raw_document(raw_element(0x03, "0", all))));
    EXPECT_EQ(parse(write(object, JsonFormat::canonical)).bytes, object);
    /* relaxed format keeps the values, and the types except for small int64 */
    std::string relaxed = write(object, JsonFormat::relaxed);
    EXPECT_EQ(write(parse(relaxed).bytes, JsonFormat::relaxed), relaxed);

    std::mt19937_64 random(2);
    for (int i = 0; i < 20000; ++i) {
        double number;
        const uint64_t bits = random();
        memcpy(&number, &bits, sizeof number);
        if (number != number)
            continue; /* NaN's payload is not kept */
        const std::string document = raw_document(
            raw_element(0x01, "d", raw(number)) + raw_element(0x12, "l", raw(static_cast<int64_t>(random()))) +
            raw_element(0x09, "t", raw(static_cast<int64_t>(random()) >> random() % 64)));
        ASSERT_EQ(parse(write(document, JsonFormat::canonical)).bytes, document);
        relaxed = write(document, JsonFormat::relaxed);
        ASSERT_EQ(write(parse(relaxed).bytes, JsonFormat::relaxed), relaxed);
    }
}

TEST(ExtendedJsonParser, EachPrefixOfADocumentEndsTooEarly) {
    for (JsonFormat format : {JsonFormat::canonical, JsonFormat::relaxed}) {
        const std::string text = write(raw_document_of_all_types(), format);
        for (size_t size = 0; size < text.size(); ++size)
            ASSERT_EQ(parse(text.substr(0, size)).error, std::to_string(size) + ": the text ends inside a document");
    }
}

TEST(ExtendedJsonParser, SurvivesMutatedText) {
    const std::string text = write(raw_document_of_all_types(), JsonFormat::canonical);
    std::mt19937 random(5);
    const std::string interesting = "{}[]\",:\\$0e.-\x80\xff\n";
    int refused = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string mutated = text;
        for (unsigned change = 0; change < 1 + random() % 3; ++change)
            mutated[random() % mutated.size()] = interesting[random() % interesting.size()];
        const Parsed parsed = parse(mutated);
        if (parsed.error.empty()) {
            EXPECT_TRUE(is_framed({reinterpret_cast<const uint8_t *>(parsed.bytes.data()), parsed.bytes.size()}));
        } else {
            ++refused;
        }
    }
    EXPECT_GT(refused, 10000);
}

} // namespace

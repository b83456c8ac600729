/*
 * Which columns a sample of documents gives: tables of cases, the documents in Extended JSON.
 */
#include "bson/builder.h"
#include "bson/extended_json_parser.h"
#include "bson/inference.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using mongoferry::bson::Builder;
using mongoferry::bson::Document;
using mongoferry::bson::Inference;
using mongoferry::bson::InferenceOptions;
using mongoferry::bson::InferredColumn;
using mongoferry::bson::view_of;

using Documents = std::vector<std::string>;

Document document_of(const std::string &json) {
    size_t consumed;
    return mongoferry::bson::parse_document(json, &consumed);
}

void observe(Inference &inference, const Document &document) {
    size_t offset = 0;
    const char *problem = inference.observe(view_of(document), &offset);
    ASSERT_EQ(problem, nullptr) << problem << " at " << offset;
}

std::vector<InferredColumn> infer(const Documents &documents, const InferenceOptions &options = {},
                                  bool is_complete = false) {
    Inference inference(options);
    for (const std::string &json : documents)
        observe(inference, document_of(json));
    return inference.columns(is_complete);
}

std::string path_of(const InferredColumn &column) {
    std::string path;
    for (const std::string &key : column.path)
        path += (path.empty() ? "" : ".") + key;
    return column.path.empty() ? "$$ROOT" : path;
}

/* "path type, path type", without the schema pg_catalog. */
std::string summary(const std::vector<InferredColumn> &columns) {
    std::string text;
    for (const InferredColumn &column : columns) {
        std::string type = column.type;
        if (type.rfind("pg_catalog.", 0) == 0)
            type.erase(0, strlen("pg_catalog."));
        text += (text.empty() ? "" : ", ") + path_of(column) + " " + type;
    }
    return text;
}

const std::string object_id = R"({"$oid": "5f43a1b2c3d4e5f601234567"})";
const std::string long_one = R"({"$numberLong": "1"})";
const std::string decimal = R"({"$numberDecimal": "1.10"})";
const std::string date = R"({"$date": {"$numberLong": "0"}})";
const std::string uuid = R"({"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "04"}})";
const std::string short_uuid = R"({"$binary": {"base64": "AAAA", "subType": "04"}})";
const std::string legacy_uuid = R"({"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "03"}})";
const std::string bytes = R"({"$binary": {"base64": "AAAA", "subType": "00"}})";
const std::string undefined = R"({"$undefined": true})";
const std::string regex = R"({"$regularExpression": {"pattern": "a", "options": "i"}})";
const std::string code = R"({"$code": "x"})";
const std::string code_with_scope = R"({"$code": "x", "$scope": {}})";
const std::string symbol = R"({"$symbol": "s"})";
const std::string timestamp = R"({"$timestamp": {"t": 1, "i": 1}})";
const std::string min_key = R"({"$minKey": 1})";
const std::string max_key = R"({"$maxKey": 1})";
const std::string db_pointer = R"({"$dbPointer": {"$ref": "a", "$id": {"$oid": "5f43a1b2c3d4e5f601234567"}}})";
const std::string one = R"({"$numberInt": "1"})";
const std::string one_half = R"({"$numberDouble": "0.5"})";
const std::string whole_double = R"({"$numberDouble": "1.0"})";

/* The type of a column that had these values, one a document. */
std::string type_of(const std::vector<std::string> &values) {
    Documents documents;
    for (const std::string &value : values)
        documents.push_back("{\"v\": " + value + "}");
    std::string text = summary(infer(documents));
    return text.rfind("v ", 0) == 0 ? text.substr(2) : text;
}

TEST(Inference, FindsTheTypeThatTakesEveryValue) {
    const struct {
        std::vector<std::string> values;
        const char *type;
    } cases[] = {
        {{object_id}, "mongoferry.objectid"},
        {{"\"a\""}, "text"},
        {{one}, "integer"},
        {{long_one}, "bigint"},
        {{one, long_one}, "bigint"},
        {{one_half}, "double precision"},
        {{whole_double}, "double precision"},
        {{one, one_half}, "double precision"},
        {{long_one, one_half}, "numeric"},
        {{one, long_one, one_half}, "numeric"},
        {{decimal}, "numeric"},
        {{decimal, one}, "numeric"},
        {{decimal, one_half}, "numeric"},
        {{decimal, long_one, one, one_half}, "numeric"},
        {{"true"}, "boolean"},
        {{date}, "timestamp with time zone"},
        {{timestamp}, "timestamp with time zone"},
        {{date, timestamp}, "timestamp with time zone"},
        {{uuid}, "uuid"},
        {{legacy_uuid}, "bytea"},
        {{uuid, legacy_uuid}, "bytea"},
        {{bytes}, "bytea"},
        {{short_uuid}, "bytea"},
        {{uuid, bytes}, "bytea"},
        {{symbol}, "text"},
        {{symbol, "\"a\""}, "text"},
        {{code}, "text"},
        {{regex}, "text"},
        {{db_pointer}, "jsonb"},
        {{code_with_scope}, "jsonb"},
        {{min_key}, "jsonb"},
        {{max_key, one}, "jsonb"},
        /* nothing to see */
        {{"null"}, "text"},
        {{undefined, "null"}, "text"},
        {{"null", one}, "integer"},
        {{undefined, date, "null"}, "timestamp with time zone"},
        /* what does not go together */
        {{"\"a\"", one}, "jsonb"},
        {{"\"a\"", regex}, "jsonb"},
        {{"\"a\"", code}, "jsonb"},
        {{"\"a\"", object_id}, "jsonb"},
        {{"\"a\"", uuid}, "jsonb"},
        {{"true", one}, "jsonb"},
        {{date, one}, "jsonb"},
        {{object_id, uuid}, "jsonb"},
        {{"{\"a\": 1}", one}, "jsonb"},
        {{"{\"a\": 1}", "[1]"}, "jsonb"},
        {{"[1]", one}, "jsonb"},
        /* arrays */
        {{"[" + one + "]"}, "integer[]"},
        {{"[" + one + ", " + long_one + "]"}, "bigint[]"},
        {{"[" + one + "]", "[" + one_half + "]"}, "double precision[]"},
        {{"[" + long_one + "]", "[" + one_half + "]"}, "numeric[]"},
        {{"[\"a\", null, " + undefined + "]", "null", "[]"}, "text[]"},
        {{"[" + object_id + "]"}, "mongoferry.objectid[]"},
        {{"[" + date + "]"}, "timestamp with time zone[]"},
        {{"[" + uuid + "]"}, "uuid[]"},
        {{"[" + uuid + ", " + legacy_uuid + "]"}, "bytea[]"},
        {{"[\"a\", 1]"}, "jsonb"},
        {{"[{\"a\": 1}]"}, "jsonb"},
        {{"[[1, 2], [3, 4]]"}, "jsonb"},
        {{"[]"}, "jsonb"},
        {{"[null]"}, "jsonb"},
        {{"[" + max_key + "]"}, "jsonb"},
    };
    for (const auto &c : cases) {
        std::string values;
        for (const std::string &value : c.values)
            values += value + " ";
        EXPECT_EQ(type_of(c.values), c.type) << values;
    }
}

TEST(Inference, SeesDatesThatTimestamptzCannotHold) {
    const struct {
        const char *milliseconds;
        const char *type;
    } cases[] = {
        {"-210866803200000", "timestamp with time zone"}, /* 4714-11-24 00:00:00+00 BC */
        {"-210866803200001", "jsonb"},
        {"9224318015999999", "timestamp with time zone"}, /* 294276-12-31 23:59:59.999+00 */
        {"9224318016000000", "jsonb"},
    };
    for (const auto &c : cases) {
        const std::string value = std::string(R"({"$date": {"$numberLong": ")") + c.milliseconds + "\"}}";
        EXPECT_EQ(type_of({value}), c.type) << value;
        EXPECT_EQ(type_of({"[" + value + "]"}), std::string(c.type) == "jsonb" ? "jsonb" : std::string(c.type) + "[]")
            << value;
    }
}

TEST(Inference, OrdersColumnsByFirstAppearanceWithIdInFront) {
    const struct {
        Documents documents;
        const char *columns;
    } cases[] = {
        {{R"({"b": 1, "a": 1, "_id": 1})", R"({"c": 1, "a": 1})"}, "_id integer, b integer, a integer, c integer"},
        {{R"({"a": 1})"}, "a integer"},
        {{"{}"}, ""},
        {{}, "_id mongoferry.objectid"},
        {{R"({"a": {"y": 1}, "b": 1})", R"({"a": {"x": 1, "y": 2}})"}, "a.y integer, a.x integer, b integer"},
    };
    for (const auto &c : cases)
        EXPECT_EQ(summary(infer(c.documents)), c.columns) << testing::PrintToString(c.documents);
}

TEST(Inference, MakesColumnsOfNestedObjectsWhereItCan) {
    const struct {
        Documents documents;
        const char *columns;
    } cases[] = {
        {{R"({"a": {"b": {"c": 1}}})"}, "a.b.c integer"},
        {{R"({"a": {"b": 1}})", R"({"a": null})", R"({"a": {}})", "{}"}, "a.b integer"},
        {{R"({"a": {}})"}, "a jsonb"},
        {{R"({"a": {}})", R"({"a": null})"}, "a jsonb"},
        {{R"({"a": {"b": {}}})"}, "a.b jsonb"},
        {{R"({"_id": {"a": 1, "b": 2}, "c": {"d": 1}})"}, "_id jsonb, c.d integer"},
        {{R"({"a": {"_id": {"b": 1}}})"}, "a._id.b integer"},
        /* keys that a path can't name */
        {{R"({"a": {"b.c": 1, "d": 1}})"}, "a jsonb"},
        {{R"({"a": {"": 1}})"}, "a jsonb"},
        {{R"({"a": {"b": {"$x": 1}, "c": 1}})"}, "a.b jsonb, a.c integer"},
        {{R"({"a.b": 1, "c": 1})"}, "c integer, $$ROOT jsonb"},
        {{R"({"": 1})"}, "$$ROOT jsonb"},
        {{R"({"$x": 1, "_id": 1})"}, "_id integer, $$ROOT jsonb"},
        {{R"({"a": {"b$": 1}})"}, "a.b$ integer"},
        /* maps */
        {{R"({"a": {"5f43a1b2c3d4e5f601234567": 1}})"}, "a jsonb"},
        {{R"({"a": {"1": 1, "2": 1}})"}, "a jsonb"},
        {{R"({"a": {"2024-01-02": 1}})"}, "a jsonb"},
        {{R"({"a": {"8c4a1b22-0000-4000-8000-c3d4e5f60123": 1}})"}, "a jsonb"},
        {{R"({"a": {"1": 1, "total": 1}})"}, "a.1 integer, a.total integer"},
        {{R"({"2024": 1})"}, "2024 integer"},
    };
    for (const auto &c : cases)
        EXPECT_EQ(summary(infer(c.documents)), c.columns) << testing::PrintToString(c.documents);
}

TEST(Inference, LeavesObjectsAsJsonbWhenAskedTo) {
    InferenceOptions options;
    options.nested_levels = 0;
    EXPECT_EQ(summary(infer({R"({"a": {"b": 1}, "c": {}, "d.e": 1})"}, options)), "a jsonb, c jsonb, $$ROOT jsonb");
}

TEST(Inference, StopsAtTheLimitOfLevels) {
    InferenceOptions options;
    options.nested_levels = 2;
    const auto columns = infer({R"({"a": {"b": {"c": {"d": 1}}}})"}, options);
    EXPECT_EQ(summary(columns), "a.b.c jsonb");
    EXPECT_EQ(columns[0].comment, "object 100 %; nested too deeply for columns; missing in none of 1 document sampled");
}

TEST(Inference, TakesObjectsWithManyKeysForMaps) {
    InferenceOptions options;
    options.max_keys = 3;
    EXPECT_EQ(summary(infer({R"({"a": {"p": 1, "q": 1}})", R"({"a": {"r": 1}})"}, options)),
              "a.p integer, a.q integer, a.r integer");
    const auto columns = infer({R"({"a": {"p": 1, "q": {"x": 1}}})", R"({"a": {"r": 1, "s": 1}, "b": 1})"}, options);
    EXPECT_EQ(summary(columns), "a jsonb, b integer");
    EXPECT_EQ(columns[0].comment,
              "object 100 %; too many different keys for columns; missing in none of 2 documents sampled");
}

TEST(Inference, KeepsToTheLimitOfColumns) {
    InferenceOptions options;
    options.max_columns = 3;
    const struct {
        const char *document;
        const char *columns;
    } cases[] = {
        {R"({"a": 1, "b": 1, "c": 1})", "a integer, b integer, c integer"},
        {R"({"a": 1, "b": {"x": 1, "y": 1}})", "a integer, b.x integer, b.y integer"},
        {R"({"a": 1, "b": {"x": 1, "y": 1, "z": 1}})", "a integer, b jsonb"}, /* nested objects give way first */
        {R"({"a": 1, "b": 1, "c": 1, "d": 1})", "a integer, b integer, $$ROOT jsonb"},
        {R"({"a": 1, "b": 1, "c.d": 1})", "a integer, b integer, $$ROOT jsonb"},
        {R"({"a": 1, "b": 1, "c": 1, "d.e": 1})", "a integer, b integer, $$ROOT jsonb"},
    };
    for (const auto &c : cases)
        EXPECT_EQ(summary(infer({c.document}, options)), c.columns) << c.document;
    const auto columns =
        infer({R"({"a": 1, "b": {}, "c": 1, "d.e": 1, "f": 1, "g": 1, "h": 1, "i": 1, "j": 1})"}, options);
    EXPECT_EQ(columns.back().comment,
              "the whole document, for fields that have no column: \"d.e\", \"c\", \"f\", \"g\", \"h\" and 2 more");
}

TEST(Inference, BoundsWhatItRemembers) {
    InferenceOptions options;
    options.max_fields = 3;
    EXPECT_EQ(summary(infer({R"({"a": 1, "b": 1, "c": 1, "d": 1})"}, options)),
              "a integer, b integer, c integer, $$ROOT jsonb");
    EXPECT_EQ(summary(infer({R"({"a": 1, "b": {"x": 1, "y": 1}})"}, options)), "a integer, b jsonb");
}

TEST(Inference, CountsTheFirstOfDuplicateKeys) {
    Builder builder;
    builder.append_int32("a", 1);
    builder.append_string("a", "x");
    Inference inference;
    observe(inference, builder.finish());
    const auto columns = inference.columns(false);
    EXPECT_EQ(summary(columns), "a integer");
    EXPECT_EQ(columns[0].comment, "int 100 %; missing in none of 1 document sampled");
}

TEST(Inference, TakesKeysThatAreNotUtf8ForUnnamable) {
    Builder builder;
    builder.append_int32("a\xff", 1);
    Inference inference;
    observe(inference, builder.finish());
    const auto columns = inference.columns(false);
    EXPECT_EQ(summary(columns), "$$ROOT jsonb");
    EXPECT_EQ(columns[0].comment, "the whole document, for fields that have no column: \"(not UTF-8)\"");
}

TEST(Inference, TellsWhatWasSeen) {
    const auto comment = [](const Documents &documents, bool is_complete) {
        return infer(documents, {}, is_complete).at(0).comment;
    };
    Documents mixed(37, R"({"v": 1})");
    mixed.insert(mixed.end(), 3, R"({"v": "x"})");
    mixed.insert(mixed.end(), 10, "{}");
    EXPECT_EQ(comment(mixed, false), "int 92.5 %, string 7.5 %; missing in 20 % of 50 documents sampled");
    EXPECT_EQ(comment(mixed, true), "int 92.5 %, string 7.5 %; missing in 20 % of the collection's 50 documents");

    Documents rare(4999, R"({"v": 1})");
    rare.push_back(R"({"v": null})");
    EXPECT_EQ(comment(rare, false), "int >99.9 %, null <0.1 %; missing in none of 5000 documents sampled");

    EXPECT_EQ(comment({R"({"v": ["a", "b", null, "c"]})", R"({"v": []})"}, true),
              "array 100 %; elements: string 75 %, null 25 %; missing in none of the collection's 2 documents");
    EXPECT_EQ(comment({R"({"v": []})"}, true),
              "array 100 %; no elements; missing in none of the collection's 1 document");
    EXPECT_EQ(comment({R"({"v": "a\u0000b"})", R"({"v": "c"})"}, true),
              "string 100 %; 1 string with U+0000; missing in none of the collection's 2 documents");
    EXPECT_EQ(comment({"{\"v\": " + uuid + "}", "{\"v\": " + legacy_uuid + "}", "{\"v\": " + bytes + "}"}, true),
              "binData subtype 4 33.3 %, binData subtype 3 33.3 %, binData 33.3 %; missing in none of the "
              "collection's 3 documents");
    EXPECT_EQ(comment({}, true), "the collection has no documents; type assumed");
}

TEST(Inference, MissingCountsDocumentsNotParents) {
    const auto columns = infer({R"({"a": {"b": 1}})", R"({"a": {}})", "{}", R"({"a": {"b": null}})"});
    ASSERT_EQ(summary(columns), "a.b integer");
    EXPECT_EQ(columns[0].comment, "int 50 %, null 50 %; missing in 50 % of 4 documents sampled");
}

TEST(Inference, TellsWhereADocumentIsCorrupt) {
    Document document = document_of(R"({"a": {"b": 1}})"); /* 4 + (1 "a\0") + 4 + (1 "b\0" 4) + 2 NULs */
    const size_t inner = 4 + 3 + 4;
    document[inner] = 0x55; /* no type */
    Inference inference;
    size_t offset = 0;
    EXPECT_NE(inference.observe(view_of(document), &offset), nullptr);
    EXPECT_EQ(offset, inner);
}

} // namespace

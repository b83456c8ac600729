/*
 * The command for a request: a table of cases, as Extended JSON.
 */
#include "bson/extended_json_parser.h"
#include "json_text.h"
#include "source/live/find_command.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mongoferry::source::live {
namespace {

bson::Document document(std::string_view json) {
    size_t consumed;
    return json.empty() ? bson::Document() : bson::parse_document(json, &consumed);
}

/* Without the writer's spaces; no value here has any. */
std::string json(const bson::Document &document) {
    std::string text;
    bson::write_document(bson::view_of(document), bson::JsonFormat::relaxed, test::sink_into(&text));
    text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
    return text;
}

struct Case {
    const char *name;
    Range::Kind kind;
    const char *min; /* {"": …}, as the range has it */
    const char *max;
    const char *ids;
    const char *filter;
    const char *by_index;
    const char *by_expression; /* NULL: the same */
};

const Case cases[] = {
    {"the whole collection", Range::Kind::all, "", "", "", "", R"({"find":"c"})", nullptr},
    {"a filter", Range::Kind::all, "", "", "", R"({"a":1})", R"({"find":"c","filter":{"a":1}})", nullptr},
    {"open on both sides", Range::Kind::ids, "", "", "", R"({"a":1})", R"({"find":"c","filter":{"a":1}})", nullptr},
    {"open below", Range::Kind::ids, "", R"({"":"x"})", "", "", R"({"find":"c","max":{"_id":"x"},"hint":{"_id":1}})",
     R"({"find":"c","filter":{"$expr":{"$and":[{"$lt":["$_id",{"$literal":"x"}]}]}}})"},
    {"open above", Range::Kind::ids, R"({"":null})", "", "", "", R"({"find":"c","min":{"_id":null},"hint":{"_id":1}})",
     R"({"find":"c","filter":{"$expr":{"$and":[{"$gte":["$_id",{"$literal":null}]}]}}})"},
    {"a filter besides, and values that an expression would evaluate", Range::Kind::ids, R"({"":"$a"})",
     R"({"":{"$add":1}})", "", R"({"a":1})",
     R"({"find":"c","filter":{"a":1},"min":{"_id":"$a"},"max":{"_id":{"$add":1}},"hint":{"_id":1}})",
     R"({"find":"c","filter":{"$and":[{"a":1},{"$expr":{"$and":[{"$gte":["$_id",{"$literal":"$a"}]},)"
     R"({"$lt":["$_id",{"$literal":{"$add":1}}]}]}}]}})"},
    {"a list", Range::Kind::list, "", "", R"({"0":1,"1":"1"})", "", R"({"find":"c","filter":{"_id":{"$in":[1,"1"]}}})",
     nullptr},
    {"a list and a filter", Range::Kind::list, "", "", R"({"0":1})", R"({"_id":{"$gt":0}})",
     R"({"find":"c","filter":{"$and":[{"_id":{"$gt":0}},{"_id":{"$in":[1]}}]}})", nullptr},
    {"an empty list", Range::Kind::list, "", "", "{}", "", R"({"find":"c","filter":{"_id":{"$in":[]}}})", nullptr},
    {"a list that was never filled", Range::Kind::list, "", "", "", "", R"({"find":"c","filter":{"_id":{"$in":[]}}})",
     nullptr},
};

TEST(FindCommand, OfEachKindOfRange) {
    for (const Case &one : cases) {
        Request request;
        request.filter = document(one.filter);
        request.range.kind = one.kind;
        request.range.min = document(one.min);
        request.range.max = document(one.max);
        request.range.ids = document(one.ids);
        EXPECT_EQ(json(build_find_command(request, "c", IdRangeForm::index)), one.by_index) << one.name;
        EXPECT_EQ(json(build_find_command(request, "c", IdRangeForm::expression)),
                  one.by_expression ? one.by_expression : one.by_index)
            << one.name;
    }
}

TEST(FindCommand, WithProjectionLimitAndBatchSize) {
    Request request;
    request.filter = document(R"({"a":1})");
    request.projection = document(R"({"_id":1})");
    request.range.kind = Range::Kind::ids;
    request.range.max = document(R"({"":5})");
    request.limit = 7;
    request.batch_size = 3;
    EXPECT_EQ(json(build_find_command(request, "c", IdRangeForm::index)),
              R"({"find":"c","filter":{"a":1},"projection":{"_id":1},"max":{"_id":5},"hint":{"_id":1},"limit":7,)"
              R"("batchSize":3})");
}

TEST(FindCommand, ASampleOfARange) {
    Request request;
    request.sample = true;
    request.limit = 7;
    request.range.kind = Range::Kind::ids;
    request.range.max = document(R"({"":5})");
    EXPECT_EQ(json(build_find_command(request, "c", IdRangeForm::index)),
              R"({"aggregate":"c","pipeline":[{"$match":{"$expr":{"$and":[{"$lt":["$_id",{"$literal":5}]}]}}},)"
              R"({"$sample":{"size":7}}],"cursor":{}})");
}

TEST(FindCommand, KnowsWhetherTheFormMatters) {
    Range range;
    EXPECT_FALSE(has_id_bounds(range));
    range.kind = Range::Kind::ids;
    EXPECT_FALSE(has_id_bounds(range));
    range.min = document(R"({"":5})");
    EXPECT_TRUE(has_id_bounds(range));
}

} // namespace
} // namespace mongoferry::source::live

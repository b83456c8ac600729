/*
 * Writing BSON: what the builder makes is byte for byte what the specification says.
 */
#include "bson/builder.h"
#include "raw_bson.h"

#include <gtest/gtest.h>

namespace {

using namespace mongoferry::bson;
using namespace mongoferry::test;
using namespace std::string_literals;

std::string as_string(const Document &document) {
    return {reinterpret_cast<const char *>(document.data()), document.size()};
}

constexpr uint8_t object_id[12] = {0x50, 0x7f, 0x1f, 0x77, 0xbc, 0xf8, 0x6c, 0xd7, 0x99, 0x43, 0x90, 0x11};

TEST(Builder, EmptyDocument) {
    Builder builder;
    EXPECT_EQ(as_string(builder.finish()), "\x05\0\0\0\0"s);
}

TEST(Builder, WritesEachType) {
    const uint8_t decimal[16] = {0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3c, 0x30};
    Builder builder;
    builder.append_float64("double", 1.5);
    builder.append_string("string", "text");
    builder.begin_document("object");
    builder.append_int32("a", 1);
    builder.end();
    builder.begin_array("array");
    builder.append_int32(builder.array_key(), 1);
    builder.append_null(builder.array_key());
    builder.end();
    builder.append_binary("binData", 0, "\x01\x02\x03", 3);
    builder.append_binary("binData2", 2, "\x01\x02", 2);
    builder.append_undefined("undefined");
    builder.append_object_id("objectId", object_id);
    builder.append_bool("bool", true);
    builder.append_date("date", -1);
    builder.append_null("null");
    builder.append_regex("regex", "a.b", "im");
    builder.append_db_pointer("dbPointer", "shop.users", object_id);
    builder.append_code("javascript", "f()");
    builder.append_symbol("symbol", "sym");
    Builder scope;
    scope.append_int32("x", 7);
    const Document scope_document = scope.finish();
    builder.append_code_with_scope("javascriptWithScope", "g()", view_of(scope_document));
    builder.append_int32("int", -5);
    builder.append_timestamp("timestamp", 0xFFFFFFFF, 1);
    builder.append_int64("long", INT64_MIN);
    builder.append_decimal128("decimal", decimal);
    builder.append_max_key("maxKey");
    builder.append_min_key("minKey");
    EXPECT_EQ(as_string(builder.finish()), raw_document_of_all_types());
}

TEST(Builder, CopiesValuesOfEachType) {
    const std::string original = raw_document_of_all_types();
    const ExactBytes bytes(original);
    Builder builder;
    Iterator iterator(bytes.view());
    while (iterator.next())
        builder.append_value(iterator.key(), iterator.value());
    EXPECT_EQ(as_string(builder.finish()), original);
}

TEST(Builder, CopiesDocumentsAndArrays) {
    const std::string inner = raw_document(raw_element(0x0A, "0"));
    const ExactBytes bytes(inner);
    Builder builder;
    builder.append_document("d", bytes.view());
    builder.append_array("a", bytes.view());
    EXPECT_EQ(as_string(builder.finish()), raw_document(raw_element(0x03, "d", inner) + raw_element(0x04, "a", inner)));
    EXPECT_THROW(builder.append_document("d", View{}), std::invalid_argument);
    EXPECT_THROW(builder.append_array("a", {bytes.view().data, 5}), std::invalid_argument);
    EXPECT_THROW(builder.append_code_with_scope("c", "", View{}), std::invalid_argument);
    EXPECT_EQ(as_string(builder.finish()), raw_document()) << "a refused value leaves nothing behind";
}

TEST(Builder, CountsArrayKeysPerLevel) {
    Builder builder;
    builder.begin_array("a");
    for (int i = 0; i < 12; ++i) {
        builder.begin_array(builder.array_key());
        builder.append_null(builder.array_key());
        builder.end();
    }
    builder.end();
    const Document document = builder.finish();
    Value array;
    ASSERT_TRUE(find(view_of(document), "a", &array));
    Iterator iterator(document_of(array));
    int count = 0;
    for (; iterator.next(); ++count) {
        EXPECT_EQ(iterator.key(), std::to_string(count));
        EXPECT_EQ(std::string(reinterpret_cast<const char *>(iterator.value().bytes), iterator.value().size),
                  raw_document(raw_element(0x0A, "0")));
    }
    EXPECT_FALSE(iterator.failed());
    EXPECT_EQ(count, 12);
}

TEST(Builder, IsEmptyAgainAfterFinish) {
    Builder builder;
    builder.append_int32("a", 1);
    builder.finish();
    builder.append_int32("b", 2);
    EXPECT_EQ(as_string(builder.finish()), raw_document(raw_element(0x10, "b", raw(int32_t{2}))));
}

TEST(Builder, StringsMayContainNulButKeysMustNot) {
    Builder builder;
    builder.append_string("s", "a\0b"s);
    builder.append_code("c", "\0"s);
    EXPECT_THROW(builder.append_int32("a\0b"s, 1), std::invalid_argument);
    EXPECT_THROW(builder.begin_document("\0"s), std::invalid_argument);
    EXPECT_THROW(builder.append_regex("r", "a\0b"s, ""), std::invalid_argument);
    EXPECT_THROW(builder.append_regex("r", "a", "i\0"s), std::invalid_argument);
    EXPECT_EQ(as_string(builder.finish()),
              raw_document(raw_element(0x02, "s", raw_text("a\0b"s)) + raw_element(0x0D, "c", raw_text("\0"s))));
}

TEST(Builder, LevelsMustMatch) {
    Builder builder;
    EXPECT_THROW(builder.end(), std::logic_error);
    builder.begin_document("a");
    EXPECT_THROW(builder.finish(), std::logic_error);
    builder.end();
    EXPECT_EQ(as_string(builder.finish()), raw_document(raw_element(0x03, "a", raw_document())));
}

} // namespace

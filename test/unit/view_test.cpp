/*
 * Walking BSON: each type, and each way in which bytes can be no document.
 */
#include "bson/view.h"
#include "raw_bson.h"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <vector>

namespace {

using namespace mongoferry::bson;
using namespace mongoferry::test;
using namespace std::string_literals;

/* Walks a document and all that is in it, and reads every byte that an accessor hands out. */
struct Walk {
    size_t elements = 0;
    size_t bytes = 0;
    unsigned sum = 0;
    std::string error; /* of the outermost document that has one */
    size_t error_offset = 0;

    void read(std::string_view text) {
        bytes += text.size();
        for (char character : text)
            sum += static_cast<uint8_t>(character);
    }
    void read(const uint8_t *data, size_t size) { read({reinterpret_cast<const char *>(data), size}); }

    void walk(View document, int depth = 0) {
        Iterator iterator(document);
        while (iterator.next()) {
            ++elements;
            const Value &value = iterator.value();
            read(iterator.key());
            read(value.bytes, value.size);
            switch (value.type) {
            case Type::string:
            case Type::code:
            case Type::symbol:
                read(text_of(value));
                break;
            case Type::object:
            case Type::array:
                if (depth < 100)
                    walk(document_of(value), depth + 1);
                break;
            case Type::binary:
                read(binary_of(value).data, binary_of(value).size);
                break;
            case Type::regex:
                read(regex_of(value).pattern);
                read(regex_of(value).options);
                break;
            case Type::db_pointer:
                read(db_pointer_of(value).collection);
                read(db_pointer_of(value).object_id, 12);
                break;
            case Type::code_with_scope:
                read(code_with_scope_of(value).code);
                if (depth < 100)
                    walk(code_with_scope_of(value).scope, depth + 1);
                break;
            default:
                break;
            }
        }
        if (iterator.failed() && depth == 0) {
            error = iterator.error();
            error_offset = iterator.error_offset();
        }
    }
};

Walk walk(std::string_view bytes) {
    const ExactBytes exact(bytes);
    Walk result;
    result.walk(exact.view());
    return result;
}

TEST(View, EmptyDocument) {
    const Walk result = walk(raw_document());
    EXPECT_EQ(result.elements, 0u);
    EXPECT_EQ(result.error, "");
}

TEST(View, ReadsEachType) {
    const ExactBytes bytes(raw_document_of_all_types());
    std::map<std::string, Value> values;
    Iterator iterator(bytes.view());
    size_t position = 0;
    while (iterator.next()) {
        EXPECT_GT(iterator.value().bytes, bytes.view().data + position);
        position = static_cast<size_t>(iterator.value().bytes + iterator.value().size - bytes.view().data);
        values[std::string(iterator.key())] = iterator.value();
    }
    ASSERT_FALSE(iterator.failed()) << iterator.error();
    EXPECT_EQ(position, bytes.view().size - 1);
    ASSERT_EQ(values.size(), 22u);
    for (const auto &[key, value] : values)
        EXPECT_EQ(type_name(value.type), key == "binData2" ? "binData" : key);

    EXPECT_EQ(load_float64(values["double"].bytes), 1.5);
    EXPECT_EQ(text_of(values["string"]), "text");
    Value inner;
    ASSERT_TRUE(find(document_of(values["object"]), "a", &inner));
    EXPECT_EQ(load_int32(inner.bytes), 1);
    ASSERT_TRUE(find(document_of(values["array"]), "1", &inner));
    EXPECT_EQ(inner.type, Type::null);
    const Binary binary = binary_of(values["binData"]);
    EXPECT_EQ(binary.subtype, 0);
    EXPECT_EQ(std::string(reinterpret_cast<const char *>(binary.data), binary.size), "\x01\x02\x03");
    const Binary old_binary = binary_of(values["binData2"]);
    EXPECT_EQ(old_binary.subtype, 2);
    EXPECT_EQ(std::string(reinterpret_cast<const char *>(old_binary.data), old_binary.size), "\x01\x02");
    EXPECT_EQ(values["objectId"].size, 12u);
    EXPECT_EQ(values["objectId"].bytes[0], 0x50);
    EXPECT_EQ(values["bool"].bytes[0], 1);
    EXPECT_EQ(load_int64(values["date"].bytes), -1);
    EXPECT_EQ(regex_of(values["regex"]).pattern, "a.b");
    EXPECT_EQ(regex_of(values["regex"]).options, "im");
    EXPECT_EQ(db_pointer_of(values["dbPointer"]).collection, "shop.users");
    EXPECT_EQ(db_pointer_of(values["dbPointer"]).object_id[11], 0x11);
    EXPECT_EQ(text_of(values["javascript"]), "f()");
    EXPECT_EQ(text_of(values["symbol"]), "sym");
    const CodeWithScope code = code_with_scope_of(values["javascriptWithScope"]);
    EXPECT_EQ(code.code, "g()");
    ASSERT_TRUE(find(code.scope, "x", &inner));
    EXPECT_EQ(load_int32(inner.bytes), 7);
    EXPECT_EQ(load_int32(values["int"].bytes), -5);
    EXPECT_EQ(load_int32(values["timestamp"].bytes), 1);
    EXPECT_EQ(load_int32(values["timestamp"].bytes + 4), -1);
    EXPECT_EQ(load_int64(values["long"].bytes), INT64_MIN);
    EXPECT_EQ(values["decimal"].size, 16u);
    EXPECT_EQ(values["minKey"].size, 0u);
}

TEST(View, KeysOfEachLength) {
    for (size_t length : {0u, 1u, 6u, 7u, 8u, 9u, 15u, 16u, 17u, 1000u})
        for (size_t after = 0; after < 10; ++after) { /* bytes behind the key decide how its end is looked for */
            const std::string key(length, 'k');
            const ExactBytes bytes(
                raw_document(raw_element(0x0A, key) + raw_element(0x02, "s", raw_text(std::string(after, 'x')))));
            Iterator iterator(bytes.view());
            ASSERT_TRUE(iterator.next());
            EXPECT_EQ(iterator.key(), key);
            ASSERT_TRUE(iterator.next());
            EXPECT_EQ(iterator.key(), "s");
            EXPECT_EQ(text_of(iterator.value()).size(), after);
            EXPECT_FALSE(iterator.next());
            EXPECT_FALSE(iterator.failed());
        }
    /* bytes that a search by words might take for a zero */
    const std::string odd = "\x80\x81\xff\x01\x01\x80\x7f\xfe\x01";
    EXPECT_EQ(walk(raw_document(raw_element(0x0A, odd))).error, "");
    EXPECT_EQ(walk(raw_document(raw_element(0x0A, odd))).bytes, odd.size());
}

TEST(View, StringsMayContainNulAndBeEmpty) {
    const ExactBytes bytes(
        raw_document(raw_element(0x02, "", raw_text("a\0b"s)) + raw_element(0x02, "b", raw_text(""))));
    Iterator iterator(bytes.view());
    ASSERT_TRUE(iterator.next());
    EXPECT_EQ(iterator.key(), "");
    EXPECT_EQ(text_of(iterator.value()), "a\0b"s);
    ASSERT_TRUE(iterator.next());
    EXPECT_EQ(text_of(iterator.value()), "");
}

TEST(View, FindTakesTheFirstOfDuplicates) {
    const ExactBytes bytes(raw_document(raw_element(0x10, "a", raw(int32_t{1})) +
                                        raw_element(0x10, "b", raw(int32_t{2})) +
                                        raw_element(0x10, "a", raw(int32_t{3}))));
    Value value;
    ASSERT_TRUE(find(bytes.view(), "a", &value));
    EXPECT_EQ(load_int32(value.bytes), 1);
    EXPECT_FALSE(find(bytes.view(), "", &value));
    EXPECT_FALSE(find(bytes.view(), "ab", &value));
    EXPECT_FALSE(find({}, "a", &value));
}

TEST(View, FindStopsWhereTheDocumentIsCorrupt) {
    const ExactBytes bytes(raw_document(raw_element(0x10, "a", raw(int32_t{1})) + raw_element(0x14, "b") +
                                        raw_element(0x10, "c", raw(int32_t{3}))));
    Value value;
    EXPECT_TRUE(find(bytes.view(), "a", &value));
    EXPECT_FALSE(find(bytes.view(), "c", &value));
}

TEST(View, UnknownTypesHaveNoName) {
    EXPECT_STREQ(type_name(static_cast<Type>(0x14)), "unknown");
    EXPECT_STREQ(type_name(static_cast<Type>(0x00)), "unknown");
}

TEST(View, RefusesDocumentsThatAreNotFramed) {
    const std::string cases[] = {
        "",
        "\x05",
        "\x05\0\0\0"s,
        "\x04\0\0\0"s,
        "\x05\0\0\0\x01"s, /* no NUL at the end */
        "\x06\0\0\0\0"s,   /* shorter than it says */
        "\x05\0\0\0\0\0"s, /* longer than it says */
        "\x00\0\0\0\0"s,
        "\xff\xff\xff\xff\0"s, /* -1 */
        "\x05\0\0\x80\0"s,
    };
    for (const std::string &bytes : cases) {
        const Walk result = walk(bytes);
        EXPECT_EQ(result.error, "its length does not fit its bytes") << testing::PrintToString(bytes);
        EXPECT_EQ(result.error_offset, 0u);
        EXPECT_EQ(result.elements, 0u);
    }
    Iterator none{View{}};
    EXPECT_FALSE(none.next());
    EXPECT_TRUE(none.failed());
    EXPECT_FALSE(none.next());
}

struct Malformed {
    const char *what;
    std::string element;
    const char *error;
};

/* Each malformed element stands behind a good one, at offset 11, and then also before another good one, whose bytes
 * must not be taken for its own. */
TEST(View, RefusesMalformedElements) {
    const std::string beyond = "a value reaches beyond the document's end";
    const char *const string_length = "the length of a string does not fit the document";
    const char *const nested = "the length of a nested document does not fit";
    const char *const binary = "the length of a binary value does not fit the document";
    const char *const inner_binary = "the inner length of a binary value of subtype 2 does not fit its length";
    const char *const pointer = "the length of a DBPointer's namespace does not fit the document";
    const char *const code = "the length of a code with scope does not fit the document";
    const char *const inner_code = "the lengths inside a code with scope do not fit its length";
    const std::string empty = raw_document();
    const Malformed always[] = {
        {"boolean of 2", raw_element(0x08, "k", "\x02"), "a boolean is neither 0 nor 1"},
        {"boolean of 255", raw_element(0x08, "k", "\xff"), "a boolean is neither 0 nor 1"},
        {"string of length 0", raw_element(0x02, "k", raw(int32_t{0}) + '\0'), string_length},
        {"string of length -1", raw_element(0x02, "k", raw(int32_t{-1}) + '\0'), string_length},
        {"string of smallest length", raw_element(0x0D, "k", raw(INT32_MIN) + '\0'), string_length},
        {"string of largest length", raw_element(0x0E, "k", raw(INT32_MAX) + '\0'), string_length},
        {"string without NUL", raw_element(0x02, "k", raw(int32_t{2}) + "ab"), "a string does not end with a NUL byte"},
        {"object of length 0", raw_element(0x03, "k", raw(int32_t{0}) + '\0'), nested},
        {"object of length 4", raw_element(0x03, "k", raw(int32_t{4}) + '\0'), nested},
        {"object of length -5", raw_element(0x03, "k", raw(int32_t{-5}) + '\0'), nested},
        {"array of largest length", raw_element(0x04, "k", raw(INT32_MAX) + '\0'), nested},
        {"object without NUL", raw_element(0x03, "k", raw(int32_t{5}) + '\x01'), nested},
        {"binary of length -1", raw_element(0x05, "k", raw(int32_t{-1}) + '\0'), binary},
        {"binary of largest length", raw_element(0x05, "k", raw(INT32_MAX) + '\0'), binary},
        {"old binary of length 3", raw_element(0x05, "k", raw_binary(2, "abc")), inner_binary},
        {"old binary, inner too short", raw_element(0x05, "k", raw_binary(2, raw(int32_t{1}) + "ab")), inner_binary},
        {"old binary, inner too long", raw_element(0x05, "k", raw_binary(2, raw(int32_t{3}) + "ab")), inner_binary},
        {"old binary, inner negative", raw_element(0x05, "k", raw_binary(2, raw(int32_t{-2}) + "ab")), inner_binary},
        {"DBPointer of length 0", raw_element(0x0C, "k", raw(int32_t{0}) + std::string(13, '\0')), pointer},
        {"DBPointer without NUL", raw_element(0x0C, "k", raw(int32_t{1}) + std::string(13, 'x')), pointer},
        {"code with scope of length 13", raw_element(0x0F, "k", raw(int32_t{13}) + raw_text("") + empty), code},
        {"code with scope of length -1", raw_element(0x0F, "k", raw(int32_t{-1}) + raw_text("") + empty), code},
        {"code with scope, largest", raw_element(0x0F, "k", raw(INT32_MAX) + raw_text("") + empty), code},
        {"code too long for its scope",
         raw_element(0x0F, "k", raw(int32_t{15}) + raw(int32_t{2}) + "a\0"s + "\x06\0\0\0\0"s), inner_code},
        {"code of length 0", raw_element(0x0F, "k", raw(int32_t{14}) + raw(int32_t{0}) + '\0' + empty), inner_code},
        {"code without NUL", raw_element(0x0F, "k", raw(int32_t{14}) + raw(int32_t{1}) + 'x' + empty), inner_code},
        {"scope of wrong length", raw_element(0x0F, "k", raw(int32_t{14}) + raw_text("") + "\x06\0\0\0\0"s),
         inner_code},
        {"bytes behind the scope", raw_element(0x0F, "k", raw(int32_t{15}) + raw_text("") + empty + '\0'), inner_code},
        {"an end too early", "\0"s, "it ends before its length says"},
        {"type 0x14", raw_element(0x14, "k"), "unknown element type 0x14"},
        {"type 0x7e", raw_element(0x7E, "k"), "unknown element type 0x7e"},
        {"type 0x80", raw_element(0x80, "k"), "unknown element type 0x80"},
        {"type 0xfe", raw_element(0xFE, "k"), "unknown element type 0xfe"},
    };
    const std::string good = raw_element(0x10, "a", raw(int32_t{1}));
    ASSERT_EQ(good.size() + 4, 11u);
    for (const Malformed &malformed : always)
        for (const std::string &after : {""s, good}) {
            const Walk result = walk(raw_document(good + malformed.element + after));
            EXPECT_EQ(result.error, malformed.error) << malformed.what;
            EXPECT_EQ(result.error_offset, 11u) << malformed.what;
            EXPECT_EQ(result.elements, 1u) << malformed.what;
        }

    const Malformed at_the_end[] = {
        {"a type alone", "\x10", "a key has no end"},
        {"a key without NUL",
         "\x10"
         "abc",
         "a key has no end"},
        {"a long key without NUL", "\x10" + std::string(100, 'k'), "a key has no end"},
        {"an unknown type alone", "\x14", "unknown element type 0x14"},
        {"double cut", raw_element(0x01, "k", "1234567"), beyond.c_str()},
        {"ObjectId cut", raw_element(0x07, "k", "12345678901"), beyond.c_str()},
        {"boolean cut", raw_element(0x08, "k"), beyond.c_str()},
        {"date cut", raw_element(0x09, "k", "1234567"), beyond.c_str()},
        {"int32 cut", raw_element(0x10, "k", "123"), beyond.c_str()},
        {"timestamp cut", raw_element(0x11, "k", "1234567"), beyond.c_str()},
        {"int64 cut", raw_element(0x12, "k", "1234567"), beyond.c_str()},
        {"decimal128 cut", raw_element(0x13, "k", "123456789012345"), beyond.c_str()},
        {"string's length cut", raw_element(0x02, "k", "\x01\0\0"s), beyond.c_str()},
        {"string's NUL is the document's", raw_element(0x02, "k", raw(int32_t{2}) + "a"), string_length},
        {"object's length cut", raw_element(0x03, "k", "\x05\0\0"s), beyond.c_str()},
        {"object's NUL is the document's", raw_element(0x03, "k", raw(int32_t{6}) + "\x0a"), nested},
        {"binary's length cut", raw_element(0x05, "k", "\x00\0\0\0"s), beyond.c_str()},
        {"binary cut", raw_element(0x05, "k", raw(int32_t{3}) + "\0ab"s), binary},
        {"regex without pattern's end", raw_element(0x0B, "k", "ab"), "a regular expression has no end"},
        {"regex without options' end", raw_element(0x0B, "k", "ab\0i"s), "a regular expression has no end"},
        {"regex without options", raw_element(0x0B, "k", "ab\0"s), "a regular expression has no end"},
        {"DBPointer cut", raw_element(0x0C, "k", raw_text("a.b") + "12345678901"), pointer},
        {"DBPointer without id", raw_element(0x0C, "k", raw_text("a.b")), pointer},
        {"DBPointer's length cut", raw_element(0x0C, "k", "abc"), pointer},
        {"code with scope cut", raw_element(0x0F, "k", raw(int32_t{14}) + raw_text("") + "\x05\0\0\0"s),
         beyond.c_str()},
    };
    for (const Malformed &malformed : at_the_end) {
        const Walk result = walk(raw_document(good + malformed.element));
        EXPECT_EQ(result.error, malformed.error) << malformed.what;
        EXPECT_EQ(result.error_offset, 11u) << malformed.what;
        EXPECT_EQ(result.elements, 1u) << malformed.what;
    }
}

TEST(View, AnErrorStays) {
    const ExactBytes bytes(raw_document(raw_element(0x14, "b")));
    Iterator iterator(bytes.view());
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(iterator.next());
        EXPECT_STREQ(iterator.error(), "unknown element type 0x14");
        EXPECT_EQ(iterator.error_offset(), 4u);
    }
}

TEST(View, FindsFaultsAtAnyDepth) {
    const auto fault = [](const std::string &bytes, int max_nesting = 10) {
        const ExactBytes exact(bytes);
        const char *found = find_fault(exact.view(), max_nesting);
        return found ? std::string(found) : std::string();
    };
    EXPECT_EQ(fault(raw_document_of_all_types()), "");
    EXPECT_EQ(fault(raw_document(), 0), "");
    EXPECT_EQ(fault(raw_document(raw_element(0x03, "k", raw_document())), 0), "its documents are nested too deeply");
    EXPECT_EQ(fault(raw_nested_document(10), 10), "");
    EXPECT_EQ(fault(raw_nested_document(11), 10), "its documents are nested too deeply");
    EXPECT_EQ(fault("junk"), "its length does not fit its bytes");

    const std::string wrong = raw_document(raw_element(0x14, "x"));
    EXPECT_EQ(fault(wrong), "unknown element type 0x14");
    for (int type : {0x03, 0x04}) {
        const std::string inside = raw_document(raw_element(type, "k", wrong));
        EXPECT_EQ(fault(inside), "unknown element type 0x14");
        EXPECT_EQ(fault(raw_document(raw_element(0x0A, "n") + raw_element(0x03, "k", inside) + raw_element(0x0A, "m"))),
                  "unknown element type 0x14");
    }
    EXPECT_EQ(fault(raw_document(raw_element(0x0F, "k", raw_code_with_scope("code", wrong)))),
              "unknown element type 0x14");
}

/* What the walk accepts, the accessors must be able to read: the sanitizers are the judge, and so is the count of
 * bytes, which can't be more than a few times those that are there. */
TEST(View, ReadsNothingBeyondMutatedDocuments) {
    const std::string document = raw_document_of_all_types();
    const auto check = [](const std::string &bytes) {
        const Walk result = walk(bytes);
        EXPECT_LE(result.bytes, 8 * bytes.size());
    };
    for (size_t size = 0; size < document.size(); ++size) {
        check(document.substr(0, size));
        if (size >= 5) { /* cut, and made to look whole */
            std::string cut = document.substr(0, size);
            cut.replace(0, 4, raw(static_cast<int32_t>(size)));
            cut.back() = '\0';
            check(cut);
        }
    }
    for (size_t position = 0; position < document.size(); ++position)
        for (int byte : {0x00, 0x01, 0x02, 0x05, 0x0B, 0x0F, 0x7F, 0x80, 0xFF}) {
            std::string mutated = document;
            mutated[position] = static_cast<char>(byte);
            check(mutated);
        }
    std::mt19937 random(20240229);
    for (int round = 0; round < 20000; ++round) {
        std::string mutated = document;
        for (int change = 0; change < 4; ++change)
            mutated[4 + random() % (mutated.size() - 5)] = static_cast<char>(random());
        check(mutated);
    }
}

} // namespace

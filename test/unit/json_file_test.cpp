/*
 * mongoexport's files: documents in lines, over lines and in an array, however the bytes arrive, and faults with their
 * place. What the values mean is the Extended JSON parser's to test.
 */
#include "memory_input.h"
#include "source/file/json_file.h"

#include <gtest/gtest.h>

namespace {

using namespace mongoferry;
using namespace mongoferry::source;
using namespace mongoferry::test;

Outcome read(const std::string &text, size_t piece = SIZE_MAX, bool fault = false) {
    MemoryInput input(text, piece, fault);
    JsonFileReader reader(input, 64);
    return read_all(reader);
}

/* The int32 field "a" of each document. */
std::string values(const Outcome &outcome) {
    std::string text;
    for (const std::string &document : outcome.documents) {
        bson::Value value;
        bson::View view{reinterpret_cast<const uint8_t *>(document.data()), document.size()};
        EXPECT_TRUE(bson::is_framed(view));
        text += (text.empty() ? "" : " ") + (bson::find(view, "a", &value) && value.type == bson::Type::int32
                                                 ? std::to_string(bson::load_int32(value.bytes))
                                                 : std::string("?"));
    }
    return text;
}

TEST(JsonFile, FormsOfAFile) {
    const std::pair<const char *, const char *> cases[] = {
        {"", ""},
        {"\n \r\n\t", ""},
        {"{\"a\":1}", "1"},
        {"{\"a\":1}\n", "1"},
        {"{\"a\":1}\n{\"a\":2}\r\n\n{\"a\":3}", "1 2 3"},
        {"{\"a\":1}{\"a\":2} {\"a\":3}", "1 2 3"},
        {"{\n\t\"a\": 1\n}\n{\n\t\"a\": 2\n}\n", "1 2"},
        {"[]", ""},
        {"[]\n", ""},
        {" [ ] ", ""},
        {"[{\"a\":1},{\"a\":2},\n{\"a\":3}]\n\n", "1 2 3"},
        {"[ {\"a\" : 1 } ,\n\n {\"a\":2}\n]", "1 2"},
        {"\xef\xbb\xbf{\"a\":1}\n{\"a\":2}", "1 2"},
        {"\xef\xbb\xbf[{\"a\":1}]", "1"},
        {"{\"b\":\"}{\\\"}[]\\\\\",\"a\":1}\n{\"a\":2}", "1 2"},
    };
    for (const auto &[text, expected] : cases)
        for (size_t piece : {size_t{1}, size_t{2}, size_t{5}, SIZE_MAX}) {
            Outcome outcome = read(text, piece);
            EXPECT_EQ(outcome.damage, "") << text;
            EXPECT_EQ(values(outcome), expected) << text;
        }
}

TEST(JsonFile, Faults) {
    struct Case {
        const char *text;
        const char *before; /* the documents given */
        const char *damage; /* its beginning */
        int64_t offset;     /* -1: the parser's to choose */
        int64_t line;
    };
    const Case cases[] = {
        {"{\"a\":1}\n{\"a\":2", "1", "The file ends inside a document.", 8, 2},
        {"{\"a\":1}\n{\"a\":\"x", "1", "", -1, 2},
        {"{\"a\":1}\n\n{\"a\":nope}\n{\"a\":3}", "1", "Invalid Extended JSON: ", -1, 3},
        {"{\"a\":1}\n{\n\"a\":nope}\n{\"a\":3}", "1", "Invalid Extended JSON: ", -1, 3},
        {"{\"a\":1},{\"a\":2}", "1", "A document is expected here.", 7, 1},
        {"{\"a\":1}\n]", "1", "A document is expected here.", 8, 2},
        {"[{\"a\":1}", "1", "The file ends inside an array.", 8, 1},
        {"[{\"a\":1},", "1", "The file ends inside an array.", 9, 1},
        {"[", "", "The file ends inside an array.", 1, 1},
        {"[{\"a\":1},]", "1", "A document is expected here.", 9, 1},
        {"[{\"a\":1} {\"a\":2}]", "1", "A comma or the array's end is expected.", 9, 1},
        {"[{\"a\":1}],", "1", "The array is followed by something else.", 9, 1},
        {"[{\"a\":1}]\n{\"a\":2}", "1", "The array is followed by something else.", 10, 2},
        {"[,{\"a\":1}]", "", "A document is expected here.", 1, 1},
        {"[1,2]", "", "A document is expected here.", 1, 1},
        {"1", "", "A document is expected here.", 0, 1},
        {"_id,name\n", "", "A document is expected here.", 0, 1},
        {"\xff\xfe{\0", "", "The file is encoded in UTF-16; it must be UTF-8.", 0, 1},
    };
    for (const Case &test : cases)
        for (size_t piece : {size_t{1}, size_t{3}, SIZE_MAX}) {
            Outcome outcome = read(test.text, piece);
            EXPECT_EQ(values(outcome), test.before) << test.text;
            EXPECT_EQ(outcome.damage.substr(0, strlen(test.damage)), test.damage) << test.text;
            EXPECT_NE(outcome.damage, "") << test.text;
            EXPECT_EQ(outcome.damage_line, test.line) << test.text;
            if (test.offset >= 0) {
                EXPECT_EQ(outcome.damage_offset, test.offset) << test.text;
            }
        }
}

TEST(JsonFile, CutAnywhereGivesTheDocumentsBefore) {
    std::string text;
    std::vector<size_t> ends;
    for (int i = 0; i < 8; ++i) {
        text += "{\"a\":" + std::to_string(i) + ",\"text\":\"" + std::string(static_cast<size_t>(i) * 9, '\\') +
                (i % 2 ? "\\" : "") + "\"}";
        ends.push_back(text.size());
        text += "\n";
    }
    for (size_t length = 0; length <= text.size(); ++length) {
        Outcome outcome = read(text.substr(0, length), 10);
        size_t whole = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), length) - ends.begin());
        bool at_border = length == 0 || (whole > 0 && (length == ends[whole - 1] || length == ends[whole - 1] + 1));
        EXPECT_EQ(outcome.documents.size(), whole) << length;
        EXPECT_EQ(outcome.damage.empty(), at_border) << length << ": " << outcome.damage;
    }
}

TEST(JsonFile, AFaultIsToldWithoutReadingOn) {
    std::string text = "{\"a\":1}\n{\"a\":nope, \"b\":\"" + std::string(20000000, 'x');
    MemoryInput input(text);
    JsonFileReader reader(input, 4096);
    EXPECT_EQ(read_all(reader).documents.size(), 1u);
    EXPECT_LE(input.position(), 100000u);
}

TEST(JsonFile, AFaultAtTheEndOfADocumentThatCameInPieces) {
    std::string first = "{\"a\":1}\n";
    for (const char *bad : {"{\"b\":{\"c\":[\"x}\",1]},\"d\":nope}\n", "{\"b\":{},\"d\":}\n", "{\"b\":\"x\",\"b\"}\n"})
        for (size_t piece = 1; piece < 20; ++piece) {
            Outcome outcome = read(first + bad + "{\"a\":3}", piece);
            EXPECT_EQ(values(outcome), "1") << bad;
            EXPECT_EQ(outcome.damage.substr(0, 23), "Invalid Extended JSON: ") << bad;
            EXPECT_EQ(outcome.damage_line, 2) << bad;
            EXPECT_GT(outcome.damage_offset, static_cast<int64_t>(first.size()));
            EXPECT_LT(outcome.damage_offset, static_cast<int64_t>(first.size() + strlen(bad)));
        }
}

TEST(JsonFile, ANumberThatIsCutIsNoFault) {
    /* 9223372036854775808 alone would be beyond 64 bits */
    for (size_t piece = 1; piece < 40; ++piece) {
        Outcome outcome = read("{\"a\":1}{\"b\":9223372036854775808.5,\"a\":2}", piece);
        EXPECT_EQ(outcome.damage, "") << piece;
        EXPECT_EQ(values(outcome), "1 2") << piece;
    }
}

TEST(JsonFile, ALongDocument) {
    std::string text = "{\"a\":1,\"text\":\"" + std::string(3000000, 'x') + "\"}\n{\"a\":2}";
    Outcome outcome = read(text, 100000);
    EXPECT_EQ(outcome.damage, "");
    EXPECT_EQ(values(outcome), "1 2");
}

TEST(JsonFile, AFaultOfTheInputComesAfterTheDocumentsBefore) {
    Outcome outcome = read("{\"a\":1}\n{\"a\":2}\n{\"a\":", 4, true);
    EXPECT_EQ(values(outcome), "1 2");
    EXPECT_EQ(outcome.damage, "A planted fault.");
}

TEST(JsonFile, TheFaultStays) {
    MemoryInput input("[{\"a\":1}],");
    JsonFileReader reader(input, 64);
    EXPECT_EQ(read_all(reader).documents.size(), 1u);
    EXPECT_EQ(read_all(reader).damage, "The array is followed by something else.");
}

} // namespace

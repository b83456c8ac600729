/*
 * .bson files: every document comes once and in order however the bytes arrive, and a fault is told at its offset after
 * the documents before it.
 */
#include "memory_input.h"
#include "source/file/bson_file.h"

#include <gtest/gtest.h>

namespace {

using namespace mongoferry::source;
using namespace mongoferry::test;

constexpr size_t batch_size = 256;

Outcome read(const std::string &bytes, size_t piece = SIZE_MAX, bool fault = false) {
    MemoryInput input(bytes, piece, fault);
    BsonFileReader reader(input, batch_size);
    return read_all(reader);
}

const std::string empty_document("\5\0\0\0\0", 5);

TEST(BsonFile, GivesEveryDocumentHoweverTheBytesArrive) {
    std::string bytes;
    std::vector<std::string> documents;
    for (size_t i = 0; i < 300; ++i)
        documents.push_back(i % 7 == 0 ? empty_document
                                       : document_of_size(13 + (i * 37) % 700, static_cast<char>('a' + i % 26)));
    for (const std::string &document : documents)
        bytes += document;
    for (size_t piece : {size_t{1}, size_t{3}, size_t{64}, size_t{255}, size_t{256}, size_t{257}, SIZE_MAX}) {
        Outcome outcome = read(bytes, piece);
        EXPECT_EQ(outcome.damage, "") << "pieces of " << piece;
        EXPECT_EQ(outcome.documents, documents) << "pieces of " << piece;
    }
}

TEST(BsonFile, IsEmpty) {
    Outcome outcome = read("");
    EXPECT_EQ(outcome.damage, "");
    EXPECT_TRUE(outcome.documents.empty());
}

TEST(BsonFile, TruncatedAnywhereGivesTheDocumentsBefore) {
    std::string bytes;
    std::vector<size_t> ends{0};
    for (size_t size : {20, 5, 13, 300, 40}) {
        bytes += size == 5 ? empty_document : document_of_size(size);
        ends.push_back(bytes.size());
    }
    for (size_t length = 0; length <= bytes.size(); ++length) {
        Outcome outcome = read(bytes.substr(0, length), 50);
        size_t whole = 0;
        while (whole + 1 < ends.size() && ends[whole + 1] <= length)
            ++whole;
        EXPECT_EQ(outcome.documents.size(), whole) << length;
        if (length == ends[whole]) {
            EXPECT_EQ(outcome.damage, "") << length;
        } else {
            EXPECT_EQ(outcome.damage_offset, static_cast<int64_t>(ends[whole])) << length;
            EXPECT_EQ(outcome.damage.substr(0, 14), "The file ends ") << length;
        }
    }
}

TEST(BsonFile, RefusesBadFraming) {
    struct Case {
        const char *what;
        std::string bad;
        std::string damage;
    };
    std::string unterminated = document_of_size(20);
    unterminated.back() = 1;
    std::string limit = "; 5 to 16793600 are possible.";
    const Case cases[] = {
        {"length below the least", std::string("\4\0\0\0\0", 5), "A document's length is given as 4 bytes" + limit},
        {"length 0", std::string(20, '\0'), "A document's length is given as 0 bytes" + limit},
        {"negative length", std::string("\xff\xff\xff\xff", 4) + "rest",
         "A document's length is given as -1 bytes" + limit},
        {"length beyond 16 MB + 16 kB", std::string("\x01\x40\x00\x01", 4) + std::string(9, '\0'),
         "A document's length is given as 16793601 bytes" + limit},
        {"no final zero", unterminated, "A document of 20 bytes does not end with a zero byte."},
    };
    for (const Case &test : cases) {
        for (size_t before : {0, 1, 30}) {
            std::string bytes;
            for (size_t i = 0; i < before; ++i)
                bytes += document_of_size(21);
            Outcome outcome = read(bytes + test.bad + document_of_size(30), 100);
            EXPECT_EQ(outcome.documents.size(), before) << test.what;
            EXPECT_EQ(outcome.damage, test.damage) << test.what;
            EXPECT_EQ(outcome.damage_offset, static_cast<int64_t>(bytes.size())) << test.what;
        }
    }
}

TEST(BsonFile, GivesTheLongestDocument) {
    std::string longest = document_of_size(max_document_size);
    std::string bytes = document_of_size(30) + longest + document_of_size(31);
    Outcome outcome = read(bytes, 1000000);
    EXPECT_EQ(outcome.damage, "");
    ASSERT_EQ(outcome.documents.size(), 3u);
    EXPECT_TRUE(outcome.documents[1] == longest);
}

TEST(BsonFile, AFaultOfTheInputComesAfterTheDocumentsBefore) {
    std::string bytes = document_of_size(30) + document_of_size(40);
    Outcome outcome = read(bytes + document_of_size(50).substr(0, 20), 7, true);
    EXPECT_EQ(outcome.documents.size(), 2u);
    EXPECT_EQ(outcome.damage, "A planted fault.");
    EXPECT_EQ(outcome.damage_offset, 90);
}

TEST(BsonFile, TheFaultStays) {
    MemoryInput input(document_of_size(30) + "\3");
    BsonFileReader reader(input, batch_size);
    EXPECT_EQ(read_all(reader).documents.size(), 1u);
    EXPECT_NE(read_all(reader).damage, "");
}

} // namespace

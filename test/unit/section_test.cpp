/*
 * Sections of files, which are what chunks are: a reader entered at any document gives those of the section and no
 * others, whether its input can go back and forth or not, and wherever it stood before.
 */
#include "bson/builder.h"
#include "memory_input.h"
#include "source/file/archive.h"
#include "source/file/bson_file.h"
#include "source/file/crc64.h"
#include "source/file/json_file.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>

namespace {

using namespace mongoferry;
using namespace mongoferry::source;
using namespace mongoferry::test;

constexpr int count = 40;

std::string text(const bson::Document &document) {
    return {reinterpret_cast<const char *>(document.data()), document.size()};
}

std::string numbered(int number) {
    bson::Builder builder;
    builder.append_int32("a", number);
    builder.append_string("b", std::string(static_cast<size_t>(number * 37 % 90), 'x'));
    return text(builder.finish());
}

std::string bson_content() {
    std::string content;
    for (int i = 0; i < count; ++i)
        content += numbered(i);
    return content;
}

std::string json_content(const char *before, const char *between, const char *behind) {
    std::string content = before;
    for (int i = 0; i < count; ++i)
        content += (i > 0 ? between : "") + ("{\"a\":" + std::to_string(i) + ",\"b\":\"}{\\\"" +
                                             std::string(static_cast<size_t>(i * 37 % 90), 'x') + "\",\"c\":{}}");
    return content + behind;
}

std::string block_header(const char *collection, bool is_end, uint64_t checksum) {
    bson::Builder builder;
    builder.append_string("db", "d");
    builder.append_string("collection", collection);
    builder.append_bool("EOF", is_end);
    builder.append_int64("CRC", static_cast<int64_t>(checksum));
    return text(builder.finish());
}

/* Blocks of one to four documents, with those of another collection between them, and an empty one. */
std::string archive_content(uint64_t change_of_checksum = 0) {
    const std::string terminator("\xff\xff\xff\xff", 4);
    bson::Builder header;
    header.append_string("version", "0.1");
    bson::Builder metadata;
    metadata.append_string("db", "d");
    metadata.append_string("collection", "c");
    std::string content = "\x6d\xe2\x99\x81" + text(header.finish()) + text(metadata.finish()) + terminator;
    for (int i = 0; i < count;) {
        content += block_header("other", false, 0) + numbered(1000 + i) + numbered(1001 + i) + terminator;
        content += block_header("c", false, 0);
        for (int end = std::min(count, i + i % 5); i < end; ++i)
            content += numbered(i);
        if (i % 5 == 0 && i < count)
            content += numbered(i++);
        content += terminator;
    }
    const std::string all = bson_content();
    const uint64_t checksum = crc64(0, reinterpret_cast<const uint8_t *>(all.data()), all.size());
    return content + block_header("c", true, checksum ^ change_of_checksum) + terminator;
}

struct Format {
    const char *name;
    std::string content;
    std::function<std::unique_ptr<DocumentReader>(Input &)> make_reader;
};

std::vector<Format> formats() {
    const auto make_json = [](Input &input) { return std::make_unique<JsonFileReader>(input, 100); };
    return {
        {"bson", bson_content(), [](Input &input) { return std::make_unique<BsonFileReader>(input, 100); }},
        {"json", json_content("", "\n", "\n"), make_json},
        {"json without lines", json_content("\xef\xbb\xbf \n", "", ""), make_json},
        {"json array", json_content(" [\n", " ,\n ", "\n]\n"), make_json},
        {"archive", archive_content(), [](Input &input) { return std::make_unique<ArchiveReader>(input, "d", "c"); }},
    };
}

/* The numbers of the documents that are left. */
std::vector<int> numbers(DocumentReader &reader) {
    const Outcome outcome = read_all(reader);
    EXPECT_EQ(outcome.damage, "");
    std::vector<int> result;
    for (const std::string &document : outcome.documents) {
        bson::Value value;
        EXPECT_TRUE(bson::find({reinterpret_cast<const uint8_t *>(document.data()), document.size()}, "a", &value));
        result.push_back(bson::load_int32(value.bytes));
    }
    return result;
}

std::vector<int> from_to(int first, int end) {
    std::vector<int> result;
    for (int i = first; i < end; ++i)
        result.push_back(i);
    return result;
}

Section section(const std::vector<DocumentStart> &starts, int first, int end) {
    return {starts[static_cast<size_t>(first)].offset, end < count ? starts[static_cast<size_t>(end)].offset : -1,
            starts[static_cast<size_t>(first)].block};
}

TEST(Section, StartsAreThoseOfTheDocuments) {
    for (const Format &format : formats())
        for (size_t piece : {size_t{1}, size_t{7}, SIZE_MAX}) {
            MemoryInput input(format.content, piece);
            const auto reader = format.make_reader(input);
            const std::vector<DocumentStart> starts = all_starts(*reader);
            ASSERT_EQ(starts.size(), static_cast<size_t>(count)) << format.name;
            for (int i = 0; i < count; ++i) {
                const DocumentStart &start = starts[static_cast<size_t>(i)];
                std::string bytes =
                    format.content.substr(static_cast<size_t>(start.offset), static_cast<size_t>(start.size));
                if (format.name[0] != 'j') {
                    EXPECT_EQ(bytes, numbered(i)) << format.name;
                } else {
                    const std::string beginning = "{\"a\":" + std::to_string(i) + ",";
                    EXPECT_EQ(bytes.substr(0, beginning.size()), beginning) << format.name;
                    EXPECT_EQ(bytes.substr(bytes.size() - 8), ",\"c\":{}}") << format.name;
                }
            }
        }
}

TEST(Section, EverySectionOfEveryFormat) {
    for (const Format &format : formats()) {
        MemoryInput whole(format.content);
        const std::vector<DocumentStart> starts = all_starts(*format.make_reader(whole));
        for (int size : {1, 2, 7, count})
            for (int first = 0; first < count; first += size) {
                const int end = std::min(first + size, count);
                for (bool can_go : {false, true}) {
                    MemoryInput input(format.content, 33);
                    if (can_go)
                        input.let_go();
                    const auto reader = format.make_reader(input);
                    reader->enter(section(starts, first, end));
                    EXPECT_EQ(numbers(*reader), from_to(first, end)) << format.name;
                    EXPECT_LE(reader->position(), end < count ? starts[static_cast<size_t>(end)].offset : INT64_MAX)
                        << format.name;
                }
            }
    }
}

TEST(Section, OneAfterTheOtherInAnInputThatOnlyGoesOn) {
    for (const Format &format : formats()) {
        MemoryInput whole(format.content), input(format.content, 50);
        const std::vector<DocumentStart> starts = all_starts(*format.make_reader(whole));
        const auto reader = format.make_reader(input);
        for (const auto &[first, end] : {std::pair{0, 3}, {3, 4}, {4, 12}, {15, 16}, {16, 30}, {37, 40}}) {
            reader->enter(section(starts, first, end));
            EXPECT_EQ(numbers(*reader), from_to(first, end)) << format.name;
        }
    }
}

TEST(Section, InAnyOrder) {
    std::mt19937 random(42);
    for (const Format &format : formats()) {
        MemoryInput whole(format.content), input(format.content, 50);
        const std::vector<DocumentStart> starts = all_starts(*format.make_reader(whole));
        input.let_go();
        const auto reader = format.make_reader(input);
        for (int round = 0; round < 300; ++round) {
            const int first = static_cast<int>(random() % count);
            const int end = first + 1 + static_cast<int>(random() % static_cast<unsigned>(count - first));
            reader->enter(section(starts, first, end));
            if (round % 4 == 0) { /* left early */
                Batch batch;
                EXPECT_TRUE(reader->next_batch(&batch)) << format.name;
            } else if (round % 4 == 1) {
                EXPECT_EQ(all_starts(*reader).size(), static_cast<size_t>(end - first)) << format.name;
            } else {
                EXPECT_EQ(numbers(*reader), from_to(first, end)) << format.name;
            }
        }
        reader->enter({});
        EXPECT_EQ(numbers(*reader), from_to(0, count)) << format.name;
    }
}

TEST(Section, IsNotEnteredWhereNothingBegins) {
    for (const Format &format : formats()) {
        MemoryInput input(format.content, 50);
        input.let_go();
        const auto reader = format.make_reader(input);
        const std::vector<DocumentStart> starts = all_starts(*reader);
        for (int64_t shift : {-2, -1, 1, 2, 4}) {
            Section moved = section(starts, 20, 25);
            moved.first += shift;
            EXPECT_THROW(
                {
                    reader->enter(moved);
                    all_starts(*reader);
                },
                Damage)
                << format.name << " " << shift;
        }
        const int64_t size = static_cast<int64_t>(format.content.size());
        EXPECT_THROW(reader->enter({size + 1, -1, starts[20].block}), Damage) << format.name;
    }
}

TEST(Section, OfAnArchiveNeedsABlockOfTheCollection) {
    const std::string content = archive_content();
    MemoryInput input(content);
    input.let_go();
    ArchiveReader reader(input, "d", "c");
    const std::vector<DocumentStart> starts = all_starts(reader);
    const int64_t other = static_cast<int64_t>(content.find(block_header("other", false, 0), 2000));
    const int64_t last = starts.back().offset;
    for (int64_t block : {int64_t{0}, int64_t{4}, other, starts[3].offset, starts[20].block + 1, last + 1}) {
        EXPECT_THROW(reader.enter({std::max(block, last), -1, block}), Damage) << block;
        reader.enter({last, -1, starts.back().block});
        EXPECT_EQ(numbers(reader), from_to(count - 1, count)) << block;
    }
}

TEST(Section, AChecksumCountsOnlyWhenAllWasRead) {
    MemoryInput input(archive_content(1));
    input.let_go();
    ArchiveReader reader(input, "d", "c");
    const std::string damage = read_all(reader).damage;
    EXPECT_NE(damage.find("checksum"), std::string::npos) << damage;
    reader.enter({});
    const Outcome again = read_all(reader);
    EXPECT_EQ(again.damage, damage);
    EXPECT_EQ(again.documents.size(), static_cast<size_t>(count));
    MemoryInput other(archive_content(1));
    const std::vector<DocumentStart> starts = [&] {
        MemoryInput right(archive_content());
        ArchiveReader first(right, "d", "c");
        return all_starts(first);
    }();
    ArchiveReader midway(other, "d", "c");
    midway.enter({starts[10].offset, -1, starts[10].block});
    EXPECT_EQ(numbers(midway), from_to(10, count));
}

TEST(Section, LinesAreToldOnlyWhereTheyAreKnown) {
    const std::string content = json_content("", "\n", "\n{\"a\": oops}\n");
    MemoryInput input(content, 50);
    input.let_go();
    JsonFileReader reader(input, 100);
    EXPECT_EQ(read_all(reader).damage_line, count + 1);
    reader.enter({static_cast<int64_t>(content.find("{\"a\":30")), -1, -1});
    const Outcome midway = read_all(reader);
    EXPECT_EQ(midway.documents.size(), 10u);
    EXPECT_EQ(midway.damage_line, 0);
    EXPECT_EQ(midway.damage_offset, static_cast<int64_t>(content.find("oops")));
    reader.enter({});
    EXPECT_EQ(read_all(reader).damage_line, count + 1);
}

TEST(Section, ScansOfJsonSeeWhatIsNotFramed) {
    for (const char *behind : {"{\"a\":1", "x", "{\"a\":\"}", "}"}) {
        MemoryInput input(json_content("", "\n", behind), 50);
        JsonFileReader reader(input, 100);
        size_t before = 0;
        std::vector<DocumentStart> some;
        EXPECT_THROW(while (reader.next_starts(&some)) before += some.size(), Damage) << behind;
        EXPECT_EQ(before, static_cast<size_t>(count)) << behind;
    }
}

} // namespace

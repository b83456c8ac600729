/*
 * mongodump's archives: the prelude, blocks of several collections mixed, checksums, and damage of every kind.
 */
#include "bson/builder.h"
#include "memory_input.h"
#include "source/file/archive.h"
#include "source/file/crc64.h"

#include <gtest/gtest.h>

#include <map>

namespace {

using namespace mongoferry;
using namespace mongoferry::source;
using namespace mongoferry::test;

const std::string magic("\x6d\xe2\x99\x81", 4);
const std::string terminator("\xff\xff\xff\xff", 4);

std::string text(const bson::Document &document) {
    return {reinterpret_cast<const char *>(document.data()), document.size()};
}

/* Writes an archive as common/archive/spec.md of mongo-tools describes it. */
class Writer {
public:
    void collection(const std::string &database, const std::string &name, const std::string &type = "collection",
                    const std::string &metadata = "{\"indexes\":[]}") {
        bson::Builder builder;
        builder.append_string("db", database);
        builder.append_string("collection", name);
        builder.append_string("metadata", metadata);
        builder.append_int32("size", 0);
        builder.append_string("type", type);
        prelude_ += text(builder.finish());
    }
    void block(const std::string &database, const std::string &name, const std::string &documents) {
        uint64_t &checksum = checksums_[database + "." + name];
        checksum = crc64(checksum, reinterpret_cast<const uint8_t *>(documents.data()), documents.size());
        blocks_ += header(database, name, false, 0) + documents + terminator;
    }
    void end(const std::string &database, const std::string &name, uint64_t change = 0) {
        blocks_ += header(database, name, true, checksums_[database + "." + name] ^ change) + terminator;
    }
    void raw(const std::string &bytes) { blocks_ += bytes; }
    std::string head() const {
        bson::Builder builder;
        builder.append_int32("concurrent_collections", 4);
        builder.append_string("version", "0.1");
        builder.append_string("server_version", "7.0.16");
        builder.append_string("tool_version", "100.12.0");
        return magic + text(builder.finish()) + prelude_ + terminator;
    }
    std::string bytes() const { return head() + blocks_; }

    static std::string header(const std::string &database, const std::string &name, bool end, uint64_t checksum) {
        bson::Builder builder;
        builder.append_string("db", database);
        builder.append_string("collection", name);
        builder.append_bool("EOF", end);
        builder.append_int64("CRC", static_cast<int64_t>(checksum));
        return text(builder.finish());
    }

private:
    std::string prelude_;
    std::string blocks_;
    std::map<std::string, uint64_t> checksums_;
};

Outcome read(const std::string &bytes, const std::string &collection, size_t piece = SIZE_MAX,
             const std::string &database = "shop") {
    MemoryInput input(bytes, piece);
    ArchiveReader reader(input, database, collection);
    return read_all(reader);
}

std::string documents(size_t count, char fill) {
    std::string bytes;
    for (size_t i = 0; i < count; ++i)
        bytes += document_of_size(20 + (i * 13) % 100, fill);
    return bytes;
}

Writer mixed() {
    Writer writer;
    for (const char *name : {"a", "b", "nothing"})
        writer.collection("shop", name);
    writer.collection("other", "a");
    writer.block("shop", "a", documents(3, 'a'));
    writer.block("shop", "b", documents(5, 'b'));
    writer.block("other", "a", documents(4, 'o'));
    writer.block("shop", "nothing", "");
    writer.end("shop", "nothing");
    writer.block("shop", "a", documents(30, 'c'));
    writer.end("shop", "a");
    writer.block("shop", "b", documents(1, 'd'));
    writer.end("shop", "b");
    writer.end("other", "a");
    return writer;
}

TEST(Archive, IsTold) {
    EXPECT_TRUE(is_archive(reinterpret_cast<const uint8_t *>(magic.data()), 4));
    EXPECT_FALSE(is_archive(reinterpret_cast<const uint8_t *>(magic.data()), 3));
    EXPECT_FALSE(is_archive(reinterpret_cast<const uint8_t *>("\x6d\xe2\x99\x82"), 4));
}

TEST(Archive, Prelude) {
    Writer writer;
    writer.collection("shop", "orders");
    writer.collection("shop", "big_orders", "view");
    writer.collection("shop", "weather", "timeseries");
    writer.collection("", "oplog", "", "");
    /* from before the type was written */
    writer.collection("old", "view", "", R"({"options":{"viewOn":"x","pipeline":[]},"indexes":[]})");
    writer.collection("old", "series", "", R"({"options":{"timeseries":{"timeField":"t"}},"indexes":[]})");
    writer.collection("old", "plain", "", R"({"options":{},"indexes":[]})");
    writer.collection("old", "malformed", "", R"({"indexes":[{"key":{"{"a":1}":1}}]})");
    MemoryInput input(writer.bytes(), 10);
    BufferedInput buffered(input, 64);
    std::string told;
    for (const ArchivedCollection &collection : read_prelude(buffered))
        told +=
            collection.database + "." + collection.name + "=" + std::to_string(static_cast<int>(collection.kind)) + " ";
    EXPECT_EQ(told, "shop.orders=0 shop.big_orders=1 shop.weather=2 .oplog=0 old.view=1 old.series=2 old.plain=0 "
                    "old.malformed=0 ");
}

TEST(Archive, PicksOneCollectionOutOfMixedBlocks) {
    std::string bytes = mixed().bytes();
    for (size_t piece : {size_t{1}, size_t{17}, size_t{1000}, SIZE_MAX}) {
        Outcome a = read(bytes, "a", piece);
        EXPECT_EQ(a.damage, "");
        EXPECT_TRUE(a.bytes() == documents(3, 'a') + documents(30, 'c'));
        Outcome b = read(bytes, "b", piece);
        EXPECT_EQ(b.damage, "");
        EXPECT_TRUE(b.bytes() == documents(5, 'b') + documents(1, 'd'));
        Outcome nothing = read(bytes, "nothing", piece);
        EXPECT_EQ(nothing.damage, "");
        EXPECT_TRUE(nothing.documents.empty());
        Outcome other = read(bytes, "a", piece, "other");
        EXPECT_EQ(other.damage, "");
        EXPECT_TRUE(other.bytes() == documents(4, 'o'));
    }
}

TEST(Archive, StopsWhenTheCollectionIsComplete) {
    Writer writer = mixed();
    for (size_t i = 0; i < 100; ++i)
        writer.block("shop", "b", document_of_size(1000000));
    MemoryInput input(writer.bytes());
    ArchiveReader reader(input, "shop", "a");
    EXPECT_EQ(read_all(reader).documents.size(), 33u);
    EXPECT_LE(input.position(), 1000000u);
}

TEST(Archive, CutAnywhereNeverLooksComplete) {
    std::string bytes = mixed().bytes();
    size_t length_of_header = Writer::header("shop", "a", true, 0).size();
    size_t up_to_checksum = length_of_header - 1 - 8 - 5; /* the final zero, the value, type and key */
    size_t complete = bytes.find(Writer::header("shop", "a", true, 0).substr(0, up_to_checksum));
    ASSERT_NE(complete, std::string::npos);
    for (size_t length = 0; length < complete + length_of_header; ++length) {
        Outcome outcome = read(bytes.substr(0, length), "a", 50);
        EXPECT_NE(outcome.damage, "") << length;
        EXPECT_LE(outcome.damage_offset, static_cast<int64_t>(length));
        EXPECT_TRUE((documents(3, 'a') + documents(30, 'c')).starts_with(outcome.bytes())) << length;
    }
    EXPECT_EQ(read(bytes.substr(0, complete + length_of_header), "a").damage, "");
}

TEST(Archive, ChecksumsAreChecked) {
    Writer writer;
    writer.collection("shop", "a");
    writer.block("shop", "a", documents(3, 'a'));
    size_t offset = writer.bytes().size();
    writer.end("shop", "a", 1);
    Outcome outcome = read(writer.bytes(), "a");
    EXPECT_EQ(outcome.documents.size(), 3u);
    EXPECT_EQ(outcome.damage.substr(0, 36), "The checksum of the collection \"a\" i");
    EXPECT_EQ(outcome.damage_offset, static_cast<int64_t>(offset));
}

TEST(Archive, AnotherCollectionsChecksumDoesNotMatter) {
    Writer writer;
    writer.block("shop", "b", documents(3, 'b'));
    writer.end("shop", "b", 1);
    writer.block("shop", "a", documents(3, 'a'));
    writer.end("shop", "a");
    EXPECT_EQ(read(writer.bytes(), "a").damage, "");
}

TEST(Archive, RefusesWhatIsNoArchive) {
    bson::Builder incomplete;
    incomplete.append_string("db", "shop");
    const std::string lacking = text(incomplete.finish());
    Writer writer;
    writer.collection("shop", "a");
    std::string head = writer.head();
    std::string header = Writer::header("shop", "a", false, 0);
    std::string end = Writer::header("shop", "b", true, 0);

    struct Case {
        std::string bytes;
        std::string damage;
        size_t offset;
    };
    const Case cases[] = {
        {"", "This is not the beginning of an archive.", 0},
        {"\x6d\xe2\x99", "This is not the beginning of an archive.", 0},
        {magic, "The archive ends inside its header.", 4},
        {magic + terminator, "The archive has no header.", 4},
        {magic + lacking + lacking + terminator, "The archive's list of collections lacks the field \"collection\".",
         4 + lacking.size()},
        {magic + lacking + "\x02\0\0\0junk", "", 4 + lacking.size()},
        {head, "The archive ends before the collection \"a\" is complete.", head.size()},
        {head + terminator, "A block has no header.", head.size()},
        {head + lacking + terminator, "The archive's block header lacks the field \"collection\".", head.size()},
        {head + header + documents(1, 'x'), "The archive ends inside a block of documents.",
         head.size() + header.size() + 20},
        {head + header + documents(1, 'x') + std::string(4, '\0'), "", head.size() + header.size() + 20},
        {head + end + documents(1, 'x') + terminator, "The end of a collection is followed by documents.",
         head.size() + end.size()},
        {head + end, "The archive ends inside a block of documents.", head.size() + end.size()},
    };
    for (const Case &test : cases) {
        Outcome outcome = read(test.bytes, "a");
        EXPECT_NE(outcome.damage, "");
        if (!test.damage.empty()) {
            EXPECT_EQ(outcome.damage, test.damage);
        }
        EXPECT_EQ(outcome.damage_offset, static_cast<int64_t>(test.offset)) << outcome.damage;
    }
}

} // namespace

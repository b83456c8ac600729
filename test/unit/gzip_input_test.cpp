/*
 * gzip over a stream of bytes: several members, and faults told after what could be decompressed.
 */
#include "memory_input.h"
#include "source/file/gzip_input.h"

#include <gtest/gtest.h>
#include <zlib.h>

namespace {

using namespace mongoferry::source;
using mongoferry::test::MemoryInput;

std::string gzip(const std::string &content) {
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string compressed(deflateBound(&stream, content.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(content.data()));
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = reinterpret_cast<Bytef *>(compressed.data());
    stream.avail_out = static_cast<uInt>(compressed.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    compressed.resize(stream.total_out);
    deflateEnd(&stream);
    return compressed;
}

struct Result {
    std::string content;
    std::string damage;
    int64_t offset = -1;
};

Result decompress(const std::string &compressed, size_t piece, size_t capacity) {
    MemoryInput memory(compressed, piece);
    GzipInput input(memory);
    std::string buffer(capacity, '\0');
    Result result;
    try {
        while (size_t count = input.read(reinterpret_cast<uint8_t *>(buffer.data()), capacity))
            result.content.append(buffer, 0, count);
    } catch (const Damage &damage) {
        result.damage = damage.what();
        result.offset = damage.offset;
    }
    return result;
}

std::string some_content(size_t size) {
    std::string content;
    uint32_t random = 7;
    while (content.size() < size) {
        random = random * 1664525 + 1013904223;
        content += "document " + std::to_string(random >> 20);
    }
    content.resize(size);
    return content;
}

TEST(GzipInput, Decompresses) {
    for (size_t size : {0, 1, 1000, 300000})
        for (size_t piece : {size_t{1}, size_t{10}, SIZE_MAX})
            for (size_t capacity : {size_t{1}, size_t{1000}, size_t{1} << 20}) {
                if (size > 1000 && (piece == 1 || capacity == 1))
                    continue;
                std::string content = some_content(size);
                Result result = decompress(gzip(content), piece, capacity);
                EXPECT_EQ(result.damage, "");
                EXPECT_TRUE(result.content == content);
            }
}

TEST(GzipInput, JoinsMembers) {
    std::string compressed = gzip("one") + gzip("") + gzip("two") + gzip(some_content(5000));
    for (size_t piece : {size_t{1}, size_t{9}, SIZE_MAX}) {
        Result result = decompress(compressed, piece, 100);
        EXPECT_EQ(result.damage, "");
        EXPECT_TRUE(result.content == "onetwo" + some_content(5000));
    }
}

TEST(GzipInput, TruncatedAnywhereIsAFault) {
    std::string content = some_content(3000);
    std::string compressed = gzip(content);
    for (size_t length = 2; length < compressed.size(); ++length) {
        Result result = decompress(compressed.substr(0, length), SIZE_MAX, 512);
        EXPECT_EQ(result.damage, "The gzip data ends too early.") << length;
        EXPECT_EQ(result.offset, static_cast<int64_t>(result.content.size())) << length;
        EXPECT_TRUE(content.starts_with(result.content)) << length;
    }
    /* All but the trailer: everything is there, but who knows whether it is right. */
    EXPECT_TRUE(decompress(compressed.substr(0, compressed.size() - 8), SIZE_MAX, 512).content == content);
}

TEST(GzipInput, EveryChangedByteIsAFault) {
    std::string content = some_content(3000);
    std::string compressed = gzip(content);
    for (size_t i = 0; i < compressed.size(); ++i) {
        if (i >= 3 && i < 10)
            continue; /* flags, time, system: some changes mean nothing to the content */
        std::string changed = compressed;
        changed[i] = static_cast<char>(changed[i] ^ 0x5a);
        Result result = decompress(changed, SIZE_MAX, 512);
        EXPECT_NE(result.damage, "") << i;
        EXPECT_EQ(result.offset, static_cast<int64_t>(result.content.size())) << i;
    }
}

TEST(GzipInput, WhatFollowsMustBeGzip) {
    Result result = decompress(gzip("one") + "rest", SIZE_MAX, 100);
    EXPECT_EQ(result.content, "one");
    EXPECT_EQ(result.damage, "The gzip data is followed by something else.");
}

/* Goes to random places and reads some bytes there; how many compressed bytes that took. */
struct Counting : MemoryInput {
    using MemoryInput::MemoryInput;
    size_t read(uint8_t *to, size_t capacity) override {
        size_t size = MemoryInput::read(to, capacity);
        total += size;
        return size;
    }
    size_t total = 0;
};

std::string noise(size_t size) {
    std::string content(size, '\0');
    uint64_t state = 88172645463325252;
    for (char &character : content) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        character = "0123456789abcdef"[state >> 60];
    }
    return content;
}

TEST(GzipInput, GoesBackToMarks) {
    const size_t size = 12 * 1024 * 1024;
    const std::string content = noise(size);
    /* Two members, so that marks may stand between them, too. */
    const std::string compressed = gzip(content.substr(0, 5000000)) + gzip(content.substr(5000000));
    Counting memory(compressed, 10000);
    memory.let_go();
    GzipInput input(memory);
    input.keep_marks();
    std::string buffer(100000, '\0');
    size_t position = 0;
    const auto read_on = [&] {
        size_t count = input.read(reinterpret_cast<uint8_t *>(buffer.data()), buffer.size());
        ASSERT_EQ(content.compare(position, count, buffer, 0, count), 0) << position;
        position += count;
        ASSERT_TRUE(count > 0 || position == size);
    };
    const auto go = [&](size_t offset) {
        int64_t reached = input.go_near(static_cast<int64_t>(offset));
        ASSERT_GE(reached, 0);
        ASSERT_LE(static_cast<size_t>(reached), offset);
        position = static_cast<size_t>(reached);
        while (position < offset)
            read_on();
        read_on();
    };
    while (position < size)
        read_on();
    /* A step back costs about the step, or the distance of marks. */
    for (size_t back : {size_t{10}, size_t{500000}, size_t{2000000}, size_t{6000000}}) {
        go(size);
        const size_t before = memory.total;
        go(size - back);
        EXPECT_LE(memory.total - before, (2 * back + 1500000) * compressed.size() / size) << back;
    }
    for (uint64_t i = 1; i < 150; ++i)
        go((i * 2654435761u) % size);
    go(0);
    EXPECT_EQ(input.go_near(0) >= 0, true);
}

TEST(GzipInput, StaysWhereItsInputCanNotGo) {
    const std::string content = noise(3 * 1024 * 1024);
    MemoryInput memory(gzip(content));
    GzipInput input(memory);
    input.keep_marks();
    std::string buffer(2 * 1024 * 1024, '\0');
    size_t count = input.read(reinterpret_cast<uint8_t *>(buffer.data()), buffer.size());
    EXPECT_EQ(input.go_near(0), -1);
    EXPECT_EQ(input.go_near(static_cast<int64_t>(count) + 5), static_cast<int64_t>(count));
    std::string next(1000, '\0');
    size_t more = input.read(reinterpret_cast<uint8_t *>(next.data()), next.size());
    EXPECT_EQ(content.compare(count, more, next, 0, more), 0);
}

} // namespace

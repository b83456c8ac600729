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

} // namespace

/*
 * Plain ASCII or not: every length, every position, every byte.
 */
#include "bson/ascii.h"

#include <gtest/gtest.h>
#include <string>

namespace {

using namespace mongoferry::bson;

TEST(PlainAscii, EveryByteAtEveryPosition) {
    for (size_t size = 0; size <= 40; ++size) {
        std::string text(size, 'x');
        EXPECT_TRUE(is_plain_ascii(text.data(), size));
        for (size_t at = 0; at < size; ++at)
            for (int byte = 0; byte < 256; ++byte) {
                text[at] = static_cast<char>(byte);
                ASSERT_EQ(is_plain_ascii(text.data(), size), byte >= 1 && byte < 0x80)
                    << "byte " << byte << " at " << at << " of " << size;
                text[at] = 'x';
            }
    }
}

TEST(PlainAscii, LoadsNoMoreThanThereIs) {
    const char bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (size_t size = 0; size <= 8; ++size) {
        uint64_t expected = 0;
        for (size_t i = size; i > 0; --i)
            expected = expected << 8 | static_cast<uint64_t>(bytes[i - 1]);
        EXPECT_EQ(load_word(bytes, size), expected);
    }
}

} // namespace

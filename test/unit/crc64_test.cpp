/*
 * The checksum of mongodump's archives, against the check value that the catalogue of CRCs gives for CRC-64/XZ.
 */
#include "source/file/crc64.h"

#include <gtest/gtest.h>

#include <string>

namespace {

using mongoferry::source::crc64;

uint64_t checksum(const std::string &text, uint64_t before = 0) {
    return crc64(before, reinterpret_cast<const uint8_t *>(text.data()), text.size());
}

TEST(Crc64, CheckValue) {
    EXPECT_EQ(checksum("123456789"), 0x995DC9BBDF1939FAu);
    EXPECT_EQ(checksum(""), 0u);
}

TEST(Crc64, TheSameInPieces) {
    std::string text;
    for (int i = 0; i < 1000; ++i)
        text += static_cast<char>(i * 31 + i / 7);
    uint64_t whole = checksum(text);
    for (size_t cut = 0; cut <= 40; ++cut)
        EXPECT_EQ(checksum(text.substr(cut), checksum(text.substr(0, cut))), whole) << cut;
    /* The definition, bit by bit. */
    uint64_t value = ~uint64_t{0};
    for (unsigned char byte : text) {
        value ^= byte;
        for (int bit = 0; bit < 8; ++bit)
            value = (value >> 1) ^ ((value & 1) ? 0xC96C5795D7870F42u : 0);
    }
    EXPECT_EQ(whole, ~value);
}

} // namespace

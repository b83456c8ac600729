/*
 * SHA-1 against the examples of RFC 3174 and FIPS 180, and in pieces against the whole.
 */
#include "bson/sha1.h"

#include <gtest/gtest.h>
#include <string>

namespace {

using namespace mongoferry::bson;

std::string digest_of(std::string_view text, size_t piece = SIZE_MAX) {
    Sha1 sha1;
    for (std::string_view rest = text; !rest.empty(); rest = rest.substr(std::min(piece, rest.size())))
        sha1.add(rest.data(), std::min(piece, rest.size()));
    uint8_t digest[sha1_size];
    sha1.finish(digest);
    std::string hex;
    for (uint8_t byte : digest) {
        hex += "0123456789abcdef"[byte >> 4];
        hex += "0123456789abcdef"[byte & 15];
    }
    return hex;
}

TEST(Sha1, Examples) {
    EXPECT_EQ(digest_of(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    EXPECT_EQ(digest_of("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    EXPECT_EQ(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    EXPECT_EQ(digest_of(std::string(1000000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST(Sha1, PiecesGiveTheDigestOfTheWhole) {
    std::string text;
    for (int i = 0; i < 300; ++i) { /* every length around one and two blocks, and the padding's edges */
        for (size_t piece : {1, 7, 55, 56, 63, 64, 65})
            ASSERT_EQ(digest_of(text, piece), digest_of(text)) << "length " << i;
        text += static_cast<char>(i * 7);
    }
}

} // namespace

/*
 * SHA-1, for version 5 UUIDs (RFC 9562 prescribes it; it protects nothing here).
 *
 * Our own, because a call into the cryptographic library costs ten times the digest of so short a text, once for each
 * row, and because a library in FIPS mode may refuse it. Pure C++, POD world.
 *
 * Source: RFC 3174.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace mongoferry::bson {

constexpr size_t sha1_size = 20;

class Sha1 {
public:
    /* Adds bytes to the text. */
    void add(const void *bytes, size_t size) noexcept;
    /* Gives the digest. Nothing may be added afterwards. */
    void finish(uint8_t digest[sha1_size]) noexcept;

private:
    static constexpr size_t block_size = 64;
    void digest_block(const uint8_t block[block_size]) noexcept;

    uint32_t state_[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint64_t size_ = 0; /* of all that was added */
    uint8_t pending_[block_size];
};

} // namespace mongoferry::bson

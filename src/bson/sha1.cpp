/*
 * See sha1.h. The names of the words are those of RFC 3174, section 6.1.
 */
#include "bson/sha1.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mongoferry::bson {

static uint32_t load_big_endian(const uint8_t *bytes) noexcept {
    return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
           static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
}

static void store_big_endian(uint64_t value, size_t size, uint8_t *bytes) noexcept {
    for (size_t i = size; i > 0; --i, value >>= 8)
        bytes[i - 1] = static_cast<uint8_t>(value);
}

void Sha1::digest_block(const uint8_t block[block_size]) noexcept {
    uint32_t w[80];
    for (size_t t = 0; t < 16; ++t)
        w[t] = load_big_endian(block + 4 * t);
    for (size_t t = 16; t < 80; ++t)
        w[t] = std::rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);

    uint32_t a = state_[0], b = state_[1], c = state_[2], d = state_[3], e = state_[4];
    const auto rounds = [&](size_t from, uint32_t k, auto f) {
        for (size_t t = from; t < from + 20; ++t) {
            const uint32_t next = std::rotl(a, 5) + f() + e + w[t] + k;
            e = d;
            d = c;
            c = std::rotl(b, 30);
            b = a;
            a = next;
        }
    };
    rounds(0, 0x5A827999, [&] { return (b & c) | (~b & d); });
    rounds(20, 0x6ED9EBA1, [&] { return b ^ c ^ d; });
    rounds(40, 0x8F1BBCDC, [&] { return (b & c) | (b & d) | (c & d); });
    rounds(60, 0xCA62C1D6, [&] { return b ^ c ^ d; });

    state_[0] += a;
    state_[1] += b;
    state_[2] += c;
    state_[3] += d;
    state_[4] += e;
}

void Sha1::add(const void *bytes, size_t size) noexcept {
    const uint8_t *from = static_cast<const uint8_t *>(bytes);
    while (size > 0) {
        const size_t used = size_ % block_size;
        const size_t taken = std::min(size, block_size - used);
        memcpy(pending_ + used, from, taken);
        from += taken;
        size -= taken;
        size_ += taken;
        if (size_ % block_size == 0)
            digest_block(pending_);
    }
}

void Sha1::finish(uint8_t digest[sha1_size]) noexcept {
    const uint64_t bits = size_ * 8;
    /* A one bit, zeros, and the length in the last eight bytes of a block. */
    constexpr uint8_t padding[block_size] = {0x80};
    const size_t used = size_ % block_size;
    add(padding, (used < block_size - 8 ? block_size - 8 : 2 * block_size - 8) - used);
    uint8_t length[8];
    store_big_endian(bits, sizeof length, length);
    add(length, sizeof length);
    for (size_t i = 0; i < 5; ++i)
        store_big_endian(state_[i], 4, digest + 4 * i);
}

} // namespace mongoferry::bson

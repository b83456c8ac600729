/*
 * Is a text plain ASCII? Most texts and nearly all keys are, and those need neither validation nor conversion.
 *
 * Pure C++, POD world.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mongoferry::bson {

/* Up to eight bytes as a little-endian word, zeros behind them; reads nothing beyond. */
inline uint64_t load_word(const char *bytes, size_t size) noexcept {
    if (size >= 4) {
        uint32_t first, last;
        memcpy(&first, bytes, 4);
        memcpy(&last, bytes + size - 4, 4);
        return first | static_cast<uint64_t>(last) << (8 * (size - 4));
    }
    uint64_t word = 0;
    for (size_t i = 0; i < size; ++i)
        word |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
    return word;
}

/* True if all bytes are ASCII and none is NUL: then the text is the same in every encoding that a server may have. */
inline bool is_plain_ascii(const char *characters, size_t size) noexcept {
    constexpr uint64_t ones = 0x0101010101010101, high_bits = 0x8080808080808080;
    /* A zero byte borrows, a byte from 0x80 has its high bit already: either sets a high bit. */
    const auto suspicious = [](uint64_t word) { return word | (word - ones); };
    if (size < sizeof(uint64_t))
        return (suspicious(load_word(characters, size) | ones << (8 * size)) & high_bits) == 0;
    uint64_t found = 0;
    uint64_t word;
    for (size_t i = 0; i + sizeof word <= size; i += sizeof word) {
        memcpy(&word, characters + i, sizeof word);
        found |= suspicious(word);
    }
    memcpy(&word, characters + size - sizeof word, sizeof word); /* the rest, and some of it again */
    return ((found | suspicious(word)) & high_bits) == 0;
}

} // namespace mongoferry::bson

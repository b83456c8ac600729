/* See crc64.h. Eight bytes at a time, with a table for each of their places ("slicing by 8"). */
#include "source/file/crc64.h"

#include <array>
#include <cstring>

namespace mongoferry::source {

namespace {

constexpr uint64_t reflected_polynomial = 0xC96C5795D7870F42;

using Tables = std::array<std::array<uint64_t, 256>, 8>;

constexpr Tables make_tables() {
    Tables tables{};
    for (unsigned byte = 0; byte < 256; ++byte) {
        uint64_t value = byte;
        for (int bit = 0; bit < 8; ++bit)
            value = (value >> 1) ^ ((value & 1) ? reflected_polynomial : 0);
        tables[0][byte] = value;
    }
    /* tables[n][b]: byte b followed by n zero bytes */
    for (size_t n = 1; n < 8; ++n)
        for (unsigned byte = 0; byte < 256; ++byte)
            tables[n][byte] = tables[0][tables[n - 1][byte] & 0xff] ^ (tables[n - 1][byte] >> 8);
    return tables;
}

constexpr Tables tables = make_tables();

} // namespace

uint64_t crc64(uint64_t checksum, const uint8_t *bytes, size_t size) noexcept {
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    uint64_t value = ~checksum;
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        word ^= value;
        value = tables[7][word & 0xff] ^ tables[6][(word >> 8) & 0xff] ^ tables[5][(word >> 16) & 0xff] ^
                tables[4][(word >> 24) & 0xff] ^ tables[3][(word >> 32) & 0xff] ^ tables[2][(word >> 40) & 0xff] ^
                tables[1][(word >> 48) & 0xff] ^ tables[0][word >> 56];
    }
    for (; size > 0; ++bytes, --size)
        value = tables[0][(value ^ *bytes) & 0xff] ^ (value >> 8);
    return ~value;
}

} // namespace mongoferry::source

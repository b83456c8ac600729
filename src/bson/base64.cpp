/* See base64.h. */
#include "bson/base64.h"

namespace mongoferry::bson {

namespace {

constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct Decoding {
    int8_t by_byte[256];
    constexpr Decoding() noexcept : by_byte() {
        for (int8_t &value : by_byte)
            value = -1;
        for (int8_t value = 0; value < 64; ++value)
            by_byte[static_cast<uint8_t>(alphabet[value])] = value;
    }
};
constexpr Decoding decoding;

} // namespace

void write_base64(const uint8_t *data, size_t size, char *buffer) noexcept {
    for (; size >= 3; size -= 3, data += 3) {
        const unsigned bits = static_cast<unsigned>(data[0]) << 16 | static_cast<unsigned>(data[1]) << 8 | data[2];
        *buffer++ = alphabet[bits >> 18];
        *buffer++ = alphabet[bits >> 12 & 63];
        *buffer++ = alphabet[bits >> 6 & 63];
        *buffer++ = alphabet[bits & 63];
    }
    if (size > 0) {
        const unsigned bits =
            static_cast<unsigned>(data[0]) << 16 | (size > 1 ? static_cast<unsigned>(data[1]) << 8 : 0);
        *buffer++ = alphabet[bits >> 18];
        *buffer++ = alphabet[bits >> 12 & 63];
        *buffer++ = size > 1 ? alphabet[bits >> 6 & 63] : '=';
        *buffer++ = '=';
    }
}

bool parse_base64(std::string_view text, std::vector<uint8_t> *data) {
    if (text.size() % 4 != 0)
        return false;
    size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=')
        ++padding;
    const size_t digits = text.size() - padding;
    data->clear();
    data->reserve(digits * 3 / 4);
    uint32_t bits = 0;
    int bit_count = 0;
    for (size_t i = 0; i < digits; ++i) {
        const int8_t value = decoding.by_byte[static_cast<uint8_t>(text[i])];
        if (value < 0)
            return false;
        bits = bits << 6 | static_cast<uint32_t>(value);
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            data->push_back(static_cast<uint8_t>(bits >> bit_count));
            bits &= (1u << bit_count) - 1;
        }
    }
    return bits == 0;
}

} // namespace mongoferry::bson

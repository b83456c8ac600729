/* See utf8.h. */
#include "bson/utf8.h"

namespace mongoferry::bson {

size_t utf8_sequence_size(const uint8_t *bytes, size_t available) noexcept {
    const uint8_t lead = bytes[0];
    size_t size;
    uint8_t lowest = 0x80; /* of the second byte */
    uint8_t highest = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        size = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        size = 3;
        if (lead == 0xE0)
            lowest = 0xA0; /* no overlong forms */
        else if (lead == 0xED)
            highest = 0x9F; /* no surrogates */
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        size = 4;
        if (lead == 0xF0)
            lowest = 0x90;
        else if (lead == 0xF4)
            highest = 0x8F; /* not beyond U+10FFFF */
    } else {
        return 0;
    }
    for (size_t i = 1; i < size && i < available; ++i) {
        if (bytes[i] < lowest || bytes[i] > highest)
            return 0;
        lowest = 0x80;
        highest = 0xBF;
    }
    return size;
}

bool is_utf8(std::string_view text) noexcept {
    const uint8_t *position = reinterpret_cast<const uint8_t *>(text.data());
    const uint8_t *end = position + text.size();
    while (position < end) {
        if (*position < 0x80) {
            ++position;
            continue;
        }
        const size_t available = static_cast<size_t>(end - position);
        const size_t size = utf8_sequence_size(position, available);
        if (size == 0 || size > available)
            return false;
        position += size;
    }
    return true;
}

std::string_view cut_utf8(std::string_view text, size_t size) noexcept {
    if (text.size() <= size)
        return text;
    while (size > 0 && (static_cast<uint8_t>(text[size]) & 0xC0) == 0x80) /* the middle of a character */
        --size;
    return text.substr(0, size);
}

} // namespace mongoferry::bson

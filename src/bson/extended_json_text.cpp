/*
 * The texts inside Extended JSON's wrappers.
 */
#include "bson/extended_json_text.h"

#include <cmath>
#include <cstring>

namespace mongoferry::bson {

size_t write_json_float64(double value, char *buffer) noexcept {
    size_t size = write_float64(value, buffer);
    if (std::isfinite(value) && std::string_view(buffer, size).find_first_of(".e") == std::string_view::npos) {
        memcpy(buffer + size, ".0", 3);
        size += 2;
    }
    return size;
}

size_t write_relaxed_date(int64_t milliseconds_since_1970, char *buffer) noexcept {
    constexpr int64_t start_of_year_10000 = 253'402'300'800'000;
    if (milliseconds_since_1970 < 0 || milliseconds_since_1970 >= start_of_year_10000)
        return 0;
    size_t size = write_iso_date(milliseconds_since_1970, buffer);
    if (milliseconds_since_1970 % 1000 == 0) {
        size -= sizeof ".000Z" - 1;
        memcpy(buffer + size, "Z", 2);
        ++size;
    }
    return size;
}

void write_subtype(uint8_t subtype, char buffer[2]) noexcept {
    constexpr char digits[] = "0123456789abcdef";
    buffer[0] = digits[subtype >> 4];
    buffer[1] = digits[subtype & 15];
}

void write_regex_options(std::string_view options, char *buffer) noexcept {
    uint32_t counts[128] = {};
    for (char character : options) {
        const uint8_t byte = static_cast<uint8_t>(character);
        if (byte >= 128) {
            memcpy(buffer, options.data(), options.size());
            return;
        }
        ++counts[byte];
    }
    for (int character = 0; character < 128; ++character) {
        memset(buffer, character, counts[character]);
        buffer += counts[character];
    }
}

} // namespace mongoferry::bson

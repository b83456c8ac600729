/*
 * Base64 with padding, the standard alphabet (RFC 4648, section 4). Pure C++.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace mongoferry::bson {

/* The length of the text, padding included. */
constexpr size_t base64_size(size_t size) noexcept {
    return (size + 2) / 3 * 4;
}
/* Writes base64_size(size) characters, no NUL. Pieces whose size is a multiple of 3 may be written one after another.
 */
void write_base64(const uint8_t *data, size_t size, char *buffer) noexcept;
/* False if the text is not what write_base64() would have made: white space, missing padding, stray bits. May throw
 * std::bad_alloc. */
bool parse_base64(std::string_view text, std::vector<uint8_t> *data);

} // namespace mongoferry::bson

/*
 * What UTF-8 is: RFC 3629's table, for those who check or cut text outside the backend.
 *
 * Pure C++; never throws.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mongoferry::bson {

/* The size of the sequence of several bytes that begins here; 0 if it is none (a single ASCII character is none). It
 * may be longer than what is available, which is then right as far as it goes. */
size_t utf8_sequence_size(const uint8_t *bytes, size_t available) noexcept;

bool is_utf8(std::string_view text) noexcept;

/* The longest beginning of a valid text that has at most size bytes and whole characters. */
std::string_view cut_utf8(std::string_view text, size_t size) noexcept;

} // namespace mongoferry::bson

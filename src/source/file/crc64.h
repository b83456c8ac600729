/*
 * CRC-64 as mongodump's archives use it: the polynomial of ECMA-182 (0x42F0E1EBA9EA3693), bits reflected, initial value
 * and final exclusive-or all ones; what Go's hash/crc64 calls ECMA, and others CRC-64/XZ. Pure C++.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace mongoferry::source {

/* The checksum of the bytes so far followed by these; 0 is the checksum of nothing. */
uint64_t crc64(uint64_t checksum, const uint8_t *bytes, size_t size) noexcept;

} // namespace mongoferry::source

/*
 * ObjectId ↔ UUID: the layout that makes references map by themselves.
 *
 * A version 7 UUID (RFC 9562, section 5.7) whose 48-bit millisecond timestamp is the ObjectId's seconds * 1000 and
 * whose rand_a and rand_b bits carry the ObjectId's remaining 8 bytes (64 of the 74 free bits, most significant first;
 * the ten bits left are zero). So UUIDs sort as their ObjectIds do, and the mapping is
 * lossless. README documents it with a worked example.
 *
 * Pure C++, never throws.
 */
#pragma once

#include <cstdint>

namespace mongoferry::bson {

void uuid_from_object_id(const uint8_t object_id[12], uint8_t uuid[16]) noexcept;
/* False if no ObjectId makes this UUID. */
bool object_id_from_uuid(const uint8_t uuid[16], uint8_t object_id[12]) noexcept;

/* How drivers stored UUIDs in binary subtype 3, and in which order their bytes stand. */
enum class UuidRepresentation : uint8_t { standard, csharp_legacy, java_legacy, python_legacy };
/* The bytes as stored in a subtype 3 binary → the UUID in its standard order. */
void uuid_from_legacy(const uint8_t stored[16], UuidRepresentation representation, uint8_t uuid[16]) noexcept;

} // namespace mongoferry::bson

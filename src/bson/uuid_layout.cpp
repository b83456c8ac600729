/*
 * ObjectId ↔ UUID, bit by bit.
 *
 * Sources: RFC 9562, sections 4.1, 4.2 and 5.7; for the byte orders of subtype 3
 * https://github.com/mongodb/specifications/blob/master/source/bson-binary-uuid/uuid.md
 */
#include "bson/uuid_layout.h"

#include <cstring>

namespace mongoferry::bson {

namespace {

/* Bits of the UUID's two halves, most significant first. High: 48 bits milliseconds, 4 version, 12 rand_a;
 * low: 2 variant, 62 rand_b, of which the last 10 stay zero. */
constexpr uint64_t version_7 = uint64_t{7} << 12;
constexpr uint64_t version_mask = uint64_t{15} << 12;
constexpr uint64_t variant_rfc = uint64_t{2} << 62;
constexpr uint64_t variant_mask = uint64_t{3} << 62;
constexpr uint64_t rand_a_mask = 0xFFF;
constexpr int rand_b_carried_bits = 52;
constexpr int spare_bits = 10;
constexpr uint64_t spare_mask = (uint64_t{1} << spare_bits) - 1;
constexpr uint64_t carried_mask = (uint64_t{1} << rand_b_carried_bits) - 1;

uint64_t load_big_endian(const uint8_t *bytes, int count) noexcept {
    uint64_t value = 0;
    for (int i = 0; i < count; ++i)
        value = value << 8 | bytes[i];
    return value;
}

void store_big_endian(uint64_t value, uint8_t *bytes, int count) noexcept {
    for (int i = count - 1; i >= 0; --i, value >>= 8)
        bytes[i] = static_cast<uint8_t>(value);
}

void reverse(const uint8_t *from, uint8_t *to, int count) noexcept {
    for (int i = 0; i < count; ++i)
        to[i] = from[count - 1 - i];
}

} // namespace

void uuid_from_object_id(const uint8_t object_id[12], uint8_t uuid[16]) noexcept {
    const uint64_t seconds = load_big_endian(object_id, 4);
    const uint64_t rest = load_big_endian(object_id + 4, 8);
    store_big_endian(seconds * 1000 << 16 | version_7 | rest >> rand_b_carried_bits, uuid, 8);
    store_big_endian(variant_rfc | (rest & carried_mask) << spare_bits, uuid + 8, 8);
}

bool object_id_from_uuid(const uint8_t uuid[16], uint8_t object_id[12]) noexcept {
    const uint64_t high = load_big_endian(uuid, 8);
    const uint64_t low = load_big_endian(uuid + 8, 8);
    const uint64_t milliseconds = high >> 16;
    if ((high & version_mask) != version_7 || (low & variant_mask) != variant_rfc || (low & spare_mask) != 0 ||
        milliseconds % 1000 != 0 || milliseconds / 1000 > UINT32_MAX)
        return false;
    store_big_endian(milliseconds / 1000, object_id, 4);
    store_big_endian((high & rand_a_mask) << rand_b_carried_bits | (low >> spare_bits & carried_mask), object_id + 4,
                     8);
    return true;
}

void uuid_from_legacy(const uint8_t stored[16], UuidRepresentation representation, uint8_t uuid[16]) noexcept {
    switch (representation) {
    case UuidRepresentation::csharp_legacy: /* a GUID's three integers, little-endian */
        reverse(stored, uuid, 4);
        reverse(stored + 4, uuid + 4, 2);
        reverse(stored + 6, uuid + 6, 2);
        memcpy(uuid + 8, stored + 8, 8);
        return;
    case UuidRepresentation::java_legacy: /* two longs, little-endian */
        reverse(stored, uuid, 8);
        reverse(stored + 8, uuid + 8, 8);
        return;
    case UuidRepresentation::standard:
    case UuidRepresentation::python_legacy: /* as they stand */
        memcpy(uuid, stored, 16);
        return;
    }
    memcpy(uuid, stored, 16);
}

} // namespace mongoferry::bson

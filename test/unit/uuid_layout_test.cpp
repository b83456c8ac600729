/*
 * ObjectId ↔ UUID: order, inverse, version and variant, and the drivers' older byte orders.
 */
#include "bson/number_text.h"
#include "bson/uuid_layout.h"

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace {

using namespace mongoferry::bson;

using ObjectId = std::array<uint8_t, 12>;
using Uuid = std::array<uint8_t, 16>;

ObjectId object_id(const char *text) {
    ObjectId bytes;
    EXPECT_TRUE(parse_object_id(text, bytes.data())) << text;
    return bytes;
}

Uuid uuid(const char *text) {
    Uuid bytes;
    EXPECT_TRUE(parse_uuid(text, bytes.data())) << text;
    return bytes;
}

std::string text_of(const Uuid &bytes) {
    char text[36];
    write_uuid(bytes.data(), text);
    return {text, sizeof text};
}

Uuid to_uuid(const ObjectId &id) {
    Uuid result;
    uuid_from_object_id(id.data(), result.data());
    return result;
}

TEST(UuidLayout, WorkedExamples) {
    /* 507f1f77 = 1350508407 s = 13a7092e8d8 (hex) ms; of the rest bcf86cd799439011 twelve bits behind the version and
     * the other 52 behind the variant, ten zeros at the end */
    EXPECT_EQ(0x507f1f77 * INT64_C(1000), 0x13a7092e8d8);
    EXPECT_EQ(text_of(to_uuid(object_id("507f1f77bcf86cd799439011"))), "013a7092-e8d8-7bcf-a1b3-5e650e404400");
    EXPECT_EQ(text_of(to_uuid(object_id("000000000000000000000000"))), "00000000-0000-7000-8000-000000000000");
    /* ffffffff s = 4294967295000 ms = 3e7fffffc18 (hex) */
    EXPECT_EQ(INT64_C(4294967295000), 0x3e7fffffc18);
    EXPECT_EQ(text_of(to_uuid(object_id("ffffffffffffffffffffffff"))), "03e7ffff-fc18-7fff-bfff-fffffffffc00");
    EXPECT_EQ(text_of(to_uuid(object_id("000000010000000000000000"))), "00000000-03e8-7000-8000-000000000000");
    EXPECT_EQ(text_of(to_uuid(object_id("000000000000000000000001"))), "00000000-0000-7000-8000-000000000400");
    EXPECT_EQ(text_of(to_uuid(object_id("800000000000000000000000"))), "01f40000-0000-7000-8000-000000000000");
}

TEST(UuidLayout, EachBitIsCarriedAndTheFixedOnesStand) {
    const ObjectId zero{};
    const Uuid base = to_uuid(zero);
    for (int bit = 32; bit < 96; ++bit) { /* those of the seconds are multiplied, not moved */
        ObjectId id{};
        id[static_cast<size_t>(bit / 8)] = static_cast<uint8_t>(0x80 >> bit % 8);
        const Uuid result = to_uuid(id);
        int differing = 0;
        for (size_t i = 0; i < 16; ++i)
            differing += __builtin_popcount(static_cast<unsigned>(result[i] ^ base[i]));
        EXPECT_EQ(differing, 1) << bit;
    }
    std::mt19937_64 random(9562);
    for (int i = 0; i < 10000; ++i) {
        ObjectId id;
        for (uint8_t &byte : id)
            byte = static_cast<uint8_t>(random());
        const Uuid result = to_uuid(id);
        EXPECT_EQ(result[6] >> 4, 7);
        EXPECT_EQ(result[8] >> 6, 2);
        EXPECT_EQ(result[15], 0);
        EXPECT_EQ(result[14] & 3, 0);
        ObjectId back{};
        ASSERT_TRUE(object_id_from_uuid(result.data(), back.data()));
        EXPECT_EQ(back, id);
    }
}

TEST(UuidLayout, KeepsOrder) {
    std::mt19937_64 random(7);
    for (int i = 0; i < 50000; ++i) {
        ObjectId a;
        for (uint8_t &byte : a)
            byte = static_cast<uint8_t>(random());
        ObjectId b = a; /* equal up to some byte */
        const size_t different = random() % 12;
        for (size_t j = different; j < 12; ++j)
            b[j] = static_cast<uint8_t>(random());
        const Uuid uuid_a = to_uuid(a);
        const Uuid uuid_b = to_uuid(b);
        const int order = memcmp(a.data(), b.data(), 12);
        const int uuid_order = memcmp(uuid_a.data(), uuid_b.data(), 16);
        ASSERT_EQ(order < 0, uuid_order < 0);
        ASSERT_EQ(order > 0, uuid_order > 0);
    }
    /* seconds are unsigned: the year 2038 is in the middle */
    EXPECT_LT(to_uuid(object_id("7fffffffffffffffffffffff")), to_uuid(object_id("800000000000000000000000")));
    EXPECT_LT(to_uuid(object_id("00000000ffffffffffffffff")), to_uuid(object_id("000000010000000000000000")));
}

TEST(UuidLayout, RefusesUuidsThatNoObjectIdMade) {
    const char *good = "013a7092-e8d8-7bcf-a1b3-5e650e404400";
    ObjectId id;
    ASSERT_TRUE(object_id_from_uuid(uuid(good).data(), id.data()));
    EXPECT_EQ(id, object_id("507f1f77bcf86cd799439011"));
    const char *cases[] = {
        "013a7092-e8d8-4bcf-a1b3-5e650e404400", /* version 4 */
        "013a7092-e8d8-6bcf-a1b3-5e650e404400",
        "013a7092-e8d8-8bcf-a1b3-5e650e404400",
        "013a7092-e8d8-0bcf-a1b3-5e650e404400",
        "013a7092-e8d8-7bcf-21b3-5e650e404400", /* variants */
        "013a7092-e8d8-7bcf-61b3-5e650e404400",
        "013a7092-e8d8-7bcf-e1b3-5e650e404400",
        "013a7092-e8d8-7bcf-a1b3-5e650e404401", /* spare bits */
        "013a7092-e8d8-7bcf-a1b3-5e650e404480",
        "013a7092-e8d8-7bcf-a1b3-5e650e404600",
        "013a7092-e8d8-7bcf-a1b3-5e650e404500",
        "013a7092-e8d9-7bcf-a1b3-5e650e404400", /* milliseconds that are no seconds */
        "013a7092-e8d7-7bcf-a1b3-5e650e404400",
        "03e80000-0000-7000-8000-000000000000", /* 2^32 seconds */
        "ffffffff-fc18-7fff-bfff-fffffffffc00",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "c8edabc3-f738-4ca3-b68d-ab92a91478a3",
        "01890a5d-ac96-774b-bcce-b302099a8057", /* another version 7 */
    };
    for (const char *text : cases)
        EXPECT_FALSE(object_id_from_uuid(uuid(text).data(), id.data())) << text;
    EXPECT_EQ(INT64_C(4294967296000), 0x3e800000000);
}

/* The UUID and its three stored forms as the drivers' specification has them. */
TEST(UuidLayout, LegacyByteOrders) {
    const Uuid expected = uuid("00112233-4455-6677-8899-aabbccddeeff");
    const std::pair<UuidRepresentation, const char *> cases[] = {
        {UuidRepresentation::standard, "00112233-4455-6677-8899-aabbccddeeff"},
        {UuidRepresentation::python_legacy, "00112233-4455-6677-8899-aabbccddeeff"},
        {UuidRepresentation::csharp_legacy, "33221100-5544-7766-8899-aabbccddeeff"},
        {UuidRepresentation::java_legacy, "77665544-3322-1100-ffee-ddccbbaa9988"},
    };
    for (const auto &[representation, stored] : cases) {
        Uuid result;
        uuid_from_legacy(uuid(stored).data(), representation, result.data());
        EXPECT_EQ(text_of(result), text_of(expected)) << stored;
    }
}

} // namespace

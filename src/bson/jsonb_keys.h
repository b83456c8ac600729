/*
 * The elements of an object on its way into jsonb, and the order in which jsonb wants them.
 *
 * Pure C++, POD world. jsonb's order of keys is that of jsonb_util.c: shorter ones first, then by bytes.
 */
#pragma once

#include "bson/ascii.h"
#include "bson/view.h"

#include <cstdint>

namespace mongoferry::bson {

/* An element of an object or array. */
struct JsonbEntry {
    uint64_t order;  /* jsonb_key_order() of the key */
    const char *key; /* in the server's encoding; NULL in an array */
    uint32_t key_size;
    /* the value, as in view.h, without its default initialisers */
    uint32_t size;
    const uint8_t *bytes;
    Type type;

    Value value() const noexcept { return {type, bytes, size}; }
    void set_value(const Value &value) noexcept {
        type = value.type;
        bytes = value.bytes;
        size = static_cast<uint32_t>(value.size);
    }
};

/* What sorts as keys do, as far as eight bytes can tell: the length, then the first six bytes. */
inline uint64_t jsonb_key_order(const char *key, uint32_t size) noexcept {
    if (size >= UINT16_MAX)
        return uint64_t{UINT16_MAX} << 48;
    const uint64_t leading = load_word(key, size < 6 ? size : 6);
    return static_cast<uint64_t>(size) << 48 | __builtin_bswap64(leading) >> 16;
}

/* Puts an object's elements into jsonb's order and drops those whose key came before; returns how many are left. The
 * elements stand in the order of the document. */
uint32_t arrange_jsonb_keys(JsonbEntry *entries, uint32_t count) noexcept;

} // namespace mongoferry::bson

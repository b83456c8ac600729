/*
 * Which of the wanted keys is this one? For the documents of a collection, whose keys mostly come in the same order.
 *
 * The set remembers the keys of the documents before, in their order, the unwanted ones too. A key is first compared
 * with the one that came at this place; only if it is another one it is looked up by hash. So a document that looks
 * like its predecessor costs one comparison a key.
 *
 * POD world: palloc'd, nothing to destroy.
 */
#pragma once

#include "pg/backend.h"

#include <cstdint>
#include <string_view>

namespace mongoferry::bson {

struct KeySet {
    static constexpr uint32_t remembered_size = 28;
    static constexpr int remembered_count_max = 128;

    struct Key {
        const char *text;
        uint32_t size;
        int next; /* in the same bucket, -1 at the end */
    };
    struct Remembered {
        char text[remembered_size];
        uint32_t size;
        int index; /* -1: not wanted */
    };

    Key *keys;
    int count;
    int *buckets;
    uint32_t bucket_mask;
    Remembered *remembered;
    int remembered_count;
    int misses; /* in the document that is being walked */

    /* Where the walk over a document is in the remembered order. */
    struct Place {
        int next = 0;
    };

    /* The place at the start of a document. If the one before looked quite different the order is learned anew. */
    Place begin() noexcept {
        if (misses > 2 && misses * 4 > remembered_count)
            remembered_count = 0;
        misses = 0;
        return {};
    }

    /* The index of a key, or -1 if it is not wanted. */
    int find(std::string_view key, Place *place) noexcept {
        if (place->next < remembered_count) [[likely]] {
            const Remembered &expected = remembered[place->next];
            if (expected.size == key.size() && memcmp(expected.text, key.data(), key.size()) == 0) [[likely]] {
                ++place->next;
                return expected.index;
            }
        }
        return find_elsewhere(key, place);
    }

    int find_elsewhere(std::string_view key, Place *place) noexcept;
    int look_up(std::string_view key) const noexcept;
};

/* A set of these keys, which must be different and stay valid. Indexes are their places in the array. */
KeySet *make_key_set(const std::string_view *keys, int count);

} // namespace mongoferry::bson

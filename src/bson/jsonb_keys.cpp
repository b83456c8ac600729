/*
 * See jsonb_keys.h. The documents of a collection have few shapes, so the order that was right for an object of the
 * same shape is tried before anything is sorted: checking it costs one pass without a mispredicted branch.
 */
#include "bson/jsonb_keys.h"

#include <algorithm>
#include <cstring>

namespace mongoferry::bson {

namespace {

int compare_keys(const JsonbEntry &a, const JsonbEntry &b) noexcept {
    if (a.order != b.order)
        return a.order < b.order ? -1 : 1;
    if (a.key_size <= 6)
        return 0;
    if (a.key_size != b.key_size)
        return a.key_size < b.key_size ? -1 : 1;
    return memcmp(a.key, b.key, a.key_size);
}

/* A total order, for a sort that is not stable: of equal keys the one that comes first in the document. */
bool is_before(const JsonbEntry &a, const JsonbEntry &b) noexcept {
    const int order = compare_keys(a, b);
    return order != 0 ? order < 0 : a.bytes < b.bytes;
}

/* Leaves the first of equal keys, which stand side by side. */
uint32_t drop_duplicates(JsonbEntry *entries, uint32_t count) noexcept {
    uint32_t kept = 1;
    for (uint32_t i = 1; i < count; ++i) {
        if (compare_keys(entries[kept - 1], entries[i]) == 0)
            continue;
        if (kept != i)
            entries[kept] = entries[i];
        ++kept;
    }
    return kept;
}

/* Objects with more keys are sorted each time. */
constexpr uint32_t most_remembered = 32;

/* Which element of a document comes first in jsonb, which second, … for an object of some shape seen before. */
struct Arrangement {
    uint8_t from[most_remembered];
};
constexpr uint32_t arrangement_slots = 64;
/* A guess and no more: it is checked before it is used, so that two shapes may share a slot. */
Arrangement arrangements[arrangement_slots];

Arrangement *arrangement_for(const JsonbEntry *entries, uint32_t count) noexcept {
    const uint64_t shape = (entries[0].order ^ entries[count - 1].order << 1 ^ entries[count / 2].order << 2) + count;
    return arrangements + (shape * 0x9E3779B97F4A7C15 >> 58);
}
static_assert(arrangement_slots == 1 << (64 - 58));

bool is_ascending(const JsonbEntry *entries, const uint8_t *from, uint32_t count) noexcept {
    if (from[0] >= count)
        return false;
    for (uint32_t i = 1; i < count; ++i)
        if (from[i] >= count || compare_keys(entries[from[i - 1]], entries[from[i]]) >= 0)
            return false;
    return true; /* strictly, so nothing is missing and nothing twice */
}

void apply(const Arrangement &arrangement, JsonbEntry *entries, uint32_t count) noexcept {
    JsonbEntry original[most_remembered];
    memcpy(original, entries, count * sizeof(JsonbEntry));
    for (uint32_t i = 0; i < count; ++i)
        entries[i] = original[arrangement.from[i]];
}

/* An insertion sort of the positions, stable. */
void find_arrangement(const JsonbEntry *entries, uint32_t count, Arrangement *arrangement) noexcept {
    uint8_t *from = arrangement->from;
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t to = i;
        for (; to > 0 && compare_keys(entries[from[to - 1]], entries[i]) > 0; --to)
            from[to] = from[to - 1];
        from[to] = static_cast<uint8_t>(i);
    }
}

} // namespace

uint32_t arrange_jsonb_keys(JsonbEntry *entries, uint32_t count) noexcept {
    if (count <= 1)
        return count;
    if (count > most_remembered) {
        std::sort(entries, entries + count, is_before);
        return drop_duplicates(entries, count);
    }
    Arrangement *arrangement = arrangement_for(entries, count);
    if (is_ascending(entries, arrangement->from, count)) {
        apply(*arrangement, entries, count);
        return count;
    }
    find_arrangement(entries, count, arrangement);
    apply(*arrangement, entries, count);
    return drop_duplicates(entries, count);
}

} // namespace mongoferry::bson

/* See key_set.h. */
#include "bson/key_set.h"

namespace mongoferry::bson {

static uint32_t hash_key(std::string_view key) noexcept {
    /* Keys of one document differ in length, ends or middle; collisions only cost a comparison. */
    if (key.empty())
        return 0;
    const auto at = [&](size_t index) { return static_cast<uint32_t>(static_cast<uint8_t>(key[index])); };
    return static_cast<uint32_t>(key.size()) * 0x9E3779B1u + at(0) * 0x85EBCA6Bu + at(key.size() - 1) * 0xC2B2AE35u +
           at(key.size() / 2) * 0x27D4EB2Fu;
}

static uint32_t bucket_of(const KeySet &set, std::string_view key) noexcept {
    const uint32_t hash = hash_key(key);
    return (hash ^ hash >> 15) & set.bucket_mask;
}

KeySet *make_key_set(const std::string_view *keys, int count) {
    KeySet *set = static_cast<KeySet *>(palloc0(sizeof(KeySet)));
    uint32_t bucket_count = 8;
    while (bucket_count < static_cast<uint32_t>(count) * 4)
        bucket_count *= 2;
    set->count = count;
    set->keys = static_cast<KeySet::Key *>(palloc(sizeof(KeySet::Key) * Max(count, 1)));
    set->buckets = static_cast<int *>(palloc(sizeof(int) * bucket_count));
    set->bucket_mask = bucket_count - 1;
    for (uint32_t bucket = 0; bucket < bucket_count; ++bucket)
        set->buckets[bucket] = -1;
    for (int index = 0; index < count; ++index) {
        int *bucket = &set->buckets[bucket_of(*set, keys[index])];
        set->keys[index] = {keys[index].data(), static_cast<uint32_t>(keys[index].size()), *bucket};
        *bucket = index;
    }
    set->remembered =
        static_cast<KeySet::Remembered *>(palloc(sizeof(KeySet::Remembered) * KeySet::remembered_count_max));
    return set;
}

int KeySet::look_up(std::string_view key) const noexcept {
    for (int index = buckets[bucket_of(*this, key)]; index >= 0; index = keys[index].next)
        if (keys[index].size == key.size() && memcmp(keys[index].text, key.data(), key.size()) == 0)
            return index;
    return -1;
}

int KeySet::find_elsewhere(std::string_view key, Place *place) noexcept {
    /* Fields of the documents before that are missing in this one. */
    const int last = Min(place->next + 4, remembered_count);
    for (int next = place->next + 1; next < last; ++next)
        if (remembered[next].size == key.size() && memcmp(remembered[next].text, key.data(), key.size()) == 0) {
            place->next = next + 1;
            return remembered[next].index;
        }

    const int index = look_up(key);
    if (place->next < remembered_count)
        ++misses; /* a field that the documents before did not have here */
    else if (remembered_count < remembered_count_max && key.size() <= remembered_size) {
        Remembered *entry = &remembered[remembered_count++];
        memcpy(entry->text, key.data(), key.size());
        entry->size = static_cast<uint32_t>(key.size());
        entry->index = index;
        place->next = remembered_count;
    }
    return index;
}

} // namespace mongoferry::bson

/*
 * The order of keys in jsonb, duplicates, and the orders that are remembered.
 */
#include "bson/jsonb_keys.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace mongoferry::bson;

/* What arrange_jsonb_keys() makes of these keys: the positions in the document, in jsonb's order. */
std::vector<size_t> arranged(const std::vector<std::string> &keys) {
    std::vector<uint8_t> document(keys.size() + 1);
    std::vector<JsonbEntry> entries;
    for (size_t i = 0; i < keys.size(); ++i) {
        JsonbEntry entry{};
        entry.key = keys[i].data();
        entry.key_size = static_cast<uint32_t>(keys[i].size());
        entry.order = jsonb_key_order(entry.key, entry.key_size);
        entry.bytes = document.data() + i;
        entries.push_back(entry);
    }
    const uint32_t count = arrange_jsonb_keys(entries.data(), static_cast<uint32_t>(entries.size()));
    std::vector<size_t> positions;
    for (uint32_t i = 0; i < count; ++i)
        positions.push_back(static_cast<size_t>(entries[i].bytes - document.data()));
    return positions;
}

/* The same, the slow way. */
std::vector<size_t> expected(const std::vector<std::string> &keys) {
    std::vector<size_t> positions;
    for (size_t i = 0; i < keys.size(); ++i)
        if (std::find(keys.begin(), keys.begin() + static_cast<ptrdiff_t>(i), keys[i]) ==
            keys.begin() + static_cast<ptrdiff_t>(i))
            positions.push_back(i);
    std::sort(positions.begin(), positions.end(), [&](size_t a, size_t b) {
        if (keys[a].size() != keys[b].size())
            return keys[a].size() < keys[b].size();
        return keys[a] < keys[b]; /* char_traits compares as unsigned bytes */
    });
    return positions;
}

TEST(JsonbKeys, ShorterOnesFirstThenByBytes) {
    const std::vector<std::vector<std::string>> cases = {
        {},
        {"a"},
        {""},
        {"b", "a", "", "ab", "aa"},
        {"customer_id", "customer_ie", "customer_ia"},
        {"\xC3\xA9", "zz", "aa"}, /* bytes are unsigned */
        {"abcdefg", "abcdefh", "abcdef", "abcdefgh"},
        {std::string(70000, 'b'), std::string(80000, 'a'), std::string(70000, 'a'), std::string(65535, 'z'),
         std::string(65534, 'z')},
    };
    for (const auto &keys : cases) {
        EXPECT_EQ(arranged(keys), expected(keys));
        EXPECT_EQ(arranged(keys), expected(keys)) << "and once more, when it is remembered";
    }
}

TEST(JsonbKeys, TheFirstOfDuplicatesCounts) {
    EXPECT_EQ(arranged({"a", "b", "a", "a"}), (std::vector<size_t>{0, 1}));
    EXPECT_EQ(arranged({"long_key_1", "b", "long_key_1"}), (std::vector<size_t>{1, 0}));
    std::vector<std::string> many;
    for (int i = 0; i < 100; ++i)
        many.push_back("key" + std::to_string(i % 40));
    EXPECT_EQ(arranged(many), expected(many));
}

/* Two shapes that look alike to the memory (same count, same first, middle and last key) do not spoil each other. */
TEST(JsonbKeys, ARememberedOrderIsCheckedBeforeItIsUsed) {
    const std::vector<std::string> one = {"m", "a", "x", "z", "b"}, other = {"m", "z", "x", "a", "b"},
                                   doubled = {"m", "x", "x", "x", "b"};
    for (int round = 0; round < 3; ++round) {
        EXPECT_EQ(arranged(one), expected(one));
        EXPECT_EQ(arranged(other), expected(other));
        EXPECT_EQ(arranged(doubled), expected(doubled));
    }
}

TEST(JsonbKeys, Random) {
    std::mt19937 random(3);
    for (int round = 0; round < 5000; ++round) {
        std::vector<std::string> keys(random() % 45);
        for (std::string &key : keys)
            for (size_t size = random() % (random() % 3 ? 4 : 12); size > 0; --size)
                key += static_cast<char>("abc\xFF"[random() % 4]);
        ASSERT_EQ(arranged(keys), expected(keys));
    }
}

} // namespace

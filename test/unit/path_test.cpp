/*
 * Which paths lie at or below which others: a table of cases.
 */
#include "bson/path.h"

#include <gtest/gtest.h>

namespace {

using mongoferry::bson::is_at_or_below;

TEST(Path, IsAtOrBelow) {
    const struct {
        const char *path;
        const char *ancestor;
        bool expected;
    } cases[] = {
        {"a", "a", true},       {"a.b", "a", true},  {"a.b.c", "a", true},   {"a.b", "a.b", true},
        {"a.b.c", "a.b", true}, {"a.0", "a", true},  {"a..b", "a", true}, /* a field without a name */
        {"a", "a.b", false},    {"ab", "a", false},  {"a.bc", "a.b", false}, {"a", "ab", false},
        {"b.a", "a", false},    {"A.b", "a", false}, {"", "a", false},       {"ä.b", "ä", true},
    };
    for (const auto &test : cases)
        EXPECT_EQ(is_at_or_below(test.path, test.ancestor), test.expected) << test.path << " and " << test.ancestor;
}

} // namespace

/*
 * Names of collections in names of files, with mongodump's escapes.
 */
#include "source/file/file_names.h"

#include <gtest/gtest.h>

namespace {

using namespace mongoferry::source;

TEST(FileNames, AreTakenApart) {
    struct Case {
        const char *name;
        FileKind kind;
        const char *stem;
        bool gzipped;
    };
    const Case cases[] = {
        {"orders.bson", FileKind::bson, "orders", false},
        {"orders.bson.gz", FileKind::bson, "orders", true},
        {"a.b.c.bson", FileKind::bson, "a.b.c", false},
        {"a.json.bson", FileKind::bson, "a.json", false},
        {"orders.metadata.json", FileKind::metadata, "orders", false},
        {"orders.metadata.json.gz", FileKind::metadata, "orders", true},
        {"orders.json", FileKind::json, "orders", false},
        {"orders.json.gz", FileKind::json, "orders", true},
        {"metadata.json", FileKind::json, "metadata", false},
        {"orders.csv", FileKind::other, "orders.csv", false},
        {".bson", FileKind::other, ".bson", false},
        {"orders", FileKind::other, "orders", false},
        {"", FileKind::other, "", false},
        {".gz", FileKind::other, ".gz", false},
    };
    for (const Case &test : cases) {
        FileName parts = split_file_name(test.name);
        EXPECT_EQ(parts.kind, test.kind) << test.name;
        EXPECT_EQ(parts.stem, test.stem) << test.name;
        EXPECT_EQ(parts.gzipped, test.gzipped) << test.name;
    }
}

TEST(FileNames, AreUnescaped) {
    const std::pair<const char *, const char *> cases[] = {
        {"orders", "orders"},
        {"caf%C3%A9s", "caf\xC3\xA9s"},
        {"caf%c3%a9s", "caf\xC3\xA9s"},
        {"a+b", "a b"},
        {"a%2Bb", "a+b"},
        {"a%2Fb%25c%24d", "a/b%c$d"},
        {"100%", "100%"}, /* none that mongodump makes: from before it escaped */
        {"a%zzb+c", "a%zzb+c"},
        {"%4", "%4"},
        {"", ""},
    };
    for (const auto &[escaped, name] : cases)
        EXPECT_EQ(unescape_file_name(escaped), name) << escaped;
}

TEST(FileNames, ThatAreCut) {
    std::string stem = std::string(208, 'a') + "%24" + std::string(27, 'h');
    EXPECT_TRUE(is_cut_file_name(stem));
    EXPECT_FALSE(is_cut_file_name(stem + "h"));
    EXPECT_FALSE(is_cut_file_name(std::string(238, 'a')));
    EXPECT_FALSE(is_cut_file_name("a%24b"));
}

} // namespace

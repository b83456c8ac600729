/*
 * Which fields are asked of the server for which paths: a table of cases.
 */
#include "query/projection.h"

#include <gtest/gtest.h>

#include <string>

namespace {

using Paths = std::vector<std::string_view>;

/* The projected keys in order, "" for "the whole document". */
std::string projected(const Paths &paths) {
    mongoferry::bson::Document projection = mongoferry::query::make_projection(paths);
    std::string keys;
    mongoferry::bson::Iterator iterator(mongoferry::bson::view_of(projection));
    if (projection.empty())
        return "(whole document)";
    while (iterator.next()) {
        EXPECT_EQ(iterator.type(), mongoferry::bson::Type::int32);
        EXPECT_EQ(mongoferry::bson::load_int32(iterator.value().bytes), 1);
        keys += (keys.empty() ? "" : " ") + std::string(iterator.key());
    }
    EXPECT_FALSE(iterator.failed());
    return keys;
}

struct Case {
    Paths paths;
    const char *expected;
};

TEST(Projection, NamesWhatIsReadAndNothingElse) {
    const Case cases[] = {
        {{}, "_id"}, /* count(*): nothing but the _id that messages need */
        {{"_id"}, "_id"},
        {{"name"}, "name _id"},
        {{"b", "a"}, "a b _id"},
        {{"a", "a"}, "a _id"},
        {{"a.b", "a.c"}, "a.b a.c _id"},
        {{"a.b", "a"}, "a _id"},                    /* one path may not contain another */
        {{"a.b.c", "a.b", "a.bc"}, "a.b a.bc _id"}, /* "a.bc" is not below "a.b" */
        {{"a-b", "a", "a.x"}, "a a-b _id"},         /* '-' sorts before '.' */
        {{"_id.x", "a"}, "_id a"},                  /* the whole _id, for messages */
        {{"_id", "_id.x"}, "_id"},
        {{"tags.0"}, "tags _id"}, /* positions can't be projected */
        {{"a.0.b", "a.c"}, "a _id"},
        {{"$$INDEX", "items.sku"}, "items.sku _id"},
        {{"$$INDEX"}, "_id"},
        {{"$$ROOT", "a"}, "(whole document)"},
        {{"0"}, "(whole document)"},
        {{"a.$b"}, "a _id"},
        {{"a..b"}, "a _id"},
    };
    for (const Case &c : cases) {
        std::string name;
        for (std::string_view path : c.paths)
            name += std::string(path) + " ";
        EXPECT_EQ(projected(c.paths), c.expected) << "paths: " << name;
    }
}

} // namespace

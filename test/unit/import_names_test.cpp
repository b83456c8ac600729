/*
 * Names for imported tables and columns: tables of cases.
 */
#include "fdw/import_names.h"

#include "bson/utf8.h"

#include <gtest/gtest.h>

#include <set>

namespace {

using mongoferry::fdw::assign_names;
using mongoferry::fdw::snake_case;
using mongoferry::fdw::WantedName;

TEST(ImportNames, SnakeCase) {
    const struct {
        const char *name;
        const char *expected;
    } cases[] = {
        {"customerId", "customer_id"},
        {"HTMLBody", "html_body"},
        {"Total Amount", "total_amount"},
        {"already_snake", "already_snake"},
        {"_id", "_id"},
        {"__v", "__v"},
        {"_myField", "_my_field"},
        {"__Type", "__type"},
        {"URL", "url"},
        {"userID", "user_id"},
        {"userIDs", "user_ids"},
        {"userIDsByName", "user_ids_by_name"},
        {"address2", "address2"},
        {"line2Text", "line2_text"},
        {"kebab-case.name", "kebab_case_name"},
        {"a  --  b", "a_b"},
        {"trailing!", "trailing"},
        {" leading", "leading"},
        {"A", "a"},
        {"aB", "a_b"},
        {"größeInCm", "größe_in_cm"},
        {"ÄnderungsDatum", "Änderungs_datum"},
        {"名前", "名前"},
        {"", ""},
        {"!!!", ""},
        {"__", ""},
    };
    for (const auto &c : cases)
        EXPECT_EQ(snake_case(c.name), c.expected) << c.name;
}

std::vector<std::string> names_for(const std::vector<WantedName> &wanted, size_t max_size = 63) {
    return assign_names(wanted, max_size, {"ctid", "xmin"}, "field");
}

TEST(ImportNames, AreDifferent) {
    using Names = std::vector<std::string>;
    const struct {
        std::vector<WantedName> wanted;
        Names expected;
    } cases[] = {
        {{{"a", true}, {"b", true}}, {"a", "b"}},
        {{{"a", true}, {"A", true}}, {"a", "A"}},
        {{{"a_b", false}, {"a_b", true}}, {"a_b_2", "a_b"}}, /* a field keeps its own name */
        {{{"a_b", true}, {"a_b", false}, {"a_b", false}}, {"a_b", "a_b_2", "a_b_3"}},
        {{{"a", false}, {"a", false}, {"a_2", true}}, {"a", "a_3", "a_2"}},
        {{{"a", false}, {"a", false}, {"a_2", false}}, {"a", "a_2", "a_2_2"}},
        {{{"ctid", true}, {"xmin", false}}, {"ctid_", "xmin_"}},
        {{{"ctid_", true}, {"ctid", true}}, {"ctid_", "ctid__2"}},
        {{{"", false}, {"", false}, {"field", true}}, {"field_2", "field_3", "field"}},
        {{}, {}},
    };
    for (const auto &c : cases)
        EXPECT_EQ(names_for(c.wanted), c.expected);
}

TEST(ImportNames, AreCutAtWholeCharacters) {
    const struct {
        const char *wanted[2];
        const char *expected[2];
    } cases[] = {
        {{"abcdefgh", "abcdefgi"}, {"abcdefgh", "abcdefgi"}},
        {{"abcdefghi", "abcdefghj"}, {"abcdefgh", "abcdef_2"}},
        {{"abcdefgh", "abcdefghi"}, {"abcdefgh", "abcdef_2"}},
        {{"abcdefgä", "abcdefgö"}, {"abcdefg", "abcdef_2"}}, /* two bytes each, the second beyond */
        {{"äöüß", "äöüßx"}, {"äöüß", "äöü_2"}},
        {{"a名名名", "a名名名"}, {"a名名", "a名_2"}},
    };
    for (const auto &c : cases)
        EXPECT_EQ(names_for({{c.wanted[0], true}, {c.wanted[1], true}}, 8),
                  (std::vector<std::string>{c.expected[0], c.expected[1]}))
            << c.wanted[0];
}

TEST(ImportNames, StayDifferentInLargeNumbers) {
    std::vector<WantedName> wanted;
    for (int i = 0; i < 1500; ++i)
        wanted.push_back({std::string(61, 'x') + "名" + std::to_string(i), i % 2 == 0});
    const std::vector<std::string> names = names_for(wanted);
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), wanted.size());
    for (const std::string &name : names) {
        EXPECT_LE(name.size(), 63u);
        EXPECT_TRUE(mongoferry::bson::is_utf8(name));
    }
    EXPECT_EQ(names, names_for(wanted));
}

TEST(ImportNames, KnowUtf8) {
    const struct {
        const char *text;
        bool is_utf8;
    } cases[] = {
        {"", true},
        {"abc", true},
        {"ä", true},
        {"\xed\x9f\xbf", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xc3", false},
        {"\xc0\xaf", false},
        {"\xed\xa0\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"a\xff", false},
        {"\x80", false},
        {"\xe2\x82", false},
    };
    for (const auto &c : cases)
        EXPECT_EQ(mongoferry::bson::is_utf8(c.text), c.is_utf8) << c.text;
}

} // namespace

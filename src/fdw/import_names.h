/*
 * Names for what is imported: foreign tables for collections and columns for fields, each different from the others and
 * no longer than PostgreSQL's identifiers.
 *
 * Pure C++ (no backend header), exception world: std::bad_alloc. Names are UTF-8.
 */
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mongoferry::fdw {

/*
 * "customerId" → "customer_id", "HTMLBody" → "html_body", "Total Amount" → "total_amount", "userIDs" → "user_ids".
 * Underscores in front stay ("_id", "__v"). Of the letters only those of ASCII are folded; other ASCII characters than
 * letters and digits become underscores. Empty if nothing is left.
 */
std::string snake_case(std::string_view name);

struct WantedName {
    std::string name;
    bool is_given; /* as MongoDB has it: no derived name takes it away, wherever that stands in the list */
};

/*
 * The names for a list of wanted ones, in its order: cut to max_size bytes (whole characters), and numbered from 2 on
 * ("a_2") where a name is taken already. Depends on nothing but the list. A name that is reserved gets an underscore
 * ("ctid_"), an empty one is called after fallback.
 */
std::vector<std::string> assign_names(const std::vector<WantedName> &wanted, size_t max_size,
                                      const std::vector<std::string_view> &reserved, std::string_view fallback);

} // namespace mongoferry::fdw

/* See import_names.h. */
#include "fdw/import_names.h"

#include "bson/utf8.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace mongoferry::fdw {

namespace {

bool is_upper(char c) noexcept {
    return c >= 'A' && c <= 'Z';
}
bool is_lower(char c) noexcept {
    return c >= 'a' && c <= 'z';
}
/* Letters and digits, and whatever is not ASCII. */
bool is_of_word(char c) noexcept {
    return is_upper(c) || is_lower(c) || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
}

/* True if the upper case letter at position, which follows a letter or digit, begins a new word. */
bool begins_word(std::string_view name, size_t position) noexcept {
    if (!is_upper(name[position - 1]))
        return true; /* customerId, line2Text */
    if (position + 1 >= name.size() || !is_lower(name[position + 1]))
        return false; /* inside of an acronym, or its end */
    const bool is_plural = name[position + 1] == 's' && (position + 2 >= name.size() || !is_lower(name[position + 2]));
    return !is_plural; /* the B of HTMLBody, but not the D of userIDs */
}

} // namespace

std::string snake_case(std::string_view name) {
    std::string result;
    size_t position = 0;
    while (position < name.size() && name[position] == '_')
        result += name[position++];
    const size_t prefix = result.size();
    bool separate = false;
    for (; position < name.size(); ++position) {
        const char c = name[position];
        if (!is_of_word(c)) {
            separate = true;
            continue;
        }
        if (is_upper(c) && position > prefix && is_of_word(name[position - 1]) && begins_word(name, position))
            separate = true;
        if (separate && result.size() > prefix)
            result += '_';
        separate = false;
        result += is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return result.size() == prefix ? std::string() : result;
}

std::vector<std::string> assign_names(const std::vector<WantedName> &wanted, size_t max_size,
                                      const std::vector<std::string_view> &reserved, std::string_view fallback) {
    std::vector<std::string> names(wanted.size());
    std::unordered_set<std::string> taken;
    const auto is_reserved = [&](std::string_view name) {
        return std::find(reserved.begin(), reserved.end(), name) != reserved.end();
    };

    for (size_t i = 0; i < wanted.size(); ++i)
        if (wanted[i].is_given && !wanted[i].name.empty() && wanted[i].name.size() <= max_size &&
            !is_reserved(wanted[i].name) && taken.insert(wanted[i].name).second)
            names[i] = wanted[i].name;

    std::unordered_map<std::string, size_t> next_number; /* so that a thousand equal names take no million trials */
    for (size_t i = 0; i < wanted.size(); ++i) {
        if (!names[i].empty())
            continue;
        std::string name(wanted[i].name.empty() ? fallback : wanted[i].name);
        if (is_reserved(name))
            name += '_';
        names[i] = bson::cut_utf8(name, max_size);
        size_t &number = next_number.try_emplace(names[i], 2).first->second;
        const std::string base = names[i];
        while (!taken.insert(names[i]).second) {
            const std::string suffix = "_" + std::to_string(number++);
            names[i] = std::string(bson::cut_utf8(base, max_size - suffix.size())) + suffix;
        }
    }
    return names;
}

} // namespace mongoferry::fdw

/*
 * Dotted paths, "a.b.c", as MongoDB's queries and projections name fields. Pure.
 */
#pragma once

#include <algorithm>
#include <string_view>

namespace mongoferry::bson {

/* Whether path names the same field as ancestor, or one inside of it: "a.b" and "a.b.c" are at or below "a.b", "a" and
 * "a.bc" are not. ancestor is not empty. */
constexpr bool is_at_or_below(std::string_view path, std::string_view ancestor) noexcept {
    return path.starts_with(ancestor) && (path.size() == ancestor.size() || path[ancestor.size()] == '.');
}

/* True for a component of a path that reads as an array position. */
constexpr bool is_position(std::string_view component) noexcept {
    return !component.empty() && component.find_first_not_of("0123456789") == std::string_view::npos;
}

/* Whether some component of the path is one. */
constexpr bool names_position(std::string_view path) noexcept {
    for (size_t start = 0; start <= path.size();) {
        const size_t dot = std::min(path.find('.', start), path.size());
        if (is_position(path.substr(start, dot - start)))
            return true;
        start = dot + 1;
    }
    return false;
}

} // namespace mongoferry::bson

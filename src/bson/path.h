/*
 * Dotted paths, "a.b.c", as MongoDB's queries and projections name fields. Pure.
 */
#pragma once

#include <string_view>

namespace mongoferry::bson {

/* Whether path names the same field as ancestor, or one inside of it: "a.b" and "a.b.c" are at or below "a.b", "a" and
 * "a.bc" are not. ancestor is not empty. */
constexpr bool is_at_or_below(std::string_view path, std::string_view ancestor) noexcept {
    return path.starts_with(ancestor) && (path.size() == ancestor.size() || path[ancestor.size()] == '.');
}

} // namespace mongoferry::bson

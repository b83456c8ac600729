/* See projection.h. */
#include "query/projection.h"

#include "bson/path.h"

#include <algorithm>

namespace mongoferry::query {

/* The longest leading part of the path that a projection can name; empty if there is none. An array position is none:
 * in documents that hold an array there, a projection on it would look for a key of that name in the elements. */
static std::string_view projectable_part(std::string_view path) {
    size_t start = 0;
    while (start <= path.size()) {
        size_t dot = std::min(path.find('.', start), path.size());
        std::string_view component = path.substr(start, dot - start);
        if (component.empty() || component[0] == '$' || bson::is_position(component))
            return start == 0 ? std::string_view() : path.substr(0, start - 1);
        start = dot + 1;
    }
    return path;
}

bson::Document make_projection(const std::vector<std::string_view> &paths) {
    std::vector<std::string_view> wanted;
    for (std::string_view path : paths) {
        if (path == "$$INDEX")
            continue;
        std::string_view part = projectable_part(path);
        if (part.empty())
            return {}; /* $$ROOT, or a first component that can't be named */
        wanted.push_back(part);
    }

    /* A path that lies below another wanted one comes with it; naming both would be refused. In this order a path
     * stands right before those below it, because the dot is made to sort first. */
    auto with_dot_first = [](std::string_view left, std::string_view right) {
        return std::lexicographical_compare(left.begin(), left.end(), right.begin(), right.end(), [](char a, char b) {
            auto rank = [](char c) { return c == '.' ? -1 : static_cast<int>(static_cast<unsigned char>(c)); };
            return rank(a) < rank(b);
        });
    };
    std::sort(wanted.begin(), wanted.end(), with_dot_first);

    bson::Builder projection;
    std::string_view previous;
    bool id_is_named = false;
    for (std::string_view path : wanted) {
        if (!previous.empty() && bson::is_at_or_below(path, previous))
            continue;
        /* _id comes by itself; naming only a part of it would lose the rest, which messages need. */
        if (bson::is_at_or_below(path, "_id")) {
            if (!id_is_named)
                projection.append_int32("_id", 1);
            id_is_named = true;
            continue;
        }
        projection.append_int32(path, 1);
        previous = path;
    }
    if (!id_is_named)
        projection.append_int32("_id", 1); /* also keeps an empty list from meaning "everything" */
    return projection.finish();
}

} // namespace mongoferry::query

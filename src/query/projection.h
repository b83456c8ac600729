/*
 * Which fields are asked of the server: the paths that a query reads → a projection for find.
 *
 * Source of the rules: MongoDB manual, "Project Fields to Return from Query" and "Projection Restrictions": no path
 * may contain another's, array positions can't be named, components that begin with $ or are empty are refused.
 * Pure C++, exception world.
 */
#pragma once

#include "bson/builder.h"

#include <string>
#include <string_view>
#include <vector>

namespace mongoferry::query {

/*
 * The projection that delivers at least these paths; empty when the whole document is wanted ("$$ROOT" among them).
 * A path is cut before a component that a projection can't name (an array position, an empty one, one with $), since
 * the level above brings it along. "$$INDEX" asks for nothing by itself: the caller adds the unwound path. _id always
 * comes along, because every message about a document names it.
 */
bson::Document make_projection(const std::vector<std::string_view> &paths);

} // namespace mongoferry::query

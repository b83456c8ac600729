/*
 * The command that reads the documents of a Request from a server.
 *
 * Pure C++ (no backend header, no driver header), exception world.
 *
 * How a range of _ids is asked for. The range operators of a filter ({_id: {$gte: x}}) look at values of x's type only,
 * so they lose documents where _ids of several types are mixed. Two ways know the order over all types:
 *
 *   index        min, max (exclusive) and hint of "find" set the bounds of a scan of the index on _id. Costs what it
 *                returns. min and max stand beside the filter: the server applies the filter to what the bounds let
 *                through. Works for every collection, also a clustered one, and behind mongos.
 *   expression   {$expr: {$gte: ["$_id", {$literal: x}]}} compares as aggregation does, over all types. What views and
 *                time series need, because min and max are refused there (error 168), and an index is not theirs to
 *                name. Where a view leaves _id as it is MongoDB 5.0 and later use the index for it; else each range
 *                evaluates the whole view.
 *
 * A collection's default collation concerns strings (and documents with strings) as _ids. A find without a collation of
 * its own inherits the collection's, and so does the index on _id, which can't have another one: the server turns min
 * and max into the same comparison keys that it keeps in the index. $expr, $sort and $group inherit the collation
 * likewise (a view has one of its own, simple by default). So each way cuts the order that the boundaries were taken
 * from, in split.cpp, and _ids that are equal by the collation, of which a collection has only one, are never parted.
 *
 * Source of the formats: MongoDB manual, "find", "cursor.min()", "aggregate", "$sample", "$expr", "Comparison/Sort
 * Order".
 */
#pragma once

#include "bson/builder.h"
#include "source/source.h"

#include <string_view>

namespace mongoferry::source::live {

enum class IdRangeForm : uint8_t { index, expression };

/* True if the range has a bound, so that the form matters. */
bool has_id_bounds(const Range &range) noexcept;

/* The condition for a filter that a range of _ids is in the form of an expression. The range has a bound. */
bson::Document range_condition(const Range &range);

/* collection is UTF-8; the names in request are not looked at. A range that only a file can have, and one that needs no
 * source (raw), are the caller's to refuse: they are taken for the whole collection here. */
bson::Document build_find_command(const Request &request, std::string_view collection, IdRangeForm form);

} // namespace mongoferry::source::live

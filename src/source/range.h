/*
 * Which documents of a collection are meant: the bounds of a chunk, and their form in the catalogue.
 *
 * A Range is kept as BSON (the column mongoferry.chunk.bounds, and the second argument of mongoferry.in_chunk()),
 * because JSON can't hold every _id exactly. One document, with the members of exactly one of the kinds:
 *
 *   all     {"kind": "all"}
 *           The whole collection.
 *
 *   ids     {"kind": "ids", "min": <_id>, "max": <_id>}
 *           From min up to, not including, max, in the order of the index on _id, whatever the types; a member that is
 *           missing: open on that side. Live sources.
 *
 *   bytes   {"kind": "bytes", "first": int64, "end": int64, "size": int64, "block": int64}
 *           Documents whose first byte is at first or later and before end; end missing: to the end of the file.
 *           Offsets count decompressed bytes. size is the file's size on disk when it was split: a file that has
 * another size now is an error. block, in archives: where the header is of the block that holds the document at first.
 * Files.
 *
 *   list    {"kind": "list", "ids": [<_id>, …]}
 *           Just these, where they still exist. Live sources.
 *
 *   raw     {"kind": "raw", "documents": binary}
 *           These very documents, whole, one after the other as in a .bson file. Any source; nothing is read from it.
 *
 * and, with any of them, "except": [<_id>, …]: documents with these _ids (the same bytes: type and value) are passed
 * over.
 */
#pragma once

#include "bson/builder.h"
#include "bson/view.h"

#include <cstdint>

namespace mongoferry::source {

struct Range {
    enum class Kind : uint8_t { all, ids, bytes, list, raw };

    Kind kind = Kind::all;
    bson::Document min; /* ids: {"": <_id>}, as one element of any key; empty: open */
    bson::Document max;
    int64_t first = 0;               /* bytes */
    int64_t end = -1;                /* -1: open */
    int64_t size = -1;               /* of the file on disk; -1: not to be compared */
    int64_t block = -1;              /* archives; -1: none is named */
    bool is_of_running_scan = false; /* bytes: cut while the file is being read, so that a change of it comes in
                                        between; not in the catalogue's form */
    bson::Document ids;              /* list: {"0": <_id>, …} */
    bson::View raw;                  /* not owned: lives as long as the bounds that the range was read from */
    bson::Document except;           /* {"0": <_id>, …}; empty: none */
};

/* From and to the catalogue's form. parse_range throws Error (22023, invalid_parameter_value) for bytes that are no
 * bounds; the documents of a raw range are framed here, their inside is not looked at. The views of the result point
 * into bounds. Pure C++, exception world. */
Range parse_range(bson::View bounds);
bson::Document render_range(const Range &range);

} // namespace mongoferry::source

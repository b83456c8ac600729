/*
 * What splitting a collection into chunks gives. See split_collection() in live/live.h and file/file_source.h.
 */
#pragma once

#include "bson/builder.h"

#include <cstdint>

namespace mongoferry::source {

/* The chunks of a collection tile it: every document is in exactly one, also one that is inserted later. */
struct Chunk {
    bson::Document bounds; /* a Range as render_range() writes it (range.h) */
    int64_t documents = 0; /* an estimate: there always is one, if only the chunk size */
    int64_t bytes = -1;    /* of BSON, an estimate; -1 unknown */
};

} // namespace mongoferry::source

/*
 * Extended JSON into a backend's StringInfo.
 */
#pragma once

#include "pg/backend.h"

#include "bson/extended_json_writer.h"

extern "C" {
#include "lib/stringinfo.h"
}

namespace mongoferry::bson {

/* Appends what is written to text, in UTF-8. POD world: raises when memory is out or the text passes 1 GB. */
inline TextSink string_info_sink(StringInfo text) {
    return {[](void *context, const char *piece, size_t size) {
                appendBinaryStringInfo(static_cast<StringInfo>(context), piece, static_cast<int>(size));
            },
            text};
}

} // namespace mongoferry::bson

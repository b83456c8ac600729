/*
 * BSON → jsonb, directly: no JSON text in between.
 *
 * POD world (pg/guard.h); allocates in CurrentMemoryContext.
 */
#pragma once

#include "pg/backend.h"

#include "bson/conversion_options.h"
#include "bson/view.h"

namespace mongoferry::bson {

/* What stopped a conversion: words that follow "value …" in a detail (static or palloc'd), NULL when all went well. A
 * corrupt document has sqlstate ERRCODE_DATA_CORRUPTED, and the message says what is wrong with it. */
struct ConversionError {
    const char *message = nullptr;
    int sqlstate = 0;
    bool is_nul = false; /* a NUL that on_nul refuses */
};

/*
 * Any BSON value → jsonb as Extended JSON v2 in options.json_format. NUL in strings and keys as options.on_nul says;
 * invalid UTF-8, corrupt nested documents, numbers and sizes that jsonb can't hold (more than 268435455 elements or
 * bytes a level) are errors, returned and not raised (out of memory raises). Of duplicate keys the first counts. In
 * relaxed format int32, int64 and finite doubles are plain JSON numbers; in a database whose encoding is not UTF-8
 * strings are converted. Returns the Jsonb as a Datum, 0 on error.
 */
Datum jsonb_from_value(const Value &value, const ConversionOptions &options, ConversionError *error);

} // namespace mongoferry::bson

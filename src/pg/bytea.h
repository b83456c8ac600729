/*
 * bytea from and to bytes. POD world.
 */
#pragma once

#include "pg/backend.h"

namespace mongoferry {

/* A copy in the current memory context. Raises program_limit_exceeded (54000) for more than a value can hold. */
inline bytea *make_bytea(const void *data, size_t size) {
    if (size > MaxAllocSize - VARHDRSZ)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("%zu bytes are too many for a bytea", size)));
    bytea *copy = static_cast<bytea *>(palloc(VARHDRSZ + size));
    SET_VARSIZE(copy, VARHDRSZ + size);
    if (size > 0)
        memcpy(VARDATA(copy), data, size);
    return copy;
}

} // namespace mongoferry

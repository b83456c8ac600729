/*
 * Some documents in memory, one after the other as bounds of kind raw bring them along. POD world.
 */
#pragma once

#include "pg/backend.h"

#include "bson/view.h"

extern "C" {
#include "lib/stringinfo.h"
}

namespace mongoferry::migrate {

/* How many bytes of documents are held at once; one document more may be. */
constexpr int slice_bytes = 16 * 1024 * 1024;

struct DocumentSlice {
    StringInfoData bytes;
    int *starts; /* count + 1: where each document begins, and where the last one ends */
    size_t count;
    size_t capacity;

    bool is_full() const { return bytes.len >= slice_bytes; }
    /* The documents [first, end) together. */
    bson::View view(size_t first, size_t end) const {
        return {reinterpret_cast<const uint8_t *>(bytes.data) + starts[first],
                static_cast<size_t>(starts[end] - starts[first])};
    }
};

/* An empty one, in the current memory context. */
DocumentSlice make_slice();
void clear_slice(DocumentSlice *slice);
void append_document(DocumentSlice *slice, bson::View document);

/* Bounds of kind raw that consist of the documents [first, end), in the current memory context. */
const bytea *raw_bounds(const DocumentSlice *slice, size_t first, size_t end);

/* The document in which the byte stands that is offset bytes after the start of document first. */
size_t document_at(const DocumentSlice *slice, size_t first, int64_t offset);

} // namespace mongoferry::migrate

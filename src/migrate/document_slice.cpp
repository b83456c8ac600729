/* See document_slice.h. */
#include "migrate/document_slice.h"

#include "pg/bytea.h"
#include "pg/guard.h"
#include "source/range.h"

#include <algorithm>

namespace mongoferry::migrate {

DocumentSlice make_slice() {
    DocumentSlice slice{};
    initStringInfo(&slice.bytes);
    slice.capacity = 1024;
    slice.starts = static_cast<int *>(palloc0(slice.capacity * sizeof(int)));
    return slice;
}

void clear_slice(DocumentSlice *slice) {
    resetStringInfo(&slice->bytes);
    slice->count = 0;
}

void append_document(DocumentSlice *slice, bson::View document) {
    if (slice->count + 1 >= slice->capacity) {
        slice->capacity *= 2;
        slice->starts = static_cast<int *>(repalloc(slice->starts, slice->capacity * sizeof(int)));
    }
    appendBinaryStringInfo(&slice->bytes, reinterpret_cast<const char *>(document.data),
                           static_cast<int>(document.size));
    slice->starts[++slice->count] = slice->bytes.len;
}

const bytea *raw_bounds(const DocumentSlice *slice, size_t first, size_t end) {
    return pg_entry([&] {
        source::Range range;
        range.kind = source::Range::Kind::raw;
        range.raw = slice->view(first, end);
        const bson::Document bounds = source::render_range(range);
        return pg_guard([&] { return make_bytea(bounds.data(), bounds.size()); });
    });
}

size_t document_at(const DocumentSlice *slice, size_t first, int64_t offset) {
    const int *starts = slice->starts;
    const int64_t at = starts[first] + offset;
    return static_cast<size_t>(std::upper_bound(starts + first, starts + slice->count, at) - starts) - 1;
}

} // namespace mongoferry::migrate

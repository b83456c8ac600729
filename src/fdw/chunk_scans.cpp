/* See chunk_scans.h. */
#include "fdw/chunk_scans.h"

namespace mongoferry::fdw {

static int64_t most_documents = 0;
static int64_t most_bytes = 0;
int64_t last_raw_offset = -1;

void reset_chunk_scans() {
    most_documents = 0;
    most_bytes = 0;
    last_raw_offset = -1;
}

ChunkScans chunk_scans() {
    return {most_documents, most_bytes, last_raw_offset};
}

void note_chunk_scan(int64_t documents, int64_t bytes) {
    if (documents > most_documents)
        most_documents = documents;
    if (bytes > most_bytes)
        most_bytes = bytes;
}

} // namespace mongoferry::fdw

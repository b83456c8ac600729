/*
 * What this backend's scans of chunks have read: how write_chunk() learns how many documents a statement read, and,
 * after an error, which of the documents that it had given was at hand. POD world.
 */
#pragma once

#include <cstdint>

namespace mongoferry::fdw {

struct ChunkScans {
    /* Of the scan that read the most, since a statement may read its chunk several times over. */
    int64_t documents = 0;
    int64_t bytes = 0;
    /* Where, in the bytes of a chunk of kind "raw", the document begins that was handed out last; -1: none was. */
    int64_t raw_offset = -1;
};

void reset_chunk_scans();
ChunkScans chunk_scans();

/* Called by scans. */
void note_chunk_scan(int64_t documents, int64_t bytes);
extern int64_t last_raw_offset;

} // namespace mongoferry::fdw

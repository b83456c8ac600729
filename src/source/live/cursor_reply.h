/*
 * The replies of find, getMore and listCollections: {cursor: {id, ns, firstBatch | nextBatch}, ok: 1}.
 *
 * Pure C++ (no backend header, no driver header). POD; points into the reply.
 * Source of the format: MongoDB manual, "find", "getMore".
 */
#pragma once

#include "bson/view.h"

#include <cstdint>

namespace mongoferry::source::live {

struct CursorReply {
    int64_t cursor_id = 0;          /* 0: the batch is the last one */
    const uint8_t *first = nullptr; /* the first element of the batch's array … */
    const uint8_t *end = nullptr;   /* … and one past the last */
    int64_t documents = 0;
};

/* Reads a reply and checks the framing of its whole batch: an array of documents, each of at least 5 bytes, closed by
 * its NUL. Returns what is wrong, in words that follow "the reply can't be used: ", or NULL. */
const char *read_cursor_reply(bson::View reply, CursorReply *result) noexcept;

} // namespace mongoferry::source::live

/* See cursor_reply.h. */
#include "source/live/cursor_reply.h"

namespace mongoferry::source::live {

const char *read_cursor_reply(bson::View reply, CursorReply *result) noexcept {
    bson::Value cursor, id, batch;
    if (!bson::find(reply, "cursor", &cursor) || cursor.type != bson::Type::object)
        return "it has no cursor";
    const bson::View cursor_document = bson::document_of(cursor);
    /* Either integer type: servers are free in that. */
    if (!bson::find(cursor_document, "id", &id))
        return "its cursor has no id";
    if (id.type == bson::Type::int64)
        result->cursor_id = bson::load_int64(id.bytes);
    else if (id.type == bson::Type::int32)
        result->cursor_id = bson::load_int32(id.bytes);
    else
        return "its cursor's id is no integer";
    if (!bson::find(cursor_document, "firstBatch", &batch) && !bson::find(cursor_document, "nextBatch", &batch))
        return "its cursor has no batch";
    if (batch.type != bson::Type::array)
        return "its batch is no array";

    const bson::View array = bson::document_of(batch);
    bson::Iterator iterator(array);
    while (iterator.next()) {
        if (iterator.type() != bson::Type::object)
            return "its batch holds something that is no document";
        if (!bson::is_framed(bson::document_of(iterator.value())))
            return "its batch is corrupt";
        ++result->documents;
    }
    if (iterator.failed())
        return "its batch is corrupt";
    result->first = array.data + 4;
    result->end = array.data + array.size - 1;
    return nullptr;
}

} // namespace mongoferry::source::live

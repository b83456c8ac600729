/* See document_reader.h. */
#include "source/file/document_reader.h"

namespace mongoferry::source {

namespace {
constexpr uint32_t terminator_value = 0xffffffff;
constexpr size_t prefix_size = 4;
constexpr int32_t min_document_size = 5;
} // namespace

Run frame_documents(const uint8_t *bytes, size_t size, Terminator terminator, size_t before) {
    Run run;
    while (run.size < before && size - run.size >= prefix_size) {
        const uint8_t *document = bytes + run.size;
        int32_t length = bson::load_int32(document);
        if (length < min_document_size || length > max_document_size) {
            if (terminator == Terminator::yes && static_cast<uint32_t>(length) == terminator_value)
                return run;
            run.damage = "A document's length is given as " + std::to_string(length) + " bytes; " +
                         std::to_string(min_document_size) + " to " + std::to_string(max_document_size) +
                         " are possible.";
            return run;
        }
        if (static_cast<size_t>(length) > size - run.size) {
            run.needed = static_cast<size_t>(length);
            return run;
        }
        if (document[length - 1] != 0) {
            run.damage = "A document of " + std::to_string(length) + " bytes does not end with a zero byte.";
            return run;
        }
        run.size += static_cast<size_t>(length);
        ++run.documents;
    }
    if (run.size < size && run.size < before)
        run.needed = prefix_size;
    return run;
}

void go_to_first(BufferedInput &input, int64_t first) {
    if (!input.go_to(first))
        throw Damage(input.offset(), "The file ends before byte " + std::to_string(first) + ", where a chunk begins.");
}

bool DocumentReader::next_starts(std::vector<DocumentStart> *starts) {
    starts->clear();
    Batch batch;
    if (!next_batch(&batch))
        return false;
    bson::View document;
    while (batch.next(&document))
        starts->push_back(
            {batch.first_offset + (document.data - batch.start), static_cast<int64_t>(document.size), block()});
    return true;
}

bool resembles_document(const uint8_t *bytes, size_t size) noexcept {
    if (size < min_document_size)
        return false;
    int32_t length = bson::load_int32(bytes);
    uint8_t type = bytes[prefix_size];
    if (length == min_document_size)
        return type == 0;
    bool known =
        (type >= static_cast<uint8_t>(bson::Type::float64) && type <= static_cast<uint8_t>(bson::Type::decimal128)) ||
        type == static_cast<uint8_t>(bson::Type::max_key) || type == static_cast<uint8_t>(bson::Type::min_key);
    if (!known || length < min_document_size || length > max_document_size)
        return false;
    size_t i = prefix_size + 1;
    while (i < size && bytes[i] >= ' ')
        ++i;
    return i == size || bytes[i] == 0;
}

void hand_out(Batch *batch, const uint8_t *documents, size_t size, int64_t offset) noexcept {
    batch->layout = Batch::Layout::packed;
    batch->start = batch->position = documents;
    batch->end = documents + size;
    batch->first_offset = offset;
}

} // namespace mongoferry::source

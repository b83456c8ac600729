/* See file_divider.h. */
#include "source/file/file_divider.h"

namespace mongoferry::source {

Divisibility divisibility(const FileOptions &options, const std::string &database, const std::string &collection) {
    Divisibility result;
    try {
        const CollectionFile file = locate_collection(options, database, collection);
        const ContentInput content(file.path);
        result.size = content.file().size();
        result.is_divisible = file.format != FileFormat::archive && !content.is_compressed();
    } catch (const Error &) {
        /* The scan will say it. */
    }
    return result;
}

Range FileDivider::next_range(int64_t *position, int64_t size, int64_t file_size) {
    Range range;
    range.kind = Range::Kind::bytes;
    range.is_of_running_scan = true;
    range.first = *position;
    range.size = file_size;
    *position = -1;

    if (!reader_)
        reader_ = std::make_unique<CollectionReader>(locate_collection(options_, database_, collection_));
    try {
        reader_->enter(range);
        std::vector<DocumentStart> starts;
        while (reader_->next_starts(&starts))
            for (const DocumentStart &start : starts)
                if (start.offset - range.first >= size) {
                    range.end = *position = start.offset;
                    return range;
                }
    } catch (const Error &error) {
        if (error.sqlstate != ERRCODE_DATA_CORRUPTED)
            throw;
    }
    return range;
}

} // namespace mongoferry::source

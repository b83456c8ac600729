/* See collection_reader.h. Keeping readers for later is reader_cache's. */
#include "source/file/collection_reader.h"

#include "pg/encoding.h"
#include "source/file/archive.h"
#include "source/file/bson_file.h"
#include "source/file/json_file.h"
#include "source/file/reader_cache.h"

namespace mongoferry::source {

namespace {

std::unique_ptr<DocumentReader> make_reader(const CollectionFile &file, Input &input, size_t batch_size) {
    switch (file.format) {
    case FileFormat::bson:
        return std::make_unique<BsonFileReader>(input, batch_size);
    case FileFormat::json:
        return std::make_unique<JsonFileReader>(input, batch_size);
    case FileFormat::archive:
        return std::make_unique<ArchiveReader>(input, file.database, file.collection);
    }
    throw Error(ERRCODE_INTERNAL_ERROR, "unexpected format of file \"" + file.path + "\"");
}

Section section_of(const Range &range, const CollectionFile &file) {
    switch (range.kind) {
    case Range::Kind::all:
        return {};
    case Range::Kind::bytes:
        break;
    default:
        throw Error(ERRCODE_INVALID_PARAMETER_VALUE, "a range of _id cannot be read from a file",
                    "The bounds of the chunk were made for a live server.", "Split the source again.");
    }
    const bool has_blocks = file.format == FileFormat::archive;
    if (range.first > 0 && has_blocks != (range.block >= 0))
        throw Error(ERRCODE_INVALID_PARAMETER_VALUE,
                    "a chunk cannot be read from file \"" + to_valid_text(file.path) + "\"",
                    has_blocks ? "The bounds of the chunk were made for a file that is no archive."
                               : "The bounds of the chunk were made for an archive.",
                    "Split the source again.");
    return {range.first, range.end, range.first > 0 ? range.block : -1};
}

} // namespace

CollectionReader::CollectionReader(const CollectionFile &file, size_t batch_size)
    : collection_(file), input_(file.path), reader_(make_reader(file, input_, batch_size)) {}

template <typename Body>
auto CollectionReader::translating_damage(Body &&body) {
    has_failed_ = true; /* until it has not */
    try {
        auto result = body();
        has_failed_ = false;
        return result;
    } catch (const Damage &damage) {
        throw damage_error(input_.path(), input_.is_compressed(), damage);
    }
}

void CollectionReader::enter(const Range &range) {
    const int64_t size = input_.file().size();
    if (range.size >= 0 && range.size != size && range.is_of_running_scan)
        throw Error(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "dump file \"" + to_valid_text(input_.path()) + "\" has changed while it was being read",
                    "It had " + std::to_string(range.size) + " bytes when the scan began, and has " +
                        std::to_string(size) + " now.");
    if (range.size >= 0 && range.size != size)
        throw Error(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "dump file \"" + to_valid_text(input_.path()) + "\" has changed since the task was split",
                    "It had " + std::to_string(range.size) + " bytes, and has " + std::to_string(size) + " now.",
                    "Put the former file back, or start the task again after mongoferry.reset_task().");
    const Section section = section_of(range, collection_);
    has_entered_ = true;
    input_.expect_to_go_back();
    translating_damage([&] {
        reader_->enter(section);
        return true;
    });
}

bool CollectionReader::next_batch(Batch *batch) {
    return translating_damage([&] { return reader_->next_batch(batch); });
}

bool CollectionReader::next_starts(std::vector<DocumentStart> *starts) {
    return translating_damage([&] { return reader_->next_starts(starts); });
}

std::unique_ptr<CollectionReader> open_range(const CollectionFile &file, const Range &range) {
    std::unique_ptr<CollectionReader> reader;
    if (range.kind == Range::Kind::bytes)
        reader = take_kept_reader(file, range.first);
    if (!reader)
        reader = std::make_unique<CollectionReader>(file);
    if (range.kind != Range::Kind::all)
        reader->enter(range);
    return reader;
}

void give_back(std::unique_ptr<CollectionReader> reader) noexcept {
    if (reader && reader->is_worth_keeping())
        keep_reader(std::move(reader));
}

} // namespace mongoferry::source

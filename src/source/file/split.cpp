/*
 * See split_collection() and count_documents() in file_source.h. Only the framing of the documents is looked at: where
 * one ends and the next begins. Every chunk but the last ends where the next begins; the last is open.
 */
#include "source/file/collection_reader.h"
#include "source/file/file_source.h"

namespace mongoferry::source {

namespace {

/* How many bytes of BSON a byte of the file becomes, by its first documents. */
double bson_of_a_byte(const CollectionFile &file) {
    constexpr size_t sample_size = 64 * 1024;
    if (file.format != FileFormat::json)
        return 1;
    CollectionReader reader(file, sample_size);
    Batch batch;
    return reader.next_batch(&batch)
               ? static_cast<double>(batch.end - batch.start) / static_cast<double>(reader.position())
               : 1;
}

class Splitter {
public:
    Splitter(int64_t chunk_size, double bson_of_byte, int64_t file_size)
        : chunk_size_(chunk_size), bson_of_byte_(bson_of_byte) {
        range_.kind = Range::Kind::bytes;
        range_.size = file_size;
    }

    void add(const DocumentStart &document) {
        if (documents_ == 0) {
            range_.first = document.offset;
            range_.block = document.block;
        } else if (documents_ == chunk_size_) {
            range_.end = document.offset;
            finish_chunk();
            range_.first = document.offset;
            range_.block = document.block;
            range_.end = -1;
        }
        ++documents_;
        bytes_ += document.size;
    }

    std::vector<Chunk> finish() {
        finish_chunk();
        return std::move(chunks_);
    }

private:
    void finish_chunk() {
        chunks_.push_back(
            {render_range(range_), documents_, static_cast<int64_t>(static_cast<double>(bytes_) * bson_of_byte_)});
        documents_ = bytes_ = 0;
    }

    int64_t chunk_size_;
    double bson_of_byte_;
    Range range_; /* of the chunk that is being filled */
    int64_t documents_ = 0;
    int64_t bytes_ = 0;
    std::vector<Chunk> chunks_;
};

} // namespace

std::vector<Chunk> split_collection(const FileOptions &options, const std::string &database,
                                    const std::string &collection, int64_t chunk_size) {
    const CollectionFile file = locate_collection(options, database, collection);
    CollectionReader reader(file);
    Splitter splitter(chunk_size, bson_of_a_byte(file), reader.content().file().size());
    std::vector<DocumentStart> starts;
    while (reader.next_starts(&starts))
        for (const DocumentStart &document : starts)
            splitter.add(document);
    return splitter.finish();
}

int64_t count_documents(const FileOptions &options, const std::string &database, const std::string &collection,
                        const Range &range) {
    std::unique_ptr<CollectionReader> reader = open_range(locate_collection(options, database, collection), range);
    std::vector<DocumentStart> starts;
    int64_t count = 0;
    while (reader->next_starts(&starts))
        count += static_cast<int64_t>(starts.size());
    give_back(std::move(reader));
    return count;
}

} // namespace mongoferry::source

/* See file_source.h: the scan over one collection's file, and what the planner and EXPLAIN ask. */
#include "source/file/file_source.h"

#include "pg/encoding.h"
#include "source/file/collection_reader.h"
#include "source/file/dump.h"

#include <limits>

namespace mongoferry::source {

namespace {

/* Keeps the first `documents` of a batch. */
void shorten(Batch *batch, int64_t documents) noexcept {
    Batch walk = *batch;
    bson::View document;
    while (documents-- > 0)
        walk.next(&document);
    batch->end = walk.position;
}

class FileSource final : public Source {
public:
    explicit FileSource(const FileOptions &options) : options_(options) {}
    ~FileSource() override { close(); }

    void open(const Request &request) override {
        close();
        const CollectionFile file = locate_collection(options_, request.database, request.collection);
        file_name_ = to_valid_text(file.path);
        reader_ = open_range(file, request.range);
        left_ = request.limit > 0 ? request.limit : std::numeric_limits<int64_t>::max();
    }

    bool next_batch(Batch *batch) override {
        if (!reader_ || left_ == 0 || !reader_->next_batch(batch)) {
            close(); /* now, not at the end of a query that may read many files */
            return false;
        }
        int64_t documents = reader_->documents();
        if (documents > left_) {
            shorten(batch, left_);
            documents = left_;
        }
        left_ -= documents;
        statistics_.documents += documents;
        statistics_.bytes += batch->end - batch->start;
        ++statistics_.batches;
        return true;
    }

    void close() noexcept override { give_back(std::move(reader_)); }

    const char *file_name() const noexcept override { return file_name_.empty() ? nullptr : file_name_.c_str(); }

private:
    FileOptions options_;
    std::string file_name_;
    std::unique_ptr<CollectionReader> reader_;
    int64_t left_ = 0; /* documents to hand out yet */
};

} // namespace

std::unique_ptr<Source> make_file_source(const FileOptions &options) {
    return std::make_unique<FileSource>(options);
}

SizeEstimate estimate_size(const FileOptions &options, const std::string &database, const std::string &collection) {
    constexpr size_t sample_size = 64 * 1024;
    SizeEstimate estimate;
    try {
        CollectionFile file = locate_collection(options, database, collection);
        if (file.format == FileFormat::archive) {
            ContentInput input(file.path);
            uint8_t sample[4096]; /* only to see how well it is compressed */
            input.read(sample, sizeof sample);
            estimate.bytes = input.estimated_size();
            return estimate;
        }
        CollectionReader reader(file, sample_size);
        Batch batch;
        if (!reader.next_batch(&batch)) {
            estimate.bytes = 0;
            return estimate;
        }
        int64_t size = batch.end - batch.start;
        estimate.document_size = size / reader.documents();
        /* Of Extended JSON, as much becomes BSON as did of the sample. */
        estimate.bytes = static_cast<int64_t>(static_cast<double>(reader.content().estimated_size()) *
                                              static_cast<double>(size) / static_cast<double>(reader.position()));
    } catch (const Error &) {
        /* The scan will say it. */
    } catch (const Damage &) {
    }
    return estimate;
}

std::string describe(const FileOptions &options, const std::string &database, const std::string &collection) {
    return to_valid_text(locate_collection(options, database, collection).path);
}

} // namespace mongoferry::source

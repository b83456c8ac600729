/* See chunk_source.h. */
#include "source/chunk_source.h"

#include <string>
#include <unordered_set>

namespace mongoferry::source {

namespace {

/* Type and bytes of a value: what makes two _ids the same here. */
std::string identity(const bson::Value &value) {
    std::string bytes(1, static_cast<char>(value.type));
    bytes.append(reinterpret_cast<const char *>(value.bytes), value.size);
    return bytes;
}

class ChunkSource final : public Source {
public:
    explicit ChunkSource(std::unique_ptr<Source> inner) : inner_(std::move(inner)) {}

    void open(const Request &request) override {
        except_.clear();
        if (!request.range.except.empty()) {
            bson::Iterator iterator(bson::view_of(request.range.except));
            while (iterator.next())
                except_.insert(identity(iterator.value()));
        }
        batch_ = {};
        is_raw_ = request.range.kind == Range::Kind::raw;
        if (is_raw_) {
            raw_ = request.range.raw;
            return;
        }
        inner_->open(request);
        is_inner_open_ = true;
    }

    bool next_batch(Batch *batch) override {
        for (;;) {
            if (batch_.position >= batch_.end && !fetch(&batch_))
                return false;
            if (except_.empty()) {
                *batch = batch_;
                batch_.position = batch_.end;
                return true;
            }
            if (next_run(batch))
                return true;
        }
    }

    void close() noexcept override {
        if (is_inner_open_)
            inner_->close();
        is_inner_open_ = false;
        raw_ = {};
        batch_ = {};
    }

    const char *file_name() const noexcept override { return is_raw_ ? nullptr : inner_->file_name(); }

private:
    bool fetch(Batch *batch) {
        if (!is_raw_) {
            if (!inner_->next_batch(batch))
                return false;
            const Statistics &now = inner_->statistics();
            statistics_.documents += now.documents - seen_.documents;
            statistics_.bytes += now.bytes - seen_.bytes;
            statistics_.batches += now.batches - seen_.batches;
            seen_ = now;
            return true;
        }
        if (raw_.size == 0)
            return false;
        *batch = Batch();
        batch->position = batch->start = raw_.data;
        batch->end = raw_.data + raw_.size;
        ++statistics_.batches;
        statistics_.bytes += static_cast<int64_t>(raw_.size);
        for (const uint8_t *position = raw_.data; position < batch->end; position += bson::load_int32(position))
            ++statistics_.documents;
        raw_ = {};
        return true;
    }

    /* The documents of batch_ up to one that is passed over, which is taken out with them; false if there are none. */
    bool next_run(Batch *batch) {
        *batch = batch_;
        Batch rest = batch_;
        bson::View document;
        const uint8_t *run_end = rest.position;
        bool is_cut = false;
        while (rest.next(&document)) {
            if (is_excepted(document)) {
                is_cut = true;
                break;
            }
            run_end = rest.position;
        }
        batch->end = run_end;
        batch_.position = is_cut ? rest.position : batch_.end;
        if (is_cut)
            --statistics_.documents;
        return batch->position < batch->end;
    }

    bool is_excepted(bson::View document) {
        bson::Value id;
        return bson::find(document, "_id", &id) && except_.count(identity(id)) > 0;
    }

    std::unique_ptr<Source> inner_;
    std::unordered_set<std::string> except_;
    bool is_raw_ = false;
    bool is_inner_open_ = false;
    bson::View raw_;
    Batch batch_;
    Statistics seen_; /* of the inner source, as far as it is counted */
};

} // namespace

std::unique_ptr<Source> make_chunk_source(std::unique_ptr<Source> inner) {
    return std::make_unique<ChunkSource>(std::move(inner));
}

} // namespace mongoferry::source

/* See divided_source.h. */
#include "source/divided_source.h"

namespace mongoferry::source {

namespace {

class DividedSource final : public Source {
public:
    DividedSource(Source *inner, std::unique_ptr<Division> division) : inner_(inner), division_(std::move(division)) {}

    void open(const Request &request) override {
        close();
        request_ = request;
        open_next_part(); /* now, because from then on the file has a name */
    }

    bool next_batch(Batch *batch) override {
        while (is_open_ && !division_->is_stopped()) {
            if (inner_->next_batch(batch)) {
                const Statistics &now = inner_->statistics();
                statistics_.documents += now.documents - seen_.documents;
                statistics_.bytes += now.bytes - seen_.bytes;
                statistics_.batches += now.batches - seen_.batches;
                seen_ = now;
                return true;
            }
            open_next_part();
        }
        close();
        return false;
    }

    void close() noexcept override {
        if (is_open_)
            inner_->close();
        is_open_ = false;
    }

    const char *file_name() const noexcept override { return inner_->file_name(); }

private:
    void open_next_part() {
        close();
        if (!division_->take(&request_.range))
            return;
        inner_->open(request_);
        is_open_ = true;
    }

    Source *inner_;
    std::unique_ptr<Division> division_;
    Request request_; /* with the range of the part that is read */
    bool is_open_ = false;
    Statistics seen_; /* of the inner source, as far as it is counted */
};

} // namespace

std::unique_ptr<Source> make_divided_source(Source *inner, std::unique_ptr<Division> division) {
    return std::make_unique<DividedSource>(inner, std::move(division));
}

} // namespace mongoferry::source

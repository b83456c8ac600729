/*
 * A scan of one collection on a live server.
 */
#pragma once

#include "source/live/remote_cursor.h"
#include "source/source.h"

namespace mongoferry::source::live {

class LiveSource final : public Source {
public:
    LiveSource(const ConnectionKey &key, const ConnectionOptions &options)
        : key_(key), options_(options), cursor_(key, options) {}

    void open(const Request &request) override;
    bool next_batch(Batch *batch) override;
    void close() noexcept override { cursor_.close(); }

private:
    ConnectionKey key_;
    ConnectionOptions options_;
    RemoteCursor cursor_;
    bool is_empty_range_ = false; /* nothing was opened, because nothing can be in the range */
};

} // namespace mongoferry::source::live

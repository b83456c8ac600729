/*
 * A scan of one collection on a live server.
 */
#pragma once

#include "source/live/remote_cursor.h"
#include "source/source.h"

namespace mongoferry::source::live {

class LiveSource final : public Source {
public:
    LiveSource(const ConnectionKey &key, const ConnectionOptions &options) : cursor_(key, options) {}

    void open(const Request &request) override;
    bool next_batch(Batch *batch) override;
    void close() noexcept override { cursor_.close(); }

private:
    RemoteCursor cursor_;
};

} // namespace mongoferry::source::live

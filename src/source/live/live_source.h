/*
 * A scan of one collection on a live server.
 */
#pragma once

#include "source/live/remote_cursor.h"
#include "source/source.h"

namespace mongoferry::source::live {

/* Whether the collection is known to have no default collation, so that strings compare by their bytes. Asked once for
 * each connection: a collection keeps its collation as long as it lives. False where the server does not tell. UTF-8
 * names. */
bool compares_by_bytes(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                       const std::string &collection);

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

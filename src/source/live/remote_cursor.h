/*
 * A cursor on a MongoDB server, driven by commands of our own: one that opens it (find, listCollections, …), then
 * getMore until the server says that it is exhausted.
 *
 * Not the driver's cursor: libmongoc 1.23's aborts the process on some badly framed replies and takes others for the
 * end of the data. Here a batch is checked as a whole and handed out as it lies in the reply.
 */
#pragma once

#include "source/live/connection_cache.h"
#include "source/live/cursor_reply.h"
#include "source/source.h"

#include <string>

namespace mongoferry::source::live {

/* The documents of a reply, which lives as long as its cursor says. */
inline Batch batch_of(const CursorReply &reply) noexcept {
    Batch batch;
    batch.position = batch.start = reply.first;
    batch.end = reply.end;
    batch.layout = Batch::Layout::array;
    return batch;
}

class RemoteCursor {
public:
    RemoteCursor(const ConnectionKey &key, const ConnectionOptions &options) : key_(key), options_(options) {}
    ~RemoteCursor() { close(); }
    RemoteCursor(const RemoteCursor &) = delete;
    RemoteCursor &operator=(const RemoteCursor &) = delete;

    /* Sends the command that opens it, on the cached connection. A cached connection that turns out to be dead is
     * replaced once: nothing has been read yet. database and collection (that getMore names) are UTF-8; batch_size as
     * in Request. */
    void open(const std::string &database, const std::string &collection, const bson::Document &command,
              int32_t batch_size);
    /* The next batch, which may be empty; false at the end. Valid until the next call. */
    bool next(CursorReply *batch);
    /* Gives up what is open. Never throws, never raises; waits for half a second at most. */
    void close() noexcept;

    /* Bytes of the reply that holds the current batch. */
    int64_t reply_size() const noexcept { return reply_.get()->len; }

private:
    void open_once(const bson::Document &command);
    void run(const bson::Document &command, bool begins_read);
    void release_connection() noexcept;

    BsonHandle reply_; /* first: the driver aligns its documents generously */
    ConnectionKey key_;
    ConnectionOptions options_;
    std::string database_;
    std::string collection_;
    int32_t batch_size_ = 0;

    ConnectionUse connection_; /* before session_, which must go first */
    Connection::Server server_;
    SessionHandle session_;

    CursorReply batch_;
    bool batch_is_fresh_ = false; /* it has not been handed out yet */
    bool in_flight_ = false;      /* a command was sent and its reply has not come */
    int64_t cursor_id_ = 0;
};

} // namespace mongoferry::source::live

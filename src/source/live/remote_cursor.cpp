/* See remote_cursor.h. */
#include "source/live/remote_cursor.h"

#include "source/live/driver.h"

namespace mongoferry::source::live {

/* What the driver would end the process for, or the server complain of in words that lead astray. */
static void check_names(const std::string &database, const std::string &collection, const std::string &server) {
    for (auto [what, name] : {std::pair("database", &database), std::pair("collection", &collection)}) {
        const char *problem = name->empty()                           ? "is empty"
                              : name->find('\0') != std::string::npos ? "contains a zero byte"
                                                                      : nullptr;
        if (problem)
            throw Error(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
                        std::string("the name of the ") + what + " on server \"" + server + "\" " + problem);
    }
}

void RemoteCursor::open(const std::string &database, const std::string &collection, const bson::Document &command,
                        int32_t batch_size) {
    close();
    check_names(database, collection, options_.server_name);
    database_ = database;
    collection_ = collection;
    batch_size_ = batch_size;

    const int64_t start = monotonic_time();
    for (bool again = false;; again = true) {
        connection_ = ConnectionUse(cached_connection(key_, options_));
        const bool was_proven = connection_->proven();
        try {
            open_once(command);
            return;
        } catch (const ConnectionError &error) {
            const bool worth_another = !again && may_be_stale(error, was_proven, start);
            close();
            if (!worth_another)
                throw;
        } catch (...) {
            close();
            throw;
        }
    }
}

void RemoteCursor::open_once(const bson::Document &command) {
    server_ = connection_->select_server();
    session_ = connection_->start_session();
    run(command, true);
}

void RemoteCursor::run(const bson::Document &command, bool begins_read) {
    batch_ = CursorReply();
    reply_.clear();
    in_flight_ = true;
    try {
        connection_->command(server_, database_, command, session_.get(), begins_read, database_ + "." + collection_,
                             &reply_);
    } catch (const ConnectionError &) {
        throw;
    } catch (const Error &) {
        /* The server has answered. It may have closed the cursor or not. */
        in_flight_ = false;
        throw;
    }
    in_flight_ = false;
    const char *problem = read_cursor_reply({bson_get_data(reply_.get()), reply_.get()->len}, &batch_);
    if (!problem && !begins_read && batch_.cursor_id != 0 && batch_.cursor_id != cursor_id_)
        problem = "it is about another cursor";
    if (problem)
        throw invalid_reply_error(connection_->name_of(server_), problem);
    cursor_id_ = batch_.cursor_id;
    batch_is_fresh_ = true;
    /* All is here: others may have the connection, or close it. */
    if (cursor_id_ == 0)
        release_connection();
}

bool RemoteCursor::next(CursorReply *batch) {
    if (!batch_is_fresh_) {
        if (cursor_id_ == 0) {
            batch_ = CursorReply();
            reply_.clear();
            return false;
        }
        try {
            bson::Builder command;
            command.append_int64("getMore", cursor_id_);
            command.append_string("collection", collection_);
            if (batch_size_ > 0)
                command.append_int32("batchSize", batch_size_);
            run(command.finish(), false);
        } catch (...) {
            close();
            throw;
        }
    }
    batch_is_fresh_ = false;
    *batch = batch_;
    return true;
}

void RemoteCursor::release_connection() noexcept {
    if (!connection_)
        return;
    connection_->discard({&server_, &database_, &collection_, cursor_id_, session_.get(), in_flight_});
    if (session_) {
        DriverScope scope(true);
        session_.reset();
    }
    cursor_id_ = 0;
    in_flight_ = false;
    connection_.release();
}

void RemoteCursor::close() noexcept {
    if (inside_driver()) {
        /* The process ends within a call of the driver: what it holds must be left as it is. */
        (void)session_.release();
        return;
    }
    release_connection();
    batch_is_fresh_ = false;
    batch_ = CursorReply();
    reply_.clear();
}

} // namespace mongoferry::source::live

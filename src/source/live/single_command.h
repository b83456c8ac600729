/*
 * A command that is answered with one document, unlike those that open a cursor (remote_cursor.h). Exception world.
 */
#pragma once

#include "bson/builder.h"
#include "source/live/connection_options.h"
#include "source/live/driver_handles.h"
#include "source/live/stream_context.h"

#include <string>

namespace mongoferry::source::live {

/* read_concern: as configured for the connection, for what reads documents; administrative commands refuse one. */
struct SingleCommand {
    bson::Document command;
    bool read_concern;
    /* When it has to be done, connecting included, as a monotonic_time(); else ConnectionError (57014). Such a command
     * leaves the connection of an open scan alone, for the lack of an answer breaks a connection: it takes one of its
     * own then. The server has to be told by maxTimeMS when to stop: nothing is given up there. */
    int64_t time_limit = no_deadline;
};

/* Runs it on the cached connection, which is replaced once if it turns out to be dead: so only for commands that read.
 * Names are UTF-8; collection is for messages. The reply is well framed at its top level. Throws as
 * Connection::command() does; interruptible, and then ends what it began on the server. */
void run_single_command(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                        const std::string &collection, const SingleCommand &command, BsonHandle *reply);

} // namespace mongoferry::source::live

/*
 * A command that is answered with one document, unlike those that open a cursor (remote_cursor.h). Exception world.
 */
#pragma once

#include "bson/builder.h"
#include "source/live/connection_options.h"
#include "source/live/driver_handles.h"

#include <string>

namespace mongoferry::source::live {

/* read_concern: as configured for the connection, for what reads documents; administrative commands refuse one. */
struct SingleCommand {
    bson::Document command;
    bool read_concern;
};

/* Runs it on the cached connection, which is replaced once if it turns out to be dead: so only for commands that read.
 * Names are UTF-8; collection is for messages. The reply is well framed at its top level. Throws as
 * Connection::command() does; interruptible, and then ends what it began on the server. */
void run_single_command(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                        const std::string &collection, const SingleCommand &command, BsonHandle *reply);

} // namespace mongoferry::source::live

/*
 * What listCollections shows of one collection, and what a connection remembers by a collection's name. Exception
 * world.
 */
#pragma once

#include "bson/builder.h"
#include "source/live/connection_options.h"

#include <string>

namespace mongoferry::source::live {

/* Names are UTF-8. A dot can't be in the name of a database. */
inline std::string name_space(const std::string &database, const std::string &collection) {
    return database + "." + collection;
}

/* The collection's entry; empty if none is shown. name_only: with no more than name and type, for which the right to
 * read the collection is enough. Throws ServerError if the server refuses. */
bson::Document collection_entry(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                                const std::string &collection, bool name_only);

} // namespace mongoferry::source::live

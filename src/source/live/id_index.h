/*
 * Whether ranges of _id may go through the index on _id: not for views and time series. Exception world.
 *
 * Asked of listCollections once for each collection and connection, and kept with the connection. Not left to the
 * server's refusal alone: a server that ignores min and max on a view, as some do that only resemble MongoDB, would
 * give each chunk the whole view. The refusal counts besides, because it tells of what listCollections doesn't: an
 * index that is hidden from hints by an index filter, a collection that has become a view meanwhile. In the other
 * direction nothing can go wrong: the expression form is right for every collection, only slower.
 */
#pragma once

#include "source/live/connection_options.h"
#include "source/live/driver_error.h"
#include "source/live/find_command.h"

#include <string>

namespace mongoferry::source::live {

/* Names are UTF-8. A collection that does not exist counts as an ordinary one, and is not remembered; so does one of
 * which listCollections is not allowed to tell, whether to this user or on this connection. */
IdRangeForm id_range_form(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                          const std::string &collection);
/* What a server's refusal has shown. */
void remember_id_range_form(const ConnectionKey &key, const ConnectionOptions &options, const std::string &database,
                            const std::string &collection, IdRangeForm form);

/* The server does not take min, max or hint for this collection. */
bool is_index_refusal(const ServerError &error) noexcept;
/* The server takes them, but says that min does not come before max: an empty range. */
bool is_empty_range_refusal(const ServerError &error) noexcept;

} // namespace mongoferry::source::live

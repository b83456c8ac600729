/*
 * Readers of compressed files that no scan uses at the moment, kept by this backend across its transactions, because a
 * worker reads one chunk of a file after the other. Exception world.
 */
#pragma once

#include "source/file/collection_reader.h"

#include <memory>

namespace mongoferry::source {

/* Takes a reader of this collection out of the cache: the one with the shortest way to the byte `first`. NULL if there
 * is none. */
std::unique_ptr<CollectionReader> take_kept_reader(const CollectionFile &file, int64_t first);

/* Puts a reader into the cache; the one that was used the longest ago is closed if there are too many. */
void keep_reader(std::unique_ptr<CollectionReader> reader) noexcept;

} // namespace mongoferry::source

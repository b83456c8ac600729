/*
 * Cutting a collection's file into ranges of bytes while it is being read, for several processes that share the work.
 *
 * A document can't be found from the middle of a file, only from where the one before it ends. So there is one position
 * for all, from which whoever needs work walks on to the next cut, looking at nothing but where documents end. That
 * costs a small part of decoding them, no document is read before it is needed, and the cuts are exact.
 *
 * Exception world.
 */
#pragma once

#include "source/file/collection_reader.h"

#include <memory>

namespace mongoferry::source {

/* Whether a file can be read in parts at no great cost: not a compressed one, since what lies before a part would have
 * to be decompressed each time, and not an archive, whose collections may lie mixed. */
struct Divisibility {
    bool is_divisible = false;
    int64_t size = -1; /* of the file, in bytes; -1 not known */
};
/* Never throws for a file that is missing or damaged (the scan will say it), but calls it indivisible. */
Divisibility divisibility(const FileOptions &options, const std::string &database, const std::string &collection);

class FileDivider {
public:
    /* Nothing is opened yet. */
    FileDivider(const FileOptions &options, const std::string &database, const std::string &collection)
        : options_(options), database_(database), collection_(collection) {}

    /*
     * The range that begins at *position (0 at first) and has at least `size` bytes, if there are as many. *position
     * becomes the place where the next one begins; -1 if this is the last one. Calls with the same position must come
     * one after the other. What is damaged is left to be found by who reads the range: it is then the last one, and
     * reaches to the end. file_size: a file of another size is an error; -1 not to compare.
     */
    Range next_range(int64_t *position, int64_t size, int64_t file_size);

private:
    FileOptions options_;
    std::string database_;
    std::string collection_;
    std::unique_ptr<CollectionReader> reader_;
};

} // namespace mongoferry::source

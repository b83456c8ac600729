/*
 * What a dump holds and where: from the option `dump`, a database and a collection to the file to read.
 *
 * Exception world. Names given by users are compared with what is there, and never made part of a path. Names are in
 * UTF-8 here; those that come in through file_source.h and locate_collection(), and those in messages, are in the
 * database's encoding.
 */
#pragma once

#include "pg/guard.h"
#include "source/file/file_source.h"

#include <string>
#include <vector>

namespace mongoferry::source {

enum class FileFormat { bson, json, archive };

struct CollectionFile {
    std::string path;
    FileFormat format;
    std::string database; /* archives: as the archive has them */
    std::string collection;
};

/* The file that holds a collection. Throws Error as file_source.h says. */
CollectionFile locate_collection(const FileOptions &options, const std::string &database,
                                 const std::string &collection);

/* The format of a file, from its content; from its name where the content does not tell (it is empty or damaged).
 * Throws for what is no dump at all. */
FileFormat format_of_file(const std::string &path);

/* Which of several databases is meant. One that is asked for is taken; where there is one only, it is taken whatever is
 * asked for; those of MongoDB itself (admin, config, local) count only when asked for. Throws otherwise. */
std::string choose_database(const FileOptions &options, const std::vector<std::string> &databases,
                            const std::string &database);

/* "a, b, c, and 4 more": names for a hint, not too many. */
std::string enumerate(const std::vector<std::string> &names);

/* The error for a collection that is not there. kind: what is known of it, if it is there but without documents. */
Error no_such_collection(const FileOptions &options, const std::string &collection,
                         const std::vector<std::string> &names, const std::string &detail);
/* The detail for a view or a time series. */
std::string why_without_documents(const std::string &collection, bool is_view);

} // namespace mongoferry::source

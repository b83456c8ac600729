/*
 * Folders: of one database as mongodump writes it, of several databases, or of mongoexport's files. Exception world.
 */
#pragma once

#include "source/file/dump.h"
#include "source/file/file_names.h"
#include "source/file/metadata.h"

#include <map>
#include <string>
#include <vector>

namespace mongoferry::source {

/* The folder of one database. */
class Folder {
public:
    /* Reads the names of what is in it. */
    explicit Folder(const std::string &path);

    /* True if it holds a database's files (rather than nothing, or folders of databases). */
    bool has_collections() const noexcept { return !files_.empty() || !metadata_.empty(); }
    /* Folders in it that hold collections, by name. */
    std::vector<std::string> databases() const;
    const std::string &path() const noexcept { return path_; }

    /* Collections that can be read, by name. Looks into every metadata file. */
    std::vector<std::string> collections() const;
    CollectionFile locate(const FileOptions &options, const std::string &collection) const;

private:
    struct File {
        std::string name; /* of the file */
        std::string stem;
        FileFormat format;
    };
    std::string collection_name(const File &file) const;
    CollectionMetadata metadata_of(const std::string &stem) const;

    std::string path_;
    std::vector<File> files_;                     /* that hold documents; not the oplog */
    std::map<std::string, std::string> metadata_; /* stem → name of the metadata file */
    std::vector<std::string> others_;             /* may be folders */
};

/* The folder of the database that is meant, in the folder of a dump. */
Folder database_folder(const FileOptions &options, const std::string &database);

} // namespace mongoferry::source

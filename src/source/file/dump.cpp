/* See dump.h. */
#include "source/file/dump.h"

#include "pg/encoding.h"
#include "source/file/archive.h"
#include "source/file/content_input.h"
#include "source/file/document_reader.h"
#include "source/file/file_names.h"
#include "source/file/folder.h"

#include <algorithm>
#include <cerrno>
#include <sys/stat.h>

namespace mongoferry::source {

namespace {

constexpr size_t names_in_hint = 20;

bool is_internal(const std::string &database) {
    return database == "admin" || database == "config" || database == "local";
}

std::string_view base_name(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

bool is_folder(const FileOptions &options) {
    if (!options.dump.starts_with('/'))
        throw Error(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE, "the dump of server \"" + options.server_name +
                                                             "\" is not an absolute path: \"" + options.dump + "\"");
    struct stat status;
    if (stat(options.dump.c_str(), &status) != 0)
        throw system_error("open dump", options.dump, errno);
    return S_ISDIR(status.st_mode);
}

std::vector<ArchivedCollection> collections_in_archive(const std::string &path) {
    ContentInput input(path);
    try {
        BufferedInput buffered(input);
        return read_prelude(buffered);
    } catch (const Damage &damage) {
        throw damage_error(path, input.is_compressed(), damage);
    }
}

/* Those of one database; the database's name as the archive has it. */
struct ArchivedDatabase {
    std::string name;
    std::vector<ArchivedCollection> collections;
};
ArchivedDatabase database_in_archive(const FileOptions &options, const std::string &database) {
    std::vector<ArchivedCollection> all = collections_in_archive(options.dump);
    std::vector<std::string> databases;
    for (const ArchivedCollection &collection : all)
        if (!collection.database.empty())
            databases.push_back(collection.database);
    std::sort(databases.begin(), databases.end());
    databases.erase(std::unique(databases.begin(), databases.end()), databases.end());

    ArchivedDatabase result;
    if (databases.empty())
        return result;
    result.name = choose_database(options, databases, database);
    std::erase_if(all, [&](const ArchivedCollection &collection) { return collection.database != result.name; });
    result.collections = std::move(all);
    return result;
}

std::vector<std::string> readable_names(const ArchivedDatabase &database) {
    std::vector<std::string> names;
    for (const ArchivedCollection &collection : database.collections)
        if (collection.kind == CollectionKind::collection && !is_system_collection(collection.name))
            names.push_back(collection.name);
    std::sort(names.begin(), names.end());
    return names;
}

CollectionFile locate_in_archive(const FileOptions &options, const std::string &database, const std::string &name) {
    ArchivedDatabase found = database_in_archive(options, database);
    std::string detail;
    for (const ArchivedCollection &collection : found.collections) {
        if (collection.name != name || is_system_collection(name))
            continue;
        if (collection.kind == CollectionKind::collection)
            return {options.dump, FileFormat::archive, found.name, name};
        detail = why_without_documents(name, collection.kind == CollectionKind::view);
    }
    throw no_such_collection(options, name, readable_names(found), detail);
}

} // namespace

std::string enumerate(const std::vector<std::string> &names) {
    std::string text;
    for (size_t i = 0; i < names.size(); ++i) {
        if (i == names_in_hint)
            return text + ", and " + std::to_string(names.size() - i) + " more";
        text += (i > 0 ? ", " : "") + to_server_text(names[i]);
    }
    return text;
}

Error no_such_collection(const FileOptions &options, const std::string &collection,
                         const std::vector<std::string> &names, const std::string &detail) {
    return Error(ERRCODE_FDW_TABLE_NOT_FOUND,
                 "collection \"" + to_server_text(collection) + "\" is not in dump \"" + options.dump + "\"", detail,
                 names.empty() ? "The dump holds no collection."
                               : "The dump holds these collections: " + enumerate(names) + ".");
}

std::string why_without_documents(const std::string &collection, bool is_view) {
    const std::string name = "\"" + to_server_text(collection) + "\"";
    return is_view ? name + " is a view; mongodump writes its documents only with --viewsAsCollections."
                   : name + " is a time series; mongodump writes its buckets, and not its documents.";
}

std::string choose_database(const FileOptions &options, const std::vector<std::string> &databases,
                            const std::string &database) {
    if (std::find(databases.begin(), databases.end(), database) != databases.end())
        return database;
    std::vector<std::string> candidates = databases;
    std::erase_if(candidates, is_internal);
    if (candidates.size() == 1)
        return candidates.front();
    if (databases.size() == 1)
        return databases.front();
    if (database.empty())
        throw Error(ERRCODE_FDW_SCHEMA_NOT_FOUND, "dump \"" + options.dump + "\" holds several databases", {},
                    "Set the option \"database\" to one of these: " + enumerate(databases) + ".");
    throw Error(ERRCODE_FDW_SCHEMA_NOT_FOUND,
                "database \"" + to_server_text(database) + "\" is not in dump \"" + options.dump + "\"", {},
                "The dump holds these databases: " + enumerate(databases) + ".");
}

FileFormat format_of_file(const std::string &path) {
    std::string beginning = read_beginning(path, 4096);
    const uint8_t *bytes = reinterpret_cast<const uint8_t *>(beginning.data());
    if (is_archive(bytes, beginning.size()))
        return FileFormat::archive;
    /* No JSON text in UTF-8 does: its first four characters, taken as a length, are more than a document has. */
    if (resembles_document(bytes, beginning.size()))
        return FileFormat::bson;
    size_t start = beginning.starts_with("\xef\xbb\xbf") ? 3 : 0;
    start = beginning.find_first_not_of(" \t\r\n", start);
    if (start != std::string::npos && (beginning[start] == '{' || beginning[start] == '['))
        return FileFormat::json;

    switch (split_file_name(base_name(path)).kind) {
    case FileKind::bson:
        return FileFormat::bson;
    case FileKind::json:
        return FileFormat::json;
    default:
        throw Error(ERRCODE_WRONG_OBJECT_TYPE, "file \"" + to_valid_text(path) + "\" is not a dump that can be read",
                    "It is neither BSON, nor an archive of mongodump, nor Extended JSON.",
                    "Use what mongodump writes, or mongoexport with --type=json (its CSV has lost the types).");
    }
}

CollectionFile locate_collection(const FileOptions &options, const std::string &database,
                                 const std::string &collection) {
    if (is_folder(options))
        return database_folder(options, to_utf8(database)).locate(options, to_utf8(collection));
    FileFormat format = format_of_file(options.dump);
    if (format == FileFormat::archive)
        return locate_in_archive(options, to_utf8(database), to_utf8(collection));
    return {options.dump, format, {}, collection};
}

std::vector<CollectionInfo> list_collections(const FileOptions &options, const std::string &database) {
    std::vector<std::string> names;
    if (is_folder(options)) {
        names = database_folder(options, to_utf8(database)).collections();
    } else if (format_of_file(options.dump) == FileFormat::archive) {
        names = readable_names(database_in_archive(options, to_utf8(database)));
    } else {
        FileName parts = split_file_name(base_name(options.dump));
        names.push_back(parts.kind == FileKind::bson ? unescape_file_name(parts.stem) : std::string(parts.stem));
    }
    std::vector<CollectionInfo> collections;
    collections.reserve(names.size());
    for (std::string &name : names)
        collections.push_back({std::move(name), "collection"});
    return collections;
}

} // namespace mongoferry::source

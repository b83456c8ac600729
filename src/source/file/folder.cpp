/* See folder.h. */
#include "source/file/folder.h"

#include "pg/encoding.h"
#include "source/file/content_input.h"
#include "source/file/document_reader.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <sys/stat.h>

namespace mongoferry::source {

namespace {

/* mongodump writes a small file about itself into a folder: {"ServerVersion":…,"ToolVersion":…}. It may also be an
 * exported collection of that name. */
bool is_prelude(const std::string &path) {
    try {
        return read_beginning(path, 64).starts_with("{\"ServerVersion\"");
    } catch (const Error &) {
        return false; /* whoever reads it will be told */
    }
}

std::vector<std::string> names_in(const std::string &path) {
    DescriptorReservation reservation;
    struct Closer {
        void operator()(DIR *directory) const noexcept { closedir(directory); }
    };
    std::unique_ptr<DIR, Closer> directory(opendir(path.c_str()));
    if (!directory)
        throw system_error("open directory", path, errno);
    std::vector<std::string> names;
    while (true) {
        errno = 0;
        const dirent *entry = readdir(directory.get());
        if (!entry)
            break;
        if (entry->d_name[0] != '.')
            names.emplace_back(entry->d_name);
    }
    if (errno != 0)
        throw system_error("read directory", path, errno);
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace

Folder::Folder(const std::string &path) : path_(path) {
    while (path_.size() > 1 && path_.ends_with('/'))
        path_.pop_back();
    std::vector<File> exports;
    for (std::string &name : names_in(path)) {
        FileName parts = split_file_name(name);
        switch (parts.kind) {
        case FileKind::bson:
            files_.push_back({name, std::string(parts.stem), FileFormat::bson});
            break;
        case FileKind::json:
            exports.push_back({name, std::string(parts.stem), FileFormat::json});
            break;
        case FileKind::metadata:
            metadata_.emplace(parts.stem, name);
            break;
        case FileKind::other:
            others_.push_back(std::move(name));
            break;
        }
    }
    /* Beside the folders of the databases a dump has the oplog of its time; it is no collection of theirs. */
    std::erase_if(files_, [&](const File &file) { return file.stem == "oplog" && !metadata_.contains("oplog"); });
    /* Where mongodump's files are, other JSON files are not ours. */
    if (!has_collections()) {
        std::erase_if(exports,
                      [&](const File &file) { return file.stem == "prelude" && is_prelude(path_ + "/" + file.name); });
        files_ = std::move(exports);
    }
}

std::vector<std::string> Folder::databases() const {
    std::vector<std::string> databases;
    for (const std::string &name : others_) {
        std::string path = path_ + "/" + name;
        struct stat status;
        if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && Folder(path).has_collections())
            databases.push_back(name);
    }
    return databases;
}

/* The metadata of a collection; defaults if there is none that can be read. */
CollectionMetadata Folder::metadata_of(const std::string &stem) const {
    auto found = metadata_.find(stem);
    if (found == metadata_.end())
        return {};
    try {
        return parse_metadata(read_beginning(path_ + "/" + found->second, max_document_size));
    } catch (const Error &) {
        return {};
    }
}

std::string Folder::collection_name(const File &file) const {
    if (file.format == FileFormat::json)
        return file.stem; /* named by a user, not by mongodump */
    if (is_cut_file_name(file.stem)) {
        std::string name = metadata_of(file.stem).name;
        if (!name.empty())
            return name;
    }
    return unescape_file_name(file.stem);
}

std::vector<std::string> Folder::collections() const {
    std::vector<std::string> names;
    for (const File &file : files_) {
        std::string name = collection_name(file);
        if (!is_system_collection(name) && metadata_of(file.stem).kind == CollectionKind::collection)
            names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

CollectionFile Folder::locate(const FileOptions &options, const std::string &collection) const {
    std::string detail;
    const File *found = nullptr;
    for (const File &file : files_) {
        if (is_system_collection(collection) || collection_name(file) != collection)
            continue;
        CollectionKind kind = metadata_of(file.stem).kind;
        if (kind != CollectionKind::collection) {
            detail = why_without_documents(collection, kind == CollectionKind::view);
            continue;
        }
        if (found)
            throw Error(
                ERRCODE_FDW_ERROR,
                "collection \"" + to_server_text(collection) + "\" is twice in \"" + to_valid_text(path_) + "\"",
                "It is in the files \"" + to_valid_text(found->name) + "\" and \"" + to_valid_text(file.name) + "\".",
                "Set the server's option \"dump\" to one of the files.");
        found = &file;
    }
    if (found)
        return {path_ + "/" + found->name, found->format, {}, collection};

    for (const auto &[stem, name] : metadata_) {
        if (!detail.empty())
            break;
        if (unescape_file_name(stem) != collection && !is_cut_file_name(stem))
            continue;
        CollectionMetadata metadata = metadata_of(stem);
        if (metadata.kind != CollectionKind::collection &&
            (metadata.name == collection || unescape_file_name(stem) == collection))
            detail = why_without_documents(collection, metadata.kind == CollectionKind::view);
    }
    throw no_such_collection(options, collection, collections(), detail);
}

Folder database_folder(const FileOptions &options, const std::string &database) {
    Folder folder(options.dump);
    if (folder.has_collections())
        return folder;
    std::vector<std::string> databases = folder.databases();
    if (databases.empty())
        return folder;
    return Folder(folder.path() + "/" + choose_database(options, databases, database));
}

} // namespace mongoferry::source

/*
 * Names of collections in names of files, as mongodump has them. Pure C++.
 *
 * Source: mongo-tools, mongodump/prepare.go (outputPath): names are escaped as Go's url.QueryEscape does it; when that
 * is longer than 238 bytes, its first 208 bytes are followed by "%24" (an escaped $) and 27 characters of a hash, and
 * only the metadata file tells the whole name.
 */
#pragma once

#include <string>
#include <string_view>

namespace mongoferry::source {

enum class FileKind { bson, json, metadata, other };

/* A file's name, taken apart. */
struct FileName {
    FileKind kind = FileKind::other;
    std::string_view
        stem; /* the part before .bson, .json or .metadata.json (and .gz), as it stands; a part of the argument */
    bool gzipped = false; /* by its name */
};
FileName split_file_name(std::string_view name) noexcept;

/* The name that was escaped; the text itself where it is none that mongodump would have made. */
std::string unescape_file_name(std::string_view escaped);

/* True if the name was too long and is cut. */
bool is_cut_file_name(std::string_view escaped) noexcept;

} // namespace mongoferry::source

/*
 * Extended JSON text → BSON: what mongoexport wrote, line by line or as one array.
 *
 * Pure C++, exception world: a malformed text throws ParseError with the byte offset. Accepts Extended JSON v2,
 * canonical and relaxed, and the older forms that mongoexport of MongoDB 4.0 and before wrote ({"$date": "…"},
 * {"$date": 0}, {"$binary": "…", "$type": "…"}, {"$regex": "…", "$options": "…"}, bare NaN, +Infinity and -Infinity;
 * {"$ref": …, "$id": …} stays an object). An object with a wrapper's key whose content is none, or with other keys
 * beside it, is an error, and so is an integer beyond int64. Keys of query operators ($gt, $type, $regex alone) are
 * plain keys. A byte order mark is the caller's to skip.
 *
 * Source: https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md
 */
#pragma once

#include "bson/builder.h"

#include <stdexcept>
#include <string>
#include <string_view>

namespace mongoferry::bson {

class ParseError : public std::runtime_error {
public:
    ParseError(const std::string &message, size_t offset_) : std::runtime_error(message), offset(offset_) {}
    size_t offset; /* bytes from the start of the text given */
};

/* Parses one document, which begins at text[0] (white space before it is allowed). consumed receives the number of
 * bytes up to and including the closing brace; what follows is the caller's. */
Document parse_document(std::string_view text, size_t *consumed);

} // namespace mongoferry::bson

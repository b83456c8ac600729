/*
 * Strings from BSON into the database: UTF-8 validation, NUL handling, conversion to the database's encoding.
 *
 * POD world (pg/guard.h); allocates in CurrentMemoryContext.
 */
#pragma once

#include "pg/backend.h"

#include "bson/conversion_options.h"
#include "bson/jsonb.h"

#include <string_view>

namespace mongoferry::bson {

/* A server-encoded piece of text; not NUL-terminated, may point into the input when nothing had to change. */
struct ServerText {
    const char *data;
    size_t size;
};

/* Why a NUL is refused. */
inline constexpr char contains_nul[] = "contains U+0000, which PostgreSQL's text cannot hold";

/* Validates UTF-8, treats NUL as on_nul says, converts to the server's encoding. On failure sets error (22021 for bad
 * UTF-8 and what the encoding can't hold, 22P05 for a refused NUL) and returns an empty text. */
ServerText server_text(std::string_view utf8, OnNul on_nul, ConversionError *error);

} // namespace mongoferry::bson

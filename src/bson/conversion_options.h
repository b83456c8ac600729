/*
 * The options that decide how a BSON value becomes a column's value. They exist on server, table and column; the
 * narrower wins (src/fdw/options.cpp resolves that). Pure C++.
 */
#pragma once

#include "bson/extended_json_writer.h"
#include "bson/uuid_layout.h"

namespace mongoferry::bson {

enum class OnMismatch : uint8_t { error, null };
enum class OnNul : uint8_t { error, strip, replace };

struct ConversionOptions {
    OnMismatch on_mismatch = OnMismatch::error;
    OnNul on_nul = OnNul::error; /* U+0000 in a string: refuse, leave out, or U+FFFD in its place */
    bool coerce_strings = false; /* number, boolean and objectid columns parse strings */
    JsonFormat json_format = JsonFormat::relaxed;
    UuidRepresentation uuid_representation = UuidRepresentation::standard;
};

} // namespace mongoferry::bson

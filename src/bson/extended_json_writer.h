/*
 * BSON → MongoDB Extended JSON v2, relaxed or canonical.
 *
 * Pure C++ and POD world: no allocation, no exception, no destructor, so that a sink may leave by longjmp (a sink that
 * writes into a backend StringInfo raises when memory is out). Text is UTF-8 as in the document; U+0000 is written as
 * the escape \u0000, invalid UTF-8 is passed through: who needs valid text validates before.
 *
 * Source: https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md
 */
#pragma once

#include "bson/view.h"

namespace mongoferry::bson {

enum class JsonFormat : uint8_t { relaxed, canonical };

struct TextSink {
    void (*append)(void *context, const char *text, size_t size);
    void *context;
};

/* What stopped the writing, or NULL when all is written. offset counts from the document's first byte. */
struct WriteError {
    const char *message = nullptr;
    size_t offset = 0;
    bool is_too_deep = false; /* well formed, but nested beyond max_nesting */
};

/* Nesting deeper than this is refused with an error; MongoDB itself stops at 100 levels. */
constexpr int max_nesting = 200;

/* Writes a document as {"key": value, …}, with a space after colon and comma as mongosh and jsonb print it. */
WriteError write_document(View document, JsonFormat format, const TextSink &sink) noexcept;
WriteError write_array(View array, JsonFormat format, const TextSink &sink) noexcept;
/* Writes one value of any type. offset of an error counts from value.bytes. */
WriteError write_value(const Value &value, JsonFormat format, const TextSink &sink) noexcept;

} // namespace mongoferry::bson

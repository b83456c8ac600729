/*
 * Writing BSON: what filters, projections, commands and the Extended JSON parser are made with.
 *
 * Pure C++, exception world: std::bad_alloc; std::length_error beyond 2 GB; std::invalid_argument for a NUL in a key or
 * a regular expression and for a nested View that is not framed; std::logic_error for levels that do not match.
 */
#pragma once

#include "bson/view.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace mongoferry::bson {

/* A BSON document that we own. Empty means "none given". */
using Document = std::vector<uint8_t>;

inline View view_of(const Document &document) noexcept {
    return {document.data(), document.size()};
}

class Builder {
public:
    Builder();

    void append_float64(std::string_view key, double value);
    void append_string(std::string_view key, std::string_view value); /* may contain NUL */
    void append_binary(std::string_view key, uint8_t subtype, const void *data, size_t size);
    void append_undefined(std::string_view key);
    void append_object_id(std::string_view key, const uint8_t bytes[12]);
    void append_bool(std::string_view key, bool value);
    void append_date(std::string_view key, int64_t milliseconds_since_1970);
    void append_null(std::string_view key);
    void append_regex(std::string_view key, std::string_view pattern, std::string_view options);
    void append_db_pointer(std::string_view key, std::string_view collection, const uint8_t object_id[12]);
    void append_code(std::string_view key, std::string_view code);
    void append_symbol(std::string_view key, std::string_view symbol);
    void append_code_with_scope(std::string_view key, std::string_view code, View scope);
    void append_int32(std::string_view key, int32_t value);
    void append_timestamp(std::string_view key, uint32_t seconds, uint32_t increment);
    void append_int64(std::string_view key, int64_t value);
    void append_decimal128(std::string_view key, const uint8_t bytes[16]);
    void append_min_key(std::string_view key);
    void append_max_key(std::string_view key);
    void append_document(std::string_view key, View document);
    void append_array(std::string_view key, View array);
    /* A value as it stands in another document. */
    void append_value(std::string_view key, const Value &value);

    /* Nested levels: elements go into the innermost open one until end(). In an array the caller gives the keys
     * "0", "1", … or uses array_key(). */
    void begin_document(std::string_view key);
    void begin_array(std::string_view key);
    void end();
    /* The next key of the innermost open array, counted here. Valid until the next call of it. */
    std::string_view array_key();

    /* Closes the outermost document and hands it out; the builder is empty again. */
    Document finish();

private:
    void append_key(Type type, std::string_view key);
    void append_bytes(const void *data, size_t size);
    template <typename Int>
    void append_int(Int value) {
        append_bytes(&value, sizeof value);
    }
    void append_length(size_t length);
    void append_cstring(std::string_view text);
    void append_text(std::string_view text);
    void begin_level();
    void end_level();
    struct Level {
        size_t start;
        uint32_t next_index;
    };
    std::vector<uint8_t> bytes_;
    std::vector<Level> levels_;
    char array_key_[12];
};

} // namespace mongoferry::bson

/*
 * Writing BSON into one growing buffer; lengths are filled in when a level ends.
 *
 * Source of the format: the BSON specification 1.1, https://bsonspec.org/spec.html
 */
#include "bson/builder.h"

#include <charconv>
#include <stdexcept>
#include <string>

namespace mongoferry::bson {

namespace {

constexpr uint8_t old_generic_subtype = 0x02;

void refuse_nul(std::string_view text, const char *what) {
    if (text.find('\0') != text.npos)
        throw std::invalid_argument(std::string(what) + " must not contain a NUL character");
}

void refuse_unframed(View document) {
    if (!is_framed(document))
        throw std::invalid_argument("not a BSON document");
}

} // namespace

Builder::Builder() {
    begin_level();
}

void Builder::begin_level() {
    const size_t start = bytes_.size();
    append_int(int32_t{0}); /* the length, filled in by end_level() */
    levels_.push_back({start, 0});
}

void Builder::end_level() {
    const uint8_t nul = 0;
    append_bytes(&nul, 1);
    const size_t start = levels_.back().start;
    const int32_t length = static_cast<int32_t>(bytes_.size() - start);
    memcpy(bytes_.data() + start, &length, sizeof length);
    levels_.pop_back();
}

void Builder::append_bytes(const void *data, size_t size) {
    if (size > static_cast<size_t>(INT32_MAX) - bytes_.size())
        throw std::length_error("a BSON document cannot be larger than 2 GB");
    const uint8_t *bytes = static_cast<const uint8_t *>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
}

void Builder::append_length(size_t length) {
    if (length > static_cast<size_t>(INT32_MAX))
        throw std::length_error("a BSON document cannot be larger than 2 GB");
    append_int(static_cast<int32_t>(length));
}

void Builder::append_cstring(std::string_view text) {
    const uint8_t nul = 0;
    append_bytes(text.data(), text.size());
    append_bytes(&nul, 1);
}

void Builder::append_text(std::string_view text) {
    append_length(text.size() + 1);
    append_cstring(text);
}

void Builder::append_key(Type type, std::string_view key) {
    refuse_nul(key, "a key");
    append_bytes(&type, 1);
    append_cstring(key);
}

void Builder::append_float64(std::string_view key, double value) {
    append_key(Type::float64, key);
    append_bytes(&value, sizeof value);
}

void Builder::append_string(std::string_view key, std::string_view value) {
    append_key(Type::string, key);
    append_text(value);
}

void Builder::append_binary(std::string_view key, uint8_t subtype, const void *data, size_t size) {
    append_key(Type::binary, key);
    const bool inner_length = subtype == old_generic_subtype;
    append_length(size + (inner_length ? 4 : 0));
    append_bytes(&subtype, 1);
    if (inner_length)
        append_length(size);
    append_bytes(data, size);
}

void Builder::append_undefined(std::string_view key) {
    append_key(Type::undefined, key);
}

void Builder::append_object_id(std::string_view key, const uint8_t bytes[12]) {
    append_key(Type::object_id, key);
    append_bytes(bytes, 12);
}

void Builder::append_bool(std::string_view key, bool value) {
    append_key(Type::boolean, key);
    const uint8_t byte = value ? 1 : 0;
    append_bytes(&byte, 1);
}

void Builder::append_date(std::string_view key, int64_t milliseconds_since_1970) {
    append_key(Type::date, key);
    append_int(milliseconds_since_1970);
}

void Builder::append_null(std::string_view key) {
    append_key(Type::null, key);
}

void Builder::append_regex(std::string_view key, std::string_view pattern, std::string_view options) {
    refuse_nul(pattern, "a regular expression");
    refuse_nul(options, "the options of a regular expression");
    append_key(Type::regex, key);
    append_cstring(pattern);
    append_cstring(options);
}

void Builder::append_db_pointer(std::string_view key, std::string_view collection, const uint8_t object_id[12]) {
    append_key(Type::db_pointer, key);
    append_text(collection);
    append_bytes(object_id, 12);
}

void Builder::append_code(std::string_view key, std::string_view code) {
    append_key(Type::code, key);
    append_text(code);
}

void Builder::append_symbol(std::string_view key, std::string_view symbol) {
    append_key(Type::symbol, key);
    append_text(symbol);
}

void Builder::append_code_with_scope(std::string_view key, std::string_view code, View scope) {
    refuse_unframed(scope);
    append_key(Type::code_with_scope, key);
    append_length(4 + 4 + code.size() + 1 + scope.size);
    append_text(code);
    append_bytes(scope.data, scope.size);
}

void Builder::append_int32(std::string_view key, int32_t value) {
    append_key(Type::int32, key);
    append_int(value);
}

void Builder::append_timestamp(std::string_view key, uint32_t seconds, uint32_t increment) {
    append_key(Type::timestamp, key);
    append_int(increment);
    append_int(seconds);
}

void Builder::append_int64(std::string_view key, int64_t value) {
    append_key(Type::int64, key);
    append_int(value);
}

void Builder::append_decimal128(std::string_view key, const uint8_t bytes[16]) {
    append_key(Type::decimal128, key);
    append_bytes(bytes, 16);
}

void Builder::append_min_key(std::string_view key) {
    append_key(Type::min_key, key);
}

void Builder::append_max_key(std::string_view key) {
    append_key(Type::max_key, key);
}

void Builder::append_document(std::string_view key, View document) {
    refuse_unframed(document);
    append_key(Type::object, key);
    append_bytes(document.data, document.size);
}

void Builder::append_array(std::string_view key, View array) {
    refuse_unframed(array);
    append_key(Type::array, key);
    append_bytes(array.data, array.size);
}

void Builder::append_value(std::string_view key, const Value &value) {
    append_key(value.type, key);
    append_bytes(value.bytes, value.size);
}

void Builder::begin_document(std::string_view key) {
    append_key(Type::object, key);
    begin_level();
}

void Builder::begin_array(std::string_view key) {
    append_key(Type::array, key);
    begin_level();
}

void Builder::end() {
    if (levels_.size() < 2)
        throw std::logic_error("no nested document or array is open");
    end_level();
}

std::string_view Builder::array_key() {
    const auto written = std::to_chars(array_key_, array_key_ + sizeof array_key_, levels_.back().next_index++);
    return {array_key_, static_cast<size_t>(written.ptr - array_key_)};
}

Document Builder::finish() {
    if (levels_.size() != 1)
        throw std::logic_error("a nested document or array is still open");
    end_level();
    Document document;
    document.swap(bytes_);
    begin_level();
    return document;
}

} // namespace mongoferry::bson

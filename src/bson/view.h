/*
 * Walking BSON bytes in place: no copy, no allocation, no trust.
 *
 * Pure C++ (no backend header, no libbson), so that unit tests and fuzzers link it alone. Everything here is POD and
 * never throws, so that it may be used from the row decoder, where a PostgreSQL error may leave at any call.
 * A document that is not well formed ends the walk with an error and the offset at which it is wrong; nothing is read
 * beyond the bytes that the view was given.
 *
 * Source of the format: the BSON specification 1.1, https://bsonspec.org/spec.html
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace mongoferry::bson {

/* Element types, by the specification's numbers. */
enum class Type : uint8_t {
    float64 = 0x01,
    string = 0x02,
    object = 0x03,
    array = 0x04,
    binary = 0x05,
    undefined = 0x06,
    object_id = 0x07,
    boolean = 0x08,
    date = 0x09,
    null = 0x0A,
    regex = 0x0B,
    db_pointer = 0x0C,
    code = 0x0D,
    symbol = 0x0E,
    code_with_scope = 0x0F,
    int32 = 0x10,
    timestamp = 0x11,
    int64 = 0x12,
    decimal128 = 0x13,
    max_key = 0x7F,
    min_key = 0xFF,
};

/* MongoDB's name of a type, as its $type operator has it ("double", "objectId", …); "unknown" for others. */
const char *type_name(Type type) noexcept;

/* Little-endian loads that need no alignment. */
inline int32_t load_int32(const uint8_t *bytes) noexcept {
    int32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}
inline int64_t load_int64(const uint8_t *bytes) noexcept {
    int64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}
inline double load_float64(const uint8_t *bytes) noexcept {
    double value;
    memcpy(&value, bytes, sizeof value);
    return value;
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "BSON is little-endian; add byte swaps for this machine");

/* A document or array as bytes, length prefix and final NUL included. size is 0 for "none". Made by as_document(),
 * or by walking; whoever makes one by hand vouches for the size. */
struct View {
    const uint8_t *data = nullptr;
    size_t size = 0;
};

/* Checks the outermost framing of a document: at least 5 bytes, its length prefix equal to size, a final NUL. */
inline bool is_framed(View document) noexcept {
    return document.size >= 5 && document.size <= INT32_MAX &&
           static_cast<uint32_t>(load_int32(document.data)) == document.size && document.data[document.size - 1] == 0;
}

/* One element's value. bytes/size are the value as in the document, after the key's NUL:
 * strings (string, code, symbol) with their length prefix and NUL; use text_of() for the characters. */
struct Value {
    Type type = Type::null;
    const uint8_t *bytes = nullptr;
    size_t size = 0;
};

/* Accessors; each is only valid for the types named, whose sizes the walk has checked. */
inline std::string_view text_of(const Value &value) noexcept { /* string, code, symbol */
    return {reinterpret_cast<const char *>(value.bytes) + 4, value.size - 5};
}
inline View document_of(const Value &value) noexcept { return {value.bytes, value.size}; } /* object, array */
struct Binary {
    uint8_t subtype;
    const uint8_t *data;
    size_t size;
};
/* binary; the inner length of the deprecated subtype 2 is taken off (checked by the walk). */
Binary binary_of(const Value &value) noexcept;
struct Regex {
    std::string_view pattern;
    std::string_view options;
};
Regex regex_of(const Value &value) noexcept; /* regex */
struct DbPointer {
    std::string_view collection;
    const uint8_t *object_id; /* 12 bytes */
};
DbPointer db_pointer_of(const Value &value) noexcept; /* db_pointer */
struct CodeWithScope {
    std::string_view code;
    View scope;
};
CodeWithScope code_with_scope_of(const Value &value) noexcept; /* code_with_scope */

/*
 * The walk over the elements of one document or array (not into nested ones).
 *
 *     Iterator iterator(document);
 *     while (iterator.next()) { iterator.key(); iterator.value(); }
 *     if (iterator.failed()) … iterator.error(), iterator.error_offset()
 *
 * Nested documents are checked for framing only; walking into them checks them in turn.
 */
class Iterator {
  public:
    explicit Iterator(View document) noexcept;
    /* Moves to the next element. False at the end or on an error. */
    bool next() noexcept;

    bool failed() const noexcept { return error_ != nullptr; }
    /* What is wrong, in words that follow "document is corrupt: ", or NULL. */
    const char *error() const noexcept { return error_; }
    /* Where, in bytes from the document's start. */
    size_t error_offset() const noexcept { return static_cast<size_t>(position_ - document_.data); }

    std::string_view key() const noexcept { return key_; }
    Type type() const noexcept { return value_.type; }
    const Value &value() const noexcept { return value_; }

  private:
    bool fail(const char *error) noexcept {
        error_ = error;
        return false;
    }
    View document_;
    const uint8_t *position_; /* the next element's type byte */
    const uint8_t *end_;      /* the document's final NUL */
    std::string_view key_{};
    Value value_{};
    const char *error_ = nullptr;
};

/* The first element with this key (of duplicate keys the first counts). False if there is none or the document is
 * corrupt before it. */
bool find(View document, std::string_view key, Value *value) noexcept;

} // namespace mongoferry::bson

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
inline View document_of(const Value &value) noexcept {
    return {value.bytes, value.size};
} /* object, array */
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

/* What the walk needs to know of a type before it looks at the value: its fixed size, or one of these. */
enum ValueSize : int8_t { size_of_text = -1, size_of_document = -2, size_of_other = -3, size_unknown = -4 };

struct ValueSizes {
    int8_t by_type[256];
    constexpr ValueSizes() noexcept : by_type() {
        for (int8_t &size : by_type)
            size = size_unknown;
        const auto set = [this](Type type, int8_t size) { by_type[static_cast<uint8_t>(type)] = size; };
        set(Type::float64, 8);
        set(Type::string, size_of_text);
        set(Type::object, size_of_document);
        set(Type::array, size_of_document);
        set(Type::binary, size_of_other);
        set(Type::undefined, 0);
        set(Type::object_id, 12);
        set(Type::boolean, 1);
        set(Type::date, 8);
        set(Type::null, 0);
        set(Type::regex, size_of_other);
        set(Type::db_pointer, size_of_other);
        set(Type::code, size_of_text);
        set(Type::symbol, size_of_text);
        set(Type::code_with_scope, size_of_other);
        set(Type::int32, 4);
        set(Type::timestamp, 8);
        set(Type::int64, 8);
        set(Type::decimal128, 16);
        set(Type::max_key, 0);
        set(Type::min_key, 0);
    }
};
inline constexpr ValueSizes value_sizes;

/*
 * The walk over the elements of one document or array (not into nested ones).
 *
 *     Iterator iterator(document);
 *     while (iterator.next()) { iterator.key(); iterator.value(); }
 *     if (iterator.failed()) … iterator.error(), iterator.error_offset()
 *
 * Nested documents are checked for framing only; walking into them checks them in turn. Text is not checked to be
 * UTF-8. next() runs for each element of each document, which is why it stands here, to be inlined.
 */
class Iterator {
public:
    explicit Iterator(View document) noexcept : document_(document), position_(document.data), end_(document.data) {
        if (!is_framed(document)) [[unlikely]] {
            error_ = "its length does not fit its bytes";
            return;
        }
        position_ += 4;
        end_ += document.size - 1;
    }

    /* Moves to the next element. False at the end or on an error. */
    bool next() noexcept {
        if (position_ >= end_)
            return false;
        const char *key = reinterpret_cast<const char *>(position_) + 1;
        const char *key_end = find_nul(key, reinterpret_cast<const char *>(end_));
        if (key_end == nullptr) [[unlikely]]
            return fail_at_key();
        const uint8_t *bytes = reinterpret_cast<const uint8_t *>(key_end) + 1;
        const size_t available = static_cast<size_t>(end_ - bytes);
        const uint8_t type = *position_;
        const int8_t fixed_size = value_sizes.by_type[type];
        size_t size;
        if (fixed_size >= 0) [[likely]] {
            size = static_cast<uint8_t>(fixed_size);
            if (size > available) [[unlikely]]
                return fail("a value reaches beyond the document's end");
            if (type == static_cast<uint8_t>(Type::boolean) && bytes[0] > 1) [[unlikely]]
                return fail("a boolean is neither 0 nor 1");
        } else if (fixed_size == size_of_text) {
            if (available < 5) [[unlikely]]
                return fail("a value reaches beyond the document's end");
            const uint32_t length = static_cast<uint32_t>(load_int32(bytes)); /* a negative one is too large */
            if (length < 1 || length > available - 4) [[unlikely]]
                return fail("the length of a string does not fit the document");
            size = static_cast<size_t>(length) + 4;
            if (bytes[size - 1] != 0) [[unlikely]]
                return fail("a string does not end with a NUL byte");
        } else if (fixed_size == size_of_document) {
            if (available < 5) [[unlikely]]
                return fail("a value reaches beyond the document's end");
            size = static_cast<uint32_t>(load_int32(bytes));
            if (size < 5 || size > available || bytes[size - 1] != 0) [[unlikely]]
                return fail("the length of a nested document does not fit");
        } else {
            if (!measure_other(type, bytes, available, &size))
                return false;
        }
        key_ = {key, static_cast<size_t>(key_end - key)};
        value_.type = static_cast<Type>(type);
        value_.bytes = bytes;
        value_.size = size;
        position_ = bytes + size;
        return true;
    }

    bool failed() const noexcept { return error_ != nullptr; }
    /* What is wrong, in words that follow "document is corrupt: ", or NULL. */
    const char *error() const noexcept { return error_; }
    /* Where the element that is wrong begins, in bytes from the document's start. */
    size_t error_offset() const noexcept { return static_cast<size_t>(position_ - document_.data); }

    std::string_view key() const noexcept { return key_; }
    Type type() const noexcept { return value_.type; }
    const Value &value() const noexcept { return value_; }

private:
    /* Most keys are short: eight bytes at a time beats the call of memchr. NULL if there is no NUL before end. */
    static const char *find_nul(const char *text, const char *end) noexcept {
        while (end - text >= 8) {
            uint64_t word;
            memcpy(&word, text, sizeof word);
            const uint64_t nul_mask = (word - 0x0101010101010101u) & ~word & 0x8080808080808080u;
            if (nul_mask != 0)
                return text + (__builtin_ctzll(nul_mask) >> 3);
            text += 8;
        }
        for (; text < end; ++text)
            if (*text == 0)
                return text;
        return nullptr;
    }
    bool fail(const char *error) noexcept {
        error_ = error;
        return false;
    }
    bool fail_at_key() noexcept;
    /* The size of a value of the rarer types, and the error for unknown ones. */
    bool measure_other(uint8_t type, const uint8_t *bytes, size_t available, size_t *size) noexcept;

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

/* What is wrong with a document or with anything inside it, down to the leaves, in words as of Iterator::error(); NULL
 * if nothing is. Nesting deeper than max_nesting levels (0: no nested document at all) counts as wrong. */
const char *find_fault(View document, int max_nesting) noexcept;

} // namespace mongoferry::bson

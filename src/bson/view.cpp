/*
 * The rarer parts of walking BSON: names of types, values with an inner structure, lookup by key.
 *
 * Source of the format: the BSON specification 1.1, https://bsonspec.org/spec.html
 */
#include "bson/view.h"

namespace mongoferry::bson {

namespace {

/* "unknown element type 0xNN" for each byte: an error's text must be static, because nothing here allocates. */
struct UnknownTypeTexts {
    char by_type[256][27];
    constexpr UnknownTypeTexts() noexcept : by_type() {
        constexpr char digits[] = "0123456789abcdef";
        for (int type = 0; type < 256; ++type) {
            char *text = by_type[type];
            for (char character : std::string_view("unknown element type 0x"))
                *text++ = character;
            *text++ = digits[type >> 4];
            *text++ = digits[type & 15];
            *text = 0;
        }
    }
};
constexpr UnknownTypeTexts unknown_type_texts;

/* A zero where a type is due is the end of the document, in the wrong place. */
const char *unknown_type_text(uint8_t type) noexcept {
    return type == 0 ? "it ends before its length says" : unknown_type_texts.by_type[type];
}

constexpr size_t object_id_size = 12;

/* Size of a string with its length prefix and NUL, 0 if it is malformed or does not fit. */
size_t measure_text(const uint8_t *bytes, size_t available) noexcept {
    if (available < 5)
        return 0;
    const uint32_t length = static_cast<uint32_t>(load_int32(bytes));
    if (length < 1 || length > available - 4 || bytes[3 + length] != 0)
        return 0;
    return static_cast<size_t>(length) + 4;
}

/* Size of a zero-terminated string with its NUL, 0 if it has none. */
size_t measure_cstring(const uint8_t *bytes, size_t available) noexcept {
    if (available == 0)
        return 0;
    const void *nul = memchr(bytes, 0, available);
    return nul == nullptr ? 0 : static_cast<size_t>(static_cast<const uint8_t *>(nul) - bytes) + 1;
}

const char *as_chars(const uint8_t *bytes) noexcept {
    return reinterpret_cast<const char *>(bytes);
}

} // namespace

const char *type_name(Type type) noexcept {
    switch (type) {
    case Type::float64:
        return "double";
    case Type::string:
        return "string";
    case Type::object:
        return "object";
    case Type::array:
        return "array";
    case Type::binary:
        return "binData";
    case Type::undefined:
        return "undefined";
    case Type::object_id:
        return "objectId";
    case Type::boolean:
        return "bool";
    case Type::date:
        return "date";
    case Type::null:
        return "null";
    case Type::regex:
        return "regex";
    case Type::db_pointer:
        return "dbPointer";
    case Type::code:
        return "javascript";
    case Type::symbol:
        return "symbol";
    case Type::code_with_scope:
        return "javascriptWithScope";
    case Type::int32:
        return "int";
    case Type::timestamp:
        return "timestamp";
    case Type::int64:
        return "long";
    case Type::decimal128:
        return "decimal";
    case Type::min_key:
        return "minKey";
    case Type::max_key:
        return "maxKey";
    }
    return "unknown";
}

Binary binary_of(const Value &value) noexcept {
    const uint8_t subtype = value.bytes[4];
    constexpr uint8_t old_generic = 0x02;
    const size_t header = subtype == old_generic ? 9 : 5;
    return {subtype, value.bytes + header, value.size - header};
}

Regex regex_of(const Value &value) noexcept {
    const std::string_view pattern(as_chars(value.bytes));
    return {pattern, std::string_view(as_chars(value.bytes) + pattern.size() + 1)};
}

DbPointer db_pointer_of(const Value &value) noexcept {
    const size_t text_size = value.size - object_id_size;
    return {{as_chars(value.bytes) + 4, text_size - 5}, value.bytes + text_size};
}

CodeWithScope code_with_scope_of(const Value &value) noexcept {
    const size_t length = static_cast<uint32_t>(load_int32(value.bytes + 4));
    const size_t scope_at = 8 + length;
    return {{as_chars(value.bytes) + 8, length - 1}, {value.bytes + scope_at, value.size - scope_at}};
}

bool Iterator::fail_at_key() noexcept {
    return fail(value_sizes.by_type[*position_] == size_unknown ? unknown_type_text(*position_) : "a key has no end");
}

bool Iterator::measure_other(uint8_t type, const uint8_t *bytes, size_t available, size_t *size) noexcept {
    switch (static_cast<Type>(type)) {
    case Type::binary: {
        if (available < 5)
            return fail("a value reaches beyond the document's end");
        const uint32_t length = static_cast<uint32_t>(load_int32(bytes));
        if (length > INT32_MAX || length > available - 5)
            return fail("the length of a binary value does not fit the document");
        if (bytes[4] == 0x02 && (length < 4 || static_cast<uint32_t>(load_int32(bytes + 5)) != length - 4))
            return fail("the inner length of a binary value of subtype 2 does not fit its length");
        *size = static_cast<size_t>(length) + 5;
        return true;
    }
    case Type::regex: {
        const size_t pattern = measure_cstring(bytes, available);
        const size_t options = pattern == 0 ? 0 : measure_cstring(bytes + pattern, available - pattern);
        if (options == 0)
            return fail("a regular expression has no end");
        *size = pattern + options;
        return true;
    }
    case Type::db_pointer: {
        const size_t text = measure_text(bytes, available);
        if (text == 0 || available - text < object_id_size)
            return fail("the length of a DBPointer's namespace does not fit the document");
        *size = text + object_id_size;
        return true;
    }
    case Type::code_with_scope: {
        constexpr size_t smallest = 4 + 5 + 5; /* total length, empty code, empty scope */
        if (available < smallest)
            return fail("a value reaches beyond the document's end");
        const size_t total = static_cast<uint32_t>(load_int32(bytes));
        if (total < smallest || total > available)
            return fail("the length of a code with scope does not fit the document");
        const size_t text = measure_text(bytes + 4, total - 4);
        if (text == 0 || !is_framed({bytes + 4 + text, total - 4 - text}))
            return fail("the lengths inside a code with scope do not fit its length");
        *size = total;
        return true;
    }
    default:
        return fail(unknown_type_text(type));
    }
}

bool find(View document, std::string_view key, Value *value) noexcept {
    Iterator iterator(document);
    while (iterator.next())
        if (iterator.key() == key) {
            *value = iterator.value();
            return true;
        }
    return false;
}

const char *find_fault(View document, int max_nesting) noexcept {
    if (max_nesting < 0)
        return "its documents are nested too deeply";
    Iterator iterator(document);
    while (iterator.next()) {
        View nested;
        if (iterator.type() == Type::object || iterator.type() == Type::array)
            nested = document_of(iterator.value());
        else if (iterator.type() == Type::code_with_scope)
            nested = code_with_scope_of(iterator.value()).scope;
        else
            continue;
        if (const char *fault = find_fault(nested, max_nesting - 1))
            return fault;
    }
    return iterator.error();
}

} // namespace mongoferry::bson

/*
 * See jsonb.h. The storage form of jsonb is written directly, as utils/jsonb.h describes it and jsonb_util.c's
 * convertToJsonb() produces it: byte for byte what reading the Extended JSON text would give, without a tree in
 * between.
 *
 * An object's elements are collected first (they come in any order and may repeat), sorted as jsonb wants keys, and
 * then written one after the other; nested ones recurse, at most max_nesting levels. Numbers go in as numeric_writer.h
 * makes them.
 */
#include "bson/jsonb.h"

#include "bson/ascii.h"
#include "bson/base64.h"
#include "bson/extended_json_text.h"
#include "bson/jsonb_keys.h"
#include "bson/numeric_writer.h"
#include "bson/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

extern "C" {
#include "utils/jsonb.h"
}

namespace mongoferry::bson {

namespace {

constexpr uint32_t first_entries = 32;

struct Writer {
    const ConversionOptions *options;
    ConversionError *error;
    char *buffer; /* the varlena; JEntries and numerics are aligned relative to its start */
    size_t length;
    size_t capacity;
    /* A stack: each open level has its entries at the end. */
    JsonbEntry *entries;
    uint32_t entry_count;
    uint32_t entry_capacity;
    const char *error_path; /* where a text was refused, from the innermost field outwards; or NULL */
    JsonbEntry first[first_entries];
};

/* A container that is being written. */
struct Container {
    size_t start = 0;   /* before its padding, which counts as its data */
    size_t entries = 0; /* where the next JEntry goes */
    uint32_t index = 0;
    uint32_t total = 0; /* data bytes of its entries */
};

/* ---- errors ---- */

bool fail(Writer *writer, int sqlstate, const char *message) {
    writer->error->sqlstate = sqlstate;
    writer->error->message = message;
    return false;
}

/* jsonb keeps lengths in 28 bits, and a value is at most 1 GB; both end here. */
[[gnu::cold]] bool fail_size(Writer *writer) {
    return fail(writer, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "is larger than an object or array in jsonb can be");
}

[[gnu::cold]] bool fail_nesting(Writer *writer) {
    return fail(writer, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                psprintf("has objects and arrays nested more than %d levels deep", max_nesting));
}

[[gnu::cold]] bool fail_corrupt(Writer *writer, const char *message) {
    return fail(writer, ERRCODE_DATA_CORRUPTED, message);
}

/* Notes on the way out in which field a text was refused. The key may be anything: what is not plain ASCII becomes '?'.
 */
[[gnu::cold]] void note_field(Writer *writer, const JsonbEntry &entry, uint32_t index) {
    constexpr int longest = 200;
    if (ERRCODE_TO_CATEGORY(writer->error->sqlstate) != ERRCODE_DATA_EXCEPTION)
        return;
    StringInfoData path;
    initStringInfo(&path);
    if (entry.key) {
        for (uint32_t i = 0; i < entry.key_size && i < longest; ++i)
            appendStringInfoChar(&path, entry.key[i] >= ' ' && entry.key[i] <= '~' ? entry.key[i] : '?');
    } else {
        appendStringInfo(&path, "%u", index);
    }
    if (writer->error_path)
        appendStringInfo(&path, ".%s", strlen(writer->error_path) < longest ? writer->error_path : "...");
    writer->error_path = path.data;
}

/* ---- space ---- */

[[gnu::noinline]] bool grow(Writer *writer, size_t size) {
    if (size > MaxAllocSize - writer->length)
        return fail_size(writer);
    const size_t wanted = std::max(writer->length + size, writer->capacity * 2);
    writer->capacity = std::min(wanted, static_cast<size_t>(MaxAllocSize));
    writer->buffer = static_cast<char *>(repalloc(writer->buffer, writer->capacity));
    return true;
}

inline bool reserve(Writer *writer, size_t size) {
    return writer->capacity - writer->length >= size || grow(writer, size);
}

/* Fills up to the next multiple of four. The caller has reserved it. */
inline void pad(Writer *writer) {
    while (writer->length % sizeof(uint32_t) != 0)
        writer->buffer[writer->length++] = '\0';
}

inline void put_word(Writer *writer, size_t at, uint32_t word) {
    memcpy(writer->buffer + at, &word, sizeof word);
}

[[gnu::noinline]] void grow_entries(Writer *writer) {
    const uint32_t capacity = writer->entry_capacity * 2;
    if (writer->entries == writer->first) {
        writer->entries = static_cast<JsonbEntry *>(palloc(capacity * sizeof(JsonbEntry)));
        memcpy(writer->entries, writer->first, sizeof writer->first);
    } else {
        writer->entries = static_cast<JsonbEntry *>(repalloc_huge(writer->entries, capacity * sizeof(JsonbEntry)));
    }
    writer->entry_capacity = capacity;
}

inline JsonbEntry *new_entry(Writer *writer) {
    if (writer->entry_count == writer->entry_capacity)
        grow_entries(writer);
    return writer->entries + writer->entry_count++;
}

/* ---- containers ---- */

/* Begins a container; flags are JB_FOBJECT or JB_FARRAY and such; children is the number of JEntries. */
inline bool open_container(Writer *writer, Container *container, uint32_t flags, uint32_t count, uint32_t children) {
    const size_t head = sizeof(uint32_t) + static_cast<size_t>(children) * sizeof(JEntry);
    if (count > JB_CMASK)
        return fail_size(writer);
    if (!reserve(writer, head + sizeof(uint32_t)))
        return false;
    container->start = writer->length;
    pad(writer);
    put_word(writer, writer->length, flags | count);
    container->entries = writer->length + sizeof(uint32_t);
    writer->length += head;
    return true;
}

/* Notes a child whose data has just been written; entry is its type and the length of its data. */
inline bool add_child(Writer *writer, Container *container, JEntry entry) {
    container->total += JBE_OFFLENFLD(entry);
    if (container->total > JENTRY_OFFLENMASK)
        return fail_size(writer);
    /* Every so many entries it is the offset that is stored, so that finding one does not add up all lengths. */
    if (container->index % JB_OFFSET_STRIDE == 0)
        entry = (entry & JENTRY_TYPEMASK) | container->total | JENTRY_HAS_OFF;
    put_word(writer, container->entries, entry);
    container->entries += sizeof(JEntry);
    ++container->index;
    return true;
}

inline bool close_container(Writer *writer, const Container &container, JEntry *entry) {
    const size_t size = writer->length - container.start;
    if (size > JENTRY_OFFLENMASK)
        return fail_size(writer);
    *entry = JENTRY_ISCONTAINER | static_cast<uint32_t>(size);
    return true;
}

/* ---- scalars ---- */

/* memcpy for what is mostly short. */
inline void copy_bytes(char *to, const char *from, size_t size) {
    const auto copy_ends = [&](auto word) {
        decltype(word) last;
        memcpy(&word, from, sizeof word);
        memcpy(&last, from + size - sizeof last, sizeof last);
        memcpy(to, &word, sizeof word);
        memcpy(to + size - sizeof last, &last, sizeof last);
    };
    if (size > 2 * sizeof(uint64_t))
        memcpy(to, from, size);
    else if (size >= sizeof(uint64_t))
        copy_ends(uint64_t{});
    else if (size >= sizeof(uint32_t))
        copy_ends(uint32_t{});
    else
        for (size_t i = 0; i < size; ++i)
            to[i] = from[i];
}

/* Text that is known to be ASCII without NUL: keys and values of our own making. */
inline bool put_ascii(Writer *writer, const char *characters, size_t size, JEntry *entry) {
    if (!reserve(writer, size))
        return false;
    copy_bytes(writer->buffer + writer->length, characters, size);
    writer->length += size;
    *entry = JENTRY_ISSTRING | static_cast<uint32_t>(size);
    return true;
}

inline bool put_ascii(Writer *writer, std::string_view text, JEntry *entry) {
    return put_ascii(writer, text.data(), text.size(), entry);
}

inline bool server_text_of(Writer *writer, std::string_view text, ServerText *result) {
    if (is_plain_ascii(text.data(), text.size())) {
        *result = {text.data(), text.size()};
        return true;
    }
    *result = server_text(text, writer->options->on_nul, writer->error);
    return writer->error->message == nullptr;
}

bool put_text(Writer *writer, std::string_view text, JEntry *entry) {
    ServerText converted;
    if (!server_text_of(writer, text, &converted))
        return false;
    if (converted.size > JENTRY_OFFLENMASK)
        return fail_size(writer);
    return put_ascii(writer, converted.data, converted.size, entry);
}

inline bool reserve_numeric(Writer *writer, size_t *start) {
    *start = writer->length;
    if (!reserve(writer, sizeof(uint32_t) + numeric_buffer_size))
        return false;
    pad(writer);
    return true;
}

inline JEntry numeric_written(Writer *writer, size_t start, size_t size) {
    writer->length += size;
    return JENTRY_ISNUMERIC | static_cast<uint32_t>(writer->length - start);
}

bool put_int64(Writer *writer, int64_t value, JEntry *entry) {
    size_t start;
    if (!reserve_numeric(writer, &start))
        return false;
    *entry = numeric_written(writer, start, write_numeric_int64(value, writer->buffer + writer->length));
    return true;
}

bool put_float64(Writer *writer, double value, JEntry *entry) {
    size_t start;
    if (!reserve_numeric(writer, &start))
        return false;
    *entry = numeric_written(writer, start, write_numeric_float64(value, writer->buffer + writer->length));
    return true;
}

bool put_base64(Writer *writer, const uint8_t *data, size_t size, JEntry *entry) {
    const size_t encoded_size = base64_size(size);
    if (encoded_size > JENTRY_OFFLENMASK)
        return fail_size(writer);
    if (!reserve(writer, encoded_size))
        return false;
    write_base64(data, size, writer->buffer + writer->length);
    writer->length += encoded_size;
    *entry = JENTRY_ISSTRING | static_cast<uint32_t>(encoded_size);
    return true;
}

/* ---- the wrappers of Extended JSON: objects of one or two keys ---- */

/* An object of one key; put_value(JEntry *) writes its value. */
template <typename PutValue>
inline bool put_wrapper(Writer *writer, std::string_view key, JEntry *entry, PutValue put_value) {
    Container object;
    JEntry child;
    return open_container(writer, &object, JB_FOBJECT, 1, 2) && put_ascii(writer, key, &child) &&
           add_child(writer, &object, child) && put_value(&child) && add_child(writer, &object, child) &&
           close_container(writer, object, entry);
}

/* An object of two keys, given in jsonb's order: the shorter one first. */
template <typename PutFirst, typename PutSecond>
inline bool put_wrapper(Writer *writer, std::string_view first_key, std::string_view second_key, JEntry *entry,
                        PutFirst put_first, PutSecond put_second) {
    Container object;
    JEntry child;
    return open_container(writer, &object, JB_FOBJECT, 2, 4) && put_ascii(writer, first_key, &child) &&
           add_child(writer, &object, child) && put_ascii(writer, second_key, &child) &&
           add_child(writer, &object, child) && put_first(&child) && add_child(writer, &object, child) &&
           put_second(&child) && add_child(writer, &object, child) && close_container(writer, object, entry);
}

bool put_wrapped_text(Writer *writer, std::string_view key, std::string_view text, JEntry *entry) {
    return put_wrapper(writer, key, entry, [&](JEntry *child) { return put_text(writer, text, child); });
}

bool put_wrapped_int64(Writer *writer, std::string_view key, int64_t value, JEntry *entry) {
    char digits[24];
    const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, value);
    return put_wrapper(writer, key, entry, [&](JEntry *child) {
        return put_ascii(writer, digits, static_cast<size_t>(end.ptr - digits), child);
    });
}

bool put_wrapped_float64(Writer *writer, double value, JEntry *entry) {
    char digits[number_text_size];
    const size_t size = write_json_float64(value, digits);
    return put_wrapper(writer, "$numberDouble", entry,
                       [&](JEntry *child) { return put_ascii(writer, digits, size, child); });
}

bool put_object_id(Writer *writer, const uint8_t bytes[12], JEntry *entry) {
    char digits[24];
    write_object_id(bytes, digits);
    return put_wrapper(writer, "$oid", entry,
                       [&](JEntry *child) { return put_ascii(writer, digits, sizeof digits, child); });
}

bool put_date(Writer *writer, int64_t milliseconds, JEntry *entry) {
    char date[number_text_size];
    const size_t size =
        writer->options->json_format == JsonFormat::relaxed ? write_relaxed_date(milliseconds, date) : 0;
    return put_wrapper(writer, "$date", entry, [&](JEntry *child) {
        return size > 0 ? put_ascii(writer, date, size, child)
                        : put_wrapped_int64(writer, "$numberLong", milliseconds, child);
    });
}

bool put_binary(Writer *writer, const Value &value, JEntry *entry) {
    const Binary binary = binary_of(value);
    char subtype[2];
    write_subtype(binary.subtype, subtype);
    return put_wrapper(writer, "$binary", entry, [&](JEntry *child) {
        return put_wrapper(
            writer, "base64", "subType", child,
            [&](JEntry *grandchild) { return put_base64(writer, binary.data, binary.size, grandchild); },
            [&](JEntry *grandchild) { return put_ascii(writer, subtype, sizeof subtype, grandchild); });
    });
}

bool put_regex(Writer *writer, const Regex &regex, JEntry *entry) {
    char sorted[128]; /* MongoDB knows six options; a longer text is none of its own and stays as it is */
    std::string_view options = regex.options;
    if (options.size() <= sizeof sorted) {
        write_regex_options(options, sorted);
        options = {sorted, options.size()};
    }
    return put_wrapper(writer, "$regularExpression", entry, [&](JEntry *child) {
        return put_wrapper(
            writer, "options", "pattern", child,
            [&](JEntry *grandchild) { return put_text(writer, options, grandchild); },
            [&](JEntry *grandchild) { return put_text(writer, regex.pattern, grandchild); });
    });
}

/* ---- any value ---- */

bool put_object(Writer *writer, View document, int level, JEntry *entry);
bool put_array(Writer *writer, View array, int level, JEntry *entry);

/* Writes a value's data and gives its JEntry. level is the number of objects and arrays around it. */
bool put_value(Writer *writer, const Value &value, int level, JEntry *entry) {
    const bool canonical = writer->options->json_format == JsonFormat::canonical;
    switch (value.type) {
    case Type::string:
        return put_text(writer, text_of(value), entry);
    case Type::int32: {
        const int32_t number = load_int32(value.bytes);
        return canonical ? put_wrapped_int64(writer, "$numberInt", number, entry) : put_int64(writer, number, entry);
    }
    case Type::int64: {
        const int64_t number = load_int64(value.bytes);
        return canonical ? put_wrapped_int64(writer, "$numberLong", number, entry) : put_int64(writer, number, entry);
    }
    case Type::float64: {
        const double number = load_float64(value.bytes);
        return canonical || !std::isfinite(number) ? put_wrapped_float64(writer, number, entry)
                                                   : put_float64(writer, number, entry);
    }
    case Type::boolean:
        *entry = value.bytes[0] ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
        return true;
    case Type::null:
        *entry = JENTRY_ISNULL;
        return true;
    case Type::object_id:
        return put_object_id(writer, value.bytes, entry);
    case Type::date:
        return put_date(writer, load_int64(value.bytes), entry);
    case Type::object:
        return put_object(writer, document_of(value), level + 1, entry);
    case Type::array:
        return put_array(writer, document_of(value), level + 1, entry);
    case Type::decimal128: {
        char digits[number_text_size];
        const size_t size = write_decimal128(value.bytes, digits);
        return put_wrapper(writer, "$numberDecimal", entry,
                           [&](JEntry *child) { return put_ascii(writer, digits, size, child); });
    }
    case Type::binary:
        return put_binary(writer, value, entry);
    case Type::timestamp: {
        const uint64_t both = static_cast<uint64_t>(load_int64(value.bytes));
        return put_wrapper(writer, "$timestamp", entry, [&](JEntry *child) {
            return put_wrapper(
                writer, "i", "t", child,
                [&](JEntry *grandchild) { return put_int64(writer, static_cast<uint32_t>(both), grandchild); },
                [&](JEntry *grandchild) { return put_int64(writer, static_cast<uint32_t>(both >> 32), grandchild); });
        });
    }
    case Type::regex:
        return put_regex(writer, regex_of(value), entry);
    case Type::code:
        return put_wrapped_text(writer, "$code", text_of(value), entry);
    case Type::symbol:
        return put_wrapped_text(writer, "$symbol", text_of(value), entry);
    case Type::code_with_scope: {
        const CodeWithScope code = code_with_scope_of(value);
        return put_wrapper(
            writer, "$code", "$scope", entry, [&](JEntry *child) { return put_text(writer, code.code, child); },
            [&](JEntry *child) { return put_object(writer, code.scope, level + 1, child); });
    }
    case Type::db_pointer: {
        const DbPointer pointer = db_pointer_of(value);
        return put_wrapper(writer, "$dbPointer", entry, [&](JEntry *child) {
            return put_wrapper(
                writer, "$id", "$ref", child,
                [&](JEntry *grandchild) { return put_object_id(writer, pointer.object_id, grandchild); },
                [&](JEntry *grandchild) { return put_text(writer, pointer.collection, grandchild); });
        });
    }
    case Type::undefined:
        return put_wrapper(writer, "$undefined", entry, [](JEntry *child) {
            *child = JENTRY_ISBOOL_TRUE;
            return true;
        });
    case Type::min_key:
        return put_wrapper(writer, "$minKey", entry, [&](JEntry *child) { return put_int64(writer, 1, child); });
    case Type::max_key:
        return put_wrapper(writer, "$maxKey", entry, [&](JEntry *child) { return put_int64(writer, 1, child); });
    }
    return fail_corrupt(writer, "unknown element type");
}

/* Puts the values of the entries from base into their container, and takes the entries off the stack. */
bool put_values(Writer *writer, Container *container, uint32_t base, uint32_t count, int level) {
    for (uint32_t i = 0; i < count; ++i) {
        JEntry child;
        const Value value = writer->entries[base + i].value(); /* a copy: the stack may move */
        if (!put_value(writer, value, level, &child)) {
            note_field(writer, writer->entries[base + i], i);
            return false;
        }
        if (!add_child(writer, container, child))
            return false;
    }
    writer->entry_count = base;
    return true;
}

bool put_array(Writer *writer, View array, int level, JEntry *entry) {
    if (level > max_nesting)
        return fail_nesting(writer);
    const uint32_t base = writer->entry_count;
    Iterator iterator(array);
    while (iterator.next()) {
        JsonbEntry *element = new_entry(writer);
        element->key = nullptr;
        element->set_value(iterator.value());
    }
    if (iterator.failed())
        return fail_corrupt(writer, iterator.error());

    const uint32_t count = writer->entry_count - base;
    Container container;
    if (!open_container(writer, &container, JB_FARRAY, count, count))
        return false;
    return put_values(writer, &container, base, count, level) && close_container(writer, container, entry);
}

bool put_object(Writer *writer, View document, int level, JEntry *entry) {
    if (level > max_nesting)
        return fail_nesting(writer);
    const uint32_t base = writer->entry_count;
    Iterator iterator(document);
    while (iterator.next()) {
        JsonbEntry *element = new_entry(writer);
        ServerText key;
        if (!server_text_of(writer, iterator.key(), &key)) {
            element->key = iterator.key().data();
            element->key_size = static_cast<uint32_t>(iterator.key().size());
            note_field(writer, *element, 0);
            writer->error->message = psprintf("has a name that %s", writer->error->message);
            return false;
        }
        element->key = key.data;
        element->key_size = static_cast<uint32_t>(key.size);
        element->order = jsonb_key_order(key.data, element->key_size);
        element->set_value(iterator.value());
    }
    if (iterator.failed())
        return fail_corrupt(writer, iterator.error());

    const uint32_t count = arrange_jsonb_keys(writer->entries + base, writer->entry_count - base);
    writer->entry_count = base + count;

    Container container;
    if (!open_container(writer, &container, JB_FOBJECT, count, count * 2))
        return false;
    for (uint32_t i = 0; i < count; ++i) {
        JEntry child;
        const JsonbEntry &element = writer->entries[base + i];
        if (element.key_size > JENTRY_OFFLENMASK)
            return fail_size(writer);
        if (!put_ascii(writer, element.key, element.key_size, &child) || !add_child(writer, &container, child))
            return false;
    }
    return put_values(writer, &container, base, count, level) && close_container(writer, container, entry);
}

/* Whether a value becomes an object or array, and so the root itself, or a scalar, which jsonb puts into an array. */
bool becomes_container(const Value &value, JsonFormat format) {
    switch (value.type) {
    case Type::string:
    case Type::boolean:
    case Type::null:
        return false;
    case Type::int32:
    case Type::int64:
        return format == JsonFormat::canonical;
    case Type::float64:
        return format == JsonFormat::canonical || !std::isfinite(load_float64(value.bytes));
    default:
        return true;
    }
}

bool put_root(Writer *writer, const Value &value) {
    JEntry entry;
    if (becomes_container(value, writer->options->json_format))
        return put_value(writer, value, 0, &entry);
    Container scalar;
    return open_container(writer, &scalar, JB_FARRAY | JB_FSCALAR, 1, 1) && put_value(writer, value, 0, &entry) &&
           add_child(writer, &scalar, entry) && close_container(writer, scalar, &entry);
}

} // namespace

Datum jsonb_from_value(const Value &value, const ConversionOptions &options, ConversionError *error) {
    Writer writer;
    writer.options = &options;
    writer.error = error;
    writer.length = VARHDRSZ;
    writer.capacity = std::min(value.size * 2 + 64, static_cast<size_t>(MaxAllocSize));
    writer.buffer = static_cast<char *>(palloc(writer.capacity));
    writer.entries = writer.first;
    writer.entry_count = 0;
    writer.entry_capacity = first_entries;
    writer.error_path = nullptr;
    *error = ConversionError{};

    if (!put_root(&writer, value)) {
        if (writer.error_path)
            error->message = psprintf("has a field \"%s\" that %s", writer.error_path, error->message);
        return 0;
    }
    SET_VARSIZE(writer.buffer, writer.length);
    return PointerGetDatum(writer.buffer);
}

} // namespace mongoferry::bson

/*
 * BSON → Extended JSON: a walk that recurses into nested documents, its text gathered in a buffer on the stack.
 *
 * Source: https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md
 */
#include "bson/extended_json_writer.h"

#include "bson/base64.h"
#include "bson/extended_json_text.h"

#include <charconv>
#include <cmath>

namespace mongoferry::bson {

namespace {

/* What follows the backslash for the characters that JSON has escaped; 'u' where there is no short form. */
struct Escapes {
    char by_byte[256];
    constexpr Escapes() noexcept : by_byte() {
        for (int byte = 0; byte < 0x20; ++byte)
            by_byte[byte] = 'u';
        by_byte[static_cast<int>('\b')] = 'b';
        by_byte[static_cast<int>('\f')] = 'f';
        by_byte[static_cast<int>('\n')] = 'n';
        by_byte[static_cast<int>('\r')] = 'r';
        by_byte[static_cast<int>('\t')] = 't';
        by_byte[static_cast<int>('"')] = '"';
        by_byte[static_cast<int>('\\')] = '\\';
    }
};
constexpr Escapes escapes;

class Writer {
public:
    Writer(JsonFormat format, const TextSink &sink, const uint8_t *origin) noexcept
        : canonical_(format == JsonFormat::canonical), sink_(sink), origin_(origin) {}

    bool write_object(View document) noexcept { return write_nested(document, '{', '}', true); }
    bool write_array(View array) noexcept { return write_nested(array, '[', ']', false); }
    bool write_value(const Value &value) noexcept;

    WriteError finish() noexcept {
        flush();
        return error_;
    }

private:
    bool write_nested(View document, char open, char close, bool with_keys) noexcept;
    void write_binary(const Binary &binary) noexcept;
    void write_float64(double value) noexcept;
    void write_date(int64_t milliseconds) noexcept;

    bool fail(const char *message, const uint8_t *position) noexcept {
        error_.message = message;
        error_.offset = static_cast<size_t>(position - origin_);
        return false;
    }

    /* The buffer. */
    void flush() noexcept {
        if (used_ > 0)
            sink_.append(sink_.context, buffer_, used_);
        used_ = 0;
    }
    char *reserve(size_t size) noexcept { /* at most sizeof buffer_ */
        if (size > sizeof buffer_ - used_)
            flush();
        return buffer_ + used_;
    }
    void put(char character) noexcept {
        *reserve(1) = character;
        ++used_;
    }
    void put(std::string_view text) noexcept {
        if (text.size() > sizeof buffer_ / 2) {
            flush();
            sink_.append(sink_.context, text.data(), text.size());
            return;
        }
        memcpy(reserve(text.size()), text.data(), text.size());
        used_ += text.size();
    }
    template <typename Integer>
    void put_integer(Integer value) noexcept {
        char *start = reserve(number_text_size);
        used_ += static_cast<size_t>(std::to_chars(start, start + number_text_size, value).ptr - start);
    }
    void put_escaped(std::string_view text) noexcept;
    void put_string(std::string_view text) noexcept {
        put('"');
        put_escaped(text);
        put('"');
    }

    const bool canonical_;
    const TextSink &sink_;
    const uint8_t *const origin_;
    int depth_ = 0;
    WriteError error_;
    size_t used_ = 0;
    char buffer_[1024];
};

void Writer::put_escaped(std::string_view text) noexcept {
    const char *start = text.data();
    const char *const end = start + text.size();
    const char *position = start;
    while (position < end) {
        const uint8_t byte = static_cast<uint8_t>(*position);
        const char escape = escapes.by_byte[byte];
        if (escape == 0) [[likely]] {
            ++position;
            continue;
        }
        put(std::string_view(start, static_cast<size_t>(position - start)));
        char *out = reserve(6);
        out[0] = '\\';
        out[1] = escape;
        used_ += 2;
        if (escape == 'u') {
            out[2] = out[3] = '0';
            write_subtype(byte, out + 4);
            used_ += 4;
        }
        start = ++position;
    }
    put(std::string_view(start, static_cast<size_t>(end - start)));
}

void Writer::write_float64(double value) noexcept {
    const bool wrapped = canonical_ || !std::isfinite(value);
    if (wrapped)
        put(R"({"$numberDouble": ")");
    used_ += write_json_float64(value, reserve(number_text_size));
    if (wrapped)
        put(R"("})");
}

void Writer::write_date(int64_t milliseconds) noexcept {
    put(R"({"$date": )");
    if (!canonical_) {
        char *text = reserve(number_text_size + 1);
        const size_t size = write_relaxed_date(milliseconds, text + 1);
        if (size > 0) {
            *text = '"';
            used_ += size + 1;
            put(R"("})");
            return;
        }
    }
    put(R"({"$numberLong": ")");
    put_integer(milliseconds);
    put(R"("}})");
}

void Writer::write_binary(const Binary &binary) noexcept {
    put(R"({"$binary": {"base64": ")");
    constexpr size_t piece = sizeof buffer_ / 4 / 3 * 3;
    for (size_t done = 0; done < binary.size; done += piece) {
        const size_t size = binary.size - done < piece ? binary.size - done : piece;
        write_base64(binary.data + done, size, reserve(base64_size(size)));
        used_ += base64_size(size);
    }
    put(R"(", "subType": ")");
    write_subtype(binary.subtype, reserve(2));
    used_ += 2;
    put(R"("}})");
}

bool Writer::write_nested(View document, char open, char close, bool with_keys) noexcept {
    if (depth_ == max_nesting) {
        error_.is_too_deep = true;
        return fail("it is nested too deeply", document.data);
    }
    ++depth_;
    put(open);
    Iterator iterator(document);
    bool first = true;
    while (iterator.next()) {
        if (!first)
            put(", ");
        first = false;
        if (with_keys) {
            put_string(iterator.key());
            put(": ");
        }
        if (!write_value(iterator.value()))
            return false;
    }
    if (iterator.failed())
        return fail(iterator.error(), document.data + iterator.error_offset());
    put(close);
    --depth_;
    return true;
}

bool Writer::write_value(const Value &value) noexcept {
    switch (value.type) {
    case Type::float64:
        write_float64(load_float64(value.bytes));
        return true;
    case Type::string:
        put_string(text_of(value));
        return true;
    case Type::object:
        return write_object(document_of(value));
    case Type::array:
        return write_array(document_of(value));
    case Type::binary:
        write_binary(binary_of(value));
        return true;
    case Type::undefined:
        put(R"({"$undefined": true})");
        return true;
    case Type::object_id:
        put(R"({"$oid": ")");
        write_object_id(value.bytes, reserve(24));
        used_ += 24;
        put(R"("})");
        return true;
    case Type::boolean:
        put(value.bytes[0] != 0 ? std::string_view("true") : std::string_view("false"));
        return true;
    case Type::date:
        write_date(load_int64(value.bytes));
        return true;
    case Type::null:
        put("null");
        return true;
    case Type::regex: {
        const Regex regex = regex_of(value);
        put(R"({"$regularExpression": {"pattern": )");
        put_string(regex.pattern);
        put(R"(, "options": )");
        char sorted[128]; /* MongoDB knows six options; a longer text is none of its own and stays as it is */
        if (regex.options.size() <= sizeof sorted) {
            write_regex_options(regex.options, sorted);
            put_string({sorted, regex.options.size()});
        } else {
            put_string(regex.options);
        }
        put("}}");
        return true;
    }
    case Type::db_pointer: {
        const DbPointer pointer = db_pointer_of(value);
        put(R"({"$dbPointer": {"$ref": )");
        put_string(pointer.collection);
        put(R"(, "$id": {"$oid": ")");
        write_object_id(pointer.object_id, reserve(24));
        used_ += 24;
        put(R"("}}})");
        return true;
    }
    case Type::code:
        put(R"({"$code": )");
        put_string(text_of(value));
        put('}');
        return true;
    case Type::symbol:
        put(R"({"$symbol": )");
        put_string(text_of(value));
        put('}');
        return true;
    case Type::code_with_scope: {
        const CodeWithScope code = code_with_scope_of(value);
        put(R"({"$code": )");
        put_string(code.code);
        put(R"(, "$scope": )");
        if (!write_object(code.scope))
            return false;
        put('}');
        return true;
    }
    case Type::int32:
        if (canonical_)
            put(R"({"$numberInt": ")");
        put_integer(load_int32(value.bytes));
        if (canonical_)
            put(R"("})");
        return true;
    case Type::timestamp:
        put(R"({"$timestamp": {"t": )");
        put_integer(static_cast<uint32_t>(load_int32(value.bytes + 4)));
        put(R"(, "i": )");
        put_integer(static_cast<uint32_t>(load_int32(value.bytes)));
        put("}}");
        return true;
    case Type::int64:
        if (canonical_)
            put(R"({"$numberLong": ")");
        put_integer(load_int64(value.bytes));
        if (canonical_)
            put(R"("})");
        return true;
    case Type::decimal128:
        put(R"({"$numberDecimal": ")");
        used_ += write_decimal128(value.bytes, reserve(number_text_size));
        put(R"("})");
        return true;
    case Type::min_key:
        put(R"({"$minKey": 1})");
        return true;
    case Type::max_key:
        put(R"({"$maxKey": 1})");
        return true;
    }
    return fail("unknown element type", value.bytes);
}

} // namespace

WriteError write_document(View document, JsonFormat format, const TextSink &sink) noexcept {
    Writer writer(format, sink, document.data);
    writer.write_object(document);
    return writer.finish();
}

WriteError write_array(View array, JsonFormat format, const TextSink &sink) noexcept {
    Writer writer(format, sink, array.data);
    writer.write_array(array);
    return writer.finish();
}

WriteError write_value(const Value &value, JsonFormat format, const TextSink &sink) noexcept {
    Writer writer(format, sink, value.bytes);
    writer.write_value(value);
    return writer.finish();
}

} // namespace mongoferry::bson

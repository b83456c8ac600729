/*
 * BSON → text, varchar(n), char(n) and the string types of others: the text form of any value, as the README has it.
 * See converter.h.
 */
#include "bson/converter.h"
#include "bson/convert_json.h"
#include "bson/guarded_call.h"
#include "bson/number_text.h"
#include "bson/text.h"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace mongoferry::bson {

namespace {

Datum make_text(const char *data, size_t size) {
    text *result = static_cast<text *>(palloc(size + VARHDRSZ));
    SET_VARSIZE(result, size + VARHDRSZ);
    memcpy(VARDATA(result), data, size);
    return PointerGetDatum(result);
}

/* varchar(n) and char(n): of what is too long only spaces may go, and char(n) is padded with spaces. */
Outcome make_limited_text(const Converter &converter, Conversion &conversion, const char *data, size_t size,
                          Datum *result) {
    const int limit = converter.base_typmod - VARHDRSZ;
    const int length = pg_mbstrlen_with_len(data, static_cast<int>(size));
    if (length > limit) {
        const size_t kept = static_cast<size_t>(pg_mbcharcliplen(data, static_cast<int>(size), limit));
        for (size_t at = kept; at < size; ++at)
            if (data[at] != ' ')
                return refuse(conversion, ERRCODE_STRING_DATA_RIGHT_TRUNCATION, "is too long");
        size = kept;
    }
    if (converter.base_type != BPCHAROID || length >= limit) {
        *result = make_text(data, size);
        return Outcome::value;
    }
    const size_t padding = static_cast<size_t>(limit - length);
    text *padded = static_cast<text *>(palloc(size + padding + VARHDRSZ));
    SET_VARSIZE(padded, size + padding + VARHDRSZ);
    memcpy(VARDATA(padded), data, size);
    memset(VARDATA(padded) + size, ' ', padding);
    *result = PointerGetDatum(padded);
    return Outcome::value;
}

/* Text in the server's encoding → a value of the column's type. */
Outcome text_result(const Converter &converter, Conversion &conversion, const char *data, size_t size, Datum *result) {
    if (!converter.text_by_input && converter.base_typmod < 0) [[likely]] {
        *result = make_text(data, size);
        return Outcome::value;
    }
    if (!converter.text_by_input)
        return make_limited_text(converter, conversion, data, size, result);
    if (converter.base_type == NAMEOID && size >= NAMEDATALEN) /* its input function cuts without a word */
        return refuse(conversion, ERRCODE_STRING_DATA_RIGHT_TRUNCATION, "is too long");
    resetStringInfo(&conversion.text);
    appendBinaryStringInfo(&conversion.text, data, static_cast<int>(size));
    return call_input_function(converter, conversion, conversion.text.data, result);
}

Outcome text_from_utf8(const Converter &converter, Conversion &conversion, std::string_view utf8, Datum *result) {
    ConversionError error;
    const ServerText text = server_text(utf8, converter.options.on_nul, &error);
    if (error.message) [[unlikely]]
        return refuse(conversion, error.sqlstate, error.message, error.is_nul ? Way::on_nul : Way::other_type);
    return text_result(converter, conversion, text.data, text.size, result);
}

/* Strings, symbols, and code as its source. */
Outcome text_from_string(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    return text_from_utf8(converter, conversion, text_of(value), result);
}

Outcome text_from_int32(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    char text[number_text_size];
    return text_result(converter, conversion, text, static_cast<size_t>(pg_ltoa(load_int32(value.bytes), text)),
                       result);
}

Outcome text_from_int64(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    char text[number_text_size];
    return text_result(converter, conversion, text, static_cast<size_t>(pg_lltoa(load_int64(value.bytes), text)),
                       result);
}

Outcome text_from_float64(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    char text[number_text_size];
    return text_result(converter, conversion, text, write_float64(load_float64(value.bytes), text), result);
}

Outcome text_from_decimal128(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    char text[number_text_size];
    return text_result(converter, conversion, text, write_decimal128(value.bytes, text), result);
}

Outcome text_from_boolean(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    const std::string_view text = value.bytes[0] ? "true" : "false";
    return text_result(converter, conversion, text.data(), text.size(), result);
}

Outcome text_from_date(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    char text[number_text_size];
    return text_result(converter, conversion, text, write_iso_date(load_int64(value.bytes), text), result);
}

Outcome text_from_object_id(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    char text[24];
    write_object_id(value.bytes, text);
    return text_result(converter, conversion, text, sizeof text, result);
}

Outcome text_from_binary(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    const Binary binary = binary_of(value);
    constexpr size_t uuid_size = 16;
    if ((binary.subtype != 3 && binary.subtype != 4) || binary.size != uuid_size)
        return refuse(conversion, ERRCODE_MOST_SPECIFIC_TYPE_MISMATCH, "is binary data and no UUID");
    uint8_t uuid[uuid_size];
    if (binary.subtype == 3)
        uuid_from_legacy(binary.data, converter.options.uuid_representation, uuid);
    else
        memcpy(uuid, binary.data, uuid_size);
    char text[36];
    write_uuid(uuid, text);
    return text_result(converter, conversion, text, sizeof text, result);
}

Outcome text_from_regex(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    const Regex regex = regex_of(value);
    const size_t size = regex.pattern.size() + regex.options.size() + 2;
    char *text = static_cast<char *>(palloc(size));
    text[0] = '/';
    memcpy(text + 1, regex.pattern.data(), regex.pattern.size());
    text[1 + regex.pattern.size()] = '/';
    memcpy(text + 2 + regex.pattern.size(), regex.options.data(), regex.options.size());
    return text_from_utf8(converter, conversion, {text, size}, result);
}

/* Whatever has no text of its own. */
Outcome text_from_json(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    ServerText text;
    if (write_json_text(converter, conversion, value, &text) == Outcome::refused)
        return Outcome::refused;
    return text_result(converter, conversion, text.data, text.size, result);
}

} // namespace

void choose_text_converters(Converter *converter) {
    switch (converter->base_type) {
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
        break;
    default:
        converter->text_by_input = true;
    }
    const auto set = [converter](Type type, Convert convert) { converter->by_type[type_index(type)] = convert; };
    set(Type::float64, text_from_float64);
    set(Type::string, text_from_string);
    set(Type::object, text_from_json);
    set(Type::array, text_from_json);
    set(Type::binary, text_from_binary);
    set(Type::object_id, text_from_object_id);
    set(Type::boolean, text_from_boolean);
    set(Type::date, text_from_date);
    set(Type::regex, text_from_regex);
    set(Type::db_pointer, text_from_json);
    set(Type::code, text_from_string);
    set(Type::symbol, text_from_string);
    set(Type::code_with_scope, text_from_json);
    set(Type::int32, text_from_int32);
    set(Type::timestamp, text_from_json);
    set(Type::int64, text_from_int64);
    set(Type::decimal128, text_from_decimal128);
    set(Type::min_key, text_from_json);
    set(Type::max_key, text_from_json);
}

} // namespace mongoferry::bson

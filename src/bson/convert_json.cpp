/* BSON → json and jsonb, as Extended JSON. See converter.h and convert_json.h. */
#include "bson/convert_json.h"

#include "bson/jsonb.h"
#include "bson/string_info_sink.h"

namespace mongoferry::bson {

/* The JSON text of a document with NUL in strings or keys has them as the escape \u0000, which the json type would keep
 * and fail on later. Takes them out or replaces them, in place; false if there is one and on_nul refuses it. */
static bool settle_nul_escapes(StringInfo json, OnNul on_nul) {
    constexpr std::string_view escape = "\\u0000";
    constexpr std::string_view replacement = "\xEF\xBF\xBD";
    const char *end = json->data + json->len;
    const char *from = json->data;
    char *to = json->data;
    while (from < end) {
        const char *backslash = static_cast<const char *>(memchr(from, '\\', static_cast<size_t>(end - from)));
        const char *copied = backslash ? backslash : end;
        memmove(to, from, static_cast<size_t>(copied - from));
        to += copied - from;
        from = copied;
        if (!backslash)
            break;
        if (end - from >= static_cast<ptrdiff_t>(escape.size()) && memcmp(from, escape.data(), escape.size()) == 0) {
            if (on_nul == OnNul::error)
                return false;
            if (on_nul == OnNul::replace) {
                memcpy(to, replacement.data(), replacement.size());
                to += replacement.size();
            }
            from += escape.size();
        } else { /* the backslash and what it escapes, which may be another backslash */
            const ptrdiff_t size = Min(end - from, static_cast<ptrdiff_t>(2));
            memmove(to, from, static_cast<size_t>(size));
            to += size;
            from += size;
        }
    }
    json->len = static_cast<int>(to - json->data);
    return true;
}

Outcome write_json_text(const Converter &converter, Conversion &conversion, const Value &value, ServerText *text) {
    StringInfoData json;
    initStringInfo(&json);
    const WriteError written = write_value(value, converter.options.json_format, string_info_sink(&json));
    if (written.is_too_deep)
        return refuse(conversion, ERRCODE_DATA_EXCEPTION,
                      psprintf("has objects and arrays nested more than %d levels deep", max_nesting));
    if (written.message)
        raise_corrupt_document(conversion, value.bytes + written.offset, written.message);
    if (!settle_nul_escapes(&json, converter.options.on_nul))
        return refuse(conversion, ERRCODE_UNTRANSLATABLE_CHARACTER, contains_nul, Way::on_nul);
    ConversionError error;
    *text = server_text({json.data, static_cast<size_t>(json.len)}, OnNul::error, &error);
    if (error.message)
        return refuse(conversion, error.sqlstate, error.message);
    return Outcome::value;
}

static Outcome convert_json(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    ServerText json;
    if (write_json_text(converter, conversion, value, &json) == Outcome::refused)
        return Outcome::refused;
    *result = PointerGetDatum(cstring_to_text_with_len(json.data, static_cast<int>(json.size)));
    return Outcome::value;
}

static Outcome convert_jsonb(const Converter &converter, Conversion &conversion, const Value &value, Datum *result) {
    ConversionError error;
    *result = jsonb_from_value(value, converter.options, &error);
    if (error.message == nullptr) [[likely]]
        return Outcome::value;
    if (error.sqlstate == ERRCODE_DATA_CORRUPTED)
        raise_corrupt_document(conversion, value.bytes, error.message);
    if (ERRCODE_TO_CATEGORY(error.sqlstate) != ERRCODE_DATA_EXCEPTION) /* a limit of jsonb's: still the data's fault */
        return refuse(conversion, ERRCODE_DATA_EXCEPTION, error.message);
    return refuse(conversion, error.sqlstate, error.message, error.is_nul ? Way::on_nul : Way::other_type);
}

void choose_json_converters(Converter *converter) {
    const Convert convert = converter->base_type == JSONBOID ? convert_jsonb : convert_json;
    for (Convert &by_type : converter->by_type)
        by_type = convert;
    /* null is SQL NULL here too; undefined is kept */
    converter->by_type[type_index(Type::null)] = convert_null;
}

} // namespace mongoferry::bson

/* See text.h. */
#include "bson/text.h"

#include "bson/ascii.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "catalog/namespace.h"
}

namespace mongoferry::bson {

static ServerText refuse_text(ConversionError *error, int sqlstate, const char *message) {
    error->sqlstate = sqlstate;
    error->message = message;
    return {"", 0};
}

/* The text without its NULs, or with U+FFFD in their place; palloc'd. */
static ServerText without_nul(std::string_view text, OnNul on_nul) {
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t nul_count = 0;
    for (char character : text)
        nul_count += character == 0;
    const size_t room = on_nul == OnNul::replace ? text.size() + nul_count * 2 : text.size() - nul_count;
    char *result = static_cast<char *>(palloc(room + 1));
    char *end = result;
    for (char character : text) {
        if (character != 0)
            *end++ = character;
        else if (on_nul == OnNul::replace) {
            memcpy(end, replacement, 3); // NOLINT(bugprone-not-null-terminated-result): its size goes with it
            end += 3;
        }
    }
    return {result, static_cast<size_t>(end - result)};
}

/* Valid UTF-8 without NUL → the server's encoding. */
static ServerText to_server_encoding(ServerText text, ConversionError *error) {
    const int encoding = GetDatabaseEncoding();
    if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
        return text;
    const Oid conversion = FindDefaultConversionProc(PG_UTF8, encoding);
    if (!OidIsValid(conversion))
        return refuse_text(error, ERRCODE_UNTRANSLATABLE_CHARACTER, "cannot be converted to the database's encoding");
    const size_t room = text.size * MAX_CONVERSION_GROWTH + 1;
    unsigned char *result = static_cast<unsigned char *>(palloc_extended(room, MCXT_ALLOC_HUGE));
    unsigned char *source = reinterpret_cast<unsigned char *>(const_cast<char *>(text.data));
    const int converted =
        pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding, source, static_cast<int>(text.size), result,
                                      static_cast<int>(Min(room, static_cast<size_t>(INT_MAX))), true);
    if (converted < 0 || static_cast<size_t>(converted) != text.size)
        return refuse_text(error, ERRCODE_UNTRANSLATABLE_CHARACTER,
                           psprintf("contains a character that encoding %s does not have", GetDatabaseEncodingName()));
    return {reinterpret_cast<char *>(result), strlen(reinterpret_cast<char *>(result))};
}

ServerText server_text(std::string_view utf8, OnNul on_nul, ConversionError *error) {
    if (is_plain_ascii(utf8.data(), utf8.size())) [[likely]]
        return {utf8.data(), utf8.size()};

    ServerText text{utf8.data(), utf8.size()};
    if (memchr(text.data, 0, text.size)) {
        if (on_nul == OnNul::error) {
            error->is_nul = true;
            return refuse_text(error, ERRCODE_UNTRANSLATABLE_CHARACTER, contains_nul);
        }
        text = without_nul(utf8, on_nul);
    }
    const int valid = pg_encoding_verifymbstr(PG_UTF8, text.data, static_cast<int>(text.size));
    if (static_cast<size_t>(valid) != text.size)
        return refuse_text(error, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                           psprintf("is not valid UTF-8 at its byte %d", valid));
    return to_server_encoding(text, error);
}

} // namespace mongoferry::bson

/* See encoding.h. */
#include "pg/encoding.h"

#include "pg/guard.h"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace mongoferry {

static std::string without_foreign_letters(const std::string &text) {
    std::string result = text;
    for (char &letter : result)
        if (static_cast<unsigned char>(letter) >= 0x80)
            letter = '?';
    return result;
}

bool convert_to_server_text(const std::string &utf8, std::string *server_text) {
    if (!pg_verify_mbstr(PG_UTF8, utf8.c_str(), static_cast<int>(utf8.size()), true))
        return false;
    if (GetDatabaseEncoding() == PG_UTF8) {
        *server_text = utf8;
        return true;
    }
    try {
        *server_text = pg_guard([&] { return pg_any_to_server(utf8.c_str(), static_cast<int>(utf8.size()), PG_UTF8); });
        return true;
    } catch (const PgError &) {
        return false;
    }
}

std::string to_server_text(const std::string &utf8) {
    std::string result;
    return convert_to_server_text(utf8, &result) ? result : without_foreign_letters(utf8);
}

std::string to_valid_text(const std::string &bytes) {
    bool valid = pg_verify_mbstr(GetDatabaseEncoding(), bytes.c_str(), static_cast<int>(bytes.size()), true);
    return valid ? bytes : without_foreign_letters(bytes);
}

std::string to_utf8(const std::string &server_text) {
    if (GetDatabaseEncoding() == PG_UTF8)
        return server_text;
    return pg_guard(
        [&] { return pg_server_to_any(server_text.c_str(), static_cast<int>(server_text.size()), PG_UTF8); });
}

} // namespace mongoferry

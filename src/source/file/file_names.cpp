/* See file_names.h. */
#include "source/file/file_names.h"

namespace mongoferry::source {

namespace {

bool take_suffix(std::string_view *name, std::string_view suffix) noexcept {
    if (name->size() <= suffix.size() || !name->ends_with(suffix))
        return false;
    name->remove_suffix(suffix.size());
    return true;
}

int hexadecimal_digit(char character) noexcept {
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    return -1;
}

} // namespace

FileName split_file_name(std::string_view name) noexcept {
    FileName result;
    result.gzipped = take_suffix(&name, ".gz");
    if (take_suffix(&name, ".metadata.json"))
        result.kind = FileKind::metadata;
    else if (take_suffix(&name, ".bson"))
        result.kind = FileKind::bson;
    else if (take_suffix(&name, ".json"))
        result.kind = FileKind::json;
    result.stem = name;
    return result;
}

std::string unescape_file_name(std::string_view escaped) {
    std::string name;
    for (size_t i = 0; i < escaped.size(); ++i) {
        if (escaped[i] == '+') {
            name += ' ';
        } else if (escaped[i] != '%') {
            name += escaped[i];
        } else {
            int high = i + 2 < escaped.size() ? hexadecimal_digit(escaped[i + 1]) : -1;
            int low = i + 2 < escaped.size() ? hexadecimal_digit(escaped[i + 2]) : -1;
            if (high < 0 || low < 0)
                return std::string(escaped);
            name += static_cast<char>(high * 16 + low);
            i += 2;
        }
    }
    return name;
}

bool is_cut_file_name(std::string_view escaped) noexcept {
    constexpr size_t longest = 238, kept = 208;
    return escaped.size() == longest && escaped.substr(kept, 3) == "%24";
}

} // namespace mongoferry::source

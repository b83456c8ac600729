/*
 * Extended JSON → BSON: one pass over the text, straight into a Builder.
 *
 * Sources: RFC 8259 (JSON) and
 * https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md
 */
#include "bson/extended_json_parser.h"

#include "bson/extended_json_parser_class.h"

#include <cstring>
#include <limits>
#include <utility>

namespace mongoferry::bson {

/* A document of its own: the outermost one, or a code's scope. */
Document ExtendedJsonParser::parse_whole_document() {
    const Level level(depth_, scanner_);
    Builder outer;
    std::swap(outer, builder_);
    scanner_.expect('{', "a document is expected");
    scanner_.skip_white_space();
    if (!scanner_.skip('}')) {
        JsonText member;
        scanner_.read_key(member);
        parse_members(member);
    }
    std::swap(outer, builder_);
    return outer.finish();
}

/* The members of an object up to its closing brace; member is the first one's key, already read. */
void ExtendedJsonParser::parse_members(JsonText &member) {
    while (true) {
        if (wrapper_of(member.view()))
            scanner_.fail_at(member.offset, "the key " + std::string(member.view()) +
                                                " makes a value of its own and cannot stand in this object");
        scanner_.skip_colon();
        parse_value(member.view());
        scanner_.skip_white_space();
        if (scanner_.skip('}'))
            return;
        scanner_.expect(',', "a comma or the object's end is expected");
        scanner_.skip_white_space();
        scanner_.read_key(member);
    }
}

void ExtendedJsonParser::parse_value(std::string_view key) {
    switch (scanner_.front()) {
    case '"':
        scanner_.read_string(scratch_);
        builder_.append_string(key, scratch_.view());
        return;
    case '{':
        parse_object(key);
        return;
    case '[':
        parse_array(key);
        return;
    case 't':
        scanner_.read_word("true");
        builder_.append_bool(key, true);
        return;
    case 'f':
        scanner_.read_word("false");
        builder_.append_bool(key, false);
        return;
    case 'n':
        scanner_.read_word("null");
        builder_.append_null(key);
        return;
    case 'N':
        scanner_.read_word("NaN");
        builder_.append_float64(key, std::numeric_limits<double>::quiet_NaN());
        return;
    case 'I':
        parse_infinity(key, "Infinity");
        return;
    case '+':
        parse_infinity(key, "+Infinity");
        return;
    case '-':
        if (scanner_.next_is("-I")) {
            parse_infinity(key, "-Infinity");
            return;
        }
        parse_number(key);
        return;
    default:
        parse_number(key);
    }
}

void ExtendedJsonParser::parse_infinity(std::string_view key, std::string_view word) {
    scanner_.read_word(word);
    constexpr double infinity = std::numeric_limits<double>::infinity();
    builder_.append_float64(key, word[0] == '-' ? -infinity : infinity);
}

void ExtendedJsonParser::parse_number(std::string_view key) {
    const JsonNumber number = scanner_.read_number();
    if (number.is_integer) {
        if (number.integer >= INT32_MIN && number.integer <= INT32_MAX)
            builder_.append_int32(key, static_cast<int32_t>(number.integer));
        else
            builder_.append_int64(key, number.integer);
    } else {
        builder_.append_float64(key, number.float64);
    }
}

void ExtendedJsonParser::parse_array(std::string_view key) {
    const Level level(depth_, scanner_);
    scanner_.expect('[', "an array is expected");
    builder_.begin_array(key);
    scanner_.skip_white_space();
    if (!scanner_.skip(']')) {
        while (true) {
            char index[16]; /* the builder's own key would not outlive a nested array */
            const std::string_view counted = builder_.array_key();
            memcpy(index, counted.data(), counted.size());
            parse_value({index, counted.size()});
            scanner_.skip_white_space();
            if (scanner_.skip(']'))
                break;
            scanner_.expect(',', "a comma or the array's end is expected");
            scanner_.skip_white_space();
        }
    }
    builder_.end();
}

void ExtendedJsonParser::parse_object(std::string_view key) {
    scanner_.expect('{', "an object is expected");
    scanner_.skip_white_space();
    if (scanner_.skip('}')) {
        builder_.begin_document(key);
        builder_.end();
        return;
    }
    JsonText member;
    scanner_.read_key(member);
    if (const std::optional<Wrapper> wrapper = wrapper_of(member.view())) {
        scanner_.skip_colon();
        parse_wrapper(key, *wrapper);
        return;
    }
    if (!member.view().empty() && member.view()[0] == '$' && parse_ambiguous(key, member))
        return;
    const Level level(depth_, scanner_);
    builder_.begin_document(key);
    parse_members(member);
    builder_.end();
}

Document parse_document(std::string_view text, size_t *consumed) {
    return ExtendedJsonParser(text).parse(consumed);
}

} // namespace mongoferry::bson

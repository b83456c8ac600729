/*
 * Extended JSON's wrappers: objects that stand for a value of a type of their own.
 *
 * An object is a wrapper or a document; its first key decides, except for the keys that queries use too ($regex,
 * $options, $type, $scope), where the members after it have a say.
 *
 * Source: https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md
 */
#include "bson/base64.h"
#include "bson/extended_json_parser_class.h"
#include "bson/number_text.h"

#include <charconv>
#include <limits>
#include <utility>

namespace mongoferry::bson {

namespace {

/* A $numberDouble's text. */
bool parse_number_double(std::string_view text, double *value) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    if (text == "NaN")
        *value = std::numeric_limits<double>::quiet_NaN();
    else if (text == "Infinity")
        *value = infinity;
    else if (text == "-Infinity")
        *value = -infinity;
    else
        return parse_float64(text, value);
    return true;
}

} // namespace

std::optional<Wrapper> wrapper_of(std::string_view key) noexcept {
    if (key.empty() || key[0] != '$')
        return std::nullopt;
    static constexpr std::pair<std::string_view, Wrapper> wrappers[] = {
        {"$oid", Wrapper::object_id},
        {"$numberInt", Wrapper::number_int},
        {"$numberLong", Wrapper::number_long},
        {"$numberDouble", Wrapper::number_double},
        {"$date", Wrapper::date},
        {"$numberDecimal", Wrapper::number_decimal},
        {"$binary", Wrapper::binary},
        {"$uuid", Wrapper::uuid},
        {"$regularExpression", Wrapper::regular_expression},
        {"$timestamp", Wrapper::timestamp},
        {"$code", Wrapper::code},
        {"$symbol", Wrapper::symbol},
        {"$dbPointer", Wrapper::db_pointer},
        {"$undefined", Wrapper::undefined},
        {"$minKey", Wrapper::min_key},
        {"$maxKey", Wrapper::max_key},
    };
    for (const auto &[name, wrapper] : wrappers)
        if (key == name)
            return wrapper;
    return std::nullopt;
}

void ExtendedJsonParser::close_wrapper() {
    scanner_.skip_white_space();
    scanner_.expect('}', "an Extended JSON value has a member that does not belong to it");
}

void ExtendedJsonParser::parse_wrapper(std::string_view key, Wrapper wrapper) {
    const size_t value_offset = scanner_.offset();
    switch (wrapper) {
    case Wrapper::object_id: {
        uint8_t bytes[12];
        scanner_.read_string(scratch_, "$oid must hold a string of 24 hexadecimal digits");
        if (!parse_object_id(scratch_.view(), bytes))
            scanner_.fail_at(value_offset, "$oid must hold a string of 24 hexadecimal digits");
        builder_.append_object_id(key, bytes);
        break;
    }
    case Wrapper::number_int:
        builder_.append_int32(key, integer_in_string<int32_t>("$numberInt must hold a 32-bit integer as a string"));
        break;
    case Wrapper::number_long:
        builder_.append_int64(key, integer_in_string<int64_t>("$numberLong must hold a 64-bit integer as a string"));
        break;
    case Wrapper::number_double: {
        double value;
        scanner_.read_string(scratch_, "$numberDouble must hold a number as a string");
        if (!parse_number_double(scratch_.view(), &value))
            scanner_.fail_at(value_offset, "$numberDouble must hold a number as a string");
        builder_.append_float64(key, value);
        break;
    }
    case Wrapper::number_decimal: {
        uint8_t bytes[16];
        scanner_.read_string(scratch_, "$numberDecimal must hold a number as a string");
        if (!parse_decimal128(scratch_.view(), bytes))
            scanner_.fail_at(value_offset, "$numberDecimal must hold a number that Decimal128 can hold exactly");
        builder_.append_decimal128(key, bytes);
        break;
    }
    case Wrapper::date:
        parse_date(key);
        break;
    case Wrapper::binary:
        parse_binary(key);
        break;
    case Wrapper::uuid:
        parse_uuid(key);
        break;
    case Wrapper::regular_expression:
        parse_regular_expression(key);
        break;
    case Wrapper::timestamp:
        parse_timestamp(key);
        break;
    case Wrapper::code:
        parse_code(key);
        return; /* it has closed the object */
    case Wrapper::symbol:
        scanner_.read_string(scratch_, "$symbol must hold a string");
        builder_.append_symbol(key, scratch_.view());
        break;
    case Wrapper::db_pointer:
        parse_db_pointer(key);
        break;
    case Wrapper::undefined:
        if (scanner_.front() != 't')
            scanner_.fail("$undefined must hold true");
        scanner_.read_word("true");
        builder_.append_undefined(key);
        break;
    case Wrapper::min_key:
        parse_one("$minKey must hold 1");
        builder_.append_min_key(key);
        break;
    case Wrapper::max_key:
        parse_one("$maxKey must hold 1");
        builder_.append_max_key(key);
        break;
    }
    close_wrapper();
}

template <typename Integer>
Integer ExtendedJsonParser::integer_in_string(const char *message) {
    const size_t offset = scanner_.offset();
    scanner_.read_string(scratch_, message);
    const std::string_view text = scratch_.view();
    Integer value;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size())
        scanner_.fail_at(offset, message);
    return value;
}

void ExtendedJsonParser::parse_one(const char *message) {
    const size_t offset = scanner_.offset();
    const JsonNumber number = scanner_.read_number(message);
    if (!number.is_integer || number.integer != 1)
        scanner_.fail_at(offset, message);
}

/* An object inside a wrapper. The handler gets each key, with the scanner before the value, and tells whether it took
 * it; it counts itself what was there. */
template <typename Handler>
void ExtendedJsonParser::parse_inner_object(const char *message, Handler handle_member) {
    scanner_.expect('{', message);
    JsonText member;
    while (true) {
        scanner_.skip_white_space();
        scanner_.read_key(member, message);
        scanner_.skip_colon();
        if (!handle_member(member.view()))
            scanner_.fail_at(member.offset, message);
        scanner_.skip_white_space();
        if (scanner_.skip('}'))
            return;
        scanner_.expect(',', "a comma or the object's end is expected");
    }
}

/* {"$date": "2024-02-29T12:00:00Z"}, {"$date": {"$numberLong": "1709208000000"}}, and the old {"$date": 1709208000000}
 */
void ExtendedJsonParser::parse_date(std::string_view key) {
    constexpr const char *message = "$date must hold a time in ISO 8601 form, or $numberLong";
    const size_t offset = scanner_.offset();
    int64_t milliseconds = 0;
    switch (scanner_.front()) {
    case '"':
        scanner_.read_string(scratch_);
        if (!parse_iso_date(scratch_.view(), &milliseconds))
            scanner_.fail_at(offset, message);
        break;
    case '{': {
        bool found = false;
        parse_inner_object(message, [&](std::string_view member) {
            if (member != "$numberLong" || std::exchange(found, true))
                return false;
            milliseconds = integer_in_string<int64_t>("$numberLong must hold a 64-bit integer as a string");
            return true;
        });
        break;
    }
    default: {
        const JsonNumber number = scanner_.read_number(message);
        if (!number.is_integer)
            scanner_.fail_at(offset, message);
        milliseconds = number.integer;
    }
    }
    builder_.append_date(key, milliseconds);
}

void ExtendedJsonParser::append_binary(std::string_view key, const JsonText &base64, const JsonText &subtype) {
    const std::string_view digits = subtype.view();
    uint8_t subtype_value = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), subtype_value, 16);
    if (digits.empty() || digits.size() > 2 || read.ec != std::errc() || read.ptr != digits.data() + digits.size())
        scanner_.fail_at(subtype.offset, "the subtype of $binary must be one or two hexadecimal digits");
    std::vector<uint8_t> bytes;
    if (!parse_base64(base64.view(), &bytes))
        scanner_.fail_at(base64.offset, "the data of $binary must be base64");
    builder_.append_binary(key, subtype_value, bytes.data(), bytes.size());
}

/* {"$binary": {"base64": "…", "subType": "00"}}, and the old {"$binary": "…", "$type": "00"} */
void ExtendedJsonParser::parse_binary(std::string_view key) {
    constexpr const char *message = "$binary must hold base64 and subType";
    const size_t offset = scanner_.offset();
    JsonText base64;
    JsonText subtype;
    if (scanner_.front() == '"') {
        scanner_.read_string(base64);
        scanner_.skip_white_space();
        if (!parse_second_string("$type", subtype))
            scanner_.fail_at(offset, "$binary with a string needs $type beside it");
    } else {
        bool have_base64 = false;
        bool have_subtype = false;
        parse_inner_object(message, [&](std::string_view member) {
            if (member == "base64" && !std::exchange(have_base64, true)) {
                scanner_.read_string(base64, "base64 must hold a string");
                return true;
            }
            if (member == "subType" && !std::exchange(have_subtype, true)) {
                scanner_.read_string(subtype, "subType must hold a string");
                return true;
            }
            return false;
        });
        if (!have_base64 || !have_subtype)
            scanner_.fail_at(offset, message);
    }
    append_binary(key, base64, subtype);
}

void ExtendedJsonParser::parse_uuid(std::string_view key) {
    constexpr uint8_t uuid_subtype = 4;
    constexpr const char *message = "$uuid must hold a UUID of 36 characters";
    const size_t offset = scanner_.offset();
    uint8_t bytes[16];
    scanner_.read_string(scratch_, message);
    if (!bson::parse_uuid(scratch_.view(), bytes))
        scanner_.fail_at(offset, message);
    builder_.append_binary(key, uuid_subtype, bytes, sizeof bytes);
}

void ExtendedJsonParser::append_regex(std::string_view key, const JsonText &pattern, const JsonText &options) {
    for (const JsonText *text : {&pattern, &options})
        if (text->view().find('\0') != std::string_view::npos)
            scanner_.fail_at(text->offset, "a regular expression must not contain U+0000");
    builder_.append_regex(key, pattern.view(), options.view());
}

void ExtendedJsonParser::parse_regular_expression(std::string_view key) {
    constexpr const char *message = "$regularExpression must hold pattern and options";
    const size_t offset = scanner_.offset();
    JsonText pattern;
    JsonText options;
    bool have_pattern = false;
    bool have_options = false;
    parse_inner_object(message, [&](std::string_view member) {
        if (member == "pattern" && !std::exchange(have_pattern, true)) {
            scanner_.read_string(pattern, "pattern must hold a string");
            return true;
        }
        if (member == "options" && !std::exchange(have_options, true)) {
            scanner_.read_string(options, "options must hold a string");
            return true;
        }
        return false;
    });
    if (!have_pattern || !have_options)
        scanner_.fail_at(offset, message);
    append_regex(key, pattern, options);
}

uint32_t ExtendedJsonParser::parse_uint32(const char *message) {
    const size_t offset = scanner_.offset();
    const JsonNumber number = scanner_.read_number(message);
    if (!number.is_integer || number.integer < 0 || number.integer > UINT32_MAX)
        scanner_.fail_at(offset, message);
    return static_cast<uint32_t>(number.integer);
}

void ExtendedJsonParser::parse_timestamp(std::string_view key) {
    constexpr const char *message = "$timestamp must hold t and i, two unsigned 32-bit integers";
    const size_t offset = scanner_.offset();
    std::optional<uint32_t> seconds;
    std::optional<uint32_t> increment;
    parse_inner_object(message, [&](std::string_view member) {
        std::optional<uint32_t> &part = member == "t" ? seconds : increment;
        if ((member != "t" && member != "i") || part)
            return false;
        part = parse_uint32(message);
        return true;
    });
    if (!seconds || !increment)
        scanner_.fail_at(offset, message);
    builder_.append_timestamp(key, *seconds, *increment);
}

void ExtendedJsonParser::parse_db_pointer(std::string_view key) {
    constexpr const char *message = "$dbPointer must hold $ref and $id";
    const size_t offset = scanner_.offset();
    JsonText collection;
    bool have_collection = false;
    uint8_t object_id[12];
    bool have_id = false;
    parse_inner_object(message, [&](std::string_view member) {
        if (member == "$ref" && !std::exchange(have_collection, true)) {
            scanner_.read_string(collection, "$ref must hold a string");
            return true;
        }
        if (member == "$id" && !std::exchange(have_id, true)) {
            constexpr const char *id_message = "the $id of $dbPointer must hold $oid";
            const size_t id_offset = scanner_.offset();
            bool have_oid = false;
            parse_inner_object(id_message, [&](std::string_view inner) {
                if (inner != "$oid" || std::exchange(have_oid, true))
                    return false;
                scanner_.read_string(scratch_, id_message);
                return true;
            });
            if (!parse_object_id(scratch_.view(), object_id))
                scanner_.fail_at(id_offset, "$oid must hold a string of 24 hexadecimal digits");
            return true;
        }
        return false;
    });
    if (!have_collection || !have_id)
        scanner_.fail_at(offset, message);
    builder_.append_db_pointer(key, collection.view(), object_id);
}

/* {"$code": "…"} and {"$code": "…", "$scope": {…}}, with the closing brace. */
void ExtendedJsonParser::parse_code(std::string_view key) {
    JsonText code;
    scanner_.read_string(code, "$code must hold a string");
    scanner_.skip_white_space();
    if (!scanner_.skip(',')) {
        close_wrapper();
        builder_.append_code(key, code.view());
        return;
    }
    scanner_.skip_white_space();
    JsonText member;
    scanner_.read_key(member);
    if (member.view() != "$scope")
        scanner_.fail_at(member.offset, "an Extended JSON value has a member that does not belong to it");
    scanner_.skip_colon();
    const Document scope = parse_whole_document();
    close_wrapper();
    builder_.append_code_with_scope(key, code.view(), view_of(scope));
}

/* Behind a value: whether `, "name": "…"` follows. If not, the scanner may stand anywhere behind the value. */
bool ExtendedJsonParser::parse_second_string(std::string_view name, JsonText &value) {
    scanner_.skip_white_space();
    if (!scanner_.skip(','))
        return false;
    scanner_.skip_white_space();
    JsonText member;
    scanner_.read_key(member);
    if (member.view() != name)
        return false;
    scanner_.skip_colon();
    if (scanner_.front() != '"')
        return false;
    scanner_.read_string(value);
    return true;
}

/*
 * The members that a wrapper may begin with, but a query operator as well: {"$regex": "…", "$options": "…"} in either
 * order is the old form of a regular expression, {"$type": "…", "$binary": "…"} of a binary. Anything else is an object
 * with these keys: returns false, with the scanner behind the first key again.
 */
bool ExtendedJsonParser::parse_ambiguous(std::string_view key, const JsonText &first) {
    const std::string_view name = first.view();
    if (name == "$scope")
        return parse_scope_first(key), true;
    const std::string_view partner = name == "$regex"     ? "$options"
                                     : name == "$options" ? "$regex"
                                     : name == "$type"    ? "$binary"
                                                          : "";
    if (partner.empty())
        return false;
    const JsonScanner behind_key = scanner_;
    JsonText first_value;
    JsonText second_value;
    scanner_.skip_colon();
    if (scanner_.front() == '"') {
        scanner_.read_string(first_value);
        if (parse_second_string(partner, second_value)) {
            scanner_.skip_white_space();
            if (scanner_.skip('}')) {
                if (name == "$type")
                    append_binary(key, second_value, first_value);
                else if (name == "$regex")
                    append_regex(key, first_value, second_value);
                else
                    append_regex(key, second_value, first_value);
                return true;
            }
        }
    }
    scanner_ = behind_key;
    return false;
}

/*
 * An object that begins with $scope: {"$scope": {…}, "$code": "…"} is code with its members turned round, anything else
 * an object. The value is read into a builder of its own and never again, or deep nesting would double the work at each
 * level.
 */
void ExtendedJsonParser::parse_scope_first(std::string_view key) {
    const Level level(depth_, scanner_);
    scanner_.skip_colon();
    Builder outer;
    std::swap(outer, builder_);
    parse_value("$scope");
    std::swap(outer, builder_);
    const Document holder = outer.finish();
    Value scope;
    find(view_of(holder), "$scope", &scope);

    const JsonScanner behind_scope = scanner_;
    JsonText code;
    if (scope.type == Type::object && parse_second_string("$code", code)) {
        close_wrapper();
        builder_.append_code_with_scope(key, code.view(), document_of(scope));
        return;
    }
    scanner_ = behind_scope;
    builder_.begin_document(key);
    builder_.append_value("$scope", scope);
    scanner_.skip_white_space();
    if (!scanner_.skip('}')) {
        scanner_.expect(',', "a comma or the object's end is expected");
        scanner_.skip_white_space();
        JsonText member;
        scanner_.read_key(member);
        parse_members(member);
    }
    builder_.end();
}

} // namespace mongoferry::bson

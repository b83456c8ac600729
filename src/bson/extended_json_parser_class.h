/*
 * The parser behind extended_json_parser.h, for its two halves: extended_json_parser.cpp knows documents, arrays and
 * plain values, extended_json_wrappers.cpp the objects that stand for a value of a type of their own ({"$oid": "…"}).
 */
#pragma once

#include "bson/builder.h"
#include "bson/extended_json_writer.h"
#include "bson/json_scanner.h"

#include <optional>
#include <string_view>

namespace mongoferry::bson {

/* Keys that make an object a wrapper wherever they stand in it. */
enum class Wrapper : uint8_t {
    object_id,
    number_int,
    number_long,
    number_double,
    number_decimal,
    date,
    binary,
    uuid,
    regular_expression,
    timestamp,
    code,
    symbol,
    db_pointer,
    undefined,
    min_key,
    max_key,
};

/* None if the key is not a wrapper's. */
std::optional<Wrapper> wrapper_of(std::string_view key) noexcept;

class ExtendedJsonParser {
public:
    explicit ExtendedJsonParser(std::string_view text) : scanner_(text) {}

    Document parse(size_t *consumed) {
        scanner_.skip_white_space();
        Document document = parse_whole_document();
        *consumed = scanner_.offset();
        return document;
    }

private:
    /* Counts a level of nesting while it lives. */
    class Level {
    public:
        Level(int &depth, const JsonScanner &scanner) : depth_(depth) {
            if (depth_ == max_nesting)
                scanner.fail("the document is nested too deeply");
            ++depth_;
        }
        ~Level() { --depth_; }
        Level(const Level &) = delete;
        Level &operator=(const Level &) = delete;

    private:
        int &depth_;
    };

    Document parse_whole_document();
    void parse_value(std::string_view key);
    void parse_object(std::string_view key);
    void parse_array(std::string_view key);
    void parse_number(std::string_view key);
    void parse_infinity(std::string_view key, std::string_view word);
    void parse_members(JsonText &member);

    /* Wrappers; the scanner stands behind the wrapper's first key. */
    void parse_wrapper(std::string_view key, Wrapper wrapper);
    void parse_date(std::string_view key);
    void parse_binary(std::string_view key);
    void parse_uuid(std::string_view key);
    void parse_regular_expression(std::string_view key);
    void parse_timestamp(std::string_view key);
    void parse_code(std::string_view key);
    void parse_db_pointer(std::string_view key);
    bool parse_ambiguous(std::string_view key, const JsonText &first);
    void parse_scope_first(std::string_view key);
    bool parse_second_string(std::string_view name, JsonText &value);
    void append_binary(std::string_view key, const JsonText &base64, const JsonText &subtype);
    void append_regex(std::string_view key, const JsonText &pattern, const JsonText &options);
    template <typename Integer>
    Integer integer_in_string(const char *message);
    template <typename Handler>
    void parse_inner_object(const char *message, Handler handle_member);
    uint32_t parse_uint32(const char *message);
    void parse_one(const char *message);
    void close_wrapper();

    JsonScanner scanner_;
    Builder builder_;
    int depth_ = 0;
    JsonText scratch_;
};

} // namespace mongoferry::bson

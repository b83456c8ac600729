/*
 * The pieces of JSON text: strings, numbers, words and the punctuation between them.
 *
 * Pure C++, exception world: whatever is no JSON throws ParseError with its offset; text that ends too early does so
 * with the offset of its end.
 *
 * Sources: RFC 8259 (JSON), RFC 3629 (UTF-8)
 */
#pragma once

#include "bson/extended_json_parser.h"

#include <string>
#include <string_view>

namespace mongoferry::bson {

/* A string's characters: in the scanned text itself if nothing in them was escaped. */
class JsonText {
public:
    JsonText() = default;
    JsonText(const JsonText &) = delete;
    JsonText &operator=(const JsonText &) = delete;

    std::string_view view() const noexcept { return view_; }
    size_t offset = 0; /* of the opening quote */

private:
    friend class JsonScanner;
    std::string_view view_;
    std::string unescaped_;
};

/* Integers are those without fraction and exponent; "-0" is none, because an integer has no negative zero. */
struct JsonNumber {
    bool is_integer;
    int64_t integer;
    double float64;
};

class JsonScanner {
public:
    explicit JsonScanner(std::string_view text) noexcept
        : begin_(text.data()), position_(text.data()), end_(text.data() + text.size()) {}

    size_t offset() const noexcept { return static_cast<size_t>(position_ - begin_); }
    [[noreturn]] void fail_at(size_t offset, const std::string &message) const;
    /* At the current position. */
    [[noreturn]] void fail(const char *message) const;

    void skip_white_space() noexcept {
        while (position_ < end_ &&
               (*position_ == ' ' || *position_ == '\n' || *position_ == '\r' || *position_ == '\t'))
            ++position_;
    }
    /* The next character; there must be one. */
    char front() const {
        if (position_ == end_) [[unlikely]]
            fail("");
        return *position_;
    }
    bool next_is(std::string_view text) const noexcept {
        return std::string_view(position_, static_cast<size_t>(end_ - position_)).starts_with(text);
    }
    bool skip(char character) noexcept {
        if (position_ == end_ || *position_ != character)
            return false;
        ++position_;
        return true;
    }
    void expect(char character, const char *message) {
        if (!skip(character)) [[unlikely]]
            fail(message);
    }
    /* A colon and the white space around it. */
    void skip_colon() {
        skip_white_space();
        expect(':', "a colon is expected after a key");
        skip_white_space();
    }
    /* A string that has no U+0000 in it. */
    void read_key(JsonText &key, const char *message = "a key in double quotes is expected");
    void read_string(JsonText &text, const char *message = "a string is expected");
    void read_word(std::string_view word);
    JsonNumber read_number(const char *message = "a value is expected");

private:
    void read_escape(std::string &out);
    uint32_t read_hex4();

    const char *begin_;
    const char *position_;
    const char *end_;
};

/* A decimal number → the nearest double; one too close to zero for a double is zero. False if the text is no number or
 * beyond a double's range. */
bool parse_float64(std::string_view text, double *value) noexcept;

} // namespace mongoferry::bson

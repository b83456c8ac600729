/* See json_scanner.h. */
#include "bson/json_scanner.h"

#include "bson/utf8.h"

#include <charconv>
#include <cstring>

namespace mongoferry::bson {

namespace {

bool is_digit(char character) noexcept {
    return character >= '0' && character <= '9';
}

constexpr uint64_t repeat(uint8_t byte) noexcept {
    return byte * 0x0101010101010101u;
}

/* A mask whose lowest bit set tells the first byte equal to zero. */
constexpr uint64_t zero_bytes(uint64_t word) noexcept {
    return (word - repeat(0x01)) & ~word & repeat(0x80);
}

/* The first character that is a quote, a backslash, a control character or no ASCII; or end. */
const char *find_special(const char *text, const char *end) noexcept {
    while (end - text >= 8) {
        uint64_t word;
        memcpy(&word, text, sizeof word);
        const uint64_t special = (word & repeat(0x80)) | ((word - repeat(0x20)) & ~word & repeat(0x80)) |
                                 zero_bytes(word ^ repeat('"')) | zero_bytes(word ^ repeat('\\'));
        if (special != 0)
            return text + (__builtin_ctzll(special) >> 3);
        text += 8;
    }
    while (text < end && *text != '"' && *text != '\\' && static_cast<uint8_t>(*text) >= 0x20 &&
           static_cast<uint8_t>(*text) < 0x80)
        ++text;
    return text;
}

void append_utf8(uint32_t code_point, std::string &out) {
    const auto byte = [&out](uint32_t value) { out.push_back(static_cast<char>(value)); };
    if (code_point < 0x80) {
        byte(code_point);
    } else if (code_point < 0x800) {
        byte(0xC0 | code_point >> 6);
        byte(0x80 | (code_point & 0x3F));
    } else if (code_point < 0x10000) {
        byte(0xE0 | code_point >> 12);
        byte(0x80 | (code_point >> 6 & 0x3F));
        byte(0x80 | (code_point & 0x3F));
    } else {
        byte(0xF0 | code_point >> 18);
        byte(0x80 | (code_point >> 12 & 0x3F));
        byte(0x80 | (code_point >> 6 & 0x3F));
        byte(0x80 | (code_point & 0x3F));
    }
}

/* Whether a decimal number that no double can hold is too small rather than too large. */
bool is_tiny(std::string_view text) noexcept {
    int64_t magnitude = 0; /* of the first digit that is not zero, as a power of ten */
    bool significant = false;
    bool in_fraction = false;
    size_t position = 0;
    for (; position < text.size() && text[position] != 'e' && text[position] != 'E'; ++position) {
        if (text[position] == '.')
            in_fraction = true;
        else if (!is_digit(text[position]))
            continue;
        else if (in_fraction && !significant)
            --magnitude;
        else if (!in_fraction && significant)
            ++magnitude;
        significant = significant || (text[position] >= '1' && text[position] <= '9');
    }
    int64_t exponent = 0;
    bool negative = false;
    for (++position; position < text.size(); ++position) {
        if (text[position] == '-')
            negative = true;
        else if (is_digit(text[position]) && exponent < INT64_MAX / 100)
            exponent = exponent * 10 + (text[position] - '0');
    }
    return magnitude + (negative ? -exponent : exponent) < 0;
}

} // namespace

bool parse_float64(std::string_view text, double *value) noexcept {
    const size_t sign = !text.empty() && text[0] == '-' ? 1 : 0;
    if (text.size() <= sign || !is_digit(text[sign])) /* from_chars would take "inf" and "nan" as well */
        return false;
    const char *end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, *value);
    if (read.ptr != end)
        return false;
    if (read.ec == std::errc::result_out_of_range && is_tiny(text)) {
        *value = sign != 0 ? -0.0 : 0.0;
        return true;
    }
    return read.ec == std::errc();
}

void JsonScanner::fail_at(size_t offset, const std::string &message) const {
    throw ParseError(message, offset);
}

void JsonScanner::fail(const char *message) const {
    throw ParseError(position_ == end_ ? "the text ends inside a document" : message, offset());
}

void JsonScanner::read_word(std::string_view word) {
    const size_t available = static_cast<size_t>(end_ - position_);
    if (available < word.size() && memcmp(position_, word.data(), available) == 0)
        position_ = end_;
    else if (available >= word.size() && memcmp(position_, word.data(), word.size()) == 0) {
        position_ += word.size();
        return;
    }
    fail("a value is expected");
}

JsonNumber JsonScanner::read_number(const char *message) {
    const char *start = position_;
    const bool negative = skip('-');
    if (position_ == end_ || !is_digit(*position_)) {
        if (position_ != end_)
            position_ = start;
        fail(message);
    }
    const char *digits = position_;
    uint64_t magnitude = 0;
    bool overflow = false;
    for (; position_ < end_ && is_digit(*position_); ++position_) {
        const uint64_t digit = static_cast<uint64_t>(*position_ - '0');
        if (position_ - digits < 19) [[likely]]
            magnitude = magnitude * 10 + digit; /* 19 digits fit */
        else
            overflow = true;
    }
    if (*digits == '0' && position_ - digits > 1)
        fail_at(static_cast<size_t>(digits - begin_), "a number begins with a zero");
    bool is_integer = true;
    if (skip('.')) {
        is_integer = false;
        const char *fraction = position_;
        while (position_ < end_ && is_digit(*position_))
            ++position_;
        if (position_ == fraction)
            fail("a digit is expected after the point of a number");
    }
    if (position_ < end_ && (*position_ == 'e' || *position_ == 'E')) {
        is_integer = false;
        ++position_;
        if (!skip('-'))
            skip('+');
        const char *exponent = position_;
        while (position_ < end_ && is_digit(*position_))
            ++position_;
        if (position_ == exponent)
            fail("a digit is expected in the exponent of a number");
    }
    if (is_integer && !(negative && magnitude == 0 && !overflow)) {
        const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
        if (overflow || magnitude > limit)
            fail_at(static_cast<size_t>(start - begin_), "an integer is beyond the range of 64 bits");
        return {true, static_cast<int64_t>(negative ? uint64_t{0} - magnitude : magnitude), 0};
    }
    double value;
    if (!parse_float64({start, static_cast<size_t>(position_ - start)}, &value))
        fail_at(static_cast<size_t>(start - begin_), "a number is beyond the range of a double");
    return {false, 0, value};
}

void JsonScanner::read_key(JsonText &key, const char *message) {
    read_string(key, message);
    if (key.view_.data() == key.unescaped_.data() && key.view_.find('\0') != std::string_view::npos)
        fail_at(key.offset, "a key must not contain U+0000");
}

void JsonScanner::read_string(JsonText &text, const char *message) {
    text.offset = offset();
    expect('"', message);
    const char *start = position_; /* of what is not yet in text.unescaped_ */
    bool escaped = false;
    while (true) {
        position_ = find_special(position_, end_);
        if (position_ == end_)
            fail("");
        const uint8_t byte = static_cast<uint8_t>(*position_);
        if (byte == '"')
            break;
        if (byte == '\\') {
            if (!escaped)
                text.unescaped_.clear();
            escaped = true;
            text.unescaped_.append(start, position_);
            read_escape(text.unescaped_);
            start = position_;
        } else if (byte < 0x20) {
            fail("a control character stands unescaped in a string");
        } else {
            do {
                const size_t available = static_cast<size_t>(end_ - position_);
                const size_t size = utf8_sequence_size(reinterpret_cast<const uint8_t *>(position_), available);
                if (size == 0)
                    fail("a string is not valid UTF-8");
                if (size > available) {
                    position_ = end_;
                    fail("");
                }
                position_ += size;
            } while (position_ < end_ && static_cast<uint8_t>(*position_) >= 0x80);
        }
    }
    if (escaped) {
        text.unescaped_.append(start, position_);
        text.view_ = text.unescaped_;
    } else {
        text.view_ = {start, static_cast<size_t>(position_ - start)};
    }
    ++position_;
}

/* From the backslash on. */
void JsonScanner::read_escape(std::string &out) {
    const size_t escape_offset = offset();
    ++position_;
    const char kind = front();
    ++position_;
    switch (kind) {
    case '"':
    case '\\':
    case '/':
        out.push_back(kind);
        return;
    case 'b':
        out.push_back('\b');
        return;
    case 'f':
        out.push_back('\f');
        return;
    case 'n':
        out.push_back('\n');
        return;
    case 'r':
        out.push_back('\r');
        return;
    case 't':
        out.push_back('\t');
        return;
    case 'u':
        break;
    default:
        fail_at(escape_offset, "an unknown escape sequence stands in a string");
    }
    uint32_t code_point = read_hex4();
    const bool is_high = code_point >= 0xD800 && code_point <= 0xDBFF;
    bool is_alone = code_point >= 0xDC00 && code_point <= 0xDFFF;
    if (is_high) {
        is_alone = true;
        if (front() == '\\') {
            ++position_;
            if (front() == 'u') {
                ++position_;
                const uint32_t low = read_hex4();
                is_alone = low < 0xDC00 || low > 0xDFFF;
                code_point = 0x10000 + ((code_point - 0xD800) << 10 | ((low - 0xDC00) & 0x3FF));
            }
        }
    }
    if (is_alone)
        fail_at(escape_offset, "half of a surrogate pair stands alone in a string");
    append_utf8(code_point, out);
}

uint32_t JsonScanner::read_hex4() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
        const char character = front();
        uint32_t digit;
        if (is_digit(character))
            digit = static_cast<uint32_t>(character - '0');
        else if ((character | 0x20) >= 'a' && (character | 0x20) <= 'f')
            digit = static_cast<uint32_t>((character | 0x20) - 'a') + 10;
        else
            fail("a hexadecimal digit is expected in an escape sequence");
        value = value << 4 | digit;
        ++position_;
    }
    return value;
}

} // namespace mongoferry::bson

/* See json_file.h. */
#include "source/file/json_file.h"

#include "bson/extended_json_parser.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace mongoferry::source {

namespace {

constexpr int end_of_file = -1;

/* Where a text is cut, the parser sees its end; but a number that is cut may look like one out of range, told with its
 * start. Further from the end an error is one. */
constexpr size_t longest_number = 1024;

std::string_view text_of(const BufferedInput &input) {
    return {reinterpret_cast<const char *>(input.data()), input.available()};
}

int64_t count_lines(const uint8_t *bytes, size_t size) {
    int64_t count = 0;
    const uint8_t *end = bytes + size;
    while ((bytes = static_cast<const uint8_t *>(memchr(bytes, '\n', static_cast<size_t>(end - bytes))))) {
        ++count;
        ++bytes;
    }
    return count;
}

/* Looks for the closing brace of the object at a text's start, in pieces as the text grows. */
class EndFinder {
public:
    /* True if the text, which begins with what was given before, has the closing brace. */
    bool found_in(std::string_view text) {
        for (; !found_ && position_ < text.size(); ++position_) {
            char character = text[position_];
            if (in_string_) {
                if (character == '\\')
                    ++position_; /* may lead behind the text; then the escaped character comes with the next piece */
                else if (character == '"')
                    in_string_ = false;
            } else if (character == '"') {
                in_string_ = true;
            } else if (character == '{') {
                ++depth_;
            } else if (character == '}' && --depth_ == 0) {
                found_ = true;
            }
        }
        return found_;
    }
    /* Of the object, when its end is found. */
    size_t size() const noexcept { return position_; }

private:
    size_t position_ = 0;
    int64_t depth_ = 0;
    bool in_string_ = false;
    bool found_ = false;
};

} // namespace

JsonFileReader::JsonFileReader(Input &input, size_t batch_size) : input_(input, batch_size), batch_size_(batch_size) {
    batch_.reserve(batch_size);
}

/* What is wrong at a byte of the window. */
Damage JsonFileReader::damage_at(size_t offset, const std::string &detail) const {
    return Damage(input_.offset() + static_cast<int64_t>(offset), detail,
                  is_line_known_ ? line_ + count_lines(input_.data(), offset) : 0);
}

void JsonFileReader::damaged(const std::string &detail) const {
    throw damage_at(0, detail);
}

void JsonFileReader::consume(size_t size) {
    line_ += count_lines(input_.data(), size);
    input_.consume(size);
}

/* The next character that is no white space, not consumed; or end_of_file. */
int JsonFileReader::skip_white_space() {
    while (input_.fill(1)) {
        const uint8_t *bytes = input_.data();
        size_t size = input_.available();
        size_t count = 0;
        while (count < size &&
               (bytes[count] == ' ' || bytes[count] == '\n' || bytes[count] == '\r' || bytes[count] == '\t'))
            ++count;
        consume(count);
        if (count < size)
            return bytes[count];
    }
    return end_of_file;
}

/* Reads what may be before the first document, and sees from it whether the file is an array. */
void JsonFileReader::begin() {
    if (input_.fill(3) && memcmp(input_.data(), "\xef\xbb\xbf", 3) == 0)
        input_.consume(3); /* a byte order mark */
    if (input_.fill(2) && (memcmp(input_.data(), "\xff\xfe", 2) == 0 || memcmp(input_.data(), "\xfe\xff", 2) == 0))
        damaged("The file is encoded in UTF-16; it must be UTF-8.");
    state_ = State::documents;
    if (skip_white_space() == '[') {
        consume(1);
        state_ = State::array_start;
    }
}

void JsonFileReader::enter(const Section &section) {
    end_ = section.end;
    pending_.reset();
    if (section.first == 0) {
        go_to_first(input_, 0);
        state_ = State::at_start;
        line_ = 1;
        is_line_known_ = true;
        return;
    }
    if (state_ == State::at_start)
        begin();
    const int64_t distance = section.first - input_.offset();
    if (distance >= 0 && distance <= static_cast<int64_t>(input_.available())) {
        consume(static_cast<size_t>(distance));
    } else {
        go_to_first(input_, section.first);
        is_line_known_ = false;
    }
    if (!input_.fill(1) || *input_.data() != '{')
        damaged("A document is expected here, where a chunk begins.");
    if (state_ != State::documents)
        state_ = State::array_element;
}

/* Goes to the brace that opens the next document; false if there is none in the section. */
bool JsonFileReader::find_start() {
    if (bytes_before(end_, input_.offset()) == 0)
        return false;
    if (state_ == State::at_start)
        begin();
    int character = skip_white_space();
    if (state_ == State::after_element) {
        if (character == ',') {
            consume(1);
            state_ = State::array_element;
            character = skip_white_space();
        } else if (character != ']' && character != end_of_file) {
            damaged("A comma or the array's end is expected.");
        }
    }
    if (character == ']' && (state_ == State::array_start || state_ == State::after_element)) {
        consume(1);
        if (skip_white_space() != end_of_file)
            damaged("The array is followed by something else.");
        state_ = State::at_end;
    }
    if (state_ == State::at_end)
        return false;
    if (character == end_of_file) {
        if (state_ != State::documents)
            damaged("The file ends inside an array.");
        return false;
    }
    if (character != '{')
        damaged("A document is expected here.");
    return bytes_before(end_, input_.offset()) > 0;
}

/* Converts the next document into the batch; false if there is none. */
bool JsonFileReader::next_document() {
    if (!find_start())
        return false;
    EndFinder end;
    while (true) {
        std::string_view text = text_of(input_);
        size_t consumed = 0;
        try {
            bson::Document document = bson::parse_document(text, &consumed);
            batch_.insert(batch_.end(), document.begin(), document.end());
        } catch (const bson::ParseError &error) {
            /* Either the document is wrong, or it is not yet in the window as a whole. */
            if (error.offset + longest_number >= text.size() && !end.found_in(text)) {
                bool grown = false;
                while (input_.available() < max_json_document_size && input_.fill(input_.available() + 1)) {
                    grown = true;
                    if (end.found_in(text_of(input_)))
                        break;
                }
                if (grown)
                    continue;
                if (text.size() >= max_json_document_size)
                    damaged("A document is longer than " + std::to_string(max_json_document_size) + " bytes.");
                if (error.offset >= text.size())
                    damaged("The file ends inside a document.");
            }
            size_t offset = std::min(error.offset, text.size());
            throw damage_at(offset, "Invalid Extended JSON: " + std::string(error.what()) + ".");
        }
        consume(consumed);
        if (state_ != State::documents)
            state_ = State::after_element;
        return true;
    }
}

/* The length of the document that begins here, which is in the window then. */
size_t JsonFileReader::find_end() {
    EndFinder end;
    while (!end.found_in(text_of(input_))) {
        if (input_.available() >= max_json_document_size)
            damaged("A document is longer than " + std::to_string(max_json_document_size) + " bytes.");
        if (!input_.fill(input_.available() + 1))
            damaged("The file ends inside a document.");
    }
    return end.size();
}

bool JsonFileReader::next_starts(std::vector<DocumentStart> *starts) {
    starts->clear();
    if (pending_)
        throw *pending_;
    try {
        for (int64_t size = 0; size < static_cast<int64_t>(batch_size_) && find_start(); size += starts->back().size) {
            const size_t length = find_end();
            starts->push_back({input_.offset(), static_cast<int64_t>(length), -1});
            consume(length);
            if (state_ != State::documents)
                state_ = State::after_element;
        }
    } catch (const Damage &damage) {
        if (starts->empty())
            throw;
        pending_ = damage;
    }
    return !starts->empty();
}

bool JsonFileReader::next_batch(Batch *batch) {
    if (pending_)
        throw *pending_;
    batch_.clear();
    documents_ = 0;
    try {
        while (batch_.size() < batch_size_ && next_document())
            ++documents_;
    } catch (const Damage &damage) {
        if (batch_.empty())
            throw;
        pending_ = damage; /* first what was good */
    }
    if (batch_.empty())
        return false;
    hand_out(batch, batch_.data(), batch_.size(), -1); /* offsets in our BSON are none in the file */
    return true;
}

} // namespace mongoferry::source

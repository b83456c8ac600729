/*
 * mongoexport's output: Extended JSON documents, one after the other (a line each, or over several lines), or as the
 * elements of one array. Pure C++.
 */
#pragma once

#include "source/file/buffered_input.h"
#include "source/file/document_reader.h"

#include <optional>
#include <vector>

namespace mongoferry::source {

/* Control characters take six bytes in JSON, numbers of the canonical form and white space about as much: a document of
 * 16 MB may be this long. What is longer is taken for damage, lest a missing brace reads the whole file into memory. */
constexpr size_t max_json_document_size = 128 * 1024 * 1024;

class JsonFileReader : public DocumentReader {
public:
    /* The input must outlive this. */
    /* A batch holds documents until they are batch_size bytes of BSON or more. */
    explicit JsonFileReader(Input &input, size_t batch_size = BufferedInput::usual_capacity);
    bool next_batch(Batch *batch) override;
    void enter(const Section &section) override;
    bool next_starts(std::vector<DocumentStart> *starts) override;
    int64_t position() const noexcept override { return input_.offset(); }

private:
    bool next_document();
    size_t find_end();
    void begin();
    bool find_start();
    int skip_white_space();
    void consume(size_t size);
    Damage damage_at(size_t offset, const std::string &detail) const;
    [[noreturn]] void damaged(const std::string &detail) const;

    enum class State { at_start, documents, array_start, array_element, after_element, at_end };
    BufferedInput input_;
    State state_ = State::at_start;
    int64_t line_ = 1;
    bool is_line_known_ = true; /* not when the file was entered midway */
    int64_t end_ = -1;          /* of the section */
    size_t batch_size_;
    std::vector<uint8_t> batch_;
    std::optional<Damage> pending_; /* found behind the documents of the last batch */
};

} // namespace mongoferry::source

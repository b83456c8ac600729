/*
 * A .bson file as mongodump writes it: documents, one after the other. Pure C++.
 */
#pragma once

#include "source/file/buffered_input.h"
#include "source/file/document_reader.h"

namespace mongoferry::source {

class BsonFileReader : public DocumentReader {
public:
    /* The input must outlive this. A batch holds the documents that fit into batch_size bytes, or one that is longer.
     */
    explicit BsonFileReader(Input &input, size_t batch_size = BufferedInput::usual_capacity)
        : input_(input, batch_size) {}
    bool next_batch(Batch *batch) override;
    void enter(const Section &section) override;
    int64_t position() const noexcept override { return input_.offset() + static_cast<int64_t>(handed_out_); }

private:
    BufferedInput input_;
    int64_t end_ = -1;      /* of the section */
    size_t handed_out_ = 0; /* bytes at the window's start that the last batch covers */
};

} // namespace mongoferry::source

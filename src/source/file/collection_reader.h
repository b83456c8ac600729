/*
 * A collection's file, open: the reader of its format over its content, with damage told as an error that names the
 * file. Exception world.
 *
 * A reader that stands somewhere in a compressed file is worth keeping: what lies before a chunk has to be decompressed
 * to get there. So open_range() takes one that an earlier scan of this backend has given back, if there is one for the
 * same file. A reader belongs to one scan at a time; those given back are few, and are closed when their file changes
 * or when they have not been used for a while.
 */
#pragma once

#include "source/file/content_input.h"
#include "source/file/document_reader.h"
#include "source/file/dump.h"

#include <memory>
#include <vector>

namespace mongoferry::source {

class CollectionReader {
public:
    /* Opens the file, to be read from its start. */
    explicit CollectionReader(const CollectionFile &file, size_t batch_size = BufferedInput::usual_capacity);

    /* Gives the documents of a range from now on. Throws Error: 55000 if the file has another size than the range says,
     * 22023 for a range that no file has, or not a file of this format. */
    void enter(const Range &range);
    /* As DocumentReader has them, but damage is thrown as Error. */
    bool next_batch(Batch *batch);
    bool next_starts(std::vector<DocumentStart> *starts);
    int64_t documents() const noexcept { return reader_->documents(); }
    int64_t position() const noexcept { return reader_->position(); }

    const CollectionFile &collection() const noexcept { return collection_; }
    const ContentInput &content() const noexcept { return input_; }
    /* True if it was used for a range, is costly to make again, and nothing went wrong with it. */
    bool is_worth_keeping() const noexcept { return has_entered_ && !has_failed_ && input_.is_compressed(); }

private:
    template <typename Body>
    auto translating_damage(Body &&body);

    CollectionFile collection_;
    ContentInput input_; /* before the reader, which reads it */
    std::unique_ptr<DocumentReader> reader_;
    bool has_entered_ = false;
    bool has_failed_ = false;
};

/* A reader that stands at the beginning of a range of bytes, or of the whole collection; errors as enter() has them. */
std::unique_ptr<CollectionReader> open_range(const CollectionFile &file, const Range &range);
/* Ends the use of a reader: it is kept for later, or closed. NULL is harmless. */
void give_back(std::unique_ptr<CollectionReader> reader) noexcept;

} // namespace mongoferry::source

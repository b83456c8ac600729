/*
 * What all file formats have in common: they give documents in batches. Pure C++.
 */
#pragma once

#include "source/file/buffered_input.h"
#include "source/source.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mongoferry::source {

/* The longest document that mongod stores is 16 MB; what it writes around one adds at most 16 KB
 * (BSONObjMaxInternalSize in its source). A longer length prefix is damage. */
constexpr int32_t max_document_size = 16 * 1024 * 1024 + 16 * 1024;

/* A part of a collection's file: the documents whose first byte is at `first` or later, and before `end`. Offsets are
 * bytes of the decompressed content. */
struct Section {
    int64_t first = 0;  /* a document begins here; 0: the first document, wherever it begins */
    int64_t end = -1;   /* -1: to the end of the collection */
    int64_t block = -1; /* archives: where the header is of the block that holds the document at `first`; -1: `first` is
                           0 */
};

/* Where a document lies in its file. */
struct DocumentStart {
    int64_t offset;
    int64_t size;  /* in the file, in its format */
    int64_t block; /* as in Section; -1 where there are no blocks */
};

class DocumentReader {
public:
    virtual ~DocumentReader() = default;
    DocumentReader() = default;
    DocumentReader(const DocumentReader &) = delete;
    DocumentReader &operator=(const DocumentReader &) = delete;

    /* The next documents, at least one, valid until the next call; false at the end. Throws Damage after the documents
     * before it have been given. */
    virtual bool next_batch(Batch *batch) = 0;
    /* Gives the documents of this section from now on, instead of the whole file; whatever was read before. Throws
     * Damage if it can't be entered where the section begins. */
    virtual void enter(const Section &section) = 0;
    /* As next_batch(), but tells only where the documents lie: their inside is not looked at, and what is wrong there
     * not found. */
    virtual bool next_starts(std::vector<DocumentStart> *starts);
    /* How many documents the last batch holds. */
    int64_t documents() const noexcept { return documents_; }
    /* The byte of the input behind the last batch. */
    virtual int64_t position() const noexcept = 0;

protected:
    /* Of the block that the last batch is from. */
    virtual int64_t block() const noexcept { return -1; }

    int64_t documents_ = 0;
};

/* A run of whole documents at the start of some bytes. */
struct Run {
    size_t size = 0;       /* bytes of the whole documents */
    int64_t documents = 0; /* how many */
    /* Why the run ended before the end of the bytes, if it did: */
    size_t needed = 0;  /* bytes that the next document needs, when only a part of it is there (0: it is not that) */
    std::string damage; /* a sentence, when the next document is not one */
};
/* Frames documents: the length prefix (5 to max_document_size) and the final NUL; their inside is not looked at. Stops
 * before the four bytes 0xffffffff, which end a block of an archive; for others these are a bad length. */
enum class Terminator : bool { no, yes };
/* Documents that begin at the byte `before` or behind it are left out. */
Run frame_documents(const uint8_t *bytes, size_t size, Terminator terminator, size_t before = SIZE_MAX);

/* How many bytes of a section are left, from an offset on: for frame_documents(). */
inline size_t bytes_before(int64_t end, int64_t offset) noexcept {
    return end < 0 ? SIZE_MAX : end <= offset ? 0 : static_cast<size_t>(end - offset);
}

/* Goes to where a section begins; throws Damage if the file ends before. */
void go_to_first(BufferedInput &input, int64_t first);

/* True if the bytes could be the beginning of a document: a possible length, a type, a key of sane characters; or if
 * they are the empty document. For telling formats apart, because a length alone may mean something in other formats
 * too. */
bool resembles_document(const uint8_t *bytes, size_t size) noexcept;

/* Sets up a batch over a run of documents. */
void hand_out(Batch *batch, const uint8_t *documents, size_t size, int64_t offset) noexcept;

} // namespace mongoferry::source

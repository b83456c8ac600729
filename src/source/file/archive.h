/*
 * mongodump's archive: several collections, of several databases, interleaved in one stream. Pure C++.
 *
 *     archive   = magic, prelude, block*
 *     prelude   = header document, a metadata document for each collection, terminator
 *     block     = namespace header, documents of that namespace, terminator
 *     magic     = the four bytes 6d e2 99 81; terminator = ff ff ff ff
 * A namespace header is {db, collection, EOF, CRC}; the one with EOF true ends its namespace, comes without documents
 * and carries the CRC-64 of all bytes of all its documents.
 *
 * Source: mongo-tools, common/archive/spec.md
 */
#pragma once

#include "source/file/buffered_input.h"
#include "source/file/document_reader.h"
#include "source/file/metadata.h"

#include <string>
#include <vector>

namespace mongoferry::source {

/* True if the bytes begin with an archive's magic number. */
bool is_archive(const uint8_t *bytes, size_t size) noexcept;

struct ArchivedCollection {
    std::string database; /* empty for the oplog */
    std::string name;
    CollectionKind kind;
};

/* Reads an archive's beginning, up to the first block. Throws Damage. */
std::vector<ArchivedCollection> read_prelude(BufferedInput &input);

/* Reads one collection of an archive. Ends as soon as the collection's checksum has been seen and is right: what the
 * archive holds behind that is not read. */
class ArchiveReader : public DocumentReader {
public:
    /* The input, which stands at the archive's first byte, must outlive this. */
    ArchiveReader(Input &input, std::string database, std::string collection);
    bool next_batch(Batch *batch) override;
    /* A block of the collection must begin at section.block. The checksum is of no use then and is not looked at,
     * unless everything before was read, too. */
    void enter(const Section &section) override;
    int64_t position() const noexcept override { return input_.offset() + static_cast<int64_t>(handed_out_); }

private:
    int64_t block() const noexcept override { return block_; }

    enum class State { at_start, between_blocks, in_block, in_other_block, in_final_block, at_end };
    void begin_block();

    BufferedInput input_;
    std::string database_;
    std::string collection_;
    State state_ = State::at_start;
    size_t handed_out_ = 0; /* bytes at the window's start that the last batch covers */
    uint64_t checksum_ = 0;
    bool is_checksum_whole_ = true; /* of all documents that come before */
    int64_t block_ = -1;            /* where the header of the block is that the input stands in */
    int64_t end_ = -1;              /* of the section */
};

} // namespace mongoferry::source

/* See archive.h. */
#include "source/file/archive.h"

#include "source/file/crc64.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <optional>

namespace mongoferry::source {

namespace {

constexpr uint8_t magic[4] = {0x6d, 0xe2, 0x99, 0x81};
constexpr uint8_t terminator[4] = {0xff, 0xff, 0xff, 0xff};

/* Makes the next document of the archive's own available, and returns it; nothing if a terminator is next, which is
 * consumed. `what` names it in messages. */
std::optional<bson::View> next_own_document(BufferedInput &input, const char *what) {
    size_t needed = 4;
    while (true) {
        if (!input.fill(needed))
            throw Damage(input.offset(), std::string("The archive ends inside ") + what + ".");
        if (memcmp(input.data(), terminator, 4) == 0) {
            input.consume(4);
            return std::nullopt;
        }
        Run run = frame_documents(input.data(), input.available(), Terminator::yes);
        if (run.size > 0)
            return bson::View{input.data(), static_cast<size_t>(bson::load_int32(input.data()))};
        if (!run.damage.empty())
            throw Damage(input.offset(), run.damage);
        needed = run.needed;
    }
}

/* A field that must be there with this type. */
bson::Value required(bson::View document, const char *key, bson::Type type, int64_t offset, const char *what) {
    bson::Value value;
    if (!bson::find(document, key, &value) || value.type != type)
        throw Damage(offset, std::string("The archive's ") + what + " lacks the field \"" + key + "\".");
    return value;
}

std::string hexadecimal(uint64_t value) {
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    return text;
}

} // namespace

bool is_archive(const uint8_t *bytes, size_t size) noexcept {
    return size >= 4 && memcmp(bytes, magic, 4) == 0;
}

std::vector<ArchivedCollection> read_prelude(BufferedInput &input) {
    if (!input.fill(4) || !is_archive(input.data(), input.available()))
        throw Damage(input.offset(), "This is not the beginning of an archive.");
    input.consume(4);

    std::optional<bson::View> header = next_own_document(input, "its header");
    if (!header)
        throw Damage(input.offset() - 4, "The archive has no header.");
    input.consume(header->size);

    std::vector<ArchivedCollection> collections;
    while (std::optional<bson::View> document = next_own_document(input, "its list of collections")) {
        const char *what = "list of collections";
        ArchivedCollection collection;
        collection.database = bson::text_of(required(*document, "db", bson::Type::string, input.offset(), what));
        collection.name = bson::text_of(required(*document, "collection", bson::Type::string, input.offset(), what));
        collection.kind = CollectionKind::collection;
        bson::Value value;
        if (bson::find(*document, "type", &value) && value.type == bson::Type::string)
            collection.kind = kind_of(bson::text_of(value));
        if (collection.kind == CollectionKind::collection && bson::find(*document, "metadata", &value) &&
            value.type == bson::Type::string)
            collection.kind = parse_metadata(bson::text_of(value)).kind;
        input.consume(document->size);
        collections.push_back(std::move(collection));
    }
    return collections;
}

ArchiveReader::ArchiveReader(Input &input, std::string database, std::string collection)
    : input_(input), database_(std::move(database)), collection_(std::move(collection)) {}

/* Reads a namespace header and sets the state by what it says. */
void ArchiveReader::begin_block() {
    if (!input_.fill(4) && input_.available() == 0)
        throw Damage(input_.offset(), "The archive ends before the collection \"" + collection_ + "\" is complete.");
    int64_t offset = block_ = input_.offset();
    std::optional<bson::View> header = next_own_document(input_, "a block's header");
    if (!header)
        throw Damage(offset, "A block has no header.");

    const char *what = "block header";
    bool ours = bson::text_of(required(*header, "collection", bson::Type::string, offset, what)) == collection_ &&
                bson::text_of(required(*header, "db", bson::Type::string, offset, what)) == database_;
    bool is_final = required(*header, "EOF", bson::Type::boolean, offset, what).bytes[0] != 0;
    if (ours && is_final) {
        uint64_t expected =
            static_cast<uint64_t>(bson::load_int64(required(*header, "CRC", bson::Type::int64, offset, what).bytes));
        if (is_checksum_whole_ && expected != checksum_)
            throw Damage(offset, "The checksum of the collection \"" + collection_ + "\" is " + hexadecimal(checksum_) +
                                     ", but the archive says " + hexadecimal(expected) + ".");
        state_ = State::at_end;
    } else if (is_final) {
        state_ = State::in_final_block;
    } else {
        state_ = ours ? State::in_block : State::in_other_block;
    }
    input_.consume(header->size);
}

void ArchiveReader::enter(const Section &section) {
    input_.consume(handed_out_);
    handed_out_ = 0;
    end_ = section.end;
    if (section.block < 0) {
        go_to_first(input_, 0);
        state_ = State::at_start;
        checksum_ = 0;
        is_checksum_whole_ = true;
        return;
    }
    if (state_ != State::in_block || block_ != section.block || input_.offset() > section.first) {
        is_checksum_whole_ = false;
        go_to_first(input_, section.block);
        begin_block();
        if (state_ != State::in_block || input_.offset() > section.first) {
            state_ = State::at_end;
            throw Damage(section.block, "No block with documents of the collection \"" + collection_ +
                                            "\" begins here, where a chunk says so.");
        }
    }
    if (input_.offset() != section.first) {
        is_checksum_whole_ = false;
        go_to_first(input_, section.first);
    }
}

bool ArchiveReader::next_batch(Batch *batch) {
    input_.consume(handed_out_);
    handed_out_ = 0;

    if (state_ == State::at_start) {
        read_prelude(input_);
        state_ = State::between_blocks;
    }
    size_t needed = 4;
    while (state_ != State::at_end) {
        const size_t left = bytes_before(end_, input_.offset());
        if (left == 0)
            return false;
        if (state_ == State::between_blocks) {
            begin_block();
            needed = 4;
            continue;
        }
        if (!input_.fill(needed))
            throw Damage(input_.offset(), "The archive ends inside a block of documents.");
        if (memcmp(input_.data(), terminator, 4) == 0) {
            input_.consume(4);
            state_ = State::between_blocks;
            continue;
        }
        if (state_ == State::in_final_block)
            throw Damage(input_.offset(), "The end of a collection is followed by documents.");
        Run run = frame_documents(input_.data(), input_.available(), Terminator::yes, left);
        if (run.size == 0 && !run.damage.empty())
            throw Damage(input_.offset(), run.damage);
        needed = run.size == 0 ? run.needed : 4;
        if (run.size > 0 && state_ == State::in_block) {
            checksum_ = crc64(checksum_, input_.data(), run.size);
            hand_out(batch, input_.data(), run.size, input_.offset());
            handed_out_ = run.size;
            documents_ = run.documents;
            return true;
        }
        input_.consume(run.size);
    }
    return false;
}

} // namespace mongoferry::source

/*
 * Inputs for tests of file formats: bytes in memory, given in pieces of a chosen size, optionally with a fault at their
 * end.
 */
#pragma once

#include "source/file/document_reader.h"
#include "source/file/input.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace mongoferry::test {

class MemoryInput : public source::Input {
public:
    explicit MemoryInput(std::string bytes, size_t piece = SIZE_MAX, bool fault = false)
        : bytes_(std::move(bytes)), piece_(piece), fault_(fault) {}

    size_t read(uint8_t *to, size_t capacity) override {
        size_t count = std::min({capacity, piece_, bytes_.size() - position_});
        if (count == 0 && fault_)
            throw source::Damage(static_cast<int64_t>(position_), "A planted fault.");
        memcpy(to, bytes_.data() + position_, count);
        position_ += count;
        return count;
    }
    int64_t go_near(int64_t offset) override {
        if (!can_go_)
            return -1;
        position_ = std::min(static_cast<size_t>(offset), bytes_.size());
        return static_cast<int64_t>(position_);
    }
    size_t position() const { return position_; }
    void let_go() { can_go_ = true; }

private:
    std::string bytes_;
    size_t piece_;
    bool fault_;
    bool can_go_ = false;
    size_t position_ = 0;
};

/* A document with one binary field, `size` bytes long as a whole (at least 13). */
inline std::string document_of_size(size_t size, char fill = 'x') {
    std::string document(size, fill);
    int32_t length = static_cast<int32_t>(size), payload = static_cast<int32_t>(size - 13);
    memcpy(document.data(), &length, 4);
    memcpy(document.data() + 4,
           "\x05"
           "b\0",
           3);
    memcpy(document.data() + 7, &payload, 4);
    document[11] = 0;
    document[size - 1] = 0;
    return document;
}

/* What a reader gave before it ended. */
struct Outcome {
    std::vector<std::string> documents;
    std::string damage; /* empty: the proper end */
    int64_t damage_offset = -1;
    int64_t damage_line = 0;

    std::string bytes() const {
        std::string all;
        for (const std::string &document : documents)
            all += document;
        return all;
    }
};

inline Outcome read_all(source::DocumentReader &reader) {
    Outcome outcome;
    try {
        source::Batch batch;
        while (reader.next_batch(&batch)) {
            size_t before = outcome.documents.size();
            bson::View document;
            while (batch.next(&document))
                outcome.documents.emplace_back(reinterpret_cast<const char *>(document.data), document.size);
            if (outcome.documents.size() - before != static_cast<size_t>(reader.documents()))
                outcome.damage = "the reader's count of documents is wrong";
        }
    } catch (const source::Damage &damage) {
        outcome.damage = damage.what();
        outcome.damage_offset = damage.offset;
        outcome.damage_line = damage.line;
    }
    return outcome;
}

/* Where a reader says that the documents lie. */
inline std::vector<source::DocumentStart> all_starts(source::DocumentReader &reader) {
    std::vector<source::DocumentStart> all, some;
    while (reader.next_starts(&some))
        all.insert(all.end(), some.begin(), some.end());
    return all;
}

} // namespace mongoferry::test

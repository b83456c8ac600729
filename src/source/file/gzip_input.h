/*
 * Decompression of gzip (RFC 1952) over another Input, by zlib. Several members in a row are one content, as gzip has
 * it. Pure C++.
 */
#pragma once

#include "source/file/input.h"

#include <memory>

namespace mongoferry::source {

/* True if the bytes begin as gzip does: its magic number, deflate as the method, no unknown flags. */
bool is_gzip(const uint8_t *bytes, size_t size) noexcept;

class GzipInput : public Input {
public:
    /* The compressed input must outlive this. */
    explicit GzipInput(Input &compressed);
    ~GzipInput() override;
    /* Damage is told with the offset of the decompressed byte that could not be had. */
    size_t read(uint8_t *to, size_t capacity) override;
    /* Goes to the mark before `offset`, or to the start, unless it is nearer already. */
    int64_t go_near(int64_t offset) override;
    /* From now on zlib's state is copied now and then, so that going back costs about as much as was read since: few
     * marks (40 kB each) far away, more of them near. Of use only if the compressed input can go back. */
    void keep_marks() noexcept;

    /* How many times as long the content is as its compressed form, from what was read so far. */
    double expansion() const noexcept;

private:
    struct State; /* of zlib */
    [[noreturn]] void damaged(const std::string &detail) const;
    bool refill();
    bool next_member();
    void set_mark();
    void thin_out_marks();

    Input &compressed_;
    std::unique_ptr<State> state_;
    int64_t compressed_bytes_ = 0;
    int64_t decompressed_bytes_ = 0;
    bool between_members_ = true;
    bool first_member_ = true;
    int64_t mark_due_ = -1; /* at this decompressed byte; -1: none is wanted */
};

} // namespace mongoferry::source

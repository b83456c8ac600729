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

    /* How many times as long the content is as its compressed form, from what was read so far. */
    double expansion() const noexcept;

private:
    struct State; /* of zlib */
    [[noreturn]] void damaged(const std::string &detail) const;
    bool refill();
    bool next_member();

    Input &compressed_;
    std::unique_ptr<State> state_;
    int64_t compressed_bytes_ = 0;
    int64_t decompressed_bytes_ = 0;
    bool between_members_ = true;
    bool first_member_ = true;
};

} // namespace mongoferry::source

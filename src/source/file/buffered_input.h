/*
 * A window on an Input: the bytes that are being looked at lie in one piece, and are handed out without a copy.
 *
 * Pure C++. The window grows beyond its usual size only for something that is longer, up to what the caller asks for.
 */
#pragma once

#include "source/file/input.h"

#include <memory>

namespace mongoferry::source {

class BufferedInput {
public:
    static constexpr size_t usual_capacity = 256 * 1024; /* what stays in a second-level cache */

    /* The input must outlive this. */
    explicit BufferedInput(Input &input, size_t capacity = usual_capacity);

    const uint8_t *data() const noexcept { return buffer_.get() + begin_; }
    size_t available() const noexcept { return end_ - begin_; }
    /* Of data() in the input, in bytes from its start. */
    int64_t offset() const noexcept { return offset_; }

    /* Makes at least `size` bytes available; false if the input ends before. Moves what is in the window: pointers into
     * it are void. Throws what the input throws; what was available before then still is. */
    bool fill(size_t size);
    /* Goes on by `size` bytes, which must be available. Pointers stay valid until the next fill(). */
    void consume(size_t size) noexcept {
        begin_ += size;
        offset_ += static_cast<int64_t>(size);
    }

    /* Goes back or forth to a byte, as the input has it: at once, or by reading what lies between. False if the input
     * ends before, or can't go back. Pointers into the window are void. */
    bool go_to(int64_t offset);

private:
    void make_room(size_t size);

    Input &input_;
    std::unique_ptr<uint8_t[]> buffer_;
    size_t capacity_;
    size_t begin_ = 0;
    size_t end_ = 0;
    int64_t offset_ = 0;
    bool at_end_ = false;
};

} // namespace mongoferry::source

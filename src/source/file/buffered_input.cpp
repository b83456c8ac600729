/* See buffered_input.h. */
#include "source/file/buffered_input.h"

#include <algorithm>
#include <cstring>

namespace mongoferry::source {

BufferedInput::BufferedInput(Input &input, size_t capacity)
    : input_(input), buffer_(new uint8_t[capacity]), capacity_(capacity) {}

void BufferedInput::make_room(size_t size) {
    size_t kept = available();
    if (size > capacity_) {
        /* Doubling, so that something long whose size is not known beforehand is not copied over and over. */
        size_t capacity = capacity_;
        while (capacity < size)
            capacity *= 2;
        std::unique_ptr<uint8_t[]> larger(new uint8_t[capacity]);
        memcpy(larger.get(), data(), kept);
        buffer_ = std::move(larger);
        capacity_ = capacity;
    } else if (begin_ > 0) {
        memmove(buffer_.get(), data(), kept);
    }
    begin_ = 0;
    end_ = kept;
}

bool BufferedInput::fill(size_t size) {
    if (available() >= size)
        return true;
    make_room(size);
    while (!at_end_ && available() < size) {
        size_t count = input_.read(buffer_.get() + end_, capacity_ - end_);
        end_ += count;
        at_end_ = count == 0;
    }
    return available() >= size;
}

bool BufferedInput::go_to(int64_t offset) {
    const int64_t window_start = offset_ - static_cast<int64_t>(begin_);
    if (offset >= window_start && offset <= offset_ + static_cast<int64_t>(available())) {
        begin_ = static_cast<size_t>(offset - window_start);
        offset_ = offset;
        return true;
    }
    const int64_t reached = input_.go_near(offset);
    if (reached >= 0) {
        begin_ = end_ = 0;
        offset_ = reached;
        at_end_ = false;
    }
    while (offset_ < offset) {
        if (!fill(1))
            return false;
        consume(static_cast<size_t>(std::min(static_cast<int64_t>(available()), offset - offset_)));
    }
    return offset_ == offset;
}

} // namespace mongoferry::source

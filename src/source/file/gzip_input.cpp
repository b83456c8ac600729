/* See gzip_input.h. */
#include "source/file/gzip_input.h"

#include <algorithm>
#include <limits>
#include <new>

#include <zlib.h>

namespace mongoferry::source {

namespace {
constexpr size_t compressed_capacity = 128 * 1024;
constexpr int gzip_only = 16; /* added to the window's bits: zlib takes no other header */
} // namespace

struct GzipInput::State {
    z_stream stream{};
    std::unique_ptr<uint8_t[]> buffer{new uint8_t[compressed_capacity]};
};

bool is_gzip(const uint8_t *bytes, size_t size) noexcept {
    return size >= 4 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8 && (bytes[3] & 0xe0) == 0;
}

GzipInput::GzipInput(Input &compressed) : compressed_(compressed), state_(new State) {
    if (inflateInit2(&state_->stream, MAX_WBITS + gzip_only) != Z_OK)
        throw std::bad_alloc();
}

GzipInput::~GzipInput() {
    inflateEnd(&state_->stream);
}

double GzipInput::expansion() const noexcept {
    int64_t used = compressed_bytes_ - state_->stream.avail_in;
    return used > 0 ? static_cast<double>(decompressed_bytes_) / static_cast<double>(used) : 1;
}

void GzipInput::damaged(const std::string &detail) const {
    throw Damage(decompressed_bytes_, detail);
}

/* More compressed bytes; false at their end. */
bool GzipInput::refill() {
    z_stream &stream = state_->stream;
    size_t count = compressed_.read(state_->buffer.get(), compressed_capacity);
    stream.next_in = state_->buffer.get();
    stream.avail_in = static_cast<uInt>(count);
    compressed_bytes_ += static_cast<int64_t>(count);
    return count > 0;
}

/* Begins another member; false if there is none. */
bool GzipInput::next_member() {
    z_stream &stream = state_->stream;
    if (stream.avail_in == 0 && !refill()) {
        if (first_member_)
            damaged("The gzip data is empty.");
        return false;
    }
    if (!first_member_ && *stream.next_in != 0x1f)
        damaged("The gzip data is followed by something else.");
    inflateReset(&stream);
    first_member_ = between_members_ = false;
    return true;
}

size_t GzipInput::read(uint8_t *to, size_t capacity) {
    z_stream &stream = state_->stream;
    size_t asked = std::min<size_t>(capacity, std::numeric_limits<uInt>::max());
    stream.next_out = to;
    stream.avail_out = static_cast<uInt>(asked);

    /* One round of input at a time, so that the caller sees to interrupts now and then. */
    while (stream.avail_out == asked) {
        if (between_members_ && !next_member())
            return 0;
        if (stream.avail_in == 0 && !refill())
            damaged("The gzip data ends too early.");
        int result = inflate(&stream, Z_NO_FLUSH);
        if (result == Z_STREAM_END)
            between_members_ = true;
        else if (result == Z_MEM_ERROR)
            throw std::bad_alloc();
        else if (result != Z_OK && result != Z_BUF_ERROR && stream.avail_out == asked)
            damaged("The gzip data is invalid" + (stream.msg ? std::string(": ") + stream.msg : std::string()) + ".");
        /* An error behind decompressed bytes comes again at the next call: zlib stays in its state. */
    }
    size_t count = asked - stream.avail_out;
    decompressed_bytes_ += static_cast<int64_t>(count);
    return count;
}

} // namespace mongoferry::source

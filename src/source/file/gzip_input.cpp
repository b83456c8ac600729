/* See gzip_input.h. */
#include "source/file/gzip_input.h"

#include <algorithm>
#include <limits>
#include <new>
#include <vector>

#include <zlib.h>

namespace mongoferry::source {

namespace {
constexpr size_t compressed_capacity = 128 * 1024;
constexpr int64_t marks_apart = 1024 * 1024; /* at least, in decompressed bytes */
constexpr int gzip_only = 16;                /* added to the window's bits: zlib takes no other header */
} // namespace

/* Where decompression may begin again. On the heap for good: zlib's state knows where its z_stream is. */
struct Mark {
    z_stream stream{};
    int64_t compressed_bytes = 0; /* consumed up to here */
    int64_t decompressed_bytes = 0;
    bool between_members = false;

    Mark() = default;
    Mark(const Mark &) = delete;
    Mark &operator=(const Mark &) = delete;
    ~Mark() { inflateEnd(&stream); }
};

struct GzipInput::State {
    z_stream stream{};
    std::vector<std::unique_ptr<Mark>> marks; /* in the order of the content */
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

void GzipInput::keep_marks() noexcept {
    if (mark_due_ < 0)
        mark_due_ = decompressed_bytes_ + marks_apart;
}

void GzipInput::set_mark() {
    mark_due_ = decompressed_bytes_ + marks_apart;
    auto mark = std::make_unique<Mark>();
    if (inflateCopy(&mark->stream, &state_->stream) != Z_OK)
        return; /* out of memory: then there is one mark less */
    mark->compressed_bytes = compressed_bytes_ - state_->stream.avail_in;
    mark->decompressed_bytes = decompressed_bytes_;
    mark->between_members = between_members_;
    auto place = std::find_if(state_->marks.begin(), state_->marks.end(),
                              [&](const auto &other) { return other->decompressed_bytes > decompressed_bytes_; });
    state_->marks.insert(place, std::move(mark));
    thin_out_marks();
}

/* Takes out marks that have neighbours closer to each other than to where the input stands. Their number stays
 * logarithmic. */
void GzipInput::thin_out_marks() {
    auto &marks = state_->marks;
    for (size_t i = 1; i + 1 < marks.size();) {
        const int64_t before = marks[i - 1]->decompressed_bytes;
        const int64_t behind = marks[i + 1]->decompressed_bytes;
        const int64_t distance = behind < decompressed_bytes_   ? decompressed_bytes_ - behind
                                 : before > decompressed_bytes_ ? before - decompressed_bytes_
                                                                : 0;
        if (behind - before <= distance)
            marks.erase(marks.begin() + static_cast<ptrdiff_t>(i));
        else
            ++i;
    }
}

int64_t GzipInput::go_near(int64_t offset) {
    Mark *nearest = nullptr;
    for (const auto &mark : state_->marks)
        if (mark->decompressed_bytes <= offset)
            nearest = mark.get();
    const int64_t reached = nearest ? nearest->decompressed_bytes : 0;
    if (decompressed_bytes_ <= offset && decompressed_bytes_ >= reached)
        return decompressed_bytes_;

    const int64_t compressed_offset = nearest ? nearest->compressed_bytes : 0;
    if (compressed_.go_near(compressed_offset) != compressed_offset)
        return -1;
    z_stream &stream = state_->stream;
    if (nearest) {
        inflateEnd(&stream);
        if (inflateCopy(&stream, &nearest->stream) != Z_OK)
            throw std::bad_alloc();
    }
    stream.avail_in = 0;
    first_member_ = nearest == nullptr;
    between_members_ = nearest == nullptr || nearest->between_members;
    compressed_bytes_ = compressed_offset;
    decompressed_bytes_ = reached;
    if (mark_due_ >= 0)
        mark_due_ = reached + marks_apart;
    return reached;
}

size_t GzipInput::read(uint8_t *to, size_t capacity) {
    z_stream &stream = state_->stream;
    if (mark_due_ >= 0 && decompressed_bytes_ >= mark_due_)
        set_mark();
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

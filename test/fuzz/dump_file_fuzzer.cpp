/*
 * Hostile dump files: whatever the bytes are, a reader gives framed documents and ends with its proper end or with
 * Damage inside the file; and it gives the same documents in whichever pieces the bytes arrive. Where a sound file is
 * entered midway, what follows is the same; entered anywhere else, it is framed documents or Damage.
 *
 * The first byte of the input chooses the format and whether gzip is tried.
 */
#include "bson/view.h"
#include "source/file/archive.h"
#include "source/file/bson_file.h"
#include "source/file/gzip_input.h"
#include "source/file/json_file.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace mongoferry;
using namespace mongoferry::source;

class Bytes : public Input {
public:
    Bytes(const uint8_t *bytes, size_t size, size_t piece) : bytes_(bytes), size_(size), piece_(piece) {}
    size_t read(uint8_t *to, size_t capacity) override {
        size_t count = std::min({capacity, size_ - position_, piece_});
        if (count > 0)
            memcpy(to, bytes_ + position_, count);
        position_ += count;
        return count;
    }
    int64_t go_near(int64_t offset) override {
        position_ = std::min(static_cast<size_t>(offset), size_);
        return static_cast<int64_t>(position_);
    }

private:
    const uint8_t *bytes_;
    size_t size_;
    size_t piece_;
    size_t position_ = 0;
};

void require(bool condition) {
    if (!condition)
        abort();
}

/* A reader over the bytes, and what it needs. */
struct Opened {
    Opened(const uint8_t *bytes, size_t size, unsigned format, bool is_gzipped, size_t piece, size_t batch_size)
        : file(bytes, size, piece) {
        if (is_gzipped) {
            gzip = std::make_unique<GzipInput>(file);
            gzip->keep_marks();
        }
        Input &input = gzip ? static_cast<Input &>(*gzip) : file;
        if (format == 0)
            reader = std::make_unique<BsonFileReader>(input, batch_size);
        else if (format == 1)
            reader = std::make_unique<ArchiveReader>(input, "d", "c");
        else
            reader = std::make_unique<JsonFileReader>(input, batch_size);
    }

    Bytes file;
    std::unique_ptr<GzipInput> gzip;
    std::unique_ptr<DocumentReader> reader;
};

struct Result {
    std::vector<std::string> documents;
    bool is_sound = false;
    std::string fault; /* with its offset */
    bool operator==(const Result &) const = default;
};

/* What is left for the reader to give. */
Result read_rest(Opened &opened, size_t size) {
    Result result;
    try {
        Batch batch;
        while (opened.reader->next_batch(&batch)) {
            const size_t before = result.documents.size();
            bson::View document;
            while (batch.next(&document)) {
                require(bson::is_framed(document));
                result.documents.emplace_back(reinterpret_cast<const char *>(document.data), document.size);
            }
            const size_t count = result.documents.size() - before;
            require(count > 0 && static_cast<int64_t>(count) == opened.reader->documents());
        }
        result.is_sound = true;
    } catch (const Damage &damage) {
        require(damage.offset >= 0 && (opened.gzip || damage.offset <= static_cast<int64_t>(size)));
        if (!opened.gzip)
            result.fault = std::to_string(damage.offset) + damage.what();
    }
    return result;
}

/* Enters a sound file at the documents, the last first, so that the reader goes back each time. */
void enter_midway(Opened &opened, size_t size, const Result &whole) {
    opened.reader->enter({});
    std::vector<DocumentStart> starts, some;
    while (opened.reader->next_starts(&some))
        starts.insert(starts.end(), some.begin(), some.end());
    require(starts.size() == whole.documents.size());
    const size_t step = starts.size() / 8 + 1;
    for (size_t i = starts.size(); i > 0; i -= std::min(i, step)) {
        const DocumentStart &start = starts[i - 1];
        opened.reader->enter({start.offset, i < starts.size() ? starts[i].offset : -1, start.block});
        const Result one = read_rest(opened, size);
        require(one.is_sound && one.documents.size() == 1 && one.documents[0] == whole.documents[i - 1]);
    }
}

/* Enters the file where nothing may be. */
void enter_anywhere(Opened &opened, size_t size, int64_t first, int64_t end, int64_t block) {
    try {
        opened.reader->enter({first, end, block});
        read_rest(opened, size);
        opened.reader->enter({first, end, block});
        std::vector<DocumentStart> starts;
        while (opened.reader->next_starts(&starts))
            require(!starts.empty());
    } catch (const Damage &) {
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    unsigned format = data[0] % 3;
    bool gzipped = (data[0] & 0x80) != 0;
    const uint8_t *bytes = data + 1;
    --size;
    Opened opened(bytes, size, format, gzipped, SIZE_MAX, BufferedInput::usual_capacity);
    const Result whole = read_rest(opened, size);
    Opened in_pieces(bytes, size, format, gzipped, 1 + data[0] % 7, 16);
    const Result pieces = read_rest(in_pieces, size);
    require(gzipped || whole == pieces);
    if (whole.is_sound)
        enter_midway(in_pieces, size, whole);
    if (size >= 3)
        enter_anywhere(opened, size, bytes[0] * 3, bytes[1] < 128 ? -1 : bytes[1] * 3,
                       std::min(bytes[2], bytes[0]) - 1);
    return 0;
}

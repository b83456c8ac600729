/*
 * Hostile dump files: whatever the bytes are, a reader gives framed documents and ends with its proper end or with
 * Damage inside the file; and it gives the same documents in whichever pieces the bytes arrive.
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

namespace {

using namespace mongoferry;
using namespace mongoferry::source;

class Bytes : public Input {
public:
    Bytes(const uint8_t *bytes, size_t size, size_t piece) : bytes_(bytes), left_(size), piece_(piece) {}
    size_t read(uint8_t *to, size_t capacity) override {
        size_t count = std::min({capacity, left_, piece_});
        if (count > 0)
            memcpy(to, bytes_, count);
        bytes_ += count;
        left_ -= count;
        return count;
    }

private:
    const uint8_t *bytes_;
    size_t left_;
    size_t piece_;
};

void require(bool condition) {
    if (!condition)
        abort();
}

/* All documents in a row, and how it ended. */
std::string read(const uint8_t *bytes, size_t size, unsigned format, bool gzipped, size_t piece, size_t batch_size) {
    std::string result;
    Bytes file(bytes, size, piece);
    std::unique_ptr<GzipInput> gzip;
    if (gzipped)
        gzip = std::make_unique<GzipInput>(file);
    Input &input = gzip ? static_cast<Input &>(*gzip) : file;
    std::unique_ptr<DocumentReader> reader;
    if (format == 0)
        reader = std::make_unique<BsonFileReader>(input, batch_size);
    else if (format == 1)
        reader = std::make_unique<ArchiveReader>(input, "d", "c");
    else
        reader = std::make_unique<JsonFileReader>(input, batch_size);
    try {
        Batch batch;
        while (reader->next_batch(&batch)) {
            int64_t count = 0;
            bson::View document;
            while (batch.next(&document)) {
                require(bson::is_framed(document));
                result.append(reinterpret_cast<const char *>(document.data), document.size);
                ++count;
            }
            require(count > 0 && count == reader->documents());
        }
        result += "end";
    } catch (const Damage &damage) {
        require(damage.offset >= 0 && (gzipped || damage.offset <= static_cast<int64_t>(size)));
        if (!gzipped)
            result += std::to_string(damage.offset) + damage.what();
    }
    return result;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    unsigned format = data[0] % 3;
    bool gzipped = (data[0] & 0x80) != 0;
    std::string whole = read(data + 1, size - 1, format, gzipped, SIZE_MAX, BufferedInput::usual_capacity);
    std::string pieces = read(data + 1, size - 1, format, gzipped, 1 + data[0] % 7, 16);
    require(gzipped || whole == pieces);
    return 0;
}

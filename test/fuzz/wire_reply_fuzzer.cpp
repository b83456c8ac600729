/*
 * Hostile servers: a whole message as it may come from the network, through the checks that stand before the driver and
 * then through the reader of the batch. What they accept can be walked to its end.
 */
#include "source/live/cursor_reply.h"
#include "source/live/wire_message.h"
#include "source/source.h"

#include <cstdlib>
#include <vector>

using namespace mongoferry;
using namespace mongoferry::source::live;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < MessageHeader::size)
        return 0;
    MessageHeader header = read_header(data);
    if (check_reply_header(header, header.response_to, header.opcode == opcode_reply ? opcode_query : opcode_msg))
        return 0;

    std::vector<uint8_t> message(data, data + size);
    if (header.opcode == opcode_compressed) {
        /* Beyond this the fuzzer would only measure the memory. */
        constexpr int32_t most = 1 << 20;
        if (size >= MessageHeader::size + 8 && bson::load_int32(data + MessageHeader::size + 4) > most)
            return 0;
        std::vector<uint8_t> uncompressed;
        if (decompress_reply(data, size, &uncompressed))
            return 0;
        message.swap(uncompressed);
        header = read_header(message.data());
    }
    const uint8_t *body = message.data() + MessageHeader::size;
    const size_t body_size = message.size() - MessageHeader::size;
    if (check_reply_body(header.opcode, body, body_size) || header.opcode != opcode_msg)
        return 0;

    CursorReply reply;
    if (read_cursor_reply({body + 5, body_size - 5}, &reply))
        return 0;
    source::Batch batch;
    batch.layout = source::Batch::Layout::array;
    batch.position = reply.first;
    batch.end = reply.end;
    bson::View document;
    int64_t documents = 0;
    while (batch.next(&document)) {
        ++documents;
        if (!bson::is_framed(document))
            abort();
    }
    if (documents != reply.documents || batch.position != reply.end)
        abort();
    return 0;
}

/*
 * The outside of MongoDB's wire protocol: what a reply must look like before the driver is allowed to see it.
 *
 * The driver trusts its server: libmongoc 1.23 reads past the end of a reply whose sections lie about their size, takes
 * an OP_REPLY for an OP_MSG, allocates whatever size the server names, and aborts the process on an error code of 0.
 * A hostile or broken server must not be able to do that to a backend, so every message passes through here first.
 *
 * Pure C++ (no backend header, no driver header), so that unit tests and fuzzers link it alone.
 *
 * Source of the format: MongoDB manual, "MongoDB Wire Protocol"; compression: the specification "Wire Compression in
 * Drivers" (OP_COMPRESSED).
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mongoferry::source::live {

struct MessageHeader {
    static constexpr size_t size = 16;

    int32_t length;      /* of the whole message, this header included */
    int32_t request_id;  /* of this message */
    int32_t response_to; /* request_id of what it answers */
    int32_t opcode;
};

enum : int32_t {
    opcode_reply = 1,
    opcode_query = 2004,
    opcode_compressed = 2012,
    opcode_msg = 2013,
};

/* MongoDB's limit for a message is 48,000,000 bytes; a reply holds at most 16 MB of documents and a bit. */
constexpr int32_t message_length_limit = 48'000'000;

MessageHeader read_header(const uint8_t bytes[MessageHeader::size]) noexcept;

/* Checks a reply's header against the request that it answers (request_id and opcode as sent). Returns what is wrong,
 * or NULL. */
const char *check_reply_header(const MessageHeader &header, int32_t request_id, int32_t request_opcode) noexcept;

/* Checks what follows the header of a reply (OP_MSG or OP_REPLY): one document, well framed down to its leaves (the
 * batch of a cursor excepted, which the reader of the batch checks), and nothing that the driver asserts on. Returns
 * what is wrong, or NULL. */
const char *check_reply_body(int32_t opcode, const uint8_t *body, size_t size) noexcept;

/* Turns an OP_COMPRESSED reply (compressor zlib or none) into the message that it carries. Returns what is wrong, or
 * NULL. May throw std::bad_alloc. */
const char *decompress_reply(const uint8_t *message, size_t size, std::vector<uint8_t> *result);

} // namespace mongoferry::source::live

/* See wire_message.h. */
#include "source/live/wire_message.h"

#include "bson/view.h"

#include <zlib.h>

#include <cstring>
#include <string_view>

namespace mongoferry::source::live {

/* After the header of an OP_REPLY: flags, cursor id, starting position, number of documents. */
constexpr size_t reply_prefix_size = 4 + 8 + 4 + 4;
/* After the header of an OP_MSG: flags, kind of the first section. */
constexpr size_t msg_prefix_size = 4 + 1;
/* After the header of an OP_COMPRESSED: original opcode, uncompressed size, compressor. */
constexpr size_t compressed_prefix_size = MessageHeader::size + 4 + 4 + 1;
constexpr uint8_t compressor_none = 0;
constexpr uint8_t compressor_zlib = 2;

/* More than any reply of a server nests outside of the documents of a batch. */
constexpr int nesting_limit = 32;

MessageHeader read_header(const uint8_t bytes[MessageHeader::size]) noexcept {
    return {bson::load_int32(bytes), bson::load_int32(bytes + 4), bson::load_int32(bytes + 8),
            bson::load_int32(bytes + 12)};
}

const char *check_reply_header(const MessageHeader &header, int32_t request_id, int32_t request_opcode) noexcept {
    if (header.length <= static_cast<int32_t>(MessageHeader::size) || header.length > message_length_limit)
        return "a reply's length is out of bounds";
    if (header.response_to != request_id)
        return "a reply answers another request than the one that was sent";
    if (request_opcode == opcode_query ? header.opcode != opcode_reply
                                       : header.opcode != opcode_msg && header.opcode != opcode_compressed)
        return "a reply is of the wrong kind";
    return nullptr;
}

/* An error code as the driver reads it must not come out as 0, or its assertion ends the process. */
static bool is_usable_code(const bson::Value &value) noexcept {
    switch (value.type) {
    case bson::Type::int32:
        return bson::load_int32(value.bytes) > 0;
    case bson::Type::int64: {
        const int64_t code = bson::load_int64(value.bytes);
        return code > 0 && code <= INT32_MAX;
    }
    case bson::Type::float64: {
        const double code = bson::load_float64(value.bytes);
        return code >= 1 && code <= INT32_MAX;
    }
    case bson::Type::decimal128:
        return false;
    default:
        return true;
    }
}

static bool holds_only_strings(bson::View document) noexcept {
    bson::Iterator iterator(document);
    while (iterator.next())
        if (iterator.type() != bson::Type::string)
            return false;
    return !iterator.failed();
}

/* Fields whose type the driver takes for granted: of the answer to its greeting, of the steps of authentication, and
 * of what servers add to any reply. */
static bool has_expected_type(std::string_view key, const bson::Value &value) noexcept {
    struct Expectation {
        std::string_view key;
        bson::Type type;
        bool of_strings = false; /* an object or array of nothing else */
    };
    static constexpr Expectation expectations[] = {
        {"speculativeAuthenticate", bson::Type::object},
        {"conversationId", bson::Type::int32},
        {"payload", bson::Type::binary},
        {"done", bson::Type::boolean},
        {"$clusterTime", bson::Type::object},
        {"hosts", bson::Type::array, true},
        {"passives", bson::Type::array, true},
        {"arbiters", bson::Type::array, true},
        {"compression", bson::Type::array, true},
        {"saslSupportedMechs", bson::Type::array, true},
        {"errorLabels", bson::Type::array, true},
        {"tags", bson::Type::object, true},
        {"writeConcernError", bson::Type::object},
    };
    for (const Expectation &expectation : expectations)
        if (key == expectation.key)
            return value.type == expectation.type &&
                   (!expectation.of_strings || holds_only_strings(bson::document_of(value)));
    return true;
}

static bool has_expected_types(bson::View document) noexcept {
    bson::Iterator iterator(document);
    while (iterator.next())
        if (!has_expected_type(iterator.key(), iterator.value()))
            return false;
    return true;
}

static const char *check_reply_document(bson::View document) noexcept {
    constexpr const char *corrupt = "a reply's document is corrupt";
    constexpr const char *wrong_type = "a reply's field is of the wrong type";
    if (!bson::is_framed(document))
        return corrupt;
    bson::Iterator iterator(document);
    while (iterator.next()) {
        const bson::Value &value = iterator.value();
        if (!has_expected_type(iterator.key(), value))
            return wrong_type;
        if (iterator.key() == std::string_view("speculativeAuthenticate") &&
            !has_expected_types(bson::document_of(value)))
            return wrong_type;
        const bool nested = value.type == bson::Type::object || value.type == bson::Type::array;
        /* The batch is big, the driver does not look into it, and who reads it checks it. */
        if (nested && iterator.key() != std::string_view("cursor") &&
            bson::find_fault(bson::document_of(value), nesting_limit - 1))
            return corrupt;
        if (iterator.key() == std::string_view("code") && !is_usable_code(value))
            return "a reply's error code is out of bounds";
        if (iterator.key() == std::string_view("writeConcernError") && value.type == bson::Type::object) {
            bson::Value code;
            if (bson::find(bson::document_of(value), "code", &code) && !is_usable_code(code))
                return "a reply's error code is out of bounds";
        }
    }
    return iterator.failed() ? corrupt : nullptr;
}

const char *check_reply_body(int32_t opcode, const uint8_t *body, size_t size) noexcept {
    if (opcode == opcode_reply) {
        if (size < reply_prefix_size + 5)
            return "a reply is too short";
        if (bson::load_int32(body + reply_prefix_size - 4) != 1)
            return "a reply does not consist of one document";
        return check_reply_document({body + reply_prefix_size, size - reply_prefix_size});
    }
    if (opcode != opcode_msg)
        return "a reply is of the wrong kind";
    if (size < msg_prefix_size + 5)
        return "a reply is too short";
    /* No checksum (a server adds one only to what came with one), no "more to come", and no required flag that we
     * do not know: the lower 16 bits are the required ones. */
    if ((static_cast<uint32_t>(bson::load_int32(body)) & 0xFFFF) != 0)
        return "a reply has flags that were not asked for";
    if (body[msg_prefix_size - 1] != 0)
        return "a reply does not begin with its body";
    return check_reply_document({body + msg_prefix_size, size - msg_prefix_size});
}

const char *decompress_reply(const uint8_t *message, size_t size, std::vector<uint8_t> *result) {
    if (size < compressed_prefix_size)
        return "a compressed reply is too short";
    const int32_t original_opcode = bson::load_int32(message + MessageHeader::size);
    const int32_t uncompressed_size = bson::load_int32(message + MessageHeader::size + 4);
    const uint8_t compressor = message[compressed_prefix_size - 1];
    if (original_opcode != opcode_msg)
        return "a compressed reply is of the wrong kind";
    if (uncompressed_size <= 0 || uncompressed_size > message_length_limit - static_cast<int32_t>(MessageHeader::size))
        return "a compressed reply's length is out of bounds";

    const uint8_t *data = message + compressed_prefix_size;
    const size_t data_size = size - compressed_prefix_size;
    result->resize(MessageHeader::size + static_cast<size_t>(uncompressed_size));
    uint8_t *target = result->data() + MessageHeader::size;
    if (compressor == compressor_zlib) {
        uLongf target_size = static_cast<uLongf>(uncompressed_size);
        if (uncompress(target, &target_size, data, data_size) != Z_OK ||
            target_size != static_cast<uLongf>(uncompressed_size))
            return "a compressed reply is corrupt";
    } else if (compressor == compressor_none) {
        if (data_size != static_cast<size_t>(uncompressed_size))
            return "a compressed reply is corrupt";
        memcpy(target, data, data_size);
    } else {
        return "a reply is compressed by a method that was not offered";
    }

    const int32_t length = static_cast<int32_t>(result->size());
    memcpy(result->data(), &length, 4);
    memcpy(result->data() + 4, message + 4, 8); /* request_id, response_to */
    memcpy(result->data() + 12, &original_opcode, 4);
    return nullptr;
}

} // namespace mongoferry::source::live

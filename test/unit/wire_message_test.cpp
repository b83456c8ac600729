/*
 * Replies of a server, sound and not: what the driver may see of them, and the batch in them.
 */
#include "bson/builder.h"
#include "raw_bson.h"
#include "source/live/cursor_reply.h"
#include "source/live/wire_message.h"

#include <gtest/gtest.h>
#include <zlib.h>

namespace {

using namespace mongoferry;
using namespace mongoferry::source::live;
using mongoferry::test::raw;
using mongoferry::test::raw_document;
using mongoferry::test::raw_element;
using mongoferry::test::raw_text;

constexpr int32_t request = 77;

const uint8_t *bytes(const std::string &text) {
    return reinterpret_cast<const uint8_t *>(text.data());
}

std::string header(int32_t length, int32_t response_to, int32_t opcode) {
    return raw(length) + raw(int32_t{1}) + raw(response_to) + raw(opcode);
}

const char *check_header(int32_t length, int32_t response_to, int32_t opcode, int32_t request_opcode = opcode_msg) {
    return check_reply_header(read_header(bytes(header(length, response_to, opcode))), request, request_opcode);
}

TEST(WireMessage, HeadersThatFit) {
    EXPECT_EQ(check_header(26, request, opcode_msg), nullptr);
    EXPECT_EQ(check_header(message_length_limit, request, opcode_msg), nullptr);
    EXPECT_EQ(check_header(26, request, opcode_compressed), nullptr);
    EXPECT_EQ(check_header(41, request, opcode_reply, opcode_query), nullptr);
    EXPECT_EQ(check_header(26, request, opcode_msg, opcode_compressed), nullptr);
}

TEST(WireMessage, HeadersThatDoNot) {
    for (int32_t length : {INT32_MIN, -1, 0, 15, 16, message_length_limit + 1, INT32_MAX})
        EXPECT_NE(check_header(length, request, opcode_msg), nullptr) << length;
    EXPECT_NE(check_header(26, request + 1, opcode_msg), nullptr);
    EXPECT_NE(check_header(41, request, opcode_reply), nullptr) << "an OP_REPLY to an OP_MSG";
    EXPECT_NE(check_header(26, request, opcode_msg, opcode_query), nullptr) << "an OP_MSG to an OP_QUERY";
    EXPECT_NE(check_header(26, request, 1, opcode_compressed), nullptr);
    EXPECT_NE(check_header(26, request, 99), nullptr);
}

const char *check_msg(const std::string &body) {
    return check_reply_body(opcode_msg, bytes(body), body.size());
}
std::string msg(const std::string &document, uint32_t flags = 0, char kind = 0) {
    return raw(flags) + kind + document;
}

const std::string ok = raw_element(0x01, "ok", raw(1.0));
const char *check_document(const std::string &elements) {
    return check_msg(msg(raw_document(elements + ok)));
}

TEST(WireMessage, Bodies) {
    EXPECT_EQ(check_document(""), nullptr);
    const std::string document = raw_document(ok);
    EXPECT_EQ(check_msg(msg(document, 1u << 16)), nullptr) << "an optional flag";
    for (unsigned bit = 0; bit < 16; ++bit)
        EXPECT_NE(check_msg(msg(document, 1u << bit)), nullptr) << "the required flag " << bit;
    EXPECT_NE(check_msg(msg(document, 0, 1)), nullptr);
    EXPECT_NE(check_msg(msg(document + document)), nullptr);
    EXPECT_NE(check_msg(msg(document + '\0')), nullptr);
    for (size_t size = 0; size < msg(document).size(); ++size)
        EXPECT_NE(check_msg(msg(document).substr(0, size)), nullptr) << size;
    EXPECT_NE(check_reply_body(opcode_compressed, bytes(document), document.size()), nullptr);
}

TEST(WireMessage, LegacyReplies) {
    auto check = [](const std::string &body) { return check_reply_body(opcode_reply, bytes(body), body.size()); };
    auto prefix = [](int32_t count) { return raw(int32_t{8}) + raw(int64_t{0}) + raw(int32_t{0}) + raw(count); };
    const std::string document = raw_document(ok);
    EXPECT_EQ(check(prefix(1) + document), nullptr);
    EXPECT_NE(check(prefix(0)), nullptr);
    EXPECT_NE(check(prefix(0) + document), nullptr);
    EXPECT_NE(check(prefix(2) + document + document), nullptr);
    EXPECT_NE(check(prefix(1) + document.substr(0, document.size() - 1)), nullptr);
}

TEST(WireMessage, CorruptInsides) {
    const std::string bad = raw_element(0x10, "a", "xy"); /* an int32 of two bytes */
    EXPECT_NE(check_document(raw_element(0x03, "o", raw_document(bad))), nullptr);
    EXPECT_NE(check_document(raw_element(0x04, "o", raw_document(raw_element(0x03, "0", raw_document(bad))))), nullptr);
    EXPECT_EQ(
        check_document(raw_element(0x03, "cursor", raw_document(raw_element(0x04, "firstBatch", raw_document(bad))))),
        nullptr)
        << "the reader of the batch checks it";
    std::string deep = raw_document();
    for (int level = 0; level < 100; ++level)
        deep = raw_document(raw_element(0x03, "a", deep));
    EXPECT_NE(check_document(raw_element(0x03, "o", deep)), nullptr);
}

TEST(WireMessage, ErrorCodesThatTheDriverAssertsOn) {
    for (const std::string &code :
         {raw_element(0x10, "code", raw(int32_t{0})), raw_element(0x10, "code", raw(int32_t{-1})),
          raw_element(0x12, "code", raw(int64_t{1} << 32)), raw_element(0x01, "code", raw(0.5)),
          raw_element(0x01, "code", raw(std::numeric_limits<double>::quiet_NaN())),
          raw_element(0x01, "code", raw(1e300)), raw_element(0x13, "code", std::string(16, '\0'))}) {
        EXPECT_NE(check_document(code), nullptr);
        EXPECT_NE(check_document(raw_element(0x03, "writeConcernError", raw_document(code))), nullptr);
    }
    for (const std::string &code :
         {raw_element(0x10, "code", raw(int32_t{43})), raw_element(0x12, "code", raw(int64_t{43})),
          raw_element(0x01, "code", raw(43.0)), raw_element(0x02, "code", raw_text("43"))})
        EXPECT_EQ(check_document(code), nullptr);
}

TEST(WireMessage, TypesThatTheDriverTakesForGranted) {
    const std::string number = raw(int32_t{1});
    for (const char *key : {"hosts", "passives", "arbiters", "compression", "saslSupportedMechs", "errorLabels"}) {
        EXPECT_NE(check_document(raw_element(0x10, key, number)), nullptr) << key;
        EXPECT_NE(check_document(raw_element(0x04, key, raw_document(raw_element(0x10, "0", number)))), nullptr) << key;
        EXPECT_EQ(check_document(raw_element(0x04, key, raw_document(raw_element(0x02, "0", raw_text("a"))))), nullptr)
            << key;
    }
    for (const char *key :
         {"speculativeAuthenticate", "conversationId", "payload", "done", "$clusterTime", "tags", "writeConcernError"})
        EXPECT_NE(check_document(raw_element(0x02, key, raw_text("a"))), nullptr) << key;
    EXPECT_NE(check_document(
                  raw_element(0x03, "speculativeAuthenticate", raw_document(raw_element(0x10, "payload", number)))),
              nullptr);
}

std::string compressed(const std::string &body, char compressor, int32_t size, int32_t opcode = opcode_msg) {
    std::string data = body;
    if (compressor == 2) {
        uLongf packed_size = compressBound(body.size());
        data.resize(packed_size);
        compress(reinterpret_cast<Bytef *>(data.data()), &packed_size, bytes(body), body.size());
        data.resize(packed_size);
    }
    return header(0, request, opcode_compressed) + raw(opcode) + raw(size) + compressor + data;
}

TEST(WireMessage, Decompression) {
    const std::string body = msg(raw_document(ok));
    const int32_t size = static_cast<int32_t>(body.size());
    std::vector<uint8_t> result;
    auto unpack = [&](const std::string &message) { return decompress_reply(bytes(message), message.size(), &result); };
    for (char compressor : {'\0', '\2'}) {
        ASSERT_EQ(unpack(compressed(body, compressor, size)), nullptr);
        EXPECT_EQ(std::string(result.begin(), result.end()),
                  raw(size + 16) + raw(int32_t{1}) + raw(request) + raw(opcode_msg) + body);
        for (int32_t lie : {size - 1, size + 1, 0, -1, INT32_MIN, INT32_MAX})
            EXPECT_NE(unpack(compressed(body, compressor, lie)), nullptr) << lie;
        EXPECT_NE(unpack(compressed(body, compressor, size, opcode_reply)), nullptr);
        EXPECT_NE(unpack(compressed(body, compressor, size, opcode_compressed)), nullptr);
    }
    EXPECT_NE(unpack(compressed(body, '\1', size)), nullptr);
    EXPECT_NE(unpack(compressed(body, '\3', size)), nullptr);
    EXPECT_NE(unpack(compressed(body, '\2', size).substr(0, 24)), nullptr);
}

const std::string one = raw_document(raw_element(0x10, "_id", raw(int32_t{1})));

std::string cursor(const std::string &id, const std::string &batch) {
    return raw_document(raw_element(0x03, "cursor", raw_document(id + batch)));
}
std::string id_of(int64_t id) {
    return raw_element(0x12, "id", raw(id));
}

const char *read(const std::string &reply, CursorReply *result) {
    return read_cursor_reply({bytes(reply), reply.size()}, result);
}

TEST(CursorReply, Batches) {
    for (const char *key : {"firstBatch", "nextBatch"}) {
        const std::string reply = cursor(
            id_of(5), raw_element(0x04, key, raw_document(raw_element(0x03, "0", one) + raw_element(0x03, "1", one))));
        CursorReply result;
        ASSERT_EQ(read(reply, &result), nullptr);
        EXPECT_EQ(result.cursor_id, 5);
        EXPECT_EQ(result.documents, 2);
        EXPECT_EQ(std::string(result.first, result.end), raw_element(0x03, "0", one) + raw_element(0x03, "1", one));
    }
    CursorReply result;
    EXPECT_EQ(read(cursor(raw_element(0x10, "id", raw(int32_t{7})), raw_element(0x04, "firstBatch", raw_document())),
                   &result),
              nullptr);
    EXPECT_EQ(result.cursor_id, 7);
    EXPECT_EQ(result.documents, 0);
    EXPECT_EQ(result.first, result.end);
}

TEST(CursorReply, WhatIsRefused) {
    const std::string batch = raw_element(0x04, "firstBatch", raw_document(raw_element(0x03, "0", one)));
    auto with = [](const std::string &elements) {
        return cursor(id_of(0), raw_element(0x04, "firstBatch", raw_document(elements)));
    };
    std::string cut = one;
    cut[cut.size() - 1] = 'x';
    for (const std::string &reply :
         {raw_document(), raw_document(raw_element(0x10, "cursor", raw(int32_t{1}))), cursor("", batch),
          cursor(id_of(0), ""), cursor(raw_element(0x02, "id", raw_text("x")), batch),
          cursor(id_of(0), raw_element(0x03, "firstBatch", raw_document())),
          with(raw_element(0x10, "0", raw(int32_t{1}))), with(raw_element(0x04, "0", raw_document())),
          with(raw_element(0x03, "0", cut)),
          with(raw_element(0x03, "0", one) + raw_element(0x03, "1", raw(int32_t{4}))),
          with(raw_element(0x03, "0", raw(INT32_MAX))), with(raw_element(0x03, "0", raw(int32_t{-1})))}) {
        CursorReply result;
        EXPECT_NE(read(reply, &result), nullptr);
    }
}

} // namespace

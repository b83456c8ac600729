/*
 * BSON made byte by byte, right or wrong on purpose, and without the builder under test.
 */
#pragma once

#include "bson/view.h"

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace mongoferry::test {

template <typename Number>
std::string raw(Number number) {
    std::string bytes(sizeof number, '\0');
    memcpy(bytes.data(), &number, sizeof number);
    return bytes;
}

inline std::string raw_element(int type, std::string_view key, std::string_view payload = {}) {
    std::string bytes(1, static_cast<char>(type));
    bytes += key;
    bytes += '\0';
    bytes += payload;
    return bytes;
}

inline std::string raw_document(std::string_view elements = {}) {
    return raw(static_cast<int32_t>(elements.size() + 5)) + std::string(elements) + '\0';
}

/* The payload of a string, code or symbol. */
inline std::string raw_text(std::string_view text) {
    return raw(static_cast<int32_t>(text.size() + 1)) + std::string(text) + '\0';
}

inline std::string raw_binary(int subtype, std::string_view data) {
    return raw(static_cast<int32_t>(data.size())) + static_cast<char>(subtype) + std::string(data);
}

inline std::string raw_code_with_scope(std::string_view code, std::string_view scope) {
    const std::string inner = raw_text(code) + std::string(scope);
    return raw(static_cast<int32_t>(inner.size() + 4)) + inner;
}

/* {"k": {"k": … {}}}, with so many documents inside the outermost. */
inline std::string raw_nested_document(int depth) {
    std::string bytes;
    for (int inside = depth; inside > 0; --inside)
        bytes += raw(static_cast<int32_t>(5 + 8 * inside)) + raw_element(0x03, "k");
    return bytes + raw_document() + std::string(static_cast<size_t>(depth), '\0');
}

/* A copy on the heap of exactly this size, so that a sanitizer sees a read behind it. */
class ExactBytes {
public:
    explicit ExactBytes(std::string_view bytes) : size_(bytes.size()), data_(new uint8_t[bytes.size()]) {
        memcpy(data_.get(), bytes.data(), bytes.size());
    }
    bson::View view() const { return {data_.get(), size_}; }

private:
    size_t size_;
    std::unique_ptr<uint8_t[]> data_;
};

/* An element of each type, with the type's name as key. */
inline std::string raw_document_of_all_types() {
    const std::string object_id = "\x50\x7f\x1f\x77\xbc\xf8\x6c\xd7\x99\x43\x90\x11";
    std::string elements;
    elements += raw_element(0x01, "double", raw(1.5));
    elements += raw_element(0x02, "string", raw_text("text"));
    elements += raw_element(0x03, "object", raw_document(raw_element(0x10, "a", raw(int32_t{1}))));
    elements +=
        raw_element(0x04, "array", raw_document(raw_element(0x10, "0", raw(int32_t{1})) + raw_element(0x0A, "1")));
    elements += raw_element(0x05, "binData", raw_binary(0, "\x01\x02\x03"));
    elements += raw_element(0x05, "binData2", raw_binary(2, raw(int32_t{2}) + "\x01\x02"));
    elements += raw_element(0x06, "undefined");
    elements += raw_element(0x07, "objectId", object_id);
    elements += raw_element(0x08, "bool", "\x01");
    elements += raw_element(0x09, "date", raw(int64_t{-1}));
    elements += raw_element(0x0A, "null");
    elements += raw_element(0x0B, "regex", std::string("a.b\0im", 7));
    elements += raw_element(0x0C, "dbPointer", raw_text("shop.users") + object_id);
    elements += raw_element(0x0D, "javascript", raw_text("f()"));
    elements += raw_element(0x0E, "symbol", raw_text("sym"));
    elements += raw_element(0x0F, "javascriptWithScope",
                            raw_code_with_scope("g()", raw_document(raw_element(0x10, "x", raw(int32_t{7})))));
    elements += raw_element(0x10, "int", raw(int32_t{-5}));
    elements += raw_element(0x11, "timestamp", raw(uint32_t{1}) + raw(uint32_t{0xFFFFFFFF}));
    elements += raw_element(0x12, "long", raw(int64_t{INT64_MIN}));
    elements += raw_element(0x13, "decimal", std::string("\x96\0\0\0\0\0\0\0\0\0\0\0\0\0\x3c\x30", 16)); /* 1.50 */
    elements += raw_element(0x7F, "maxKey");
    elements += raw_element(0xFF, "minKey");
    return raw_document(elements);
}

} // namespace mongoferry::test

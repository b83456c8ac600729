/*
 * Base64: RFC 4648's vectors, every length, and texts that are none.
 */
#include "bson/base64.h"

#include <gtest/gtest.h>
#include <random>
#include <string>

namespace {

using namespace mongoferry::bson;

std::string encode(const std::vector<uint8_t> &data) {
    std::string text(base64_size(data.size()), '\0');
    write_base64(data.data(), data.size(), text.data());
    return text;
}

TEST(Base64, TheStandardsVectors) {
    const std::pair<std::string, const char *> cases[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xef\xbe", "/+++"},
    };
    for (const auto &[data, text] : cases) {
        EXPECT_EQ(encode({data.begin(), data.end()}), text);
        std::vector<uint8_t> back;
        ASSERT_TRUE(parse_base64(text, &back)) << text;
        EXPECT_EQ(std::string(back.begin(), back.end()), data);
    }
}

TEST(Base64, EachLengthReadsBack) {
    std::mt19937 random(64);
    for (size_t size = 0; size < 300; ++size) {
        std::vector<uint8_t> data(size);
        for (uint8_t &byte : data)
            byte = static_cast<uint8_t>(random());
        std::vector<uint8_t> back;
        ASSERT_TRUE(parse_base64(encode(data), &back));
        EXPECT_EQ(back, data);
    }
}

TEST(Base64, RefusesOthers) {
    std::vector<uint8_t> data;
    for (const char *text :
         {"=",    "Z",      "Zg",       "Zg=",  "Zg===", "Z===", "====", "Zm8",  "Zm9v=", "Zm9vZg=",
          "Zm 8", "Zm8=\n", "Zg==Zg==", "Z=g=", "=Zg=",  "Zm-_", "Zh==", "Zm9=", "Zm8*",  "\xc3\xa9Zg"})
        EXPECT_FALSE(parse_base64(text, &data)) << text;
}

} // namespace

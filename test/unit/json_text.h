/*
 * Extended JSON for the tests of its writer and its parser.
 */
#pragma once

#include "bson/extended_json_writer.h"

#include <string>

namespace mongoferry::test {

inline bson::TextSink sink_into(std::string *text) {
    return {
        [](void *context, const char *piece, size_t size) { static_cast<std::string *>(context)->append(piece, size); },
        text};
}

} // namespace mongoferry::test

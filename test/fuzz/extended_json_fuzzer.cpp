/*
 * Hostile Extended JSON: whatever the text is, it is refused with an offset inside it or becomes a document that can be
 * written, and what is written reads back as the same values.
 */
#include "bson/extended_json_parser.h"
#include "bson/extended_json_writer.h"

#include <cstdlib>
#include <string>

namespace {

using namespace mongoferry::bson;

void require(bool condition) {
    if (!condition)
        abort();
}

std::string write(const Document &document, JsonFormat format) {
    std::string text;
    const WriteError error = write_document(view_of(document), format,
                                            {[](void *context, const char *piece, size_t size) {
                                                 static_cast<std::string *>(context)->append(piece, size);
                                             },
                                             &text});
    require(error.message == nullptr);
    return text;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    size_t consumed = 0;
    Document document;
    try {
        document = parse_document(text, &consumed);
    } catch (const ParseError &error) {
        require(error.offset <= size && error.what()[0] != '\0');
        return 0;
    }
    require(consumed <= size && text[consumed - 1] == '}');
    require(is_framed(view_of(document)));
    size_t again = 0;
    require(parse_document(text.substr(0, consumed), &again) == document && again == consumed);
    for (JsonFormat format : {JsonFormat::relaxed, JsonFormat::canonical}) {
        const std::string written = write(document, format);
        require(write(parse_document(written, &again), format) == written && again == written.size());
    }
    return 0;
}

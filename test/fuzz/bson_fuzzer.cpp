/*
 * Hostile BSON: whatever the bytes are, the walk reads nothing beyond them, what it accepts every accessor can read and
 * the writers can write, and the text that is written reads back as the same values.
 */
#include "bson/builder.h"
#include "bson/extended_json_parser.h"
#include "bson/extended_json_writer.h"
#include "bson/utf8.h"

#include <cstdlib>
#include <cstring>
#include <string>

namespace {

using namespace mongoferry::bson;

void require(bool condition) {
    if (!condition)
        abort();
}

/* Keeps the compiler from leaving out a read. */
volatile unsigned seen;

/* Walks through all of a document, nested ones included. */
class Walk {
public:
    bool corrupt = false;
    bool too_deep = false;
    bool plain_text =
        true; /* UTF-8 without a key that begins with a dollar: what Extended JSON can tell from its own */

    void walk(View document, int depth) {
        if (depth == max_nesting) {
            too_deep = true;
            return;
        }
        Iterator iterator(document);
        while (iterator.next()) {
            read_text(iterator.key());
            if (iterator.key().starts_with('$'))
                plain_text = false;
            read_value(iterator.value(), depth);
            if (corrupt || too_deep)
                return;
        }
        if (iterator.failed()) {
            require(iterator.error()[0] != '\0' && iterator.error_offset() <= document.size);
            corrupt = true;
        }
    }

private:
    static void read(const uint8_t *data, size_t size) {
        unsigned sum = 0;
        for (size_t i = 0; i < size; ++i)
            sum += data[i];
        seen = sum;
    }
    void read_text(std::string_view text) {
        read(reinterpret_cast<const uint8_t *>(text.data()), text.size());
        if (!is_utf8(text))
            plain_text = false;
    }
    void read_value(const Value &value, int depth) {
        read(value.bytes, value.size);
        require(std::string_view(type_name(value.type)) != "unknown");
        switch (value.type) {
        case Type::string:
        case Type::code:
        case Type::symbol:
            read_text(text_of(value));
            break;
        case Type::object:
        case Type::array:
            walk(document_of(value), depth + 1);
            break;
        case Type::binary:
            read(binary_of(value).data, binary_of(value).size);
            break;
        case Type::regex:
            read_text(regex_of(value).pattern);
            read_text(regex_of(value).options);
            break;
        case Type::db_pointer:
            read_text(db_pointer_of(value).collection);
            read(db_pointer_of(value).object_id, 12);
            break;
        case Type::code_with_scope:
            read_text(code_with_scope_of(value).code);
            walk(code_with_scope_of(value).scope, depth + 1);
            break;
        default:
            break;
        }
    }
};

WriteError write(View document, JsonFormat format, std::string *text) {
    return write_document(document, format,
                          {[](void *context, const char *piece, size_t size) {
                               static_cast<std::string *>(context)->append(piece, size);
                           },
                           text});
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const View document{data, size};
    Walk walk;
    walk.walk(document, 0);
    for (JsonFormat format : {JsonFormat::relaxed, JsonFormat::canonical}) {
        std::string text;
        const WriteError error = write(document, format, &text);
        require((error.message != nullptr) == (walk.corrupt || walk.too_deep));
        require(error.offset <= size);
        if (error.message != nullptr || !walk.plain_text)
            continue;
        size_t consumed = 0;
        const Document back = parse_document(text, &consumed);
        require(consumed == text.size());
        std::string again;
        require(write(view_of(back), format, &again).message == nullptr);
        require(again == text);
    }
    if (!walk.corrupt) {
        Builder builder;
        Iterator iterator(document);
        while (iterator.next())
            builder.append_value(iterator.key(), iterator.value());
        const Document copy = builder.finish();
        require(copy.size() == size && memcmp(copy.data(), data, size) == 0);
    }
    return 0;
}

/*
 * Hostile BSON on its way into jsonb: whatever the bytes are, the result is an error or a jsonb in which every offset,
 * length and alignment is right and keys are in order; and what the conversion calls corrupt, Extended JSON's writer
 * refuses as well.
 *
 * The conversion allocates in the backend's memory contexts and reports through psprintf() and StringInfo. Those few
 * functions stand here in a small form of their own, so that the fuzzer runs without a server; that is also why the
 * source file is included.
 *
 * The first byte of the input chooses options and type; the rest is the document.
 */
#include "bson/jsonb.cpp"

#include "bson/utf8.h"

#include <cstdarg>
#include <cstdlib>

#undef vsnprintf /* the backend's port layer renames it */

namespace {

void require(bool condition) {
    if (!condition)
        abort();
}

/* All that was allocated for one input, as in a memory context. */
std::vector<void *> blocks;

void *allocate(size_t size) {
    void *block = malloc(size > 0 ? size : 1);
    require(block != nullptr);
    blocks.push_back(block);
    return block;
}

void *reallocate(void *block, size_t size) {
    for (size_t i = blocks.size(); i > 0; --i)
        if (blocks[i - 1] == block) {
            blocks[i - 1] = realloc(block, size);
            require(blocks[i - 1] != nullptr);
            return blocks[i - 1];
        }
    abort(); /* not ours, or freed */
}

void append(StringInfo text, const char *bytes, size_t size) {
    const size_t length = static_cast<size_t>(text->len);
    text->data = static_cast<char *>(reallocate(text->data, length + size + 1));
    memcpy(text->data + length, bytes, size);
    text->data[length + size] = '\0';
    text->len += static_cast<int>(size);
}

std::string formatted(const char *format, va_list arguments) {
    char text[4096];
    const int size = vsnprintf(text, sizeof text, format, arguments);
    require(size >= 0 && static_cast<size_t>(size) < sizeof text);
    return text;
}

} // namespace

extern "C" {
MemoryContext CurrentMemoryContext = nullptr;

void *palloc(Size size) {
    require(size <= MaxAllocSize);
    return allocate(size);
}

void *repalloc(void *block, Size size) {
    require(size <= MaxAllocSize);
    return reallocate(block, size);
}

void *repalloc_huge(void *block, Size size) {
    return reallocate(block, size);
}

char *psprintf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const std::string text = formatted(format, arguments);
    va_end(arguments);
    return static_cast<char *>(memcpy(allocate(text.size() + 1), text.c_str(), text.size() + 1));
}

void initStringInfo(StringInfo text) {
    *text = {};
    text->data = static_cast<char *>(allocate(1));
    text->data[0] = '\0';
}

void appendStringInfoChar(StringInfo text, char character) {
    append(text, &character, 1);
}

/* appendStringInfoCharMacro() calls it when the text is full, as ours always is. */
void enlargeStringInfo(StringInfo, int) {}

void appendStringInfo(StringInfo text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const std::string added = formatted(format, arguments);
    va_end(arguments);
    append(text, added.data(), added.size());
}
}

namespace mongoferry::bson {

ServerText server_text(std::string_view utf8, OnNul on_nul, ConversionError *error) {
    if (on_nul == OnNul::error && utf8.find('\0') != std::string_view::npos)
        *error = {"contains U+0000", ERRCODE_UNTRANSLATABLE_CHARACTER, true};
    else if (!is_utf8(utf8))
        *error = {"is not valid UTF-8", ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, false};
    else
        return {utf8.data(), utf8.size()};
    return {"", 0};
}

} // namespace mongoferry::bson

namespace {

using namespace mongoferry::bson;

uint32 word_at(const char *bytes) {
    uint32 word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

const char *aligned(const char *root, const char *position) {
    while ((position - root) % 4 != 0)
        require(*position++ == 0);
    return position;
}

/* Checks an object or array that ends at `end`, as utils/jsonb.h describes it. */
void check_container(const char *root, const char *position, const char *end, int level) {
    require(level <= max_nesting + 3 && position + 4 <= end);
    const uint32 header = word_at(position);
    const bool is_object = header & JB_FOBJECT;
    require(is_object != ((header & JB_FARRAY) != 0));
    const uint32 count = header & JB_CMASK, children = is_object ? 2 * count : count;
    const char *entries = position + 4, *data = entries + size_t{4} * children;
    require(data <= end);
    uint32 offset = 0;
    std::string_view previous_key;
    for (uint32 i = 0; i < children; ++i) {
        const JEntry entry = word_at(entries + 4 * i);
        const uint32 start = offset;
        require((i % JB_OFFSET_STRIDE == 0) == JBE_HAS_OFF(entry));
        JBE_ADVANCE_OFFSET(offset, entry);
        require(offset >= start && data + offset <= end);
        const char *value = data + start, *value_end = data + offset;
        if (is_object && i < count) {
            const std::string_view key(value, offset - start);
            require(JBE_ISSTRING(entry) && is_utf8(key));
            require(i == 0 || previous_key.size() < key.size() ||
                    (previous_key.size() == key.size() && previous_key < key));
            previous_key = key;
        } else if (JBE_ISCONTAINER(entry)) {
            check_container(root, aligned(root, value), value_end, level + 1);
        } else if (JBE_ISNUMERIC(entry)) {
            const char *number = aligned(root, value);
            require(word_at(number) == static_cast<uint32>(value_end - number) << 2);
        } else if (JBE_ISSTRING(entry)) {
            require(is_utf8({value, offset - start}));
        } else {
            require(offset == start);
        }
    }
    require(data + offset == end);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 6)
        return 0;
    const uint8_t choice = *input;
    const View document{input + 1, size - 1};
    if (!is_framed(document))
        return 0;
    const Value value{choice & 1 ? Type::array : Type::object, document.data, document.size};
    ConversionOptions options;
    options.json_format = choice & 2 ? mongoferry::bson::JsonFormat::canonical : mongoferry::bson::JsonFormat::relaxed;
    options.on_nul = choice & 4 ? OnNul::error : OnNul::replace;

    ConversionError error;
    const Datum result = jsonb_from_value(value, options, &error);
    if (error.message) {
        require(result == 0 && error.sqlstate != 0);
        if (error.sqlstate == ERRCODE_DATA_CORRUPTED) {
            const TextSink nowhere{[](void *, const char *, size_t) {}, nullptr};
            require(write_value(value, options.json_format, nowhere).message != nullptr);
        }
    } else {
        const char *root = DatumGetPointer(result);
        check_container(root, root + VARHDRSZ, root + VARSIZE(root), 0);
    }
    for (void *block : blocks)
        free(block);
    blocks.clear();
    return 0;
}

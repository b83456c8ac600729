/* See range.h. */
#include "source/range.h"

#include "pg/guard.h"

#include <string>

namespace mongoferry::source {

namespace {

constexpr int nesting_limit = 200; /* MongoDB itself stores no more than 100 levels */

[[noreturn]] void refuse(const std::string &detail) {
    throw Error(ERRCODE_INVALID_PARAMETER_VALUE, "invalid bounds of a chunk", detail,
                "Bounds are made by mongoferry.split_source().");
}

std::string quoted(std::string_view key) {
    return "\"" + std::string(key) + "\"";
}

struct KindName {
    Range::Kind kind;
    std::string_view name;
};
constexpr KindName kind_names[] = {
    {Range::Kind::all, "all"},   {Range::Kind::ids, "ids"}, {Range::Kind::bytes, "bytes"},
    {Range::Kind::list, "list"}, {Range::Kind::raw, "raw"},
};

std::string_view name_of(Range::Kind kind) {
    for (const KindName &known : kind_names)
        if (known.kind == kind)
            return known.name;
    return {};
}

Range::Kind kind_of(const bson::Value &value) {
    if (value.type == bson::Type::string)
        for (const KindName &known : kind_names)
            if (known.name == bson::text_of(value))
                return known.kind;
    refuse("Their kind is none that is known.");
}

bson::Document single_value(const bson::Value &value) {
    bson::Builder builder;
    builder.append_value("", value);
    return builder.finish();
}

int64_t whole_number(std::string_view key, const bson::Value &value) {
    int64_t number;
    if (value.type == bson::Type::int64)
        number = bson::load_int64(value.bytes);
    else if (value.type == bson::Type::int32)
        number = bson::load_int32(value.bytes);
    else
        refuse("Their member " + quoted(key) + " is not an integer.");
    if (number < 0)
        refuse("Their member " + quoted(key) + " is negative.");
    return number;
}

/* The list with keys as an array has them, whatever they were. */
bson::Document values_of(std::string_view key, const bson::Value &value) {
    if (value.type != bson::Type::array)
        refuse("Their member " + quoted(key) + " is not an array.");
    bson::Builder builder;
    bson::Iterator iterator(bson::document_of(value));
    int64_t index = 0;
    while (iterator.next())
        builder.append_value(std::to_string(index++), iterator.value());
    return builder.finish();
}

bson::View framed_documents(const bson::Value &value) {
    if (value.type != bson::Type::binary)
        refuse("Their documents are not binary.");
    const bson::Binary binary = bson::binary_of(value);
    for (size_t position = 0; position < binary.size;) {
        const size_t left = binary.size - position;
        const uint32_t size = left >= 5 ? static_cast<uint32_t>(bson::load_int32(binary.data + position)) : 0;
        if (size < 5 || size > left || !bson::is_framed({binary.data + position, size}))
            refuse("Their documents are not whole BSON documents, one after the other.");
        position += size;
    }
    return {binary.data, binary.size};
}

} // namespace

Range parse_range(bson::View bounds) {
    Range range;
    if (!bson::is_framed(bounds))
        refuse("They are not a BSON document.");
    /* All the way down, for the values in them become part of commands. */
    if (const char *fault = bson::find_fault(bounds, nesting_limit))
        refuse("They are corrupt: " + std::string(fault) + ".");
    bool has_kind = false;
    bool has_ids = false;
    bool has_documents = false;
    bson::Iterator iterator(bounds);
    while (iterator.next()) {
        const std::string_view key = iterator.key();
        const bson::Value &value = iterator.value();
        if (key == "kind") {
            range.kind = kind_of(value);
            has_kind = true;
        } else if (key == "min") {
            range.min = single_value(value);
        } else if (key == "max") {
            range.max = single_value(value);
        } else if (key == "first") {
            range.first = whole_number(key, value);
        } else if (key == "end") {
            range.end = whole_number(key, value);
        } else if (key == "size") {
            range.size = whole_number(key, value);
        } else if (key == "block") {
            range.block = whole_number(key, value);
        } else if (key == "ids") {
            range.ids = values_of(key, value);
            has_ids = true;
        } else if (key == "except") {
            range.except = values_of(key, value);
        } else if (key == "documents") {
            range.raw = framed_documents(value);
            has_documents = true;
        } else {
            refuse("They have an unknown member " + quoted(key) + ".");
        }
    }
    if (!has_kind)
        refuse("They have no kind.");
    if ((range.kind == Range::Kind::list) != has_ids || (range.kind == Range::Kind::raw) != has_documents ||
        (range.kind != Range::Kind::ids && !(range.min.empty() && range.max.empty())) ||
        (range.kind != Range::Kind::bytes &&
         (range.first != 0 || range.end != -1 || range.size != -1 || range.block != -1)))
        refuse("Their members do not fit their kind.");
    if (range.end >= 0 && range.end < range.first)
        refuse("They end before they begin.");
    if (range.block > range.first)
        refuse("Their block begins behind them.");
    return range;
}

bson::Document render_range(const Range &range) {
    bson::Builder builder;
    builder.append_string("kind", name_of(range.kind));
    const auto append_single = [&](std::string_view key, const bson::Document &value) {
        if (value.empty())
            return;
        bson::Iterator iterator(bson::view_of(value));
        if (iterator.next())
            builder.append_value(key, iterator.value());
    };
    append_single("min", range.min);
    append_single("max", range.max);
    if (range.kind == Range::Kind::bytes) {
        builder.append_int64("first", range.first);
        if (range.end >= 0)
            builder.append_int64("end", range.end);
        if (range.size >= 0)
            builder.append_int64("size", range.size);
        if (range.block >= 0)
            builder.append_int64("block", range.block);
    }
    if (range.kind == Range::Kind::list) {
        static constexpr uint8_t empty_document[5] = {5, 0, 0, 0, 0};
        builder.append_array("ids", range.ids.empty() ? bson::View{empty_document, 5} : bson::view_of(range.ids));
    }
    if (range.kind == Range::Kind::raw)
        builder.append_binary("documents", 0, range.raw.data, range.raw.size);
    if (!range.except.empty())
        builder.append_array("except", bson::view_of(range.except));
    return builder.finish();
}

} // namespace mongoferry::source

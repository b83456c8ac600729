/* See inference.h. */
#include "bson/inference.h"

#include "bson/utf8.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <unordered_map>

namespace mongoferry::bson {

namespace {

/* What is told apart: BSON's types, and a few more where the column's type depends on more than that. */
enum Kind : uint8_t {
    kind_object_id,
    kind_string,
    kind_symbol,
    kind_code,
    kind_regex,
    kind_int32,
    kind_int64,
    kind_float64,
    kind_decimal128,
    kind_boolean,
    kind_date,
    kind_distant_date, /* beyond what timestamptz can hold */
    kind_timestamp,
    kind_uuid,        /* subtype 4, 16 bytes */
    kind_legacy_uuid, /* subtype 3, likewise */
    kind_binary,
    kind_object,
    kind_array,
    kind_db_pointer,
    kind_code_with_scope,
    kind_min_key,
    kind_max_key,
    kind_null,
    kind_undefined,
    kind_count
};

using KindSet = uint32_t;
static_assert(kind_count <= 32);

constexpr KindSet set_of(Kind kind) {
    return KindSet{1} << kind;
}
template <typename... Kinds>
constexpr KindSet set_of(Kind kind, Kinds... more) {
    return set_of(kind) | set_of(more...);
}

using Counts = std::array<int64_t, kind_count>;

/* PostgreSQL's MIN_TIMESTAMP and END_TIMESTAMP (datatype/timestamp.h; microseconds since 2000), in milliseconds since
 * 1970. */
constexpr int64_t first_date = -211813488000000 + 946684800000;
constexpr int64_t end_of_dates = 9223371331200000 + 946684800000;

Kind kind_of(const Value &value) noexcept {
    switch (value.type) {
    case Type::float64:
        return kind_float64;
    case Type::string:
        return kind_string;
    case Type::object:
        return kind_object;
    case Type::array:
        return kind_array;
    case Type::binary: {
        const Binary binary = binary_of(value);
        if (binary.size != 16)
            return kind_binary;
        return binary.subtype == 4 ? kind_uuid : binary.subtype == 3 ? kind_legacy_uuid : kind_binary;
    }
    case Type::undefined:
        return kind_undefined;
    case Type::object_id:
        return kind_object_id;
    case Type::boolean:
        return kind_boolean;
    case Type::date: {
        const int64_t milliseconds = load_int64(value.bytes);
        return milliseconds < first_date || milliseconds >= end_of_dates ? kind_distant_date : kind_date;
    }
    case Type::null:
        return kind_null;
    case Type::regex:
        return kind_regex;
    case Type::db_pointer:
        return kind_db_pointer;
    case Type::code:
        return kind_code;
    case Type::symbol:
        return kind_symbol;
    case Type::code_with_scope:
        return kind_code_with_scope;
    case Type::int32:
        return kind_int32;
    case Type::timestamp:
        return kind_timestamp;
    case Type::int64:
        return kind_int64;
    case Type::decimal128:
        return kind_decimal128;
    case Type::max_key:
        return kind_max_key;
    case Type::min_key:
        return kind_min_key;
    }
    return kind_null; /* the walk refuses other types */
}

/* For comments: MongoDB's name of the type, and what distinguishes the kind. */
std::string name_of(Kind kind) {
    constexpr Type types[kind_count] = {
        Type::object_id,  Type::string,          Type::symbol,     Type::code,    Type::regex,  Type::int32,
        Type::int64,      Type::float64,         Type::decimal128, Type::boolean, Type::date,   Type::date,
        Type::timestamp,  Type::binary,          Type::binary,     Type::binary,  Type::object, Type::array,
        Type::db_pointer, Type::code_with_scope, Type::min_key,    Type::max_key, Type::null,   Type::undefined,
    };
    std::string name = type_name(types[kind]);
    switch (kind) {
    case kind_distant_date:
        return name + " beyond timestamptz";
    case kind_uuid:
        return name + " subtype 4";
    case kind_legacy_uuid:
        return name + " subtype 3";
    default:
        return name;
    }
}

constexpr KindSet nothing = set_of(kind_null, kind_undefined);

KindSet kinds_in(const Counts &counts) noexcept {
    KindSet kinds = 0;
    for (int kind = 0; kind < kind_count; ++kind)
        if (counts[static_cast<size_t>(kind)] > 0)
            kinds |= set_of(static_cast<Kind>(kind));
    return kinds & ~nothing;
}

/* The type that takes all of these scalar kinds exactly, or NULL if only jsonb does. */
const char *scalar_type(KindSet kinds) noexcept {
    constexpr KindSet integers = set_of(kind_int32, kind_int64);
    constexpr KindSet numbers = integers | set_of(kind_float64, kind_decimal128);
    const auto only = [kinds](KindSet allowed) { return kinds != 0 && (kinds & ~allowed) == 0; };

    if (only(set_of(kind_object_id)))
        return "mongoferry.objectid";
    if (only(set_of(kind_string, kind_symbol)) || only(set_of(kind_code)) || only(set_of(kind_regex)))
        return "pg_catalog.text";
    if (only(set_of(kind_int32)))
        return "integer";
    if (only(integers))
        return "bigint";
    if (only(set_of(kind_int32, kind_float64)))
        return "double precision";
    if (only(numbers))
        return "numeric";
    if (only(set_of(kind_boolean)))
        return "boolean";
    if (only(set_of(kind_date, kind_timestamp)))
        return "timestamp with time zone";
    if (only(set_of(kind_uuid)))
        return "pg_catalog.uuid";
    if (only(set_of(kind_uuid, kind_legacy_uuid, kind_binary)))
        return "pg_catalog.bytea";
    return nullptr;
}

constexpr const char *jsonb = "pg_catalog.jsonb";

/* "12.5 %"; never 0 % or 100 % for what is neither. */
std::string share(int64_t part, int64_t whole) {
    if (part == whole)
        return "100 %";
    const double percent = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
    if (percent < 0.05)
        return "<0.1 %";
    if (percent >= 99.95)
        return ">99.9 %";
    char text[32];
    int length = snprintf(text, sizeof text, "%.1f", percent);
    if (length > 2 && text[length - 1] == '0')
        text[length - 2] = '\0';
    return std::string(text) + " %";
}

/* "string 90 %, null 10 %": the most frequent first. */
std::string shares(const Counts &counts) {
    std::vector<std::pair<int64_t, Kind>> present;
    int64_t whole = 0;
    for (int kind = 0; kind < kind_count; ++kind)
        if (const int64_t count = counts[static_cast<size_t>(kind)]; count > 0) {
            present.emplace_back(count, static_cast<Kind>(kind));
            whole += count;
        }
    std::stable_sort(present.begin(), present.end(),
                     [](const auto &left, const auto &right) { return left.first > right.first; });
    std::string text;
    for (const auto &[count, kind] : present)
        text += (text.empty() ? "" : ", ") + name_of(kind) + " " + share(count, whole);
    return text;
}

/* A key that a dotted path can name. */
bool can_be_named(std::string_view key) noexcept {
    return !key.empty() && key[0] != '$' && key.find('.') == std::string_view::npos && is_utf8(key);
}

/* ObjectIds, UUIDs, numbers, dates: keys that stand for things rather than for properties. */
bool looks_like_identifier(std::string_view key) noexcept {
    const auto is_hexadecimal = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    };
    const auto is_of_number = [](char c) { return (c >= '0' && c <= '9') || c == '-' || c == ':' || c == '/'; };
    if (key.size() == 24 && std::all_of(key.begin(), key.end(), is_hexadecimal))
        return true;
    if (key.size() == 36) {
        bool is_uuid = true;
        for (size_t i = 0; i < key.size(); ++i)
            is_uuid = is_uuid && (i == 8 || i == 13 || i == 18 || i == 23 ? key[i] == '-' : is_hexadecimal(key[i]));
        if (is_uuid)
            return true;
    }
    return key[0] != ':' && key[0] != '/' && std::all_of(key.begin(), key.end(), is_of_number) &&
           std::any_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
}

} // namespace

/* A field, at one path, over all documents; or the document itself. */
struct Inference::Field {
    std::string key;
    Counts counts{};
    std::unique_ptr<Counts> elements; /* of arrays */
    int64_t present = 0;              /* documents that have it */
    int64_t last_document = -1;       /* of duplicate keys the first counts */
    int64_t nul_strings = 0;          /* strings with U+0000, which text can't hold */

    std::vector<std::unique_ptr<Field>> fields; /* in order of appearance */
    std::unordered_map<std::string_view, Field *> by_key;
    bool is_map = false;              /* it has too many keys; fields is empty */
    std::vector<std::string> unnamed; /* the first few keys that a path can't name */
    bool has_untold = false;          /* there are more of them, or more fields than are told apart */
    static constexpr size_t max_unnamed = 5;

    Field *find(std::string_view name) const {
        const auto found = by_key.find(name);
        return found == by_key.end() ? nullptr : found->second;
    }

    Field *add(std::string_view name) {
        fields.push_back(std::make_unique<Field>());
        Field *field = fields.back().get();
        field->key = name;
        by_key.emplace(field->key, field);
        return field;
    }

    size_t size() const {
        size_t size = fields.size();
        for (const auto &field : fields)
            size += field->size();
        return size;
    }

    void add_unnamed(std::string_view name) {
        if (std::find(unnamed.begin(), unnamed.end(), name) != unnamed.end())
            return;
        if (unnamed.size() < max_unnamed)
            unnamed.emplace_back(name);
        else
            has_untold = true;
    }

    /* Why its fields can't be columns, for the comment; or NULL. */
    const char *obstacle() const {
        if (is_map)
            return "too many different keys for columns";
        if (!unnamed.empty())
            return "has keys that a path can't name";
        const auto identifiers = std::count_if(fields.begin(), fields.end(),
                                               [](const auto &field) { return looks_like_identifier(field->key); });
        if (identifiers * 2 > static_cast<std::ptrdiff_t>(fields.size()))
            return "its keys look like identifiers";
        return nullptr;
    }
};

Inference::Inference(const InferenceOptions &options) : options_(options), root_(std::make_unique<Field>()) {}
Inference::~Inference() = default;

const char *Inference::observe(View document, size_t *offset) {
    const char *problem = observe_fields(*root_, document, 0, document, offset);
    ++documents_;
    return problem;
}

const char *Inference::observe_fields(Field &object, View document, int level, View outermost, size_t *offset) {
    const bool is_root = &object == root_.get();
    Iterator iterator(document);
    while (iterator.next()) {
        if (object.is_map)
            continue; /* only to see that the document is sound */
        const std::string_view key = iterator.key();
        Field *field = object.find(key);
        if (!field) {
            if (!can_be_named(key)) {
                object.add_unnamed(key);
                continue;
            }
            const bool is_full = fields_ >= options_.max_fields;
            if (is_root && is_full) {
                object.has_untold = true;
                continue;
            }
            if (is_full || (!is_root && object.fields.size() >= options_.max_keys)) {
                fields_ -= object.size();
                object.by_key.clear();
                object.fields.clear();
                object.is_map = true;
                continue;
            }
            field = object.add(key);
            ++fields_;
        }
        if (field->last_document == documents_)
            continue;
        field->last_document = documents_;
        ++field->present;
        if (const char *problem = observe_value(*field, iterator.value(), level + 1, outermost, offset))
            return problem;
    }
    if (iterator.failed()) {
        *offset = static_cast<size_t>(document.data - outermost.data) + iterator.error_offset();
        return iterator.error();
    }
    return nullptr;
}

const char *Inference::observe_value(Field &field, const Value &value, int level, View outermost, size_t *offset) {
    const auto has_nul = [](const Value &text) { return text_of(text).find('\0') != std::string_view::npos; };
    ++field.counts[kind_of(value)];
    switch (value.type) {
    case Type::string:
    case Type::symbol:
    case Type::code:
        if (has_nul(value))
            ++field.nul_strings;
        return nullptr;
    case Type::object:
        if (level > options_.nested_levels)
            return nullptr;
        return observe_fields(field, document_of(value), level, outermost, offset);
    case Type::array: {
        if (!field.elements)
            field.elements = std::make_unique<Counts>();
        const View array = document_of(value);
        Iterator iterator(array);
        while (iterator.next()) {
            ++(*field.elements)[kind_of(iterator.value())];
            if (iterator.type() == Type::string && has_nul(iterator.value()))
                ++field.nul_strings;
        }
        if (iterator.failed()) {
            *offset = static_cast<size_t>(array.data - outermost.data) + iterator.error_offset();
            return iterator.error();
        }
        return nullptr;
    }
    default:
        return nullptr;
    }
}

/* Making the columns. */
struct Inference::Columns {
    const Inference &inference;
    std::string total; /* of documents, in words */
    bool nested;       /* objects become columns at all; false: there would be too many */
    std::vector<InferredColumn> list{};
    std::vector<std::string> path{};

    void add(const Field &field) {
        path.push_back(field.key);
        add_at_path(field);
        path.pop_back();
    }

    void add_at_path(const Field &field) {
        const KindSet kinds = kinds_in(field.counts);
        if (kinds == 0) {
            add_column(field, "pg_catalog.text");
        } else if (const char *type = scalar_type(kinds)) {
            add_column(field, type);
        } else if (kinds == set_of(kind_array)) {
            const char *element = scalar_type(kinds_in(*field.elements));
            add_column(field, element ? std::string(element) + "[]" : jsonb);
        } else if (kinds != set_of(kind_object) || inference.options_.nested_levels == 0 || is_id(field)) {
            add_column(field, jsonb);
        } else if (path.size() > static_cast<size_t>(inference.options_.nested_levels)) {
            add_column(field, jsonb, "nested too deeply for columns");
        } else if (!nested) {
            add_column(field, jsonb, "the table would have too many columns");
        } else if (const char *obstacle = field.obstacle()) {
            add_column(field, jsonb, obstacle);
        } else if (field.fields.empty()) {
            add_column(field, jsonb, "always empty");
        } else {
            for (const auto &inner : field.fields)
                add(*inner);
        }
    }

    /* The document's _id, which identifies it only as a whole. */
    bool is_id(const Field &field) const { return path.size() == 1 && field.key == "_id"; }

    void add_column(const Field &field, const std::string &type, const char *reason = nullptr) {
        std::string comment = shares(field.counts);
        if (field.elements) {
            const std::string elements = shares(*field.elements);
            comment += elements.empty() ? "; no elements" : "; elements: " + elements;
        }
        if (field.nul_strings > 0)
            comment += "; " + std::to_string(field.nul_strings) +
                       (field.nul_strings == 1 ? " string with U+0000" : " strings with U+0000");
        if (reason)
            comment += std::string("; ") + reason;
        const int64_t missing = inference.documents_ - field.present;
        comment += "; missing in " + (missing == 0 ? "none" : share(missing, inference.documents_)) + " of " + total;
        list.push_back({path, type, comment});
    }

    /* The column for what the others can't show. left_out: names of fields, as far as they are known. */
    /* The column for what the others can't show: the fields left_out, `more` beside them, or nobody knows how many. */
    void add_whole_document(const std::vector<std::string> &left_out, size_t more, bool has_untold) {
        std::string names;
        for (const std::string &name : left_out)
            names += (names.empty() ? "\"" : ", \"") + (is_utf8(name) ? name : "(not UTF-8)") + "\"";
        if (has_untold)
            names += names.empty() ? "too many to name" : " and others";
        else if (more > 0)
            names += " and " + std::to_string(more) + " more";
        list.push_back({{}, jsonb, "the whole document, for fields that have no column: " + names});
    }
};

std::vector<InferredColumn> Inference::columns(bool is_complete) const {
    if (documents_ == 0)
        return {{{"_id"}, "mongoferry.objectid", "the collection has no documents; type assumed"}};

    const std::string count = std::to_string(documents_) + (documents_ == 1 ? " document" : " documents");
    Columns columns{*this, is_complete ? "the collection's " + count : count + " sampled", true};
    const auto fill = [&] {
        columns.list.clear();
        if (const Field *id = root_->find("_id"))
            columns.add(*id);
        for (const auto &field : root_->fields)
            if (field->key != "_id")
                columns.add(*field);
    };
    fill();
    std::vector<std::string> left_out = root_->unnamed;
    size_t more = 0;
    size_t limit = options_.max_columns - (left_out.empty() && !root_->has_untold ? 0 : 1);
    if (columns.list.size() > limit) {
        columns.nested = false;
        fill();
    }
    if (columns.list.size() > limit) {
        limit = options_.max_columns - 1;
        for (size_t i = limit; i < columns.list.size(); ++i)
            if (left_out.size() < Field::max_unnamed)
                left_out.push_back(columns.list[i].path.front());
            else
                ++more;
        columns.list.resize(limit);
    }
    if (!left_out.empty() || root_->has_untold)
        columns.add_whole_document(left_out, more, root_->has_untold);
    return columns.list;
}

} // namespace mongoferry::bson

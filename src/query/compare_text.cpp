/* Text compared with a constant or a pattern. See comparison.cpp for what is known of MongoDB. */
#include "query/comparison_work.h"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace mongoferry::query {

static constexpr const char *types_with_free_text[] = {"symbol", "javascript"};
static constexpr const char *array_type = "array";

/* Whether the text of a number, date, ObjectId, UUID, regular expression or JSON might read like this. Errs to yes. */
static bool could_be_text_of_other_types(const char *data, size_t size) {
    if (size == 0)
        return false;
    const unsigned char first = static_cast<unsigned char>(data[0]);
    if ((first >= '0' && first <= '9') || strchr("+-./{[\"$", first))
        return true;
    for (const char *word : {"true", "false", "NaN", "Infinity", "undefined", "null"})
        if (strlen(word) == size && memcmp(word, data, size) == 0)
            return true;
    const bool hex_digits_only = strspn(data, "0123456789abcdefABCDEF-") >= size;
    return hex_digits_only && (size == 24 || size == 36);
}

/* Equality is that of bytes; other types have a text form too. */
static FilterNode *equal_text(const Work &work, const Constant &constant) {
    FilterNode *same = equals(work, constant);
    const UsedColumn &used = *work.used;
    if (!used.field)
        return same;
    const char *characters = constant.text.data;
    const int length = pg_mbstrlen_with_len(characters, static_cast<int>(constant.text.size));
    if (used.field->options.on_nul != bson::OnNul::error || work.placeholder > 0 ||
        (used.rule.limit >= 0 && length >= used.rule.limit) ||
        could_be_text_of_other_types(characters, constant.text.size))
        return either(same, convertible_filter(used));
    return either(same, type_node(work.path(), {types_with_free_text, lengthof(types_with_free_text)}));
}

/* Whether it might begin like this. */
static bool could_begin_text_of_other_types(const char *prefix) {
    if (prefix[0] == '\0' || strchr("0123456789+-./{[\"$abcdef", prefix[0]))
        return true;
    for (const char *word : {"true", "false", "NaN", "Infinity", "undefined", "null"})
        if (strncmp(word, prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

/* Adds to "is something else than": an array, which has a text of its own, whatever its elements are, and strings of
 * which the column has another text than the field. */
static FilterNode *with_other_texts(const Work &work, FilterNode *differs) {
    const UsedColumn &used = *work.used;
    if (!used.field)
        return differs;
    if (used.field->options.on_nul != bson::OnNul::error || used.rule.limit >= 0)
        return either(differs, convertible_filter(used));
    return either(differs, type_node(work.path(), {&array_type, 1}));
}

FilterNode *match_text(const Work &work, const TextPattern &pattern) {
    Constant regex{};
    regex.kind = ConstantKind::regex;
    regex.text = {pattern.regex, strlen(pattern.regex), pattern.options};
    const UsedColumn &used = *work.used;
    if (work.comparison == Comparison::not_equal) {
        return with_other_texts(work, compare(work, Comparison::not_equal, regex));
    }
    FilterNode *same = equals(work, regex);
    if (!used.field)
        return same;
    if (used.field->options.on_nul != bson::OnNul::error || work.placeholder > 0 || used.rule.limit >= 0 ||
        could_begin_text_of_other_types(pattern.prefix))
        return either(same, convertible_filter(used));
    return either(same, type_node(work.path(), {types_with_free_text, lengthof(types_with_free_text)}));
}

FilterNode *compare_text(Work *work, Datum value) {
    const Constant constant = text_constant(TextDatumGetCString(value));
    switch (work->comparison) {
    case Comparison::equal:
        return equal_text(*work, constant);
    case Comparison::not_equal:
        return with_other_texts(*work, compare(*work, Comparison::not_equal, constant));
    default:
        return compare(*work, work->comparison, constant);
    }
}

} // namespace mongoferry::query

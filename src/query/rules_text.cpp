/*
 * Functions of text. MongoDB's strings are UTF-8, and it counts code points as PostgreSQL counts characters in a UTF8
 * database; in others nothing of this is sent. What depends on a locale (upper and lower of letters beyond ASCII) is
 * trouble.
 */
#include "query/rule.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "utils/formatting.h"
}

namespace mongoferry::query {

static bool is_utf8(const Call &call) {
    if (GetDatabaseEncoding() == PG_UTF8)
        return true;
    not_sent(call.translation, call.expression, "the database's encoding is not UTF8");
    return false;
}

/* Positions are code points wherever equal means equal bytes. */
static bool is_deterministic(const Call &call) {
    if (!OidIsValid(call.collation) || get_collation_isdeterministic(call.collation))
        return true;
    not_sent(call.translation, call.expression,
             "texts that are equal under a nondeterministic collation differ for MongoDB");
    return false;
}

/* The literal text of an argument; NULL if it is none. */
static const char *literal_text(const Call &call, int number) {
    const Const *literal = literal_argument(call, number);
    return literal ? TextDatumGetCString(literal->constvalue) : nullptr;
}

/* --- lengths ----------------------------------------------------------------------------------------------------- */

static ServerValue *unary_of_text(const Call &call, const char *name) {
    if (!is_utf8(call))
        return nullptr;
    ServerValue *value = argument_value(call, 0);
    if (!value)
        return nullptr;
    return of_something(value, [&](ServerValue *known) { return operation_of(name, known); });
}

static ServerValue *count_characters(const Call &call) {
    return unary_of_text(call, "$strLenCP");
}

static ServerValue *count_bytes(const Call &call) {
    return unary_of_text(call, "$strLenBytes");
}

/* --- letters ----------------------------------------------------------------------------------------------------- */

static constexpr char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
static constexpr char small_letters[] = "abcdefghijklmnopqrstuvwxyz";

/* A Turkish locale has another i. */
static bool treats_ascii_as_usual(Oid collation) {
    if (!OidIsValid(collation))
        return false;
    return strcmp(str_tolower(capitals, strlen(capitals), collation), small_letters) == 0 &&
           strcmp(str_toupper(small_letters, strlen(small_letters), collation), capitals) == 0;
}

static ServerValue *change_case(const Call &call, const char *name) {
    if (!treats_ascii_as_usual(call.collation))
        return not_sent(call.translation, call.expression,
                        "the collation has other small and capital letters than ASCII");
    ServerValue *result = unary_of_text(call, name);
    if (!result)
        return nullptr;
    /* More bytes than characters: there is something beyond ASCII. */
    add_trouble(call.translation, with_name("text", argument_value(call, 0), [](ServerValue *text) {
                    return choice(
                        is_something(text),
                        operation("$ne", {operation_of("$strLenBytes", text), operation_of("$strLenCP", text)}),
                        boolean_value(false));
                }));
    return result;
}

static ServerValue *make_small(const Call &call) {
    return change_case(call, "$toLower");
}

static ServerValue *make_capital(const Call &call) {
    return change_case(call, "$toUpper");
}

/* --- parts ------------------------------------------------------------------------------------------------------- */

static ServerValue *larger(ServerValue *left, ServerValue *right) {
    return operation("$max", {left, right});
}

static ServerValue *smaller(ServerValue *left, ServerValue *right) {
    return operation("$min", {left, right});
}

/* What the function makes of three values, of which none is null. */
template <typename MakeBody>
static ServerValue *of_all_something(ServerValue *first, ServerValue *second, ServerValue *third, MakeBody make_body) {
    ServerValue *variables = document_value();
    append_entry(variables, "text", first);
    append_entry(variables, "first", second);
    if (third)
        append_entry(variables, "second", third);
    ServerValue *text = variable_value("text");
    ServerValue *one = variable_value("first");
    ServerValue *two = third ? variable_value("second") : nullptr;
    return let(variables, choice(all_of({is_something(text), is_something(one), two ? is_something(two) : nullptr}),
                                 make_body(text, one, two), null_value()));
}

/* Positions begin with 1; those before the text count but have no characters. */
static ServerValue *substring_from(const Call &call) {
    if (!is_utf8(call))
        return nullptr;
    ServerValue *text = argument_value(call, 0);
    ServerValue *from = text ? argument_value(call, 1) : nullptr;
    if (!from)
        return nullptr;
    return of_all_something(text, from, nullptr, [](ServerValue *known, ServerValue *start, ServerValue *) {
        ServerValue *skipped = larger(operation("$subtract", {start, integer_value(1)}), integer_value(0));
        return operation("$substrCP", {known, skipped, operation_of("$strLenCP", known)});
    });
}

static ServerValue *substring_from_for(const Call &call) {
    if (!is_utf8(call))
        return nullptr;
    ServerValue *text = argument_value(call, 0);
    ServerValue *from = text ? argument_value(call, 1) : nullptr;
    ServerValue *length = from ? argument_value(call, 2) : nullptr;
    if (!length)
        return nullptr;
    const Const *literal = literal_argument(call, 2);
    if (literal && DatumGetInt32(literal->constvalue) < 0)
        return not_sent(call.translation, call.expression, "the length is negative");
    if (!literal)
        add_trouble(call.translation, all_of({is_something(length), operation("$lt", {length, integer_value(0)})}));
    return of_all_something(text, from, length, [](ServerValue *known, ServerValue *start, ServerValue *count) {
        ServerValue *end = operation("$subtract", {operation("$add", {start, count}), integer_value(1)});
        ServerValue *whole = operation_of("$strLenCP", known);
        ServerValue *variables = document_value();
        append_entry(variables, "skipped",
                     smaller(larger(operation("$subtract", {start, integer_value(1)}), integer_value(0)), whole));
        append_entry(variables, "end", smaller(end, whole));
        ServerValue *skipped = variable_value("skipped");
        return let(variables, operation("$substrCP", {known, skipped,
                                                      larger(operation("$subtract", {variable_value("end"), skipped}),
                                                             integer_value(0))}));
    });
}

/* What the function makes of its first two arguments; null if one of them is. */
template <typename MakeBody>
static ServerValue *of_two_arguments(const Call &call, MakeBody make_body) {
    ServerValue *first = argument_value(call, 0);
    ServerValue *second = first ? argument_value(call, 1) : nullptr;
    if (!second)
        return nullptr;
    return of_all_something(first, second, nullptr, [&](ServerValue *left, ServerValue *right, ServerValue *) {
        return make_body(left, right);
    });
}

static ServerValue *left_part(const Call &call) {
    if (!is_utf8(call))
        return nullptr;
    return of_two_arguments(call, [](ServerValue *known, ServerValue *number) {
        ServerValue *all_but = larger(operation("$add", {operation_of("$strLenCP", known), number}), integer_value(0));
        ServerValue *length = choice(operation("$lt", {number, integer_value(0)}), all_but, number);
        return operation("$substrCP", {known, integer_value(0), length});
    });
}

static ServerValue *right_part(const Call &call) {
    if (!is_utf8(call))
        return nullptr;
    return of_two_arguments(call, [](ServerValue *known, ServerValue *number) {
        ServerValue *whole = operation_of("$strLenCP", known);
        ServerValue *skipped = choice(operation("$lt", {number, integer_value(0)}),
                                      smaller(operation("$subtract", {integer_value(0), number}), whole),
                                      larger(operation("$subtract", {whole, number}), integer_value(0)));
        return operation("$substrCP", {known, skipped, whole});
    });
}

static ServerValue *position_of(const Call &call) {
    if (!is_utf8(call) || !is_deterministic(call))
        return nullptr;
    return of_two_arguments(call, [](ServerValue *known, ServerValue *sought) {
        return operation("$add", {operation("$indexOfCP", {known, sought}), integer_value(1)});
    });
}

static ServerValue *starts_with(const Call &call) {
    if (!is_utf8(call) || !is_deterministic(call))
        return nullptr;
    return of_two_arguments(call, [](ServerValue *known, ServerValue *sought) {
        return operation("$eq", {operation("$indexOfCP", {known, sought}), integer_value(0)});
    });
}

static ServerValue *part_between(const Call &call) {
    if (!is_utf8(call) || !is_deterministic(call))
        return nullptr;
    const char *separator = literal_text(call, 1);
    const Const *number = literal_argument(call, 2);
    if (!separator || separator[0] == '\0' || !number || DatumGetInt32(number->constvalue) == 0)
        return not_sent(call.translation, call.expression, "the separator or the number is not a constant, or empty");
    ServerValue *text = argument_value(call, 0);
    ServerValue *split_at = text ? argument_value(call, 1) : nullptr;
    if (!split_at)
        return nullptr;
    const int32 position = DatumGetInt32(number->constvalue);
    return of_something(text, [&](ServerValue *known) {
        ServerValue *parts = operation("$split", {known, split_at});
        ServerValue *part = operation("$arrayElemAt", {parts, integer_value(position > 0 ? position - 1 : position)});
        return operation("$ifNull", {part, text_value("")});
    });
}

/* --- changes ----------------------------------------------------------------------------------------------------- */

static ServerValue *concatenate(const Call &call) {
    if (!is_utf8(call))
        return nullptr;
    ServerValue *left = argument_value(call, 0);
    ServerValue *right = left ? argument_value(call, 1) : nullptr;
    return right ? operation("$concat", {left, right}) : nullptr;
}

/* concat(a, b, …) leaves NULLs out. */
static ServerValue *concatenate_all(const Call &call) {
    if (!is_utf8(call))
        return nullptr;
    ServerValue *texts = array_value({});
    for (int i = 0; i < list_length(call.arguments); ++i) {
        Node *node = argument(call, i);
        const Oid type = getBaseType(exprType(node));
        if (type == UNKNOWNOID && IsA(node, Const)) { /* a literal */
            const Const *literal = reinterpret_cast<const Const *>(node);
            append_item(texts, text_value(literal->constisnull ? "" : DatumGetCString(literal->constvalue)));
            continue;
        }
        if (reinterpret_cast<FuncExpr *>(call.expression)->funcvariadic || (type != TEXTOID && type != VARCHAROID))
            return not_sent(call.translation, call.expression, "concat() is sent for text only");
        ServerValue *value = argument_value(call, i);
        if (!value)
            return nullptr;
        append_item(texts, operation("$ifNull", {value, text_value("")}));
    }
    return operation_of("$concat", texts);
}

static ServerValue *trim(const Call &call, const char *name) {
    if (!is_utf8(call))
        return nullptr;
    const bool has_set = list_length(call.arguments) > 1;
    const char *set = has_set ? literal_text(call, 1) : " ";
    if (!set)
        return not_sent(call.translation, call.expression, "the characters to trim are not a constant");
    ServerValue *value = argument_value(call, 0);
    if (!value || set[0] == '\0')
        return value;
    ServerValue *characters = has_set ? argument_value(call, 1) : text_value(set);
    return characters ? named_operation(name, {{"input", value}, {"chars", characters}}) : nullptr;
}

static ServerValue *trim_both(const Call &call) {
    return trim(call, "$trim");
}

static ServerValue *trim_left(const Call &call) {
    return trim(call, "$ltrim");
}

static ServerValue *trim_right(const Call &call) {
    return trim(call, "$rtrim");
}

static ServerValue *replace(const Call &call) {
    if (!is_utf8(call) || !is_deterministic(call))
        return nullptr;
    const char *sought = literal_text(call, 1);
    if (!sought)
        return not_sent(call.translation, call.expression, "what is to be replaced is not a constant");
    ServerValue *value = argument_value(call, 0);
    ServerValue *find = value ? argument_value(call, 1) : nullptr;
    ServerValue *replacement = find ? argument_value(call, 2) : nullptr;
    if (!replacement)
        return nullptr;
    if (sought[0] == '\0') /* nothing is found, but NULL stays NULL */
        return choice(is_something(replacement), value, null_value());
    return named_operation("$replaceAll", {{"input", value}, {"find", find}, {"replacement", replacement}});
}

/* --- LIKE -------------------------------------------------------------------------------------------------------- */

/* A LIKE pattern as a regular expression of PCRE, with the option s; NULL if it ends in its escape character. */
static const char *regex_of_like(const char *pattern) {
    StringInfoData regex;
    initStringInfo(&regex);
    appendStringInfoString(&regex, "^");
    for (const char *at = pattern; *at; ++at) {
        if (*at == '%') {
            appendStringInfoString(&regex, ".*");
            continue;
        }
        if (*at == '_') {
            appendStringInfoChar(&regex, '.');
            continue;
        }
        if (*at == '\\' && *++at == '\0')
            return nullptr;
        if (strchr("\\^$.|?*+()[]{}", *at))
            appendStringInfoChar(&regex, '\\');
        appendStringInfoChar(&regex, *at);
    }
    appendStringInfoString(&regex, "\\z"); /* $ would match before a line feed at the end */
    return regex.data;
}

static ServerValue *like(const Call &call) {
    if (!is_utf8(call) || !is_deterministic(call))
        return nullptr;
    const Const *constant = constant_of(call.translation, argument(call, 1));
    const char *regex =
        constant && !constant->constisnull ? regex_of_like(TextDatumGetCString(constant->constvalue)) : nullptr;
    if (!regex)
        return not_sent(call.translation, call.expression,
                        "the pattern is not a constant, or ends in its escape character");
    ServerValue *value = argument_value(call, 0);
    if (!value)
        return nullptr;
    ServerValue *pattern = text_value(regex);
    pattern->constant.placeholder = placeholder_of(argument(call, 1));
    return of_something(value, [&](ServerValue *known) {
        return named_operation("$regexMatch", {{"input", known}, {"regex", pattern}, {"options", text_value("s")}});
    });
}

static ServerValue *not_like(const Call &call) {
    ServerValue *value = like(call);
    if (!value)
        return nullptr;
    return of_something(value, [](ServerValue *known) { return not_of(known); });
}

/* --- the table --------------------------------------------------------------------------------------------------- */

// clang-format off
static const FunctionRule rules[] = {
    {"length(text), char_length(text)", "{$strLenCP: a}", "the database's encoding is UTF8, here and below", count_characters,
     {F_LENGTH_TEXT, F_CHAR_LENGTH_TEXT, F_CHARACTER_LENGTH_TEXT, F_TEXTLEN}},
    {"octet_length(text)", "{$strLenBytes: a}", "always", count_bytes, {F_OCTET_LENGTH_TEXT}},
    {"lower(text), upper(text)", "{$toLower: a}, {$toUpper: a}", "characters beyond ASCII are trouble; the collation treats the letters of ASCII as usual", make_small, {F_LOWER_TEXT}},
    {nullptr, nullptr, nullptr, make_capital, {F_UPPER_TEXT}},
    {"text || text", "{$concat: [a, b]}", "always", concatenate, {F_TEXTCAT}},
    {"concat(text, …)", "$concat, with '' for null", "all arguments are text", concatenate_all, {F_CONCAT}},
    {"substr(text, from), substring(text FROM … FOR …), left, right", "{$substrCP: [a, from - 1, length]}", "a negative length is trouble", substring_from,
     {F_SUBSTR_TEXT_INT4, F_SUBSTRING_TEXT_INT4}},
    {nullptr, nullptr, nullptr, substring_from_for, {F_SUBSTR_TEXT_INT4_INT4, F_SUBSTRING_TEXT_INT4_INT4}},
    {nullptr, nullptr, nullptr, left_part, {F_LEFT}},
    {nullptr, nullptr, nullptr, right_part, {F_RIGHT}},
    {"strpos(a, b), position(b IN a)", "{$indexOfCP: [a, b]} + 1", "the collation is deterministic", position_of, {F_STRPOS, F_POSITION_TEXT_TEXT}},
    {"starts_with(a, b), a ^@ b", "{$indexOfCP: [a, b]} = 0", "the collation is deterministic", starts_with, {F_STARTS_WITH}},
    {"split_part(a, separator, n)", "$split, $arrayElemAt", "separator and n are constants; the collation is deterministic", part_between, {F_SPLIT_PART}},
    {"btrim, ltrim, rtrim (text, characters), trim(…)", "{$trim: {input: a, chars: …}}, $ltrim, $rtrim", "the characters are a constant", trim_both, {F_BTRIM_TEXT, F_BTRIM_TEXT_TEXT}},
    {nullptr, nullptr, nullptr, trim_left, {F_LTRIM_TEXT, F_LTRIM_TEXT_TEXT}},
    {nullptr, nullptr, nullptr, trim_right, {F_RTRIM_TEXT, F_RTRIM_TEXT_TEXT}},
    {"replace(a, from, to)", "$replaceAll", "from is a constant; the collation is deterministic", replace, {F_REPLACE}},
    {"a LIKE pattern, a NOT LIKE pattern", "$regexMatch with the pattern as a regular expression", "the pattern is a constant; the collation is deterministic", like, {F_TEXTLIKE, F_LIKE_TEXT_TEXT}},
    {nullptr, nullptr, nullptr, not_like, {F_TEXTNLIKE, F_NOTLIKE_TEXT_TEXT}},
    {"initcap, lpad, rpad, repeat, reverse, translate", nullptr, "MongoDB has no like of it", nullptr,
     {F_INITCAP, F_LPAD_TEXT_INT4, F_LPAD_TEXT_INT4_TEXT, F_RPAD_TEXT_INT4, F_RPAD_TEXT_INT4_TEXT, F_REPEAT, F_TRANSLATE}},
    {"ILIKE, ~*, !~*", nullptr, "which letters are the same depends on the locale", nullptr, {F_TEXTICLIKE, F_TEXTICNLIKE, F_TEXTICREGEXEQ, F_TEXTICREGEXNE}},
};
// clang-format on

const RuleGroup text_rules = {"text", rules, lengthof(rules)};

} // namespace mongoferry::query

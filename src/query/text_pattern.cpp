/*
 * See text_pattern.h. Sources: PostgreSQL manual, "Pattern Matching"; PCRE's pcrepattern(3), in UTF mode, as MongoDB
 * uses it; MongoDB manual, "$regex", "Index Use": an index serves an expression that begins with ^ and plain
 * characters.
 */
#include "query/text_pattern.h"

extern "C" {
#include "lib/stringinfo.h"
#include "utils/fmgroids.h"
}

namespace mongoferry::query {

bool find_pattern_kind(Oid function, PatternKind *kind, bool *negated) {
    *negated = false;
    switch (function) {
    case F_TEXTNLIKE:
    case F_NOTLIKE_TEXT_TEXT:
        *negated = true;
        [[fallthrough]];
    case F_TEXTLIKE:
    case F_LIKE_TEXT_TEXT:
        *kind = PatternKind::like;
        return true;
    case F_TEXTICNLIKE:
        *negated = true;
        [[fallthrough]];
    case F_TEXTICLIKE:
        *kind = PatternKind::ilike;
        return true;
    case F_TEXTREGEXNE:
        *negated = true;
        [[fallthrough]];
    case F_TEXTREGEXEQ:
        *kind = PatternKind::regex;
        return true;
    case F_TEXTICREGEXNE:
        *negated = true;
        [[fallthrough]];
    case F_TEXTICREGEXEQ:
        *kind = PatternKind::regex_ignoring_case;
        return true;
    case F_STARTS_WITH:
        *kind = PatternKind::prefix;
        return true;
    default:
        return false;
    }
}

namespace {

bool is_ascii_letter(char character) {
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

bool is_digit(char character) {
    return character >= '0' && character <= '9';
}

bool is_ascii(char character) {
    return static_cast<unsigned char>(character) < 0x80;
}

bool is_continuation(char character) {
    return (static_cast<unsigned char>(character) & 0xc0) == 0x80;
}

/* A character as itself. What follows a backslash and is no letter or digit always is. */
void append_literal(StringInfo regex, char character) {
    if (is_ascii(character) && !is_ascii_letter(character) && !is_digit(character) && character != ' ' &&
        character != '_' && character != '@' && character != '\n')
        appendStringInfoChar(regex, '\\');
    appendStringInfoChar(regex, character);
}

/* --- LIKE ------------------------------------------------------------------------------------------------------ */

/* LIKE. Without wildcards it is equality; a % at either end needs no words in a regular expression. */
const char *translate_like(const char *pattern, TextPattern *translated) {
    StringInfoData regex;
    StringInfoData literal;
    initStringInfo(&regex);
    initStringInfo(&literal);
    bool has_wildcards = false;
    bool ends_open = false;
    if (pattern[0] != '%')
        appendStringInfoChar(&regex, '^');
    for (const char *at = pattern; *at; ++at) {
        ends_open = false;
        if (*at == '%') {
            has_wildcards = true;
            ends_open = true;
            while (at[1] == '%')
                ++at;
            if (at[1] != '\0' && regex.len > 0)
                appendStringInfoString(&regex, ".*");
            continue;
        }
        if (*at == '_') {
            has_wildcards = true;
            appendStringInfoChar(&regex, '.');
            continue;
        }
        if (*at == '\\' && *++at == '\0')
            return "the pattern ends with an escape character";
        append_literal(&regex, *at);
        if (!has_wildcards)
            appendStringInfoChar(&literal, *at);
    }
    if (!ends_open)
        appendStringInfoString(&regex, "\\z"); /* $ would match before a line feed at the end */
    translated->literal = has_wildcards ? nullptr : literal.data;
    translated->regex = regex.data;
    translated->options = strchr(regex.data, '.') ? "s" : "";
    translated->prefix = literal.data;
    translated->exact = true;
    return nullptr;
}

/* ILIKE in the collation C: only ASCII has upper and lower case. In others the text is put into lower case first, which
 * may replace a letter by another one or by several; so letters that may take part in that, and single characters,
 * match anything. */
const char *translate_ilike(const char *pattern, bool collation_is_c, TextPattern *translated) {
    StringInfoData regex;
    initStringInfo(&regex);
    appendStringInfoChar(&regex, '^');
    for (const char *at = pattern; *at; ++at) {
        if (*at == '%') {
            appendStringInfoString(&regex, ".*");
            continue;
        }
        if (*at == '_') {
            appendStringInfoString(&regex, collation_is_c ? "." : ".?");
            continue;
        }
        if (*at == '\\' && *++at == '\0')
            return "the pattern ends with an escape character";
        if (is_ascii_letter(*at)) {
            const char lower = static_cast<char>(*at | 0x20);
            if (!collation_is_c && strchr("ijk", lower))
                appendStringInfoString(&regex, ".{0,3}");
            else
                appendStringInfo(&regex, "[%c%c]", lower, lower - 0x20);
        } else if (collation_is_c || is_ascii(*at)) {
            append_literal(&regex, *at);
        } else {
            appendStringInfoString(&regex, ".{0,3}");
            while (is_continuation(at[1]))
                ++at;
        }
    }
    appendStringInfoString(&regex, "\\z");
    *translated = {nullptr, regex.data, "s", "", collation_is_c};
    return nullptr;
}

/* starts_with(): nothing in it is special. */
void translate_prefix(const char *prefix, TextPattern *translated) {
    StringInfoData regex;
    initStringInfo(&regex);
    appendStringInfoChar(&regex, '^');
    for (const char *at = prefix; *at; ++at)
        append_literal(&regex, *at);
    *translated = {nullptr, regex.data, "", prefix, true};
}

/* --- regular expressions ------------------------------------------------------------------------------------------ */

constexpr const char *other_dialect =
    "the regular expression has what the dialects of PostgreSQL and PCRE may see differently";

/* Reads an advanced regular expression and lets pass what means the same to PCRE: characters, ., bracket expressions of
 * characters and ranges, groups, alternatives, quantifiers, ^ and $ at the ends of branches, and in the collation C
 * \d \s \w. */
class RegexReader {
public:
    RegexReader(const char *pattern, bool has_ascii_classes) : at(pattern), ascii_classes(has_ascii_classes) {
        initStringInfo(&regex);
        initStringInfo(&prefix);
    }

    /* False if there is something else in it. */
    bool read() {
        if (strncmp(at, "***", 3) == 0 || strncmp(at, "(?", 2) == 0)
            return false; /* directors and options */
        while (*at)
            if (!read_one())
                return false;
        return depth == 0 && !branch_is_empty;
    }

    StringInfoData regex;
    StringInfoData prefix; /* plain characters after ^ at the beginning */

private:
    bool read_one() {
        const bool was_atom = after_atom;
        after_atom = false;
        switch (*at) {
        case '^':
            if (!at_branch_start)
                return false;
            if (regex.len == 0)
                in_prefix = true;
            appendStringInfoChar(&regex, *at++);
            branch_is_empty = false;
            at_branch_start = false;
            return true;
        case '$':
            if (at[1] != '\0' && at[1] != ')' && at[1] != '|')
                return false;
            appendStringInfoString(&regex, "\\z");
            ++at;
            in_prefix = false;
            branch_is_empty = false;
            at_branch_start = false;
            return true;
        case '(':
            return begin_group();
        case ')':
            if (depth == 0 || branch_is_empty)
                return false;
            --depth;
            appendStringInfoChar(&regex, *at++);
            return done_atom();
        case '|':
            if (branch_is_empty)
                return false;
            appendStringInfoChar(&regex, *at++);
            prefix.len = 0;
            prefix.data[0] = '\0';
            in_prefix = false;
            begin_branch();
            return true;
        case '*':
        case '+':
        case '?':
            return was_atom && read_quantifier(1);
        case '{':
            return was_atom && read_bound();
        case '[':
            in_prefix = false;
            return read_brackets() && done_atom();
        case '.':
            in_prefix = false;
            appendStringInfoChar(&regex, *at++);
            return done_atom();
        case '\\':
            return read_escape() && done_atom();
        case ']':
        case '}':
            return false;
        default:
            return read_character() && done_atom();
        }
    }

    bool done_atom() {
        after_atom = true;
        branch_is_empty = false;
        at_branch_start = false;
        return true;
    }

    void begin_branch() {
        branch_is_empty = true;
        at_branch_start = true;
    }

    bool begin_group() {
        in_prefix = false;
        if (at[1] == '?') {
            if (at[2] != ':')
                return false;
            at += 2;
        }
        ++at;
        ++depth;
        appendStringInfoString(&regex, "(?:");
        begin_branch();
        return true;
    }

    /* The last character may not be there. */
    void shorten_prefix() {
        if (!in_prefix || prefix.len == 0)
            return;
        while (prefix.len > 1 && is_continuation(prefix.data[prefix.len - 1]))
            --prefix.len;
        prefix.data[--prefix.len] = '\0';
    }

    bool read_quantifier(int size) {
        shorten_prefix();
        in_prefix = false;
        appendBinaryStringInfo(&regex, at, size);
        at += size;
        if (*at == '?') /* whether it prefers few makes no difference to whether it matches */
            ++at;
        return *at != '*' && *at != '+' && *at != '?' && *at != '{';
    }

    bool read_bound() {
        int size = 1;
        int first = 0;
        while (is_digit(at[size]) && size < 5)
            first = first * 10 + (at[size++] - '0');
        if (size == 1)
            return false;
        int last = first;
        if (at[size] == ',') {
            ++size;
            const int digits = size;
            last = 0;
            while (is_digit(at[size]) && size < digits + 4)
                last = last * 10 + (at[size++] - '0');
            if (size == digits)
                last = first;
        }
        constexpr int most = 100; /* what PCRE compiles stays small */
        if (++bounds > 2)
            return false;
        return at[size] == '}' && first <= last && last <= most && read_quantifier(size + 1);
    }

    bool read_character() {
        const char *begin = at;
        do {
            ++at;
        } while (is_continuation(*at));
        if (in_prefix)
            appendBinaryStringInfo(&prefix, begin, static_cast<int>(at - begin));
        for (const char *byte = begin; byte < at; ++byte)
            append_literal(&regex, *byte);
        return true;
    }

    static bool is_upper(char letter) { return (letter & 0x20) == 0; }

    /* Of \d \s \w and their opposites, as they are in the collation C; NULL for other escapes. */
    static const char *class_characters(char escaped) {
        switch (escaped) {
        case 'd':
        case 'D':
            return "0-9";
        case 's':
        case 'S':
            return " \\t\\n\\x0b\\f\\r";
        case 'w':
        case 'W':
            return "0-9A-Za-z_";
        default:
            return nullptr;
        }
    }

    bool read_escape() {
        const char escaped = at[1];
        if (escaped == '\0')
            return false;
        if (const char *characters = class_characters(escaped)) {
            if (!ascii_classes)
                return false;
            in_prefix = false;
            appendStringInfo(&regex, "[%s%s]", is_upper(escaped) ? "^" : "", characters);
            at += 2;
            return true;
        }
        if (is_ascii_letter(escaped)) {
            if (!strchr("nrtf", escaped))
                return false;
            in_prefix = false;
        } else if (is_digit(escaped) || !is_ascii(escaped) || escaped == '_' || escaped == ' ' || escaped == '\n') {
            return false;
        } else if (in_prefix) {
            appendStringInfoChar(&prefix, escaped);
        }
        appendStringInfoChar(&regex, '\\');
        appendStringInfoChar(&regex, escaped);
        at += 2;
        return true;
    }

    /* [abc], [^a-z]: letters, digits and some punctuation, which nobody takes for anything else. */
    bool read_brackets() {
        appendStringInfoChar(&regex, *at++);
        if (*at == '^')
            appendStringInfoChar(&regex, *at++);
        bool is_empty = true;
        for (; *at != ']'; is_empty = false) {
            if (!is_ascii_letter(*at) && !is_digit(*at) && !(*at && strchr(" _.,:;@%!<>/+*?(){}|$#=", *at)) &&
                is_ascii(*at))
                return false;
            const char *begin = at;
            do {
                ++at;
            } while (is_continuation(*at));
            appendBinaryStringInfo(&regex, begin, static_cast<int>(at - begin));
            if (*at == '-') { /* a range, of ASCII letters or digits of one kind */
                const char from = *begin;
                const char to = at[1];
                const bool same_kind = (is_digit(from) && is_digit(to)) ||
                                       (is_ascii_letter(from) && is_ascii_letter(to) && (from & 0x20) == (to & 0x20));
                if (at - begin != 1 || !same_kind || from > to)
                    return false;
                appendStringInfo(&regex, "-%c", to);
                at += 2;
            }
        }
        ++at;
        appendStringInfoChar(&regex, ']');
        return !is_empty;
    }

    const char *at;
    bool ascii_classes;
    int depth = 0;
    int bounds = 0;
    bool in_prefix = false;
    bool after_atom = false;
    bool at_branch_start = true;
    bool branch_is_empty = false;
};

const char *translate_regex(const char *pattern, bool ignores_case, bool collation_is_c, TextPattern *translated) {
    if (ignores_case && !collation_is_c)
        return "which letters are the same depends on the locale";
    RegexReader reader(pattern, collation_is_c);
    if (!reader.read())
        return other_dialect;
    /* PCRE takes some letters beyond ASCII for the same as ASCII's. */
    *translated = {nullptr, reader.regex.data, ignores_case ? "is" : "s", ignores_case ? "" : reader.prefix.data,
                   !ignores_case};
    return nullptr;
}

} // namespace

const char *translate_pattern(PatternKind kind, const char *pattern, bool collation_is_c, TextPattern *translated) {
    switch (kind) {
    case PatternKind::like:
        return translate_like(pattern, translated);
    case PatternKind::ilike:
        return translate_ilike(pattern, collation_is_c, translated);
    case PatternKind::regex:
        return translate_regex(pattern, false, collation_is_c, translated);
    case PatternKind::regex_ignoring_case:
        return translate_regex(pattern, true, collation_is_c, translated);
    case PatternKind::prefix:
        translate_prefix(pattern, translated);
        break;
    }
    return nullptr;
}

} // namespace mongoferry::query

/*
 * Text against a pattern: LIKE, ILIKE, regular expressions, starts_with(): SQL's patterns as those of the query
 * language. Pure, apart from memory.
 */
#pragma once

#include "pg/backend.h"

namespace mongoferry::query {

enum class PatternKind : uint8_t { like, ilike, regex, regex_ignoring_case, prefix };

/* What a function that matches text asks; false if it is none. */
bool find_pattern_kind(Oid function, PatternKind *kind, bool *negated);

struct TextPattern {
    const char *literal; /* not NULL: the pattern matches this text and no other */
    const char *regex;   /* else: of PCRE, in UTF-8 */
    const char *options; /* its letters */
    const char *prefix;  /* what all texts begin with that match; may be empty */
    bool exact;          /* false: it matches more than SQL's */
};

/* NULL, or why there is none. pattern is UTF-8. collation_is_c: letters are those of ASCII. */
const char *translate_pattern(PatternKind kind, const char *pattern, bool collation_is_c, TextPattern *translated);

} // namespace mongoferry::query

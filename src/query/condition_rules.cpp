/* See condition_rules.h. */
#include "query/condition_rules.h"

namespace mongoferry::query {

static constexpr const char *subject = "columns and constants";

// clang-format off
static constexpr RuleText rules[] = {
    {subject, "smallint, integer, bigint: =, <>, <, <=, >, >=", "{n: 5}, {n: {$nin: [5, null]}}, {n: {$gt: 5}} …", "exact; the constant may be numeric or double precision (n > 2.5 is {n: {$gt: 2}}), for bigint no double beyond 2^53"},
    {subject, "double precision", "{d: {$gt: 5}}, or d is NaN", "exact; NaN is the largest number in SQL and less than nothing in MongoDB; a constant with other decimals than its double, like 0.1, has an arm for Decimal128"},
    {subject, "real", "a range about the constant", "wide: values are rounded"},
    {subject, "numeric, numeric(p,s)", "{price: {$gt: Decimal128}}, or price is NaN", "exact; where a double's digits could lie beside its value, doubles have an arm of their own; for numeric(p,s) also what would be rounded to the constant; not with more than 34 digits"},
    {subject, "boolean", "{flag: true}, {flag: false}", "exact"},
    {subject, "text, varchar, varchar(n): =, <>", "{name: \"Ada\"}, or a type that has a text too", "exact; the collation is deterministic, the database's encoding UTF8"},
    {subject, "text, varchar: <, <=, >, >=", "{name: {$gt: \"Ada\"}}, or a type that has a text too", "exact, under collation \"C\""},
    {subject, "timestamptz, timestamp", "{at: {$gte: date}}, or a type that is read as a time", "exact; a constant of date or timestamp counts in the session's time zone; what is finer than milliseconds becomes the bound beside it; timestamp against timestamptz is wide; not for columns with fewer than 3 digits of seconds"},
    {subject, "date", "{day: {$gte: midnight, $lt: next midnight}}, in UTC, or a type that is read as a time", "exact"},
    {subject, "uuid", "{u: UUID}, the same in the bytes of subtype 3, its ObjectId, or a string", "exact; <, > of UUIDs that are stored in another order of bytes (csharpLegacy, javaLegacy) send only that there is a value"},
    {subject, "mongoferry.objectid", "{_id: ObjectId}", "exact"},
    {subject, "mongoferry.to_uuid(objectid)", "{_id: the ObjectId that the UUID was made of}; nothing, if it was made of none", "exact; <, > only with UUIDs that were made of an ObjectId"},
    {subject, "column IN (…), = ANY, NOT IN, <> ALL, > ANY … constants", "{n: {$in: […]}}, {n: {$nin: […, null]}}", "as the comparison; a NULL among the constants makes NOT IN match nothing"},
    {subject, "(a, b) < (1, 2), <=, >, >=", "$or: a < 1, or a = 1 and b < 2", "as the comparisons"},
    {subject, "column IS NULL, IS NOT NULL", "{n: null} (missing too), or undefined, or an array on the way; {n: {$ne: null}}", "exact; with on_mismatch 'null' also what does not fit"},
    {subject, "AND, OR, NOT, IS TRUE, IS NOT FALSE, IS UNKNOWN …, IS DISTINCT FROM", "$and, $or of the arms, each asked to be what is wanted", "as the arms: a NOT is moved down to the comparisons, since NULL is no match under either; of an AND, arms that are not sent are left out"},
    {subject, "text LIKE pattern, NOT LIKE, starts_with(), ^@, LIKE ANY", "{name: /^Ad/}, {name: {$nin: [/^Ad/, null]}}, or a type that has a text too", "exact; an index serves where the pattern begins with plain characters"},
    {subject, "text ILIKE pattern", "{name: /^[aA][dD]/}", "exact under collation \"C\"; else wide, with letters that a locale may change left open, and NOT ILIKE is not sent"},
    {subject, "text ~ expression, !~, SIMILAR TO", "{name: /…/s}", "exact; of what the two dialects share: characters, ., brackets of letters and digits, groups, |, *, +, ?, {m,n}, ^, $, and under collation \"C\" \\d, \\s, \\w"},
    {subject, "text ~* expression", "{name: /…/is}", "wide, under collation \"C\"; !~* is not sent"},
    {subject, "constant = ANY (array column), < ANY …", "{tags: 5}, or an array of arrays", "wide"},
    {subject, "array column @> constant, <@ turned round, &&, =", "{tags: 5} for each of the elements, or for one", "wide"},
    {subject, "the same on elements of an unwound array, before they become rows", "{items.qty: 5}", "wide: some element is like that; IS NULL is not sent"},
    {subject, "anything else on columns, between columns, or of expressions", "{$expr: …}, or the document is odd or trouble", "exact, by the rules below"},
};
// clang-format on

const RuleText *condition_rule_texts(int *count) {
    *count = lengthof(rules);
    return rules;
}

} // namespace mongoferry::query

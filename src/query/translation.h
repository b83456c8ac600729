/*
 * What a translation from SQL to MongoDB's languages looks at and what it finds out. POD, palloc'd.
 *
 * Native, odd, exact. A document is native for a column if the field holds one of the BSON types that are the column's
 * own (an integral number in range for integer, a string for text, a date in range for timestamptz …), or nothing
 * (missing, null). All else is odd: an array on the way to the field, a value that converts otherwise (a string into
 * timestamptz), a value that a scan refuses, undefined. A translation is exact if it gives SQL's answer for native
 * documents. What becomes of odd ones is for the user of the translation:
 *
 *   a filter (rechecked)     lets odd documents through that could satisfy the condition; those that a scan refuses may
 *                            be passed over.
 *   grouping, joins, limits  exact translations only, with odd_test() beside them; one odd document, and the local plan
 *                            takes over.
 */
#pragma once

#include "pg/backend.h"

#include "query/relation_fields.h"
#include "query/server_value.h"

extern "C" {
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
}

namespace mongoferry::query {

/* A table of the query; Vars have its position, from 1 on, as varno. */
struct TranslatedTable {
    const RelationFields *fields;
    const char *collection; /* UTF-8 */
    const char *prefix;     /* path under which a join's stage has put the table's document; NULL: at the top */
    bool unwound;           /* a $unwind stage has put one element in the place of the array of an unwound table */
};

/* An expression whose value a stage has already put under a path: keys and aggregates after $group. Native or null. */
struct KnownValue {
    Node *expression;
    const char *path;
};

/* A column whose oddity matters to what was translated. */
struct FieldUse {
    int table; /* from 0 on */
    AttrNumber column;
};

/* Why a part of a query is not sent; for why_not_pushed(). */
struct Reason {
    Node *expression;
    const char *text; /* "the order of text depends on the collation", psprintf'd or constant; no final period */
};

struct Translation {
    const TranslatedTable *tables;
    int table_count;
    List *known;       /* of KnownValue *: looked at before anything else */
    bool values_known; /* false in the planner and in EXPLAIN: placeholders (Param) have only a type */

    /* found out */
    List *uses;     /* of FieldUse *, each once */
    List *troubles; /* of ServerValue *: true where PostgreSQL would raise an error: overflow, division by zero … */
    List *reasons;  /* of Reason * */
};

/* Notes why an expression is not sent and returns NULL, to be returned. */
inline std::nullptr_t not_sent(Translation *translation, const void *expression, const char *why) {
    Reason *reason = static_cast<Reason *>(palloc(sizeof(Reason)));
    *reason = {const_cast<Node *>(static_cast<const Node *>(expression)), why};
    translation->reasons = lappend(translation->reasons, reason);
    return nullptr;
}

/* Notes that the translation relies on a column. */
void use_field(Translation *translation, int table, AttrNumber column);

/* The value of an expression in the aggregation language: exact, never raising on the server whatever the documents
 * hold, null where SQL's is NULL (or where a used field is odd). NULL, with a reason, if it can't be sent. */
ServerValue *translate_value(Translation *translation, Node *expression);
/* The same for total operators ($eq, $lt, $and, $cond …): the field as it is, where translate_value() would put null
 * for odd values and missing ones. */
ServerValue *translate_operand(Translation *translation, Node *expression);

/* A boolean expression that is true for documents that are odd in a used field or give trouble; NULL: there is no such
 * document. */
ServerValue *odd_test(const Translation *translation);
/* The same of the uses of one table alone as a query predicate, for a probe. NULL: there is no such document. */
FilterNode *odd_uses_filter(const Translation *translation, int table = 0);

/* The value of a Const, and of a placeholder (remote_query.h) while its value is not known a stand-in of its type, so
 * that a trial translation can be made; NULL for other expressions. What is made of it must carry placeholder_of() in
 * Constant.placeholder. */
const Const *constant_of(const Translation *translation, Node *expression);
/* The number of a placeholder; 0 for other expressions. */
int placeholder_of(Node *expression);

/* The column behind an expression of a plain Var (or a Var relabelled); NULL if it is none. table from 0 on. */
const Field *field_of(const Translation *translation, Node *expression, int *table, AttrNumber *column);
/* The path of a table's field in UTF-8, below the table's prefix. Palloc'd or as it is. */
const char *path_of(const Translation *translation, int table, const Field *field);

} // namespace mongoferry::query

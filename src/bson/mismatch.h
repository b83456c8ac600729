/*
 * Values that do not fit: the errors about them, and the counts where on_mismatch reads them as NULL. All texts about a
 * document's value are made here.
 *
 * POD world (pg/guard.h).
 */
#pragma once

#include "pg/backend.h"

#include "bson/field_plan.h"

extern "C" {
#include "lib/stringinfo.h"
}

namespace mongoferry::bson {

struct Converter;

/* What a column is, and what happened to its values. */
struct Column {
    FieldSpec field;
    Converter *converter;
    bool of_element;       /* read from the unwound array's element */
    bool is_position;      /* $$INDEX */
    Value value;           /* kept until it is converted (unwind and row filters only) */
    uint64_t found_in;     /* the last walk that found a value */
    uint64_t converted_in; /* the last document of which a value was converted (row filters only) */
    int64_t misfits;       /* read as NULL */
    char *first_id;        /* of the first of them, as JSON in the server's encoding; in the plan's context */
};

/* Where inside a column's value we are: an array position or an attribute. Linked through the stack. */
struct PathStep {
    const PathStep *outer;
    const char *name; /* NULL for a position */
    int64_t position;
};

/* What the hint offers besides on_mismatch. */
enum class Way : uint8_t { other_type, coerce_strings, on_nul };

struct Refusal {
    int sqlstate;
    const char *reason;
    Way way;
};

/* The state of the conversion that is under way, one for a plan. */
struct Conversion {
    MemoryContext context; /* the plan's */
    PlanSource source;
    View document;
    int64_t offset; /* of the document in its file, or -1 */
    const char *unwind;
    int64_t position; /* of the element in the unwound array, or -1 */
    Column *column;
    const PathStep *step;
    bool repeats; /* a further row of the same document: its misfits are counted already */
    Refusal refusal;
    StringInfoData text; /* room for texts that input functions read */
};

/* The value was refused as conversion.refusal says: raises, or counts and returns, as on_mismatch says. */
void settle_refusal(const Converter &converter, Conversion &conversion, const Value &value);

/* The document's bytes are wrong at that place. */
[[noreturn]] void raise_corrupt_document(const Conversion &conversion, const uint8_t *at, const char *error);

/* See report_mismatches() and hold_mismatches() in field_plan.h. Resets the counts. */
void warn_of_misfits(const Conversion &conversion, Column *columns, int column_count);

} // namespace mongoferry::bson

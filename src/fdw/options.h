/*
 * The options of servers, user mappings, foreign tables and columns: the one table of them, and how their values are
 * checked and read. The narrower level wins: column over table over server.
 *
 * POD world (pg/guard.h): palloc'd results, errors raised by ereport.
 */
#pragma once

#include "pg/backend.h"

#include "bson/conversion_options.h"

extern "C" {
#include "foreign/foreign.h"
#include "nodes/pg_list.h"
}

namespace mongoferry::fdw {

/* Where an option may stand; a bit each. */
enum OptionLevel : unsigned {
    on_server = 1u << 0,
    on_user_mapping = 1u << 1,
    on_table = 1u << 2,
    on_column = 1u << 3,
    on_import = 1u << 4, /* IMPORT FOREIGN SCHEMA … OPTIONS (…) */
};

enum class OptionKind : uint8_t {
    text,
    boolean,
    integer,  /* minimum … maximum of the definition */
    number,   /* likewise, fractions included */
    duration, /* milliseconds, or with a unit as PostgreSQL's settings have it; minimum … maximum in ms */
    choice,   /* one of the definition's choices */
};

/* One row of the option table (options.cpp), which code, messages and README share. */
struct OptionDefinition {
    const char *name;
    unsigned levels;
    OptionKind kind;
    int64 minimum;
    int64 maximum;
    const char *choices;      /* of a choice: the words, separated by '|' */
    const char *default_text; /* for the manual; NULL where there is none */
    bool reads_files;         /* makes the server process read a file: for pg_read_server_files only */
    const char *description;  /* a sentence for the manual */
};

const OptionDefinition *option_definitions(int *count);
/* NULL if there is no such option. */
const OptionDefinition *find_option(const char *name);

/* Checks one value against its definition's kind; raises 22023 naming the option. */
void check_option_value(const OptionDefinition *definition, DefElem *option);

/* The error for an option that does not belong to this level (validator.cpp). */
[[noreturn]] void refuse_unknown_option(const char *name, unsigned level);

/* The value of an option in a list of DefElem, or NULL. */
const char *option_text(const List *options, const char *name);
/* The first of the lists that has it; NULL if none has. */
const char *option_text(const List *narrow, const List *wide, const char *name);

/* Values of options that the validator has accepted. */
bool boolean_value(const char *text, bool default_value);
int64 integer_value(const char *text, int64 default_value);
double number_value(const char *text, double default_value);
int duration_value(const char *text, int default_milliseconds);

/* What a value's conversion depends on, for a column (or a table, with column NIL). */
bson::ConversionOptions conversion_options(const List *server, const List *table, const List *column);

} // namespace mongoferry::fdw

/*
 * What the query room knows of a foreign table: for each column, the path of its field and what it becomes.
 * Made by the FDW room from the catalogs. POD.
 */
#pragma once

#include "pg/backend.h"

#include "bson/conversion_options.h"

namespace mongoferry::query {

struct Field {
    const char *column_name;
    const char *path; /* dotted path, "$$ROOT" or "$$INDEX"; NULL for a dropped column */
    Oid type;         /* as declared */
    int32 typmod;
    bson::ConversionOptions options;
};

struct RelationFields {
    Index relation; /* range table index of the foreign table */
    int count;      /* number of attributes; fields[attnum - 1] */
    const Field *fields;
    const char *unwind; /* NULL if the table is not unwound */
    bool unwind_outer;
};

} // namespace mongoferry::query

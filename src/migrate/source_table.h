/*
 * The foreign table that a function of the toolkit is given as a source: found, checked and described.
 */
#pragma once

#include "pg/backend.h"

#include "fdw/callbacks.h"

namespace mongoferry::migrate {

/* What a function shows of the documents, which decides who may call it. */
enum class SourceAccess : uint8_t {
    table,     /* no more than the table's columns do: SELECT on the table */
    documents, /* _ids or whole documents, also where the table has no such column: besides SELECT the right to make
                  such a table, which is USAGE on the server, or to change this one, which is its owner's */
};

/*
 * Locks the table for reading until the end of the transaction, so that it stays what it is. The description is
 * palloc'd. POD world. Raises undefined_table (42P01); wrong_object_type (42809) for what is no foreign table of
 * mongoferry; insufficient_privilege (42501); and what resolve_source() raises (fdw/source_options.h).
 */
const fdw::TableDescription *describe_source_table(Oid table, SourceAccess access);

} // namespace mongoferry::migrate

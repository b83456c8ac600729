/* mongoferry.in_chunk(oid, bytea): the planner takes it out of the conditions of a scan (fdw/chunk_condition.h), so
 * that it is only called where it has no meaning. */
#include "pg/backend.h"

extern "C" {
#include "fmgr.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_in_chunk);
}

Datum mongoferry_in_chunk(FunctionCallInfo) {
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             errmsg("in_chunk() can only be used as a condition on a foreign table of mongoferry"),
             errhint("Write WHERE mongoferry.in_chunk(tableoid, bounds), with bounds that do not depend on a row.")));
}

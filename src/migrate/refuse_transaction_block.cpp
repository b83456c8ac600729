/*
 * mongoferry.refuse_transaction_block(): a clear word where a procedure in PL/pgSQL cannot commit. What COMMIT itself
 * says there is "invalid transaction termination".
 *
 * POD world (pg/guard.h).
 */
#include "migrate/transaction_block.h"

#include "pg/backend.h"

extern "C" {
#include "executor/spi.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_refuse_transaction_block);
}

namespace mongoferry::migrate {

void raise_in_transaction_block(const char *procedure) {
    ereport(ERROR,
            (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION), errmsg("%s() cannot run inside a transaction block", procedure),
             errdetail("It commits part by part, so that what was done is kept however it ends."),
             errhint("CALL it by itself: with autocommit on, not within BEGIN or a function, and not in one string "
                     "together with other commands.")));
}

} // namespace mongoferry::migrate

/* refuse_transaction_block(procedure text) → void, strict: to be called by that procedure. Raises 25001. */
Datum mongoferry_refuse_transaction_block(PG_FUNCTION_ARGS) {
    /* The caller's PL/pgSQL is the innermost user of SPI. */
    if (!SPI_inside_nonatomic_context())
        mongoferry::migrate::raise_in_transaction_block(text_to_cstring(PG_GETARG_TEXT_PP(0)));
    PG_RETURN_VOID();
}

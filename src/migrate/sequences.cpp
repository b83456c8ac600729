/*
 * mongoferry.advance_sequence(): a sequence is set past a value, and never back, whoever else draws from it meanwhile.
 *
 * setval() alone can't promise that: between reading the sequence and setting it others may have drawn values beyond.
 * So both happen under a lock that nextval() and setval() of others (ROW EXCLUSIVE, see commands/sequence.c) wait for.
 * The sequence is not transactional, so the lock is given up at once. POD world (pg/guard.h).
 */
#include "pg/backend.h"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_sequence.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(mongoferry_advance_sequence);
}

namespace {

/* Where a sequence stands. */
struct Position {
    int64 last_value;
    bool is_called; /* false: last_value is what it gives next */
};

Position read_position(Oid sequence) {
    char *query = psprintf("SELECT last_value, is_called FROM %s",
                           quote_qualified_identifier(get_namespace_name(get_rel_namespace(sequence)),
                                                      get_rel_name(sequence)));
    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    if (SPI_execute(query, false, 1) != SPI_OK_SELECT || SPI_processed != 1)
        elog(ERROR, "could not read sequence %u", sequence);
    const HeapTuple row = SPI_tuptable->vals[0];
    const TupleDesc columns = SPI_tuptable->tupdesc;
    bool is_null;
    Position position;
    position.last_value = DatumGetInt64(SPI_getbinval(row, columns, 1, &is_null));
    position.is_called = DatumGetBool(SPI_getbinval(row, columns, 2, &is_null));
    SPI_finish();
    return position;
}

/* Raises 42704 if it is gone. */
int64 increment_of(Oid sequence) {
    const HeapTuple row = SearchSysCache1(SEQRELID, ObjectIdGetDatum(sequence));
    if (!HeapTupleIsValid(row))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("sequence with OID %u does not exist", sequence)));
    const int64 increment = reinterpret_cast<Form_pg_sequence>(GETSTRUCT(row))->seqincrement;
    ReleaseSysCache(row);
    return increment;
}

} // namespace

/* advance_sequence(sequence regclass, value bigint) → boolean, STRICT. Raises 42809 (wrong_object_type) for what is no
 * sequence, 42501 without the rights, 22003 when the value is out of its bounds. */
Datum mongoferry_advance_sequence(PG_FUNCTION_ARGS) {
    const Oid sequence = PG_GETARG_OID(0);
    const int64 value = PG_GETARG_INT64(1);
    if (get_rel_relkind(sequence) != RELKIND_SEQUENCE) {
        const char *name = get_rel_name(sequence);
        if (!name)
            ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("sequence with OID %u does not exist", sequence)));
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a sequence", name)));
    }
    /* as setval() does, but before others have to wait for us */
    if (pg_class_aclcheck(sequence, GetUserId(), ACL_UPDATE) != ACLCHECK_OK ||
        pg_class_aclcheck(sequence, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("permission denied for sequence %s", get_rel_name(sequence)),
                        errhint("The copied values are behind its next ones: GRANT SELECT, UPDATE ON SEQUENCE %s, so that it "
                                "can be set past them.",
                                quote_identifier(get_rel_name(sequence)))));

    LockRelationOid(sequence, ShareRowExclusiveLock);
    const bool ascends = increment_of(sequence) > 0;
    const Position now = read_position(sequence);
    const bool is_past = ascends ? (now.is_called ? now.last_value >= value : now.last_value > value)
                                 : (now.is_called ? now.last_value <= value : now.last_value < value);
    if (!is_past)
        OidFunctionCall2(F_SETVAL_REGCLASS_INT8, ObjectIdGetDatum(sequence), Int64GetDatum(value));
    UnlockRelationOid(sequence, ShareRowExclusiveLock);
    PG_RETURN_BOOL(!is_past);
}

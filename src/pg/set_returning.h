/*
 * The rows that a set-returning function gives, all in one call: into a tuplestore that the executor reads afterwards
 * ("materialize mode" in PostgreSQL's words). POD world (pg/guard.h).
 *
 *     const ResultRows rows = begin_result_rows(fcinfo);
 *     for (…) {
 *         Datum values[] = {…};
 *         bool nulls[lengthof(values)] = {…};
 *         rows.put(values, nulls);
 *     }
 *     return 0;
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "utils/tuplestore.h"
}

namespace mongoferry {

struct ResultRows {
    Tuplestorestate *store; /* both live as long as the query */
    TupleDesc columns;

    /* Appends a row, which is copied: one value and one flag for each column. Raises when the disk is full. */
    template <int count>
    void put(Datum (&values)[count], bool (&nulls)[count]) const {
        Assert(count == columns->natts);
        tuplestore_putvalues(store, columns, values, nulls);
    }
    /* A row without NULLs. */
    template <int count>
    void put(Datum (&values)[count]) const {
        bool nulls[count] = {};
        put(values, nulls);
    }
};

/* Called first, in a function whose result is declared as a set of rows. Raises 0A000 where the caller can't take a
 * set. Until the first put() the result is an empty set. */
ResultRows begin_result_rows(FunctionCallInfo fcinfo);

} // namespace mongoferry

/*
 * Calls of backend functions that judge a value by raising an error: input functions, type modifiers, domain checks.
 * An error about the value comes back as a refusal; any other one is raised as it is.
 *
 * Where the refusal will become an error anyway the transaction is going to abort, and catching costs nothing. Where it
 * becomes NULL the transaction goes on: then functions that are not built in, and may have opened something, run in a
 * subtransaction.
 *
 * POD world (pg/guard.h).
 */
#pragma once

#include "bson/converter.h"

namespace mongoferry::bson {

BackendFunction *find_backend_function(Oid function, Oid parameter, MemoryContext context);

/* True if the checks of a domain use built-in functions only. Plan time. */
bool has_trusted_checks(Oid domain);

/* True if values may be converted to the type by functions that run in a subtransaction where on_mismatch is 'null',
 * which a parallel worker may not begin. Plan time. */
bool may_need_subtransaction(Oid type);

/* text is NUL-terminated, in the server's encoding. */
Outcome call_input_function(const Converter &converter, Conversion &conversion, char *text, Datum *result);
Outcome call_coercion(const Converter &converter, Conversion &conversion, Datum *value);
/* Outcome::value if the domain accepts the value or NULL. */
Outcome call_domain_check(const Converter &converter, Conversion &conversion, Datum value, bool is_null);

} // namespace mongoferry::bson

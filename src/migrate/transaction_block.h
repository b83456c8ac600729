/*
 * What procedures say that commit as they go, where they must not. POD world.
 */
#pragma once

namespace mongoferry::migrate {

/* Raises active_sql_transaction (25001). */
[[noreturn]] void raise_in_transaction_block(const char *procedure);

} // namespace mongoferry::migrate

/*
 * The statements that write chunks, prepared once a session and run thousands of times. POD world.
 */
#pragma once

#include "pg/backend.h"

extern "C" {
#include "executor/spi.h"
}

namespace mongoferry::migrate {

/* How many documents a run of the statement is planned for: a chunk, or a few of its documents. What is right for one
 * (hashing the tables that the transform joins) is far too much for the other. */
enum class PlannedFor : uint8_t { chunk, few };
/* Up to this many documents are few. */
constexpr size_t few_documents = 200;

/* Plans that live as long as the session, or until others have taken their place in the cache. */
struct ChunkStatement {
    char *text;
    SPIPlanPtr plans[2]; /* by PlannedFor */
    uint64 last_use;
};

/* Finds the statement or prepares it; SPI must be connected. Raises what is wrong with the statement, what planning it
 * raises, and 42601 unless it is one INSERT or UPDATE that gives no rows. The result stays valid until the next call.
 */
ChunkStatement *prepare_chunk_statement(const char *text);

/* Runs it over the documents in the bounds (bytea; NULL: none). Returns how many rows it wrote. Raises what the
 * statement raises. */
uint64 run_chunk_statement(const ChunkStatement *statement, PlannedFor planned_for, const bytea *bounds);

/* To be called when an error may have left the functions above. */
void forget_expected_documents();

} // namespace mongoferry::migrate

/*
 * A table with a row for each element of an array, where a pipeline does more with it than read it: as $unwind.
 *
 * $unwind gives the rows that a scan gives: none for an array that is missing, null or empty, or one with unwind_outer,
 * and a value that is no array is its own single element. Only arrays on the way to the array are another matter, and
 * looked for by a probe.
 *
 * Source: MongoDB manual, "$unwind (aggregation)". POD world.
 */
#pragma once

#include "query/command.h"

namespace mongoferry::query {

/* The tables with the first one unwound: a copy. */
TranslatedTable *unwound_tables(const TranslatedTable *tables, int table_count);

/* Appends the stage for the first table to command->pipeline, and a probe if it needs one. False, with a reason, if it
 * can't be sent. */
bool append_unwind_stage(Translation *translation, Command *command);

} // namespace mongoferry::query

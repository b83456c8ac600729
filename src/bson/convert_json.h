/* Any BSON value as Extended JSON text in the server's encoding: for json columns, and for values in text columns that
 * have no other text. POD world (pg/guard.h). */
#pragma once

#include "bson/converter.h"
#include "bson/text.h"

namespace mongoferry::bson {

/* NUL and bad UTF-8 in strings and keys are treated as in text. */
Outcome write_json_text(const Converter &converter, Conversion &conversion, const Value &value, ServerText *text);

} // namespace mongoferry::bson

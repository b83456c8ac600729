/*
 * BSON as jsonb for people: beside the BSON itself, so that what jsonb can't hold may be shown differently or be left
 * out.
 */
#pragma once

#include "pg/backend.h"

#include "bson/view.h"

namespace mongoferry::migrate {

/* Extended JSON, relaxed, with U+FFFD in place of U+0000, in the current memory context. False for what jsonb can't
 * hold or what is corrupt. POD world. */
bool shown_json(const bson::Value &value, Datum *json);
inline bool shown_json(bson::View document, Datum *json) {
    return shown_json({bson::Type::object, document.data, document.size}, json);
}

} // namespace mongoferry::migrate

/* See shown_json.h. */
#include "migrate/shown_json.h"

#include "bson/jsonb.h"

namespace mongoferry::migrate {

bool shown_json(const bson::Value &value, Datum *json) {
    bson::ConversionOptions options;
    options.on_nul = bson::OnNul::replace;
    bson::ConversionError error;
    *json = bson::jsonb_from_value(value, options, &error);
    return error.message == nullptr;
}

} // namespace mongoferry::migrate

/*
 * Which type is mongoferry.objectid in this database: its OID is not fixed, since the extension creates it.
 */
#pragma once

#include "pg/backend.h"

namespace mongoferry::bson {

/* The OID of mongoferry.objectid; InvalidOid if it does not exist (the extension is being created). A catalog look-up:
 * for plan time, not for each row. POD world. */
Oid objectid_type_id();

} // namespace mongoferry::bson

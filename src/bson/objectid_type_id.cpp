/* See objectid_type_id.h. The extension is not relocatable, so schema and name are fixed. */
#include "bson/objectid_type_id.h"

extern "C" {
#include "catalog/namespace.h"
#include "utils/syscache.h"
}

namespace mongoferry::bson {

Oid objectid_type_id() {
    Oid schema = get_namespace_oid("mongoferry", true);
    if (!OidIsValid(schema))
        return InvalidOid;
    return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("objectid"), ObjectIdGetDatum(schema));
}

} // namespace mongoferry::bson

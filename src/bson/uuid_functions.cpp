/*
 * The SQL functions about UUIDs: to_uuid(), to_objectid() and generate_uuid().
 *
 * POD world (pg/guard.h). All functions are declared STRICT in extension/30_uuid.sql, so none sees a NULL.
 * Relies on the backend's random numbers.
 */
#include "pg/backend.h"

#include "bson/number_text.h"
#include "bson/sha1.h"
#include "bson/uuid_layout.h"

#include <time.h>

extern "C" {
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/uuid.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(uuid_from_objectid);
PGDLLEXPORT PG_FUNCTION_INFO_V1(objectid_from_uuid);
PGDLLEXPORT PG_FUNCTION_INFO_V1(uuid_from_uuid_namespace);
PGDLLEXPORT PG_FUNCTION_INFO_V1(uuid_from_text_namespace);
PGDLLEXPORT PG_FUNCTION_INFO_V1(generate_uuid);
}

using namespace mongoferry;

/* The namespace in which a namespace given as text becomes a UUID: a random (version 4) UUID, drawn once. It must never
 * change, or the keys of every migration would. extension/30_uuid.sql documents it:
 * b54057e2-e88c-4401-b0a3-1089e020668b */
static constexpr uint8_t text_namespaces[UUID_LEN] = {0xb5, 0x40, 0x57, 0xe2, 0xe8, 0x8c, 0x44, 0x01,
                                                      0xb0, 0xa3, 0x10, 0x89, 0xe0, 0x20, 0x66, 0x8b};

static inline pg_uuid_t *new_uuid() {
    return static_cast<pg_uuid_t *>(palloc(UUID_LEN));
}

/* Version and variant bits, RFC 9562 sections 4.1 and 4.2. */
static inline void mark_version(uint8_t uuid[UUID_LEN], uint8_t version) {
    uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0F) | (version << 4));
    uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3F) | 0x80);
}

/* ---- ObjectId ↔ UUID ---- */

Datum uuid_from_objectid(PG_FUNCTION_ARGS) {
    pg_uuid_t *uuid = new_uuid();
    bson::uuid_from_object_id(reinterpret_cast<const uint8_t *>(PG_GETARG_POINTER(0)), uuid->data);
    PG_RETURN_UUID_P(uuid);
}

/* Raises 22023 (invalid_parameter_value) for a UUID that no ObjectId made. */
Datum objectid_from_uuid(PG_FUNCTION_ARGS) {
    const pg_uuid_t *uuid = PG_GETARG_UUID_P(0);
    uint8_t *objectid = static_cast<uint8_t *>(palloc(12));
    if (!bson::object_id_from_uuid(uuid->data, objectid)) {
        char printed[37];
        bson::write_uuid(uuid->data, printed);
        printed[36] = '\0';
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("UUID %s was not made from an ObjectId", printed),
                 errdetail("Only a UUID that mongoferry.to_uuid(objectid) returned holds an ObjectId."),
                 errhint("If the UUID was chosen otherwise, look for its source in the table mongoferry.id_map.")));
    }
    PG_RETURN_POINTER(objectid);
}

/* ---- version 5 ---- */

/* The version 5 UUID of a name in a namespace, RFC 9562 section 5.5: SHA-1 over the namespace's bytes and the name's,
 * which are UTF-8 whatever the database's encoding is. */
static void write_version_5(const uint8_t name_space[UUID_LEN], text *name, uint8_t uuid[UUID_LEN]) {
    const char *server_name = VARDATA_ANY(name);
    int server_size = static_cast<int>(VARSIZE_ANY_EXHDR(name));
    const char *utf8 = pg_server_to_any(server_name, server_size, PG_UTF8);
    size_t size = utf8 == server_name ? static_cast<size_t>(server_size) : strlen(utf8);

    bson::Sha1 sha1;
    sha1.add(name_space, UUID_LEN);
    sha1.add(utf8, size);
    uint8_t hash[bson::sha1_size];
    sha1.finish(hash);
    memcpy(uuid, hash, UUID_LEN);
    mark_version(uuid, 5);
}

Datum uuid_from_uuid_namespace(PG_FUNCTION_ARGS) {
    pg_uuid_t *uuid = new_uuid();
    write_version_5(PG_GETARG_UUID_P(0)->data, PG_GETARG_TEXT_PP(1), uuid->data);
    PG_RETURN_UUID_P(uuid);
}

/* The last namespace that was given as text and its UUID: a migration asks for the same one for every row. */
struct NamespaceCache {
    bool valid;
    pg_uuid_t uuid;
    text *name; /* in the function's own memory context */
};

static const uint8_t *namespace_uuid(FunctionCallInfo fcinfo, text *name) {
    NamespaceCache *cache = static_cast<NamespaceCache *>(fcinfo->flinfo->fn_extra);
    size_t size = VARSIZE_ANY_EXHDR(name);
    if (cache && cache->valid && VARSIZE_ANY_EXHDR(cache->name) == size &&
        memcmp(VARDATA_ANY(cache->name), VARDATA_ANY(name), size) == 0)
        return cache->uuid.data;

    MemoryContext context = fcinfo->flinfo->fn_mcxt;
    if (!cache) {
        cache = static_cast<NamespaceCache *>(MemoryContextAllocZero(context, sizeof(NamespaceCache)));
        fcinfo->flinfo->fn_extra = cache;
    }
    cache->valid = false; /* until all of it is in place */
    if (cache->name)
        pfree(cache->name);
    cache->name = nullptr;
    text *copy = static_cast<text *>(MemoryContextAlloc(context, VARHDRSZ + size));
    SET_VARSIZE(copy, VARHDRSZ + size);
    memcpy(VARDATA(copy), VARDATA_ANY(name), size);
    cache->name = copy;
    write_version_5(text_namespaces, name, cache->uuid.data);
    cache->valid = true;
    return cache->uuid.data;
}

Datum uuid_from_text_namespace(PG_FUNCTION_ARGS) {
    pg_uuid_t *uuid = new_uuid();
    write_version_5(namespace_uuid(fcinfo, PG_GETARG_TEXT_PP(0)), PG_GETARG_TEXT_PP(1), uuid->data);
    PG_RETURN_UUID_P(uuid);
}

/* ---- version 7 ---- */

/* Random bytes, at most as many as the pool has. Asking for them one UUID at a time costs more than all the rest. */
static void take_random(uint8_t *bytes, size_t size) {
    static uint8_t pool[512];
    static size_t left = 0;
    if (left < size) {
        left = 0;
        if (!pg_strong_random(pool, sizeof pool))
            ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
        left = sizeof pool;
    }
    left -= size;
    memcpy(bytes, pool + left, size);
}

/*
 * A new version 7 UUID, RFC 9562 section 5.7: milliseconds since 1970, then twelve bits of the millisecond's fraction
 * (section 6.2, method 3), then 62 random bits. Those of one session rise strictly.
 */
Datum generate_uuid(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    static uint64 last_tick = 0; /* 1/4096 ms */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64 milliseconds = static_cast<uint64>(now.tv_sec) * 1000 + static_cast<uint64>(now.tv_nsec) / 1000000;
    uint64 fraction = static_cast<uint64>(now.tv_nsec) % 1000000 * 4096 / 1000000;
    uint64 tick = Max(milliseconds << 12 | fraction, last_tick + 1);

    pg_uuid_t *uuid = new_uuid();
    take_random(uuid->data + 8, 8);
    last_tick = tick;
    uint64 leading = pg_hton64((tick >> 12) << 16 | (tick & 0xFFF));
    memcpy(uuid->data, &leading, sizeof leading);
    mark_version(uuid->data, 7);
    PG_RETURN_UUID_P(uuid);
}

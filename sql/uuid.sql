-- ObjectId ↔ UUID, and UUIDs of names.

-- lossless: the limits, and a worked example, which docs/uuid.md explains
SELECT id, mongoferry.to_uuid(id), mongoferry.to_objectid(mongoferry.to_uuid(id)) = id AS back, id::uuid = mongoferry.to_uuid(id) AS same_cast
FROM (VALUES ('000000000000000000000000'::mongoferry.objectid), ('507f1f77bcf86cd799439011'), ('7fffffffffffffffffffffff'),
    ('80000000ffffffffffffffff'), ('ffffffff0000000000000000'), ('ffffffffffffffffffffffff')) AS ids (id);
SELECT '013a7092-e8d8-7bcf-a1b3-5e650e404400'::uuid::mongoferry.objectid;

-- many: inverse, order, version and variant, time
CREATE TEMP TABLE ids AS
SELECT ('\x' || substr(md5(i::text), 1, 24))::bytea::mongoferry.objectid AS id FROM generate_series(1, 10000) AS i;
SELECT count(*), count(DISTINCT mongoferry.to_uuid(id)) AS different,
    count(*) FILTER (WHERE mongoferry.to_objectid(mongoferry.to_uuid(id)) = id) AS back,
    count(*) FILTER (WHERE substr(mongoferry.to_uuid(id)::text, 15, 1) = '7') AS version_7,
    count(*) FILTER (WHERE substr(mongoferry.to_uuid(id)::text, 20, 1) IN ('8', '9', 'a', 'b')) AS variant,
    count(*) FILTER (WHERE to_timestamp((('x' || substr(replace(mongoferry.to_uuid(id)::text, '-', ''), 1, 12))::bit(48)::bigint) / 1000.0) = id::timestamptz) AS time
FROM ids;
SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY id) - row_number() OVER (ORDER BY mongoferry.to_uuid(id)) AS difference FROM ids) AS both_orders
WHERE difference <> 0;

-- what no ObjectId made: another version, another variant, milliseconds, a bit of the ten unused, too late a time
SELECT mongoferry.to_objectid('013a7092-e8d8-4bcf-a1b3-5e650e404400');
\set VERBOSITY sqlstate
SELECT mongoferry.to_objectid('013a7092-e8d8-7bcf-c1b3-5e650e404400');
SELECT mongoferry.to_objectid('013a7092-e8d9-7bcf-a1b3-5e650e404400');
SELECT mongoferry.to_objectid('013a7092-e8d8-7bcf-a1b3-5e650e404401');
SELECT mongoferry.to_objectid('03e80000-0000-7bcf-a1b3-5e650e404400');
SELECT mongoferry.to_objectid('00000000-0000-0000-0000-000000000000');
SELECT mongoferry.to_objectid('ffffffff-ffff-ffff-ffff-ffffffffffff');
\set VERBOSITY default

-- version 5: the examples of RFC 9562 and of Python's uuid module
SELECT mongoferry.to_uuid('6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid, 'www.example.com') AS rfc_9562,
    mongoferry.to_uuid('6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid, 'python.org') AS python;
SELECT mongoferry.to_uuid('6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid, '') AS empty_name,
    mongoferry.to_uuid('6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid, U&'caf\00E9') AS beyond_ascii;

-- a namespace by name is the version 5 UUID of the name in one constant namespace
SELECT mongoferry.to_uuid('customers', '42'),
    mongoferry.to_uuid(mongoferry.to_uuid('b54057e2-e88c-4401-b0a3-1089e020668b'::uuid, 'customers'), '42') AS same;
SELECT mongoferry.to_uuid(namespace, value) = mongoferry.to_uuid(mongoferry.to_uuid('b54057e2-e88c-4401-b0a3-1089e020668b'::uuid, namespace), value) AS same, count(*)
FROM (VALUES ('a'), ('b'), ('bb'), ('')) AS namespaces (namespace), (VALUES ('1'), ('2'), ('')) AS names (value) GROUP BY 1;
-- a quoted constant is text, also when it looks like a UUID
SELECT mongoferry.to_uuid('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'x') = mongoferry.to_uuid('6ba7b810-9dad-11d1-80b4-00c04fd430c8'::text, 'x') AS is_text,
    mongoferry.to_uuid('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'x') <> mongoferry.to_uuid('6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid, 'x') AS is_not_uuid;

-- NULL gives NULL
SELECT mongoferry.to_uuid(NULL::mongoferry.objectid) IS NULL AND mongoferry.to_objectid(NULL) IS NULL
    AND mongoferry.to_uuid(NULL::text, 'x') IS NULL AND mongoferry.to_uuid('x', NULL) IS NULL AND mongoferry.to_uuid(NULL::uuid, 'x') IS NULL AS all_null;

-- new ones: version 7, of now, rising
WITH generated AS MATERIALIZED (SELECT i, mongoferry.generate_uuid() AS id FROM generate_series(1, 10000) AS i)
SELECT count(DISTINCT id), bool_and(substr(id::text, 15, 1) = '7') AS version_7, bool_and(substr(id::text, 20, 1) IN ('8', '9', 'a', 'b')) AS variant,
    bool_and(abs(extract(epoch FROM clock_timestamp()) * 1000 - ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint) < 600000) AS of_now,
    array_agg(i ORDER BY i) = array_agg(i ORDER BY id) AS rising
FROM generated;
SELECT proname, provolatile, proparallel, proisstrict FROM pg_proc
WHERE pronamespace = 'mongoferry'::regnamespace AND proname IN ('to_uuid', 'to_objectid', 'generate_uuid') ORDER BY 1, 2;

-- The type mongoferry.objectid. mongoferry is not in the search_path, as for most users.
SET TimeZone = 'UTC';

-- text in and out
SELECT '507f1f77bcf86cd799439011'::mongoferry.objectid, '507F1F77BCF86CD799439011'::mongoferry.objectid,
    '000000000000000000000000'::mongoferry.objectid, 'ffffffffffffffffffffffff'::mongoferry.objectid;
SELECT ''::mongoferry.objectid;
SELECT '507f1f77bcf86cd79943901'::mongoferry.objectid;
SELECT '507f1f77bcf86cd7994390111'::mongoferry.objectid;
SELECT '507f1f77bcf86cd79943901g'::mongoferry.objectid;
SELECT ' 507f1f77bcf86cd79943901'::mongoferry.objectid;
SELECT 'ObjectId("507f1f77bcf86cd799439011")'::mongoferry.objectid;
\set VERBOSITY sqlstate
SELECT 'x'::mongoferry.objectid;
SELECT '\x00'::bytea::mongoferry.objectid;
\set VERBOSITY default

-- binary in and out
SELECT mongoferry.objectid_send('507f1f77bcf86cd799439011');

-- casts
SELECT '507f1f77bcf86cd799439011'::mongoferry.objectid::text, '507f1f77bcf86cd799439011'::text::mongoferry.objectid,
    '507f1f77bcf86cd799439011'::mongoferry.objectid::bytea, '\x507f1f77bcf86cd799439011'::bytea::mongoferry.objectid;
SELECT '\x507f1f77bcf86cd7994390'::bytea::mongoferry.objectid;
SELECT '\x507f1f77bcf86cd79943901100'::bytea::mongoferry.objectid;
-- the time of creation is an unsigned number of seconds
SELECT id::mongoferry.objectid::timestamptz
FROM (VALUES ('000000000000000000000000'), ('507f1f77bcf86cd799439011'), ('7fffffff0000000000000000'),
    ('800000000000000000000000'), ('ffffffffffffffffffffffff')) AS ids (id);
SELECT castsource::regtype, casttarget::regtype, castcontext FROM pg_cast
WHERE 'mongoferry.objectid'::regtype IN (castsource, casttarget) ORDER BY 1, 2;
-- no cast happens by itself, but the assignment to text
\set VERBOSITY sqlstate
SELECT length('507f1f77bcf86cd799439011'::mongoferry.objectid);
\set VERBOSITY default
CREATE TEMP TABLE texts (id text);
INSERT INTO texts SELECT '507f1f77bcf86cd799439011'::mongoferry.objectid RETURNING id;
SELECT to_jsonb('507f1f77bcf86cd799439011'::mongoferry.objectid);

-- comparison: by bytes, the first four of which are the time
SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt, mongoferry.objectid_cmp(a, b) AS cmp
FROM (VALUES
    ('507f1f77bcf86cd799439011'::mongoferry.objectid, '507f1f77bcf86cd799439011'::mongoferry.objectid),
    ('507f1f77bcf86cd799439011', '507f1f77bcf86cd799439012'),
    ('507f1f77bcf86cd799439011', '507f1f76ffffffffffffffff'),
    ('7fffffffffffffffffffffff', '800000000000000000000000')) AS pairs (a, b);
SELECT '507f1f77bcf86cd799439011'::mongoferry.objectid = '507F1F77BCF86CD799439011';

-- the values are drawn so that the first eight bytes, which sorting looks at first, are often equal
CREATE TEMP TABLE ids AS
SELECT (lpad(to_hex(1000 + i % 7), 8, '0') || lpad(to_hex(i % 3), 8, '0') || lpad(to_hex(i * 7919 % 10007), 8, '0'))::mongoferry.objectid AS id
FROM generate_series(1, 5000) AS i;
SELECT count(*), count(DISTINCT id), min(id), max(id) FROM ids;
SELECT count(*) FROM (SELECT id, lag(id) OVER (ORDER BY id) AS previous FROM ids) AS ordered WHERE previous > id;
SELECT count(*) FROM (SELECT id, row_number() OVER (ORDER BY id) - row_number() OVER (ORDER BY id::text COLLATE "C") AS difference FROM ids) AS both_orders
WHERE difference <> 0;

-- every kind of index and join is used, and finds what a scan of all rows finds
CREATE FUNCTION pg_temp.plan_has(query text, node text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line LIKE '%' || node || '%' THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;
\set in_range 'SELECT count(*) FROM ids WHERE id >= ''000003ea0000000000000000'' AND id < ''000003eb0000000000000000'''
\set extremes 'SELECT min(id), max(id) FROM ids'
\set one 'SELECT count(*) FROM ids WHERE id = ''000003e90000000100001eef'''
\set joined 'SELECT count(*) FROM ids JOIN references_to_ids USING (id)'
:in_range;
:extremes;
:one;
SET enable_seqscan = off;
CREATE INDEX ids_btree ON ids (id);
ANALYZE ids;
SELECT pg_temp.plan_has(:'in_range', 'ids_btree'), pg_temp.plan_has(:'extremes', 'ids_btree'), pg_temp.plan_has(:'one', 'ids_btree');
:in_range;
:extremes;
:one;
DROP INDEX ids_btree;
CREATE INDEX ids_hash ON ids USING hash (id);
SELECT pg_temp.plan_has(:'one', 'ids_hash');
:one;
DROP INDEX ids_hash;
CREATE INDEX ids_brin ON ids USING brin (id);
SELECT pg_temp.plan_has(:'in_range', 'ids_brin');
:in_range;
RESET enable_seqscan;
CREATE TEMP TABLE references_to_ids AS SELECT id FROM ids WHERE id > '000003eb0000000000000000' ORDER BY id::text LIMIT 100;
ANALYZE references_to_ids;
SET enable_nestloop = off;
SET enable_mergejoin = off;
SELECT pg_temp.plan_has(:'joined', 'Hash Join');
:joined;
RESET enable_mergejoin;
SET enable_hashjoin = off;
SELECT pg_temp.plan_has(:'joined', 'Merge Join');
:joined;
RESET enable_hashjoin;
RESET enable_nestloop;
CREATE TEMP TABLE partitioned (id mongoferry.objectid PRIMARY KEY) PARTITION BY HASH (id);
CREATE TEMP TABLE partition_0 PARTITION OF partitioned FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TEMP TABLE partition_1 PARTITION OF partitioned FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO partitioned SELECT DISTINCT id FROM ids;
SELECT count(*), count(*) FILTER (WHERE tableoid = 'partition_0'::regclass) BETWEEN 2000 AND 3000 AS spread FROM partitioned;
SELECT count(*) FROM partitioned WHERE id = '000003e90000000100001eef';

-- the operator classes are complete
SELECT amname, opcname, pg_catalog.amvalidate(pg_opclass.oid) FROM pg_opclass JOIN pg_am ON pg_am.oid = opcmethod
WHERE opcintype = 'mongoferry.objectid'::regtype ORDER BY 1;

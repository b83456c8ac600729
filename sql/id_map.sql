-- The stored map from source keys to UUIDs.
\set SHOW_CONTEXT never
BEGIN;
SELECT mongoferry.map_id('customers', '42') AS id \gset
SELECT mongoferry.map_id('customers', '42') = :'id' AS same, mongoferry.map_id('customers', '43') <> :'id' AS other_key,
    mongoferry.map_id('orders', '42') <> :'id' AS other_collection, substr(:'id', 15, 1) AS version;
SELECT collection, source_id FROM mongoferry.id_map ORDER BY 1, 2;
SELECT mongoferry.map_id(NULL, '42') IS NULL AND mongoferry.map_id('customers', NULL) IS NULL AS null_in_null_out;
-- empty keys are keys
SELECT mongoferry.map_id('', '') = mongoferry.map_id('', '') AS empty_key;

-- the set-based form: each key once, NULL left out, those that exist as they are
SELECT source_id, id = :'id' AS known, id = mongoferry.map_id('customers', source_id) AS same
FROM mongoferry.map_ids('customers', ARRAY['b', 'a', NULL, '42', 'a', 'ä', 'B']) ORDER BY source_id COLLATE "C";
SELECT count(*) FROM mongoferry.map_ids('customers', '{}');
SELECT count(*) FROM mongoferry.map_ids('customers', NULL);
SELECT count(*) FROM mongoferry.map_ids(NULL, '{a}');
SELECT count(*) FROM mongoferry.map_ids('customers', '{NULL}');
-- inserted in the order of the keys' bytes, so the UUIDs rise with them
SELECT array_agg(source_id ORDER BY id) FROM mongoferry.map_ids('sorted', '{b,a,B,10,9}');
SELECT count(*), count(DISTINCT id) FROM mongoferry.map_ids('many', ARRAY(SELECT (i % 5000)::text FROM generate_series(1, 10000) AS i));

-- a set of key columns in one statement
SELECT count(DISTINCT mongoferry.map_id('rows', (i % 10)::text)) FROM generate_series(1, 100) AS i;

-- UUIDs that the target chose before
INSERT INTO mongoferry.id_map VALUES ('people', 'anna@example.com', 'a3bb189e-8bf9-3888-9912-ace4e6543002');
SELECT mongoferry.map_id('people', 'anna@example.com');
-- a UUID stands for one key of a collection
SAVEPOINT before;
INSERT INTO mongoferry.id_map VALUES ('people', 'anna@example.org', 'a3bb189e-8bf9-3888-9912-ace4e6543002');
ROLLBACK TO before;
INSERT INTO mongoferry.id_map VALUES ('profiles', 'anna', 'a3bb189e-8bf9-3888-9912-ace4e6543002');

-- nothing in the search_path comes between
CREATE SCHEMA decoy;
CREATE TABLE decoy.id_map (collection text, source_id text, id uuid);
SET LOCAL search_path = decoy;
SELECT mongoferry.map_id('people', 'anna@example.com'), (SELECT count(*) FROM mongoferry.map_ids('people', '{x}'));
RESET search_path;

-- rights are those of the caller
CREATE ROLE regress_mongoferry_mapper;
SET LOCAL ROLE regress_mongoferry_mapper;
SAVEPOINT before;
SELECT mongoferry.map_id('customers', '42');
ROLLBACK TO before;
RESET ROLE;
GRANT SELECT, INSERT ON mongoferry.id_map TO regress_mongoferry_mapper;
SET LOCAL ROLE regress_mongoferry_mapper;
SELECT mongoferry.map_id('customers', '42') = :'id' AS same, mongoferry.map_id('customers', 'new') IS NOT NULL AS made,
    (SELECT count(*) FROM mongoferry.map_ids('customers', '{42,44}'));
ROLLBACK;

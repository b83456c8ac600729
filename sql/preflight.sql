-- preflight(): its rows for a migration that is not as it should be, and what wrong arguments say. The sources are files.
\set fixtures `echo "$MONGOFERRY_TEST_FIXTURES"`
\set exports :fixtures /toolkit
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA preflight_test;
SET search_path = preflight_test, public;
CREATE SERVER preflight_server FOREIGN DATA WRAPPER mongoferry OPTIONS (dump :'exports');
CREATE FOREIGN TABLE people (_id int, name text, age int) SERVER preflight_server;
CREATE FOREIGN TABLE pets (_id text, owner int, kind text) SERVER preflight_server;
CREATE TABLE person (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, age int);
CREATE TABLE pet (id text PRIMARY KEY, owner_id int CONSTRAINT pet_owner REFERENCES person, kind text);
-- what the machine tells is not the same everywhere
CREATE FUNCTION rows_of(migration text) RETURNS TABLE (severity text, task text, "check" text, message text, hint text)
    LANGUAGE sql AS $$SELECT * FROM mongoferry.preflight($1) AS p WHERE p."check" NOT IN ('workers', 'disk')$$;

-- arguments
SELECT * FROM mongoferry.preflight('nothing');
SELECT * FROM mongoferry.preflight(NULL);
SELECT mongoferry.create_migration('zoo');
SELECT * FROM rows_of('zoo');

SELECT mongoferry.add_task('zoo', 'people', 'people', 'person', 'SELECT _id AS id, name, age FROM source');
SELECT mongoferry.add_task('zoo', 'pets', 'pets', 'pet', 'SELECT _id AS id, owner AS owner_id, kind FROM source');
SELECT severity, task, "check", message FROM rows_of('zoo');
SELECT "check", hint FROM rows_of('zoo') WHERE task = 'pets';
-- the same again: nothing was written
SELECT (SELECT count(*) FROM person), (SELECT count(*) FROM pet), (SELECT count(*) FROM mongoferry.errors), (SELECT count(*) FROM mongoferry.chunk);
INSERT INTO person (name) VALUES ('first') RETURNING id;
SELECT severity, task, "check", message FROM rows_of('zoo') WHERE "check" = 'target';
SELECT severity, message, hint FROM mongoferry.preflight('zoo', max_duration => '0') WHERE "check" = 'reference';
SELECT severity, message, hint FROM mongoferry.preflight('zoo', max_duration => NULL) WHERE "check" = 'reference';
SELECT severity, left(message, 46) AS message FROM mongoferry.preflight('zoo') WHERE "check" = 'disk' AND message LIKE 'targets%';

-- what is not there any more
ALTER TABLE pet DROP kind;
DROP TABLE person CASCADE;
SELECT severity, task, "check", message FROM rows_of('zoo');

-- free disk space
SELECT mongoferry.free_disk_space(0) > 0 AS here, mongoferry.free_disk_space(NULL), mongoferry.free_disk_space(1), mongoferry.free_wal_space() > 0 AS wal;

-- rights
CREATE ROLE regress_mongoferry_pilot;
SET ROLE regress_mongoferry_pilot;
SELECT * FROM mongoferry.preflight('zoo');
SELECT mongoferry.free_disk_space(0) > 0 AS here;
SELECT mongoferry.free_disk_space(oid) FROM pg_tablespace WHERE spcname = 'pg_global';
RESET ROLE;
UPDATE mongoferry.migration SET owner = 'regress_mongoferry_pilot' WHERE migration = 'zoo';
SELECT * FROM mongoferry.preflight('zoo');

SELECT mongoferry.drop_migration('zoo');
DROP ROLE regress_mongoferry_pilot;
DROP SCHEMA preflight_test CASCADE;
DROP SERVER preflight_server CASCADE;

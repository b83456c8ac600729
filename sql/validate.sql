-- validate(), recheck() and report(): their rows, and what each wrong argument says. The sources are files.
\set fixtures `echo "$MONGOFERRY_TEST_FIXTURES"`
\set exports :fixtures /toolkit
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA validate_test;
SET search_path = validate_test, public;
CREATE SERVER validate_server FOREIGN DATA WRAPPER mongoferry OPTIONS (dump :'exports');
CREATE FOREIGN TABLE people (_id int, name text, age int) SERVER validate_server;
CREATE FOREIGN TABLE pets (_id text, owner int, kind text) SERVER validate_server;
CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL, age int);
CREATE TABLE pet (id text PRIMARY KEY, owner_id int CONSTRAINT pet_owner REFERENCES person, kind text);
SELECT mongoferry.create_migration('zoo');
SELECT * FROM mongoferry.validate('zoo');
SELECT mongoferry.add_task('zoo', 'people', 'people', 'person', 'SELECT _id AS id, name, age FROM source', chunk_size => 2);
SELECT mongoferry.add_task('zoo', 'pets', 'pets', 'pet', 'SELECT _id AS id, owner AS owner_id, kind FROM source');

-- arguments
SELECT * FROM mongoferry.validate('nothing');
SELECT * FROM mongoferry.validate(NULL);
SELECT * FROM mongoferry.validate('zoo', 'deep');
SELECT * FROM mongoferry.validate('zoo', NULL);
SELECT * FROM mongoferry.validate('zoo', 'sample', sample_share => 0);
SELECT * FROM mongoferry.validate('zoo', 'sample', sample_share => 1.5);
SELECT * FROM mongoferry.validate('zoo', 'sample', sample_share => 'NaN');
SELECT * FROM mongoferry.validate('zoo', 'sample', sample_share => NULL);
SELECT * FROM mongoferry.validate('zoo', workers => -1);
SELECT * FROM mongoferry.validate('zoo', workers => NULL);
SELECT * FROM mongoferry.recheck('nothing');
SELECT * FROM mongoferry.recheck(NULL);
SELECT * FROM mongoferry.recheck('zoo', workers => 2000);
SELECT mongoferry.report('nothing');
SELECT mongoferry.report(NULL);
SELECT mongoferry.report('zoo', 'pdf');
SELECT mongoferry.report('zoo', NULL);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM mongoferry.validate('zoo');
ROLLBACK;

-- nothing has been carried over yet
SELECT * FROM mongoferry.validate('zoo', 'counts', workers => 0);

-- all is well
CALL mongoferry.migrate('zoo', workers => 0);
SELECT * FROM mongoferry.validate('zoo', workers => 0);
SELECT count(*) FROM mongoferry.mismatches WHERE migration = 'zoo';
SELECT * FROM mongoferry.recheck('zoo', workers => 0);

-- planted differences
UPDATE person SET name = 'Eva' WHERE id = 5;
DELETE FROM pet WHERE id = 'a';
INSERT INTO pet VALUES ('z', 1, 'horse');
SELECT * FROM mongoferry.validate('zoo', 'counts', workers => 0);
SELECT * FROM mongoferry.validate('zoo', workers => 1);
SELECT task, kind, source_id, key, column_name, expected, actual, changed FROM mongoferry.mismatches WHERE migration = 'zoo' ORDER BY task, kind;
UPDATE person SET name = 'Eve' WHERE id = 5;
SELECT * FROM mongoferry.recheck('zoo', workers => 0);
SELECT task, kind, key FROM mongoferry.mismatches WHERE migration = 'zoo' ORDER BY task, kind;
SELECT * FROM mongoferry.validate('zoo', 'sample', sample_share => 1, workers => 0);

-- the report: without what differs each time
SELECT r.line FROM regexp_split_to_table(mongoferry.report('zoo'), '\n') AS r (line) WHERE r.line ~ '^[A-Z]' AND r.line !~ '\d';
SELECT jsonb_object_keys(mongoferry.report('zoo', 'json')::jsonb) AS member ORDER BY 1;
SELECT mongoferry.report('zoo', 'json')::jsonb -> 'totals' ->> 'refused' AS refused;
SELECT mongoferry.report('zoo', 'html') LIKE '<!DOCTYPE html>%</html>%' AS is_page;

-- rights
CREATE ROLE regress_mongoferry_auditor;
SET ROLE regress_mongoferry_auditor;
SELECT * FROM mongoferry.validate('zoo');
SELECT * FROM mongoferry.recheck('zoo');
SELECT mongoferry.report('zoo');
SELECT count(*) FROM mongoferry.mismatches;
RESET ROLE;
UPDATE mongoferry.migration SET owner = 'regress_mongoferry_auditor' WHERE migration = 'zoo';
SELECT * FROM mongoferry.validate('zoo');
SELECT * FROM mongoferry.recheck('zoo');

SELECT mongoferry.drop_migration('zoo');
SELECT count(*) FROM mongoferry.mismatches;
DROP ROLE regress_mongoferry_auditor;
DROP SCHEMA validate_test CASCADE;
DROP SERVER validate_server CASCADE;

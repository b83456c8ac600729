-- Running a migration, from its first call to the last refused document, and what each wrong argument says.
-- The sources are files, so that no server is needed; five people and their pets, some of them not as they should be.
\set fixtures `echo "$MONGOFERRY_TEST_FIXTURES"`
\set exports :fixtures /toolkit
\set SHOW_CONTEXT never
SET client_min_messages = warning; -- the lines of progress tell times
CREATE SCHEMA migrate_test;
SET search_path = migrate_test, public;
CREATE SERVER migrate_server FOREIGN DATA WRAPPER mongoferry OPTIONS (dump :'exports');
CREATE FOREIGN TABLE people (_id int, name text, age int) SERVER migrate_server;
CREATE FOREIGN TABLE pets (_id text, owner int, kind text) SERVER migrate_server;
CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL, age int);
CREATE TABLE pet (id text PRIMARY KEY, owner_id int CONSTRAINT pet_owner REFERENCES person, kind text);

-- arguments of migrate()
CALL mongoferry.migrate('nothing');
CALL mongoferry.migrate(NULL);
SELECT mongoferry.create_migration('zoo');
CALL mongoferry.migrate('zoo');
SELECT mongoferry.add_task('zoo', 'people', 'people', 'person', 'SELECT _id AS id, name, age FROM source', chunk_size => 2);
SELECT mongoferry.add_task('zoo', 'pets', 'pets', 'pet', 'SELECT _id AS id, owner AS owner_id, kind FROM source');
CALL mongoferry.migrate('zoo', workers => -1);
CALL mongoferry.migrate('zoo', workers => 1025);
CALL mongoferry.migrate('zoo', workers => NULL);
CALL mongoferry.migrate('zoo', max_duration => '0');
CALL mongoferry.migrate('zoo', max_duration => '-1 min');
CALL mongoferry.migrate('zoo', retry_for => '-1 s');
CALL mongoferry.migrate('zoo', retry_for => NULL);
CALL mongoferry.migrate('zoo', progress_interval => '0');
CALL mongoferry.migrate('zoo', progress_interval => NULL);
CALL mongoferry.migrate('zoo', defer_indexes => NULL);
CALL mongoferry.migrate('zoo', defer_foreign_keys => NULL);
CALL mongoferry.migrate('zoo', only_tasks => '{}');
CALL mongoferry.migrate('zoo', only_tasks => '{people,plants}');
CALL mongoferry.migrate('zoo', only_tasks => '{NULL}');
CALL mongoferry.migrate('zoo', only_tasks => '{pets}');
BEGIN;
CALL mongoferry.migrate('zoo');
ROLLBACK;
DO $$BEGIN CALL mongoferry.migrate('nothing'); END$$;
CREATE FUNCTION call_migrate() RETURNS void LANGUAGE plpgsql AS $$BEGIN CALL mongoferry.migrate('zoo'); END$$;
SELECT call_migrate();
-- nothing has been begun by all that
SELECT task, state, documents_total FROM mongoferry.task WHERE migration = 'zoo' ORDER BY position;
SELECT count(*) FROM mongoferry.run WHERE migration = 'zoo';

-- a circle
SELECT mongoferry.create_migration('circle');
SELECT mongoferry.add_task('circle', 'a', 'people', 'person', 'SELECT _id AS id, name FROM source', depends_on => '{b}');
SELECT mongoferry.add_task('circle', 'b', 'pets', 'pet', 'SELECT _id AS id, owner AS owner_id FROM source');
CALL mongoferry.migrate('circle');
SELECT mongoferry.drop_migration('circle');

-- one task, then all; with workers and without
CALL mongoferry.migrate('zoo', only_tasks => '{people}', workers => 0);
SELECT * FROM person ORDER BY id;
SELECT migration, task, state, chunks_done, chunks_total, documents_done, documents_total, rows_written, refused, percent
FROM mongoferry.progress ORDER BY task;
CALL mongoferry.migrate('zoo', workers => 1);
SELECT * FROM pet ORDER BY id;
SELECT task, state, chunks_done, chunks_total, documents_done, documents_total, rows_written, refused, percent, time_left
FROM mongoferry.progress ORDER BY task;
SELECT migration, state, tasks_done, tasks_total, documents_done, documents_total, rows_written, refused, percent
FROM mongoferry.progress_total;
SELECT task, chunk, bounds_shown, state, documents, rows_written, refused FROM mongoferry.chunk WHERE migration = 'zoo' ORDER BY task, chunk;
SELECT job, options ->> 'workers' AS workers, outcome FROM mongoferry.run WHERE migration = 'zoo' ORDER BY id;
-- nothing is left to do, and that is no error
CALL mongoferry.migrate('zoo', workers => 0);

-- the quarantine
SELECT task, chunk, source_id, document, length(raw) AS bytes, sqlstate, message, constraint_name, column_name
FROM mongoferry.errors WHERE migration = 'zoo' ORDER BY task, chunk, source_id::text;
SELECT task, sqlstate, constraint_name, column_name, cause, documents, example_source_id FROM mongoferry.errors_summary ORDER BY task, sqlstate \gx

-- retry_errors()
CALL mongoferry.retry_errors('nothing');
CALL mongoferry.retry_errors(NULL);
CALL mongoferry.retry_errors('zoo', '{}');
CALL mongoferry.retry_errors('zoo', '{plants}');
BEGIN;
CALL mongoferry.retry_errors('zoo');
ROLLBACK;
CREATE FUNCTION call_retry() RETURNS void LANGUAGE plpgsql AS $$BEGIN CALL mongoferry.retry_errors('zoo'); END$$;
SELECT call_retry();
SET client_min_messages = notice;
CALL mongoferry.retry_errors('zoo');
SELECT mongoferry.alter_task('zoo', 'people', transform => $$SELECT _id AS id, coalesce(name, '?') AS name, age FROM source$$);
CALL mongoferry.retry_errors('zoo', only_tasks => '{people}');
ALTER FOREIGN TABLE people ALTER age OPTIONS (on_mismatch 'null');
CALL mongoferry.retry_errors('zoo');
SET client_min_messages = warning;
SELECT * FROM person ORDER BY id;
SELECT * FROM pet ORDER BY id;
SELECT task, source_id, message FROM mongoferry.errors WHERE migration = 'zoo' ORDER BY task;
SELECT task, state, documents_done, rows_written, refused FROM mongoferry.progress ORDER BY task;

-- a task that fails, by itself and through max_errors
SELECT mongoferry.create_migration('strict');
CREATE TABLE adult (id int PRIMARY KEY, age int CHECK (age > 18));
ALTER FOREIGN TABLE people ALTER age OPTIONS (DROP on_mismatch);
SELECT mongoferry.add_task('strict', 'adults', 'people', 'adult', 'SELECT _id AS id, age FROM source', on_error => 'abort');
\set VERBOSITY terse
CALL mongoferry.migrate('strict', workers => 0); -- the details name the id of a line of errors
\set VERBOSITY default
SELECT mongoferry.alter_task('strict', 'adults', on_error => 'quarantine', max_errors => 1);
CALL mongoferry.migrate('strict', workers => 0);
SELECT task, state, failure_sqlstate, failure FROM mongoferry.task WHERE migration = 'strict';
SELECT count(*) FROM adult;
SELECT mongoferry.alter_task('strict', 'adults', max_errors => 2);
CALL mongoferry.migrate('strict', workers => 0);
SELECT * FROM adult ORDER BY id;
SELECT mongoferry.add_task('strict', 'others', 'people', 'adult', 'SELECT _id + 10 AS id, 1 / (_id - _id) AS age FROM source');
SELECT mongoferry.reset_task('strict', 'adults');
TRUNCATE adult;
SELECT mongoferry.alter_task('strict', 'adults', on_error => 'abort', reset => '{max_errors}');
SELECT mongoferry.alter_task('strict', 'others', on_error => 'abort');
\set VERBOSITY terse
CALL mongoferry.migrate('strict', workers => 0);
\set VERBOSITY default
SELECT task, state, failure_sqlstate, split_part(failure, E'\n', 1) AS failure FROM mongoferry.task WHERE migration = 'strict' ORDER BY task;

-- indexes and foreign keys off meanwhile; a person who is refused leaves a pet whose key cannot come back
TRUNCATE person, pet;
CREATE INDEX pet_kind ON pet (kind);
SELECT mongoferry.create_migration('loose');
SELECT mongoferry.add_task('loose', 'pets', 'pets', 'pet', 'SELECT _id AS id, owner AS owner_id, kind FROM source');
SELECT mongoferry.add_task('loose', 'people', 'people', 'person', 'SELECT _id AS id, name FROM source');
CALL mongoferry.migrate('loose', workers => 0, defer_indexes => true, defer_foreign_keys => true);
SELECT migration, kind, relation, name, definition, commands, columns, referenced, referenced_columns, match_full, failure_sqlstate
FROM mongoferry.deferred \gx
SELECT state, percent, time_left FROM mongoferry.progress_total WHERE migration = 'loose';
SELECT outcome FROM mongoferry.run WHERE migration = 'loose';
SELECT mongoferry.drop_migration('loose');
CALL mongoferry.restore_deferred('nothing');
BEGIN;
CALL mongoferry.restore_deferred('loose');
ROLLBACK;
CALL mongoferry.restore_deferred('loose');
DELETE FROM pet WHERE owner_id NOT IN (SELECT id FROM person);
SET client_min_messages = notice;
CALL mongoferry.restore_deferred('loose');
CALL mongoferry.restore_deferred('loose');
SET client_min_messages = warning;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'pet'::regclass AND contype = 'f';
SELECT mongoferry.drop_migration('loose');

-- rights: the migration of another role
CREATE ROLE regress_mongoferry_runner;
SET ROLE regress_mongoferry_runner;
CALL mongoferry.migrate('zoo');
CALL mongoferry.retry_errors('zoo');
SELECT mongoferry.create_migration('hers');
SELECT migration FROM mongoferry.progress_total;
RESET ROLE;
CALL mongoferry.migrate('hers');
CALL mongoferry.retry_errors('hers');
SELECT mongoferry.drop_migration('hers');

-- internal calls, by hand
SELECT mongoferry.run_workers(NULL, 'zoo', '{}', 0);
SELECT mongoferry.run_workers('dance', 'zoo', '{}', 0);
SELECT mongoferry.run_workers('validate', 'nothing', '{}', 0);
SELECT mongoferry.run_workers('validate', 'zoo', '{}', -1);
SELECT mongoferry.work_step('dance', 'zoo', '{}');

SELECT mongoferry.drop_migration(NULL);
SELECT mongoferry.drop_migration('zoo');
SELECT mongoferry.drop_migration('strict');
SELECT count(*) FROM mongoferry.task WHERE migration IN ('zoo', 'strict');
DROP ROLE regress_mongoferry_runner;
DROP SCHEMA migrate_test CASCADE;
DROP SERVER migrate_server CASCADE;

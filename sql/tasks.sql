-- Migrations and tasks: the calls, what they store, the statements they make, and what each refusal says.
-- Nothing is read here, so the source need not exist.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SERVER tasks_server FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://127.0.0.1:1/shop');
CREATE SCHEMA tasks_mongo;
CREATE SCHEMA tasks_target;
CREATE FOREIGN TABLE tasks_mongo.customers (_id mongoferry.objectid, name text, email text) SERVER tasks_server;
CREATE FOREIGN TABLE tasks_mongo.orders (_id mongoferry.objectid, customer mongoferry.objectid, total numeric, day date, note text)
    SERVER tasks_server;
CREATE TABLE tasks_target."Customer" (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    email text UNIQUE,
    "createdAt" timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE tasks_target."Order" (
    id uuid PRIMARY KEY,
    "customerId" uuid NOT NULL REFERENCES tasks_target."Customer",
    total numeric(10, 2),
    doubled numeric GENERATED ALWAYS AS (total * 2) STORED
);

-- migrations
SELECT mongoferry.create_migration('shop', 'the web shop');
SELECT migration, owner = quote_ident(current_user)::regrole AS mine, comment FROM mongoferry.migration;
SELECT mongoferry.create_migration('shop');
SELECT mongoferry.create_migration('');
SELECT mongoferry.create_migration(NULL);
SELECT mongoferry.drop_migration('chop');
SELECT mongoferry.add_task('chop', 'customers', 'tasks_mongo.customers', 'tasks_target."Customer"');

-- the tasks of the manual
SELECT mongoferry.add_task('shop', 'customers', source => 'tasks_mongo.customers', target => 'tasks_target."Customer"',
    transform => $$ SELECT mongoferry.to_uuid(_id) AS id, name, lower(email) AS email FROM source; $$);
SELECT mongoferry.add_task('shop', 'orders', source => 'tasks_mongo.orders', target => 'tasks_target."Order"',
    depends_on => '{customers}', transform => $$
    SELECT mongoferry.to_uuid(_id) AS id, mongoferry.to_uuid(customer) AS "customerId", total FROM source -- all of them
$$);
SELECT task, position, source, target, depends_on, chunk_size, on_conflict, conflict_key, on_error, max_errors, changed_field,
    search_path, state FROM mongoferry.task ORDER BY position;
SELECT mongoferry.task_source_query('shop', 'orders');
SELECT mongoferry.task_query('shop', 'orders');
SELECT mongoferry.task_statement('shop', 'customers');
SELECT mongoferry.task_statement('shop', 'orders');
SELECT position, column_name, attribute, type::regtype, type_modifier FROM mongoferry.task_columns('shop', 'orders');
SELECT mongoferry.task_key('shop', 'orders');
SELECT * FROM mongoferry.task_dependencies('shop');
SELECT mongoferry.check_order('shop');

-- names that are none
SELECT mongoferry.task_statement('shop', 'nothing');
SELECT mongoferry.task_query('shop', 'nothing');
SELECT mongoferry.task_columns('shop', 'nothing');
SELECT mongoferry.task_key('shop', 'nothing');
SELECT mongoferry.alter_task('shop', 'nothing');
SELECT mongoferry.drop_task('shop', 'nothing');
SELECT mongoferry.reset_task('shop', 'nothing');
SELECT mongoferry.task_dependencies('chop');
SELECT mongoferry.check_order('chop');
SELECT mongoferry.drop_task('chop', 'orders');
SELECT mongoferry.add_task('shop', '', 'tasks_mongo.customers', 'tasks_target."Customer"');
SELECT mongoferry.add_task('shop', 'orders', 'tasks_mongo.orders', 'tasks_target."Order"', 'SELECT 1 FROM source');
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.nothing', 'tasks_target."Order"');
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.orders', 'tasks_target.Order');
SELECT mongoferry.add_task('shop', 'new', NULL, 'tasks_target."Order"');

-- settings
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_target."Customer"', chunk_size => 0);
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_target."Customer"', chunk_size => NULL);
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_target."Customer"', on_conflict => 'replace');
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_target."Customer"', on_error => 'ignore');
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_target."Customer"', max_errors => -1);
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_target."Customer"', depends_on => '{new}');
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_target."Customer"', depends_on => '{NULL}');
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_target."Customer"', changed_field => 'meta..updated');

-- sources and targets
CREATE TABLE tasks_target.plain (id uuid PRIMARY KEY, name text, email text);
CREATE VIEW tasks_target.plain_view AS TABLE tasks_target.plain;
CREATE SEQUENCE tasks_target.counter;
CREATE TEMPORARY TABLE tasks_temporary (name text);
SELECT mongoferry.add_task('shop', 'new', 'tasks_target.plain', 'tasks_target."Customer"');
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_target.plain_view');
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_target.counter');
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_temporary');
SELECT mongoferry.add_task('shop', 'new', 'tasks_mongo.customers', 'tasks_mongo.orders');

-- transforms
CREATE FUNCTION tasks_target.try(transform text, on_conflict text DEFAULT 'error', conflict_key text[] DEFAULT NULL,
    target regclass DEFAULT 'tasks_target."Order"') RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    statement text;
BEGIN
    PERFORM mongoferry.add_task('shop', 'new', 'tasks_mongo.orders', target, transform, on_conflict => on_conflict,
        conflict_key => conflict_key);
    statement := mongoferry.task_statement('shop', 'new');
    PERFORM mongoferry.drop_task('shop', 'new');
    RETURN rtrim(statement, E' \n');
END
$$;
SELECT tasks_target.try('');
SELECT tasks_target.try('DELETE FROM source');
SELECT tasks_target.try('SELECT 1 FROM source; SELECT 2 FROM source');
SELECT tasks_target.try('SELECT total FORM source');
SELECT tasks_target.try('SELECT totl FROM source');
SELECT tasks_target.try('SELECT nosuchfunction(total) FROM source');
SELECT tasks_target.try('SELECT FROM source');
SELECT tasks_target.try('SELECT total * 2 FROM source');
SELECT tasks_target.try('SELECT mongoferry.to_uuid(_id) AS id, mongoferry.to_uuid(customer) AS customerId FROM source');
SELECT tasks_target.try('SELECT *, mongoferry.to_uuid(_id) AS id FROM source');
SELECT tasks_target.try('SELECT total, 1.5 AS total FROM source');
SELECT tasks_target.try('SELECT total AS doubled FROM source');
SELECT tasks_target.try('SELECT mongoferry.to_uuid(_id) AS id, total FROM source');
SELECT tasks_target.try('SELECT mongoferry.to_uuid(_id) AS id, day AS "customerId" FROM source');
-- every way to write a SELECT
SELECT tasks_target.try('SELECT mongoferry.to_uuid(_id) AS id, mongoferry.to_uuid(customer) AS "customerId", note::numeric AS total FROM source');
SELECT tasks_target.try('WITH a AS (SELECT * FROM source) (SELECT mongoferry.to_uuid(_id) AS id, mongoferry.to_uuid(customer) AS "customerId" FROM a ORDER BY 1 LIMIT 5)');
SELECT tasks_target.try($$SELECT mongoferry.to_uuid(_id) AS id, '6592aac0-0000-7000-8000-000000000001' AS "customerId" FROM source$$);

-- without one: by equal names
SELECT tasks_target.try(NULL, target => 'tasks_target.plain');
CREATE TABLE tasks_target.by_name ("other" text, note text, total numeric, day date GENERATED ALWAYS AS ('2024-01-01') STORED);
SELECT tasks_target.try(NULL, target => 'tasks_target.by_name');

-- keys
SELECT tasks_target.try('SELECT mongoferry.to_uuid(_id) AS id, mongoferry.to_uuid(customer) AS "customerId", total FROM source', 'nothing');
SELECT tasks_target.try('SELECT mongoferry.to_uuid(_id) AS id, mongoferry.to_uuid(customer) AS "customerId", total FROM source', 'update');
SELECT tasks_target.try('SELECT total FROM source', 'nothing');
SELECT tasks_target.try('SELECT total FROM source', 'update');
SELECT tasks_target.try('SELECT mongoferry.to_uuid(_id) AS id FROM source', 'update', NULL, 'tasks_target.plain');
SELECT tasks_target.try('SELECT note FROM source', 'nothing', NULL, 'tasks_target.by_name');
SELECT tasks_target.try('SELECT note FROM source', 'nothing', '{nothing}', 'tasks_target.by_name');
SELECT tasks_target.try('SELECT note FROM source', 'nothing', '{note}', 'tasks_target.by_name');
SELECT tasks_target.try('SELECT note FROM source', 'nothing', '{}', 'tasks_target.by_name');
SELECT tasks_target.try('SELECT note FROM source', 'error', '{note}', 'tasks_target.by_name');
CREATE UNIQUE INDEX partial ON tasks_target.by_name (note) WHERE total > 0;
CREATE UNIQUE INDEX expression ON tasks_target.by_name (note, (total + 1));
SELECT tasks_target.try('SELECT note FROM source', 'nothing', '{note}', 'tasks_target.by_name');
ALTER TABLE tasks_target.by_name ADD CONSTRAINT deferrable_key UNIQUE (note) DEFERRABLE;
SELECT tasks_target.try('SELECT note FROM source', 'nothing', '{note}', 'tasks_target.by_name');
SELECT tasks_target.try('SELECT note FROM source', 'error', '{note}', 'tasks_target.by_name');
CREATE UNIQUE INDEX whole ON tasks_target.by_name (total, note) INCLUDE (other);
SELECT tasks_target.try('SELECT note, total FROM source', 'nothing', '{note,total}', 'tasks_target.by_name');
SELECT tasks_target.try('SELECT note, total, note AS other FROM source', 'update', '{note,total}', 'tasks_target.by_name');
SELECT tasks_target.try('SELECT note FROM source', 'nothing', '{note,total}', 'tasks_target.by_name');

-- a pass over rows of another task
SELECT tasks_target.try('SELECT mongoferry.to_uuid(_id) AS id, total FROM source', 'update');
-- the key of an UPDATE has to fit as that of an INSERT has
SELECT tasks_target.try('SELECT mongoferry.to_uuid(_id)::text AS id, total FROM source', 'update');

-- identity, defaults, triggers, domains
CREATE DOMAIN tasks_target.needed AS text NOT NULL;
CREATE DOMAIN tasks_target.defaulted AS text DEFAULT 'x' NOT NULL;
CREATE TABLE tasks_target.numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, other int GENERATED BY DEFAULT AS IDENTITY,
    serial serial, total numeric NOT NULL DEFAULT 0, a tasks_target.needed, b tasks_target.defaulted, note text NOT NULL);
SELECT tasks_target.try('SELECT note FROM source', target => 'tasks_target.numbered');
SELECT tasks_target.try('SELECT note, note AS a FROM source', target => 'tasks_target.numbered');
SELECT tasks_target.try('SELECT 1 AS id, note, note AS a FROM source', target => 'tasks_target.numbered');
SELECT tasks_target.try('SELECT 1 AS id, note, note AS a FROM source', 'update', target => 'tasks_target.numbered');
CREATE FUNCTION tasks_target.fill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := 1; RETURN NEW; END';
CREATE TRIGGER fill BEFORE INSERT ON tasks_target.numbered FOR EACH ROW EXECUTE FUNCTION tasks_target.fill();
SELECT tasks_target.try('SELECT note FROM source', target => 'tasks_target.numbered');

-- names that need care
CREATE TABLE tasks_target."source ""x""; --" ("a ""b""" text, excluded text, target text, given text, "select" numeric,
    PRIMARY KEY ("a ""b""", excluded));
SELECT tasks_target.try('SELECT note AS "a ""b""", note AS excluded, note AS given, note AS target, total AS "select" FROM source',
    'update', target => 'tasks_target."source ""x""; --"');
SELECT mongoferry.add_task('shop', E'it''s %s "new"\n', 'tasks_mongo.orders', 'tasks_target."source ""x""; --"', 'SELECT nothing FROM source');

-- altering: what is left out stays, and reset takes back
SELECT mongoferry.alter_task('shop', 'orders', chunk_size => 5, on_conflict => 'update', conflict_key => '{id}', on_error => 'abort',
    max_errors => 10, changed_field => 'meta.updated');
SELECT transform IS NOT NULL AS transform, depends_on, chunk_size, on_conflict, conflict_key, on_error, max_errors, changed_field
FROM mongoferry.task WHERE task = 'orders';
SELECT mongoferry.alter_task('shop', 'orders', reset => '{chunk_size,on_conflict,conflict_key,on_error,max_errors,changed_field,depends_on}');
SELECT transform IS NOT NULL AS transform, depends_on, chunk_size, on_conflict, conflict_key, on_error, max_errors, changed_field
FROM mongoferry.task WHERE task = 'orders';
SELECT mongoferry.alter_task('shop', 'orders', reset => '{transform}');
SELECT mongoferry.alter_task('shop', 'orders', reset => '{source}');
SELECT mongoferry.alter_task('shop', 'orders', reset => '{NULL}');
SELECT mongoferry.alter_task('shop', 'orders', max_errors => 3, reset => '{max_errors}');
SELECT mongoferry.alter_task('shop', 'orders', chunk_size => -5);
SELECT mongoferry.alter_task('shop', 'orders', on_conflict => 'often');
SELECT mongoferry.alter_task('shop', 'orders', transform => 'SELECT total FROM source');
SELECT mongoferry.alter_task('shop', 'orders', target => 'tasks_target."Customer"');
SELECT transform IS NOT NULL AS transform, target FROM mongoferry.task WHERE task = 'orders';

-- the search_path is that of the call, and stays
SET search_path = tasks_target, public;
CREATE FUNCTION shorten(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT left($1, 3)';
SELECT mongoferry.add_task('shop', 'shortened', 'tasks_mongo.orders', 'by_name', 'SELECT shorten(note) AS note FROM source');
RESET search_path;
SELECT search_path FROM mongoferry.task WHERE task = 'shortened';
SELECT mongoferry.task_statement('shop', 'shortened');
SELECT mongoferry.alter_task('shop', 'shortened', chunk_size => 7);
SELECT search_path FROM mongoferry.task WHERE task = 'shortened';
SELECT mongoferry.alter_task('shop', 'shortened', transform => 'SELECT shorten(note) || 1 AS note FROM source');
SELECT mongoferry.alter_task('shop', 'shortened', transform => 'SELECT shorten(note) || 1 AS note FROM source', search_path => 'tasks_target');
SELECT search_path FROM mongoferry.task WHERE task = 'shortened';
SELECT mongoferry.alter_task('shop', 'shortened', transform => 'SELECT note FROM source');
SELECT search_path FROM mongoferry.task WHERE task = 'shortened';
SHOW search_path;
SELECT mongoferry.drop_task('shop', 'shortened');
-- nothing in the search_path of a transform comes between the toolkit and the server's own operators
CREATE FUNCTION tasks_target.evil(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked''; END';
CREATE OPERATOR tasks_target.= (LEFTARG = text, RIGHTARG = text, FUNCTION = tasks_target.evil);
CREATE OPERATOR tasks_target.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = tasks_target.evil);
SET search_path = tasks_target, pg_catalog;
SELECT mongoferry.add_task('shop', 'evil', 'tasks_mongo.orders', 'by_name', 'SELECT note FROM source');
SELECT mongoferry.task_statement('shop', 'evil');
SELECT mongoferry.alter_task('shop', 'evil', chunk_size => 7);
SELECT mongoferry.drop_task('shop', 'evil');
RESET search_path;

-- a task that has begun
UPDATE mongoferry.task SET state = 'running', documents_total = 3, started_at = now(), rows_mended = 2 WHERE task = 'orders';
INSERT INTO mongoferry.chunk (migration, task, chunk, bounds, documents_estimated) VALUES ('shop', 'orders', 1, '', 3);
INSERT INTO mongoferry.errors (migration, task, raw, sqlstate, message) VALUES ('shop', 'orders', '', '22000', 'no');
SELECT mongoferry.alter_task('shop', 'orders', source => 'tasks_mongo.customers');
SELECT mongoferry.alter_task('shop', 'orders', target => 'tasks_target.plain');
SET client_min_messages = notice;
SELECT mongoferry.alter_task('shop', 'orders', chunk_size => 20);
SET client_min_messages = warning;
SELECT mongoferry.alter_task('shop', 'orders', source => 'tasks_mongo.orders', target => 'tasks_target."Order"', max_errors => 3);
SELECT mongoferry.reset_task('shop', 'orders');
SELECT state, documents_total, started_at, rows_mended, chunk_size, max_errors,
    (SELECT count(*) FROM mongoferry.chunk) AS chunks, (SELECT count(*) FROM mongoferry.errors) AS errors
FROM mongoferry.task WHERE task = 'orders';

-- sources and targets that are gone
CREATE FOREIGN TABLE tasks_mongo.gone (note text) SERVER tasks_server;
CREATE TABLE tasks_target.gone (note text);
SELECT mongoferry.add_task('shop', 'gone', 'tasks_mongo.gone', 'tasks_target.gone');
DROP TABLE tasks_target.gone;
SELECT mongoferry.task_statement('shop', 'gone');
SELECT mongoferry.alter_task('shop', 'gone', chunk_size => 3);
UPDATE mongoferry.task SET state = 'running' WHERE task = 'gone';
SELECT mongoferry.alter_task('shop', 'gone', target => 'tasks_target.by_name');
DROP FOREIGN TABLE tasks_mongo.gone;
SELECT mongoferry.task_key('shop', 'gone');
SELECT mongoferry.task_source_query('shop', 'gone');
SELECT mongoferry.drop_task('shop', 'gone');

-- a column that is gone is noticed when the statement is made
ALTER TABLE tasks_target."Order" RENAME total TO sum;
SELECT mongoferry.check_task('shop', 'orders');
ALTER TABLE tasks_target."Order" RENAME sum TO total;

-- foreign keys to tasks that add_task() has not seen
SELECT mongoferry.alter_task('shop', 'orders', depends_on => '{nobody,customers}');
SELECT mongoferry.check_order('shop');
SELECT mongoferry.drop_migration('shop');
SELECT count(*) FROM mongoferry.task;

-- circles, and the way through
CREATE FOREIGN TABLE tasks_mongo.people (id int, manager int, team int) SERVER tasks_server;
CREATE FOREIGN TABLE tasks_mongo.teams (id int, lead int) SERVER tasks_server;
CREATE TABLE tasks_target.team (id int PRIMARY KEY, lead int);
CREATE TABLE tasks_target.person (id int PRIMARY KEY, manager int REFERENCES tasks_target.person,
    team int NOT NULL REFERENCES tasks_target.team);
ALTER TABLE tasks_target.team ADD FOREIGN KEY (lead) REFERENCES tasks_target.person;
SELECT mongoferry.create_migration('firm');
SELECT mongoferry.add_task('firm', 'people', 'tasks_mongo.people', 'tasks_target.person');
SELECT mongoferry.add_task('firm', 'teams', 'tasks_mongo.teams', 'tasks_target.team');
SELECT * FROM mongoferry.task_dependencies('firm');
SELECT mongoferry.check_order('firm');
SELECT mongoferry.check_order('firm', foreign_keys => false);
SELECT mongoferry.alter_task('firm', 'people', transform => 'SELECT id, team FROM source');
SELECT mongoferry.check_order('firm');
SELECT mongoferry.alter_task('firm', 'teams', transform => 'SELECT id FROM source');
SELECT mongoferry.add_task('firm', 'managers', 'tasks_mongo.people', 'tasks_target.person', 'SELECT id, manager FROM source',
    on_conflict => 'update');
SELECT mongoferry.add_task('firm', 'leads', 'tasks_mongo.teams', 'tasks_target.team', on_conflict => 'update');
SELECT * FROM mongoferry.task_dependencies('firm');
SELECT mongoferry.check_order('firm');
SELECT mongoferry.alter_task('firm', 'teams', depends_on => '{leads}');
SELECT mongoferry.check_order('firm');
SELECT mongoferry.alter_task('firm', 'people', depends_on => '{managers}');
SELECT mongoferry.alter_task('firm', 'teams', reset => '{depends_on}');
ALTER TABLE tasks_target.person DROP CONSTRAINT person_team_fkey;
SELECT mongoferry.check_order('firm', foreign_keys => false);
SELECT mongoferry.drop_migration('firm');
-- a key that cannot be left out
CREATE TABLE tasks_target.one (id int PRIMARY KEY, other int NOT NULL);
CREATE TABLE tasks_target.two (id int PRIMARY KEY, other int NOT NULL REFERENCES tasks_target.one);
ALTER TABLE tasks_target.one ADD FOREIGN KEY (other) REFERENCES tasks_target.two;
SELECT mongoferry.create_migration('firm');
SELECT mongoferry.add_task('firm', 'one', 'tasks_mongo.people', 'tasks_target.one', 'SELECT id, team AS other FROM source');
SELECT mongoferry.add_task('firm', 'two', 'tasks_mongo.people', 'tasks_target.two', 'SELECT id, team AS other FROM source');
SELECT mongoferry.check_order('firm');
SELECT mongoferry.drop_migration('firm');

-- who may do what
CREATE ROLE regress_mongoferry_anna;
CREATE ROLE "regress_mongoferry Berta";
GRANT USAGE ON SCHEMA tasks_target, tasks_mongo TO PUBLIC;
SET ROLE regress_mongoferry_anna;
SELECT mongoferry.create_migration('hers');
SELECT mongoferry.add_task('hers', 'customers', 'tasks_mongo.customers', 'tasks_target.plain', 'SELECT name FROM source', on_conflict => 'update');
SELECT mongoferry.add_task('hers', 'customers', 'tasks_mongo.customers', 'tasks_target.plain',
    'SELECT mongoferry.to_uuid(_id) AS id, name FROM source', on_conflict => 'update');
SET ROLE "regress_mongoferry Berta";
SELECT (SELECT count(*) FROM mongoferry.migration) AS migrations, (SELECT count(*) FROM mongoferry.task) AS tasks;
SELECT mongoferry.create_migration('hers');
SELECT mongoferry.add_task('hers', 'more', 'tasks_mongo.customers', 'tasks_target.plain');
SELECT mongoferry.alter_task('hers', 'customers', chunk_size => 5);
SELECT mongoferry.task_statement('hers', 'customers');
SELECT mongoferry.reset_task('hers', 'customers');
SELECT mongoferry.drop_task('hers', 'customers');
SELECT mongoferry.drop_migration('hers');
INSERT INTO mongoferry.task (migration, task, position, source, target, search_path)
    VALUES ('hers', 'more', 2, 'tasks_mongo.customers', 'tasks_target.plain', '');
INSERT INTO mongoferry.migration (migration, owner) VALUES ('not hers', 'regress_mongoferry_anna');
UPDATE mongoferry.task SET transform = 'SELECT evil() FROM source';
DELETE FROM mongoferry.migration;
-- her own, with a name that needs quoting
SELECT mongoferry.create_migration('mine');
SELECT migration, owner FROM mongoferry.migration;
SELECT mongoferry.require_owner('mine');
-- a superuser sees all, but runs nobody's code
RESET ROLE;
SELECT migration, owner FROM mongoferry.migration ORDER BY 1;
SELECT mongoferry.add_task('hers', 'more', 'tasks_mongo.customers', 'tasks_target.plain');
SELECT mongoferry.task_statement('hers', 'customers');
SELECT mongoferry.task_columns('mine', 'x');
SELECT mongoferry.task_dependencies('mine');
-- a member sees it too
GRANT regress_mongoferry_anna TO "regress_mongoferry Berta";
SET ROLE "regress_mongoferry Berta";
SELECT migration, owner FROM mongoferry.migration ORDER BY 1;
SELECT mongoferry.alter_task('hers', 'customers', chunk_size => 5);
SELECT mongoferry.drop_task('hers', 'customers');
RESET ROLE;
SELECT mongoferry.drop_migration('hers');
SELECT mongoferry.drop_migration('mine');

DROP SCHEMA tasks_mongo, tasks_target CASCADE;
DROP SERVER tasks_server;
DROP ROLE regress_mongoferry_anna, "regress_mongoferry Berta";

-- IMPORT FOREIGN SCHEMA: what becomes of collections, fields and types. The fixtures are what mongoexport writes, and
-- the example shop's dump.
\set fixtures `echo "$MONGOFERRY_TEST_FIXTURES"`
\set exports :fixtures /import
\set shop_dump :fixtures /shop
CREATE SERVER exports FOREIGN DATA WRAPPER mongoferry OPTIONS (dump :'exports');
CREATE SERVER shop FOREIGN DATA WRAPPER mongoferry OPTIONS (dump :'shop_dump');
CREATE SCHEMA import;

CREATE VIEW imported_tables AS
    SELECT c.relname AS "table", t.ftoptions AS options
    FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'import' ORDER BY c.relname COLLATE "C";
CREATE VIEW imported_columns AS
    SELECT c.relname AS "table", a.attname AS "column", format_type(a.atttypid, a.atttypmod) AS type,
           a.attfdwoptions AS options, col_description(c.oid, a.attnum) AS comment
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE n.nspname = 'import' AND c.relkind = 'f' ORDER BY c.relname COLLATE "C", a.attnum;

IMPORT FOREIGN SCHEMA exports FROM SERVER exports INTO import;
TABLE imported_tables;
SELECT "column", type, comment FROM imported_columns WHERE "table" = 'types';
SELECT "column", type, options, comment FROM imported_columns WHERE "table" = 'nested';
SELECT "column", options FROM imported_columns WHERE "table" = 'names';
SELECT "column", type, comment FROM imported_columns WHERE "table" = 'nobody';

-- what was imported can be read
SELECT * FROM import.types \gx
SELECT * FROM import.nested \gx
SELECT * FROM import.names \gx
SELECT * FROM import.nobody;
SELECT * FROM import.a_collection_whose_name_is_longer_than_identifiers_of_postgresql;

-- the options
SET client_min_messages = warning;
DROP SCHEMA import CASCADE;
CREATE SCHEMA import;
RESET client_min_messages;
SET standard_conforming_strings = off; -- must not matter
IMPORT FOREIGN SCHEMA exports FROM SERVER exports INTO import OPTIONS (import_names 'snake_case', import_nested 'jsonb');
RESET standard_conforming_strings;
TABLE imported_tables;
SELECT "table", "column", type, options FROM imported_columns WHERE "table" IN ('names', 'nested');
SET client_min_messages = warning;
DROP SCHEMA import CASCADE;
CREATE SCHEMA import;
RESET client_min_messages;
IMPORT FOREIGN SCHEMA exports LIMIT TO (types) FROM SERVER exports INTO import OPTIONS (import_sample_size '1');
SELECT "column", type, comment FROM imported_columns WHERE "column" IN ('mixed_int', 'late');

-- which collections
SET client_min_messages = warning;
DROP SCHEMA import CASCADE;
CREATE SCHEMA import;
RESET client_min_messages;
IMPORT FOREIGN SCHEMA exports LIMIT TO (nobody, "camelCase", camelcase) FROM SERVER exports INTO import;
SELECT "table" FROM imported_tables;
IMPORT FOREIGN SCHEMA exports EXCEPT (names, types, nobody, "camelCase") FROM SERVER exports INTO import;
SELECT "table" FROM imported_tables;

-- of a dump of one database the remote schema may have any name
SET client_min_messages = warning;
DROP SCHEMA import CASCADE;
CREATE SCHEMA import;
RESET client_min_messages;
IMPORT FOREIGN SCHEMA whatever LIMIT TO (products) FROM SERVER shop INTO import;
TABLE imported_tables;
SELECT "column", type, comment FROM imported_columns;

-- what is refused, and leaves nothing behind
IMPORT FOREIGN SCHEMA shop FROM SERVER shop INTO import;
SELECT "table" FROM imported_tables;
IMPORT FOREIGN SCHEMA shop FROM SERVER shop INTO nowhere;
IMPORT FOREIGN SCHEMA shop FROM SERVER shop INTO import OPTIONS (import_size '10');
IMPORT FOREIGN SCHEMA shop FROM SERVER shop INTO import OPTIONS (collection 'orders');
IMPORT FOREIGN SCHEMA shop FROM SERVER shop INTO import OPTIONS (import_nested 'hstore');
IMPORT FOREIGN SCHEMA shop FROM SERVER shop INTO import OPTIONS (import_sample_size '0');
CREATE SERVER lost FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '/nonexistent/dump');
IMPORT FOREIGN SCHEMA shop FROM SERVER lost INTO import;
DO $$
BEGIN
    IMPORT FOREIGN SCHEMA exports LIMIT TO (types) FROM SERVER exports INTO import;
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
    RAISE NOTICE 'undone';
END
$$;
SELECT "table" FROM imported_tables;

-- an event trigger sees the tables and their comments as parts of the statement
CREATE FUNCTION tell_commands() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    command record;
BEGIN
    FOR command IN SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands() LOOP
        RAISE NOTICE '% within %: %', command.command_tag, tg_tag, command.object_identity;
    END LOOP;
END
$$;
CREATE EVENT TRIGGER tell_commands ON ddl_command_end EXECUTE FUNCTION tell_commands();
IMPORT FOREIGN SCHEMA exports LIMIT TO (nobody) FROM SERVER exports INTO import;
DROP EVENT TRIGGER tell_commands;

SET client_min_messages = warning;
DROP FUNCTION tell_commands();
DROP VIEW imported_tables, imported_columns;
DROP SCHEMA import CASCADE;
DROP SERVER exports CASCADE;
DROP SERVER shop CASCADE;
DROP SERVER lost;

-- The functions behind chunks: what they give for a file, and what each wrong argument says.
\set fixtures `echo "$MONGOFERRY_TEST_FIXTURES"`
\set exports :fixtures /toolkit
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA chunks_test;
SET search_path = chunks_test, public;
CREATE SERVER chunks_server FOREIGN DATA WRAPPER mongoferry OPTIONS (dump :'exports');
CREATE FOREIGN TABLE people (_id int, name text) SERVER chunks_server;
CREATE SERVER chunks_live FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=200');
CREATE USER MAPPING FOR PUBLIC SERVER chunks_live;
CREATE FOREIGN TABLE live (_id int) SERVER chunks_live;
CREATE TABLE plain (_id int);
CREATE VIEW seen AS TABLE people;

-- split_source()
SELECT chunk, bounds_shown, documents_estimated, bytes_estimated FROM mongoferry.split_source('people', 2);
SELECT count(*) FROM mongoferry.split_source('people', 1);
SELECT count(*) FROM mongoferry.split_source('people', 2147483647);
SELECT * FROM mongoferry.split_source('people', 0);
SELECT * FROM mongoferry.split_source('people', -5);
SELECT * FROM mongoferry.split_source('people', NULL);
SELECT * FROM mongoferry.split_source(NULL, 5);
SELECT * FROM mongoferry.split_source('plain', 5);
SELECT * FROM mongoferry.split_source('seen', 5);
SELECT * FROM mongoferry.split_source('nothing', 5);
SELECT * FROM mongoferry.split_source(0, 5);
\set VERBOSITY terse
SELECT * FROM mongoferry.split_source('live', 5); -- nobody is there
\set VERBOSITY default

-- in_chunk()
CREATE TABLE part AS SELECT * FROM mongoferry.split_source('people', 2);
SELECT p.chunk, s._id, s.name FROM part AS p, LATERAL (SELECT * FROM people WHERE mongoferry.in_chunk(tableoid, p.bounds)) AS s ORDER BY 1, 2;
PREPARE one AS SELECT _id FROM people WHERE mongoferry.in_chunk(tableoid, $1) AND name > 'B';
SELECT bounds AS second FROM part WHERE chunk = 2 \gset
EXECUTE one(:'second');
SELECT _id FROM people WHERE mongoferry.in_chunk(tableoid, (SELECT bounds FROM part WHERE chunk = 3));
SELECT _id FROM people WHERE mongoferry.in_chunk(tableoid, NULL);
EXECUTE one(NULL);
SELECT mongoferry.in_chunk(1, ''), mongoferry.in_chunk(1, NULL);
SELECT * FROM plain WHERE mongoferry.in_chunk(tableoid, :'second');
INSERT INTO plain VALUES (1);
SELECT * FROM plain WHERE mongoferry.in_chunk(tableoid, :'second');
SELECT _id FROM people WHERE mongoferry.in_chunk(tableoid, :'second') OR _id = 1;
SELECT _id FROM people WHERE NOT mongoferry.in_chunk(tableoid, :'second');
SELECT _id, mongoferry.in_chunk(tableoid, :'second') FROM people;
SELECT _id FROM people WHERE mongoferry.in_chunk('people'::regclass, :'second');
SELECT _id FROM people WHERE mongoferry.in_chunk(tableoid, :'second') AND mongoferry.in_chunk(tableoid, '\x00');
SELECT _id FROM people WHERE mongoferry.in_chunk(tableoid, convert_to(name, 'UTF8'));
SELECT _id FROM people WHERE mongoferry.in_chunk(tableoid, '\x00');
SELECT _id FROM people WHERE mongoferry.in_chunk(tableoid, '');
SELECT _id FROM people WHERE mongoferry.in_chunk(tableoid, '\x0500000000');

-- read_documents() and count_documents()
SELECT source_id, document, raw IS NOT NULL AS has_raw FROM mongoferry.read_documents('people', :'second');
SELECT source_id FROM mongoferry.read_documents('people', NULL);
SELECT source_id FROM mongoferry.read_documents('people', NULL, 2);
SELECT source_id FROM mongoferry.read_documents('people', NULL, 0);
SELECT source_id FROM mongoferry.read_documents(NULL, NULL);
SELECT source_id FROM mongoferry.read_documents('people', NULL, -1);
SELECT source_id FROM mongoferry.read_documents('people', '\x00');
SELECT source_id FROM mongoferry.read_documents('plain', NULL);
SELECT mongoferry.count_documents('people'), mongoferry.count_documents('people', :'second'), mongoferry.count_documents(NULL);
SELECT mongoferry.count_documents('people', '\x00');
SELECT mongoferry.count_documents('plain');

-- documents given with the query, and documents passed over
SELECT raw AS third FROM mongoferry.read_documents('people', NULL) WHERE source_id = '3' \gset
SELECT source_id FROM mongoferry.read_documents('people', mongoferry.raw_bounds(ARRAY[:'third', :'third']::bytea[]));
SELECT mongoferry.count_documents('people', mongoferry.raw_bounds('{}'));
SELECT source_id FROM mongoferry.read_documents('live', mongoferry.raw_bounds(ARRAY[:'third']::bytea[]));
SELECT source_id FROM mongoferry.read_documents('people', mongoferry.bounds_except(:'second', ARRAY[:'third']::bytea[]));
SELECT mongoferry.raw_bounds(NULL), mongoferry.id_bounds(NULL), mongoferry.bounds_except(NULL, '{}'), mongoferry.bounds_except(:'second', NULL);
SELECT mongoferry.raw_bounds('{NULL}');
SELECT mongoferry.raw_bounds('{x}');
SELECT mongoferry.id_bounds('{x}');
SELECT mongoferry.id_bounds(ARRAY['\x0500000000']::bytea[]); -- {}
SELECT mongoferry.bounds_except('\x00', ARRAY[:'third']::bytea[]);
SELECT mongoferry.bounds_except(:'second', '{x}');
-- those of a file are not for a live server, nor the other way round
SELECT source_id FROM mongoferry.read_documents('people', mongoferry.id_bounds(ARRAY[:'third']::bytea[]));
SELECT source_id FROM mongoferry.read_documents('live', :'second');

-- samples and facts
SELECT count(*) FROM mongoferry.sample_documents('people', 3);
SELECT * FROM mongoferry.sample_documents('people', 0);
SELECT * FROM mongoferry.sample_documents('plain', 1);
SELECT mongoferry.id_types('people'), mongoferry.default_collation('people');
SELECT mongoferry.id_types('plain');
SELECT mongoferry.default_collation('plain');

-- write_chunk()
CREATE TABLE target (id int PRIMARY KEY, name text NOT NULL);
SELECT source_id, sqlstate, message FROM mongoferry.write_chunk('people',
    'INSERT INTO target SELECT _id, name FROM people WHERE mongoferry.in_chunk(tableoid, $1)', (SELECT bounds FROM part WHERE chunk = 2));
SELECT * FROM mongoferry.chunk_totals();
SELECT * FROM mongoferry.write_chunk(NULL, 'INSERT', '');
SELECT * FROM mongoferry.write_chunk('people', NULL, '');
SELECT * FROM mongoferry.write_chunk('people', 'INSERT INTO target SELECT 1', :'second', -1);
SELECT * FROM mongoferry.write_chunk('people', 'SELECT 1', :'second');
SELECT * FROM mongoferry.write_chunk('people', 'INSERT INTO target SELECT 1, ''a''; SELECT 1', :'second');
SELECT * FROM mongoferry.write_chunk('people', 'INSERT INTO target SELECT 1, ''a'' RETURNING id', :'second');
SELECT * FROM mongoferry.write_chunk('people', 'INSERT INTO', :'second');
SELECT * FROM mongoferry.write_chunk('plain', 'INSERT INTO target SELECT 1, ''a''', :'second');
SELECT * FROM mongoferry.write_chunk('people', 'INSERT INTO target SELECT _id, name FROM people WHERE mongoferry.in_chunk(tableoid, $1)', '\x00');

-- rights
CREATE ROLE regress_mongoferry_reader;
GRANT USAGE ON SCHEMA chunks_test TO regress_mongoferry_reader;
SET ROLE regress_mongoferry_reader;
SELECT * FROM mongoferry.split_source('people', 2);
SELECT * FROM mongoferry.read_documents('people', NULL);
SELECT mongoferry.count_documents('people');
RESET ROLE;
GRANT SELECT ON people TO regress_mongoferry_reader;
SET ROLE regress_mongoferry_reader;
SELECT mongoferry.count_documents('people');
SELECT * FROM mongoferry.split_source('people', 2);
SELECT * FROM mongoferry.read_documents('people', NULL);
SELECT * FROM mongoferry.sample_documents('people', 1);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER chunks_server TO regress_mongoferry_reader;
SET ROLE regress_mongoferry_reader;
SELECT count(*) FROM mongoferry.read_documents('people', NULL);
RESET ROLE;

DROP SCHEMA chunks_test CASCADE;
DROP SERVER chunks_server CASCADE;
DROP SERVER chunks_live CASCADE;
DROP ROLE regress_mongoferry_reader;

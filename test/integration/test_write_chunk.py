"""write_chunk(): a chunk goes into its target, without the documents that cannot, whatever the reason."""

import random
import threading
import time

import bson
import psycopg
import pytest
from psycopg import errors

BOUNDS = bson.encode({"kind": "all"})
COLUMNS = "_id int, n int, ref int, name text, items jsonb, document jsonb OPTIONS (field '$$ROOT')"


class Source:
    """A collection behind the foreign table `source_table`, and a target `target` to carry it over to."""

    def __init__(self, connection, collection, create_table):
        self.connection = connection
        self.collection = collection
        create_table()

    def statement(self, transform="SELECT _id AS id, n FROM source", columns="id, n", tail="", target="target"):
        bound = self.connection.execute(
            "SELECT mongoferry.bind_transform(%s, 'SELECT * FROM source_table WHERE mongoferry.in_chunk(tableoid, $1)')",
            [transform],
        ).fetchone()[0]
        return f"INSERT INTO {target} ({columns}) {bound} {tail}"

    def write(self, statement=None, bounds=BOUNDS, max_refused=None, connection=None):
        """The refused documents: {_id: row}, each row a mapping by column name."""
        with (connection or self.connection).cursor(row_factory=psycopg.rows.dict_row) as cursor:
            rows = cursor.execute(
                "SELECT * FROM mongoferry.write_chunk('source_table', %s, %s, %s)",
                [statement or self.statement(), bounds, max_refused],
            ).fetchall()
        refused = {bson.decode(row["raw"])["_id"]: row for row in rows}
        assert len(refused) == len(rows), "refused twice"
        return refused

    def totals(self):
        with self.connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute("SELECT * FROM mongoferry.chunk_totals()").fetchone()

    def target(self, columns="id"):
        rows = self.connection.execute(f"SELECT {columns} FROM target ORDER BY 1").fetchall()
        return [row[0] for row in rows] if "," not in columns else rows


@pytest.fixture
def source(connection, mongo, live_server):
    return Source(
        connection,
        mongo.documents,
        lambda: connection.execute(
            f"CREATE FOREIGN TABLE source_table ({COLUMNS}) SERVER {live_server} OPTIONS (collection 'documents')"
        ),
    )


def numbered(count, bad=(), bad_fields=None):
    """Documents 0 … count - 1 with n = 1; those that are bad have other fields."""
    return [{"_id": i, "n": 1, "ref": 1, "name": "x"} | ((bad_fields or {}) if i in bad else {}) for i in range(count)]


def test_a_clean_chunk(source):
    source.collection.insert_many(numbered(1000))
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int)")
    assert source.write() == {}
    assert source.target() == list(range(1000))
    totals = source.totals()
    assert totals.pop("bytes") > 10000
    assert totals == {"documents": 1000, "rows_written": 1000, "refused": 0, "stopped": False}


def test_no_documents(source):
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int)")
    assert source.write() == {}
    assert source.write(bounds=None) == {}
    assert source.totals() == {"documents": 0, "bytes": 0, "rows_written": 0, "refused": 0, "stopped": False}


BAD = {0, 7, 8, 9, 40, 77, 150, 199}  # the first, the last, some in a row

# What makes documents bad: set-up, statement (keywords of Source.statement), fields of the bad documents, SQLSTATE, and
# what else the refusal says.
CAUSES = {
    "conversion": (
        "CREATE TABLE target (id int PRIMARY KEY, n int)",
        {},
        {"n": "many"},
        "2200G",
        {"message": 'cannot convert BSON string to integer for column "n" of foreign table "source_table"', "column_name": "n"},
    ),
    "NOT NULL": (
        "CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)",
        {},
        {"n": None},
        "23502",
        {"column_name": "n"},
    ),
    "CHECK": (
        "CREATE TABLE target (id int PRIMARY KEY, n int CONSTRAINT n_is_small CHECK (n < 10))",
        {},
        {"n": 10},
        "23514",
        {"constraint_name": "n_is_small"},
    ),
    "CHECK of the table": (
        "CREATE TABLE target (id int PRIMARY KEY, n int, CONSTRAINT together CHECK (id + n < 1000))",
        {},
        {"n": 1000},
        "23514",
        {"constraint_name": "together"},
    ),
    "unique": (
        "CREATE TABLE target (id int, n int CONSTRAINT only_one UNIQUE); INSERT INTO target VALUES (-1, 5)",
        {"transform": "SELECT _id AS id, CASE n WHEN 5 THEN 5 ELSE 1000 + _id END AS n FROM source"},
        {"n": 5},
        "23505",
        {"constraint_name": "only_one", "detail": "Key (n)=(5) already exists."},
    ),
    "foreign key": (
        "CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1);"
        "CREATE TABLE target (id int PRIMARY KEY, n int CONSTRAINT to_parent REFERENCES parent)",
        {},
        {"n": 2},
        "23503",
        {"constraint_name": "to_parent", "detail": 'Key (n)=(2) is not present in table "parent".'},
    ),
    "deferred foreign key": (
        "CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1);"
        "CREATE TABLE target (id int PRIMARY KEY, n int CONSTRAINT to_parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
        {},
        {"n": 2},
        "23503",
        {"constraint_name": "to_parent"},
    ),
    "deferred unique": (
        "CREATE TABLE target (id int, n int CONSTRAINT only_one UNIQUE DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO target VALUES (-1, 5)",
        {"transform": "SELECT _id AS id, CASE n WHEN 5 THEN 5 ELSE 1000 + _id END AS n FROM source"},
        {"n": 5},
        "23505",
        {"constraint_name": "only_one"},
    ),
    "exclusion": (
        "CREATE TABLE target (id int, n int, CONSTRAINT no_overlap EXCLUDE USING gist (int4range(n, n + 1) WITH &&));"
        "INSERT INTO target VALUES (-1, 5)",
        {"transform": "SELECT _id AS id, CASE n WHEN 5 THEN 5 ELSE 1000 + _id END AS n FROM source"},
        {"n": 5},
        "23P01",
        {"constraint_name": "no_overlap"},
    ),
    "domain": (
        "CREATE DOMAIN small AS int CONSTRAINT small_check CHECK (VALUE < 10);"
        "CREATE TABLE target (id int PRIMARY KEY, n small)",
        {},
        {"n": 10},
        "23514",
        {"constraint_name": "small_check"},
    ),
    "assignment": (
        "CREATE TABLE target (id int PRIMARY KEY, n smallint)",
        {},
        {"n": 100000},
        "22003",
        {"message": "smallint out of range"},
    ),
    "length": (
        "CREATE TABLE target (id int PRIMARY KEY, n varchar(3))",
        {"transform": "SELECT _id, name FROM source"},
        {"name": "long"},
        "22001",
        {"message": "value too long for type character varying(3)"},
    ),
    "generated column": (
        "CREATE TABLE target (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED)",
        {},
        {"n": 2**30},
        "22003",
        {"message": "integer out of range"},
    ),
    "view with check option": (
        "CREATE TABLE target (id int PRIMARY KEY, n int);"
        "CREATE VIEW small AS SELECT * FROM target WHERE n < 10 WITH CHECK OPTION",
        {"target": "small"},
        {"n": 10},
        "44000",
        {"message": 'new row violates check option for view "small"'},
    ),
    "transform": (
        "CREATE TABLE target (id int PRIMARY KEY, n int)",
        {"transform": "SELECT _id AS id, 1 / n AS n FROM source"},
        {"n": 0},
        "22012",
        {"message": "division by zero"},
    ),
    "transform that sorts": (
        "CREATE TABLE target (id int PRIMARY KEY, n int)",
        {"transform": "SELECT id, 1 / n FROM (SELECT _id AS id, n FROM source ORDER BY _id % 13, _id) s"},
        {"n": 0},
        "22012",
        {"message": "division by zero"},
    ),
    "transform that aggregates": (
        "CREATE TABLE target (id int PRIMARY KEY, n int)",
        {"transform": "SELECT _id AS id, 1 / min(n) FROM source GROUP BY _id"},
        {"n": 0},
        "22012",
        {"message": "division by zero"},
    ),
    "transform that joins": (
        "CREATE TABLE lookup AS SELECT i AS n, nullif(i, 7) AS value FROM generate_series(0, 50) i;"
        "CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)",
        {"transform": "SELECT s._id, l.value FROM source s JOIN lookup l USING (n)"},
        {"n": 7},
        "23502",
        {"column_name": "n"},
    ),
    "PL/pgSQL function": (
        "CREATE FUNCTION refuse(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF n = 9 THEN RAISE EXCEPTION 'not %', n "
        "USING DETAIL = 'It is nine.', HINT = 'Take eight.'; END IF; RETURN n; END $$;"
        "CREATE TABLE target (id int PRIMARY KEY, n int)",
        {"transform": "SELECT _id AS id, refuse(n) FROM source"},
        {"n": 9},
        "P0001",
        {"message": "not 9", "detail": "It is nine.", "hint": "Take eight."},
    ),
    "PL/pgSQL function with an own handler": (
        "CREATE FUNCTION refuse(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1 / n; EXCEPTION WHEN division_by_zero "
        "THEN RAISE EXCEPTION 'no zeros' USING ERRCODE = 'check_violation', CONSTRAINT = 'zeros', COLUMN = 'n'; END $$;"
        "CREATE TABLE target (id int PRIMARY KEY, n int)",
        {"transform": "SELECT _id AS id, refuse(n) FROM source"},
        {"n": 0},
        "23514",
        {"message": "no zeros", "constraint_name": "zeros", "column_name": "n"},
    ),
    "trigger before": (
        "CREATE TABLE target (id int PRIMARY KEY, n int);"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n = 9 THEN RAISE EXCEPTION 'not nine'; "
        "END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION refuse()",
        {},
        {"n": 9},
        "P0001",
        {"message": "not nine"},
    ),
    "trigger after": (
        "CREATE TABLE target (id int PRIMARY KEY, n int);"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n = 9 THEN RAISE EXCEPTION 'not nine'; "
        "END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER refuse AFTER INSERT ON target FOR EACH ROW EXECUTE FUNCTION refuse()",
        {},
        {"n": 9},
        "P0001",
        {"message": "not nine"},
    ),
    "constraint trigger": (
        "CREATE TABLE target (id int PRIMARY KEY, n int);"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n = 9 THEN RAISE EXCEPTION 'not nine'; "
        "END IF; RETURN NEW; END $$;"
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON target DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
        {},
        {"n": 9},
        "P0001",
        {"message": "not nine"},
    ),
    "trigger for the statement": (
        "CREATE TABLE target (id int PRIMARY KEY, n int);"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM new_rows WHERE n = 9) "
        "THEN RAISE EXCEPTION 'not nine'; END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER refuse AFTER INSERT ON target REFERENCING NEW TABLE AS new_rows "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
        {},
        {"n": 9},
        "P0001",
        {"message": "not nine"},
    ),
    "partition": (
        "CREATE TABLE target (id int, n int) PARTITION BY LIST (n); CREATE TABLE ones PARTITION OF target FOR VALUES IN (1)",
        {},
        {"n": 2},
        "23514",
        {"message": 'no partition of relation "target" found for row'},
    ),
    "CHECK of a partition": (
        "CREATE TABLE target (id int, n int) PARTITION BY RANGE (n);"
        "CREATE TABLE few PARTITION OF target FOR VALUES FROM (0) TO (5);"
        "CREATE TABLE many PARTITION OF target (CONSTRAINT not_nine CHECK (n <> 9)) FOR VALUES FROM (5) TO (50)",
        {},
        {"n": 9},
        "23514",
        {"constraint_name": "not_nine"},
    ),
    "row too large for an index": (
        "CREATE TABLE target (id int PRIMARY KEY, n text COLLATE \"C\"); CREATE INDEX ON target (n)",
        {"transform": "SELECT _id, CASE name WHEN 'long' THEN (SELECT string_agg(md5((_id * 1000 + i)::text), '') "
                      "FROM generate_series(1, 400) i) ELSE name END FROM source"},
        {"name": "long"},
        "54000",
        {},
    ),
    "invalid text": (
        "CREATE TYPE state AS ENUM ('x', 'y'); CREATE TABLE target (id int PRIMARY KEY, n state)",
        {"transform": "SELECT _id, name::state FROM source"},
        {"name": "z"},
        "22P02",
        {"message": 'invalid input value for enum state: "z"'},
    ),
    "several rows a document": (
        "CREATE TABLE target (id int, n int NOT NULL)",
        {"transform": "SELECT _id, nullif(i * n, 9) FROM source, generate_series(1, 5) i"},
        {"n": 3},
        "23502",
        {"column_name": "n"},
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_what_is_refused_and_what_is_written(source, cause, server_log):
    setup, statement, bad_fields, sqlstate, expected = CAUSES[cause]
    source.connection.execute(setup)
    documents = numbered(200, BAD, bad_fields)
    source.collection.insert_many(documents)
    refused = source.write(source.statement(**statement))
    assert refused.keys() == BAD
    for number, row in refused.items():
        assert bson.decode(row["raw"]) == documents[number]
        assert row["source_id"] == number and row["document"] == documents[number]
        assert row["sqlstate"] == sqlstate
        assert {key: row[key] for key in expected} == expected
    assert list(refused) == sorted(refused), "not in the order of the source"
    rows = source.target()
    assert set(rows) - {-1} == set(range(200)) - BAD
    totals = source.totals()
    assert totals["rows_written"] == len([row for row in rows if row != -1])
    assert (totals["documents"], totals["refused"], totals["stopped"]) == (200, len(BAD), False)
    assert totals["bytes"] == sum(len(bson.encode(document)) for document in documents)
    log = server_log()
    assert "WARNING" not in log and "ERROR" not in log, log

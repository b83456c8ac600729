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


@pytest.fixture
def file_source(connection, write_dump):
    """Makes a Source over a file with these documents."""

    def make(documents):
        folder = write_dump({"documents": documents})

        def create_table():
            connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
            connection.execute(
                f"CREATE FOREIGN TABLE source_table ({COLUMNS}) SERVER dump OPTIONS (collection 'documents')"
            )

        return Source(connection, None, create_table)

    return make


COUNT = 100_000
FEW = set(random.Random(4).sample(range(COUNT), 2000))


@pytest.mark.parametrize(
    "cause, bad_fields, constraint",
    [
        ("conversion", {"n": "many"}, ""),
        ("NOT NULL", {"n": None}, "NOT NULL"),
        ("foreign key", {"n": 2}, "REFERENCES parent"),
    ],
)
def test_two_thousand_refused_of_a_hundred_thousand_cost_little(file_source, cause, bad_fields, constraint):
    filler = {"filler": "x" * 200}
    source = file_source([document | filler for document in numbered(COUNT, FEW, bad_fields)])
    source.connection.execute("CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1)")

    def measure(condition):
        source.connection.execute("DROP TABLE IF EXISTS target")
        source.connection.execute(f"CREATE TABLE target (id int PRIMARY KEY, n int {constraint})")
        statement = source.statement(f"SELECT _id AS id, n FROM source {condition}")
        start = time.monotonic()
        refused = source.write(statement)
        return time.monotonic() - start, refused

    clean = {
        "conversion": "WHERE document ->> 'n' <> 'many'",
        "NOT NULL": "WHERE n IS NOT NULL",
        "foreign key": "WHERE n = 1",
    }[cause]
    if cause == "conversion":
        source.connection.execute("ALTER FOREIGN TABLE source_table OPTIONS (on_mismatch 'null')")
        clean = ""
    clean_time = min(measure(clean)[0] for _ in range(2))
    assert len(source.target()) == (COUNT if cause == "conversion" else COUNT - len(FEW))
    if cause == "conversion":
        source.connection.execute("ALTER FOREIGN TABLE source_table OPTIONS (DROP on_mismatch)")
    time_taken, refused = measure("")
    assert refused.keys() == FEW
    assert source.target() == sorted(set(range(COUNT)) - FEW)
    print(f"{cause}: clean {clean_time:.2f} s, 2000 refused {time_taken:.2f} s, {time_taken / clean_time:.1f} times")
    assert time_taken < 10 * clean_time


def test_values_read_as_null_are_told_once(source):
    """However many tries it takes, one WARNING counts them; and none counts what was not written."""
    source.connection.execute("ALTER FOREIGN TABLE source_table ALTER COLUMN n OPTIONS (ADD on_mismatch 'null')")
    source.connection.execute("ALTER FOREIGN TABLE source_table ALTER COLUMN ref OPTIONS (ADD on_mismatch 'null')")
    documents = numbered(300, BAD, {"name": None})
    for document in documents[20::10]:
        document["n"] = "many"
    documents[299]["ref"] = "none"
    source.collection.insert_many(documents)
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int, ref int, name text NOT NULL)")
    notices = []
    source.connection.add_notice_handler(lambda notice: notices.append((notice.message_primary, notice.message_detail)))
    statement = source.statement("SELECT _id, n, ref, name FROM source", "id, n, ref, name")
    assert source.write(statement).keys() == BAD
    affected = len(set(range(20, 300, 10)) - BAD)
    assert notices == [
        (
            f'{affected + 1} values of 2 columns of foreign table "source_table" were read as NULL because they do not fit',
            f'"n" (integer): {affected} values, first in document {{"_id": 20}}\n'
            '"ref" (integer): 1 value, in document {"_id": 299}',
        )
    ]
    notices.clear()
    source.connection.execute("TRUNCATE target")
    source.write(statement, max_refused=3)
    assert notices == []
    source.collection.delete_many({"_id": {"$in": list(BAD)}})
    source.write(statement)
    assert [message.split()[0] for message, _ in notices] == [str(affected + 1)]


def test_max_refused(source):
    source.collection.insert_many(numbered(300, BAD, {"n": None}))
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)")
    first = sorted(BAD)
    for maximum in [0, 1, 3, len(BAD) - 1]:
        refused = source.write(max_refused=maximum)
        assert list(refused) == first[: maximum + 1]
        assert source.target() == []
        totals = source.totals()
        assert (totals["rows_written"], totals["refused"], totals["stopped"]) == (0, maximum + 1, True)
    assert source.write(max_refused=len(BAD)).keys() == BAD
    assert source.totals() == source.totals() | {"refused": len(BAD), "stopped": False, "rows_written": 300 - len(BAD)}
    assert set(source.target()) == set(range(300)) - BAD
    with pytest.raises(errors.InvalidParameterValue, match="max_refused must not be negative"):
        source.write(max_refused=-1)


def test_of_documents_that_conflict_the_first_is_written(source):
    documents = numbered(500)
    for document in documents:
        document["n"] = document["_id"] % 100
    source.collection.insert_many(documents)
    source.connection.execute("CREATE TABLE target (id int, n int PRIMARY KEY)")
    refused = source.write()
    assert source.target() == list(range(100))
    assert refused.keys() == set(range(100, 500))
    assert {row["constraint_name"] for row in refused.values()} == {"target_pkey"}


@pytest.mark.parametrize(
    "tail, expected",
    [
        ("ON CONFLICT (n) DO NOTHING", {n: n for n in range(100)}),
        ("ON CONFLICT (n) DO UPDATE SET id = excluded.id", {n: 400 + n for n in range(100)}),
    ],
)
def test_on_conflict(source, tail, expected):
    """DO UPDATE may not touch a row twice in a statement, but it may in a run document by document."""
    documents = numbered(500)
    for document in documents:
        document["n"] = document["_id"] % 100
    for number in BAD:
        documents[number]["name"] = None
    source.collection.insert_many(documents)
    source.connection.execute("CREATE TABLE target (id int, n int PRIMARY KEY, name text NOT NULL)")
    refused = source.write(source.statement("SELECT _id, n, name FROM source", "id, n, name", tail))
    assert refused.keys() == BAD
    expected = dict(expected)
    for number in BAD:
        if expected.get(number % 100) == number:
            expected[number % 100] = number + 100
    assert dict(source.target("n, id")) == expected


def test_a_document_is_refused_with_all_its_rows(connection, mongo, live_server):
    """Of a table with unwind, one bad element refuses the document."""
    mongo.documents.insert_many(
        [{"_id": i, "items": [{"q": j if (i % 10, j) != (3, 2) else "two"} for j in range(5)]} for i in range(100)]
    )
    source = Source(
        connection,
        mongo.documents,
        lambda: connection.execute(
            "CREATE FOREIGN TABLE source_table (_id int, position int OPTIONS (field '$$INDEX'), n int OPTIONS (field 'items.q')) "
            f"SERVER {live_server} OPTIONS (collection 'documents', unwind 'items')"
        ),
    )
    connection.execute("CREATE TABLE target (id int, n int)")
    refused = source.write()
    assert refused.keys() == {i for i in range(100) if i % 10 == 3}
    assert source.target() == sorted(i for i in range(100) if i % 10 != 3 for _ in range(5))
    assert source.totals()["documents"] == 100
    assert source.totals()["rows_written"] == 450


def test_an_update_pass(source):
    source.collection.insert_many(numbered(200, BAD, {"n": None}))
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)")
    source.connection.execute("INSERT INTO target SELECT i, 0 FROM generate_series(0, 199) i")
    bound = source.statement().removeprefix("INSERT INTO target (id, n) ")
    refused = source.write(f"UPDATE target SET n = s.n FROM ({bound}) s WHERE s.id = target.id")
    assert refused.keys() == BAD
    assert dict(source.target("id, n")) == {i: 0 if i in BAD else 1 for i in range(200)}
    assert source.totals()["rows_written"] == 200 - len(BAD)


def test_only_the_documents_of_the_chunk(source):
    source.collection.insert_many(numbered(200, BAD, {"n": None}))
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)")
    chunks = [bson.encode({"kind": "ids"} | members) for members in ({"max": 50}, {"min": 50, "max": 150}, {"min": 150})]
    refused = [source.write(bounds=chunk).keys() for chunk in chunks]
    assert refused == [{0, 7, 8, 9, 40}, {77}, {150, 199}]
    assert set(source.target()) == set(range(200)) - BAD
    given = bson.encode({"kind": "raw", "documents": b"".join(map(bson.encode, [{"_id": 0, "n": 3}, {"_id": 7}]))})
    assert source.write(bounds=given).keys() == {7}
    excepted = bson.encode({"kind": "ids", "max": 50, "except": [n for n in range(50) if n not in (8, 9)]})
    assert source.write(bounds=excepted).keys() == {8, 9}


def test_it_does_not_read_the_source_again_for_every_part(source, mongo_client):
    source.collection.insert_many(numbered(300, BAD, {"n": None}))
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)")
    before = mongo_client.admin.command("serverStatus")["opcounters"]["query"]
    assert source.write().keys() == BAD
    assert mongo_client.admin.command("serverStatus")["opcounters"]["query"] - before <= 4


# SQL that makes the statement fail whatever the documents, the transform, and the error.
ENVIRONMENT = {
    "an undefined function in PL/pgSQL": (
        "CREATE FUNCTION later(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN missing(n); END $$",
        "SELECT _id, later(n) FROM source",
        errors.UndefinedFunction,
    ),
    "planning": ("", "SELECT _id, 1 / 0 FROM source", errors.DivisionByZero),
    "before the first document": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON target EXECUTE FUNCTION refuse()",
        "SELECT _id, n FROM source",
        errors.RaiseException,
    ),
    "a lock that another holds": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'locked' USING ERRCODE = 'lock_not_available'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON target FOR EACH ROW WHEN (NEW.id = 11) EXECUTE FUNCTION refuse()",
        "SELECT _id, n FROM source",
        errors.LockNotAvailable,
    ),
    "read only": ("SET default_transaction_read_only = on", "SELECT _id, n FROM source", errors.ReadOnlySqlTransaction),
    "no such source": ("", "SELECT _id, nothing FROM source", errors.UndefinedColumn),
}


@pytest.mark.parametrize("cause", ENVIRONMENT)
def test_errors_that_are_not_of_the_data_are_raised(source, cause):
    setup, transform, error = ENVIRONMENT[cause]
    source.collection.insert_many(numbered(20, {3}, {"n": None}))
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)")
    source.connection.execute(setup)
    with pytest.raises(error):
        source.write(source.statement(transform))
    source.connection.execute("SET default_transaction_read_only = off")
    assert source.target() == []
    assert source.totals()["rows_written"] == 0
    # and the session goes on
    source.connection.execute("DROP TRIGGER IF EXISTS refuse ON target")
    assert source.write().keys() == {3}


def test_what_is_raised_can_be_handled_by_the_caller(source):
    """The subtransactions of a call that fails, and its reading of the source, are gone when its caller handles the
    error."""
    source.collection.insert_many(numbered(50, {3}, {"n": None}))
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)")
    source.connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'locked' USING ERRCODE = 'lock_not_available'; END $$"
    )
    source.connection.execute(
        "CREATE TRIGGER refuse AFTER INSERT ON target FOR EACH ROW WHEN (NEW.id = 20) EXECUTE FUNCTION refuse()"
    )
    statement = source.statement().replace("'", "''")
    source.connection.execute(
        f"""CREATE FUNCTION call() RETURNS text LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO target VALUES (-1, 1);
                BEGIN
                    INSERT INTO target VALUES (-2, 1);
                    PERFORM mongoferry.write_chunk('source_table', '{statement}', decode('{BOUNDS.hex()}', 'hex'));
                EXCEPTION WHEN lock_not_available THEN
                    INSERT INTO target VALUES (-3, 1);
                    RETURN (SELECT count(*) FILTER (WHERE in_use) || ' in use' FROM mongoferry.get_connections());
                END;
            END $$"""
    )
    assert source.connection.execute("SELECT call()").fetchone() == ("0 in use",)
    assert source.target() == [-3, -1]


def test_rights(source, connect, ordinary_role, live_server):
    source.collection.insert_many(numbered(20, {3}, {"n": None}))
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)")
    statement = source.statement()
    other = connect(ordinary_role)
    for grant, error in [
        ("SELECT ON source_table", errors.InsufficientPrivilege),
        (f"USAGE ON FOREIGN SERVER {live_server}", errors.InsufficientPrivilege),
        ("INSERT ON target", None),
    ]:
        with pytest.raises(errors.InsufficientPrivilege):
            source.write(statement, connection=other)
        source.connection.execute(f"GRANT {grant} TO {ordinary_role}")
    assert source.write(statement, connection=other).keys() == {3}


def test_rows_that_row_level_security_refuses(source, connect, ordinary_role, live_server):
    source.collection.insert_many(numbered(200, BAD, {"n": 10}))
    source.connection.execute(
        f"""CREATE TABLE target (id int PRIMARY KEY, n int);
            ALTER TABLE target ENABLE ROW LEVEL SECURITY;
            CREATE POLICY small ON target USING (n < 10);
            GRANT SELECT ON source_table TO {ordinary_role};
            GRANT USAGE ON FOREIGN SERVER {live_server} TO {ordinary_role};
            GRANT INSERT ON target TO {ordinary_role}"""
    )
    refused = source.write(connection=connect(ordinary_role))
    assert refused.keys() == BAD
    assert {row["sqlstate"] for row in refused.values()} == {"42501"}
    assert set(source.target()) == set(range(200)) - BAD


@pytest.mark.parametrize(
    "arguments, error",
    [
        ((None, "INSERT INTO target SELECT 1", BOUNDS), errors.NullValueNotAllowed),
        (("source_table", None, BOUNDS), errors.NullValueNotAllowed),
        (("target", "INSERT INTO target SELECT 1", BOUNDS), errors.WrongObjectType),
        (("source_table", "SELECT 1", BOUNDS), errors.SyntaxError),
        (("source_table", "DELETE FROM target", BOUNDS), errors.SyntaxError),
        (("source_table", "INSERT INTO target SELECT 1 RETURNING id", BOUNDS), errors.SyntaxError),
        (("source_table", "INSERT INTO target SELECT 1; SELECT 2", BOUNDS), errors.SyntaxError),
        (("source_table", "", BOUNDS), errors.SyntaxError),
        (("source_table", "INSERT INTO target SELECT _id FROM source_table WHERE mongoferry.in_chunk(tableoid, $1)", b"junk"),
         errors.InvalidParameterValue),
    ],
)
def test_arguments_that_are_none(source, arguments, error):
    source.connection.execute("CREATE TABLE target (id int)")
    with pytest.raises(error):
        source.connection.execute("SELECT * FROM mongoferry.write_chunk(%s, %s, %s)", arguments)


def test_cancelling_and_timeouts_pass(source, connect):
    source.collection.insert_many(numbered(100, BAD, {"n": None}))
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)")
    source.connection.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$"
    )
    # only when the bad documents are being told apart
    source.connection.execute(
        "CREATE TRIGGER wait BEFORE INSERT ON target FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION wait()"
    )
    source.connection.execute("SET statement_timeout = '300ms'")
    with pytest.raises(errors.QueryCanceled, match="statement timeout"):
        source.write()
    source.connection.execute("RESET statement_timeout")
    timer = threading.Timer(0.5, source.connection.cancel)
    timer.start()
    start = time.monotonic()
    with pytest.raises(errors.QueryCanceled, match="user request"):
        source.write()
    assert time.monotonic() - start < 10
    timer.join()
    assert source.target() == []
    # terminated, it leaves nothing either
    other = connect()
    timer = threading.Timer(0.5, lambda: source.connection.execute("SELECT pg_terminate_backend(%s)", [other.info.backend_pid]))
    timer.start()
    with pytest.raises(psycopg.OperationalError):
        source.write(connection=other)
    timer.join()
    assert source.target() == []


def test_a_corrupt_document_is_refused(connection, write_dump):
    """Inside the framing: what surrounds it can still be read."""
    documents = [bson.encode(document) for document in numbered(50)]
    damaged = bytearray(documents[20])
    damaged[4 + 1 + 4 + 4] = 0x77  # the type of the second element
    documents[20] = bytes(damaged)
    folder = write_dump({"documents": documents})
    connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    connection.execute(f"CREATE FOREIGN TABLE source_table ({COLUMNS}) SERVER dump OPTIONS (collection 'documents')")
    connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int)")
    source = Source(connection, None, lambda: None)
    rows = connection.execute(
        "SELECT source_id, document, raw, sqlstate FROM mongoferry.write_chunk('source_table', %s, %s)",
        [source.statement(), BOUNDS],
    ).fetchall()
    assert [(row[1], row[2], row[3]) for row in rows] == [(None, documents[20], "XX001")]
    assert source.target() == [i for i in range(50) if i != 20]


@pytest.mark.parametrize("seed", range(6))
def test_random_documents_are_refused_for_random_reasons(source, seed):
    """The outcome is that of inserting document after document."""
    chance = random.Random(seed)
    source.connection.execute(
        """CREATE TABLE parent (id int PRIMARY KEY);
           INSERT INTO parent VALUES (1), (2);
           CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL CHECK (n < 1000), ref int REFERENCES parent, name text UNIQUE)"""
    )
    # Which of two equal names is written is up to the transform's order, if it has one.
    order, faults = chance.choice([("", [{"name": "x"}, {"name": "y"}]), ("ORDER BY -_id", [])])
    faults += [{"n": None}, {"n": 1000}, {"n": "x"}, {"ref": 3}, {"ref": "x"}, {"n": 0.5}]
    share = chance.choice([0.005, 0.05, 0.3, 0.95])
    documents, expected, names = [], set(), set()
    for number in range(chance.choice([1, 50, 700])):
        document = {"_id": number, "n": 1, "ref": chance.choice([1, 2, None]), "name": None}
        if chance.random() < share:
            document |= chance.choice(faults)
        name = document["name"]
        if document["n"] != 1 or document["ref"] not in (1, 2, None) or name in names:
            expected.add(number)
        elif name is not None:
            names.add(name)
        documents.append(document)
    source.collection.insert_many(documents)
    refused = source.write(source.statement(f"SELECT _id, n, ref, name FROM source {order}", "id, n, ref, name"))
    assert refused.keys() == expected
    assert source.target() == sorted(set(range(len(documents))) - expected)


@pytest.mark.parametrize("batch_size", [1, 40])
def test_a_target_behind_another_server(source, postgres, database, batch_size):
    """In batches the other server's errors come late, so that the document at hand is another one."""
    try:
        source.connection.execute("CREATE EXTENSION postgres_fdw")
    except errors.UndefinedFile:
        pytest.skip("postgres_fdw is not installed")
    where = postgres.conninfo(database)
    source.connection.execute(
        f"""CREATE TABLE parent (id int PRIMARY KEY);
            INSERT INTO parent VALUES (1);
            CREATE TABLE stored (id int PRIMARY KEY, n int NOT NULL CHECK (n < 1000) REFERENCES parent);
            CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw
                OPTIONS (host '{where["host"]}', port '{where["port"]}', dbname '{database}', batch_size '{batch_size}');
            CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere OPTIONS (user '{where["user"]}');
            CREATE FOREIGN TABLE target (id int, n int) SERVER elsewhere OPTIONS (table_name 'stored')"""
    )
    documents = numbered(300, BAD, {"n": 1000})
    documents[100]["n"] = None
    documents[200]["n"] = 2
    source.collection.insert_many(documents)
    refused = source.write()
    assert {number: row["sqlstate"] for number, row in refused.items()} == dict.fromkeys(BAD, "23514") | {
        100: "23502",
        200: "23503",
    }
    assert set(source.target()) == set(range(300)) - BAD - {100, 200}


def test_calls_within_calls_are_refused(source):
    source.collection.insert_many(numbered(5))
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int)")
    source.connection.execute(
        "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM mongoferry.write_chunk('source_table', 'INSERT INTO target SELECT 1', NULL); RETURN NEW; END $$"
    )
    source.connection.execute("CREATE TRIGGER again BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION again()")
    with pytest.raises(errors.ObjectInUse, match="cannot be called while it is running"):
        source.write()
    source.connection.execute("DROP TRIGGER again ON target")
    assert source.write() == {}


def test_statements_stay_prepared_and_follow_changes(source):
    """More statements than are kept, each with its own text, before and after the table has changed."""
    source.collection.insert_many(numbered(20, {3}, {"n": None}))
    source.connection.execute("CREATE TABLE target (id int, n int NOT NULL)")
    for number in range(40):
        refused = source.write(source.statement(f"SELECT _id + {1000 * number}, n FROM source"))
        assert refused.keys() == {3}
    assert len(source.target()) == 40 * 19
    statement = source.statement("SELECT _id, n FROM source")
    assert source.write(statement).keys() == {3}
    source.connection.execute("TRUNCATE target; ALTER TABLE target ALTER n DROP NOT NULL, ADD CHECK (id <> 5)")
    assert source.write(statement).keys() == {5}
    source.connection.execute("DROP TABLE target; CREATE TABLE target (id text, n text)")
    assert source.write(statement) == {}
    source.connection.execute("CREATE SCHEMA first; CREATE TABLE first.target (id int, n int)")
    source.connection.execute("SET search_path = first, public")
    assert source.write(statement) == {}
    assert source.connection.execute("SELECT count(*) FROM first.target").fetchone() == (20,)


def test_documents_larger_than_a_slice(file_source):
    """More bytes than are held at once, with bad documents on both sides of the limit."""
    documents = [{"_id": number, "n": 1, "filler": "x" * 3_000_000} for number in range(14)]
    for number in (0, 5, 6, 13):
        documents[number]["n"] = None
    source = file_source(documents)
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)")
    refused = source.write()
    assert refused.keys() == {0, 5, 6, 13}
    assert set(source.target()) == set(range(14)) - {0, 5, 6, 13}
    assert source.totals()["documents"] == 14


@pytest.mark.parametrize("partitioned", ["", "PARTITION BY HASH (id)"])
def test_documents_that_refer_to_later_ones(source, partitioned):
    """Parents may come after their children, in chains, as they may where nothing is refused; only orphans are refused, and
    the descendants of what is."""
    count = 200
    documents = [{"_id": i, "n": i + 1 if i % 10 != 9 else None, "name": "x"} for i in range(count)]  # chains of ten
    documents[55]["name"] = None  # and so 50 … 54 have none to refer to
    documents[129]["n"] = 1000  # nor have 120 … 128
    source.collection.insert_many(documents)
    source.connection.execute(
        f"CREATE TABLE target (id int PRIMARY KEY, n int CONSTRAINT up REFERENCES target, name text NOT NULL) {partitioned}"
    )
    if partitioned:
        for part in range(3):
            source.connection.execute(
                f"CREATE TABLE part_{part} PARTITION OF target FOR VALUES WITH (MODULUS 3, REMAINDER {part})"
            )
    statement = source.statement("SELECT _id, n, name FROM source", "id, n, name")
    refused = source.write(statement)
    assert refused.keys() == set(range(50, 56)) | set(range(120, 130))
    assert {number for number, row in refused.items() if row["sqlstate"] == "23503"} == refused.keys() - {55}
    assert set(source.target()) == set(range(count)) - refused.keys()
    totals = source.totals()
    assert (totals["documents"], totals["rows_written"], totals["refused"]) == (count, count - 16, 16)
    source.connection.execute("TRUNCATE target")
    assert len(source.write(statement, max_refused=4)) == 5
    assert source.target() == []


def test_a_chain_of_thousands(source):
    """Every document refers to the next one, and the first is bad for another reason."""
    count = 3000
    source.collection.insert_many([{"_id": i, "n": i + 1 if i < count - 1 else None, "name": None if i == 0 else "x"} for i in range(count)])
    source.connection.execute("CREATE TABLE target (id int PRIMARY KEY, n int REFERENCES target, name text NOT NULL)")
    start = time.monotonic()
    assert source.write(source.statement("SELECT _id, n, name FROM source", "id, n, name")).keys() == {0}
    assert time.monotonic() - start < 10
    assert source.target() == list(range(1, count))

"""read_documents(), count_documents() and split_source(): the documents behind a foreign table, and its chunks."""

import socket
import time

import bson
import psycopg
import pytest
from bson import Int64, MinKey


def bounds(**members):
    return bson.encode(members)


def raw(*documents):
    return bounds(kind="raw", documents=b"".join(bson.encode(document) for document in documents))


def read(connection, chunk=None, maximum=None, table="numbers"):
    return connection.execute(
        "SELECT source_id, document, raw FROM mongoferry.read_documents(%s, %s, %s)", [table, chunk, maximum]
    ).fetchall()


def count(connection, chunk=None, table="numbers"):
    return connection.execute("SELECT mongoferry.count_documents(%s, %s)", [table, chunk]).fetchone()[0]


@pytest.fixture(params=["live", "file"])
def numbers(request, connection):
    """Ten documents behind a table that shows little of them."""
    documents = [{"_id": i, "n": i * 10, "secret": f"s{i}", "items": [1, 2, 3]} for i in range(10)]
    if request.param == "live":
        request.getfixturevalue("mongo").numbers.insert_many(documents)
        server = request.getfixturevalue("live_server")
    else:
        folder = request.getfixturevalue("write_dump")({"numbers": documents})
        connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
        server = "dump"
    connection.execute(f"CREATE FOREIGN TABLE numbers (n int) SERVER {server}")
    return connection


def test_reads_whole_documents(numbers):
    rows = sorted(read(numbers), key=lambda row: row[0])
    assert [row[0] for row in rows] == list(range(10))
    assert rows[3][1] == {"_id": 3, "n": 30, "secret": "s3", "items": [1, 2, 3]}
    assert bson.decode(rows[3][2]) == {"_id": 3, "n": 30, "secret": "s3", "items": [1, 2, 3]}


@pytest.mark.parametrize("maximum, expected", [(0, 0), (1, 1), (4, 4), (10, 10), (11, 10), (None, 10)])
def test_maximum(numbers, maximum, expected):
    assert len(read(numbers, None, maximum)) == expected
    assert len(read(numbers, raw(*({"_id": i} for i in range(10))), maximum)) == expected
    # those that are passed over do not count
    excepted = bounds(kind="all", **{"except": [0, 1, 2, 3]})
    assert len(read(numbers, excepted, maximum)) == min(expected, 6)


def test_negative_maximum(numbers):
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="must not be negative, but is -1"):
        read(numbers, None, -1)


def test_stops_early_and_reads_again(numbers):
    for _ in range(3):
        assert len(numbers.execute("SELECT (mongoferry.read_documents('numbers', NULL)).raw LIMIT 2").fetchall()) == 2
    assert count(numbers, raw({"_id": 1})) == 1
    assert numbers.execute("SELECT count(*) FROM mongoferry.get_connections() WHERE in_use").fetchone()[0] == 0


def test_an_error_between_two_documents(numbers):
    with pytest.raises(psycopg.errors.DivisionByZero):
        numbers.execute("SELECT 1 / (5 - (source_id)::int) FROM mongoferry.read_documents('numbers', NULL)")
    with pytest.raises(psycopg.errors.DivisionByZero):
        numbers.execute(
            "SELECT 1 / (5 - (r).source_id::int) FROM (SELECT mongoferry.read_documents('numbers', NULL) AS r OFFSET 0) x"
        )
    assert numbers.execute("SELECT count(*) FROM mongoferry.get_connections() WHERE in_use").fetchone()[0] == 0
    assert len(read(numbers)) == 10


def test_null_source(numbers):
    assert read(numbers, table=None) == []
    assert count(numbers, table=None) is None
    assert numbers.execute("SELECT * FROM mongoferry.split_source(NULL, 10)").fetchall() == []


def test_given_documents_are_told_as_they_are(numbers):
    sent = {"_id": "a\0b", "text\u00e9": "x\0y", "nested": {"z\u0000"[:1]: MinKey()}, "big": Int64(2**60)}
    [(source_id, document, stored)] = read(numbers, raw(sent))
    assert source_id == "a\ufffdb"
    assert document["text\u00e9"] == "x\ufffdy" and document["nested"] == {"z": {"$minKey": 1}}
    assert document["big"] == 2**60
    assert bytes(stored) == bson.encode(sent)


def test_what_json_cannot_hold(numbers):
    corrupt = bytearray(bson.encode({"_id": 7, "n": 5, "s": "abc"}))
    corrupt[corrupt.index(b"\x02s\0")] = 0x77  # no such type
    bad_text = bson.encode({"_id": 8, "s": "abc"}).replace(b"abc", b"\xff\xfe\xfd")
    deep = {}
    for _ in range(250):
        deep = {"d": deep}
    deep = bson.encode({"_id": 9, "d": deep})
    without_id = bson.encode({"n": 1})
    chunk = bounds(kind="raw", documents=bytes(corrupt) + bad_text + deep + without_id)
    rows = read(numbers, chunk)
    assert [(row[0], row[1]) for row in rows] == [(7, None), (8, None), (9, None), (None, {"n": 1})]
    assert [bytes(row[2]) for row in rows] == [bytes(corrupt), bad_text, deep, without_id]
    assert count(numbers, chunk) == 4


def test_counts_given_documents_and_those_passed_over(numbers):
    assert count(numbers, raw()) == 0
    assert count(numbers, raw({"_id": 1}, {"_id": 2})) == 2
    assert count(numbers, bounds(kind="raw", documents=bson.encode({"_id": 1}), **{"except": [1]})) == 0
    assert count(numbers, bounds(kind="all", **{"except": [1, 2, 77]})) == 8


@pytest.mark.parametrize("chunk", [b"", b"junk", bounds(kind="none"), bounds(kind="list")])
def test_bounds_that_are_none(numbers, chunk):
    for call in [read, count]:
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="invalid bounds of a chunk"):
            call(numbers, chunk)


CALLS = [
    "SELECT * FROM mongoferry.read_documents({}, NULL)",
    "SELECT mongoferry.count_documents({})",
    "SELECT * FROM mongoferry.split_source({}, 10)",
]


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_source(connection, call):
    connection.execute("CREATE TABLE heap (n int)")
    connection.execute("CREATE VIEW seen AS SELECT 1 AS n")
    connection.execute("CREATE FOREIGN DATA WRAPPER nothing")
    connection.execute("CREATE SERVER empty FOREIGN DATA WRAPPER nothing")
    connection.execute("CREATE FOREIGN TABLE elsewhere (n int) SERVER empty")
    for table in ["heap", "seen", "elsewhere", "pg_class"]:
        with pytest.raises(psycopg.errors.WrongObjectType, match=f'"{table}" is not a foreign table of mongoferry'):
            connection.execute(call.format(f"'{table}'"))
    with pytest.raises(psycopg.errors.UndefinedTable, match="relation with OID 4000000000 does not exist"):
        connection.execute(call.format("4000000000::oid::regclass"))


def test_a_wrapper_of_another_name_is_ours_too(connection, live_server, mongo, mongo_server):
    mongo.numbers.insert_one({"_id": 1})
    connection.execute(
        "CREATE FOREIGN DATA WRAPPER mine HANDLER mongoferry.mongoferry_handler VALIDATOR mongoferry.mongoferry_validator"
    )
    connection.execute(
        f"CREATE SERVER here FOREIGN DATA WRAPPER mine OPTIONS (uri '{mongo_server.uri}', database '{mongo.name}')"
    )
    connection.execute("CREATE FOREIGN TABLE numbers (n int) SERVER here")
    assert len(read(connection)) == 1


@pytest.mark.parametrize("call", CALLS)
def test_rights(numbers, connect, ordinary_role, call):
    query = call.format("'numbers'")
    other = connect(ordinary_role)
    server = numbers.execute(
        "SELECT srvname FROM pg_foreign_server s JOIN pg_foreign_table t ON t.ftserver = s.oid"
    ).fetchone()[0]
    numbers.execute(f"REVOKE ALL ON FOREIGN SERVER {server} FROM PUBLIC")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for foreign table numbers"):
        other.execute(query)
    # a right on a column is not one on the documents
    numbers.execute(f"GRANT SELECT (n) ON numbers TO {ordinary_role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for foreign table numbers"):
        other.execute(query)
    # the table shows only some of a document
    numbers.execute(f"GRANT SELECT ON numbers TO {ordinary_role}")
    if "count" not in call:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="whole documents") as caught:
            other.execute(query)
        assert "USAGE on foreign server" in caught.value.diag.message_hint
        numbers.execute(f"GRANT USAGE ON FOREIGN SERVER {server} TO {ordinary_role}")
    other.execute(query)
    numbers.execute(f"REVOKE ALL ON numbers FROM {ordinary_role}")
    numbers.execute(f"ALTER TABLE numbers OWNER TO {ordinary_role}")
    other.execute(query)


@pytest.mark.parametrize("chunk_size", [0, -1])
def test_chunk_size(numbers, chunk_size):
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="chunk size must be at least 1"):
        numbers.execute("SELECT * FROM mongoferry.split_source('numbers', %s)", [chunk_size])


@pytest.mark.parametrize("call", [*CALLS, "SELECT mongoferry.count_documents({}, '\\x%s')" % bounds(kind="ids", min=1).hex()])
def test_cancelled_while_the_server_is_silent(connection, call):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection.execute(
            f"CREATE SERVER silent FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://127.0.0.1:{silent.getsockname()[1]}/x')"
        )
        connection.execute("CREATE FOREIGN TABLE numbers (n int) SERVER silent")
        connection.execute("SET statement_timeout = 300")
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(call.format("'numbers'"))
        assert time.monotonic() - begun < 2


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("compressed", [False, True])
def test_cancelled_while_a_long_file_is_read(connection, write_file, call, compressed):
    content = b"".join(bson.encode({"_id": i, "text": "x" * 50}) for i in range(1000)) * 1500
    path = write_file("numbers.bson.gz" if compressed else "numbers.bson", content, compressed=compressed)
    connection.execute(f"CREATE SERVER long FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
    connection.execute("CREATE FOREIGN TABLE numbers (n int) SERVER long")
    connection.execute("SET statement_timeout = 30")
    begun = time.monotonic()
    try:
        connection.execute(call.format("'numbers'"))
    except psycopg.errors.QueryCanceled:
        pass
    else:
        assert "read" not in call  # the others may be that quick: a split samples, and a count skims
    assert time.monotonic() - begun < 2

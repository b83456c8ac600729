"""Pushing a condition down never changes an answer.

A table of conditions over documents with every BSON type in every field. Each condition runs with pushdown on and off;
the rows must be the same, and where a filter is expected one must have been sent. on_mismatch 'null' is set, so that
documents which do not fit a column take part instead of stopping the scan.
"""

import datetime
import uuid

import pytest
from bson import (
    Binary,
    Code,
    DatetimeMS,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)

OID = ObjectId("507f1f77bcf86cd799439011")
UTC = datetime.timezone.utc

VALUES = [
    None,
    *(float(f) for f in (0, 5, 5.5, 0.1, 12.5, -1, 1e300, 1e23)),
    float("nan"),
    float("inf"),
    float("-inf"),
    -0.0,
    0.30000000000000004,
    *(0, 5, 6, -1, 2**31 - 1),
    *(Int64(i) for i in (5, 2**53, 2**53 + 1, -(2**63), 2**63 - 1)),
    *(Decimal128(d) for d in ("5", "5.0", "0.1", "12.5", "12.50", "NaN", "Infinity", "1E+40", "9007199254740993")),
    "Ada", "ada", "", "5", "12", "true", "2024-02-29T12:00:00.123Z", "2024-02-29 12:00:00.123+00", "NUL\0inside", "Köln",
    "507f1f77bcf86cd799439011",
    True, False,
    OID, ObjectId("507f1f77bcf86cd799439012"), ObjectId("65e072c00000000000000000"),
    datetime.datetime(2024, 2, 29, 12, 0, 0, 123000, UTC),
    datetime.datetime(2024, 2, 29, 12, 0, 0, 124000, UTC),
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999000, UTC),
    DatetimeMS(253402300799999),
    Timestamp(1709208000, 1),
    Binary(uuid.UUID(int=5).bytes, 4), Binary(b"\x00\xff", 0),
    Regex("^a", "i"), Code("Ada"), MinKey(), MaxKey(),
    {"a": 5}, {}, [], [5], ["Ada"], [None], [[5]], [True], {"0": "Ada"},
]

COLUMNS = {
    "small": "int2", "n": "int", "big": "int8", "d": "float8", "price": "numeric", "flag": "bool",
    "at": "timestamptz", "utc": "timestamp", "name": "text", "vname": "varchar", "oid": "mongoferry.objectid",
    "nested": "text", "loose": "int",
}

NUMBERS = ["5", "0", "-1", "2147483647"]
SENT = [
    *(f"{c} {op} {v}" for c in ("n", "big", "d", "price") for op in ("=", "<", "<=", ">", ">=") for v in NUMBERS),
    *(f"price {op} {v}" for op in ("=", "<", "<=", ">", ">=") for v in ("0.1", "12.5", "1e23", "9007199254740993", "0.30000000000000004")),
    *(f"d {op} {v}::float8" for op in ("=", "<", "<=", ">", ">=") for v in ("0.1", "'infinity'", "'-infinity'", "9007199254740992")),
    "small = 5::int2", "big = 9007199254740993", "big > 9007199254740992", "5 >= n",
    "n IN (5, 6, NULL)", "n = ANY ('{0,-1}')", "n BETWEEN 0 AND 6", "n = 5 OR big = 5", "n = 5 AND (d = 5 OR price > 1)",
    "flag", "NOT flag", "flag = true", "flag < true", "flag OR n = 5",
    *(f"{c} {op} '2024-02-29 12:00:00.123{z}'" for c, z in (("at", "Z"), ("utc", "")) for op in ("=", "<", "<=", ">", ">=")),
    *(f"at {op} '2024-02-29 12:00:00.1235Z'" for op in ("=", "<", "<=", ">", ">=")),
    *(f"at {op} '1969-12-31 23:59:59.9985Z'" for op in ("<", "<=", ">", ">=")),
    *(f"name = {v!r}" for v in ("Ada", "", "5", "5.0", "12.50", "NaN", "true", "1E+40", "2024-02-29T12:00:00.123Z", "Köln",
                                 "507f1f77bcf86cd799439011", "00000000-0000-0000-0000-000000000005", "/^a/i", "{}", "[]", "[5]",
                                 '["Ada"]', '{"a": 5}', '{"$minKey": 1}', "-1", "-0", "Infinity", "nothing")),
    "vname = 'Ada'", "n = 5 OR n = 6 OR flag", "vname IN ('Ada', '5', NULL)", "nested = 'Ada'", "name = 'Ada' COLLATE \"C\"",
    *(f"oid {op} '{OID}'" for op in ("=", "<", "<=", ">", ">=")),
    f"oid IN ('{OID}', '507f1f77bcf86cd799439012')",
]
KEPT = [
    "n <> 5", "n IS NULL", "n IS NOT NULL", "NOT (n = 5)", "n - 1 = 4", "n = 5 OR n IS NULL", "name > 'A'", "name LIKE 'A%'", "loose = 5",
    "d = 'NaN'", "d > 'NaN'", "d >= 'NaN'", "price = 'NaN'", "price < 'NaN'", "price < 'Infinity'", "at < 'infinity'",
    "n NOT IN (5, 6)", "price = round(d::numeric)", "flag IS NOT TRUE",
]


@pytest.fixture
def tables(mongo, live_server, connection):
    documents = []
    for number, value in enumerate(VALUES):
        document = {"_id": number, **{c: value for c in COLUMNS if c != "nested"}, "a": {"nested": value}}
        documents.append(document)
    documents.append({"_id": len(VALUES)})  # everything missing
    mongo.things.insert_many(documents)
    columns = ", ".join(
        f"{name} {type_}"
        + {"nested": " OPTIONS (field 'a.nested')", "loose": " OPTIONS (coerce_strings 'true')"}.get(name, "")
        for name, type_ in COLUMNS.items()
    )
    for table, pushdown in (("pushed", "on"), ("kept", "off")):
        connection.execute(
            f"CREATE FOREIGN TABLE {table} (_id int, {columns}) SERVER {live_server}"
            f" OPTIONS (collection 'things', pushdown '{pushdown}', on_mismatch 'null')"
        )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def plan(connection, query):
    return "\n".join(line for (line,) in connection.execute("EXPLAIN " + query))


def test_conditions_give_the_same_rows_with_and_without_pushdown(tables):
    differences = []
    for condition in SENT + KEPT:
        pushed, kept = (
            tables.execute(f"SELECT _id FROM {table} WHERE {condition} ORDER BY 1").fetchall() for table in ("pushed", "kept")
        )
        if pushed != kept:
            differences.append(f"{condition}: {set(kept) ^ set(pushed)}")
    assert not differences, "\n".join(differences)


def test_conditions_are_sent_or_kept_as_the_rules_say(tables):
    for condition in SENT + KEPT:
        text = plan(tables, "SELECT _id FROM pushed WHERE " + condition)
        assert ('"filter"' in text) == (condition in SENT), f"{condition}\n{text}"
        assert '"filter"' not in plan(tables, "SELECT _id FROM kept WHERE " + condition)


def test_a_sent_condition_saves_documents(tables):
    """The filter does something: fewer documents come over than the collection has."""
    text = plan(tables, "(ANALYZE) SELECT _id FROM pushed WHERE n = 6")
    assert "Documents Received: 1" in text, text
    text = plan(tables, "(ANALYZE) SELECT _id FROM kept WHERE n = 6")
    assert f"Documents Received: {len(VALUES) + 1}" in text, text


def test_a_condition_in_a_join_or_prepared_statement(tables):
    query = "SELECT count(*) FROM {0} a JOIN {0} b ON a._id = b._id WHERE a.n = 5 AND b.d >= 5"
    assert tables.execute(query.format("pushed")).fetchone() == tables.execute(query.format("kept")).fetchone()
    for table in ("pushed", "kept"):
        tables.execute(f"PREPARE {table}_query(int) AS SELECT _id FROM {table} WHERE n = $1 ORDER BY 1")
    for _ in range(7):  # beyond the switch to a generic plan
        for value in (5, 6, None):
            argument = "NULL" if value is None else value
            rows = [tables.execute(f"EXECUTE {t}_query({argument})").fetchall() for t in ("pushed", "kept")]
            assert rows[0] == rows[1]
            assert bool(rows[0]) == (value is not None)

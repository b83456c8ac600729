"""Conditions that a scan checks while it decodes rows: the rows are those that the executor would have kept.

Most tests read one collection through two foreign tables, with pushdown on and off: off leaves every condition to the
executor. EXPLAIN (VERBOSE) of the first names the columns that are decoded before the others, if there are any.
"""

import datetime
import re
import threading
import time
import uuid

import psycopg
import pytest
from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from psycopg import errors

from harness.dumps import bson_bytes

OID = ObjectId("507f1f77bcf86cd799439011")
UTC = datetime.timezone.utc
UUID = uuid.UUID(int=5)
MISFIT = psycopg.errors.lookup("2200G")

VALUES = [
    None, 0, 5, -1, 2**31 - 1, Int64(5), Int64(2**53 + 1), 5.0, 5.5, 0.1, float("nan"), float("inf"), -0.0,
    Decimal128("5"), Decimal128("12.50"), Decimal128("NaN"), True, False, "", "5", "Ada", "ada", "Köln", "12.5", "true",
    "2024-02-29T12:00:00.123Z", "10.0.0.1", "1 day", "happy", "a", "NUL\0inside", str(UUID), str(OID), OID,
    datetime.datetime(2024, 2, 29, 12, 0, 0, 123000, UTC), DatetimeMS(2**60), Timestamp(1709208000, 1),
    Binary(UUID.bytes, 4), Binary(b"\0\xff", 0), Regex("^a", "i"), Code("Ada"), MinKey(), MaxKey(), {"a": 5, "b": "x"}, {}, [], [5],
    ["Ada", None], [None], [[5]], [[1, 2], [3, 4]], [{"a": 5, "b": "x"}],
]

# column type → conditions on such a column c
CONDITIONS = {
    "int2": ["c = 5", "c <> 5::int2", "c BETWEEN -1 AND 5"],
    "int": ["c = 5", "c < 5", "c IN (5, -1, NULL)", "c <> ALL ('{5}')", "NOT c = 5", "c IS NULL", "c IS NOT NULL", "c IS DISTINCT FROM 5",
            "c % 2 = 1", "abs(c) = 1", "c = 5 OR c IS NULL", "CASE WHEN c > 0 THEN c < 6 ELSE c IS NULL END", "coalesce(c, 5) = 5",
            "nullif(c, 5) IS NULL", "greatest(c, 3) = 5", "c::text = '5'", "c::numeric = 5.0", "(c, c) > (4, 4)"],
    "int8": ["c > 4", "c = 9007199254740993"],
    "float4": ["c = 5", "c = 'NaN'"],
    "float8": ["c > 5", "c = 'NaN'", "c = 0"],
    "numeric": ["c = 5", "c > 12", "c = 'NaN'"],
    "numeric(6,1)": ["c = 12.5", "c < 5.05"],
    "bool": ["c", "NOT c", "c IS TRUE", "c IS NOT TRUE", "c IS UNKNOWN", "c = true OR c IS NULL"],
    "text": ["c = 'Ada'", "c LIKE 'A%'", "c ILIKE 'a%'", "c ~ '^[Aa]d'", "c >= 'K'", "lower(c) = 'ada'", "length(c) = 3", "c = '5'",
             "c || 'x' = 'Adax'", "c IS NULL", "c = ''", "c SIMILAR TO 'A%'"],
    "varchar(5)": ["c = 'Ada'", "c > 'b'"],
    "char(4)": ["c = 'Ada'"],
    "bytea": ["c = '\\x00ff'", "length(c) = 2"],
    "uuid": [f"c = '{UUID}'", "c IS NULL"],
    "mongoferry.objectid": [f"c = '{OID}'", f"c <> '{OID}'", "c > '500000000000000000000000'"],
    "timestamptz": ["c > '2024-01-01'", "date_trunc('day', c) = '2024-02-29'", "extract(hour FROM c) = 12", "c < now()"],
    "timestamp": ["c > '2024-01-01'", "c IS NULL"],
    "date": ["c = '2024-02-29'", "c < current_date"],
    "interval": ["c = '1 day'"],
    "inet": ["c = '10.0.0.1'", "c << '10.0.0.0/8'"],
    "mood": ["c = 'happy'", "c > 'sad'"],
    "small": ["c = 5", "c IS NULL"],
    "filled": ["c = 5", "c IS NULL"],
    "jsonb": ["c = '5'", "c @> '{\"a\": 5}'", "c ->> 'b' = 'x'", "c ? 'Ada'", "c IS NULL", "jsonb_typeof(c) = 'array'", "c['a'] = '5'"],
    "int[]": ["c = '{5}'", "5 = ANY (c)", "c[1] = 5", "c IS NULL", "cardinality(c) = 0"],
    "text[]": ["c @> '{Ada}'", "c && '{Ada,5}'", "array_length(c, 1) = 2"],
    "pair": ["(c).a = 5", "c IS NULL", "(c).b LIKE 'x%'"],
}
# What does more than compute, or looks at more than columns, is left to the executor.
LEFT = {
    "int": ["slow(c) = 5", "declared_expensive(c) = 5", "in_sql(c) = 5", "random() < 2 AND c = c + (random() * 0)::int",
            "c IN (SELECT n FROM numbers WHERE n > 5) OR c IS NULL",
            "EXISTS (SELECT 1 FROM numbers WHERE n = c + 1) OR c IS NULL", "c::small = 5", "t IS NOT NULL", "t IS NOT NULL OR c = 5", "t.tableoid > 0 OR c = 5"],
}

SCHEMA = """
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN small AS int CHECK (VALUE < 100);
    CREATE DOMAIN filled AS int NOT NULL DEFAULT 0;
    CREATE TABLE numbers AS SELECT generate_series(0, 9) AS n;
    CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE COST 1 AS 'BEGIN RETURN n; END';
    CREATE FUNCTION declared_expensive(n int) RETURNS int LANGUAGE internal IMMUTABLE STRICT COST 1000 AS 'int4up';
    CREATE FUNCTION in_sql(n int) RETURNS int LANGUAGE sql IMMUTABLE COST 1 SET work_mem = '1MB' AS 'SELECT n';
    SET TimeZone = 'UTC';
"""


@pytest.fixture
def schema(connection):
    connection.execute(SCHEMA)
    return connection


@pytest.fixture
def make_tables(schema, write_file):
    """A function that makes the tables `kept` (pushdown 'off') and `early` over these documents in a .bson file."""
    count = 0

    def make(documents, columns, options="", compressed=False):
        nonlocal count
        count += 1
        name = f"things{count}.bson" + (".gz" if compressed else "")
        path = write_file(name, bson_bytes(documents), compressed=compressed)
        schema.execute(f"CREATE SERVER dump{count} FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
        for table, pushdown in (("early", "on"), ("kept", "off")):
            schema.execute(f"DROP FOREIGN TABLE IF EXISTS {table}")
            schema.execute(f"CREATE FOREIGN TABLE {table} ({columns}) SERVER dump{count} OPTIONS (pushdown '{pushdown}'"
                           f"{', ' if options else ''}{options})")
        return schema

    return make


def explain(connection, query, options="VERBOSE, COSTS OFF"):
    return "\n".join(line for (line,) in connection.execute(f"EXPLAIN ({options}) " + query))


def decoded_first(connection, query):
    """The columns that are decoded before the others."""
    return re.findall(r"Decoded Before Filter: (.*)", explain(connection, query))


def both(connection, query):
    """The rows of a query of {table}, the same for both tables."""
    early, kept = (connection.execute(query.replace("{table}", table)).fetchall() for table in ("early", "kept"))
    assert early == kept, query
    return early


def warnings(connection, query):
    """The warnings of a query, its table's name replaced, with the numbers that they tell."""
    told = []

    def take(notice):
        told.append((notice.message_primary, notice.message_detail))

    connection.add_notice_handler(take)
    try:
        rows = connection.execute(query).fetchall()
    finally:
        connection.remove_notice_handler(take)
    return told, rows


# --- all types ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column_type", CONDITIONS)
def test_rows_are_the_same_for_each_type_of_column(make_tables, column_type):
    """Before, at and behind the column in the document stand others that are wanted too."""
    documents = [{"before": i, "c": value, "_id": i, "behind": str(i), "inner": {"x": value}} for i, value in enumerate(VALUES)]
    documents += [{"_id": len(VALUES), "before": 1}, {"c": 5, "before": "last"}]
    connection = make_tables(documents, f"_id int, before text, c {column_type}, behind text, x {column_type} OPTIONS (field 'inner.x'),"
                                        " document jsonb OPTIONS (field '$$ROOT')", "on_mismatch 'null'")
    seen = set()
    for condition in CONDITIONS[column_type]:
        rows = both(connection, f"SELECT _id, before, c::text, behind, x::text, document FROM {{table}} WHERE {condition}")
        seen.update(str(row) for row in rows)
        both(connection, f"SELECT _id, behind FROM {{table}} WHERE NOT ({condition}) OR before = '3'")
        both(connection, f"SELECT count(*), count(before) FROM {{table}} WHERE {condition} AND before < '3'")
        assert decoded_first(connection, f"SELECT * FROM early WHERE {condition}") == ["c"], condition
        assert decoded_first(connection, f"SELECT * FROM kept WHERE {condition}") == []
        removed = [re.findall("Rows Removed by Filter: (.*)", explain(connection, f"SELECT * FROM {table} WHERE {condition}",
                                                                        "ANALYZE, COSTS OFF")) for table in ("early", "kept")]
        assert removed[0] == removed[1], condition
    assert seen, "no condition holds for any row"


@pytest.mark.parametrize("condition", LEFT["int"])
def test_what_is_left_to_the_executor(make_tables, condition):
    connection = make_tables([{"_id": i, "c": i % 10, "d": i} for i in range(50)], "_id int, c int, d int")
    query = f"SELECT _id, d FROM {{table}} t WHERE ({condition})"
    assert both(connection, query)
    assert decoded_first(connection, query.replace('{table}', 'early')) == []
    # beside it a simple one is checked early, and the other one still is
    query += " AND d < 20"
    assert 0 < len(both(connection, query)) <= 20
    assert decoded_first(connection, query.replace('{table}', 'early')) == ["d"]
    for table in ("early", "kept"):
        assert "Filter:" in explain(connection, query.replace('{table}', table))


def test_nothing_changes_where_all_columns_are_looked_at(make_tables):
    connection = make_tables([{"c": i} for i in range(20)], "c int, d int")
    assert decoded_first(connection, "SELECT c FROM early WHERE c > 5") == []
    assert decoded_first(connection, "SELECT count(*) FROM early WHERE c > 5 AND d IS NULL") == []
    assert decoded_first(connection, "SELECT * FROM early") == []
    assert len(both(connection, "SELECT c FROM {table} WHERE c > 5")) == 14


def test_expensive_columns_are_decoded_for_rows_that_pass_the_cheap_conditions(make_tables):
    documents = [{"c": i, "j": {"k": i % 3}, "list": [i], "e": str(i)} for i in range(30)]
    connection = make_tables(documents, "e text, j jsonb, list int[], document jsonb OPTIONS (field '$$ROOT'), c int")
    query = "SELECT e FROM {table} WHERE j ->> 'k' = '1' AND document ? 'c' AND list[1] < 25 AND c > 10"
    assert decoded_first(connection, query.replace('{table}', 'early')) == ["c, j, list, document"]
    assert both(connection, query) == [(str(i),) for i in range(11, 25) if i % 3 == 1]


# --- values that are passed over -------------------------------------------------------------------------------------


def test_values_of_rows_that_fail_are_not_looked_at(make_tables):
    documents = [{"bad": "no number", "c": 1, "worse": {}}, {"bad": 7, "c": 2, "worse": 8}, {"bad": 9, "c": 3, "worse": []}]
    connection = make_tables(documents, "bad int, c int, worse int")
    assert connection.execute("SELECT bad, worse FROM early WHERE c = 2").fetchall() == [(7, 8)]
    with pytest.raises(MISFIT) as raised:
        connection.execute("SELECT bad, worse FROM kept WHERE c = 2")
    assert 'column "bad"' in str(raised.value)
    # those of rows that pass are, whether they stand before or behind what the condition looks at
    for condition, column in (("c = 1", "bad"), ("c = 3", "worse")):
        with pytest.raises(MISFIT) as raised:
            connection.execute(f"SELECT bad, worse FROM early WHERE {condition}")
        assert f'column "{column}"' in str(raised.value)
    # and those that the condition looks at
    with pytest.raises(MISFIT):
        connection.execute("SELECT c FROM early WHERE bad = 7")


def test_domains_judge_what_is_looked_at(make_tables):
    documents = [{"c": 1, "s": 500}, {"c": 2, "s": 50, "f": 1}, {"c": 3, "f": None, "s": 1}]
    connection = make_tables(documents, "c int, s small, f filled")
    assert connection.execute("SELECT * FROM early WHERE c = 2").fetchall() == [(2, 50, 1)]
    for condition, error in (("c = 1", errors.CheckViolation), ("c = 3", errors.NotNullViolation), ("s > 0", errors.CheckViolation),
                             ("f = 1", errors.NotNullViolation), ("f IS NULL", errors.NotNullViolation)):
        with pytest.raises(error):
            connection.execute(f"SELECT * FROM early WHERE {condition}")


def test_mismatches_are_counted_for_rows_that_pass(make_tables):
    documents = [{"_id": i, "a": "bad", "c": i if i < 8 else "bad", "b": []} for i in range(10)]
    connection = make_tables(documents, "_id int, a int, c int, b int", "on_mismatch 'null'")
    told, rows = warnings(connection, "SELECT * FROM early WHERE c < 3")
    assert rows == [(i, None, i, None) for i in range(3)]
    assert told == [('8 values of 3 columns of foreign table "early" were read as NULL because they do not fit',
                     '"a" (integer): 3 values, first in document {"_id": 0}\n"c" (integer): 2 values, first in document {"_id": 8}\n'
                     '"b" (integer): 3 values, first in document {"_id": 0}')]
    # with nothing passed over the counts are those of a scan
    told = [warnings(connection, f"SELECT * FROM {table} WHERE _id >= 0")[0] for table in ("early", "kept")]
    assert told[0] and told[0][0][1] == told[1][0][1]


def test_of_duplicate_keys_the_first_counts(make_tables):
    first, second = bson_bytes([{"a": 1, "c": 5}]), bson_bytes([{"c": 6, "a": 2, "z": 3}])
    body = first[4:-1] + second[4:-1] + b"\0"
    connection = make_tables([(len(body) + 4).to_bytes(4, "little") + body], "c int, a int, z int")
    assert both(connection, "SELECT * FROM {table} WHERE c = 5") == [(5, 1, 3)]
    assert both(connection, "SELECT * FROM {table} WHERE c = 6") == []
    assert both(connection, "SELECT * FROM {table} WHERE a = 1 AND z = 3") == [(5, 1, 3)]


def test_nested_paths_and_columns_of_one_field(make_tables):
    documents = [{"a": {"b": {"x": i, "y": str(i)}, "list": [i, {"z": i}]}, "last": i} for i in range(10)]
    connection = make_tables(
        documents, "a jsonb, x int OPTIONS (field 'a.b.x'), again text OPTIONS (field 'a.b.x'), y text OPTIONS (field 'a.b.y'),"
                   " first int OPTIONS (field 'a.list.0'), z int OPTIONS (field 'a.list.1.z'), last int")
    for condition in ("x = 3", "again = '3'", "y = '3'", "first = 3", "z = 3", "last = 3", "a -> 'b' ->> 'y' = '3'",
                      "x = 3 AND z = 3", "first = last AND y = '3'"):
        assert both(connection, f"SELECT x, again, y, first, z, last, a FROM {{table}} WHERE {condition}") == [
            (3, "3", "3", 3, 3, 3, documents[3]["a"])]


# --- unwind ----------------------------------------------------------------------------------------------------------

UNWIND_COLUMNS = """_id int, status text, at int OPTIONS (field '$$INDEX'), sku text OPTIONS (field 'items.sku'),
    qty int OPTIONS (field 'items.qty'), item jsonb OPTIONS (field 'items'), note text, s small OPTIONS (field 'limit')"""
UNWIND_CONDITIONS = [
    ("status = 'paid'", "status"), ("status IS NULL", "status"), ("qty = 2", "qty"), ("qty IS NULL", "qty"), ("sku LIKE 'B%'", "sku"),
    ("at = 1", "at"), ("at IS NULL", "at"), ("status = 'paid' AND qty = 2", "status, qty"), ("status = 'paid' OR qty = 2", "status, qty"),
    ("item ->> 'sku' = 'A'", "item"), ("qty > 1 AND item ? 'sku' AND status IS NOT NULL", "status, qty, item"), ("at + qty = _id", "_id, at, qty"),
    ("s = 5", "s"), ("s IS NULL AND qty > 0", "s, qty"),
]


@pytest.mark.parametrize("outer", ["false", "true"])
def test_unwound_tables(make_tables, outer):
    documents = []
    for i in range(40):
        items = [{"sku": "ABC"[n % 3], "qty": (n + i) % 4, "extra": n} for n in range(i % 5)]
        if len(items) > 2:  # nothing of a row may be seen in the next one
            del items[1]["qty" if i % 2 else "sku"]
        documents.append({"status": ["paid", "open", None][i % 3], "_id": i, "items": items, "note": f"n{i}", "limit": i % 9})
    documents += [{"_id": 40, "status": "paid"}, {"_id": 41, "items": None, "status": "open"}, {"_id": 42, "items": "single"},
                  {"_id": 43, "status": "paid", "items": {"sku": "B", "qty": 2}}, {"_id": 44, "items": [{"qty": "bad"}, 5, None, {"sku": 7}]},
                  {"_id": 45, "items": [{"sku": "B", "qty": 2}], "status": {"odd": 1}, "limit": 500}]
    connection = make_tables(documents, UNWIND_COLUMNS, f"unwind 'items', unwind_outer '{outer}', on_mismatch 'null'")
    everything = both(connection, "SELECT * FROM {table}")
    for condition, columns in UNWIND_CONDITIONS:
        rows = both(connection, f"SELECT * FROM {{table}} WHERE {condition}")
        assert len(rows) < len(everything)
        if outer == "true" or condition != "at IS NULL":
            assert rows, condition
        both(connection, f"SELECT note, sku FROM {{table}} WHERE {condition}")
        both(connection, f"SELECT count(*) FROM {{table}} WHERE {condition}")
        assert decoded_first(connection, f"SELECT * FROM early WHERE {condition}") == [columns]
        removed = [re.findall("Rows Removed by Filter: (.*)", explain(connection, f"SELECT * FROM {table} WHERE {condition}",
                                                                        "ANALYZE, COSTS OFF")) for table in ("early", "kept")]
        assert removed[0] == removed[1] and removed[0], condition


def test_misfits_of_an_unwound_document_are_counted_once(make_tables):
    documents = [{"_id": i, "c": "bad", "d": "bad", "items": [{"q": n if n % 2 else "bad"} for n in range(6)]} for i in range(3)]
    columns = "_id int, c int, d int, q int OPTIONS (field 'items.q')"
    connection = make_tables(documents, columns, "unwind 'items', on_mismatch 'null'")
    told, rows = warnings(connection, "SELECT * FROM early WHERE q IS NOT NULL AND c IS NULL AND _id > 0")
    assert len(rows) == 6
    detail = told[0][1].split("\n")
    assert detail == ['"c" (integer): 3 values, first in document {"_id": 0}', '"d" (integer): 2 values, first in document {"_id": 1}',
                      '"q" (integer): 6 values, first in document {"_id": 1}']
    # d is not looked at where no element passes
    told, rows = warnings(connection, "SELECT _id, d FROM early WHERE q > 100")
    assert rows == [] and [line[:3] for line in told[0][1].split("\n")] == ['"q"']


def test_a_document_without_elements_is_not_judged(make_tables):
    """As without a filter: what gives no row can't be refused."""
    documents = [{"c": "bad", "items": []}, {"c": "bad"}, {"c": 1, "items": [{"q": 1}]}]
    connection = make_tables(documents, "c int, q int OPTIONS (field 'items.q'), e text", "unwind 'items'")
    assert both(connection, "SELECT q, e FROM {table} WHERE c = 1") == [(1, None)]


def test_conditions_on_the_document_are_asked_once_a_document(make_tables):
    """A document that fails is passed over with all its elements, unread: they may be damaged."""
    good = bson_bytes([{"c": 1, "items": [{"q": 1}, {"q": 2}]}])
    damaged = bytearray(bson_bytes([{"c": 2, "items": [{"q": 3}, {"q": 4}]}]))
    damaged[damaged.index(b"\x10q\0") ] = 0x66  # no type of BSON
    connection = make_tables([good, bytes(damaged), good], "c int, q int OPTIONS (field 'items.q'), r int OPTIONS (field 'items.r')",
                             "unwind 'items'")
    assert connection.execute("SELECT q FROM early WHERE c = 1").fetchall() == [(1,), (2,), (1,), (2,)]
    with pytest.raises(errors.DataCorrupted):
        connection.execute("SELECT q FROM kept WHERE c = 1")
    with pytest.raises(errors.DataCorrupted):
        connection.execute("SELECT q FROM early WHERE c = 2")


# --- parameters, rescans, subplans -----------------------------------------------------------------------------------


@pytest.fixture
def numbered(make_tables):
    documents = [{"_id": i, "name": f"name {i}", "c": i % 10, "j": {"k": i}} for i in range(100)]
    return make_tables(documents, "_id int, name text, c int, j jsonb")


def test_parameters_of_prepared_statements(numbered):
    for table in ("early", "kept"):
        numbered.execute(f"PREPARE {table}_query(int, text) AS SELECT * FROM {table} WHERE c = $1 AND name LIKE $2 || '%'")
    for mode in ("force_custom_plan", "force_generic_plan"):
        numbered.execute(f"SET plan_cache_mode = {mode}")
        for arguments, count in (("3, 'name 4'", 1), ("4, 'name'", 10), ("NULL, 'name'", 0), ("5, NULL", 0)):
            early, kept = (numbered.execute(f"EXECUTE {table}_query({arguments})").fetchall() for table in ("early", "kept"))
            assert early == kept and len(early) == count
        assert decoded_first(numbered, "EXECUTE early_query(3, 'x')") == ["name, c"]


@pytest.mark.parametrize("query", [
    "SELECT n, s.* FROM numbers, LATERAL (SELECT _id, name FROM {table} t WHERE t.c = n + 0 ORDER BY _id LIMIT 2) s ORDER BY n, _id",
    "SELECT n, (SELECT count(name) FROM {table} t WHERE t.c = n AND t._id > n * 5) FROM numbers ORDER BY n",
    "SELECT n, (SELECT min(name) FROM {table} t WHERE t.c = n AND j ->> 'k' > '5') FROM numbers ORDER BY n",
    "SELECT * FROM {table} WHERE c = (SELECT max(n) FROM numbers) ORDER BY _id",
    "SELECT * FROM {table} WHERE c > 3 AND _id IN (SELECT n * 7 FROM numbers) ORDER BY _id",
    "SELECT * FROM {table} WHERE c > 3 AND (_id IN (SELECT n * 7 FROM numbers) OR name = 'name 5') ORDER BY _id",
    "SELECT * FROM {table} t WHERE c > 3 AND (SELECT count(*) FROM numbers WHERE n < t.c) > 6 ORDER BY _id",
    "SELECT a._id, b.name FROM {table} a JOIN {table} b ON a._id = b._id + 1 WHERE a.c = 5 AND b.c = 4 ORDER BY 1",
    "SELECT a._id, b.name FROM {table} a LEFT JOIN {table} b ON a._id = b._id AND b.c < 5 WHERE a.c IN (4, 5) ORDER BY 1",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT t._id FROM r JOIN {table} t ON t._id = r.n * 2 WHERE t.c > 1) SELECT n FROM r",
])
def test_rescans(numbered, query):
    for hash_join in ("on", "off"):
        numbered.execute(f"SET enable_hashjoin = {hash_join}; SET enable_mergejoin = {hash_join}; SET enable_material = {hash_join};"
                         f" SET enable_memoize = {hash_join}")
        assert len(both(numbered, query)) > 1 or "RECURSIVE" in query


def test_subplans_are_told_once(numbered):
    query = "SELECT name FROM early WHERE c > 3 AND (_id IN (SELECT n FROM numbers) OR name = 'name 55')"
    text = explain(numbered, query, "ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF")
    assert len(re.findall(r"^ *SubPlan", text, re.M)) == 1, text
    assert "Decoded Before Filter: c" in text
    assert numbered.execute(query).fetchall() == [(f"name {i}",) for i in (*range(4, 10), 55)]


def test_cursors_and_limits_leave_a_scan_halfway(numbered):
    with numbered.transaction():
        numbered.execute("DECLARE few CURSOR FOR SELECT name FROM early WHERE c = 7")
        assert numbered.execute("FETCH 2 FROM few").fetchall() == [("name 7",), ("name 17",)]
        assert numbered.execute("FETCH 1 FROM few").fetchall() == [("name 27",)]
    assert both(numbered, "SELECT name FROM {table} WHERE c = 7 LIMIT 2 OFFSET 3") == [("name 37",), ("name 47",)]


# --- what may see which rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy, columns", [
    ("shown", "n, shown"),  # both early, in their order
    ("slow(level) = 1", None),  # the policy's condition is left to the executor, so what the user asks is too
    ("j ->> 'open' = 'yes'", "n, j"),  # the policy's column is the more expensive one
])
def test_row_security_comes_first(schema, write_file, ordinary_role, policy, columns):
    """A foreign table as a partition of a table with row security: the policy's condition is of a lower level."""
    documents = [{"n": n, "shown": n > 1, "level": int(n > 1), "j": {"open": "yes" if n > 1 else "no"}, "name": f"n{n}"} for n in range(5)]
    path = write_file("things.bson", bson_bytes(documents))
    schema.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
    for table, pushdown in (("early", "on"), ("kept", "off")):
        schema.execute(f"""
            CREATE TABLE {table} (n int, shown bool, level int, j jsonb, name text) PARTITION BY RANGE (n);
            CREATE FOREIGN TABLE {table}_part PARTITION OF {table} DEFAULT SERVER dump OPTIONS (pushdown '{pushdown}');
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
            CREATE POLICY barrier ON {table} USING ({policy});
            GRANT SELECT ON {table} TO {ordinary_role}""")
    schema.execute(f"SET ROLE {ordinary_role}")
    # 10 / n raises an error for the hidden n = 0, and would tell that it is there
    query = "SELECT name FROM {table} WHERE 10 / n > 2"
    assert both(schema, query) == [("n2",), ("n3",)]
    assert decoded_first(schema, query.replace("{table}", "early")) == ([columns] if columns else [])
    # what leaks nothing may come first
    query = "SELECT name FROM {table} WHERE n = 3"
    assert both(schema, query) == [("n3",)]
    assert "n" in decoded_first(schema, query.replace("{table}", "early"))[0].split(", ")


def test_conditions_left_to_the_executor_see_rows_that_pass_the_others(make_tables):
    connection = make_tables([{"c": i, "d": i} for i in range(10)], "c int, d int")
    connection.execute("CREATE FUNCTION tell(n int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', n; RETURN n < 5; END'")
    told, rows = warnings(connection, "SELECT d FROM early WHERE tell(c) AND d > 2")
    assert rows == [(3,), (4,)]
    assert [message for message, _ in told] == [str(n) for n in range(3, 10)]


def until_one_waits(connection):
    """For a lock, for half a minute at most."""
    for _ in range(600):
        if connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:
            break
        time.sleep(0.05)


def test_rows_that_are_checked_again_after_a_lock(make_tables, connect):
    """EvalPlanQual: a row of a local table changes under a statement that joins it with a foreign table."""
    connection = make_tables([{"_id": i, "c": i % 2, "name": f"name {i}"} for i in range(10)], "_id int, c int, name text")
    connection.execute("CREATE TABLE counted (id int, total int); INSERT INTO counted SELECT i, 0 FROM generate_series(0, 9) i")
    for table in ("early", "kept"):
        writer = connect()
        writer.execute("BEGIN; UPDATE counted SET total = total + 1 WHERE id IN (3, 4, 5)")
        outcome = []

        def lock():
            with connect() as other:
                outcome.append(other.execute(f"SELECT name, total FROM {table} t JOIN counted ON id = _id WHERE c = 1 AND total < 2"
                                             " ORDER BY _id FOR UPDATE OF counted").fetchall())

        waiting = threading.Thread(target=lock)
        waiting.start()
        until_one_waits(connection)
        writer.execute("COMMIT")
        waiting.join(60)
        writer.execute("UPDATE counted SET total = 0")
        assert outcome == [[(f"name {i}", int(i in (3, 5))) for i in (1, 3, 5, 7, 9)]]


def test_a_join_condition_that_the_scan_checks_is_checked_again_after_a_lock(schema, connect, mongo, live_server):
    """EvalPlanQual with a nested loop that looks up by key: the foreign row no longer fits the local row's new key."""
    mongo.things.insert_many([{"_id": i, "name": f"name {i}"} for i in range(5000)])
    schema.execute(f"CREATE FOREIGN TABLE things (_id int, name text) SERVER {live_server} OPTIONS (fdw_startup_cost '1')")
    schema.execute("CREATE TABLE referring (id int, thing int); INSERT INTO referring VALUES (1, 1), (2, 2); ANALYZE referring")
    query = "SELECT id, name FROM referring JOIN things ON _id = thing ORDER BY id FOR UPDATE OF referring"
    other = connect()
    other.execute("SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_sort = off")
    plan = explain(other, query)
    assert "Filter: (referring.thing = things._id)" in plan and "Decoded Before Filter: _id" in plan, plan
    writer = connect()
    writer.execute("BEGIN; UPDATE referring SET thing = 50 WHERE id = 1")
    outcome = []
    waiting = threading.Thread(target=lambda: outcome.append(other.execute(query).fetchall()))
    waiting.start()
    until_one_waits(schema)
    writer.execute("COMMIT")
    waiting.join(60)
    assert outcome == [[(2, "name 2")]]


# --- other sources, and how much is read ------------------------------------------------------------------------------


def test_live_tables(schema, mongo, live_server):
    """Conditions that are not sent, and those that are rechecked."""
    mongo.things.insert_many([{"_id": i, "c": value, "name": f"name {i}", "d": i % 5} for i, value in enumerate(VALUES)
                              if not isinstance(value, DatetimeMS)])  # SecantusDB refuses it
    for table, pushdown in (("early", "on"), ("kept", "off")):
        schema.execute(f"CREATE FOREIGN TABLE {table} (_id int, c text, name text, d int) SERVER {live_server}"
                       f" OPTIONS (collection 'things', pushdown '{pushdown}', on_mismatch 'null')")
    for condition in ("c LIKE 'A%'", "c = '5'", "c > 'a' AND d = 2", "d = 3", "length(c) = 3 OR d = 1"):
        assert both(schema, f"SELECT _id, name FROM {{table}} WHERE {condition} ORDER BY 1")
        assert decoded_first(schema, f"SELECT name FROM early WHERE {condition}")
        assert not decoded_first(schema, f"SELECT name FROM kept WHERE {condition}")


@pytest.mark.parametrize("compressed", [False, True])
def test_limit_reads_no_more_than_it_needs(make_tables, compressed):
    documents = [{"_id": i, "c": i % 10, "text": f"{i:0200}"} for i in range(20000)]
    connection = make_tables(documents, "_id int, c int, text text", compressed=compressed)
    size = len(bson_bytes(documents))

    def received(query):
        text = explain(connection, query, "ANALYZE, COSTS OFF")
        return [int(re.search(f"{what} Received: (.*)", text)[1]) for what in ("Batches", "Bytes", "Documents")]

    one_block = 256 * 1024
    for query in ("SELECT _id FROM early LIMIT 10", "SELECT text FROM early WHERE c = 3 LIMIT 10", "SELECT text FROM kept WHERE c = 3 LIMIT 10"):
        batches, size_read, count = received(query)
        assert batches == 1 and size_read <= one_block and 10 <= count < 2000, query
    batches, size_read, count = received("SELECT text FROM early WHERE _id = 19999 LIMIT 1")
    assert batches > 10 and size_read == size and count == 20000


def test_a_filter_that_keeps_nothing_can_be_cancelled(make_tables):
    """Also in one document with very many elements: here they would take half a minute."""
    connection = make_tables([{"items": [{"q": n} for n in range(20000)]}],
                             "q int OPTIONS (field 'items.q'), r int OPTIONS (field 'items.r')", "unwind 'items'")
    query = "SELECT r FROM early WHERE length(lpad(q::text, 300000, 'x')) < 0"
    assert decoded_first(connection, query) == ["q"]
    connection.execute("SET statement_timeout = 100")
    start = time.monotonic()
    with pytest.raises(errors.QueryCanceled):
        connection.execute(query)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("unwound", [False, True])
def test_memory_of_rows_that_fail_is_given_back(make_tables, unwound):
    items = [{"q": f"{n:0500}", "r": 1} for n in range(20000)] + [{"q": "last", "r": 2}]
    if unwound:
        connection = make_tables([{"items": items}], "q text OPTIONS (field 'items.q'), r int OPTIONS (field 'items.r')", "unwind 'items'")
    else:
        connection = make_tables(items, "q text, r int")
    connection.execute("""CREATE FUNCTION row_memory(int) RETURNS bigint LANGUAGE sql VOLATILE AS
        $$SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts WHERE name = 'mongoferry row'$$""")
    (size, r), = connection.execute("SELECT row_memory(r), r FROM early WHERE q LIKE 'last%'").fetchall()
    assert r == 2 and size < 100_000, size


def test_a_condition_that_may_fail_is_not_checked_before_one_that_stands_before_it(mongo, live_server, connection):
    """The first condition looks at jsonb, which is decoded late; the second divides by zero where the first is false."""
    mongo.divided.insert_one({"_id": 1, "n": 0})
    connection.execute(
        f"CREATE FOREIGN TABLE divided (_id int, n int8, j jsonb, other int) SERVER {live_server} OPTIONS (collection 'divided')"
    )
    assert connection.execute("SELECT other FROM divided WHERE j ->> '0' IS NOT NULL AND n % n = n").fetchall() == []

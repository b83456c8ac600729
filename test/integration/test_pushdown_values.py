"""Functions and operators on the server give what PostgreSQL gives.

A table of expressions over two collections: one whose documents have values of their columns' own types (the extremes
among them), and one with every BSON type in every field. Each expression stands in conditions that run with pushdown
on and off: the rows, or the error, must be the same. Over the first collection the filter is also asked of MongoDB
itself: it may let nothing through besides the wanted rows and documents that give trouble, which it always lets
through (PostgreSQL checks them, and may raise an error about them).
"""

import datetime

import psycopg
import pytest
from bson import Decimal128, Int64, ObjectId, json_util

from harness import mongodb
from test_pushdown import VALUES

UTC = datetime.timezone.utc


def moment(*parts):
    return datetime.datetime(*parts, tzinfo=UTC)


D, L = Decimal128, Int64
# Lists of different lengths without a common divisor give many pairs of values.
CLEAN = {
    "s": [None, 0, 1, -1, 7, -7, 32767, -32768, 100, 200, 3.0],
    "i": [None, 0, 1, -1, 2, -2, 3, 2**31 - 1, -(2**31), 46341, 10, -17, L(5), 6.0, D("8")],
    "j": [None, 0, 1, -1, 2, -3, 5, 2**31 - 1, -(2**31), 46341, 3.0, 100, 65536],
    "b": [None, 0, L(1), L(-1), L(2**63 - 1), L(-(2**63)), L(2**53 + 1), L(3037000500), 7, 2.0**60, D("9007199254740993"), L(10**18 + 3), -17],
    "c": [None, 0, L(1), L(-1), L(2**63 - 1), L(-(2**63)), 3, L(2**62), -2.0, L(3037000500), 1000003],
    "d": [None, 0.0, -0.0, 1.5, -1.5, 2.5, -2.5, 0.5, 0.1, 1e300, -1e300, 1e-300, float("nan"), float("inf"), float("-inf"), 3, L(2**52), 2147483647.5, 1e15 + 0.5, 123456.789, 0.001, 32767.5, 1 / 3],
    "e": [None, 0.0, 1.0, -1.0, 3.0, 1e-300, 1e300, float("nan"), float("inf"), 0.3, -7, 2.5, 1e10],
    "p": [None, D("0"), D("1"), D("-1"), D("1.10"), D("-2.5"), D("2.5"), D("0.005"), D("1E+3"), D("NaN"), D("Infinity"), D("-Infinity"), 7, L(2**60), 4.0, D("12345678901234567890.123456789"), D("9999999999999999999999999999999999"), D("1E-6000"), D("1E+40"), D("0.3333333333333333333333333333333333"), D("-1234.5678"), D("2147483647.5"), D("1.005"), D("-0")],
    "q": [None, D("0"), D("3"), D("-3.0"), D("0.1"), D("1.00"), D("9999999999999999999999999999999999"), D("NaN"), D("1E+6000"), 2, D("7.25"), D("1E-20"), D("0.07")],
    "t": [None, "", "a", "Ada", "ADA lovelace", "  blank  ", "Köln", "\tTab\n", "a,b,c", "aaa", "x%y_z", "5", "日本語テキスト", "$x", "a\nb", "  ", "ß", "abcabc", "longer than all the others here", "0"],
    "u": [None, "", "a", "b", "Ada", "da", ",", " ", "本", "abc", "%", "x", "lovelace"],
    "f": [None, True, False],
    "g": [None, False, True, True, False],
    "at": [None, moment(2024, 2, 29, 12, 34, 56, 789000), moment(2024, 3, 31, 0, 59, 59, 999000), moment(2024, 3, 31, 1), moment(2024, 10, 27, 0, 30), moment(2024, 10, 27, 1, 30), moment(2023, 12, 31, 23, 59, 59, 999000), moment(2024, 1, 1), moment(1969, 12, 31, 23, 59, 59, 999000), moment(1970, 1, 1), moment(1890, 5, 5, 5, 5, 5), moment(2040, 7, 1, 1, 2, 3), moment(2021, 1, 3, 22, 45), moment(2020, 12, 31, 10), moment(5, 1, 1, 1), moment(9999, 12, 31, 23, 59, 59, 999000), moment(2024, 10, 27, 0), moment(2018, 11, 4, 3, 30), moment(2024, 4, 7, 14, 45)],
    "ts": [None, moment(2024, 2, 29, 12, 34, 56, 789000), moment(2024, 3, 31, 2, 30), moment(2024, 10, 27, 2, 30), moment(2024, 1, 31), moment(1965, 3, 31, 1, 2, 3, 4000), moment(2000, 2, 29, 23, 59, 59, 999000), moment(2024, 7, 15, 8), moment(5, 2, 3)],
    "day": [None, moment(2024, 2, 29), moment(2024, 3, 31, 17), moment(1969, 1, 1), moment(2020, 12, 31), moment(2024, 10, 27), moment(5, 1, 1)],
    "o": [None, ObjectId("507f1f77bcf86cd799439011"), ObjectId("000000000000000000000000"), ObjectId("ffffffffffffffffffffffff"), ObjectId("65e072c00000000000000000")],
}
COLUMNS = {
    "s": "int2", "i": "int", "j": "int", "b": "int8", "c": "int8", "d": "float8", "e": "float8", "p": "numeric", "q": "numeric",
    "t": "text", "u": "text", "f": "bool", "g": "bool", "at": "timestamptz", "ts": "timestamp", "day": "date", "o": "mongoferry.objectid",
}

ARITHMETIC = [
    *(f"{x} {op} {y}" for op in "+-*/%" for x, y in (("i", "j"), ("b", "c"), ("s", "i"), ("i", "b"), ("b", "i"), ("s", "s"))),
    *(f"{x} {op} {y}" for op in "+-*/%" for x, y in (("i", "3"), ("i", "-2"), ("b", "1000"), ("b", "-1"), ("7", "i"), ("i", "9000000000"), ("100", "c"))),
    "mod(i, j)", "mod(b, c)", "-i", "-b", "-s", "abs(i)", "abs(b)", "abs(s)", "@ i", "+i", "+d",
    "(i + j) * 2 - j / 2", "i * j + b", "(i + 1) / 2 * 2",
    *(f"{x} {op} {y}" for op in "+-*/" for x, y in (("d", "e"), ("d", "2.5"), ("e", "0.1"), ("1", "e"))),
    "-d", "abs(d)", "@ d", "round(d)", "trunc(d)", "ceil(d)", "ceiling(d)", "floor(d)", "sign(d)", "d + i", "d * e + d",
    *(f"{x} {op} {y}" for op in "+-*%" for x, y in (("p", "q"), ("p", "2.50"), ("q", "7"), ("1.0", "p"))),
    "-p", "abs(p)", "@ q", "round(p)", "round(p, 2)", "round(q, 1)", "trunc(p)", "trunc(p, 1)", "ceil(p)", "floor(p)", "sign(p)", "p + i", "mod(p, q)",
    "p::numeric(8,2)", "q::numeric(3,0)", "p * q + p", "round(p * 1.19, 2)", "round(p, 0)", "round(p, -2)",
]
CASTS = [
    "s::int", "s::int8", "i::int8", "i::int2", "b::int2", "b::int", "d::int2", "d::int", "d::int8", "p::int2", "p::int", "p::int8",
    "i::float8", "b::float8", "s::float8", "i::numeric", "b::numeric", "p::float8", "q::float8", "d::numeric", "e::numeric", "round(d::numeric, 2)",
    "f::int", "i::bool", "f::text", "i::text", "b::text", "s::text", "o::text", "o::timestamptz", "p::text", "d::text",
]
CONDITIONS = [
    *(f"({x} {op} {y})" for op in ("=", "<>", "<", "<=", ">", ">=") for x, y in (("i", "j"), ("d", "e"), ("p", "q"), ("i", "b"), ("at", "(ts AT TIME ZONE 'UTC')"))),
    "(t = u)", "(t <> u)", '(t COLLATE "C" < u COLLATE "C")', "(f = g)", "(f < g)", "(f AND g)", "(f OR g)", "(NOT f)", "(f AND NOT g)", "(f OR i > 2)",
    "(i IS NULL)", "(d IS NOT NULL)", "(i + j IS NULL)", "(f IS TRUE)", "(f IS NOT TRUE)", "(f IS FALSE)", "(f IS NOT FALSE)", "(f IS UNKNOWN)", "(f IS NOT UNKNOWN)",
    "((i > j) IS UNKNOWN)", "(i IS DISTINCT FROM j)", "(d IS NOT DISTINCT FROM e)", "(t IS DISTINCT FROM u)",
    "(i % 3 IN (0, 1))", "(i % 3 IN (0, NULL))", "(i % 3 NOT IN (0, 1))", "(i % 3 NOT IN (0, NULL))", "(i % 3 = ANY ('{}'))", "(i <> ALL (ARRAY[j, 1]))", "(i = ANY (ARRAY[j, 1, NULL]))", "(i < ANY (ARRAY[j, 0]))",
    "(d + 0 IN ('NaN', 1.5))", "(i + 0 < ALL ('{5,10}'))", "(i + 0 BETWEEN 1 AND 10)",
]
CHOICES = [
    "CASE WHEN i > 0 THEN 'more' WHEN i < 0 THEN 'less' END", "CASE WHEN j <> 0 THEN i / j ELSE -1 END", "CASE i WHEN 1 THEN 'one' WHEN j THEN 'other' ELSE 'none' END",
    "CASE WHEN f THEN d ELSE e END", "CASE WHEN i + 1 > j THEN 1 ELSE 0 END", "CASE t WHEN 'a' THEN CASE u WHEN 'a' THEN 1 ELSE 2 END END",
    "coalesce(i, j)", "coalesce(i, j, 5)", "coalesce(t, u, 'none')", "coalesce(d, e) + 1", "nullif(i, j)", "nullif(d, 'NaN')", "nullif(t, '')",
    "greatest(i, j)", "least(i, j, 0)", "greatest(d, e)", "least(p, q)", "greatest(at, '2024-01-01')", "greatest(f, g)", 'greatest(t COLLATE "C", u)', "greatest(t, u)",
]
TEXT = [
    "length(t)", "char_length(t)", "octet_length(t)", "lower(t)", "upper(t)", "t || u", "t || 'x' || u", "concat(t, u, 'x')", "t || i",
    *(f"substr(t, {n})" for n in (-2, 0, 1, 3, 100)), *(f"substr(t, {n}, {m})" for n, m in ((-2, 4), (0, 1), (1, 0), (2, 3), (3, 2147483647), (100, 5), (-5, 2))),
    "substr(t, i)", "substr(t, i, j)", "substring(t FROM 2 FOR 2)", *(f"left(t, {n})" for n in (0, 2, -1, 100, -100)), *(f"right(t, {n})" for n in (0, 2, -1, 100, -100)), "left(t, i)", "right(t, j)",
    "strpos(t, u)", "position('a' IN t)", "strpos(t, '')", "starts_with(t, u)", "t ^@ 'A'", "btrim(t)", "trim(t)", "ltrim(t)", "rtrim(t)", "btrim(t, 'a ')", "ltrim(t, '')", "trim(BOTH 'ab' FROM t)",
    "replace(t, 'a', 'XX')", "replace(t, '', 'x')", "replace(t, 'a', u)", "split_part(t, ',', 2)", "split_part(t, 'a', -1)", "split_part(t, 'aa', 1)",
    *(f"(t LIKE {p})" for p in ("'A%'", "'%a%'", "'_'", "'a_b'", "'x\\%y\\_z'", "'%.%'", "''", "'%\\n'", "'$%'", "'a'")), "(t NOT LIKE '%a%')", "(t ILIKE 'a%')",
    "length(lower(t))", "length(t) + i", "length(t || u)", "initcap(t)", "repeat(t, 2)", "lower(btrim(t))",
]
UNITS = ("milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
FIELDS = ("epoch", "year", "isoyear", "quarter", "month", "week", "day", "doy", "dow", "isodow", "hour", "minute", "second", "milliseconds")
TIME = [
    *(f"date_trunc('{unit}', {column})" for unit in UNITS for column in ("at", "ts")), "date_trunc('month', day)", "date_trunc('decade', at)",
    *(f"date_trunc('{unit}', at, 'Europe/Berlin')" for unit in ("hour", "day", "month")), "date_trunc('day', at, 'Atlantic/Azores')", "date_trunc('day', at, 'America/Sao_Paulo')", "date_trunc('hour', at, 'Asia/Kolkata')",
    *(f"extract({field} FROM {column})" for field in FIELDS for column in ("at", "ts")), *(f"date_part('{field}', at)" for field in FIELDS),
    *(f"extract({field} FROM day)" for field in FIELDS if field not in ("hour", "minute", "second", "milliseconds")), "date_part('year', day)", "extract(century FROM at)",
    "to_char(at, 'YYYY-MM-DD')", "to_char(ts, 'HH24:MI:SS')", "to_char(at, 'IYYY-IW')", "to_char(at, 'Month')", "to_char(at, 'YYYYMM')", "to_char(ts, 'DDD')",
    "at::date", "at::timestamp", "ts::date", "day::timestamp", "day::timestamptz", "ts::timestamptz", "at AT TIME ZONE 'America/New_York'", "ts AT TIME ZONE 'Europe/Berlin'", "at AT TIME ZONE 'UTC'", "at AT TIME ZONE 'CET'",
    "at + interval '90 minutes'", "at - interval '1 day'", "at + interval '1 month'", "ts + interval '1 month -1 day'", "ts - interval '1.5 seconds'", "ts + interval '1 microsecond'", "day + interval '1 month'",
    "day + 1", "day - 30", "day + i", "day - day", "day - '2024-01-01'::date", "at - at", "(at > ts)", "(day < '2024-03-01')",
]
SUBJECTS = {"arithmetic": ARITHMETIC, "casts": CASTS, "conditions": CONDITIONS, "choices": CHOICES, "text": TEXT, "time": TIME}
RUNS = [*((subject, "UTC") for subject in SUBJECTS), ("time", "Europe/Berlin")]

# Without a rule, on purpose.
KEPT = {
    "p::text", "d::text", "greatest(t, u)", "(t ILIKE 'a%')", "initcap(t)", "repeat(t, 2)", "date_trunc('decade', at)", "extract(century FROM at)",
    "to_char(at, 'Month')", "at AT TIME ZONE 'CET'", "ts + interval '1 microsecond'", "at - at", "round(p, -2)", "(at > ts)",
}
# Not as values.
SENT_AS_CONDITIONS = {"(t ILIKE 'a%')"}
KEPT_IN_BERLIN = {"at - interval '1 day'", "at + interval '1 month'"}
def rotate(columns, count):
    return [{"_id": number, **{name: values[number % len(values)] for name, values in columns.items()}} for number in range(count)]


@pytest.fixture
def make_tables(mongo, live_server, connection):
    def make(documents):
        mongo.values.insert_many([{k: v for k, v in d.items() if v is not None or d["_id"] % 2} for d in documents])
        columns = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
        for table, pushdown in (("pushed", "on"), ("kept", "off")):
            connection.execute(
                f"CREATE FOREIGN TABLE {table} (_id int, {columns}) SERVER {live_server}"
                f" OPTIONS (collection 'values', pushdown '{pushdown}', on_mismatch 'null')"
            )
        connection.execute("SET client_min_messages = error")
        connection.execute("""
            CREATE FUNCTION try(expression text, document int) RETURNS text LANGUAGE plpgsql AS $$
            DECLARE result text;
            BEGIN
                EXECUTE format('SELECT (%s)::text FROM copy WHERE _id = %s', expression, document) INTO result;
                RETURN result;
            EXCEPTION WHEN OTHERS THEN RETURN 'error';
            END $$""")
        connection.execute("CREATE TABLE copy AS SELECT * FROM kept; ALTER TABLE copy ADD PRIMARY KEY (_id)")
        return connection

    return make


def run(connection, query):
    try:
        return connection.execute(query).fetchall()
    except psycopg.Error as error:
        return f"{error.sqlstate} {error.diag.message_primary}"


def sent_filter(connection, condition):
    """The filter of the command, or None."""
    for (line,) in connection.execute(f"EXPLAIN (VERBOSE) SELECT _id FROM pushed WHERE {condition}"):
        if line.strip().startswith("Command: "):
            return json_util.loads(line.split("Command: ", 1)[1]).get("filter")
    raise AssertionError("EXPLAIN shows no command")


def values_of(connection, expression):
    """A few values that the expression has, as literals; and all results by _id, 'error' for those that raise one."""
    results = dict(connection.execute("SELECT _id, try(%s, _id) FROM copy ORDER BY 1", (expression,)).fetchall())
    distinct = sorted({r for r in results.values() if r not in (None, "error")})
    chosen = distinct[:: max(1, len(distinct) // 2)][:2]
    return results, chosen


def type_of(connection, expression):
    code = connection.execute(f"SELECT ({expression}) FROM copy LIMIT 0").description[0].type_code
    return connection.execute("SELECT %s::oid::regtype::text", (code,)).fetchone()[0]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize("subject, zone", RUNS)
def test_values_are_those_of_postgresql(make_tables, mongo, subject, zone):
    connection = make_tables(rotate(CLEAN, 90))
    connection.execute(f"SET TimeZone = '{zone}'")
    differences, kept = [], set()
    expressions = SUBJECTS[subject]
    for expression in expressions:
        results, chosen = values_of(connection, expression)
        type_ = type_of(connection, expression)
        wanted = {f"({expression}) IS NULL": {i for i, r in results.items() if r is None}}
        for value in chosen:
            wanted[f"({expression}) = {quoted(value)}::{type_}"] = {i for i, r in results.items() if r == value}
        let_through = {}
        for condition in wanted:
            pushed, local = (run(connection, f"SELECT _id FROM {table} WHERE {condition} ORDER BY 1") for table in ("pushed", "kept"))
            if pushed != local:
                differences.append(f"{condition}: {pushed} not {local}")
            filter_ = sent_filter(connection, condition)
            if filter_ is None:
                continue
            try:
                let_through[condition] = {d["_id"] for d in mongo.get_collection("values").find(filter_, {"_id": 1})}
            except Exception as error:
                differences.append(f"{condition}: {filter_} is an error: {error}")
        if not let_through:
            kept.add(expression)
        troubles = set.intersection(*let_through.values()) if len(let_through) > 1 else None
        sound = [i for i, r in results.items() if r != "error"]
        for condition, ids in let_through.items():
            if troubles is not None:
                rows = {i for (i,) in connection.execute(f"SELECT _id FROM copy WHERE CASE WHEN _id = ANY (%s) THEN {condition.replace('%', '%%')} END", (sound,))}
                if wrong := (rows - ids) | (ids - rows - troubles):
                    differences.append(f"{condition}: missed {rows - ids}, let through {ids - rows - troubles}: {[results[i] for i in wrong]}")
        if troubles is not None and not {i for i, r in results.items() if r == "error"} <= troubles:
            differences.append(f"{expression}: errors would go unseen: {[i for i, r in results.items() if r == 'error' and i not in troubles]}")
        if troubles is not None and len(troubles) > 0.8 * len(results):
            differences.append(f"{expression}: nearly every document is called trouble")
    assert not differences, "\n".join(differences)
    expected = (KEPT if zone == "UTC" else KEPT | KEPT_IN_BERLIN) & set(expressions) - SENT_AS_CONDITIONS
    assert kept == expected, f"kept, or not, against the rules: {sorted(kept ^ expected)}"


def test_what_is_nested_too_deeply_stays_here(make_tables):
    """A command of more than 100 levels would be an error on the server."""
    connection = make_tables(rotate(CLEAN, 20))
    for length in (3, 10, 40, 200, 1000):
        for expression in (" + ".join(["s::int8"] * length), " || ".join(["t"] * length), "abs(" * length + "d" + ")" * length):
            query = f"SELECT _id FROM {{}} WHERE ({expression}) IS NOT NULL ORDER BY 1"
            assert run(connection, query.format("pushed")) == run(connection, query.format("kept"))
            sent = sent_filter(connection, f"({expression}) IS NOT NULL")
            assert bool(sent) == (length == 3) or length == 10
    reason = connection.execute("SELECT reason FROM mongoferry.why_not_pushed(%s)", (f"SELECT FROM pushed WHERE {'abs(' * 200}d{')' * 200} > 1",)).fetchone()
    assert "too long" in reason[0]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_odd_documents_change_nothing(make_tables, subject):
    documents = [{"_id": n, **{c: v for c in COLUMNS}} for n, v in enumerate(VALUES)]
    connection = make_tables(documents)
    connection.execute("SET TimeZone = 'UTC'")
    differences = []
    for expression in SUBJECTS[subject]:
        for condition in (f"({expression}) IS NULL", f"({expression}) IS NOT NULL"):
            pushed, kept = (run(connection, f"SELECT _id FROM {table} WHERE {condition} ORDER BY 1") for table in ("pushed", "kept"))
            if pushed != kept:
                differences.append(f"{condition}: {pushed} not {kept}")
    assert not differences, "\n".join(differences)


JSON = [
    *(f"data->>'k' = {v}" for v in ("'Ada'", "'5'", "'5.0'", "'true'", "''", "'12'", "'-1'", "'0.1'", "'NaN'", "'Köln'")),
    "data->>'k' IN ('Ada', '5', NULL)", "'Ada' = data->>'k'", "data->'in'->>'k' = 'Ada'", "data#>>'{in,k}' = 'Ada'", "data->'list'->>0 = 'Ada'", "data#>>'{list,0}' = 'Ada'",
    "data->'list'->0->>'k' = 'Ada'", "root->'data'->>'k' = 'Ada'", "root->>'name' = 'x7'", "root->>'_id' = '7'",
    *(f"(data->>'k')::{t} {op} {v}" for t in ("int", "int8", "numeric", "int2") for op, v in (("=", 5), (">", 5), ("<=", 5), ("<", -7))),
    *(f"data @> '{{\"k\": {v}}}'" for v in ('"Ada"', "5", "0.1", "true", "9007199254740993", "1e23", '{"a": 5}', '["Ada"]', "[5]", "0.30000000000000004")),
    "data @> '{\"in\": {\"k\": 5}}'", "data @> '{\"list\": [{\"k\": \"Ada\"}]}'", "data @> '{\"list\": [\"Ada\"]}'", "root @> '{\"name\": \"x5\"}'", "'{\"k\": 5}' <@ data", "data->'in' @> '{\"k\": 5}'",
    "data->'k' = '5'", "data->'k' = '\"Ada\"'", "data->'k' = 'true'", "data ? 'k'", "data ? 'nothing'", "data->'k' ? 'a'", "data->'list' ? 'Ada'", "root ? 'name'", "data->'k' ? 'Ada'",
    "data->>'k' = 'Ada' AND root->>'name' = 'x9'", "data->>'k' = 'Ada' OR (data->'in'->>'k') = '5'",
]
JSON_KEPT = [
    "data->>'k' <> 'Ada'", "NOT (data->>'k' = 'Ada')", "data->>'a.b' = 'x'", "data->'k'->>'$oid' = '507f1f77bcf86cd799439011'", "data->'list'->>-1 = 'Ada'", "data = '{}'",
    "data->>'k' = '{\"a\": 5}'", "data->>'k' LIKE 'A%'", "(data->>'k')::float8 > 5", "data @> '{}'", "data->'k' = '[5]'", "data->>'k' > 'A'",
]


def test_conditions_inside_of_jsonb_columns(mongo, live_server, connection):
    values = [v for v in VALUES if v != "NUL\0inside"]
    mongo.json.insert_many(
        [{"_id": n, "name": f"x{n}", "data": {"k": v, "in": {"k": v}, "list": [v, {"k": v}], "f": "Ada"}} for n, v in enumerate(values)]
        + [{"_id": 1000 + n, "data": v} for n, v in enumerate(values)]
        + [{"_id": 2000, "data": {"in": [{"k": "Ada"}, {"k": 5}], "list": {"0": "Ada"}}}, {"_id": 2001}, {"_id": 2002, "data": [{"k": "Ada"}, {"k": 5}, "Ada"]}]
    )
    for table, pushdown in (("pushed", "on"), ("kept", "off")):
        connection.execute(
            f"CREATE FOREIGN TABLE {table} (_id int, data jsonb, root jsonb OPTIONS (field '$$ROOT')) SERVER {live_server}"
            f" OPTIONS (collection 'json', pushdown '{pushdown}', on_mismatch 'null')"
        )
    differences, sent = [], set()
    for condition in JSON + JSON_KEPT:
        pushed, kept = (run(connection, f"SELECT _id FROM {table} WHERE {condition} ORDER BY 1") for table in ("pushed", "kept"))
        if pushed != kept:
            differences.append(f"{condition}: {pushed} not {kept}")
        if filter_ := sent_filter(connection, condition):
            sent.add(condition)
            assert "$expr" not in filter_
    assert not differences, "\n".join(differences)
    assert sent == set(JSON)
    connection.execute("SET plan_cache_mode = force_generic_plan")
    for table in ("pushed", "kept"):
        connection.execute(f"PREPARE of_{table}(text, int) AS SELECT _id FROM {table} WHERE data->>'k' = $1 OR (data->'in'->>'k')::numeric = $2 ORDER BY 1")
    for arguments in ("'Ada', 7", "'5', 5", "'{\"a\": 5}', 0", "NULL, 6"):
        assert run(connection, f"EXECUTE of_pushed({arguments})") == run(connection, f"EXECUTE of_kept({arguments})")


TAME = {
    "s": [1, 2, 3], "i": [1, 2, None, L(5), 3.0], "j": [1, 2, 3, 7], "b": [L(1), L(100), None, 4, 5.0], "c": [1, L(7), 2], "d": [0.5, 1.5, 2.0, None, 3, -2.5], "e": [1.0, 2.5, 4.0],
    "p": [D("1.10"), D("2.5"), None, 3, D("0.30"), D("1E+3")], "q": [D("1"), D("2.00"), D("0.07"), D("0.5")], "t": ["Ada", "ada", None, "a,b", " x "], "u": ["a", "A", ","], "f": [True, False, None], "g": [True, False],
    "at": [moment(2024, 2, 29, 12, 34, 56, 789000), moment(2024, 3, 31, 0, 59, 59), moment(2023, 12, 31, 23, 30), None, moment(2024, 7, 1)],
    "ts": [moment(2024, 2, 29, 12, 34, 56, 789000), moment(2024, 7, 15, 8), None], "day": [moment(2024, 2, 29), moment(2024, 12, 30), None, moment(2021, 1, 3)], "o": [ObjectId("507f1f77bcf86cd799439011"), None],
}


@pytest.mark.parametrize("subject, zone", RUNS)
def test_groups_by_expressions(make_tables, mongo_server, subject, zone):
    """GROUP BY an expression on the server: the same groups, as they are shown, and no local plan.

    SecantusDB raises an error when it groups by a computed Decimal128 under a collation; then the local plan has to run.
    """
    connection = make_tables(rotate(TAME, 60))
    connection.execute(f"SET TimeZone = '{zone}'")
    differences, stayed = [], set()
    expressions = SUBJECTS[subject]
    for expression in expressions:
        pushed, kept = (
            sorted(connection.execute(f"SELECT key::text, n FROM (SELECT {expression} AS key, count(*) AS n FROM {table} GROUP BY 1) AS groups").fetchall(), key=str)
            for table in ("pushed", "kept")
        )
        if pushed != kept:
            differences.append(f"{expression}: {pushed} not {kept}")
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN (ANALYZE, VERBOSE) SELECT {expression} AS key, count(*) FROM pushed GROUP BY 1"))
        is_refused = isinstance(mongo_server, mongodb.Secantus) and type_of(connection, expression) == "numeric"
        if '"$group"' not in plan or ("Local Plan Runs" in plan and not is_refused):
            stayed.add(expression)
    assert not differences, "\n".join(differences)
    expected = (KEPT if zone == "UTC" else KEPT | KEPT_IN_BERLIN) & set(expressions)
    assert stayed == expected, f"grouped here, or not, against the rules: {sorted(stayed ^ expected)}"

"""ORDER BY, OFFSET and LIMIT on the server never change an answer.

Each query runs with pushdown on and off. Where its order is total the rows must be the same; where rows tie, which of
them come is open in SQL, so the sort keys alone are compared. Documents are clean (of the columns' own types, with nulls,
missing fields and NaN) or dirty (every BSON type in every field, with on_mismatch 'null', so that a scan reads them).
"""

import datetime
import re
import uuid

import psycopg
import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from test_pushdown import VALUES

UTC = datetime.timezone.utc

# column: type, and values of its own types in an order that is none
COLUMNS = {
    "small": ("int2", [5, -1, 7.0, 0, None, 32767, 5]),
    "n": ("int", [5, -1, Int64(7), 0, None, 2**31 - 1, 5.0, Decimal128("6")]),
    "big": ("int8", [Int64(2**53 + 1), Int64(2**53), 5, Int64(-(2**63)), None, Int64(2**63 - 1), 2.0**53]),
    "d": ("float8", [0.5, float("nan"), -1, float("inf"), float("-inf"), None, 5, Int64(5), -0.0, 0]),
    "r": ("float4", [0.5, float("nan"), 16777217, 16777216, None, 5, -1.5]),
    "price": ("numeric", [Decimal128("0.1"), Decimal128("0.10"), Decimal128("NaN"), 5, -3, None, Decimal128("1E+40")]),
    "cost": ("numeric", [0.1, 0.30000000000000004, 5, float("nan"), float("inf"), None, 0.3, 1e23, 12.5]),
    "money": ("numeric(10, 2)", [0.101, 0.104, 5, None, 12.5, -3]),
    "flag": ("bool", [True, False, None, True]),
    "at": ("timestamptz", [datetime.datetime(2024, 2, 29, 12, 0, 0, ms * 1000, UTC) for ms in (124, 123, 0)]
           + [None, datetime.datetime(1969, 12, 31, tzinfo=UTC)]),
    "utc": ("timestamp", [datetime.datetime(2024, 2, 29, h, tzinfo=UTC) for h in (4, 3, 1)] + [None]),
    "day": ("date", [datetime.datetime(2024, 2, d, h, tzinfo=UTC) for d, h in ((3, 4), (3, 2), (1, 23), (2, 0))] + [None]),
    "name": ("text COLLATE \"C\"", ["b", "B", "", "ba", "é", "b\uffff", "b\U0001f600", None, "z"]),
    "code": ("varchar(5) COLLATE \"C\"", ["b", "B", "", "ba", "é", None]),
    "oid": ("mongoferry.objectid", [ObjectId("507f1f77bcf86cd79943901" + c) for c in "3a0"] + [None]),
    "id": ("uuid", [Binary(uuid.UUID(int=i << 120 | 7).bytes, 4) for i in (255, 0, 16, 128)] + [None]),
    "nested": ("int", [3, 1, None, 2]),
    "plain_text": ("text", ["b", "B", "a", None]),
    "raw": ("bytea", [b"b", b"a", None]),
}
FIELD = {"nested": "a.b.c"}
NOT_ORDERED = ["plain_text", "raw"]
# of these, rows tie in SQL that MongoDB tells apart
ROUNDED = ["r", "money"]
# rows tie of which the text tells more
KEY = {"price": "trim_scale(price)", "cost": "trim_scale(cost)", "d": "(d + 0)"}
ORDERS = ["", "DESC", "NULLS FIRST", "DESC NULLS LAST"]
WINDOWS = ["LIMIT 3", "LIMIT 4 OFFSET 2", "LIMIT 1000", "OFFSET 5 LIMIT 1000"]


def nest(document, path, value):
    *parents, last = path.split(".")
    for part in parents:
        document = document.setdefault(part, {})
    document[last] = value


def create_tables(connection, server, collection, options=""):
    columns = ", ".join(
        f"{name} {type_.split(' COLLATE')[0]} OPTIONS (field '{FIELD.get(name, name)}')"
        + (" COLLATE" + type_.split(" COLLATE")[1] if "COLLATE" in type_ else "")
        for name, (type_, _) in COLUMNS.items()
    )
    for table, pushdown in (("pushed", "on"), ("kept", "off")):
        connection.execute(
            f"CREATE FOREIGN TABLE {table} (_id int, {columns}) SERVER {server}"
            f" OPTIONS (collection '{collection}', pushdown '{pushdown}' {options})"
        )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@pytest.fixture
def clean(mongo, live_server, connection):
    documents = []
    for number in range(40):
        document = {"_id": number}
        for position, (name, (_, values)) in enumerate(COLUMNS.items()):
            if (number + position) % 11:  # else missing
                nest(document, FIELD.get(name, name), values[(number * (position + 3) + position) % len(values)])
        documents.append(document)
    mongo.clean.insert_many(documents)
    return create_tables(connection, live_server, "clean")


@pytest.fixture
def dirty(mongo, live_server, connection):
    documents = [{"_id": len(VALUES)}, {"_id": len(VALUES) + 1, "a": [{"b": {"c": 1}}, {"b": {"c": 9}}]}]
    for number, value in enumerate(VALUES):
        document = {"_id": number}
        for name in COLUMNS:
            nest(document, FIELD.get(name, name), value)
        documents.append(document)
    mongo.dirty.insert_many(documents)
    return create_tables(connection, live_server, "dirty", ", on_mismatch 'null'")


def plan(connection, query, options=""):
    return "\n".join(line for (line,) in connection.execute(f"EXPLAIN ({options or 'VERBOSE'}) " + query))


def rows(connection, query, table):
    return [tuple(map(str, row)) for row in connection.execute(query.format(t=table)).fetchall()]


def differences(connection, queries):
    found = []
    for query in queries:
        pushed, kept = (rows(connection, query, table) for table in ("pushed", "kept"))
        if pushed != kept:
            found.append(f"{query}\n  pushed {pushed}\n  kept   {kept}")
    return "\n".join(found)


def is_pushed(text):
    """The top node is a scan whose command cuts the rows."""
    return text.startswith("Foreign Scan") and ("limit" in text or "skip" in text)


ONE_KEY = [
    f"SELECT {KEY.get(c, c)}::text FROM {{t}} ORDER BY {{t}}.{c} {order} {window}" for c in COLUMNS for order in ORDERS for window in WINDOWS
]
TOTAL = [
    f"SELECT _id, {c}::text FROM {{t}} ORDER BY {{t}}.{c} {order}, _id DESC {window}"
    for c in COLUMNS for order in ORDERS for window in ("LIMIT 7", "LIMIT 5 OFFSET 20")
]
OTHERS = [
    "SELECT _id FROM {t} ORDER BY _id LIMIT 5",
    "SELECT _id FROM {t} ORDER BY _id DESC NULLS LAST LIMIT 5",
    "SELECT n / 2, big FROM {t} ORDER BY n, flag DESC, big NULLS FIRST, _id LIMIT 12",
    "SELECT name FROM {t} ORDER BY plain_text COLLATE \"C\", _id LIMIT 5",
    "SELECT _id FROM {t} ORDER BY day, at DESC, _id LIMIT 9",
    "SELECT _id FROM {t} ORDER BY n ASC, n DESC, _id LIMIT 9",
    "SELECT count(*) FROM (SELECT 1 FROM {t} LIMIT 10) s",
    "SELECT count(*) FROM (SELECT 1 FROM {t} OFFSET 10) s",
    "SELECT * FROM (SELECT _id, n FROM {t} ORDER BY n DESC, _id LIMIT 8) s ORDER BY _id",
    "SELECT _id FROM {t} WHERE n > 0 ORDER BY n, _id LIMIT 4",
    "SELECT _id FROM {t} WHERE flag ORDER BY at DESC, _id LIMIT 4 OFFSET 1",
]


def test_clean_documents_come_in_the_same_order(clean):
    assert not differences(clean, ONE_KEY + OTHERS)


def test_clean_documents_come_in_the_same_total_order(clean):
    assert not differences(clean, TOTAL)


def test_dirty_documents_come_in_the_same_order(dirty):
    assert not differences(dirty, ONE_KEY)


def test_dirty_documents_come_in_the_same_total_order(dirty):
    assert not differences(dirty, TOTAL + OTHERS)


def test_what_is_sorted_on_the_server(clean):
    for column in COLUMNS:
        for query in (f"SELECT _id FROM pushed ORDER BY {column} LIMIT 3", f"SELECT _id FROM pushed ORDER BY {column}, _id LIMIT 3"):
            expected = column not in NOT_ORDERED and not (column in ROUNDED and ", _id" in query)
            assert is_pushed(plan(clean, query)) == expected, f"{query}\n{plan(clean, query)}"
    assert is_pushed(plan(clean, "SELECT _id FROM pushed LIMIT 3"))
    for query in (
        "SELECT _id FROM kept ORDER BY n LIMIT 3",
        "SELECT _id FROM pushed ORDER BY n FETCH FIRST 3 ROWS WITH TIES",
        "SELECT _id FROM pushed ORDER BY n LIMIT 3 FOR UPDATE",
        "SELECT _id, generate_series(1, 2) FROM pushed ORDER BY n LIMIT 3",
        "SELECT _id FROM pushed ORDER BY n",
        "SELECT _id FROM pushed WHERE n > random() ORDER BY n LIMIT 3",
        "SELECT _id FROM pushed ORDER BY random() LIMIT 3",
        "SELECT _id FROM pushed ORDER BY n LIMIT (3 * random())::int",
        "SELECT DISTINCT plain_text FROM pushed ORDER BY 1 LIMIT 3",
        "SELECT tableoid, _id FROM pushed ORDER BY n LIMIT 3",
    ):
        assert not is_pushed(plan(clean, query)), f"{query}\n{plan(clean, query)}"


# A probe for UUIDs of the other subtype: in MongoDB binary values compare by length, subtype and bytes, in SecantusDB by
# their bytes alone, so that all of them are found and the local plan answers.
WITHOUT_UUID = [c for c in COLUMNS if c not in NOT_ORDERED and c != "id"]


@pytest.mark.parametrize("column", WITHOUT_UUID)
def test_only_the_documents_of_the_limit_come_over(clean, column):
    query = f"SELECT _id, {column} FROM pushed ORDER BY {column} DESC LIMIT 4 OFFSET 2"
    text = plan(clean, query, "ANALYZE, TIMING OFF, SUMMARY OFF")
    assert re.search(r"Documents Received: (\d+)", text).group(1) == "4", text
    assert "never executed" in text and "Local Plan Runs" not in text, text


def test_a_bare_limit_and_offset(clean):
    text = plan(clean, "SELECT _id FROM pushed LIMIT 4 OFFSET 38", "ANALYZE, TIMING OFF, SUMMARY OFF")
    assert '"skip": 38, "limit": 4' in text and "Documents Received: 2" in text, text
    assert clean.execute("SELECT count(*) FROM (SELECT FROM pushed LIMIT 7) s").fetchone() == (7,)
    assert clean.execute("SELECT _id FROM pushed LIMIT 0").fetchall() == []
    assert clean.execute("SELECT count(*) FROM (SELECT _id FROM pushed LIMIT ALL OFFSET 3) s").fetchone() == (37,)


# column, a value whose place in the order only PostgreSQL knows
ODD = [
    ("at", "2024-02-29T12:00:00.1235Z"), ("at", ObjectId("65e072c00000000000000000")), ("day", "2024-02-01"),
    ("id", str(uuid.UUID(int=1))), ("name", 5), ("name", [1]), ("nested", [{"b": {"c": 1}}]), ("price", 0.1),
    ("code", "b         "),
]


@pytest.mark.parametrize("column, value", ODD)
def test_an_odd_document_brings_the_local_plan(clean, mongo, column, value):
    query = f"SELECT {column} FROM {{t}} ORDER BY {column} NULLS FIRST LIMIT 30"
    options = "ANALYZE, TIMING OFF, SUMMARY OFF"
    if column in WITHOUT_UUID:
        assert "Local Plan Runs" not in plan(clean, query.format(t="pushed"), options)
    mongo.clean.insert_one({"_id": 99, FIELD.get(column, column).split(".")[0]: value})
    assert "Local Plan Runs: 1" in plan(clean, query.format(t="pushed"), options)
    assert not differences(clean, [query])


def test_a_limit_may_pass_over_what_a_scan_refuses(clean, mongo):
    mongo.clean.insert_one({"_id": 99, "n": "no number"})
    assert len(clean.execute("SELECT n FROM pushed ORDER BY n LIMIT 3").fetchall()) == 3
    with pytest.raises(psycopg.Error, match='"n"'):
        clean.execute("SELECT _id FROM pushed ORDER BY n LIMIT 1000")
    with pytest.raises(psycopg.Error, match='"n"'):
        clean.execute("SELECT _id FROM kept ORDER BY n LIMIT 3")


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_parameters(clean, mode):
    clean.execute(f"SET plan_cache_mode = {mode}")
    for table in ("pushed", "kept"):
        clean.execute(f"PREPARE {table}_q(bigint, bigint) AS SELECT _id, n FROM {table} ORDER BY n, _id LIMIT $1 OFFSET $2")
        clean.execute(f"PREPARE {table}_bare(bigint, bigint) AS SELECT count(*) FROM (SELECT FROM {table} LIMIT $1 OFFSET $2 + 1) s")
    for name in ("q", "bare"):
        for arguments in ("3, 0", "3, 2", "NULL, 30", "0, 0", "5, NULL", "NULL, NULL", "9223372036854775807, 35", "1000, 1000"):
            answers = [clean.execute(f"EXECUTE {t}_{name}({arguments})").fetchall() for t in ("pushed", "kept")]
            assert answers[0] == answers[1], f"{name} {arguments}"
        for arguments, message in (("-1, 0", "LIMIT must not be negative"), ("1, -2", "OFFSET must not be negative"), ("0, -2", "OFFSET")):
            with pytest.raises(psycopg.Error, match=message):
                clean.execute(f"EXECUTE pushed_{name}({arguments})")
    text = plan(clean, "EXECUTE pushed_q(3, 4)")
    assert '{"$skip": 4}, {"$limit": 3}' in text and is_pushed(text), text


def test_what_is_not_known_yet_is_shown_as_a_parameter(clean):
    clean.execute("CREATE TABLE counts (c int)")
    text = plan(clean, "SELECT * FROM counts, LATERAL (SELECT n FROM pushed ORDER BY n, _id LIMIT c OFFSET c + 1) s")
    assert '{"$skip": {"$parameter": 1}}, {"$limit": {"$parameter": 2}}' in text, text
    text = plan(clean, "SELECT * FROM counts, LATERAL (SELECT n FROM pushed LIMIT c OFFSET c + 1) s")
    assert '"skip": {"$parameter": 1}, "limit": {"$parameter": 2}' in text, text


def test_each_rescan_has_its_own_rows(clean):
    clean.execute("CREATE TABLE counts (c int); INSERT INTO counts VALUES (3), (0), (2), (NULL)")
    for tail in ("ORDER BY n, _id LIMIT c", "ORDER BY n DESC, _id LIMIT 2 OFFSET c"):
        query = f"SELECT c, s.* FROM counts, LATERAL (SELECT _id, n FROM {{t}} {tail}) s ORDER BY c, n, _id"
        assert re.search(r'"\$limit"|"limit"', plan(clean, query.format(t="pushed"))), query
        assert not differences(clean, [query])
    # a plan with an outer row's value in its condition
    query = "SELECT c, s._id FROM counts, LATERAL (SELECT _id FROM {t} WHERE small = c + 2 ORDER BY n, _id LIMIT 1) s ORDER BY 1, 2"
    assert not differences(clean, [query])


def test_a_cursor_goes_forth_and_back(clean):
    for scroll in ("", "SCROLL"):
        found = []
        for table in ("pushed", "kept"):
            with clean.transaction():
                clean.execute(f"DECLARE c {scroll} CURSOR FOR SELECT _id, n FROM {table} ORDER BY n, _id LIMIT 9")
                found.append([clean.execute(f"FETCH {step} FROM c").fetchall() for step in ("2", "3", "10")])
                if scroll:
                    found[-1] += [clean.execute(f"FETCH {step} FROM c").fetchall() for step in ("BACKWARD 4", "FIRST", "ABSOLUTE 5", "LAST")]
        assert found[0] == found[1]


def test_above_groups(clean):
    for query in (
        "SELECT n, count(*) FROM {t} GROUP BY n ORDER BY count(*) DESC, n LIMIT 4",
        "SELECT n, count(*) FROM {t} GROUP BY n ORDER BY count(*) DESC, n DESC LIMIT 3 OFFSET 2",
        "SELECT flag, sum(n) FROM {t} GROUP BY flag ORDER BY sum(n) DESC LIMIT 2",
    ):
        text = plan(clean, query.format(t="pushed"), "ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF")
        assert is_pushed(text) and "Local Plan Runs" not in text, text
        assert not differences(clean, [query])


def test_unions_and_subqueries(clean):
    assert not differences(
        clean,
        [
            "(SELECT n FROM {t} ORDER BY n DESC NULLS LAST LIMIT 3) UNION ALL (SELECT n FROM {t} ORDER BY n LIMIT 2) ORDER BY 1",
            "SELECT a._id, b._id FROM (SELECT _id, n FROM {t} ORDER BY n, _id LIMIT 5) a JOIN {t} b ON a.n = b.n ORDER BY 1, 2",
            "SELECT (SELECT max(n) FROM (SELECT n FROM {t} ORDER BY n NULLS FIRST LIMIT 9) s), _id FROM {t} ORDER BY _id LIMIT 2",
            "SELECT _id, rank() OVER (ORDER BY n) FROM {t} ORDER BY n, _id LIMIT 4",
            "SELECT DISTINCT n FROM {t} ORDER BY n LIMIT 4",
            "SELECT n, count(*) FROM {t} GROUP BY n ORDER BY count(*) DESC, n LIMIT 4",
            "SELECT n, count(*) FROM {t} GROUP BY n ORDER BY count(*) DESC, n LIMIT 4 OFFSET 2",
            "SELECT flag, sum(big) FROM {t} WHERE big < 100 GROUP BY flag ORDER BY sum(big) DESC, flag LIMIT 2",
        ],
    )



def test_above_a_join(clean, mongo):
    mongo.clean.create_index("n")
    queries = [
        "SELECT a._id, b._id, b.d FROM {t} a JOIN {t} b ON a.n = b.n WHERE a.small > 0 ORDER BY b.d DESC, a._id, b._id LIMIT 5",
        "SELECT a._id, b._id FROM {t} a JOIN {t} b ON a.n = b.n WHERE b.flag ORDER BY a.big NULLS FIRST, b._id, a._id LIMIT 5 OFFSET 3",
        "SELECT a._id, b._id FROM {t} a LEFT JOIN {t} b ON a.n = b._id ORDER BY b._id DESC, a._id LIMIT 9",
        "SELECT a._id, b._id FROM {t} a LEFT JOIN {t} b ON a.n = b._id ORDER BY b._id, a._id LIMIT 9",
        "SELECT a._id FROM {t} a WHERE EXISTS (SELECT FROM {t} b WHERE b._id = a.n) ORDER BY a.at, a._id LIMIT 4",
        "SELECT a.flag, count(*) FROM {t} a JOIN {t} b ON a.n = b.n GROUP BY a.flag ORDER BY count(*) DESC, a.flag LIMIT 2",
    ]
    # Where the server's join is not chosen, there is nothing to limit: make the others dear.
    for setting in ("enable_hashjoin", "enable_mergejoin", "enable_nestloop"):
        clean.execute(f"SET {setting} = off")
    pushed = [query for query in queries if is_pushed(plan(clean, query.format(t="pushed")))]
    assert len(pushed) >= 4, "\n".join(plan(clean, q.format(t="pushed")) for q in queries if q not in pushed)
    assert not differences(clean, queries)


def test_an_index_serves_the_order_where_nothing_is_null(clean, mongo, connect):
    mongo.clean.create_index([("n", 1), ("_id", 1)])
    mongo.clean.create_index("d")
    options = "ANALYZE, TIMING OFF, SUMMARY OFF"
    by_index = '"sort": {"n": 1, "_id": 1}, "limit": 3'
    fresh = connect()  # what is known of indexes is kept for a while
    # in MongoDB's own order of nulls
    assert by_index in plan(fresh, "SELECT n FROM pushed ORDER BY n NULLS FIRST, _id LIMIT 3", options)
    assert '"sort": {"n": -1, "_id": -1}' in plan(fresh, "SELECT n FROM pushed ORDER BY n DESC NULLS LAST, _id DESC LIMIT 3", options)
    # the command that EXPLAIN shows is tried first, and not used, because there are nulls
    query = "SELECT _id, n FROM {t} ORDER BY n, _id LIMIT 3"
    assert by_index in plan(fresh, query.format(t="pushed"))
    assert '"$sort": {"r0": 1, "k0": 1' in plan(fresh, query.format(t="pushed"), options)
    assert not differences(fresh, [query, "SELECT d FROM {t} ORDER BY d DESC NULLS LAST LIMIT 3"])
    assert '"$project": {"_id": 0, "document"' in plan(fresh, "SELECT d FROM pushed ORDER BY d DESC NULLS LAST LIMIT 3", options)
    mongo.clean.delete_many({"$or": [{"n": None}, {"d": float("nan")}]})
    assert by_index in plan(fresh, query.format(t="pushed"), options)
    assert '"sort": {"d": -1}, "limit": 3' in plan(fresh, "SELECT d FROM pushed ORDER BY d DESC NULLS LAST LIMIT 3", options)
    assert '"sort": {"_id": -1}, "limit": 3' in plan(fresh, "SELECT _id FROM pushed ORDER BY _id DESC LIMIT 3", options)
    assert not differences(fresh, [query, "SELECT d FROM {t} ORDER BY d DESC NULLS LAST LIMIT 3"])
    # another direction than the index has
    assert '"sort"' not in plan(fresh, "SELECT n FROM pushed ORDER BY n, _id DESC LIMIT 3")


def test_a_collection_with_a_collation_is_to_be_sorted_by_bytes(mongo, live_server, connection):
    """SecantusDB heeds the command's collation in filters, not in sorts, so only the command can be looked at."""
    mongo.create_collection("folded", collation={"locale": "en", "strength": 1})
    mongo.folded.insert_one({"_id": 1, "name": "a"})
    connection.execute(f"CREATE FOREIGN TABLE folded (_id int, name text) SERVER {live_server}")
    text = plan(connection, 'SELECT name FROM folded ORDER BY name COLLATE "C" LIMIT 4')
    assert is_pushed(text) and '"collation": {"locale": "simple"}' in text, text


def test_above_a_join_whose_local_plan_has_workers(mongo, live_server, connection):
    """A sorted path of the join with workers loses against the pushed order, and the planner frees it."""
    mongo.left.insert_many({"_id": i, "ref": i % 5} for i in range(20))
    mongo.right.insert_many({"_id": i, "x": 10 - i} for i in range(5))
    for table in ("left", "right"):
        for name, pushdown in (("pushed", "on"), ("kept", "off")):
            connection.execute(
                f"CREATE FOREIGN TABLE {name}_{table} (_id int, ref int, x int) SERVER {live_server}"
                f" OPTIONS (collection '{table}', pushdown '{pushdown}')"
            )
    connection.execute("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0")
    query = "SELECT l._id, r.x FROM {0}_left l LEFT JOIN {0}_right r ON r._id = l.ref ORDER BY r.x NULLS FIRST, l._id LIMIT 7"
    plan = "\n".join(line for (line,) in connection.execute("EXPLAIN " + query.format("pushed")))
    assert '"$lookup"' in plan and '"$limit"' in plan and "Gather" in plan, plan
    pushed, kept = (connection.execute(query.format(name)).fetchall() for name in ("pushed", "kept"))
    assert pushed == kept and len(pushed) == 7

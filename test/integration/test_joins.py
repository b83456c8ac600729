"""Joins of collections on the server: the same rows as with pushdown off."""

import datetime

import pytest
from bson import Decimal128, Int64, ObjectId

ORDERS = [
    *({"_id": i, "customer": i % 7, "code": f"c{i % 5}", "total": i} for i in range(40)),
    {"_id": 100},
    {"_id": 101, "customer": None, "code": None},
    {"_id": 102, "customer": 3.0, "code": ""},
    {"_id": 103, "customer": Int64(4), "code": "$c1"},
    {"_id": 104, "customer": Decimal128("5.0"), "code": "C1"},
    {"_id": 105, "customer": 99},
]
CUSTOMERS = [
    *({"_id": i, "name": f"name {i}", "code": f"c{i}", "city": {"id": i % 3}} for i in range(6)),
    {"_id": 50, "name": None},
    {"_id": 51, "name": "no code", "code": None},
    {"_id": 52, "name": "twice", "code": "c1", "city": {"id": None}},
    {"_id": 53, "code": "$c1", "city": 5},
]
CITIES = [{"_id": i, "name": f"city {i}"} for i in range(2)]

QUERIES = [
    "SELECT o._id, c.name FROM {0}_orders o JOIN {0}_customers c ON c._id = o.customer",
    "SELECT o._id, c.name FROM {0}_orders o JOIN {0}_customers c ON c.code = o.code",
    "SELECT o._id, c._id, c.name FROM {0}_orders o LEFT JOIN {0}_customers c ON c._id = o.customer",
    "SELECT o._id, o.code, c._id FROM {0}_orders o LEFT JOIN {0}_customers c ON c.code = o.code",
    "SELECT o._id FROM {0}_orders o WHERE EXISTS (SELECT 1 FROM {0}_customers c WHERE c._id = o.customer)",
    "SELECT o._id FROM {0}_orders o WHERE o.code IN (SELECT code FROM {0}_customers)",
    "SELECT o._id FROM {0}_orders o WHERE NOT EXISTS (SELECT 1 FROM {0}_customers c WHERE c.code = o.code)",
    "SELECT o._id, c.name, t.name FROM {0}_orders o JOIN {0}_customers c ON c._id = o.customer JOIN {0}_cities t ON t._id = c.city",
    "SELECT o._id, c.name, t.name FROM {0}_orders o LEFT JOIN {0}_customers c ON c._id = o.customer"
    " LEFT JOIN {0}_cities t ON t._id = c.city",
]
WITH_CONDITIONS = [
    "SELECT o._id FROM {0}_orders o LEFT JOIN {0}_customers c ON c.code = o.code WHERE c._id IS NULL",
    "SELECT o._id, c.name FROM {0}_orders o JOIN {0}_customers c ON c._id = o.customer WHERE o.total > 20",
    "SELECT o._id, c.name FROM {0}_orders o JOIN {0}_customers c ON c._id = o.customer WHERE c.city = 1",
    "SELECT o._id, c.name FROM {0}_orders o LEFT JOIN {0}_customers c ON c._id = o.customer AND c.city = 1",
    "SELECT o._id, c._id FROM {0}_orders o JOIN {0}_customers c ON c.code = o.code AND c._id < o.total",
]


@pytest.fixture
def tables(mongo, live_server, connection):
    mongo.orders.insert_many(ORDERS)
    mongo.customers.insert_many(CUSTOMERS)
    mongo.cities.insert_many(CITIES)
    mongo.customers.create_index("code")
    for prefix, pushdown in (("pushed", "on"), ("kept", "off")):
        for name, columns in (
            ("orders", "_id int, customer int, code text, total int"),
            ("customers", "_id int, name text, code text, city int OPTIONS (field 'city.id'), document jsonb OPTIONS (field '$$ROOT')"),
            ("cities", "_id int, name text"),
        ):
            connection.execute(
                f"CREATE FOREIGN TABLE {prefix}_{name} ({columns}) SERVER {live_server}"
                f" OPTIONS (collection '{name}', pushdown '{pushdown}', on_mismatch 'null')"
            )
    connection.execute("SET client_min_messages = error")
    for method in ("hashjoin", "mergejoin", "nestloop"):
        connection.execute(f"SET enable_{method} = off")  # whatever the costs say of tables this small
    return connection


def rows(connection, query, prefix):
    return sorted(map(repr, connection.execute(query.format(prefix)).fetchall()))


def plan(connection, query):
    return "\n".join(line for (line,) in connection.execute("EXPLAIN (VERBOSE) " + query))


def test_joins_are_done_on_the_server_with_the_same_rows(tables):
    problems = []
    for query in QUERIES + WITH_CONDITIONS:
        if "$lookup" not in plan(tables, query.format("pushed")):
            problems.append("not sent: " + query)
        if "$lookup" in plan(tables, query.format("kept")):
            problems.append("sent with pushdown off: " + query)
        if rows(tables, query, "pushed") != rows(tables, query, "kept"):
            problems.append("other rows: " + query)
    assert not problems, "\n".join(problems)


def test_a_join_with_a_local_table_looks_documents_up(tables, mongo):
    """An index on the joined field: the server is asked for each row of the local table, not for the collection."""
    mongo.many.insert_many([{"_id": i, "code": f"c{i}", "n": i % 10} for i in range(5000)])
    mongo.many.create_index("code")
    for prefix, pushdown in (("pushed", "on"), ("kept", "off")):
        tables.execute(
            f"CREATE FOREIGN TABLE {prefix}_many (_id int, code text, n int) SERVER live"
            f" OPTIONS (collection 'many', pushdown '{pushdown}')"
        )
    tables.execute("RESET ALL")
    tables.execute("CREATE TABLE wanted AS SELECT i AS id, 'c' || i AS code FROM generate_series(1, 5) i")
    tables.execute("INSERT INTO wanted VALUES (NULL, NULL), (-1, 'none'), (4999, 'c4999')")
    tables.execute("ANALYZE wanted")
    for condition in ("m.code = w.code", "m._id = w.id", "m._id = w.id + 1", "w.id = m._id AND m.code = w.code"):
        query = f"SELECT w.id, m.n FROM wanted w JOIN {{0}}_many m ON {condition}"
        text = plan(tables, query.format("pushed"))
        assert "Nested Loop" in text and "$parameter" in text, text
        assert rows(tables, query, "pushed") == rows(tables, query, "kept")
        received = "\n".join(line for (line,) in tables.execute("EXPLAIN (ANALYZE) " + query.format("pushed")))
        assert int(received.split("Documents Received: ")[1].split()[0]) <= 7, received
    query = "SELECT w.id, m.n FROM wanted w LEFT JOIN {0}_many m ON m.code = w.code"
    assert rows(tables, query, "pushed") == rows(tables, query, "kept")
    query = "SELECT w.id, (SELECT n FROM {0}_many m WHERE m.code = w.code) FROM wanted w"
    assert rows(tables, query, "pushed") == rows(tables, query, "kept")


def test_odd_documents_call_for_the_local_plan(tables, mongo):
    """A string in an integer key is NULL here (on_mismatch), and equal to another such string there."""
    mongo.orders.insert_one({"_id": 900, "customer": "x", "total": 1})
    mongo.customers.insert_one({"_id": "x", "name": "never joined"})
    query = QUERIES[0]
    assert rows(tables, query, "pushed") == rows(tables, query, "kept")
    text = "\n".join(line for (line,) in tables.execute("EXPLAIN (ANALYZE) " + query.format("pushed")))
    assert "Local Plan Runs: 1" in text, text


def test_days_are_joined_by_day(tables, mongo):
    """Not by the times of day that the fields have."""
    day = datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)
    mongo.days.insert_many({"_id": hour, "day": day + datetime.timedelta(hours=hour)} for hour in (0, 1, 23, 24))
    for prefix, pushdown in (("pushed", "on"), ("kept", "off")):
        tables.execute(
            f"CREATE FOREIGN TABLE {prefix}_days (_id int, day date) SERVER live OPTIONS (collection 'days', pushdown '{pushdown}')"
        )
    query = "SELECT a._id, b._id FROM {0}_days a JOIN {0}_days b ON a.day = b.day"
    assert "$lookup" in plan(tables, query.format("pushed"))
    assert rows(tables, query, "pushed") == rows(tables, query, "kept")
    assert len(rows(tables, query, "pushed")) == 10

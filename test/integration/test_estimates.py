"""How many rows the planner expects, what it takes a scan to cost, and what it asks a server for that.

Planning must neither fail nor wait for long because of a server.
"""

import json
import socket
import time

import bson
import pymongo
import pytest
from psycopg import errors

from harness.fake_mongodb import FakeMongo

REFUSED = {"ok": 0, "code": 13, "codeName": "Unauthorized", "errmsg": "not authorized"}
NO_INDEXES = {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": []}, "ok": 1}


def plan(connection, query):
    connection.execute("SET max_parallel_workers_per_gather = 0")
    return connection.execute("EXPLAIN (FORMAT JSON) " + query).fetchone()[0][0]["Plan"]


def rows(connection, query="SELECT * FROM things"):
    return plan(connection, query)["Plan Rows"]


def cost(connection, query="SELECT * FROM things"):
    return plan(connection, query)["Total Cost"]


@pytest.fixture
def fake_table(psql, make_table):
    """fake_table(uri, server_options="", **table options): things of a server that answers as a test wants"""

    def make(uri, server_options="", **options):
        psql(f"CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{uri}', database 'shop'{server_options})")
        make_table("fake", **options)

    return make


def statistics(documents, size=100):
    return {"ns": "shop.things", "count": documents, "size": documents * size, "ok": 1}


def asked(fake, *names):
    return [name for name in (next(iter(command)) for command in fake.commands) if name in names]


def eventually(connection, check):
    """On a busy machine a real server may take longer than the two seconds that planning waits."""
    for _ in range(10):
        if check():
            return True
        connection.execute("SELECT mongoferry.disconnect_all()")  # forgets that it was silent
    return False


def listed(*indexes):
    documents = [{"v": 2, "key": {"_id": 1}, "name": "_id_"}, *indexes]
    return {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": documents}, "ok": 1}


# --- where the numbers come from --------------------------------------------------------------------------------------


def test_rows_are_those_of_the_server(mongo, live_server, make_table, connection):
    mongo.things.insert_many({"_id": i, "n": i} for i in range(4567))
    make_table(live_server)
    assert eventually(connection, lambda: rows(connection) == 4567)


def test_an_unwound_table_has_some_rows_a_document(fake_table, connection):
    with FakeMongo({"collstats": statistics(2000)}) as fake:
        fake_table(fake.uri, unwind="items", columns="_id int, item int OPTIONS (field 'items')")
        assert rows(connection) == 6000


def test_a_file_is_measured(write_dump, psql, make_table, connection):
    folder = write_dump({"things": [{"_id": i, "n": i} for i in range(5000)]})
    psql(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    make_table("dump")
    assert 4500 < rows(connection) < 5500


def test_a_collection_that_is_not_there_yet(mongo, live_server, make_table, connection):
    make_table(live_server)
    assert rows(connection) == 1000


def test_what_analyze_found_counts_more(mongo, live_server, make_table, connection):
    mongo.things.insert_many({"_id": i, "n": i % 10} for i in range(500))
    make_table(live_server)
    connection.execute("ANALYZE things")
    mongo.things.insert_many({"_id": i, "n": i % 10} for i in range(500, 2000))
    assert rows(connection) == 500
    connection.execute("ALTER FOREIGN TABLE things OPTIONS (ADD use_remote_estimate 'on')")
    assert eventually(connection, lambda: rows(connection) == 2000)
    assert eventually(connection, lambda: rows(connection, "SELECT * FROM things WHERE s IS NULL AND n = 3") == 200)  # counted
    connection.execute("ALTER FOREIGN TABLE things OPTIONS (SET use_remote_estimate 'off')")
    assert rows(connection) == 500


def test_an_analyzed_table_is_planned_without_a_question(fake_table, connection):
    with FakeMongo({"collstats": statistics(77)}) as fake:
        fake_table(fake.uri)
        connection.execute("UPDATE pg_class SET reltuples = 33000, relpages = 5 WHERE relname = 'things'")
        assert rows(connection) == 33000
        assert fake.commands == []


def test_a_chunk_is_planned_without_a_question(fake_table, connection):
    with FakeMongo({"collstats": statistics(77)}) as fake:
        fake_table(fake.uri)
        plan(connection, "SELECT * FROM things WHERE mongoferry.in_chunk(tableoid, NULL)")
        assert fake.commands == []


def test_a_time_series_counts_its_buckets(fake_table, connection):
    series = {"ns": "shop.things", "size": 1000000, "timeseries": {"bucketCount": 50}, "ok": 1}
    with FakeMongo({"collstats": series}) as fake:
        fake_table(fake.uri)
        assert rows(connection) == 5000


def test_views_are_planned_by_constants(fake_table, connection):
    refusal = {"ok": 0, "code": 166, "codeName": "CommandNotSupportedOnView", "errmsg": "Namespace is a view"}
    with FakeMongo({"collstats": refusal, "listindexes": refusal}) as fake:
        fake_table(fake.uri)
        assert rows(connection) == 1000
        assert rows(connection, "SELECT * FROM things WHERE n = 1") == 5
        assert asked(fake, "count") == []  # that would evaluate all of it


def test_without_the_right_to_statistics_documents_are_counted(fake_table, connection):
    with FakeMongo({"collstats": REFUSED, "listindexes": REFUSED, "count": {"n": 4321, "ok": 1}}) as fake:
        fake_table(fake.uri)
        assert rows(connection) == 4321
        rows(connection, "SELECT * FROM things WHERE n = 1")


@pytest.mark.parametrize("answer", [{"ok": 1}, {"count": "many", "size": "big", "ok": 1}, {"count": -5, "size": -1, "ok": 1},
                                    {"count": float("nan"), "size": float("inf"), "ok": 1}])
def test_senseless_statistics(fake_table, connection, answer):
    with FakeMongo({"collstats": answer, "listindexes": {"cursor": 1, "ok": 1}}) as fake:
        fake_table(fake.uri)
        assert rows(connection) == 1000
        assert rows(connection, "SELECT * FROM things WHERE n = 1") == 5


def test_corrupt_indexes(fake_table, connection):
    """A byte of the description of an index is wrong."""
    whole = bson.encode(listed({"v": 2, "key": {"n": 1, "s": -1}, "name": "n_1_s_-1", "unique": True}))
    start = whole.index(b"key\0", whole.index(b"_id_")) - 10
    with FakeMongo({"collstats": statistics(2000)}) as fake:
        fake_table(fake.uri)
        for at in range(start, len(whole)):
            fake.answers["listindexes"] = whole[:at] + bytes([whole[at] ^ 0x4F]) + whole[at + 1 :]
            assert rows(connection, "SELECT * FROM things WHERE n = 1") == 10
            connection.execute("SELECT mongoferry.disconnect('fake')")
        assert len(asked(fake, "listIndexes")) >= len(whole) - start


# --- how often, and how long ------------------------------------------------------------------------------------------


def test_a_server_is_asked_once_in_a_while(fake_table, connection):
    with FakeMongo({"collstats": statistics(2000), "listindexes": NO_INDEXES}) as fake:
        fake_table(fake.uri)

        def questions():
            before = len(asked(fake, "collStats", "listIndexes"))
            assert rows(connection) == 2000
            rows(connection, "SELECT * FROM things WHERE n = 1")
            return len(asked(fake, "collStats", "listIndexes")) - before

        start = time.monotonic()
        assert questions() == 2
        assert questions() == 0
        assert time.monotonic() - start < 9
        connection.execute("ALTER SERVER fake OPTIONS (ADD fetch_size '10')")
        assert questions() == 2
        connection.execute("SELECT mongoferry.disconnect('fake')")
        assert questions() == 2
        fake.answers["collstats"] = statistics(3000)
        time.sleep(10.5)
        assert rows(connection) == 3000


def test_nobody_there(fake_table, connection):
    fake_table("mongodb://127.0.0.1:1/")
    assert rows(connection) == 1000
    assert rows(connection, "SELECT * FROM things WHERE n = 1") == 5


def test_a_silent_server_is_not_waited_for_for_long(fake_table, connection):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fake_table(f"mongodb://127.0.0.1:{listener.getsockname()[1]}/")
        start = time.monotonic()
        assert rows(connection) == 1000
        assert 1.5 < time.monotonic() - start < 6
        start = time.monotonic()
        assert rows(connection, "SELECT * FROM things WHERE n = 1") == 5
        assert time.monotonic() - start < 1


def test_a_server_without_an_answer_is_not_waited_for_for_long(fake_table, connection):
    """The connection stands, and the command gets no reply. A scan afterwards has another connection."""
    batch = {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": [{"_id": 1, "n": 7}]}, "ok": 1}
    with FakeMongo({"collstats": None, "find": batch}) as fake:
        fake_table(fake.uri)
        start = time.monotonic()
        assert rows(connection) == 1000
        assert 1.5 < time.monotonic() - start < 6
        assert connection.execute("SELECT n FROM things").fetchall() == [(7,)]
        assert all(command["maxTimeMS"] <= 2000 for command in fake.commands if "collStats" in command)


def test_planning_leaves_the_connection_of_an_open_scan_alone(fake_table, make_table, connection):
    def batch(name, number, cursor):
        return {"cursor": {"id": cursor, "ns": "shop.things", name: [{"_id": number, "n": number}]}, "ok": 1}

    with FakeMongo({"collstats": statistics(10), "find": batch("firstBatch", 1, 4711), "getmore": batch("nextBatch", 2, 0)}) as fake:
        fake_table(fake.uri, fetch_size=1)
        make_table("fake", table="others")
        connection.execute("BEGIN; DECLARE c CURSOR FOR SELECT n FROM things")
        assert connection.execute("FETCH 1 FROM c").fetchall() == [(1,)]
        fake.answers["collstats"] = None
        assert rows(connection, "SELECT * FROM others") == 1000
        assert connection.execute("FETCH 2 FROM c").fetchall() == [(2,)]


def test_planning_can_be_cancelled(fake_table, connection):
    with FakeMongo({"collstats": None}) as fake:
        fake_table(fake.uri)
        connection.execute("SET statement_timeout = '300ms'")
        start = time.monotonic()
        with pytest.raises(errors.QueryCanceled):
            rows(connection)
        assert time.monotonic() - start < 1.8
        connection.execute("SET statement_timeout = 0")
        assert rows(connection) == 1000


# --- filters ----------------------------------------------------------------------------------------------------------


def test_with_remote_estimates_the_server_counts(fake_table, make_table, connection):
    def count(_, command):
        return {"n": {1: 37, 2: 4963}.get(command["query"]["n"], 0), "ok": 1}

    with FakeMongo({"collstats": statistics(5000), "count": count}) as fake:
        fake_table(fake.uri)
        make_table("fake", table="counted", collection="things", use_remote_estimate="on")
        assert rows(connection, "SELECT * FROM things WHERE n = 1") == 25  # a two hundredth
        assert rows(connection, "SELECT * FROM counted WHERE n = 1") == 37
        assert rows(connection, "SELECT * FROM counted WHERE n = 4") == 1
        # what stays here is PostgreSQL's to estimate
        assert rows(connection, "SELECT * FROM counted WHERE n = 2 AND md5(s) = 'a'") == 25
        connection.execute("PREPARE of_n(int) AS SELECT * FROM counted WHERE n = $1")
        assert rows(connection, "EXECUTE of_n(1)") == 37
        connection.execute("SET plan_cache_mode = force_generic_plan")
        assert rows(connection, "EXECUTE of_n(1)") == 25
        connection.execute("ALTER SERVER fake OPTIONS (ADD use_remote_estimate 'on')")
        assert rows(connection, "SELECT * FROM things WHERE n = 1") == 37


def test_a_real_server_counts(mongo, live_server, make_table, connection):
    mongo.things.insert_many({"_id": i, "n": 1 if i < 37 else 2, "at": None} for i in range(1000))
    make_table(live_server, columns="_id int, n int, at timestamptz", use_remote_estimate="on")
    assert eventually(connection, lambda: rows(connection, "SELECT * FROM things WHERE n = 1") == 37)
    # stable functions have a value in the planner too
    assert eventually(connection, lambda: rows(connection, "SELECT * FROM things WHERE n < 2 AND (at < now() OR at IS NULL)") == 37)


def test_the_count_is_bounded_and_remembered(fake_table, connection):
    with FakeMongo({"collstats": statistics(10**9), "count": {"n": 100000, "ok": 1}}) as fake:
        fake_table(fake.uri, use_remote_estimate="on")
        assert rows(connection, "SELECT * FROM things WHERE n = 1") == 5_000_000  # more than it counts to
        plan(connection, "SELECT * FROM things WHERE n = 1")
        counts = [command for command in fake.commands if "count" in command]
        assert len(counts) == 1
        assert counts[0]["collation"] == {"locale": "simple"}  # as the scan compares strings
        assert counts[0]["limit"] == 100000 and 0 < counts[0]["maxTimeMS"] <= 1500
        plan(connection, "SELECT * FROM things WHERE n = 2")
        assert len(asked(fake, "count")) == 2


def test_a_count_that_takes_too_long(fake_table, connection):
    expired = {"ok": 0, "code": 50, "codeName": "MaxTimeMSExpired", "errmsg": "operation exceeded time limit"}
    with FakeMongo({"collstats": statistics(2000), "count": expired}) as fake:
        fake_table(fake.uri, use_remote_estimate="on")
        for _ in range(3):
            assert rows(connection, "SELECT * FROM things WHERE n = 1") == 10
        assert len(asked(fake, "count")) == 1


INDEXES = {
    "n_1": ({"n": 1}, True),
    "n_-1": ({"n": -1}, True),
    "n_1_s_1": ({"n": 1, "s": 1}, True),
    "s_1_n_1": ({"s": 1, "n": 1}, False),
    "hashed": ({"n": "hashed"}, True),
    "text": ({"n": "text"}, False),
    "wildcard": ({"$**": 1}, False),
    "sparse": ({"n": 1}, {"sparse": True}, False),
    "partial": ({"n": 1}, {"partialFilterExpression": {"n": {"$gt": 5}}}, False),
    "hidden": ({"n": 1}, {"hidden": True}, False),
    "not hidden": ({"n": 1}, {"hidden": False}, True),
    "collation": ({"n": 1}, {"collation": {"locale": "de"}}, False),
    "unique": ({"n": 1}, {"unique": True}, True),
}


@pytest.mark.parametrize("name", INDEXES)
def test_a_filter_is_cheap_with_an_index_that_serves_it(fake_table, connection, name):
    keys, *options, helps = INDEXES[name]
    index = {"v": 2, "key": keys, "name": name, **(options[0] if options else {})}
    with FakeMongo({"collstats": statistics(1000000), "listindexes": listed(index)}) as fake:
        fake_table(fake.uri)
        whole, filtered = cost(connection), cost(connection, "SELECT * FROM things WHERE n = 1")
        assert cost(connection, "SELECT * FROM things WHERE _id = 1") < whole / 10
        # without one the server goes through all of it, though no more comes over than with it
        assert filtered < whole / 10 if helps else filtered > whole / 20
        assert (filtered == cost(connection, "SELECT * FROM things WHERE _id = 1")) is helps


def test_a_hashed_index_serves_equality_alone(fake_table, connection):
    index = {"v": 2, "key": {"n": "hashed"}, "name": "n_hashed"}
    with FakeMongo({"collstats": statistics(1000000), "listindexes": listed(index)}) as fake:
        fake_table(fake.uri)
        connection.execute("UPDATE pg_class SET reltuples = 1000000 WHERE relname = 'things'")
        both = [cost(connection, f"SELECT * FROM things WHERE {condition}") for condition in ("n = 1", "n BETWEEN 1 AND 2")]
        assert both[0] < both[1] / 2


def test_an_alternative_without_an_index_spoils_it(fake_table, connection):
    with FakeMongo({"collstats": statistics(20000), "listindexes": listed({"key": {"n": 1}, "name": "n_1"})}) as fake:
        fake_table(fake.uri, columns="_id int, n int, s int", fdw_startup_cost="0")
        served = cost(connection, "SELECT * FROM things WHERE n = 1 OR _id = 2")
        spoilt = cost(connection, "SELECT * FROM things WHERE n = 1 OR s = 2")
        assert served * 2 < spoilt
        assert cost(connection, "SELECT * FROM things WHERE n = 1 AND s = 2") < served


# --- costs ------------------------------------------------------------------------------------------------------------


def test_the_costs_that_are_set(fake_table, connection):
    with FakeMongo({"collstats": statistics(2000)}) as fake:
        fake_table(fake.uri, ", fdw_startup_cost '7', fdw_tuple_cost '0'")
        free = plan(connection, "SELECT * FROM things")
        assert free["Startup Cost"] == 7
        connection.execute("ALTER FOREIGN TABLE things OPTIONS (ADD fdw_tuple_cost '1.5')")
        assert abs(cost(connection) - free["Total Cost"] - 3000) < 0.1
        connection.execute("ALTER FOREIGN TABLE things OPTIONS (ADD fdw_startup_cost '1007')")
        dear = plan(connection, "SELECT * FROM things")
        assert dear["Startup Cost"] == 1007 and abs(dear["Total Cost"] - free["Total Cost"] - 4000) < 0.1


def test_bytes_and_round_trips_cost(fake_table, connection):
    with FakeMongo({"collstats": statistics(2000, size=50000)}) as fake:
        fake_table(fake.uri, columns="_id int, n int, document jsonb OPTIONS (field '$$ROOT')")
        narrow, wide = (cost(connection, f"SELECT {column} FROM things") for column in ("n", "document"))
        assert wide - narrow > 10000  # 100 MB are 12207 pages
        connection.execute("ALTER FOREIGN TABLE things OPTIONS (ADD fetch_size '10')")
        assert cost(connection, "SELECT n FROM things") - narrow > 1000


@pytest.mark.parametrize("value, told", [("-1", "-1 is outside the valid range"), ("dear", 'invalid value for option "fdw_tuple_cost": "dear"'),
                                         ("NaN", "valid"), ("1e300", "outside the valid range")])
def test_costs_that_are_none(connection, live_server, value, told):
    with pytest.raises(errors.InvalidParameterValue, match=told):
        connection.execute(f"ALTER SERVER {live_server} OPTIONS (ADD fdw_tuple_cost '{value}')")


def test_the_smaller_collection_is_hashed(fake_table, make_table, connection):
    def answer(_, command):
        return statistics({"large": 6000, "small": 300}[command["collStats"]])

    with FakeMongo({"collstats": answer}) as fake:
        fake_table(fake.uri)
        for table in ("large", "small"):
            make_table("fake", table=table, pushdown="off")
        connection.execute("SET enable_mergejoin = off; SET enable_nestloop = off")
        for query in ("large JOIN small USING (n)", "small JOIN large USING (n)"):
            text = json.dumps(plan(connection, f"SELECT * FROM {query}"))
            assert text.index('"large"') < text.index('"Hash"', text.index('"Hash Join"') + 11) < text.index('"small"')


def test_indexes_of_a_real_server(mongo, live_server, make_table, connection):
    mongo.things.insert_many({"_id": i, "a": {"b": i}} for i in range(5000))
    make_table(live_server, columns="_id int, b int OPTIONS (field 'a.b')", fdw_startup_cost="0")
    assert eventually(connection, lambda: rows(connection) == 5000)
    before = cost(connection, "SELECT * FROM things WHERE b = 1")
    mongo.things.create_index([("a.b", pymongo.DESCENDING), ("x", 1)])
    connection.execute(f"SELECT mongoferry.disconnect('{live_server}')")
    assert eventually(connection, lambda: cost(connection, "SELECT * FROM things WHERE b = 1") * 2 < before)

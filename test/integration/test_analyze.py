"""ANALYZE of foreign tables: what it finds, and what it reads for that."""

import time

import psycopg
import pymongo
import pytest
from psycopg import errors

from harness.fake_mongodb import FakeMongo


@pytest.fixture
def analyze(connection):
    """analyze(target=None, table="things"): (rows, pages) as the catalog has them afterwards; notices in analyze.told"""

    def run(target=None, table="things"):
        run.told = []
        keep = lambda notice: run.told.append((notice.severity, notice.message_primary, notice.message_detail))
        connection.add_notice_handler(keep)
        if target is not None:
            connection.execute(f"SET default_statistics_target = {target}")
        connection.execute(f"ANALYZE VERBOSE {table}")
        connection.remove_notice_handler(keep)
        run.sampled = next(int(text.split("; ")[1].split(" ")[0]) for _, text, _ in run.told if "rows in sample" in text)
        return connection.execute(f"SELECT reltuples::float8, relpages FROM pg_class WHERE oid = '{table}'::regclass").fetchone()

    return run


def statistic(connection, column, what, table="things"):
    return connection.execute(f"SELECT {what} FROM pg_stats WHERE tablename = %s AND attname = %s", (table, column)).fetchone()[0]


def expected_rows(connection, condition):
    plan = connection.execute(f"EXPLAIN (FORMAT JSON) SELECT * FROM things WHERE {condition}").fetchone()[0][0]["Plan"]
    return plan["Plan Rows"]


# --- live -------------------------------------------------------------------------------------------------------------


def test_a_small_collection_is_read_whole(mongo, live_server, make_table, connection, analyze):
    mongo.things.insert_many({"_id": i, "n": i % 4 if i % 10 else None, "s": "x" * 100} for i in range(1000))
    make_table(live_server)
    rows, pages = analyze()
    assert rows == 1000 and analyze.sampled == 1000
    assert pages == -(-int(mongo.command("collStats", "things")["size"]) // 8192) > 10
    assert statistic(connection, "n", "null_frac") == pytest.approx(0.1)
    assert sorted(statistic(connection, "n", "most_common_vals::text::int[]")) == [0, 1, 2, 3]
    assert statistic(connection, "_id", "n_distinct") == -1
    assert statistic(connection, "s", "avg_width") == 101


def test_selectivities_rest_on_it(mongo, live_server, make_table, connection, analyze):
    mongo.things.insert_many({"_id": i, "n": 1 if i < 900 else i, "s": "x"} for i in range(1000))
    make_table(live_server)
    assert expected_rows(connection, "n = 1") == 5
    analyze()
    assert expected_rows(connection, "n = 1") == 900
    assert expected_rows(connection, "n = 950") == 1
    assert expected_rows(connection, "s IS NULL") == 1


@pytest.fixture
def large(mongo, proxy, psql, make_table):
    """5000 documents, of a kilobyte each, behind a proxy that counts; ANALYZE with target 1 wants 300."""
    mongo.things.insert_many({"_id": i, "n": i, "s": "x" * 1000} for i in range(5000))
    between = proxy()
    psql(f"CREATE SERVER counted FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{between.uri}', database '{mongo.name}')")
    return between


def test_of_a_large_collection_only_a_sample_comes_over(large, make_table, connection, analyze):
    make_table("counted")
    assert analyze(target=1)[0] == 5000
    assert analyze.sampled == 300
    assert 300_000 < large.bytes_from_server < 1_000_000
    low, high = statistic(connection, "_id", "histogram_bounds::text::int[]")
    assert low < 500 and high > 4500  # not the first ones


def test_only_the_fields_of_the_columns_come_over(large, make_table, analyze):
    make_table("counted", columns="_id int, n int")
    assert analyze(target=1)[0] == 5000
    assert large.bytes_from_server < 100_000


def test_sampling_off_reads_everything(large, make_table, connection, analyze):
    make_table("counted", analyze_sampling="off")
    assert analyze(target=1)[0] == 5000
    assert analyze.sampled == 300
    assert large.bytes_from_server > 4_500_000
    low, high = statistic(connection, "_id", "histogram_bounds::text::int[]")
    assert low < 500 and high > 4500


def test_the_server_says_how_many_there_are_and_chooses(psql, make_table, analyze):
    documents = [{"_id": i, "n": i} for i in range(300)]
    reply = {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": documents}, "ok": 1}
    with FakeMongo({"collstats": {"count": 10**9, "size": 10**12, "ok": 1}, "aggregate": reply}) as fake:
        psql(f"CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{fake.uri}', database 'shop')")
        make_table("fake")
        rows, pages = analyze(target=1)
        assert rows == pytest.approx(10**9) and pages == 10**12 // 8192 + 1
        command = next(command for command in fake.commands if "aggregate" in command)
        # nothing before $sample, or the server would read the collection; no disk where memory will do
        assert [list(stage) for stage in command["pipeline"]] == [["$sample"], ["$project"]]
        assert command["pipeline"][0]["$sample"]["size"] == 300 and "allowDiskUse" not in command


def test_a_large_sample_may_use_the_disk(psql, make_table, analyze):
    reply = {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": [{"_id": 1}]}, "ok": 1}
    with FakeMongo({"collstats": {"count": 1000, "size": 10**9, "ok": 1}, "aggregate": reply}) as fake:
        psql(f"CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{fake.uri}', database 'shop')")
        make_table("fake")
        analyze(target=1)
        assert next(command for command in fake.commands if "aggregate" in command)["allowDiskUse"] is True


def test_a_random_cursor_without_luck(psql, make_table, analyze, connection):
    """$sample on a random cursor gives up when it meets the same documents too often; that is tried again."""
    unlucky = {"ok": 0, "code": 28799, "codeName": "Location28799", "errmsg": "$sample stage could not find a non-duplicate document"}
    reply = {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": [{"_id": 1}]}, "ok": 1}
    answers = [unlucky, unlucky, reply, unlucky, unlucky, unlucky]
    with FakeMongo({"collstats": {"count": 10**6, "size": 10**8, "ok": 1}, "aggregate": lambda *_: answers.pop(0)}) as fake:
        psql(f"CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{fake.uri}', database 'shop')")
        make_table("fake")
        assert analyze()[0] == 10**6
        with pytest.raises(errors.FdwError):
            connection.execute("ANALYZE things")


def test_random_sampling_of_a_small_collection(psql, make_table, analyze):
    reply = {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": [{"_id": 1}]}, "ok": 1}
    with FakeMongo({"collstats": {"count": 50, "size": 5000, "ok": 1}, "aggregate": reply}) as fake:
        psql(f"CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{fake.uri}', database 'shop', analyze_sampling 'random')")
        make_table("fake")
        analyze()
        assert any("$sample" in stage for command in fake.commands if "aggregate" in command for stage in command["pipeline"])
        assert not any("find" in command for command in fake.commands)


def test_metadata_that_are_wrong(psql, make_table, analyze):
    """After a crash the server may count nothing where there is a lot."""
    many = [{"_id": i, "n": i} for i in range(301)]

    def aggregate(_, command):
        documents = [{"_id": None, "n": 7000}] if "$group" in command["pipeline"][0] else many[:300]
        return {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": documents}, "ok": 1}

    find = {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": many}, "ok": 1}
    listed = {"cursor": {"id": 0, "ns": "shop.$cmd.listCollections", "firstBatch": [{"name": "things", "type": "collection"}]}, "ok": 1}
    with FakeMongo({"collstats": {"count": 0, "size": 0, "ok": 1}, "find": find, "aggregate": aggregate, "listcollections": listed}) as fake:
        psql(f"CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{fake.uri}', database 'shop')")
        make_table("fake")
        assert analyze(target=1)[0] == 7000
        assert analyze.sampled == 300
        assert [command["limit"] for command in fake.commands if "find" in command] == [301]


@pytest.mark.parametrize("documents", [200, 5000])
def test_an_unwound_table(mongo, live_server, make_table, connection, analyze, documents):
    mongo.things.insert_many({"_id": i, "items": [{"q": j} for j in range(i % 5)]} for i in range(documents))
    make_table(live_server, unwind="items", columns="_id int, position int OPTIONS (field '$$INDEX'), q int OPTIONS (field 'items.q')")
    rows, _ = analyze(target=1)
    assert rows == documents * 2 if documents == 200 else documents * 1.6 < rows < documents * 2.4
    assert analyze.sampled == 300
    assert sorted(statistic(connection, "q", "most_common_vals::text::int[]"))[0] == 0


def test_a_view_and_an_empty_collection(mongo, live_server, make_table, analyze):
    mongo.things.insert_many({"_id": i, "n": i % 2} for i in range(1000))
    mongo.command("create", "seen", viewOn="things", pipeline=[{"$match": {"n": 1}}])
    make_table(live_server, table="seen")
    make_table(live_server, table="nothing")
    assert analyze(target=1, table="seen")[0] == 500
    assert analyze(table="nothing") == (0, 1)


def test_partitions_are_analyzed_with_their_parent(mongo, live_server, connection):
    mongo.old.insert_many({"_id": i, "n": i} for i in range(100))
    mongo.new.insert_many({"_id": i, "n": i} for i in range(100, 400))
    connection.execute("CREATE TABLE things (_id int, n int) PARTITION BY RANGE (_id)")
    for name, bounds in (("old", "FROM (0) TO (100)"), ("new", "FROM (100) TO (400)")):
        connection.execute(f"CREATE FOREIGN TABLE {name} PARTITION OF things FOR VALUES {bounds} SERVER {live_server}")
    connection.execute("ANALYZE things")
    bounds = statistic(connection, "n", "histogram_bounds::text::int[]")
    assert (bounds[0], bounds[-1]) == (0, 399)
    assert connection.execute("SELECT reltuples FROM pg_class WHERE relname = 'things'").fetchone() == (400,)


def test_analyze_can_be_cancelled(psql, make_table, connection):
    with FakeMongo({"collstats": {"count": 50, "size": 5000, "ok": 1}, "find": None}) as fake:
        psql(f"CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{fake.uri}', database 'shop')")
        make_table("fake")
        connection.execute("SET statement_timeout = '300ms'")
        start = time.monotonic()
        with pytest.raises(errors.QueryCanceled):
            connection.execute("ANALYZE things")
        assert time.monotonic() - start < 3


def test_nobody_there(psql, make_table, connection):
    psql("CREATE SERVER away FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://127.0.0.1:1/', database 'shop')")
    make_table("away")
    with pytest.raises(errors.SqlclientUnableToEstablishSqlconnection):
        connection.execute("ANALYZE things")


# --- both -------------------------------------------------------------------------------------------------------------


def test_values_that_do_not_fit_are_told_and_count_as_null(mongo, live_server, write_dump, psql, make_table, connection, analyze):
    documents = [{"_id": i, "n": "many" if i < 20 else i, "s": "a\0b" if i < 10 else "b"} for i in range(100)]
    mongo.things.insert_many(documents)
    make_table(live_server, on_mismatch="error", on_nul="error")
    psql(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{write_dump({'things': documents})}')")
    make_table("dump", table="dumped", collection="things")
    for table in ("things", "dumped"):
        with pytest.raises(psycopg.Error):
            connection.execute(f"SELECT n FROM {table}")
        assert analyze(table=table)[0] == 100
        (told,) = [(text, detail) for severity, text, detail in analyze.told if severity == "WARNING"]
        assert told[0].startswith("30 values of 2 columns")
        assert '"n" (integer): 20 values' in told[1] and '{"_id": 0}' in told[1]
        assert statistic(connection, "n", "null_frac", table) == pytest.approx(0.2)
        assert statistic(connection, "s", "null_frac", table) == pytest.approx(0.1)


def test_an_attempt_that_is_given_up_tells_nothing(psql, make_table, analyze):
    many = [{"_id": i, "n": "odd"} for i in range(301)]

    def aggregate(_, command):
        documents = [{"_id": None, "n": 7000}] if "$group" in command["pipeline"][0] else many[:300]
        return {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": documents}, "ok": 1}

    find = {"cursor": {"id": 0, "ns": "shop.things", "firstBatch": many}, "ok": 1}
    with FakeMongo({"collstats": {"count": 5, "size": 500, "ok": 1}, "find": find, "aggregate": aggregate}) as fake:
        psql(f"CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{fake.uri}', database 'shop')")
        make_table("fake")
        analyze(target=1)
        assert [text for severity, text, _ in analyze.told if severity == "WARNING"] == [
            '300 values of 1 column of foreign table "things" were read as NULL because they do not fit']


def test_the_sample_keeps_to_its_memory(mongo, live_server, make_table, connection, analyze):
    mongo.things.insert_many({"_id": i, "s": "x" * 20000} for i in range(400))
    make_table(live_server)
    connection.execute("SET maintenance_work_mem = '2MB'")
    assert analyze(target=1)[0] == 400
    assert 100 <= analyze.sampled <= 120
    assert statistic(connection, "s", "avg_width") == 20004


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file(write_dump, psql, make_table, connection, analyze, compressed):
    folder = write_dump({"things": [{"_id": i, "n": i % 3, "s": "x" * (i % 50)} for i in range(20000)]}, compressed=compressed)
    psql(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    make_table("dump")
    rows, pages = analyze(target=1)
    assert rows == 20000 and analyze.sampled == 300
    assert 50 < pages < 500
    low, high = statistic(connection, "_id", "histogram_bounds::text::int[]")
    assert low < 2000 and high > 18000
    assert expected_rows(connection, "n = 1") == pytest.approx(6667, rel=0.3)


def test_an_unwound_file(write_dump, psql, make_table, analyze):
    folder = write_dump({"things": [{"_id": i, "items": list(range(i % 5))} for i in range(1000)]})
    psql(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    make_table("dump", unwind="items", columns="_id int, item int OPTIONS (field 'items')")
    assert analyze(target=1)[0] == 2000
    assert analyze.sampled == 300


def test_a_damaged_file(write_dump, psql, make_table, connection):
    folder = write_dump({"things": [{"_id": i} for i in range(100)]})
    path = folder / "things.bson"
    path.write_bytes(path.read_bytes()[:-3])
    psql(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    make_table("dump")
    with pytest.raises(errors.DataCorrupted):
        connection.execute("ANALYZE things")


def test_it_reads_as_the_tables_owner(mongo_with_auth, psql, make_table, connection, ordinary_role, analyze):
    """Others who may analyze it, a superuser above all, need no user mapping."""
    mongo_with_auth.add_user("reader", "secret", ["readWriteAnyDatabase"])
    with pymongo.MongoClient(mongo_with_auth.admin_uri) as client:
        client.shop.things.insert_many({"_id": i, "s": "x" * 100} for i in range(2000))
    psql(f"""CREATE SERVER guarded FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{mongo_with_auth.uri}', database 'shop');
             GRANT USAGE ON FOREIGN SERVER guarded TO {ordinary_role};
             CREATE USER MAPPING FOR {ordinary_role} SERVER guarded OPTIONS (username 'reader', password 'secret')""")
    make_table("guarded")
    with pytest.raises(psycopg.Error):
        connection.execute("ANALYZE things")
    connection.execute(f"ALTER FOREIGN TABLE things OWNER TO {ordinary_role}")
    rows, pages = analyze()
    assert rows == 2000 and pages > 20

"""Scans that several processes share: the rows are those of one process, each once; and what they cannot do."""

import contextlib
import datetime
import random
import re
import struct
import threading
import time

import bson
import psycopg
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp, json_util
from psycopg import errors

from harness import archives
from harness.fake_mongodb import FakeMongo

COLUMNS = "_id int, x int, name text, tags text[], document jsonb OPTIONS (field '$$ROOT')"


def documents(count, size=0):
    """Documents of different sizes, some of which look like others from the middle."""
    chance = random.Random(count)
    return [{"_id": i, "x": i % 100, "name": f"name {i}" * chance.randint(1, 5), "tags": [str(i), "a"] * chance.randint(0, 3),
             "inner": {"_id": i, "text": "{\n\"}," * chance.randint(0, 9), "bytes": bson.encode({"_id": i})},
             "filler": "x" * chance.randint(0, 2 * size)} for i in range(count)]


def force_parallel(connection, workers=2, leader=True):
    """Plans take workers wherever they can; without the leader, they do all the reading."""
    for name, value in {"parallel_setup_cost": 0, "parallel_tuple_cost": 0, "min_parallel_table_scan_size": 0,
                        "max_parallel_workers_per_gather": workers,
                        "parallel_leader_participation": "on" if leader else "off"}.items():
        connection.execute(f"SET {name} = {value}")


def explain(connection, query, options="ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF"):
    return "\n".join(row[0] for row in connection.execute(f"EXPLAIN ({options}) {query}"))


def number(plan, name):
    """The number that EXPLAIN shows under a name; all of them as a list, if there are several."""
    found = [int(value) for value in re.findall(rf"{name}: (\d+)", plan)]
    return found[0] if len(found) == 1 else found


def runs_in_workers(plan, table):
    """Whether a plan has the scan of a table below a Gather."""
    lines = plan.splitlines()
    at = next(i for i, line in enumerate(lines) if re.search(rf"Foreign Scan on {table}\b", line))
    indent = len(lines[at])
    for line in reversed(lines[:at + 1]):
        own = len(line) - len(line.lstrip())
        if own < indent and (line.lstrip().startswith("->") or own == 0):
            indent = own
            if "Gather" in line:
                return True
    return False


def rows(connection, query, workers=2):
    """What the query gives in parallel, sorted, after a look at who has read."""
    plan = explain(connection, query)
    assert "Parallel Foreign Scan" in plan, plan
    assert number(plan, "Workers Launched") == workers, plan
    return sorted(connection.execute(query).fetchall(), key=repr)


def serial_rows(connection, query):
    with connection.transaction():
        connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        return sorted(connection.execute(query).fetchall(), key=repr)


# --- files ------------------------------------------------------------------------------------------------------------

FILES = {
    "bson": ("c.bson", lambda documents: b"".join(map(bson.encode, documents))),
    "lines": ("c.json", lambda documents: "\n".join(map(json_util.dumps, documents)).encode()),
    "array": ("c.json", lambda documents: b"\xef\xbb\xbf" + json_util.dumps(documents).encode()),
    "pretty": ("c.json", lambda documents: "\n".join(json_util.dumps(d, indent=2) for d in documents).encode()),
    "pretty array": ("c.json", lambda documents: json_util.dumps(documents, indent=1).encode() + b"\n"),
}


@pytest.fixture
def make_table(connection):
    """make_table(path, columns=…, options="") → a foreign table c over a dump."""

    def make(path, columns=COLUMNS, options="", name="c"):
        connection.execute(f"""CREATE SERVER {name}_files FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}');
                               CREATE FOREIGN TABLE {name} ({columns}) SERVER {name}_files OPTIONS (collection 'c'{options})""")
        return name

    return make


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize("form", FILES)
def test_a_file_gives_each_document_once(connection, write_file, make_table, form, leader):
    name, content = FILES[form]
    stored = documents(4000, 300)
    make_table(write_file(name, content(stored)))
    force_parallel(connection, leader=leader)
    query = "SELECT _id, x, name, tags, md5(document::text) FROM c"
    expected = serial_rows(connection, query)
    assert len(expected) == len(stored)
    assert rows(connection, query) == expected
    plan = explain(connection, query)
    assert number(plan, "Documents Received") == len(stored)
    assert number(plan, "Bytes Received") == sum(len(bson.encode(d)) for d in stored)
    assert number(plan, "Parts Read") >= 6
    assert "Divided By: bytes" in plan


def test_a_folder_and_an_unwound_array(connection, write_dump, make_table):
    stored = documents(4000, 300)
    make_table(write_dump({"c": stored, "other": documents(10)}))
    connection.execute("""CREATE FOREIGN TABLE tags (_id int, position int OPTIONS (field '$$INDEX'), tag text OPTIONS (field 'tags'))
                          SERVER c_files OPTIONS (collection 'c', unwind 'tags')""")
    force_parallel(connection, leader=False)
    for query in ("SELECT * FROM c", "SELECT * FROM tags"):
        assert rows(connection, query) == serial_rows(connection, query)
    assert number(explain(connection, "SELECT * FROM tags"), "Documents Received") == len(stored)


@pytest.mark.parametrize("content", [b"", bson.encode({"_id": 1, "x": 1}), b"".join(bson.encode({"_id": i}) for i in range(9))])
def test_a_file_that_is_one_part(connection, write_file, make_table, content):
    make_table(write_file("c.bson", content), options=", parallel_workers '2'")
    force_parallel(connection)
    assert rows(connection, "SELECT _id FROM c") == serial_rows(connection, "SELECT _id FROM c")


def test_documents_larger_than_a_part(connection, write_file, make_table):
    make_table(write_file("c.bson", b"".join(bson.encode({"_id": i, "filler": "x" * 700_000}) for i in range(9))))
    force_parallel(connection)
    assert rows(connection, "SELECT _id FROM c") == [(i,) for i in range(9)]
    assert number(explain(connection, "SELECT _id FROM c"), "Parts Read") == 9


def test_what_has_one_reader(connection, write_file, make_table):
    """Compressed files and archives: there is no way into their middle."""
    stored = documents(3000, 300)
    make_table(write_file("z.bson", b"".join(map(bson.encode, stored)), compressed=True), name="z")
    make_table(write_file("a.archive", archives.archive_of({"shop": {"c": stored}})), name="a")
    force_parallel(connection)
    for table in ("z", "a"):
        plan = explain(connection, f"SELECT * FROM {table}")
        assert "Parallel" not in plan and number(plan, "Documents Received") == 3000
        assert len(connection.execute(f"SELECT * FROM {table}").fetchall()) == 3000


def test_damage_is_told_as_by_one_process(connection, write_file, make_table):
    content = b"".join(map(bson.encode, documents(6000, 300)))
    at = content.index(bson.encode({"_id": 4500})[:-1][4:]) - 4  # where the document begins
    damaged = bytearray(content)
    damaged[at:at + 4] = struct.pack("<i", 4)
    for name, written in (("length", bytes(damaged)), ("cut", content[:-7])):
        make_table(write_file(f"{name}.bson", written), name=name)
        force_parallel(connection, leader=False)
        assert "Parallel Foreign Scan" in explain(connection, f"SELECT x FROM {name}", "COSTS OFF")
        told = []
        for workers in (2, 0):
            connection.execute(f"SET max_parallel_workers_per_gather = {workers}")
            with pytest.raises(errors.DataCorrupted) as caught:
                connection.execute(f"SELECT x FROM {name}")
            told.append((caught.value.diag.message_primary, caught.value.diag.message_detail))
        assert told[0] == told[1] and "is corrupt at byte" in told[0][0]


def test_a_file_that_changes_meanwhile(connection, connect, write_file, make_table):
    path = write_file("c.bson", b"".join(map(bson.encode, documents(3000, 300))))
    make_table(path)
    connection.execute("""CREATE FUNCTION slowly(int) RETURNS bool LANGUAGE plpgsql PARALLEL SAFE
                          AS $$BEGIN PERFORM pg_sleep(0.002); RETURN true; END$$""")
    force_parallel(connection)
    assert "Parallel Foreign Scan" in explain(connection, "SELECT x FROM c WHERE slowly(x)", "COSTS OFF")

    def append():
        with open(path, "ab") as file:
            file.write(bson.encode({"_id": -1}))

    timer = threading.Timer(0.5, append)
    timer.start()
    with pytest.raises(errors.ObjectNotInPrerequisiteState) as caught:
        connection.execute("SELECT x FROM c WHERE slowly(x)")
    timer.join()
    assert caught.value.diag.message_primary == f'dump file "{path}" has changed while it was being read'
    assert len(connection.execute("SELECT x FROM c").fetchall()) == 3001


# --- live collections -------------------------------------------------------------------------------------------------

IDS = [
    "b", 7, ObjectId("65e07e800000000000000001"), None, datetime.datetime(2024, 2, 29), True, 2.5, MinKey(), {"a": 1},
    Int64(2) ** 40, "", -1, "B", Decimal128("7.25"), float("-inf"), {"a": 1, "b": [1, {"c": None}]}, Binary(b"abc"), {},
    float("nan"), False, MaxKey(), Timestamp(5, 6), ObjectId("65e07e800000000000000000"), "$a", Code("return 1"),
    Binary(b"abcd", 0x80), "ä\0b", float("inf"), Int64(-(2**62)), Binary(b"ab"), "1", 0, Decimal128("1E+400"), Timestamp(0, 1),
]


@pytest.fixture
def make_live_table(connection, live_server):
    """make_live_table(columns=…, options="", workers=2) → a foreign table over the collection c of the test's MongoDB."""

    def make(name="c", columns="x int, document jsonb OPTIONS (field '$$ROOT')", options="", workers=2):
        connection.execute(f"""CREATE FOREIGN TABLE {name} ({columns}) SERVER {live_server}
                               OPTIONS (collection 'c', parallel_workers '{workers}', fdw_startup_cost '0'{options})""")
        return name

    return make


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize("count", [0, 1, 5, len(IDS)])
def test_ids_of_all_types(connection, mongo, make_live_table, count, leader):
    if count:
        mongo.c.insert_many({"_id": _id, "x": x} for x, _id in list(enumerate(IDS))[:count])
    make_live_table(options=", json_format 'canonical', on_nul 'replace'")
    force_parallel(connection, leader=leader)
    query = "SELECT x, document FROM c"
    assert rows(connection, query) == serial_rows(connection, query)
    assert sorted(x for x, _ in connection.execute(query)) == list(range(count))
    plan = explain(connection, query)
    assert "Divided By: _id" in plan
    assert number(plan, "Documents Received") == count
    if count == len(IDS):
        assert number(plan, "Parts Read") > 8


def test_a_live_collection_of_many_documents(connection, mongo, make_live_table):
    mongo.c.insert_many({"_id": ObjectId(), "x": x, "filler": "x" * 50} for x in range(3000))
    make_live_table()
    force_parallel(connection, leader=False)
    assert rows(connection, "SELECT x FROM c") == [(x,) for x in sorted(range(3000), key=lambda x: repr((x,)))]
    assert rows(connection, "SELECT x FROM c WHERE x > 500") == serial_rows(connection, "SELECT x FROM c WHERE x > 500")


def test_a_filter_that_an_index_serves_is_left_to_it(connection, mongo, make_live_table):
    """The ranges make the server go by the index on _id and look at every document."""
    mongo.c.insert_many({"_id": x, "x": x, "y": x} for x in range(3000))
    mongo.c.create_index("x")
    make_live_table(columns="x int, y int")
    force_parallel(connection)
    assert "Parallel" not in explain(connection, "SELECT x FROM c WHERE x = 5", "COSTS OFF")
    assert connection.execute("SELECT x FROM c WHERE x = 5").fetchall() == [(5,)]
    assert rows(connection, "SELECT x FROM c WHERE y = 5") == [(5,)]


def test_documents_that_are_written_meanwhile(connection, mongo, make_live_table):
    """Those that were there all the time are seen, and no document twice."""
    mongo.c.insert_many({"_id": 3 * x, "x": 3 * x} for x in range(3000))
    make_live_table(options=", fetch_size '50'")
    force_parallel(connection)
    stop = threading.Event()

    def write():
        chance = random.Random(1)
        fresh = [x for x in range(9000) if x % 3 == 1]
        chance.shuffle(fresh)
        for x in fresh:
            if stop.is_set():
                return
            mongo.c.insert_one({"_id": x, "x": x})
            mongo.c.update_one({"_id": 3 * chance.randrange(3000)}, {"$set": {"filler": "x" * chance.randrange(1000)}})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            got = [x for x, in connection.execute("SELECT x FROM c")]
            assert len(got) == len(set(got))
            assert {x for x in got if x % 3 == 0} == set(range(0, 9000, 3))
    finally:
        stop.set()
        writer.join()


def test_a_view_has_one_reader(connection, mongo, make_live_table):
    mongo.base.insert_many({"_id": x, "x": x} for x in range(100))
    mongo.command("create", "c", viewOn="base", pipeline=[{"$match": {"x": {"$gte": 10}}}])
    make_live_table()
    force_parallel(connection, leader=False)
    assert sorted(x for x, in rows(connection, "SELECT x FROM c")) == list(range(10, 100))
    assert number(explain(connection, "SELECT x FROM c"), "Parts Read") == 1


def test_a_snapshot_has_one_reader(connection, mongo, make_live_table, live_server):
    connection.execute(f"ALTER SERVER {live_server} OPTIONS (ADD read_concern 'snapshot')")
    make_live_table()
    force_parallel(connection)
    assert "Parallel" not in explain(connection, "SELECT x FROM c", "COSTS OFF")


def test_a_server_that_ignores_ranges_has_one_reader(connection):
    """As some do that resemble MongoDB: they would give each range the whole collection."""
    stored = [{"_id": i, "x": i} for i in range(50)]

    def find(_, command):
        return {"cursor": {"id": 0, "ns": "shop.c", "firstBatch": stored[:command.get("limit", 50)]}, "ok": 1}

    answers = {"find": find, "count": {"n": 50, "ok": 1}, "listcollections": {"cursor": {
        "id": 0, "ns": "shop.$cmd.listCollections", "firstBatch": [{"name": "c", "type": "collection"}]}, "ok": 1}}
    with FakeMongo(answers) as server:
        connection.execute(f"""CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{server.uri}', database 'shop');
                               CREATE FOREIGN TABLE c (x int) SERVER fake""")
        force_parallel(connection, leader=False)
        notices = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        assert sorted(x for x, in rows(connection, "SELECT x FROM c")) == list(range(50))
        assert notices == []
        # what finds it out: a question that costs a server little which does read ranges
        assert {"min": {"_id": 3}, "max": {"_id": 4}, "limit": 1}.items() <= next(
            command for command in server.commands if "limit" in command).items()


@pytest.mark.parametrize("silent", ["count", "listcollections"])
def test_a_server_that_refuses_questions_has_one_reader(connection, silent):
    """Where a scan by one process would work, the other must not fail."""
    stored = [{"_id": i, "x": i} for i in range(50)]
    refusal = {"ok": 0, "code": 13, "codeName": "Unauthorized", "errmsg": "not authorized"}
    answers = {"find": {"cursor": {"id": 0, "ns": "shop.c", "firstBatch": stored}, "ok": 1}, "count": {"n": 50, "ok": 1},
               "listcollections": refusal, silent: refusal}
    with FakeMongo(answers) as server:
        connection.execute(f"""CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{server.uri}', database 'shop');
                               CREATE FOREIGN TABLE c (x int) SERVER fake""")
        force_parallel(connection, leader=False)
        assert sorted(x for x, in rows(connection, "SELECT x FROM c")) == list(range(50))
        assert silent in [next(iter(command)).lower() for command in server.commands]


def test_each_process_connects_as_the_owner_of_a_view(mongo_with_auth, connection, connect, ordinary_role):
    import pymongo

    mongo_with_auth.add_user("owner", "secret")
    with pymongo.MongoClient(mongo_with_auth.admin_uri) as client:
        client.shop.c.insert_many({"_id": x, "x": x} for x in range(100))
    connection.execute(f"""CREATE SERVER remote FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{mongo_with_auth.uri}', database 'shop',
                                                                                                   parallel_workers '2', fdw_startup_cost '0');
                           CREATE USER MAPPING FOR CURRENT_USER SERVER remote OPTIONS (username 'owner', password 'secret');
                           CREATE USER MAPPING FOR {ordinary_role} SERVER remote OPTIONS (username 'owner', password 'wrong');
                           CREATE FOREIGN TABLE c (x int) SERVER remote;
                           CREATE VIEW v AS SELECT * FROM c;
                           GRANT SELECT ON v, c TO {ordinary_role}""")
    other = connect(user=ordinary_role)
    force_parallel(other, leader=False)
    assert len(rows(other, "SELECT x FROM v")) == 100
    with pytest.raises(errors.InvalidPassword):
        other.execute("SELECT x FROM c")
    assert len(rows(other, "SELECT x FROM v")) == 100


# --- plans ------------------------------------------------------------------------------------------------------------


def test_workers_are_planned_by_size_as_for_tables(connection, write_file, make_table):
    make_table(write_file("c.bson", b"".join(bson.encode({"_id": i, "filler": "x" * 1000}) for i in range(4000))))
    connection.execute("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET max_parallel_workers_per_gather = 4")

    def planned():
        plan = explain(connection, "SELECT x FROM c", "COSTS OFF")
        return number(plan, "Workers Planned") if "Gather" in plan else 0

    assert planned() == 0  # 4 MB, below min_parallel_table_scan_size
    for size, workers in (("4MB", 0), ("3500kB", 1), ("1MB", 2), ("400kB", 3), ("100kB", 4)):
        connection.execute(f"SET min_parallel_table_scan_size = '{size}'")
        assert planned() == workers, size
    connection.execute("ALTER FOREIGN TABLE c OPTIONS (ADD parallel_workers '1')")
    assert planned() == 1
    connection.execute("ALTER SERVER c_files OPTIONS (ADD parallel_workers '3')")
    assert planned() == 1
    connection.execute("ALTER FOREIGN TABLE c OPTIONS (DROP parallel_workers)")
    assert planned() == 3
    connection.execute("ALTER SERVER c_files OPTIONS (SET parallel_workers '0')")
    assert planned() == 0
    connection.execute("ALTER SERVER c_files OPTIONS (SET parallel_workers '9')")
    assert planned() == 4  # max_parallel_workers_per_gather


def test_by_default_a_large_file_is_shared_and_a_small_one_is_not(connection, write_file, make_table):
    content = bson.encode({"_id": 1, "x": 1, "filler": "x" * 100})
    make_table(write_file("large.bson", content * 200_000), name="large")
    make_table(write_file("small.bson", content * 2000), name="small")
    query = "SELECT sum(x), count(name) FROM "
    assert number(explain(connection, query + "large", "COSTS OFF"), "Workers Planned") >= 1
    assert "Gather" not in explain(connection, query + "small", "COSTS OFF")
    assert connection.execute(query + "large").fetchone() == (200_000, 0)


def test_statements_that_make_tables_use_all_processes(connection, write_file, make_table):
    make_table(write_file("c.bson", b"".join(map(bson.encode, documents(3000, 300)))))
    force_parallel(connection, leader=False)
    aggregate = "SELECT name, count(*), sum(x), array_length(min(tags), 1) FROM c GROUP BY name"
    assert rows(connection, aggregate) == serial_rows(connection, aggregate)
    assert "Partial" in explain(connection, aggregate, "COSTS OFF")
    for statement in ("CREATE TABLE t AS SELECT _id, x FROM c", "CREATE MATERIALIZED VIEW m AS SELECT _id, x FROM c"):
        plan = explain(connection, statement)
        assert "Parallel Foreign Scan" in plan and number(plan, "Workers Launched") == 2
    for table in "tm":
        assert connection.execute(f"SELECT count(*), count(DISTINCT _id) FROM {table}").fetchone() == (3000, 3000)


def test_a_chunk_is_read_by_one_process(connection, write_file, make_table):
    make_table(write_file("c.bson", b"".join(map(bson.encode, documents(3000, 300)))))
    bounds = connection.execute("SELECT bounds FROM mongoferry.split_source('c', 1000) LIMIT 1").fetchone()[0]
    force_parallel(connection)
    query = f"SELECT x FROM c WHERE mongoferry.in_chunk(tableoid, '\\x{bounds.hex()}')"
    assert "Gather" not in explain(connection, query, "COSTS OFF")
    assert len(connection.execute(query).fetchall()) == 1000
    # nor by each of them as the inner table of a join
    connection.execute("CREATE FOREIGN TABLE whole (_id int, x int) SERVER c_files OPTIONS (collection 'c')")
    join = "SELECT count(*) FROM whole JOIN c ON whole.x = c._id"
    assert runs_in_workers(explain(connection, join, "COSTS OFF"), "c")
    plan = explain(connection, f"{join} WHERE mongoferry.in_chunk(c.tableoid, '\\x{bounds.hex()}')", "COSTS OFF")
    assert runs_in_workers(plan, "whole") and not runs_in_workers(plan, "c"), plan


def test_the_local_plan_of_a_pushed_aggregate_may_use_workers(connection, mongo, make_live_table):
    """A string among the numbers: what the server would add up is not what a scan gives."""
    mongo.c.insert_many({"_id": x, "x": x, "y": x % 7} for x in range(3000))
    make_live_table(columns="x int, y int", options=", coerce_strings 'true'")
    force_parallel(connection)
    query = "SELECT y, count(*), sum(x) FROM c GROUP BY y"
    plan = explain(connection, query)
    assert "$group" in plan and "Workers Planned: 2" in plan and "Workers Launched: 2" not in plan, plan
    expected = serial_rows(connection, query)
    assert sorted(connection.execute(query).fetchall(), key=repr) == expected
    mongo.c.update_one({"_id": 1234}, {"$set": {"x": "1234"}})
    plan = explain(connection, query)
    assert "Workers Launched: 2" in plan and "Local Plan Runs: 1" in plan, plan
    assert sorted(connection.execute(query).fetchall(), key=repr) == expected
    # the other way round a worker can't have workers
    connection.execute("""
        CREATE TABLE whole (x int, y int) PARTITION BY LIST (y);
        CREATE FOREIGN TABLE one PARTITION OF whole FOR VALUES IN (0, 1, 2, 3) SERVER live
            OPTIONS (collection 'c', parallel_workers '2', coerce_strings 'true');
        CREATE TABLE two PARTITION OF whole FOR VALUES IN (4, 5, 6);
        INSERT INTO two SELECT x, y FROM c WHERE y >= 4;
        SET enable_partitionwise_aggregate = on""")
    mongo.c.delete_many({"y": {"$gte": 4}})
    assert sorted(connection.execute(query.replace("FROM c", "FROM whole")).fetchall(), key=repr) == expected


def test_partitions_are_read_side_by_side(connection, write_file, make_table, mongo, live_server):
    """A partitioned table over a collection, a file and a compressed file, of three servers."""
    stored = documents(9000, 100)
    mongo.live.insert_many(stored[:3000])
    make_table(write_file("p.bson", b"".join(map(bson.encode, stored[3000:6000]))), name="plain")
    make_table(write_file("z.bson", b"".join(map(bson.encode, stored[6000:])), compressed=True), name="z")
    connection.execute(f"""
        CREATE TABLE whole (_id int, x int, name text) PARTITION BY RANGE (_id);
        CREATE FOREIGN TABLE one PARTITION OF whole FOR VALUES FROM (0) TO (3000) SERVER {live_server} OPTIONS (collection 'live');
        CREATE FOREIGN TABLE two PARTITION OF whole FOR VALUES FROM (3000) TO (6000) SERVER plain_files;
        CREATE FOREIGN TABLE three PARTITION OF whole FOR VALUES FROM (6000) TO (9000) SERVER z_files""")
    force_parallel(connection, leader=False)
    query = "SELECT x, name FROM whole WHERE length(name) > 1"
    plan = explain(connection, query)
    assert "Parallel Append" in plan and plan.count("Parallel Foreign Scan") == 2 and plan.count("Foreign Scan") == 3
    assert rows(connection, query) == serial_rows(connection, query)
    aggregate = "SELECT x, count(*), sum(length(name)), min(_id) FROM whole GROUP BY x"
    assert rows(connection, aggregate) == serial_rows(connection, aggregate)


def test_small_partitions_are_not_divided(connection, write_file, make_table):
    path = write_file("c.bson", b"".join(map(bson.encode, documents(3000, 300))))
    for name in ("one", "two"):
        make_table(path, name=name)
    connection.execute("""CREATE TABLE whole (_id int, x int) PARTITION BY LIST (x);
                          CREATE FOREIGN TABLE a PARTITION OF whole FOR VALUES IN (1) SERVER one_files;
                          CREATE FOREIGN TABLE b PARTITION OF whole FOR VALUES IN (2) SERVER two_files""")
    force_parallel(connection)
    connection.execute("RESET min_parallel_table_scan_size")
    plan = explain(connection, "SELECT x FROM whole", "COSTS OFF")
    assert "Parallel Append" in plan and "Parallel Foreign Scan" not in plan, plan
    assert len(connection.execute("SELECT x FROM whole").fetchall()) == 6000
    connection.execute("SET min_parallel_table_scan_size = '100kB'")
    assert explain(connection, "SELECT x FROM whole", "COSTS OFF").count("Parallel Foreign Scan") == 2


def test_joins_in_workers(connection, write_file, make_table, mongo, make_live_table):
    """A part of one collection with all of another, which each process reads for itself."""
    make_table(write_file("c.bson", b"".join(map(bson.encode, documents(3000, 200)))), name="orders")
    mongo.c.insert_many({"_id": x, "x": x, "label": f"number {x}"} for x in range(100))
    make_live_table(name="labels", columns="x int, label text", workers=0)
    force_parallel(connection, leader=False)
    query = "SELECT o._id, l.label FROM orders o JOIN labels l ON o.x = l.x"
    plan = explain(connection, query)
    assert rows(connection, query) == serial_rows(connection, query)
    assert len(re.findall("Documents Received", plan)) == 1  # of the shared scan; of the other one nobody knows


# --- how scans end ----------------------------------------------------------------------------------------------------


def test_limit_stops_all_processes(connection, write_file, make_table):
    make_table(write_file("c.bson", b"".join(map(bson.encode, documents(20_000, 300)))))
    for leader in (True, False):
        force_parallel(connection, leader=leader)
        plan = explain(connection, "SELECT x FROM c LIMIT 5")
        assert "Parallel Foreign Scan" in plan
        # each of three processes a batch or two of 256 kB
        assert 5 <= number(plan, "Documents Received") < 15_000
        assert len(connection.execute("SELECT x FROM c LIMIT 5").fetchall()) == 5


def test_limit_does_not_wait_for_rows_that_never_come(connection, write_file, make_table):
    """Only the first document matches: a worker that found nothing more would read to the end."""
    make_table(write_file("c.bson", b"".join(map(bson.encode, documents(20_000, 300)))))
    connection.execute("""CREATE FUNCTION slowly(int) RETURNS bool LANGUAGE plpgsql PARALLEL SAFE
                          AS $$BEGIN PERFORM pg_sleep(0.001); RETURN $1 = 0; END$$""")
    force_parallel(connection, leader=False)
    start = time.monotonic()
    assert connection.execute("SELECT _id FROM c WHERE slowly(_id) LIMIT 1").fetchall() == [(0,)]
    assert time.monotonic() - start < 5


def test_rescans(connection, write_file, make_table, mongo, make_live_table):
    """Each value of g has the scan begin again, with new workers."""
    make_table(write_file("c.bson", b"".join(map(bson.encode, documents(3000, 300)))), name="f")
    mongo.c.insert_many(documents(300))
    make_live_table(columns="_id int, x int", options=", pushdown 'off'")
    connection.execute("SET enable_material = off")
    for leader in (True, False):
        force_parallel(connection, leader=leader)
        for table in "fc":
            again = "RIGHT JOIN (VALUES (1), (2), (3)) AS v (g) ON true"
            query = f"SELECT * FROM (SELECT count(*), sum(_id) FROM {table} WHERE x % 7 = 3) s {again}"
            plan = explain(connection, query)
            assert "Parallel Foreign Scan" in plan and re.search(r"Gather \(actual rows=\d+ loops=3\)", plan), plan
            assert connection.execute(query).fetchall() == serial_rows(connection, query)
            total, = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert number(plan, "Documents Received") == 3 * total
            # with a LIMIT each scan is given up before the next one begins
            query = f"SELECT * FROM (SELECT x % 7 FROM {table} WHERE x % 7 = 3 LIMIT 2) s {again}"
            assert "Parallel Foreign Scan" in explain(connection, query, "COSTS OFF")
            assert connection.execute(query).fetchall() == [(3, g) for g in (1, 1, 2, 2, 3, 3)]


def test_an_error_in_a_worker(connection, write_file, make_table, mongo, make_live_table):
    stored = documents(3000, 300)
    stored[2000]["x"] = "many"
    make_table(write_file("c.bson", b"".join(map(bson.encode, stored))), name="f")
    mongo.c.insert_many(stored)
    make_live_table()
    for table in "fc":
        told = []
        for workers in (2, 0):
            force_parallel(connection, workers, leader=False)
            with pytest.raises(errors.MostSpecificTypeMismatch) as caught:
                connection.execute(f"SELECT x FROM {table}")
            diag = caught.value.diag
            told.append((diag.message_primary, diag.message_detail, diag.message_hint, diag.table_name, diag.column_name))
        assert told[0] == told[1]
        assert '{"_id": 2000}' in told[0][1]
    connection.execute("SELECT 1")


@pytest.mark.parametrize("leader", [True, False])
def test_one_warning_for_all_processes(connection, write_file, make_table, mongo, make_live_table, leader):
    stored = documents(4000, 300)
    for i in range(700, 4000, 3):
        stored[i]["x"] = "many"
        stored[i]["name"] = ["none"]
    make_table(write_file("c.bson", b"".join(map(bson.encode, stored))), name="f", options=", on_mismatch 'null'")
    mongo.c.insert_many(stored)
    make_live_table(columns="_id int, x int, name text[]", options=", on_mismatch 'null'")
    notices = []
    connection.add_notice_handler(lambda notice: notices.append((notice.severity, notice.message_primary, notice.message_detail,
                                                                 notice.context)))
    for table in "fc":
        query = f"SELECT _id, x, name FROM {table}"
        force_parallel(connection, 0)
        expected = connection.execute(query).fetchall()
        alone = notices[:]
        assert len(alone) == 1 and "1100 values, first in document" in alone[0][2]
        notices.clear()
        force_parallel(connection, leader=leader)
        assert sorted(connection.execute(query).fetchall()) == sorted(expected)
        assert notices == alone
        notices.clear()
        assert "Parallel Foreign Scan" in explain(connection, query)
        notices.clear()


def test_a_table_that_may_warn_is_not_read_by_each_worker(connection, write_file, make_table):
    """The inner side of a join is read by every process: all would warn of the same documents."""
    make_table(write_file("o.bson", b"".join(map(bson.encode, documents(3000, 200)))), name="orders")
    make_table(write_file("l.bson", b"".join(bson.encode({"_id": x, "x": x, "name": x if x % 2 else "even"}) for x in range(100))),
               name="labels", columns="x int, name int", options=", on_mismatch 'null', parallel_workers '0'")
    force_parallel(connection, leader=False)
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    query = "SELECT o._id, l.name FROM orders o JOIN labels l ON o.x = l.x"
    connection.execute("CREATE FOREIGN TABLE silent (x int, name text) SERVER labels_files OPTIONS (collection 'c', parallel_workers '0')")
    plan = explain(connection, query.replace("labels", "silent"), "COSTS OFF")
    assert runs_in_workers(plan, "silent"), plan  # what would happen
    plan = explain(connection, query, "COSTS OFF")
    assert runs_in_workers(plan, "orders") and not runs_in_workers(plan, "labels"), plan
    assert len(connection.execute(query).fetchall()) == 3000
    assert notices == ['50 values of 1 column of foreign table "labels" were read as NULL because they do not fit']


def test_more_tables_than_shared_memory_segments(start_postgres, write_dump):
    """Where no segment is left for what processes share, one of them reads everything."""
    path = write_dump({f"c{i}": [{"_id": i * 10 + j} for j in range(3)] for i in range(230)})
    server = start_postgres("max_connections = 8\nmax_wal_senders = 2\nmax_worker_processes = 4\nautovacuum_max_workers = 1")
    with server.connect() as connection:
        connection.execute(f"""CREATE EXTENSION mongoferry;
                               CREATE SERVER files FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}', parallel_workers '2');
                               CREATE TABLE whole (_id int) PARTITION BY RANGE (_id)""")
        for i in range(230):
            connection.execute(f"CREATE FOREIGN TABLE c{i} PARTITION OF whole FOR VALUES FROM ({10 * i}) TO ({10 * i + 10}) SERVER files")
        for leader in (True, False):
            force_parallel(connection, leader=leader)
            plan = explain(connection, "SELECT _id FROM whole")
            assert plan.count("Parallel Foreign Scan") == 230
            assert 0 < plan.count("Parts Read") < 230
            got = sorted(_id for _id, in connection.execute("SELECT _id FROM whole"))
            assert got == [i * 10 + j for i in range(230) for j in range(3)]


def no_workers_left(connection):
    for _ in range(100):
        if connection.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'"
                              " AND datname = current_database()").fetchone() == (0,):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize("how", ["statement_timeout", "pg_cancel_backend", "pg_terminate_backend"])
@pytest.mark.parametrize("step", ["count", "find", "getmore"])
def test_cancel_stops_all_processes(connection, connect, step, how, leader):
    def find(_, command):
        batch = [{"_id": i, "x": i} for i in range(20)]
        if "sort" in command:  # the walk over all _ids
            return {"cursor": {"id": 0, "ns": "shop.c", "firstBatch": batch}, "ok": 1}
        if "limit" in command:  # the look whether ranges are honoured
            return {"cursor": {"id": 0, "ns": "shop.c", "firstBatch": []}, "ok": 1}
        return None if step == "find" else {"cursor": {"id": 7, "ns": "shop.c", "firstBatch": batch[:1]}, "ok": 1}

    answers = {"find": find, "getmore": None, "count": None if step == "count" else {"n": 20, "ok": 1},
               "listcollections": {"cursor": {"id": 0, "ns": "shop.$cmd.listCollections",
                                              "firstBatch": [{"name": "c", "type": "collection"}]}, "ok": 1}}
    with FakeMongo(answers) as server:
        connection.execute(f"""CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{server.uri}', database 'shop');
                               CREATE FOREIGN TABLE c (x int) SERVER fake""")
        other = connect()
        force_parallel(other, leader=leader)
        assert "Parallel Foreign Scan" in explain(other, "SELECT x FROM c", "COSTS OFF")
        if how == "statement_timeout":
            other.execute("SET statement_timeout = '700ms'")
            stopper = contextlib.nullcontext()
        else:
            stopper = threading.Timer(0.7, connection.execute, [f"SELECT {how}({other.info.backend_pid})"])
            stopper.start()
        start = time.monotonic()
        with pytest.raises(errors.AdminShutdown if how == "pg_terminate_backend" else errors.QueryCanceled):
            other.execute("SELECT x FROM c")
        assert 0.6 < time.monotonic() - start < 3
        assert step in [next(iter(command)).lower() for command in server.commands]
        if how != "statement_timeout":
            stopper.join()
        assert no_workers_left(connection)
        if how != "pg_terminate_backend":
            other.execute("SELECT 1")


@pytest.mark.parametrize("leader", [True, False])
def test_a_connection_that_is_lost_in_the_middle(connection, mongo, proxy, leader):
    mongo.c.insert_many({"_id": x, "x": x, "filler": "x" * 1000} for x in range(2000))
    between = proxy()
    connection.execute(f"""CREATE SERVER cut FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{between.uri}', database '{mongo.name}');
                           CREATE FOREIGN TABLE c (x int, filler text) SERVER cut OPTIONS (fetch_size '20')""")
    force_parallel(connection, leader=leader)
    assert len(rows(connection, "SELECT x, filler FROM c")) == 2000
    between.cut_after(300_000)
    with pytest.raises(errors.OperationalError) as caught:
        connection.execute("SELECT x, filler FROM c")
    assert caught.value.sqlstate.startswith("08")
    assert no_workers_left(connection)


def test_a_worker_that_is_terminated(connection, connect, write_file, make_table):
    make_table(write_file("c.bson", b"".join(map(bson.encode, documents(3000, 300)))))
    connection.execute("""CREATE FUNCTION slowly(int) RETURNS bool LANGUAGE plpgsql PARALLEL SAFE
                          AS $$BEGIN PERFORM pg_sleep(0.01); RETURN true; END$$""")
    other = connect()
    force_parallel(other)
    timer = threading.Timer(0.7, connection.execute, [
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'parallel worker' AND datname = current_database()"])
    timer.start()
    with pytest.raises(errors.AdminShutdown) as caught:
        other.execute("SELECT x FROM c WHERE slowly(x)")
    timer.join()
    assert "parallel worker" in str(caught.value) or "background worker" in str(caught.value)
    assert len(rows(other, "SELECT x FROM c")) == 3000

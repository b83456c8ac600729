"""Chunks of a live collection: split_source(), and ranges of _id through every reader, whatever the types of _id."""

import datetime
import random
import struct
import uuid

import bson
import psycopg
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument
from harness.fake_mongodb import FakeMongo

TIME = datetime.datetime(2024, 2, 29, 12, 0, 0, 123000, tzinfo=datetime.timezone.utc)


def symbol(text):
    """The bytes of {_id: <symbol>}, which Python has no type for."""
    value = text.encode() + b"\0"
    body = b"\x0e_id\0" + struct.pack("<i", len(value)) + value
    return RawBSONDocument(struct.pack("<i", len(body) + 5) + body + b"\0")


# Of every type that MongoDB takes for an _id, in an order that is not that of the index. Null once, and no two that
# compare as equal. No documents like {"a": 1, "b": 1} and {"a": "1"} together: SecantusDB's hinted scan and its min and
# max order these differently, so that nothing could tile them there.
IDS = [
    "b", 7, ObjectId("65e07e800000000000000001"), None, TIME, True, 2.5, MinKey(), {"a": 1}, Int64(2) ** 40, "", -1, "B",
    Decimal128("7.25"), float("-inf"), {"a": 1, "b": [1, {"c": None}]}, Binary(b"abc"), {}, float("nan"), False, MaxKey(),
    uuid.UUID("12345678-1234-5678-1234-567812345678"), Timestamp(5, 6), ObjectId("65e07e800000000000000000"), "$a",
    Code("return 1"), Binary(b"abcd", 0x80), "ä\0b", float("inf"), Int64(-(2**62)),
    TIME + datetime.timedelta(days=9), Binary(b"ab"), "1", 0, Decimal128("1E+400"), Timestamp(0, 1),
]

@pytest.fixture
def make_table(connection, live_server):
    """make_table("c"): a foreign table over the collection of that name."""

    def make(name, server=live_server, columns="x int, document jsonb OPTIONS (field '$$ROOT')"):
        connection.execute(f"CREATE FOREIGN TABLE {name} ({columns}) SERVER {server}")
        return name

    return make


def document_of(_id, **others):
    return RawBSONDocument(bson.encode({"_id": _id, **others}, codec_options=bson.CodecOptions(uuid_representation=4)))


def split(connection, table, chunk_size):
    return connection.execute("SELECT * FROM mongoferry.split_source(%s, %s)", [table, chunk_size]).fetchall()


def read(connection, table, bounds):
    """The documents in the bounds, as bytes."""
    rows = connection.execute("SELECT raw FROM mongoferry.read_documents(%s, %s)", [table, bounds]).fetchall()
    return [bytes(row[0]) for row in rows]


def stored(collection, sort=None):
    raw = collection.with_options(codec_options=bson.CodecOptions(document_class=RawBSONDocument))
    cursor = raw.find({}, {"_id": 1, "x": 1})
    return [bytes(document.raw) for document in (cursor.sort(sort) if sort else cursor)]


def element_of(document):
    """The bytes of the element _id: type, key, value. It is the first one; after it there is at most x."""
    x = b"\x10x\0"
    return document[4:-1][:-7] if document[4:-1][-7:-4] == x else document[4:-1]


def fill(collection, ids):
    collection.insert_many([document_of(_id, x=i) for i, _id in enumerate(ids)] + [symbol("s")])


# --- splits that are exact --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 1000])
def test_every_type_of_id_in_one_collection(connection, mongo, make_table, chunk_size):
    fill(mongo.c, IDS)
    make_table("c")
    expected = stored(mongo.c, "_id")
    assert len(expected) == len(IDS) + 1
    chunks = split(connection, "c", chunk_size)
    got = [read(connection, "c", bounds) for _, bounds, *_ in chunks]
    # One after the other they are the collection in the order of its index, each with as many as asked for. (Within a
    # chunk the order is the server's affair.)
    position = 0
    for documents in got:
        assert sorted(documents) == sorted(expected[position:position + len(documents)])
        position += len(documents)
    assert position == len(expected)
    assert [len(documents) for documents in got[:-1]] == [chunk_size] * (len(got) - 1)
    assert 1 <= len(got[-1]) <= chunk_size
    # The other readers agree.
    for (number, bounds, _, documents_estimated, bytes_estimated), documents in zip(chunks, got):
        assert documents_estimated == len(documents)
        assert bytes_estimated > 0
        count, = connection.execute("SELECT mongoferry.count_documents('c', %s)", [bounds]).fetchone()
        assert count == len(documents)
        rows = connection.execute("SELECT x FROM c WHERE mongoferry.in_chunk(tableoid, %s)", [bounds]).fetchall()
        assert [x for x, in rows] == [bson.decode(document).get("x") for document in documents]
    assert [number for number, *_ in chunks] == list(range(1, len(chunks) + 1))


def test_a_boundary_keeps_its_type_and_bytes(connection, mongo, make_table):
    fill(mongo.c, IDS)
    make_table("c")
    expected = [element_of(document) for document in stored(mongo.c, "_id")]
    chunks = split(connection, "c", 1)
    assert len(chunks) == len(expected)
    for position, (_, bounds, *_) in enumerate(chunks):
        members = b"\x02kind\0\x04\0\0\0ids\0"
        for key, at in ((b"min", position), (b"max", position + 1)):
            if 0 < at < len(expected):
                members += expected[at].replace(b"_id", key, 1)
        assert bytes(bounds) == struct.pack("<i", len(members) + 5) + members + b"\0"


@pytest.mark.parametrize("documents, chunk_size, chunks", [(0, 5, 1), (1, 5, 1), (4, 5, 1), (5, 5, 1), (6, 5, 2), (10, 5, 2),
                                                           (11, 5, 3), (3, 1, 3), (3, 2**31 - 1, 1)])
def test_how_many_chunks(connection, mongo, make_table, documents, chunk_size, chunks):
    if documents:
        mongo.c.insert_many({"_id": i} for i in range(documents))
    make_table("c")
    found = split(connection, "c", chunk_size)
    assert len(found) == chunks
    assert sum(chunk[3] for chunk in found) == documents
    assert bson.decode(found[0][1]) == {"kind": "ids"} if chunks == 1 else "min" not in bson.decode(found[0][1])
    assert "max" not in bson.decode(found[-1][1])


@pytest.mark.parametrize("seed", range(4))
def test_documents_that_come_and_go_after_the_split(connection, mongo, make_table, seed):
    chance = random.Random(seed)
    ids = list(IDS)
    chance.shuffle(ids)
    before = chance.randint(0, len(ids))
    if before:
        mongo.c.insert_many([document_of(_id) for _id in ids[:before]])
    make_table("c")
    chunks = split(connection, "c", chance.choice([1, 2, 3, 5]))
    mongo.c.insert_many([document_of(_id) for _id in ids[before:]] + [{"_id": chance.randint(10, 10**9)}, {"_id": ObjectId()}])
    for _id in chance.sample(ids[:before], before // 3):  # boundaries among them
        mongo.c.delete_one(document_of(_id))
    got = sum((read(connection, "c", bounds) for _, bounds, *_ in chunks), [])
    assert sorted(got) == sorted(stored(mongo.c))


@pytest.mark.parametrize("kind", ["collection", "view"])
def test_a_filter_beside_the_range(connection, mongo, make_table, kind):
    mongo.c.insert_many({"_id": _id, "x": i % 5} for i, _id in enumerate([*range(40), *map(str, range(40))]))
    mongo.command("create", "v", viewOn="c", pipeline=[])
    table = make_table("c" if kind == "collection" else "v")
    got = []
    for _, bounds, *_ in split(connection, table, 9):
        got += connection.execute(f"SELECT document->'_id' FROM {table} WHERE x = 3 AND mongoferry.in_chunk(tableoid, %s)",
                                  [bounds]).fetchall()
    assert sorted(map(str, got)) == sorted(str((_id["_id"],)) for _id in mongo.c.find({"x": 3}))


def test_a_default_collation(connection, mongo, make_table):
    mongo.create_collection("c", collation={"locale": "en", "strength": 2})
    mongo.c.insert_many({"_id": _id} for _id in [*"bACdEfGhIj", *range(10), None])
    make_table("c")
    chunks = split(connection, "c", 4)
    got = [read(connection, "c", bounds) for _, bounds, *_ in chunks]
    assert [len(documents) for documents in got] == [4, 4, 4, 4, 4, 1]
    assert sorted(sum(got, [])) == sorted(stored(mongo.c))


# --- no index on _id --------------------------------------------------------------------------------------------------


VIEWS = {
    "as it is": [],
    "filtered": [{"$match": {"x": {"$gte": 10}}}],
    "another _id": [{"$project": {"_id": "$x", "y": "$_id"}}],
    "the same _id for all": [{"$project": {"_id": "1", "y": "$_id"}}],
    "no _id": [{"$project": {"_id": 0, "x": 1}}],
    "empty": [{"$match": {"x": -1}}],
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("chunk_size", [1, 5, 1000])
def test_a_view(connection, mongo, make_table, name, chunk_size):
    fill(mongo.c, IDS)
    mongo.command("create", "v", viewOn="c", pipeline=VIEWS[name])
    make_table("v")
    chunks = split(connection, "v", chunk_size)
    got = [read(connection, "v", bounds) for _, bounds, *_ in chunks]
    expected = [bytes(d.raw) for d in mongo.v.with_options(
        codec_options=bson.CodecOptions(document_class=RawBSONDocument)).find()]
    assert sorted(sum(got, [])) == sorted(expected)
    if name in ("as it is", "filtered", "another _id") and chunk_size == 5:
        assert len(chunks) == -(-len(expected) // 5)
        assert max(map(len, got)) <= 6
    if name in ("the same _id for all", "no _id", "empty"):
        assert len(chunks) == 1
    assert sum(chunk[3] for chunk in chunks) == len(expected)
    for (_, bounds, *_), documents in zip(chunks, got):
        assert connection.execute("SELECT mongoferry.count_documents('v', %s)", [bounds]).fetchone() == (len(documents),)
    assert connection.execute("SELECT mongoferry.count_documents('v')").fetchone() == (len(expected),)


def test_a_view_is_cut_into_few_chunks(connection, mongo, make_table):
    mongo.c.insert_many({"_id": i} for i in range(300))
    mongo.command("create", "v", viewOn="c", pipeline=[])
    make_table("v")
    chunks = split(connection, "v", 1)
    assert len(chunks) == 64
    assert sorted(sum((read(connection, "v", bounds) for _, bounds, *_ in chunks), [])) == sorted(stored(mongo.c))


def test_a_time_series(connection, mongo, make_table):
    mongo.create_collection("t", timeseries={"timeField": "t"})
    mongo.t.insert_many({"t": TIME + datetime.timedelta(seconds=i), "x": i} for i in range(50))
    make_table("t")
    chunks = split(connection, "t", 12)
    got = [bson.decode(document)["x"] for _, bounds, *_ in chunks for document in read(connection, "t", bounds)]
    assert sorted(got) == list(range(50))
    assert len(chunks) == 5


# --- large collections ------------------------------------------------------------------------------------------------


def test_a_collection_that_is_sampled(connection, mongo, make_table):
    for start in range(0, 120_000, 20_000):
        mongo.c.insert_many(({"_id": i if i % 3 else str(i)} for i in range(start, start + 20_000)), ordered=False)
    make_table("c")
    chunks = split(connection, "c", 20_000)
    assert len(chunks) == 6
    assert [chunk[3] for chunk in chunks] == [20_000] * 6
    sizes = [connection.execute("SELECT mongoferry.count_documents('c', %s)", [bounds]).fetchone()[0]
             for _, bounds, *_ in chunks]
    assert sum(sizes) == 120_000
    # Twenty samples a chunk: four times too large has a chance of less than one in ten thousand millions.
    assert 500 < min(sizes) and max(sizes) < 80_000
    assert sizes != [20_000] * 6  # it was no walk
    assert connection.execute("SELECT mongoferry.count_documents('c')").fetchone() == (120_000,)


def cursor(documents):
    return {"cursor": {"id": Int64(0), "ns": "shop.c", "firstBatch": documents}, "ok": 1}


def error(code, message="no"):
    return {"ok": 0, "code": code, "codeName": "Name", "errmsg": message}


ONE_COLLECTION = cursor([{"name": "c", "type": "collection"}])


@pytest.fixture
def fake(psql, connection):
    """fake(answers): a table "c" over a server that answers so."""
    opened = []

    def make(answers):
        server = FakeMongo({"listcollections": ONE_COLLECTION, "collstats": {"avgObjSize": 100.5, "ok": 1}, **answers})
        opened.append(server)
        psql(f"""CREATE SERVER fake FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{server.uri}', database 'shop');
                 CREATE FOREIGN TABLE c (x int) SERVER fake""")
        return server

    yield make
    connection.close()
    for server in opened:
        server.close()


def commands(server, *names):
    ours = ("lsid", "$db", "$clusterTime", "$readPreference", "readConcern")
    return [{key: value for key, value in command.items() if key not in ours}
            for command in server.commands if next(iter(command)) in names]


def test_what_is_asked_of_a_large_collection(connection, fake):
    sampled = [{"_id": i * 10} for i in range(2000)]
    server = fake({"count": {"n": 2_000_000.0, "ok": 1}, "aggregate": cursor(sampled), "find": cursor([])})
    chunks = split(connection, "c", 20_000)
    assert commands(server, "count", "aggregate") == [
        {"count": "c"},
        {"aggregate": "c", "pipeline": [{"$sample": {"size": 2000}}, {"$group": {"_id": "$_id"}}, {"$sort": {"_id": 1}}],
         "cursor": {}}]
    # No scan but the one that sees whether bounds are honoured.
    assert commands(server, "find") == [
        {"find": "c", "filter": {"$expr": {"$and": [{"$lt": ["$_id", {"$literal": 200}]}]}}, "projection": {"_id": 1},
         "min": {"_id": 200}, "max": {"_id": 400}, "hint": {"_id": 1}, "limit": 1}]
    assert [bson.decode(chunk[1]) for chunk in chunks] == [
        {"kind": "ids", **({"min": i * 200} if i else {}), **({"max": i * 200 + 200} if i < 99 else {})} for i in range(100)]
    assert {chunk[3:] for chunk in chunks} == {(20_000, 2_010_000)}


def test_a_very_large_sample_may_use_the_servers_disk(connection, fake):
    server = fake({"count": {"n": 400_000_000, "ok": 1}, "aggregate": cursor([{"_id": 1}]), "find": cursor([])})
    assert len(split(connection, "c", 20_000)) == 1
    assert commands(server, "aggregate")[0]["pipeline"][0] == {"$sample": {"size": 400_000}}
    assert commands(server, "aggregate")[0]["allowDiskUse"] is True


@pytest.mark.parametrize("answers", [
    {"count": {"n": 99_999, "ok": 1}},
    {"count": {"n": 0, "ok": 1}},  # after a crash of the server, say
    {"count": {"n": 2_000_000, "ok": 1}, "aggregate": error(28799)},  # a random cursor that finds nothing new
], ids=["small", "unknown", "no sample"])
def test_what_is_asked_of_a_collection_that_is_walked(connection, fake, answers):
    def find(_, command):
        return cursor([] if "min" in command else [{"_id": i} for i in range(2500)])

    server = fake({**answers, "find": find})
    chunks = split(connection, "c", 1000)
    assert commands(server, "find")[0] == {"find": "c", "projection": {"_id": 1}, "sort": {"_id": 1}, "hint": {"_id": 1}}
    assert [bson.decode(chunk[1]) for chunk in chunks] == [
        {"kind": "ids", "max": 1000}, {"kind": "ids", "min": 1000, "max": 2000}, {"kind": "ids", "min": 2000}]
    assert [chunk[3] for chunk in chunks] == [1000, 1000, 500]


def test_a_small_chunk_size_is_walked(connection, fake):
    server = fake({"count": {"n": 2_000_000, "ok": 1}, "find": cursor([{"_id": 1}])})
    split(connection, "c", 400)
    assert not commands(server, "aggregate")


def test_the_same_id_on_two_shards(connection, fake):
    fake({"count": {"n": 5, "ok": 1},
          "find": lambda _, command: cursor([] if "min" in command else [{"_id": i} for i in (1, 2, 2, 2, 3)])})
    chunks = split(connection, "c", 2)
    assert [bson.decode(chunk[1]) for chunk in chunks] == [{"kind": "ids", "max": 3}, {"kind": "ids", "min": 3}]
    assert [chunk[3] for chunk in chunks] == [4, 1]


# --- servers that refuse or ignore ------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers, bytes_estimated", [
    ({"collstats": error(13)}, None),
    ({"collstats": error(166)}, None),
    ({"collstats": {"ok": 1}}, None),
    ({"collstats": {"ok": 1, "avgObjSize": 20}}, 20),
    ({"listcollections": error(13)}, 100),
    ({"listcollections": error(72)}, 100),
])
def test_rights_that_are_missing_or_figures(connection, fake, answers, bytes_estimated):
    fake({"count": {"n": 1, "ok": 1}, "find": cursor([{"_id": 1}]), **answers})
    assert [chunk[3:] for chunk in split(connection, "c", 10)] == [(1, bytes_estimated)]


def test_a_refused_count_is_an_error(connection, fake):
    fake({"count": error(13)})
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="fake"):
        split(connection, "c", 10)


def test_a_server_that_ignores_min_and_max(connection, fake):
    fake({"count": {"n": 5, "ok": 1}, "find": cursor([{"_id": i} for i in range(5)])})
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    assert [bson.decode(chunk[1]) for chunk in split(connection, "c", 2)] == [{"kind": "ids"}]
    assert notices == ['server "fake" does not read ranges of _id']


BOUNDS = bson.encode({"kind": "ids", "min": 3, "max": 5})
BY_INDEX = {"find": "c", "projection": {"_id": 1}, "min": {"_id": 3}, "max": {"_id": 5}, "hint": {"_id": 1}}
BY_EXPRESSION = {"find": "c", "projection": {"_id": 1},
                 "filter": {"$expr": {"$and": [{"$gte": ["$_id", {"$literal": 3}]}, {"$lt": ["$_id", {"$literal": 5}]}]}}}


def count_range(connection, bounds=BOUNDS):
    return connection.execute("SELECT mongoferry.count_documents('c', %s)", [bounds]).fetchone()[0]


@pytest.mark.parametrize("listed, command", [
    (ONE_COLLECTION, BY_INDEX), (cursor([]), BY_INDEX), (error(13), BY_INDEX),
    (cursor([{"name": "c", "type": "view"}]), BY_EXPRESSION),
    (cursor([{"name": "c", "type": "timeseries"}]), BY_EXPRESSION),
    (cursor([{"name": "d", "type": "view"}]), BY_INDEX),
], ids=["collection", "unknown", "not allowed", "view", "time series", "another"])
def test_the_type_of_the_collection_decides(connection, fake, listed, command):
    server = fake({"listcollections": listed, "find": cursor([{"_id": 3}, {"_id": 4}])})
    assert [count_range(connection), count_range(connection)] == [2, 2]
    assert commands(server, "find") == [command, command]
    assert commands(server, "listCollections")[0]["filter"] == {"name": "c"}
    # Asked once where there is something to remember.
    assert (len(commands(server, "listCollections")) == 1) == (listed in (
        ONE_COLLECTION, cursor([{"name": "c", "type": "view"}]), cursor([{"name": "c", "type": "timeseries"}])))


@pytest.mark.parametrize("code", [2, 168, 167, 51173, 51174, 6137400])
def test_a_refusal_leads_to_the_expression_and_is_remembered(connection, fake, code):
    server = fake({"find": lambda _, command: error(code) if "min" in command else cursor([{"_id": 3}])})
    assert [count_range(connection), count_range(connection)] == [1, 1]
    assert commands(server, "find") == [BY_INDEX, BY_EXPRESSION, BY_EXPRESSION]


def test_a_refusal_of_both_is_an_error(connection, fake):
    server = fake({"find": lambda _, command: error(2, "by index" if "min" in command else "by expression")})
    for _ in range(2):
        with pytest.raises(psycopg.Error, match="by expression"):
            count_range(connection)
    assert commands(server, "find") == [BY_INDEX, BY_EXPRESSION] * 2


@pytest.mark.parametrize("code", [51175, 6137401])
def test_an_empty_range_that_the_server_refuses(connection, fake, code):
    fake({"find": error(code, "min does not come before max")})
    assert count_range(connection) == 0
    assert connection.execute("SELECT x FROM c WHERE mongoferry.in_chunk(tableoid, %s)", [BOUNDS]).fetchall() == []


def test_a_split_of_what_refuses_the_index(connection, fake):
    """As a collection without an index on _id does, which some are in the database "local"."""
    server = fake({"count": {"n": 100, "ok": 1}, "find": error(2, "bad hint"),
                   "aggregate": cursor([{"_id": i} for i in range(100)])})
    assert len(split(connection, "c", 10)) == 10
    assert commands(server, "aggregate")[0]["pipeline"][0] == {"$sample": {"size": 200}}


# --- counting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("members, expected", [
    ({"kind": "all"}, 41), ({"kind": "ids"}, 41), ({"kind": "ids", "min": 5}, 36), ({"kind": "ids", "max": "x"}, 40),
    ({"kind": "ids", "min": 5, "max": 5}, 0), ({"kind": "ids", "min": 6, "max": 5}, 0),
    ({"kind": "list", "ids": [1, 2, 99, "z"]}, 3), ({"kind": "list", "ids": []}, 0),
])
def test_counts(connection, mongo, make_table, members, expected):
    mongo.c.insert_many({"_id": i} for i in [*range(40), "z"])
    make_table("c")
    assert count_range(connection, bson.encode(members)) == expected


def test_a_count_is_not_the_metadatas(connection, fake):
    server = fake({"count": {"n": 5, "ok": 1}, "aggregate": cursor([{"_id": None, "n": 7}])})
    assert connection.execute("SELECT mongoferry.count_documents('c')").fetchone() == (7,)
    assert commands(server, "aggregate", "count") == [
        {"aggregate": "c", "pipeline": [{"$group": {"_id": None, "n": {"$sum": 1}}}], "cursor": {}, "hint": {"_id": 1}}]


@pytest.mark.parametrize("code, count", [(2, 7), (168, 7)])
def test_a_count_where_the_hint_is_refused(connection, fake, code, count):
    fake({"aggregate": lambda _, command: error(code) if "hint" in command else cursor([{"_id": None, "n": count}])})
    assert connection.execute("SELECT mongoferry.count_documents('c')").fetchone() == (count,)


# --- interruptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", ["count", "collstats", "listcollections", "aggregate", "find"])
def test_a_split_can_be_canceled(connection, fake, silent):
    server = fake({"count": {"n": 2_000_000, "ok": 1}, "aggregate": cursor([{"_id": i} for i in range(2000)]),
                   "find": cursor([]), silent: None})
    connection.execute("SET statement_timeout = '300ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        split(connection, "c", 20_000)
    connection.execute("RESET statement_timeout")
    server.answers[silent] = error(13, "now it speaks")
    assert connection.execute("SELECT 1").fetchone() == (1,)
    if silent not in ("collstats", "listcollections"):
        # What was begun was ended: the server knows it by its session.
        assert any("killSessions" in command for command in server.commands)


@pytest.mark.parametrize("silent", ["aggregate", "find"])
def test_a_count_can_be_canceled(connection, fake, silent):
    fake({silent: None})
    connection.execute("SET statement_timeout = '300ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        count_range(connection, BOUNDS if silent == "find" else None)


@pytest.mark.parametrize("failing", ["count", "collStats", "listCollections", "aggregate", "find"])
@pytest.mark.parametrize("code, sqlstate", [(11602, "08006"), (134, "08000")])
def test_a_failover_while_splitting_is_transient(connection, fake, failing, code, sqlstate):
    """Not taken for a lack of rights, nor for a refusal of the index."""
    server = fake({"count": {"n": 2_000_000, "ok": 1}, "aggregate": cursor([{"_id": i} for i in range(2000)]),
                   "find": cursor([])})
    good = server.answers[failing.lower()]
    server.answers[failing.lower()] = error(code, "stepping down")
    with pytest.raises(psycopg.Error) as caught:
        split(connection, "c", 20_000)
    assert caught.value.sqlstate == sqlstate
    assert "stepping down" in str(caught.value)
    server.answers[failing.lower()] = good
    assert len(split(connection, "c", 20_000)) == 100


def test_a_stale_connection_is_replaced(connection, proxy, mongo, psql):
    mongo.c.insert_many({"_id": i} for i in range(10))
    between = proxy()
    psql(f"""CREATE SERVER away FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{between.uri}', database '{mongo.name}');
             CREATE FOREIGN TABLE c (x int) SERVER away""")
    assert len(split(connection, "c", 5)) == 2
    between.cut()
    assert len(split(connection, "c", 5)) == 2

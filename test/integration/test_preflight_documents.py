"""preflight() on the documents themselves: a sample from all over the source, and the types of _id."""

import bson
import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId
from datetime import datetime, timezone
from psycopg import errors

from harness.preflight import add_task, found, preflight, shop  # noqa: F401

TIME = datetime(2024, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(params=["live", "file", "compressed file"])
def numbers(request, connection):
    """Makes documents readable as the foreign table `numbers`."""

    def make(documents):
        if request.param == "live":
            if documents:
                request.getfixturevalue("mongo").numbers.insert_many(documents)
            server = request.getfixturevalue("live_server")
        else:
            folder = request.getfixturevalue("write_dump")({"numbers": documents}, compressed=request.param != "file")
            connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
            server = "dump"
        connection.execute(f"CREATE FOREIGN TABLE numbers (_id int, n int) SERVER {server}")
        return connection

    return make


def sample_of(connection, table="numbers"):
    """(what preflight_documents() says, the _ids in the sample)"""
    sample = connection.execute("SELECT mongoferry.preflight_documents(%s)", [table]).fetchone()[0]
    ids = connection.execute(
        "SELECT source_id FROM mongoferry.read_documents(%s, decode(%s, 'base64'))", [table, sample["bounds"]]).fetchall()
    return sample, [row[0] for row in ids]


@pytest.mark.parametrize("count", [0, 1, 199, 200])
def test_small_source_is_its_sample(numbers, count):
    connection = numbers([{"_id": i, "n": i} for i in range(count)])
    sample, ids = sample_of(connection)
    assert sorted(ids) == list(range(count))
    assert (sample["documents"], sample["sampled"]) == (count, count)


def test_sample_is_from_all_over_the_source(numbers):
    connection = numbers([{"_id": i, "n": i} for i in range(5003)])
    sample, ids = sample_of(connection)
    assert sample["documents"] == 5003
    assert 100 < len(ids) <= 200 and len(set(ids)) == len(ids)
    # At random, each twentieth has ten; none of ten documents in 200 has a chance of 1 to 25,000.
    assert len({i // 251 for i in ids}) >= 17
    assert sample["average"] == len(bson.encode({"_id": 1, "n": 1}))


def test_sample_is_limited_in_bytes(numbers):
    connection = numbers([{"_id": i, "n": i, "text": "x" * 1_000_000} for i in range(45)])
    sample, ids = sample_of(connection)
    assert sample["documents"] == 45 and 30 <= len(ids) <= 33


def test_sample_of_a_view(connection, mongo, live_server):
    mongo.numbers.insert_many([{"_id": i, "n": i} for i in range(400)])
    mongo.command("create", "big", viewOn="numbers", pipeline=[{"$match": {"n": {"$gte": 100}}}])
    connection.execute(f"CREATE FOREIGN TABLE big (_id int, n int) SERVER {live_server}")
    sample, ids = sample_of(connection, "big")
    assert sample["documents"] == 300 and len(ids) == 200 and min(ids) >= 100


def test_sample_documents_arguments(connection, mongo, live_server, connect, ordinary_role):
    mongo.numbers.insert_many([{"_id": i} for i in range(3)])
    connection.execute(f"CREATE FOREIGN TABLE numbers (_id int) SERVER {live_server}")
    with pytest.raises(errors.InvalidParameterValue, match="number of documents must be at least 1, not 0"):
        connection.execute("SELECT * FROM mongoferry.sample_documents('numbers', 0)")
    with pytest.raises(errors.WrongObjectType, match='"pg_class" is not a foreign table of mongoferry'):
        connection.execute("SELECT * FROM mongoferry.sample_documents('pg_class', 1)")
    assert connection.execute("SELECT source_id FROM mongoferry.sample_documents(NULL, 1)").fetchall() == []
    assert connection.execute("SELECT count(*) FROM mongoferry.sample_documents('numbers', 2)").fetchone() == (2,)
    theirs = connect(ordinary_role)
    for call in ("sample_documents('numbers', 1)", "id_types('numbers')", "default_collation('numbers')"):
        with pytest.raises(errors.InsufficientPrivilege):
            theirs.execute(f"SELECT mongoferry.{call}")


# ---- types of _id ----

ID_TYPES = {
    "number": [1, 2.5, Int64(2**40), Decimal128("7.5")],
    "string": ["a", ""],
    "object": [{"a": 1}],
    "objectId": [ObjectId()],
    "bool": [True],
    "date": [TIME],
    "binData": [b"\x01\x02"],
    "timestamp": [bson.Timestamp(1, 2)],
    "null": [None],
    "minKey": [MinKey()],
    "maxKey": [MaxKey()],
}


@pytest.mark.parametrize("types", [[name] for name in ID_TYPES] + [["number", "string"], ["objectId", "string"], list(ID_TYPES)], ids=" ".join)
def test_types_of_id(connection, mongo, live_server, types):
    documents = [{"_id": value} for name in types for value in ID_TYPES[name]]
    mongo.numbers.insert_many(documents)
    connection.execute(f"CREATE FOREIGN TABLE numbers (_id text) SERVER {live_server}")
    assert set(connection.execute("SELECT mongoferry.id_types('numbers')").fetchone()[0]) == set(types)
    # what the sample shows has the same names
    found_types = connection.execute(
        "SELECT mongoferry.preflight_id_types('numbers', mongoferry.preflight_documents('numbers'))").fetchone()[0]
    assert found_types == sorted(types)


def test_types_of_id_that_are_not_told(connection, mongo, live_server, write_dump):
    mongo.numbers.insert_many([{"_id": 1}, {"_id": "a"}])
    mongo.command("create", "seen", viewOn="numbers", pipeline=[])
    folder = write_dump({"numbers": [{"_id": 1}]})
    connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    connection.execute(f"CREATE FOREIGN TABLE seen (_id text) SERVER {live_server}; CREATE FOREIGN TABLE none (_id text) SERVER {live_server};"
                       "CREATE FOREIGN TABLE dumped (_id text) SERVER dump OPTIONS (collection 'numbers')")
    for table in ("seen", "none", "dumped"):
        assert connection.execute(f"SELECT mongoferry.id_types('{table}'), mongoferry.default_collation('{table}')").fetchone() == (None, None)


@pytest.mark.parametrize("column, severity", [("_id int", "warning"), ("_id text", "note"), ("_id jsonb", "note"), ("n int", "note"),
                                              ("key int OPTIONS (field '_id')", "warning")])
def test_mixed_ids(shop, mongo, live_server, column, severity):
    # too rare for a sample
    mongo.numbers.insert_many([{"_id": i, "n": 1} for i in range(2000)] + [{"_id": "x", "n": 1}])
    shop.execute(f"CREATE FOREIGN TABLE numbers ({column}) SERVER {live_server}; CREATE TABLE target (id int)")
    add_task(shop, "t", "target", "SELECT 1 AS id FROM source", source="numbers")
    assert found(preflight(shop), "_id") == [(severity, "public.numbers has _ids of several types: number, string")]


def test_mixed_ids_of_a_dump(shop, write_dump):
    folder = write_dump({"numbers": [{"_id": ObjectId()}, {"_id": "x"}]})
    shop.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    shop.execute("CREATE FOREIGN TABLE numbers (_id text) SERVER dump; CREATE TABLE target (id text)")
    add_task(shop, "t", "target", "SELECT _id AS id FROM source", source="numbers")
    assert found(preflight(shop), "_id") == [("note", "sampled documents of public.numbers have _ids of several types: objectId, string")]


def test_ids_of_one_type(shop, mongo):
    mongo.documents.insert_many([{"_id": 1}, {"_id": 2.5}])
    shop.execute("CREATE TABLE target (id int)")
    add_task(shop, "t", "target", "SELECT 1 AS id FROM source")
    assert found(preflight(shop), "_id") == []


def test_default_collation(shop, mongo, live_server):
    mongo.create_collection("words", collation={"locale": "en", "strength": 2})
    mongo.words.insert_many([{"_id": "a"}, {"_id": "b"}])
    if "collation" not in next(iter(mongo.list_collections(filter={"name": "words"})))["options"]:
        pytest.skip("this server does not keep collations")
    shop.execute(f"CREATE FOREIGN TABLE words (_id text) SERVER {live_server}; CREATE TABLE target (id text)")
    add_task(shop, "t", "target", "SELECT _id AS id FROM source", source="words")
    [(severity, message)] = found(preflight(shop), "_id")
    assert severity == "note" and message.startswith("the collection of public.words has a default collation: {") and '"en"' in message

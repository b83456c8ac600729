"""split_source(): the chunks of a source hold each of its documents once."""

import json
import random
from datetime import datetime

import bson
import bson.json_util
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp

from harness.archives import Archive

IN_CHUNK = "mongoferry.in_chunk(tableoid, %s)"

MIXED_IDS = [
    MinKey(), 1, Int64(2), 2.5, Decimal128("2.75"), -7, 10**12, "", "a", "b\0c", "\u00e9", {"a": 1}, {"a": 1, "b": 2}, {},
    b"ab", Binary(b"xy", 128), Binary(bytes(16), 4), ObjectId("0" * 24), ObjectId("f" * 24), False, True,
    datetime(1969, 1, 1), datetime(2024, 2, 29), Timestamp(1, 2), Code("f"), Code("g", {"x": 1}), MaxKey(),
]  # fmt: skip


@pytest.fixture(params=["live", "bson", "gzip", "json", "archive"])
def split(request, connection):
    """A function that puts documents into a source and tells the chunks of the foreign table over it."""

    def put(documents, chunk_size):
        if request.param == "live":
            if documents:
                request.getfixturevalue("mongo").things.insert_many(documents)
            server = request.getfixturevalue("live_server")
        else:
            write_file = request.getfixturevalue("write_file")
            if request.param == "json":
                options = bson.json_util.CANONICAL_JSON_OPTIONS
                lines = "".join(bson.json_util.dumps(each, json_options=options) + "\n" for each in documents)
                path = write_file("things.json", lines.encode())
            elif request.param == "archive":
                archive = Archive()
                archive.collection("shop", "things")
                for start in range(0, len(documents), 37):  # in blocks, with another collection's between them
                    archive.block("shop", "things", documents[start : start + 37])
                    archive.block("shop", "others", [{"_id": start, "n": -1}])
                archive.end("shop", "things")
                archive.collection("shop", "others")
                archive.end("shop", "others")
                path = write_file("dump.archive", archive.content())
            else:
                path = request.getfixturevalue("write_dump")({"things": documents}, compressed=request.param == "gzip")
            connection.execute(f"CREATE SERVER files FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
            server = "files"
        connection.execute(
            f"CREATE FOREIGN TABLE things (_id jsonb, n int, document jsonb OPTIONS (field '$$ROOT')) SERVER {server}"
        )
        return connection.execute("SELECT * FROM mongoferry.split_source('things', %s)", [chunk_size]).fetchall()

    return put


def tiles(connection, chunks):
    """Every document is in exactly one of the chunks, whichever way it is read. The documents of each chunk."""
    whole = [bytes(row[0]) for row in connection.execute("SELECT raw FROM mongoferry.read_documents('things', NULL)")]
    assert [row[0] for row in chunks] == list(range(1, len(chunks) + 1))
    parts = []
    for _, chunk, *_ in chunks:
        part = [bytes(row[0]) for row in connection.execute("SELECT raw FROM mongoferry.read_documents('things', %s)", [chunk])]
        scanned = connection.execute(f"SELECT n FROM things WHERE {IN_CHUNK}", [chunk]).fetchall()
        assert sorted(row[0] for row in scanned) == sorted(bson.decode(document)["n"] for document in part)
        assert connection.execute("SELECT mongoferry.count_documents('things', %s)", [chunk]).fetchone()[0] == len(part)
        parts.append(part)
    assert sorted(document for part in parts for document in part) == sorted(whole)
    assert connection.execute("SELECT mongoferry.count_documents('things')").fetchone()[0] == len(whole)
    return parts


@pytest.mark.parametrize("count, chunk_size", [(0, 10), (1, 10), (10, 10), (11, 10), (997, 10), (997, 100), (500, 1000), (60, 1)])
def test_chunks_tile_the_source(connection, split, count, chunk_size):
    chunks = split([{"_id": i * 3, "n": i, "text": "x" * (i % 90)} for i in range(count)], chunk_size)
    parts = tiles(connection, chunks)
    assert sum(len(part) for part in parts) == count
    assert len(chunks) <= max(1, count / chunk_size * 4) and max(len(part) for part in parts) <= chunk_size * 4
    for _, _, shown, documents, size in chunks:
        assert shown["kind"] in ("all", "ids", "bytes")
        assert documents is not None and documents >= 0
        assert size is None or size >= 0


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_chunks_with_ids_of_all_types(connection, split, chunk_size):
    documents = [{"_id": value, "n": n} for n, value in enumerate(MIXED_IDS)]
    random.Random(7).shuffle(documents)
    parts = tiles(connection, split(documents, chunk_size))
    assert sum(len(part) for part in parts) == len(MIXED_IDS)


@pytest.mark.parametrize("split", ["live"], indirect=True)  # a dump does not change
def test_documents_inserted_after_the_split(connection, split, mongo):
    chunks = split([{"_id": i * 10, "n": i} for i in range(200)], 20)
    mongo.things.insert_many(
        [{"_id": value, "n": 1000 + n} for n, value in enumerate([-1, 5, 1111, 99999, "x", ObjectId(), MinKey(), MaxKey(), None])]
    )
    assert sum(len(part) for part in tiles(connection, chunks)) == 209


@pytest.mark.parametrize("split", ["live", "bson"], indirect=True)
def test_elements_and_plan_of_a_chunk(connection, split):
    """Chunks are of documents, also behind a table with a row for each element; EXPLAIN shows which."""
    chunks = split([{"_id": i, "n": i, "items": [{"q": i}, {"q": -i}]} for i in range(100)], 30)
    [server] = connection.execute(
        "SELECT srvname FROM pg_foreign_server s JOIN pg_foreign_table t ON ftserver = s.oid"
    ).fetchone()
    connection.execute(
        f"""CREATE FOREIGN TABLE elements (_id int, q int OPTIONS (field 'items.q')) SERVER {server}
            OPTIONS (collection 'things', unwind 'items')"""
    )
    assert len(chunks) > 1
    elements = []
    for _, chunk, shown, *_ in chunks:
        part = connection.execute(f"SELECT _id, q FROM elements WHERE {IN_CHUNK}", [chunk]).fetchall()
        documents = connection.execute("SELECT mongoferry.count_documents('elements', %s)", [chunk]).fetchone()[0]
        assert len(part) == 2 * documents
        elements += part
        plan = connection.execute(
            f"EXPLAIN (COSTS off, FORMAT json) SELECT n FROM things WHERE mongoferry.in_chunk(tableoid, '\\x{chunk.hex()}')"
        ).fetchone()[0][0]["Plan"]
        assert json.loads(plan["Chunk"]) == shown
        assert "Filter" not in plan
        if "Command" in plan:
            assert json.loads(plan["Command"]).get("min", {}).get("_id") == shown.get("min")
    assert sorted(elements) == sorted((i, q) for i in range(100) for q in (i, -i))

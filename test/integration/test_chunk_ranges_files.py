"""Chunks of dump files: every format is split into ranges that hold each document once, and read range by range, in any
order, without reading a compressed file from its start each time."""

import contextlib
import os
import random
import threading

import bson
import psycopg
import pytest
from bson import json_util
from bson.int64 import Int64

from harness.archives import Archive, archive_of
from harness.dumps import bson_bytes

DOCUMENTS = [{"_id": i, "text": '}{"\\é' + "x" * (i * 37 % 90), "nested": {"a": [{"b": i}]}} for i in range(100)]
OTHERS = [{"_id": 1000 + i, "text": "other"} for i in range(40)]


def lines(documents):
    return "".join(json_util.dumps(document) + "\n" for document in documents).encode()


def array(documents, separator=" ,\n\n "):
    return ("\ufeff [ " + separator.join(json_util.dumps(document, indent=2) for document in documents) + "\n]\n").encode()


def archive(documents):
    return archive_of({"shop": {"others": OTHERS, "orders": documents}, "crm": {"orders": OTHERS}})


CONTENTS = {"bson": bson_bytes, "json": lines, "json array": array, "archive": archive}
FORMATS = [(form, compressed) for form in CONTENTS for compressed in (False, True)]
FOLDERS = [("folder", False), ("folder", True)]
every_format = pytest.mark.parametrize(
    "form, compressed", FORMATS + FOLDERS, ids=[f"{form}{'.gz' * gz}" for form, gz in FORMATS + FOLDERS]
)


@pytest.fixture
def make_table(connection, write_file, write_dump):
    """A function that makes a foreign table `orders` over documents in some format, and gives the path of the file."""

    def make(form, compressed, documents=DOCUMENTS, name="orders"):
        if form == "folder":
            dump = write_dump({"orders": documents, "others": OTHERS}, name=name, compressed=compressed)
            path = dump / ("orders.bson.gz" if compressed else "orders.bson")
        else:
            path = dump = write_file(f"{name}.{form.replace(' ', '.')}", CONTENTS[form](documents), compressed=compressed)
        connection.execute(
            f"""CREATE SERVER {name}_dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{dump}', database 'shop');
                CREATE FOREIGN TABLE {name} (_id int, text text, document jsonb OPTIONS (field '$$ROOT'))
                SERVER {name}_dump OPTIONS (collection 'orders')"""
        )
        return path

    return make


def split(connection, chunk_size, table="orders"):
    rows = connection.execute(
        "SELECT chunk, bounds, documents_estimated, bytes_estimated FROM mongoferry.split_source(%s, %s) ORDER BY chunk",
        [table, chunk_size],
    ).fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    return rows


def read(connection, bounds, table="orders"):
    rows = connection.execute(f"SELECT _id FROM {table} WHERE mongoferry.in_chunk(tableoid, %s)", [bounds]).fetchall()
    return [row[0] for row in rows]


def descriptors(connection, path):
    """How many descriptors of the backend stand on the file (or on one of that name that is gone)."""
    folder = f"/proc/{connection.info.backend_pid}/fd"
    count = 0
    for entry in os.listdir(folder):
        try:
            count += os.readlink(f"{folder}/{entry}").startswith(str(path))
        except FileNotFoundError:
            pass
    return count


# --- splitting --------------------------------------------------------------------------------------------------------


@every_format
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 1000])
def test_chunks_hold_every_document_once(connection, make_table, form, compressed, chunk_size):
    make_table(form, compressed)
    chunks = split(connection, chunk_size)
    parts = [read(connection, bounds) for _, bounds, _, _ in chunks]
    expected = [list(range(start, min(start + chunk_size, 100))) for start in range(0, 100, chunk_size)]
    assert parts == expected
    assert [row[2] for row in chunks] == [len(part) for part in expected]
    assert sum(row[2] for row in chunks) == connection.execute("SELECT mongoferry.count_documents('orders')").fetchone()[0]
    for _, bounds, count, _ in chunks[:: len(chunks) // 5 + 1]:
        assert connection.execute("SELECT mongoferry.count_documents('orders', %s)", [bounds]).fetchone()[0] == count
        rows = connection.execute("SELECT raw FROM mongoferry.read_documents('orders', %s)", [bounds]).fetchall()
        ids = read(connection, bounds)
        assert [bson.decode(raw) for (raw,) in rows] == [DOCUMENTS[i] for i in ids]

    size = sum(row[3] for row in chunks)
    exact = len(bson_bytes(DOCUMENTS))
    assert size == exact if "json" not in form else exact / 2 < size < exact * 2


@every_format
def test_bounds(connection, make_table, form, compressed):
    path = make_table(form, compressed)
    chunks = [bson.decode(bounds) for _, bounds, _, _ in split(connection, 30)]
    assert {chunk["kind"] for chunk in chunks} == {"bytes"}
    assert {chunk["size"] for chunk in chunks} == {os.stat(path).st_size}
    assert [chunk.get("end") for chunk in chunks] == [chunk["first"] for chunk in chunks[1:]] + [None]
    assert all(("block" in chunk) == (form == "archive") for chunk in chunks)


@every_format
def test_nothing_to_split(connection, make_table, form, compressed):
    make_table(form, compressed, documents=[])
    ((_, bounds, count, size),) = split(connection, 10)
    assert (count, size) == (0, 0)
    assert read(connection, bounds) == []
    assert connection.execute("SELECT mongoferry.count_documents('orders', %s)", [bounds]).fetchone()[0] == 0


@every_format
def test_as_many_as_a_chunk_holds(connection, make_table, form, compressed):
    make_table(form, compressed)
    for chunk_size, expected in [(99, [99, 1]), (100, [100]), (50, [50, 50])]:
        assert [len(read(connection, row[1])) for row in split(connection, chunk_size)] == expected


# --- reading ----------------------------------------------------------------------------------------------------------


@every_format
def test_in_any_order(connection, make_table, form, compressed):
    make_table(form, compressed)
    chunks = [(bounds, list(range(3 * i, min(3 * i + 3, 100)))) for i, (_, bounds, _, _) in enumerate(split(connection, 3))]
    orders = [list(chunks), list(reversed(chunks)), random.Random(5).choices(chunks, k=80), chunks[7:8] * 3]
    for order in orders:
        for bounds, expected in order:
            assert read(connection, bounds) == expected


def big_documents():
    """Enough for several windows of the readers, and for marks in compressed files: about 10 MB."""
    source = random.Random(7)
    return [{"_id": i, "text": source.randbytes(500).hex()} for i in range(10000)]


@pytest.mark.parametrize("form, compressed", [("bson", True), ("json", True), ("json array", True), ("archive", True), ("bson", False), ("archive", False)])
def test_in_any_order_over_long_ways(connection, make_table, form, compressed):
    make_table(form, compressed, documents=big_documents())
    chunks = [(row[1], list(range(701 * i, min(701 * (i + 1), 10000)))) for i, row in enumerate(split(connection, 701))]
    assert len(chunks) == 15
    for bounds, expected in chunks + random.Random(5).choices(chunks, k=30) + chunks[::-1]:
        assert read(connection, bounds) == expected


@every_format
def test_a_scan_that_begins_again(connection, make_table, form, compressed):
    make_table(form, compressed)
    bounds = split(connection, 10)[4][1]
    connection.execute("SET enable_material = off; SET enable_memoize = off; SET enable_hashjoin = off; SET enable_mergejoin = off")
    rows = connection.execute(
        """SELECT g, array_agg(_id) FROM generate_series(1, 3) g
           LEFT JOIN LATERAL (SELECT _id FROM orders WHERE mongoferry.in_chunk(tableoid, %s) AND _id + g > 0) o ON true
           GROUP BY g ORDER BY g""", [bounds]).fetchall()
    assert rows == [(g, list(range(40, 50))) for g in (1, 2, 3)]


@every_format
def test_interleaved_scans(connection, make_table, form, compressed):
    make_table(form, compressed, documents=big_documents()[:3000])
    chunks = [row[1] for row in split(connection, 1000)]
    read(connection, chunks[0])  # leaves a reader for one of those that come
    with connection.transaction():
        for i, bounds in enumerate(chunks + chunks[:2]):
            literal = psycopg.sql.Literal(bounds).as_string(connection)
            connection.execute(f"DECLARE c{i} CURSOR FOR SELECT _id FROM orders WHERE mongoferry.in_chunk(tableoid, {literal})")
        results = [[] for _ in range(5)]
        for step in range(11):
            for i in range(5):
                results[i] += [row[0] for row in connection.execute(f"FETCH {97 + i} FROM c{i}").fetchall()]
    assert results == [list(range(1000 * i, 1000 * (i + 1))) for i in (0, 1, 2, 0, 1)]


@every_format
def test_a_chunk_with_limit_and_exceptions(connection, make_table, form, compressed):
    make_table(form, compressed)
    bounds = split(connection, 30)[1][1]
    assert connection.execute(
        "SELECT array_agg(_id) FROM (SELECT _id FROM orders WHERE mongoferry.in_chunk(tableoid, %s) LIMIT 7) o", [bounds]
    ).fetchone()[0] == list(range(30, 37))
    ids = [31, 35, 36, 59]
    without = bson.encode({**bson.decode(bounds), "except": ids})
    assert read(connection, without) == [i for i in range(30, 60) if i not in ids]
    assert read(connection, bounds) == list(range(30, 60))


# --- what is wrong ----------------------------------------------------------------------------------------------------


@every_format
def test_a_changed_file(connection, make_table, form, compressed):
    path = make_table(form, compressed)
    chunks = [row[1] for row in split(connection, 40)]
    assert read(connection, chunks[0]) == list(range(40))
    content = path.read_bytes()
    with open(path, "ab") as file:
        file.write(b"\n")
    for query in ["SELECT * FROM orders WHERE mongoferry.in_chunk(tableoid, %s)",
                  "SELECT mongoferry.count_documents('orders', %s)",
                  "SELECT * FROM mongoferry.read_documents('orders', %s)"]:
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as caught:
            connection.execute(query, [chunks[1]])
        error = caught.value.diag
        assert error.message_primary == f'dump file "{path}" has changed since the task was split'
        assert error.message_detail == f"It had {len(content)} bytes, and has {len(content) + 1} now."
        assert "mongoferry.reset_task()" in error.message_hint
    path.write_bytes(content)
    assert read(connection, chunks[1]) == list(range(40, 80))


@every_format
@pytest.mark.parametrize("how", ["in place", "replaced"])
def test_a_file_changed_at_equal_size_is_read_anew(connection, make_table, form, compressed, how):
    """The size cannot tell, but a reader kept from before must not serve what the file held then."""
    path = make_table(form, compressed)
    chunks = [row[1] for row in split(connection, 40)]
    assert read(connection, chunks[0]) == list(range(40))
    content = path.read_bytes()
    quarter = len(content) // 4
    broken = content[:quarter] + b"\xff" * quarter + content[2 * quarter :]
    if how == "in place":
        path.write_bytes(broken)
    else:
        new = path.parent.parent / "new"
        new.write_bytes(broken)
        new.chmod(0o644)
        new.replace(path)
    with pytest.raises(psycopg.errors.DataCorrupted):
        for bounds in chunks:
            read(connection, bounds)


@every_format
def test_a_chunk_that_begins_on_no_document(connection, make_table, form, compressed):
    make_table(form, compressed)
    bounds = bson.decode(split(connection, 10)[3][1])
    refused = 0
    for shift in (-3, -1, 1, 2, 5):
        moved = bson.encode({**bounds, "first": Int64(bounds["first"] + shift)})
        with pytest.raises(psycopg.errors.DataCorrupted, match="is corrupt at byte"):
            read(connection, moved)
        refused += 1
    with pytest.raises(psycopg.errors.DataCorrupted, match="is corrupt at byte") as caught:
        read(connection, bson.encode({**bounds, "first": Int64(2**62), "end": Int64(2**62 + 1)}))
    assert caught.value.diag.message_detail == f"The file ends before byte {2**62}, where a chunk begins."
    assert refused == 5


@pytest.mark.parametrize("compressed", [False, True])
def test_a_block_that_is_none(connection, make_table, compressed):
    make_table("archive", compressed)
    first, second = [bson.decode(row[1]) for row in split(connection, 3)[5:7]]
    assert first["block"] < first["first"] <= second["block"]
    open_end = {name: value for name, value in second.items() if name != "end"}
    content = archive(DOCUMENTS)
    other = content.index(Archive.block_header("shop", "others", False, 0))
    end = content.index(bson.encode({"db": "shop", "collection": "orders", "EOF": True, "CRC": Int64(0)})[:50][4:])
    for block in (0, other, first["first"], end - 4):
        with pytest.raises(psycopg.errors.DataCorrupted) as caught:
            read(connection, bson.encode({**open_end, "block": Int64(block), "first": Int64(max(block, second["first"]))}))
        assert "is corrupt at byte" in caught.value.diag.message_primary
    del second["block"]
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        read(connection, bson.encode(second))
    assert caught.value.diag.message_detail == "The bounds of the chunk were made for a file that is no archive."


def test_bounds_of_an_archive_elsewhere(connection, make_table):
    make_table("archive", False)
    make_table("bson", False, name="plain")
    bounds = bson.decode(split(connection, 3)[5][1])
    del bounds["size"]
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        read(connection, bson.encode(bounds), "plain")
    assert caught.value.diag.message_detail == "The bounds of the chunk were made for an archive."


@pytest.mark.parametrize("form, compressed", FORMATS, ids=[f"{form}{'.gz' * gz}" for form, gz in FORMATS])
def test_damage_is_found_when_splitting(connection, make_table, form, compressed, folder, write_file):
    path = make_table(form, compressed)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(psycopg.errors.DataCorrupted, match="is corrupt at byte"):
        split(connection, 10)
    assert descriptors(connection, path) == 0


def test_a_wrong_checksum_is_found_when_splitting(connection, make_table, write_file):
    path = make_table("archive", False)
    made = Archive()
    made.collection("shop", "orders")
    made.block("shop", "orders", DOCUMENTS)
    made.end("shop", "orders", wrong_checksum=True)
    path.write_bytes(made.content())
    with pytest.raises(psycopg.errors.DataCorrupted) as caught:
        split(connection, 10)
    assert "checksum" in caught.value.diag.message_detail


# --- files are not left open, nor read again and again ----------------------------------------------------------------


@every_format
def test_no_descriptor_is_leaked(connection, make_table, form, compressed):
    path = make_table(form, compressed, documents=big_documents()[:3000])
    chunks = [row[1] for row in split(connection, 300)]
    assert descriptors(connection, path) == 0
    query = "SELECT 1 / (_id - %s) FROM orders WHERE mongoferry.in_chunk(tableoid, %s)"
    for _ in range(5):
        for i, bounds in enumerate(chunks):
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute(query, [300 * i + 150, bounds])
            assert read(connection, bounds) == list(range(300 * i, 300 * i + 300))
            connection.execute("SELECT FROM orders WHERE mongoferry.in_chunk(tableoid, %s) LIMIT 1", [bounds])
    # a reader of a compressed file is kept for the next chunk
    assert descriptors(connection, path) == (1 if compressed else 0)
    path.rename(path.parent / "elsewhere")
    connection.execute("SELECT 1")
    assert descriptors(connection, path) == descriptors(connection, path.parent / "elsewhere") == 0


def test_few_readers_are_kept(connection, make_table):
    path = make_table("bson", True)
    bounds = split(connection, 40)[1][1]
    sources = ", ".join(f"(SELECT _id FROM orders WHERE mongoferry.in_chunk(tableoid, %s) LIMIT 1) o{i}" for i in range(9))
    for _ in range(3):
        connection.execute(f"SELECT * FROM {sources}", [bounds] * 9)
        assert descriptors(connection, path) == 4


@pytest.mark.parametrize("how", ["cancel", "savepoint", "terminate"])
def test_cancelled(connection, connect, make_table, how):
    path = make_table("bson", True, documents=big_documents())
    chunks = [row[1] for row in split(connection, 5000)]
    assert read(connection, chunks[0]) == list(range(5000))
    slow = "SELECT pg_sleep(0.01) FROM orders WHERE mongoferry.in_chunk(tableoid, %s)"
    if how == "terminate":
        with connect() as other:
            timer = threading.Timer(0.3, connection.execute, ["SELECT pg_terminate_backend(%s)", [other.info.backend_pid]])
            timer.start()
            with pytest.raises(psycopg.OperationalError):
                other.execute(slow, [chunks[1]])
            timer.join()
    else:
        connection.execute("SET statement_timeout = '300ms'")
        with connection.transaction() if how == "savepoint" else contextlib.nullcontext():
            for bounds in chunks * 2:
                with pytest.raises(psycopg.errors.QueryCanceled):
                    with connection.transaction():
                        connection.execute(slow, [bounds])
                assert descriptors(connection, path) <= 4
        connection.execute("RESET statement_timeout")
    for i, bounds in enumerate(chunks):
        assert read(connection, bounds) == list(range(5000 * i, 5000 * i + 5000))


def bytes_read(connection):
    """By the backend from files, so far."""
    with open(f"/proc/{connection.info.backend_pid}/io") as file:
        return int(next(line for line in file if line.startswith("rchar")).split()[1])


@pytest.mark.parametrize("form", ["bson", "json", "archive"])
def test_a_compressed_file_is_decompressed_once(connection, make_table, form):
    path = make_table(form, True, documents=big_documents())
    chunks = [row[1] for row in split(connection, 500)]
    assert len(chunks) == 20
    size = os.stat(path).st_size

    def cost(bounds, expected=500):
        before = bytes_read(connection)
        assert len(read(connection, bounds)) == expected
        return bytes_read(connection) - before

    # what any chunk costs: to find the file and what it is
    nothing = min(cost(bson.encode({"kind": "bytes", "first": 0, "end": 0}), expected=0) for _ in range(3))
    once = sum(cost(bounds) - nothing for bounds in chunks)
    assert 0.8 * size < once < 1.3 * size
    # a chunk that is read again, as after an error in it, costs what it holds and about a megabyte more; and not, as it
    # would from the file's start, ten times the file in all
    twice = sum(cost(bounds) - nothing for bounds in chunks for _ in range(2))
    assert once < twice < 5 * size

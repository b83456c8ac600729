"""Every form of dump gives every document once: folders, single files, archives, exports, plain and gzipped."""

import datetime
import gzip
import itertools
import json
import os

import bson
import pytest
from bson import json_util
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from harness.archives import archive_of
from harness.dumps import bson_bytes

ORDERS = [{"_id": i, "name": f"order {i} é", "total": Int64(10**12 + i)} for i in range(1000)]
CUSTOMERS = [{"_id": i, "name": f"customer {i}"} for i in range(7)]
EXPECTED = [(order["_id"], order["name"], int(order["total"])) for order in ORDERS]
COLUMNS = "_id int, name text, total bigint"

compression = pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])


@pytest.fixture
def dump_server(psql):
    """A function that makes a foreign server over a dump, and gives its name."""
    count = 0

    def make(path, **options):
        nonlocal count
        count += 1
        texts = "".join(f", {name} '{value}'" for name, value in options.items())
        psql(f"CREATE SERVER dump{count} FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}'{texts})")
        return f"dump{count}"

    return make


@pytest.fixture
def read(connection, dump_server):
    """A function that gives the rows of a collection of a dump, in the order of the file."""

    def run(path, collection="orders", columns=COLUMNS, **options):
        server = dump_server(path, **options)
        connection.execute("DROP FOREIGN TABLE IF EXISTS documents")
        option = f"OPTIONS (collection '{collection}')" if collection else ""
        connection.execute(f"CREATE FOREIGN TABLE documents ({columns}) SERVER {server} {option}")
        return connection.execute("SELECT * FROM documents").fetchall()

    return run


def exported(documents, *, array=False, pretty=False, canonical=False):
    """As mongoexport writes it (mongoexport/json.go of mongo-tools)."""
    options = json_util.CANONICAL_JSON_OPTIONS if canonical else json_util.RELAXED_JSON_OPTIONS
    texts = [json_util.dumps(document, json_options=options) for document in documents]
    if pretty:
        texts = [json.dumps(json.loads(text), indent="\t") for text in texts]
    if array:
        return ("[" + (",\n" if pretty else ",").join(texts) + "]\n").encode()
    return "".join(text + "\n" for text in texts).encode()


@compression
@pytest.mark.parametrize("metadata", [False, True], ids=["bare", "metadata"])
def test_folder(read, write_dump, compressed, metadata):
    path = write_dump({"orders": ORDERS, "customers": CUSTOMERS}, compressed=compressed, metadata=metadata)
    assert read(path) == EXPECTED
    assert [row[0] for row in read(path, "customers")] == list(range(7))


@compression
def test_folder_of_databases(read, write_dump, folder, compressed):
    write_dump({"orders": ORDERS}, name="dump/shop", compressed=compressed)
    assert read(folder / "dump") == EXPECTED
    write_dump({"orders": CUSTOMERS}, name="dump/crm", compressed=compressed)
    write_dump({"system.version": [{}]}, name="dump/admin", compressed=compressed)
    assert read(folder / "dump", database="shop") == EXPECTED
    assert len(read(folder / "dump", database="crm")) == len(CUSTOMERS)


@compression
@pytest.mark.parametrize("name", ["orders.bson", "backup"])
def test_single_bson_file(read, write_file, compressed, name):
    path = write_file(name, bson_bytes(ORDERS), compressed=compressed)
    assert read(path) == EXPECTED
    assert read(path, collection=None) == EXPECTED


@compression
@pytest.mark.parametrize("name", ["orders.json", "backup"])
def test_export(read, write_file, compressed, name):
    for canonical, pretty, array in itertools.product([False, True], repeat=3):
        content = exported(ORDERS, array=array, pretty=pretty, canonical=canonical)
        path = write_file(name, content, compressed=compressed)
        assert read(path) == EXPECTED, (canonical, pretty, array)
        assert read(path, collection=None) == EXPECTED


@compression
def test_folder_of_exports(read, folder, write_file, compressed):
    suffix = ".json.gz" if compressed else ".json"
    write_file("orders" + suffix, exported(ORDERS), compressed=compressed)
    write_file("prelude" + suffix, exported(CUSTOMERS), compressed=compressed)
    assert read(folder) == EXPECTED
    assert len(read(folder, "prelude")) == len(CUSTOMERS)


@compression
def test_archive_of_one_database(read, write_file, compressed):
    path = write_file("backup", archive_of({"shop": {"orders": ORDERS, "customers": CUSTOMERS}}), compressed=compressed)
    assert read(path) == EXPECTED
    assert read(path, database="whatever") == EXPECTED
    assert len(read(path, "customers")) == len(CUSTOMERS)


@compression
def test_archive_of_several_databases(read, write_file, compressed):
    content = archive_of({"shop": {"orders": ORDERS}, "crm": {"orders": CUSTOMERS}, "admin": {"system.version": [{}]}})
    path = write_file("backup", content, compressed=compressed)
    assert read(path, database="shop") == EXPECTED
    assert len(read(path, database="crm")) == len(CUSTOMERS)


def test_gzip_of_several_members(read, write_file):
    """As pigz and cat make it; borders anywhere."""
    content = bson_bytes(ORDERS)
    members = [content[i:i + 777] for i in range(0, len(content), 777)]
    path = write_file("orders.bson.gz", b"".join(gzip.compress(member) for member in members))
    assert read(path) == EXPECTED


@compression
def test_name_need_not_tell_of_gzip(read, write_file, compressed):
    path = write_file("orders.bson" if compressed else "orders.bson.gz", bson_bytes(ORDERS), compressed=compressed)
    assert read(path) == EXPECTED


@compression
def test_bson_that_begins_like_gzip(read, write_file, compressed):
    """The length 559903 is the magic number of gzip, its method and no flags."""
    overhead = len(bson.encode({"_id": 1, "name": "x", "text": ""}))
    documents = [{"_id": 1, "name": "x", "text": "y" * (0x088B1F - overhead)}, {"_id": 2}]
    content = bson_bytes(documents)
    assert content[:4] == b"\x1f\x8b\x08\x00"
    path = write_file("orders.bson", content, compressed=compressed)
    assert [row[0] for row in read(path)] == [1, 2]


@compression
def test_empty(read, write_dump, write_file, compressed):
    assert read(write_dump({"orders": []}, compressed=compressed)) == []
    assert read(write_file("empty.bson", b"", compressed=compressed)) == []
    assert read(write_file("empty.json", b"", compressed=compressed)) == []
    assert read(write_file("empty_array.json", b"[]\n", compressed=compressed)) == []
    assert read(write_file("empty.archive", archive_of({"shop": {"orders": []}}), compressed=compressed)) == []


def test_byte_order_mark(read, write_file):
    assert read(write_file("orders.json", b"\xef\xbb\xbf" + exported(ORDERS))) == EXPECTED
    assert read(write_file("array.json", b"\xef\xbb\xbf" + exported(ORDERS, array=True))) == EXPECTED


def test_older_wrappers(read, write_file):
    """As mongoexport of MongoDB 4.0 and before wrote them."""
    content = b"""{"_id":{"$oid":"5f4e0c1b2a3d4e5f6a7b8c9d"},"at":{"$date":"2019-08-11T17:54:14.692Z"},"n":{"$numberLong":"12"},"b":{"$binary":"AQID","$type":"00"}}
"""
    rows = read(write_file("old.json", content), None, '_id text, at timestamptz, n bigint, b bytea')
    moment = datetime.datetime(2019, 8, 11, 17, 54, 14, 692000, tzinfo=datetime.timezone.utc)
    assert rows == [("5f4e0c1b2a3d4e5f6a7b8c9d", moment, 12, b"\x01\x02\x03")]


def test_values_come_through_an_export(read, write_file):
    document = {"_id": bson.ObjectId("5f4e0c1b2a3d4e5f6a7b8c9d"), "price": Decimal128("12.50"), "at": None, "tags": ["a", "b"]}
    for canonical in (False, True):
        path = write_file("values.json", exported([document], canonical=canonical))
        rows = read(path, None, "_id text, price numeric, at timestamptz, tags text[]")
        assert [(row[0], str(row[1]), row[2], row[3]) for row in rows] == [
            ("5f4e0c1b2a3d4e5f6a7b8c9d", "12.50", None, ["a", "b"])]


def long_document(identifier):
    """A document of 16 MB exactly, which is what mongod stores at most."""
    overhead = len(bson.encode({"_id": identifier, "name": "x", "text": ""}))
    return {"_id": identifier, "name": "x", "text": "y" * (16 * 1024 * 1024 - overhead)}


@compression
@pytest.mark.parametrize("form", ["bson", "archive", "json"])
def test_documents_of_16_megabytes(read, write_file, compressed, form):
    documents = [{"_id": 1, "name": "a"}, long_document(2), {"_id": 3, "name": "b"}]
    if form == "bson":
        content = bson_bytes(documents)
    elif form == "json":
        content = exported(documents)
    else:
        documents[1] = {**documents[1], "text": "y" * 2_000_000}  # the writer's checksum is slow
        content = archive_of({"shop": {"orders": documents}}, chunk=10)
    rows = read(write_file("long", content, compressed=compressed), columns="_id int, name text, text text")
    assert [(row[0], row[1], len(row[2]) if row[2] else None) for row in rows] == [
        (1, "a", None), (2, "x", len(documents[1]["text"])), (3, "b", None)]


def test_rescan(connection, read, write_file):
    read(write_file("orders.bson", bson_bytes(ORDERS)))
    connection.execute("SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off")
    count = connection.execute("""SELECT count(*) FROM generate_series(1, 5) AS g
        CROSS JOIN LATERAL (SELECT * FROM documents WHERE _id % 5 = g - 1 OFFSET 0) AS d""").fetchone()[0]
    assert count == len(ORDERS)


def test_cursors_live_through_subtransactions(connection, read, write_file):
    many = [{"_id": i, "name": "x" * 1000} for i in range(3000)]
    read(write_file("orders.bson", bson_bytes(many)))
    with connection.transaction():
        connection.execute("DECLARE c CURSOR FOR SELECT _id FROM documents")
        got = connection.execute("FETCH 10 FROM c").fetchall()
        connection.execute("SAVEPOINT s")
        got += connection.execute("FETCH 1000 FROM c").fetchall()
        connection.execute("ROLLBACK TO s")
        got += connection.execute("FETCH ALL FROM c").fetchall()
    assert [row[0] for row in got] == list(range(3000))
    with connection.transaction():
        connection.execute("DECLARE held CURSOR WITH HOLD FOR SELECT _id FROM documents")
        got = connection.execute("FETCH 10 FROM held").fetchall()
    got += connection.execute("FETCH ALL FROM held").fetchall()
    assert [row[0] for row in got] == list(range(3000))


def test_descriptors_are_given_back(connection, read, write_file):
    many = [{"_id": i, "name": "x" * 1000} for i in range(3000)]
    read(write_file("orders.bson", bson_bytes(many)))
    pid = connection.info.backend_pid

    def descriptors():
        links = [os.readlink(f"/proc/{pid}/fd/{entry}") for entry in os.listdir(f"/proc/{pid}/fd")]
        return [link for link in links if link.endswith("orders.bson")]

    try:
        descriptors()
    except PermissionError:
        pytest.skip("needs to look into the server process")
    connection.execute("SELECT count(*) FROM documents")
    connection.execute("SELECT * FROM documents LIMIT 1")
    assert descriptors() == []
    for _ in range(3):
        with pytest.raises(Exception, match="division by zero"):
            connection.execute("SELECT 1 / (_id - 5) FROM documents")
    assert descriptors() == []
    with connection.transaction():
        connection.execute("DECLARE c CURSOR FOR SELECT _id FROM documents")
        connection.execute("FETCH 10 FROM c")
        assert len(descriptors()) == 1
        connection.execute("CLOSE c")
        assert descriptors() == []
        connection.execute("DECLARE c CURSOR FOR SELECT _id FROM documents")
        connection.execute("FETCH ALL FROM c")
        assert descriptors() == []  # at the end of the file, not of the query

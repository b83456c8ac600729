"""What a dump holds: names, databases, and what is left out; and the errors when something is not there."""

import json

import psycopg
import pytest

from harness.archives import Archive, archive_of
from harness.dumps import bson_bytes, escaped_name

ONE = [{"_id": 1}]


@pytest.fixture
def make_server(connection):
    """A function that makes the foreign server `dump` over a path, anew if need be."""

    def make(path, **options):
        texts = "".join(f", {name} '{value}'" for name, value in options.items())
        connection.execute("DROP SERVER IF EXISTS dump CASCADE")
        connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}'{texts})")

    return make


@pytest.fixture
def ids(connection):
    """A function that gives the _ids of a collection of the server `dump`."""

    def read(collection, **options):
        texts = "".join(f", {name} '{value}'" for name, value in options.items())
        connection.execute("DROP FOREIGN TABLE IF EXISTS t")
        name = collection.replace("'", "''")
        connection.execute(f"CREATE FOREIGN TABLE t (_id int) SERVER dump OPTIONS (collection '{name}'{texts})")
        return [row[0] for row in connection.execute("SELECT _id FROM t").fetchall()]

    return read


@pytest.fixture
def refused(ids):
    """A function that expects reading a collection to fail, and gives the error's diagnostics."""

    def read(collection, **options):
        with pytest.raises(psycopg.Error) as caught:
            ids(collection, **options)
        return caught.value.diag

    return read


NAMES = ["orders", "with space", "with.dots", "a+b", "slash/inside", "percent%", "per%20cent", "$dollar", "éè", "UPPER",
         "日本語の注文", "ü" * 60, "x" * 230]


@pytest.mark.parametrize("metadata", [False, True], ids=["bare", "metadata"])
def test_escaped_names(make_server, ids, write_dump, metadata):
    names = [name for name in NAMES if not name.startswith("$") and (metadata or len(escaped_name(name)) < 238)]
    make_server(write_dump({name: [{"_id": i}] for i, name in enumerate(names)}, metadata=metadata))
    for i, name in enumerate(names):
        assert ids(name) == [i], name


def test_names_that_are_cut_are_told_apart(make_server, ids, write_dump):
    names = ["n" * 240 + str(i) for i in range(3)]
    make_server(write_dump({name: [{"_id": i}] for i, name in enumerate(names)}))
    for i, name in enumerate(names):
        assert ids(name) == [i]


def test_names_before_mongodump_escaped_them(make_server, ids, folder, write_file):
    write_file("100%.bson", bson_bytes(ONE))
    make_server(folder)
    assert ids("100%") == [1]


def test_names_are_no_paths(make_server, refused, write_dump, folder, write_file):
    write_file("secret.bson", bson_bytes(ONE))
    write_dump({"orders": ONE}, name="dump/shop")
    write_dump({"orders": ONE}, name="dump/crm")
    make_server(folder / "dump" / "shop")
    for name in ["../../secret", "../crm/orders", "orders.bson", "", f"{folder}/secret"]:
        if name:
            assert refused(name).sqlstate == "HV00R"
    make_server(folder / "dump")
    assert refused("orders", database="../dump/shop").sqlstate == "HV00Q"
    assert refused("orders", database=".").sqlstate == "HV00Q"


def test_missing_collection(make_server, refused, write_dump, write_file):
    names = [f"c{i:02}" for i in range(25)]
    path = write_dump({name: ONE for name in names})
    make_server(path)
    error = refused("nope")
    assert error.sqlstate == "HV00R"
    assert error.message_primary == f'collection "nope" is not in dump "{path}"'
    assert error.message_hint == "The dump holds these collections: " + ", ".join(names[:20]) + ", and 5 more."

    path = write_file("backup", archive_of({"shop": {"orders": ONE, "customers": ONE}}))
    make_server(path)
    error = refused("nope")
    assert error.sqlstate == "HV00R"
    assert error.message_hint == "The dump holds these collections: customers, orders."


def test_empty_folder(make_server, refused, folder):
    make_server(folder)
    error = refused("orders")
    assert error.sqlstate == "HV00R"
    assert error.message_hint == "The dump holds no collection."


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_choice_of_database(make_server, ids, refused, write_dump, write_file, folder, form):
    content = {"shop": {"orders": [{"_id": 1}]}, "crm": {"orders": [{"_id": 2}]}, "admin": {"system.version": [{"_id": 3}]}}
    if form == "folder":
        path = folder / "dump"
        for database, collections in content.items():
            write_dump(collections, name=f"dump/{database}")
    else:
        path = write_file("backup", archive_of(content))
    make_server(path)
    error = refused("orders")
    assert error.sqlstate == "HV00Q"
    assert error.message_primary == f'dump "{path}" holds several databases'
    assert error.message_hint == 'Set the option "database" to one of these: admin, crm, shop.'
    assert ids("orders", database="shop") == [1]
    assert ids("orders", database="crm") == [2]
    error = refused("orders", database="nope")
    assert error.sqlstate == "HV00Q"
    assert error.message_primary == f'database "nope" is not in dump "{path}"'
    assert error.message_hint == "The dump holds these databases: admin, crm, shop."
    make_server(path, database="crm")
    assert ids("orders") == [2]
    assert ids("orders", database="shop") == [1]


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_databases_of_mongodb_itself_do_not_make_a_choice_necessary(make_server, ids, write_dump, write_file, folder, form):
    content = {"admin": {"system.version": ONE, "mine": [{"_id": 7}]}, "shop": {"orders": ONE}, "config": {"settings": ONE}}
    if form == "folder":
        path = folder / "dump"
        for database, collections in content.items():
            write_dump(collections, name=f"dump/{database}")
        write_file("dump/oplog.bson", bson_bytes([{"op": "n"}]))
        write_file("dump/prelude.json", b'{"ServerVersion":"7.0.16","ToolVersion":"100.12.0"}')
    else:
        path = write_file("backup", archive_of({**content, "": {"oplog": [{"op": "n"}]}}))
    make_server(path)
    assert ids("orders") == [1]
    assert ids("mine", database="admin") == [7]


def write_metadata(write_file, name, **content):
    write_file(f"{escaped_name(name)}.metadata.json", json.dumps({"indexes": [], "collectionName": name, **content}).encode())


def test_what_mongodump_writes_no_documents_of_in_a_folder(make_server, ids, refused, folder, write_file):
    write_file("orders.bson", bson_bytes(ONE))
    write_metadata(write_file, "big_orders", type="view", options={"viewOn": "orders", "pipeline": []})
    write_metadata(write_file, "old_view", options={"viewOn": "orders", "pipeline": []})
    write_metadata(write_file, "weather", type="timeseries", options={"timeseries": {"timeField": "t"}})
    write_file("system.buckets.weather.bson", bson_bytes(ONE))
    write_metadata(write_file, "new_weather", type="timeseries", options={"timeseries": {"timeField": "t"}})
    write_file("new_weather.bson", bson_bytes(ONE))  # as of MongoDB 8.3: the buckets, under the collection's name
    make_server(folder)
    view = '"{}" is a view; mongodump writes its documents only with --viewsAsCollections.'
    series = '"{}" is a time series; mongodump writes its buckets, and not its documents.'
    for name, detail in [("big_orders", view), ("old_view", view), ("weather", series), ("new_weather", series)]:
        error = refused(name)
        assert error.sqlstate == "HV00R"
        assert error.message_detail == detail.format(name)
        assert error.message_hint == "The dump holds these collections: orders."
    assert refused("system.buckets.weather").sqlstate == "HV00R"
    assert ids("orders") == [1]


def test_what_mongodump_writes_no_documents_of_in_an_archive(make_server, refused, write_file):
    archive = Archive()
    archive.collection("shop", "orders")
    archive.collection("shop", "big_orders", type="view", options={"viewOn": "orders", "pipeline": []})
    archive.collection("shop", "weather", type="timeseries")
    archive.block("shop", "big_orders", [])
    archive.end("shop", "big_orders")
    make_server(write_file("backup", archive.content()))
    assert "is a view" in refused("big_orders").message_detail
    assert "is a time series" in refused("weather").message_detail
    assert refused("weather").message_hint == "The dump holds these collections: orders."


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_system_collections_stay_closed(make_server, refused, write_dump, write_file, form):
    """Whoever may use the server must not come by the users' credentials."""
    collections = {"system.users": ONE, "$admin.system.users": ONE, "system.js": ONE, "orders": ONE}
    make_server(write_dump(collections) if form == "folder" else write_file("backup", archive_of({"shop": collections})))
    for name in ["system.users", "$admin.system.users", "system.js"]:
        error = refused(name)
        assert error.sqlstate == "HV00R"
        assert error.message_hint == "The dump holds these collections: orders."


def test_malformed_metadata_does_not_matter(make_server, ids, folder, write_file):
    write_file("orders.bson", bson_bytes(ONE))
    write_file("orders.metadata.json", b'{"indexes":[{"key":{"{"a":"b"}":1}}]}')
    write_file("customers.bson", bson_bytes(ONE))
    write_file("customers.metadata.json.gz", b"\x1f\x8b not gzip")
    make_server(folder)
    assert ids("orders") == ids("customers") == [1]


def test_a_collection_that_is_there_twice(make_server, refused, folder, write_file):
    write_file("orders.bson", bson_bytes(ONE))
    write_file("orders.bson.gz", bson_bytes(ONE), compressed=True)
    make_server(folder)
    error = refused("orders")
    assert error.sqlstate == "HV000"
    assert error.message_primary == f'collection "orders" is twice in "{folder}"'
    assert error.message_detail == 'It is in the files "orders.bson" and "orders.bson.gz".'


def test_other_files_in_a_dump_do_not_matter(make_server, ids, refused, write_dump, write_file):
    path = write_dump({"orders": ONE})
    write_file("dump/notes.json", b"{}")
    write_file("dump/.hidden.bson", b"junk")
    write_file("dump/readme.txt", b"junk")
    make_server(path)
    assert ids("orders") == [1]
    assert refused("notes").message_hint == "The dump holds these collections: orders."


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_database_of_another_encoding(postgres, database, write_dump, write_file, form):
    """Names are UTF-8 in a dump, and the database's encoding in options and messages."""
    collections = {"bücher": [{"_id": 1}], "日本": [{"_id": 2}]}
    path = write_dump(collections) if form == "folder" else write_file("backup", archive_of({"lädchen": collections}))
    name = f"{database}_latin1"
    postgres.psql(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        done = postgres.psql(f"""CREATE EXTENSION mongoferry;
            CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}', database 'lädchen');
            CREATE FOREIGN TABLE t (_id int) SERVER dump OPTIONS (collection 'bücher');
            SELECT _id FROM t;
            IMPORT FOREIGN SCHEMA "lädchen" FROM SERVER dump INTO public;
            SELECT _id FROM "bücher";
            CREATE FOREIGN TABLE nothing (_id int) SERVER dump OPTIONS (collection 'ä');
            SELECT * FROM nothing""", database=name, check=False)
        assert done.stdout.split() == ["1", "1"]
        assert 'WARNING:  collection "??????" is left out of the import' in done.stderr
        assert 'collection "ä" is not in dump' in done.stderr
        assert "The dump holds these collections: bücher, ??????." in done.stderr
    finally:
        postgres.psql(f"DROP DATABASE {name}")


def test_collection_defaults_to_the_name_of_the_table(connection, make_server, write_dump):
    make_server(write_dump({"orders": [{"_id": 4}], "customers": ONE}))
    connection.execute("CREATE FOREIGN TABLE orders (_id int) SERVER dump")
    assert connection.execute("SELECT _id FROM orders").fetchall() == [(4,)]


def test_explain_names_what_is_read(connection, make_server, ids, write_dump):
    path = write_dump({"orders": [{"_id": i} for i in range(10)]}, compressed=True)
    make_server(path)
    ids("orders")
    (plan,), = connection.execute("EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM t").fetchall()
    scan = plan[0]["Plan"]
    assert scan["Dump"] == f"{path}/orders.bson.gz"
    make_server(f"{path}/")
    ids("orders")
    (plan,), = connection.execute("EXPLAIN (FORMAT JSON) SELECT * FROM t").fetchall()
    assert plan[0]["Plan"]["Dump"] == f"{path}/orders.bson.gz"
    assert scan["Documents Received"] == 10
    assert scan["Bytes Received"] == 10 * 14
    assert scan["Batches Received"] == 1


def test_explain_of_what_is_not_there(connection, make_server, folder):
    make_server(folder / "nothing")
    connection.execute("CREATE FOREIGN TABLE t (_id int) SERVER dump")
    (plan,), = connection.execute("EXPLAIN (FORMAT JSON) SELECT * FROM t").fetchall()
    assert plan[0]["Plan"]["Dump"] == f"{folder}/nothing"


def test_planner_knows_the_size(connection, make_server, ids, write_file, write_dump):
    documents = [{"_id": i, "text": "x" * (i % 50)} for i in range(20000)]

    def estimate():
        ids("orders")
        (plan,), = connection.execute("EXPLAIN (FORMAT JSON) SELECT * FROM t").fetchall()
        return plan[0]["Plan"]["Plan Rows"]

    for compressed in (False, True):
        make_server(write_dump({"orders": documents}, name=f"dump{compressed}", compressed=compressed))
        assert 15000 < estimate() < 25000
    make_server(write_file("orders.json", "".join(json.dumps(document) + "\n" for document in documents).encode()))
    assert 15000 < estimate() < 25000

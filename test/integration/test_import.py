"""IMPORT FOREIGN SCHEMA: from live servers, from dumps of several databases, and what it has to withstand.

What becomes of which type and name is pinned by sql/import.sql and the unit tests of the inference.
"""

import datetime
import random
import time
import uuid

import bson
import psycopg
import pytest
from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from harness.archives import archive_of

UTC = datetime.timezone.utc


def tables(connection, schema="imported"):
    """Foreign table → its options, as a dict."""
    rows = connection.execute(
        """SELECT c.relname, t.ftoptions FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid
           WHERE c.relnamespace = %s::regnamespace""", [schema]).fetchall()
    return {name: dict(option.split("=", 1) for option in options or []) for name, options in rows}


def columns(connection, table, schema="imported"):
    """(column, type) pairs of a table, in order."""
    return connection.execute(
        """SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
           WHERE a.attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND a.attnum > 0 ORDER BY a.attnum""",
        [schema, table]).fetchall()


def comments(connection, table, schema="imported"):
    rows = connection.execute(
        """SELECT a.attname, col_description(a.attrelid, a.attnum) FROM pg_attribute a
           WHERE a.attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND a.attnum > 0""",
        [schema, table]).fetchall()
    return dict(rows)


def import_schema(connection, server, remote_schema, rest="", options=""):
    """Import into the new schema `imported`; the messages that came with it."""
    notices = []

    def take(diagnostic):
        notices.append(f"{diagnostic.severity}: {diagnostic.message_primary}")

    connection.execute("SET client_min_messages = warning")
    connection.execute("DROP SCHEMA IF EXISTS imported CASCADE")
    connection.execute("CREATE SCHEMA imported")
    connection.execute("RESET client_min_messages")
    connection.add_notice_handler(take)
    try:
        connection.execute(f'IMPORT FOREIGN SCHEMA "{remote_schema}" {rest} FROM SERVER {server} INTO imported {options}')
    finally:
        connection.remove_notice_handler(take)
    return notices


def dump_server(connection, path, name="dump", options=""):
    connection.execute(f"CREATE SERVER {name} FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}' {options})")
    return name


# --- live servers -----------------------------------------------------------------------------------------------------


def test_small_collections_are_read_whole(connection, live_server, mongo):
    mongo.orders.insert_many([
        {"_id": 1, "total": Decimal128("1.50"), "customer": {"name": "Ada", "since": datetime.datetime(2020, 1, 1)}},
        {"_id": 2, "total": 3, "tags": ["a", "b"]},
        {"_id": 3, "total": None, "customer": {"name": None}},
    ])
    mongo["with space"].insert_one({"_id": "x"})
    assert import_schema(connection, live_server, mongo.name) == []
    assert tables(connection) == {"orders": {"collection": "orders"}, "with space": {"collection": "with space"}}
    assert columns(connection, "orders") == [
        ("_id", "integer"), ("total", "numeric"), ("customer_name", "text"),
        ("customer_since", "timestamp with time zone"), ("tags", "text[]")]
    assert comments(connection, "orders")["total"] == (
        "int 33.3 %, decimal 33.3 %, null 33.3 %; missing in none of the collection's 3 documents")
    assert connection.execute("SELECT _id, total::text, customer_name, tags FROM imported.orders ORDER BY 1").fetchall() == [
        (1, "1.50", "Ada", None), (2, "3", None, ["a", "b"]), (3, None, None, None)]


def test_views_and_time_series_are_imported_but_not_the_systems_own(connection, live_server, mongo):
    mongo.orders.insert_many([{"_id": i, "open": i % 2 == 0} for i in range(10)])
    mongo.create_collection("open_orders", viewOn="orders", pipeline=[{"$match": {"open": True}}, {"$set": {"seen": 1}}])
    mongo.create_collection("weather", timeseries={"timeField": "at", "metaField": "where"})
    mongo.weather.insert_one({"at": datetime.datetime(2024, 1, 1, tzinfo=UTC), "where": "Ulm", "celsius": 3.5})
    import_schema(connection, live_server, mongo.name)
    assert set(tables(connection)) == {"orders", "open_orders", "weather"}
    assert columns(connection, "open_orders") == [("_id", "integer"), ("open", "boolean"), ("seen", "integer")]
    assert connection.execute("SELECT count(*) FROM imported.open_orders").fetchone() == (5,)
    assert dict(columns(connection, "weather"))["celsius"] == "double precision"
    assert connection.execute('SELECT celsius FROM imported.weather WHERE "where" = %s', ["Ulm"]).fetchone() == (3.5,)


def test_large_collections_are_sampled_at_random(connection, live_server, mongo):
    """Half of the documents have a field that the first ones lack."""
    mongo.events.insert_many([{"_id": i, **({"late": "x"} if i >= 600 else {})} for i in range(1200)])
    import_schema(connection, live_server, mongo.name, options="OPTIONS (import_sample_size '100')")
    assert columns(connection, "events") == [("_id", "integer"), ("late", "text")]
    comment = comments(connection, "events")["late"]
    assert comment.endswith("of 100 documents sampled"), comment
    # A sample as large as the collection takes every document once.
    import_schema(connection, live_server, mongo.name, options="OPTIONS (import_sample_size '1200')")
    assert comments(connection, "events")["late"] == "string 100 %; missing in 50 % of 1200 documents sampled"
    import_schema(connection, live_server, mongo.name, options="OPTIONS (import_sample_size '1201')")
    assert comments(connection, "events")["late"] == "string 100 %; missing in 50 % of the collection's 1200 documents"


def test_another_database_of_the_server_is_named_by_the_tables(connection, live_server, mongo, mongo_client):
    other = mongo_client[f"{mongo.name}_other"]
    try:
        other.things.insert_one({"_id": 1, "here": True})
        mongo.things.insert_one({"_id": 2})
        import_schema(connection, live_server, other.name)
        assert tables(connection) == {"things": {"collection": "things", "database": other.name}}
        assert connection.execute("SELECT * FROM imported.things").fetchall() == [(1, True)]
    finally:
        mongo_client.drop_database(other.name)


def test_a_database_without_collections_is_told(connection, live_server, mongo):
    assert import_schema(connection, live_server, f"{mongo.name}_missing") == [
        f'NOTICE: database "{mongo.name}_missing" on server "live" has no collections']
    assert tables(connection) == {}


def test_empty_collection(connection, live_server, mongo):
    mongo.create_collection("nothing")
    import_schema(connection, live_server, mongo.name)
    assert columns(connection, "nothing") == [("_id", "mongoferry.objectid")]


def test_names_of_collections_with_many_characters(connection, live_server, mongo):
    """Two names that are the same in their first 63 bytes, the 63rd inside of a character; and some that need quotes."""
    long = "x" * 62
    names = [long + "ü1", long + "ü2", 'a"b', "a'b", "a\\b", "SELECT", "größe", "a.b.c"]
    for i, name in enumerate(names):
        mongo[name].insert_one({"_id": i})
    import_schema(connection, live_server, mongo.name)
    found = tables(connection)
    assert {options["collection"] for options in found.values()} == set(names)
    assert {name for name in found if name.startswith("x")} == {long, long[:61] + "_2"}
    for name, options in found.items():
        query = psycopg.sql.SQL("SELECT _id FROM imported.{}").format(psycopg.sql.Identifier(name))
        assert connection.execute(query).fetchall() == [(names.index(options["collection"]),)]


def test_import_uses_the_mapping_of_who_imports(connection, connect, mongo_with_auth, ordinary_role):
    import pymongo

    mongo_with_auth.add_user("reader", "p@ss:w/ord", roles=("readAnyDatabase",))
    with pymongo.MongoClient(mongo_with_auth.admin_uri) as client:
        client.shop.orders.insert_one({"_id": 1})
    connection.execute(f"""
        CREATE SERVER guarded FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{mongo_with_auth.uri}', database 'shop');
        GRANT USAGE ON FOREIGN SERVER guarded TO {ordinary_role};
        CREATE USER MAPPING FOR {ordinary_role} SERVER guarded
            OPTIONS (username 'reader', password 'p@ss:w/ord', auth_source 'admin')""")
    with connect(user=ordinary_role) as session:
        session.execute("IMPORT FOREIGN SCHEMA shop FROM SERVER guarded INTO public")
        assert session.execute("SELECT * FROM public.orders").fetchall() == [(1,)]
    with pytest.raises(psycopg.Error) as failure:
        import_schema(connection, "guarded", "shop")
    assert failure.value.sqlstate[:2] in ("28", "42"), failure.value


def test_import_can_be_cancelled(connection, mongo_server, mongo, proxy):
    mongo.orders.insert_one({"_id": 1})
    with proxy(mongo_server) as between:
        connection.execute(f"""
            CREATE SERVER silent FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{between.uri}', database '{mongo.name}');
            CREATE SCHEMA imported""")
        between.silence()
        connection.execute("SET statement_timeout = '300ms'")
        start = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(f'IMPORT FOREIGN SCHEMA "{mongo.name}" FROM SERVER silent INTO imported')
        assert time.monotonic() - start < 1.3
    connection.execute("RESET statement_timeout")
    assert tables(connection) == {}


def test_lost_connection_imports_nothing(connection, mongo_server, mongo, proxy):
    for name in ("a", "b", "c"):
        mongo[name].insert_many([{"text": "x" * 1000} for _ in range(300)])
    with proxy(mongo_server) as between:
        connection.execute(f"""
            CREATE SERVER shaky FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{between.uri}', database '{mongo.name}')""")
        between.cut_after(450_000)
        with pytest.raises(psycopg.Error) as failure:
            import_schema(connection, "shaky", mongo.name)
        assert failure.value.sqlstate[:2] == "08", failure.value
    assert tables(connection) == {}


# --- dumps ------------------------------------------------------------------------------------------------------------


def test_archive_of_several_databases(connection, write_file):
    content = archive_of({"shop": {"orders": [{"_id": 1, "total": 2}]}, "blog": {"posts": [{"_id": "x"}], "orders": [{"n": 1}]}})
    server = dump_server(connection, write_file("backup.archive", content, compressed=True))
    import_schema(connection, server, "blog")
    assert tables(connection) == {"posts": {"collection": "posts", "database": "blog"},
                                  "orders": {"collection": "orders", "database": "blog"}}
    assert columns(connection, "orders") == [("n", "integer")]
    assert connection.execute("SELECT * FROM imported.posts").fetchall() == [("x",)]
    with pytest.raises(psycopg.Error, match="news"):
        import_schema(connection, server, "news")


def test_server_that_names_its_database(connection, write_file):
    content = archive_of({"shop": {"orders": [{"_id": 1}]}, "blog": {"orders": [{"n": 1}]}})
    server = dump_server(connection, write_file("backup.archive", content), options=", database 'shop'")
    import_schema(connection, server, "shop")
    assert tables(connection) == {"orders": {"collection": "orders"}}
    import_schema(connection, server, "blog")
    assert tables(connection) == {"orders": {"collection": "orders", "database": "blog"}}
    assert connection.execute("SELECT * FROM imported.orders").fetchall() == [(1,)]


def test_dump_of_one_database_takes_any_name(connection, write_file):
    content = archive_of({"shop": {"orders": [{"_id": 1}]}})
    server = dump_server(connection, write_file("backup.archive", content))
    import_schema(connection, server, "anything")
    assert tables(connection) == {"orders": {"collection": "orders"}}
    assert connection.execute("SELECT * FROM imported.orders").fetchall() == [(1,)]


def test_import_of_a_file_can_be_cancelled(connection, write_file):
    """While the sample is read, which would be the whole file and take a second or more."""
    document = bson.encode({"_id": 1, **{f"f{i}": i for i in range(100)}})
    path = write_file("orders.bson.gz", document * 150_000, compressed=True)
    server = dump_server(connection, path)
    connection.execute("SET statement_timeout = '100ms'")
    start = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled):
        import_schema(connection, server, "shop", options="OPTIONS (import_sample_size '10000000')")
    assert time.monotonic() - start < 1.1


def test_corrupt_file_imports_nothing_and_is_named(connection, write_dump):
    good = bson.encode({"_id": 1, "text": "abc"})
    bad = bytearray(good)
    bad[bad.index(b"text") - 1] = 0x55  # no such type
    path = write_dump({"a": [good], "b": [good, bytes(bad)], "c": [good]})
    server = dump_server(connection, path)
    with pytest.raises(psycopg.errors.DataCorrupted) as failure:
        import_schema(connection, server, "shop")
    diagnostic = failure.value.diag
    assert 'importing foreign table "b"' in diagnostic.context
    byte = len(good) + good.index(b"text") - 1
    assert diagnostic.message_primary == f'file "{path}/b.bson" is corrupt at byte {byte}'
    assert tables(connection) == {}
    import_schema(connection, server, "shop", "EXCEPT (b)")
    assert set(tables(connection)) == {"a", "c"}


def test_more_fields_than_a_table_can_have_columns(connection, write_dump):
    wide = {f"f{i}": i for i in range(2000)}
    server = dump_server(connection, write_dump({"wide": [wide], "deep": [{"a": {f"f{i}": 1 for i in range(90)}}]}))
    notices = import_schema(connection, server, "shop")
    assert notices == ['NOTICE: some fields of collection "wide" have no column in foreign table "wide"']
    made = columns(connection, "wide")
    assert len(made) == 1600 and made[-1] == ("document", "jsonb")
    assert len(columns(connection, "deep")) == 90
    assert connection.execute(
        "SELECT f0, f1598, document->>'f1999', num_nulls(f0, f1, f1598) FROM imported.wide").fetchone() == (0, 1598, "1999", 0)


def test_rights(connection, connect, write_dump, ordinary_role):
    id = ObjectId()
    server = dump_server(connection, write_dump({"orders": [{"_id": id}]}))
    with connect(user=ordinary_role) as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(f"IMPORT FOREIGN SCHEMA shop FROM SERVER {server} INTO public")
        connection.execute(f"GRANT USAGE ON FOREIGN SERVER {server} TO {ordinary_role}")
        session.execute(f"IMPORT FOREIGN SCHEMA shop FROM SERVER {server} INTO public")
        assert session.execute("SELECT _id::text FROM public.orders").fetchall() == [(str(id),)]
        owner = session.execute("SELECT relowner::regrole::text FROM pg_class WHERE oid = 'public.orders'::regclass").fetchone()
        assert owner == (ordinary_role,)
        connection.execute("CREATE SCHEMA closed")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(f"IMPORT FOREIGN SCHEMA shop FROM SERVER {server} INTO closed")


@pytest.mark.parametrize("field, collection", [("größe", "orders"), ("größe", "aufträge")])
def test_database_in_another_encoding(postgres, write_dump, field, collection):
    path = write_dump({collection: [{"_id": 1, field: "süß"}]})
    name = f"latin_{uuid.uuid4().hex[:8]}"
    postgres.psql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        with psycopg.connect(**postgres.conninfo(name), autocommit=True, client_encoding="utf8") as connection:
            connection.execute("CREATE SCHEMA mongoferry; CREATE EXTENSION mongoferry")
            import_schema(connection, dump_server(connection, path), "shop")
            assert columns(connection, collection) == [("_id", "integer"), (field, "text")]
            assert connection.execute(f'SELECT * FROM imported."{collection}"').fetchall() == [(1, "süß")]
            connection.execute("CREATE SERVER other FOREIGN DATA WRAPPER mongoferry OPTIONS (dump %s)" % repr(str(
                write_dump({"orders": [{"名前": 1}]}, name="other"))))
            with pytest.raises(psycopg.errors.UntranslatableCharacter):
                import_schema(connection, "other", "shop")
    finally:
        postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


# --- what was sampled fits --------------------------------------------------------------------------------------------

SCALARS = [
    None, True, False, 0, -5, 2**31 - 1, Int64(5), Int64(2**63 - 1), Int64(-(2**63)), 0.5, -0.0, 1e300, float("inf"),
    float("nan"), Decimal128("1.50"), Decimal128("-1E+6000"), Decimal128("NaN"), Decimal128("Infinity"), "", "text", "Köln",
    "5", ObjectId("507f1f77bcf86cd799439011"), datetime.datetime(2024, 2, 29, 12, tzinfo=UTC), DatetimeMS(-210866803200000),
    DatetimeMS(9224318015999999), DatetimeMS(2**63 - 1), Timestamp(2**32 - 1, 1), Binary(b"\x00\xff", 0), Binary(b"", 0),
    Binary(bytes(16), 4), Binary(bytes(3), 4), Binary(bytes(16), 3), Binary(bytes(16), 5), Regex("^a", "i"), Code("x"),
    Code("x", {"a": 1}), MinKey(), MaxKey(),
]
KEYS = ["a", "b", "B", "a_b", "a.b", "", "$c", "xmin", "ü" * 40, "1", "507f1f77bcf86cd799439011", "a b", 'q"', "_id"]


def random_value(rng, depth):
    kind = rng.random()
    if depth < 4 and kind < 0.15:
        return random_document(rng, depth + 1)
    if depth < 4 and kind < 0.3:
        family = rng.sample(SCALARS, 2)
        return [rng.choice(family) if rng.random() < 0.95 else random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return rng.choice(SCALARS)


def random_document(rng, depth=0):
    return {key: random_value(rng, depth) for key in rng.sample(KEYS, rng.randrange(len(KEYS)))}


@pytest.mark.parametrize("nested", ["columns", "jsonb"])
def test_whatever_was_sampled_can_be_read(connection, write_dump, nested):
    """The types found by the import take every value that it saw: no scan of such a table raises an error.

    Each collection keeps to a few values for a key, so that all types of columns occur."""
    rng = random.Random(4)
    collections = {}
    for i in range(60):
        scalars = {key: rng.sample(SCALARS, rng.choice([1, 1, 2, 3])) for key in KEYS}
        documents = []
        for _ in range(rng.randrange(1, 12)):
            document = random_document(rng)
            for key in rng.sample(KEYS, 6):
                document[key] = rng.choice(scalars[key]) if rng.random() < 0.7 else [rng.choice(scalars[key])]
            documents.append(document)
        collections[f"c{i}"] = documents
    server = dump_server(connection, write_dump(collections))
    import_schema(connection, server, "shop", options=f"OPTIONS (import_nested '{nested}')")
    assert set(tables(connection)) == set(collections)
    types = set()
    for name, documents in collections.items():
        # As text, because Python's dates are narrower; each column, because nothing else is read.
        rows = connection.execute(f"SELECT t::text FROM imported.{name} t").fetchall()
        assert len(rows) == len(documents)
        types |= {kind for _, kind in columns(connection, name)}
    assert {"integer", "bigint", "double precision", "numeric", "text", "boolean", "uuid", "bytea", "jsonb", "mongoferry.objectid",
            "timestamp with time zone", "text[]"} <= types, types

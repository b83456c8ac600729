"""Fields, collections and strings that are not ASCII, sent from a database that is not UTF-8."""

import uuid

import psycopg
import pytest


@pytest.fixture
def latin1(postgres):
    name = f"test_{uuid.uuid4().hex[:12]}"
    postgres.psql(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    with psycopg.connect(**postgres.conninfo(name), client_encoding="utf8", autocommit=True) as connection:
        connection.execute("CREATE EXTENSION mongoferry")
        yield connection
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


def test_names_are_sent_in_utf_8(latin1, mongo, mongo_server):
    mongo["maße"].insert_many({"_id": i, "größe": i % 4, "naïf": {"ort": "Köln" if i % 2 else "Rom"}} for i in range(100))
    latin1.execute(f"CREATE SERVER live FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{mongo_server.uri}', database '{mongo.name}')")
    for table, pushdown in (("pushed", "on"), ("kept", "off")):
        latin1.execute(
            f"CREATE FOREIGN TABLE {table} (_id int, n int OPTIONS (field 'größe'), place text OPTIONS (field 'naïf.ort'))"
            f" SERVER live OPTIONS (collection 'maße', pushdown '{pushdown}')"
        )
    for query in (
        "SELECT * FROM {0} ORDER BY _id",
        "SELECT _id FROM {0} WHERE n = 3 ORDER BY 1",
        "SELECT count(*) FROM {0} WHERE n IS NULL",
        "SELECT n, count(*), min(_id) FROM {0} GROUP BY n ORDER BY n",
        "SELECT _id, n FROM {0} ORDER BY n DESC, _id LIMIT 3",
        "SELECT count(*) FROM {0} a JOIN {0} b ON a.n = b._id",
        "SELECT count(*) FROM {0} WHERE place = 'Rom'",
    ):
        pushed, kept = (latin1.execute(query.format(table)).fetchall() for table in ("pushed", "kept"))
        assert pushed == kept and pushed, query
    latin1.execute("ANALYZE pushed")
    assert latin1.execute(
        "SELECT attname, null_frac FROM pg_stats WHERE tablename = 'pushed' ORDER BY attname"
    ).fetchall() == [("_id", 0), ("n", 0), ("place", 0)]

"""docs/several-nodes.md: its examples, on a database for each node; and set_chunks(), which shares a task out to nodes."""

import pathlib
import re
import uuid
from types import SimpleNamespace

import pytest
from psycopg import errors

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/several-nodes.md"
# An sql block says in its first line where it is run. A text block after it is what psql prints of it on each of the nodes.
STEP = re.compile(r"^```sql\n-- on ([^\n]*)\n(.*?)^```$(?:\n```text\n(.*?)^```$)?", re.M | re.S)
CHAPTERS = {"One node carries over": 1000, "Each node carries its share": 600}

ORDERS = [{"_id": i, "customer": i % 40, "total": i / 4} for i in range(1000)]
ORDERS[17]["total"] = -1
del ORDERS[333]["customer"]
CUSTOMERS = [{"_id": i, "name": f"customer {i}"} for i in range(600)]


def steps(chapter):
    """[(nodes, statements, output)] of a chapter."""
    text, = re.findall(rf"^## {chapter}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    assert text.count("```sql") == len(STEP.findall(text)), "each block says where it is run"
    return [(nodes.split(" and "), statements, output) for nodes, statements, output in STEP.findall(text)]


def without_trailing_space(text):
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


@pytest.fixture
def nodes(postgres):
    """The databases "the coordinator", "node a" and "node b": a mapping to their names."""
    names = {node: f"node_{uuid.uuid4().hex[:12]}" for node in ("the coordinator", "node a", "node b")}
    for name in names.values():
        postgres.psql(f"CREATE DATABASE {name}")
    yield names
    for name in names.values():
        postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_page(postgres, nodes, mongo, mongo_server, chapter):
    mongo.orders.insert_many(ORDERS)
    mongo.customers.insert_many(CUSTOMERS)
    uri = mongo_server.uri.replace("'", "''")
    replacements = {
        "uri 'mongodb://db1,db2/?replicaSet=rs0', database 'shop'": f"uri '{uri}', database '{mongo.name}'",
        "user 'shop', password 'secret'": f"user '{postgres.superuser}'",
        **{f"host '{node.replace(' ', '-')}', dbname 'shop'":
           f"host '{postgres.socket_dir}', port '{postgres.port}', dbname '{nodes[node]}'" for node in ("node a", "node b")},
    }
    found = steps(chapter)
    assert len([output for _, _, output in found if output]) >= 2
    used = set()
    for where, statements, output in found:
        for old, new in replacements.items():
            if old in statements:
                used.add(old)
                statements = statements.replace(old, new)
        for node in where:
            printed = postgres.psql(statements, database=nodes[node], options=["-q"]).stdout
            if output:
                assert without_trailing_space(printed) == without_trailing_space(output), (node, statements)
    assert used >= set(list(replacements)[:3])
    if chapter == "Each node carries its share":
        customers = [postgres.psql("SELECT id, name FROM customer ORDER BY id", database=nodes[node]).stdout.splitlines()
                     for node in ("node a", "node b")]
        # ranges of _ids, one after the other
        assert customers[0] + customers[1] == [f"{d['_id']}|{d['name']}" for d in CUSTOMERS]


# --- set_chunks ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(connection, write_dump):
    dump = write_dump({"orders": ORDERS})
    connection.execute(f"""
        CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{dump}');
        CREATE FOREIGN TABLE orders_source (_id int, customer int, total numeric) SERVER dump OPTIONS (collection 'orders');
        CREATE TABLE orders (id int PRIMARY KEY, customer int, total numeric);
        CREATE TABLE chunks AS SELECT * FROM mongoferry.split_source('orders_source', 50);
        SELECT mongoferry.create_migration('shop');
        SELECT mongoferry.add_task('shop', 'orders', 'orders_source', 'orders',
            'SELECT _id AS id, customer, total FROM source', chunk_size => 7)""")
    return SimpleNamespace(
        connection=connection, number=connection.execute("SELECT count(*) FROM chunks").fetchone()[0],
        set_chunks=lambda chunks: connection.execute("SELECT mongoferry.set_chunks('shop', 'orders', %s)", [chunks]).fetchone()[0],
        ids=lambda: [id for id, in connection.execute("SELECT id FROM orders ORDER BY id")])


def test_only_the_chunks_that_were_set_are_carried_over(shop):
    shop.connection.execute("CREATE VIEW mine AS SELECT * FROM chunks WHERE chunk IN (2, 3, 7)")
    assert shop.set_chunks("mine") == 3
    state, documents, bytes_total = shop.connection.execute(
        "SELECT state, documents_total, bytes_total FROM mongoferry.task").fetchone()
    expected = shop.connection.execute("SELECT sum(documents_estimated), sum(bytes_estimated) FROM mine").fetchone()
    assert (state, documents, bytes_total) == ("running", *expected)
    shop.connection.execute("CALL mongoferry.migrate('shop')")
    assert shop.connection.execute("SELECT chunk, state FROM mongoferry.chunk ORDER BY chunk").fetchall() == [
        (2, "done"), (3, "done"), (7, "done")]
    assert shop.ids() == sorted(id for id, in shop.connection.execute(
        "SELECT d.source_id::int FROM mine, mongoferry.read_documents('orders_source', bounds) AS d"))
    assert {ok for ok, in shop.connection.execute("SELECT ok FROM mongoferry.validate('shop')")} == {True}
    assert shop.connection.execute("SELECT state, percent FROM mongoferry.progress").fetchone() == ("done", 100)


def test_shares_make_the_whole(shop):
    for share in range(3):
        shop.connection.execute(f"""
            CREATE OR REPLACE VIEW mine AS SELECT * FROM chunks WHERE chunk % 3 = {share};
            SELECT mongoferry.reset_task('shop', 'orders')""")
        shop.set_chunks("mine")
        shop.connection.execute("CALL mongoferry.migrate('shop')")
    assert shop.ids() == list(range(len(ORDERS)))


def test_an_empty_share(shop):
    shop.connection.execute("CREATE VIEW mine AS SELECT * FROM chunks WHERE false")
    assert shop.set_chunks("mine") == 0
    shop.connection.execute("CALL mongoferry.migrate('shop')")
    assert shop.ids() == []
    assert shop.connection.execute("SELECT state, documents_total, bytes_total FROM mongoferry.task").fetchone() == ("done", 0, 0)


def test_what_set_chunks_refuses(shop, connect, ordinary_role):
    with pytest.raises(errors.UndefinedTable, match="table of chunks must be one that exists"):
        shop.set_chunks(None)
    shop.connection.execute("CREATE VIEW few AS SELECT chunk, bounds FROM chunks")
    with pytest.raises(errors.UndefinedColumn, match="public.few lacks columns: bounds_shown, documents_estimated, bytes_estimated"):
        shop.set_chunks("few")
    with pytest.raises(errors.UndefinedObject, match='task "none" of migration "shop" does not exist'):
        shop.connection.execute("SELECT mongoferry.set_chunks('shop', 'none', 'chunks')")
    with pytest.raises(errors.UndefinedObject, match='migration "shop" does not exist'):
        connect(ordinary_role).execute("SELECT mongoferry.set_chunks('shop', 'orders', 'few')")
    shop.connection.execute("CREATE VIEW twice AS SELECT * FROM chunks UNION ALL SELECT * FROM chunks")
    with pytest.raises(errors.UniqueViolation):
        shop.set_chunks("twice")
    assert shop.connection.execute("SELECT state FROM mongoferry.task").fetchone() == ("new",)
    assert shop.set_chunks("chunks") == shop.number
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match='task "orders" of migration "shop" has its chunks already') as caught:
        shop.set_chunks("chunks")
    assert "reset_task" in caught.value.diag.message_hint


def test_a_share_by_a_column(shop):
    """Each node's transform chooses, and validate() there expects no more than that."""
    shop.connection.execute("SELECT mongoferry.alter_task('shop', 'orders', transform => "
                            "'SELECT _id AS id, customer, total FROM source WHERE customer < 20')")
    shop.connection.execute("CALL mongoferry.migrate('shop')")
    assert shop.ids() == [d["_id"] for d in ORDERS if d.get("customer", 99) < 20]
    assert {ok for ok, in shop.connection.execute("SELECT ok FROM mongoferry.validate('shop')")} == {True}

"""Partitioned tables as targets, from the first chunk to validate(): rows find their partitions, however the run goes."""

import contextlib
import os
import signal

import bson
import pytest
from psycopg import errors

from harness import migrations
from harness.calls import Call, wait_until

COUNT = 1000
DOCUMENTS = [{"_id": i, "customer": i % 40, "region": "north" if i % 3 else "south", "total": i / 4} for i in range(COUNT)]
TRANSFORM = "SELECT _id AS id, customer, region, total FROM source"
COLUMNS = "id, customer, region, total"

# How the table "orders" is partitioned: its statements, and how many rows each partition gets.
KINDS = {
    "range": (
        """CREATE TABLE orders (id int, customer int NOT NULL, region text, total numeric, PRIMARY KEY (id)) PARTITION BY RANGE (id);
           CREATE TABLE low PARTITION OF orders FOR VALUES FROM (MINVALUE) TO (300);
           CREATE TABLE high PARTITION OF orders FOR VALUES FROM (300) TO (MAXVALUE)""",
        {"low": 300, "high": 700},
    ),
    "hash": (
        """CREATE TABLE orders (id int, customer int NOT NULL, region text, total numeric, PRIMARY KEY (id)) PARTITION BY HASH (id);
           CREATE TABLE h0 PARTITION OF orders FOR VALUES WITH (MODULUS 3, REMAINDER 0);
           CREATE TABLE h1 PARTITION OF orders FOR VALUES WITH (MODULUS 3, REMAINDER 1);
           CREATE TABLE h2 PARTITION OF orders FOR VALUES WITH (MODULUS 3, REMAINDER 2)""",
        {},
    ),
    "two levels, columns in another order": (
        """CREATE TABLE orders (id int, customer int NOT NULL, region text, total numeric, PRIMARY KEY (id, region))
               PARTITION BY LIST (region);
           CREATE TABLE north PARTITION OF orders FOR VALUES IN ('north') PARTITION BY RANGE (id);
           CREATE TABLE north_low PARTITION OF north FOR VALUES FROM (0) TO (500);
           CREATE TABLE north_high (total numeric, gone int, region text NOT NULL, id int NOT NULL, customer int NOT NULL);
           ALTER TABLE north_high DROP gone;
           ALTER TABLE north ATTACH PARTITION north_high FOR VALUES FROM (500) TO (1000);
           CREATE TABLE others PARTITION OF orders DEFAULT""",
        {"north_low": 333, "north_high": 333, "others": 334},
    ),
}


def documents_table(connection, write_dump, documents=DOCUMENTS):
    dump = write_dump({"orders": documents})
    connection.execute(f"""
        CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{dump}');
        CREATE FOREIGN TABLE orders_source (_id int, customer int, region text, total numeric) SERVER dump
            OPTIONS (collection 'orders');
        SELECT mongoferry.create_migration('shop')""")


def add_task(connection, task="orders", source="orders_source", target="orders", transform=TRANSFORM, **settings):
    migrations.add_task(connection, task, source, target, transform, "shop", **{"chunk_size": 100, **settings})


def migrate(connection, workers=2):
    connection.execute(f"CALL mongoferry.migrate('shop', workers => {workers})")


def refused(connection, task="orders"):
    return dict(connection.execute(
        "SELECT source_id::text::int, sqlstate FROM mongoferry.errors WHERE task = %s", [task]).fetchall())


def assert_copied(connection, but=()):
    """The table has each document as it is, and no more."""
    expected = [(d["_id"], d["customer"], d["region"], d["total"]) for d in DOCUMENTS if d["_id"] not in but]
    found = connection.execute(f"SELECT {COLUMNS} FROM orders ORDER BY id").fetchall()
    assert [(*row[:3], float(row[3])) for row in found] == expected


def assert_valid(connection):
    checks = connection.execute("SELECT task, \"check\", ok, detail FROM mongoferry.validate('shop', workers => 2)").fetchall()
    assert len(checks) > 1 and all(ok for _, _, ok, _ in checks), checks


@pytest.mark.parametrize("kind", KINDS)
def test_rows_find_their_partitions(connection, write_dump, kind):
    tables, sizes = KINDS[kind]
    documents_table(connection, write_dump)
    connection.execute(tables)
    add_task(connection)
    assert connection.execute("SELECT * FROM mongoferry.preflight('shop') WHERE severity = 'error'").fetchall() == []
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
    migrate(connection)
    assert_copied(connection)
    for partition, size in sizes.items():
        assert connection.execute(f"SELECT count(*) FROM {partition}").fetchone() == (size,)
    assert refused(connection) == {}
    assert_valid(connection)

    # what is wrong in a partition is found, both ways
    connection.execute("UPDATE orders SET total = 17.25 WHERE id = 400; DELETE FROM orders WHERE id = 7; "
                       "INSERT INTO orders VALUES (-5, 1, 'south', 2)")
    connection.execute("SELECT * FROM mongoferry.validate('shop', workers => 2)")
    assert connection.execute("SELECT kind, source_id::text, column_name, actual FROM mongoferry.mismatches ORDER BY 1"
                              ).fetchall() == [("different", "400", "total", "17.25"), ("extra", None, None, None),
                                               ("missing", "7", None, None)]


def test_a_partition_is_itself_a_target(connection, write_dump):
    """A document whose row belongs elsewhere is refused by the partition's own bounds."""
    documents_table(connection, write_dump)
    connection.execute(KINDS["range"][0])
    add_task(connection, target="low")
    migrate(connection)
    assert refused(connection) == dict.fromkeys(range(300, COUNT), "23514")
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (300,)


def test_rows_without_a_partition_are_refused_until_there_is_one(connection, write_dump):
    documents_table(connection, write_dump)
    connection.execute("""
        CREATE TABLE orders (id int PRIMARY KEY, customer int, region text, total numeric) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (450);
        CREATE TABLE high PARTITION OF orders FOR VALUES FROM (550) TO (2000)""")
    add_task(connection)
    migrate(connection)
    assert refused(connection) == dict.fromkeys(range(450, 550), "23514")
    message, = connection.execute("SELECT DISTINCT message FROM mongoferry.errors").fetchone()
    assert message == 'no partition of relation "orders" found for row'
    assert_copied(connection, but=range(450, 550))

    connection.execute("CREATE TABLE middle PARTITION OF orders FOR VALUES FROM (450) TO (550)")
    connection.execute("CALL mongoferry.retry_errors('shop')")
    assert refused(connection) == {}
    assert_copied(connection)
    assert_valid(connection)


def test_a_partitions_own_constraints_and_triggers(connection, write_dump):
    """Some of the partitions have them, and the others' rows are none of their business."""
    documents_table(connection, write_dump)
    connection.execute(KINDS["range"][0])
    connection.execute("""
        ALTER TABLE high ADD CONSTRAINT not_too_much CHECK (total < 200);
        CREATE UNIQUE INDEX ON low (total) WHERE total = 5.25 OR total = 2.5;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.id % 50 = 0 THEN RAISE EXCEPTION 'not fifty'; END IF; NEW.region := lower(NEW.region); RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON high FOR EACH ROW EXECUTE FUNCTION refuse();
        INSERT INTO orders VALUES (-1, 0, NULL, 2.5)""")
    add_task(connection)
    migrate(connection)
    expected = {10: "23505"} | dict.fromkeys(range(300, COUNT, 50), "P0001") | dict.fromkeys(
        (i for i in range(800, COUNT) if i % 50), "23514")
    assert refused(connection) == expected
    connection.execute("DELETE FROM orders WHERE id = -1")
    assert_copied(connection, but=expected)


@pytest.mark.parametrize("on_conflict", ["error", "nothing", "update"])
def test_rows_that_are_there_already(connection, write_dump, on_conflict):
    documents_table(connection, write_dump)
    connection.execute(KINDS["hash"][0])
    connection.execute("INSERT INTO orders SELECT i, 0, 'here', 0 FROM generate_series(100, 149) AS i")
    add_task(connection, on_conflict=on_conflict)
    migrate(connection)
    there = set(range(100, 150))
    assert refused(connection) == (dict.fromkeys(there, "23505") if on_conflict == "error" else {})
    if on_conflict == "update":
        assert_copied(connection)
    else:
        assert connection.execute("DELETE FROM orders WHERE region = 'here'").rowcount == 50
        assert_copied(connection, but=there)


def test_a_second_pass(connection, write_dump):
    """An UPDATE of rows in partitions."""
    documents_table(connection, write_dump)
    connection.execute(KINDS["hash"][0])
    add_task(connection, transform="SELECT _id AS id, customer, region FROM source")
    add_task(connection, "totals", transform="SELECT _id AS id, total FROM source", on_conflict="update")
    assert connection.execute("SELECT mongoferry.task_statement('shop', 'totals')").fetchone()[0].startswith("UPDATE ")
    migrate(connection)
    assert_copied(connection)
    assert_valid(connection)


def test_conflict_key_has_to_be_a_key_of_the_whole_table(connection, write_dump):
    documents_table(connection, write_dump)
    connection.execute(KINDS["range"][0] + "; CREATE UNIQUE INDEX ON low (total); CREATE UNIQUE INDEX ON high (total)")
    with pytest.raises(errors.InvalidColumnReference, match="is not a unique key"):
        add_task(connection, on_conflict="nothing", conflict_key=["total"])


def test_sequences_of_a_partitioned_target(connection, write_dump):
    documents_table(connection, write_dump)
    connection.execute("""
        CREATE TABLE orders (id serial, customer int, region text, total numeric, PRIMARY KEY (id)) PARTITION BY HASH (id);
        CREATE TABLE h0 PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE h1 PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 1)""")
    add_task(connection)
    migrate(connection)
    assert connection.execute("INSERT INTO orders (customer) VALUES (1) RETURNING id").fetchone() == (COUNT,)


FOREIGN_KEYS = {
    "from a partitioned table": (
        "CREATE TABLE customer (id int PRIMARY KEY)",
        "customer int REFERENCES customer", "PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (500); CREATE TABLE high PARTITION OF orders DEFAULT"),
    "to a partitioned table": (
        """CREATE TABLE customer (id int PRIMARY KEY) PARTITION BY HASH (id);
           CREATE TABLE c0 PARTITION OF customer FOR VALUES WITH (MODULUS 2, REMAINDER 0);
           CREATE TABLE c1 PARTITION OF customer FOR VALUES WITH (MODULUS 2, REMAINDER 1)""",
        "customer int REFERENCES customer", "", ""),
    "between partitioned tables": (
        """CREATE TABLE customer (id int PRIMARY KEY) PARTITION BY RANGE (id);
           CREATE TABLE c0 PARTITION OF customer FOR VALUES FROM (0) TO (10); CREATE TABLE c1 PARTITION OF customer DEFAULT""",
        "customer int REFERENCES customer DEFERRABLE INITIALLY DEFERRED", "PARTITION BY HASH (id)",
        """CREATE TABLE h0 PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 0);
           CREATE TABLE h1 PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 1)"""),
    "of one partition": (
        "CREATE TABLE customer (id int PRIMARY KEY)", "customer int", "PARTITION BY RANGE (id)",
        """CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (500); CREATE TABLE high PARTITION OF orders DEFAULT;
           ALTER TABLE high ADD FOREIGN KEY (customer) REFERENCES customer"""),
}


@pytest.mark.parametrize("case", FOREIGN_KEYS)
def test_foreign_keys(connection, write_dump, case):
    customers, column, partitioning, partitions = FOREIGN_KEYS[case]
    dump = write_dump({"orders": DOCUMENTS, "customers": [{"_id": i} for i in range(40) if i != 13]}, name="both")
    documents_table(connection, write_dump)
    connection.execute(f"""
        CREATE SERVER both_dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{dump}');
        CREATE FOREIGN TABLE customers_source (_id int) SERVER both_dump OPTIONS (collection 'customers');
        {customers};
        CREATE TABLE orders (id int PRIMARY KEY, {column}, region text, total numeric) {partitioning}; {partitions}""")
    # the children are added first: the foreign key puts them behind
    add_task(connection)
    add_task(connection, "customers", "customers_source", "customer", "SELECT _id AS id FROM source", chunk_size=10)
    assert connection.execute("SELECT task, depends_on FROM mongoferry.task_dependencies('shop')").fetchall() == [
        ("orders", "customers")]
    migrate(connection)
    orphans = {i for i in range(COUNT) if i % 40 == 13 and (case != "of one partition" or i >= 500)}
    assert refused(connection) == dict.fromkeys(orphans, "23503")
    assert_copied(connection, but=orphans)


@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_in_the_middle(start_postgres, write_dump, kind):
    """A worker, the leader, the whole server: the target ends as if nothing had happened."""
    server = start_postgres("synchronous_commit = on\n")
    bad = {17, 555}
    with server.connect() as connection:
        connection.execute("CREATE EXTENSION mongoferry")
        documents_table(connection, write_dump,
                        [d if d["_id"] not in bad else {**d, "customer": bson.Decimal128("1.5")} for d in DOCUMENTS])
        connection.execute(KINDS[kind][0])
        add_task(connection, chunk_size=50,
                 transform=TRANSFORM + " CROSS JOIN (SELECT pg_sleep(0.1)) AS pause OFFSET 0")
    for victim in ("worker", "postmaster", "leader"):
        with contextlib.closing(server.connect_when_ready()) as connection:
            done = connection.execute("SELECT count(*) FROM mongoferry.chunk WHERE state = 'done'").fetchone()[0]
            call = Call(server.connect(), "CALL mongoferry.migrate('shop', workers => 2)")
            wait_until(lambda: connection.execute(
                "SELECT count(*) FROM mongoferry.chunk WHERE state = 'done'").fetchone()[0] >= done + 2)
            pid = {"postmaster": server.pid, "leader": call.pid}.get(victim) or connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mongoferry worker'").fetchone()[0]
            seen = server.log_size()
            os.kill(pid, signal.SIGKILL)
        assert call.wait(60) is not None
        call.connection.close()
        if victim == "postmaster":
            server.stop()
            server.start()
        else:
            wait_until(lambda: "ready to accept connections" in server.log(seen), 60)
    with server.connect_when_ready() as connection:
        assert connection.execute("SELECT count(*) FROM mongoferry.chunk WHERE state = 'pending'").fetchone()[0] > 0
        wait_until(lambda: not connection.execute(
            "SELECT FROM pg_stat_activity WHERE backend_type = 'mongoferry worker'").fetchall())
        migrate(connection)
        assert refused(connection).keys() == bad
        assert_copied(connection, but=bad)

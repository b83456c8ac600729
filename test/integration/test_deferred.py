"""Indexes and foreign keys of targets that are taken off while a migration runs: what goes, and that it comes back.

Comes back as it was, in its order, and after whatever happens in between. Where the order matters the steps are taken one by
one (harness.migrations.Run); elsewhere migrate() is called whole.
"""

import json
import os
import signal
import subprocess
import uuid
from decimal import Decimal

import pytest
from psycopg import errors

from harness.calls import Call, wait_until
from harness.migrations import Run, add_task, one

CUSTOMERS = "SELECT _id AS id, name FROM source"
ORDERS = 'SELECT _id AS id, customer AS "customerId", total FROM source'

SOURCES = """
CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{dump}');
CREATE FOREIGN TABLE customers_source (_id int, name text) SERVER dump OPTIONS (collection 'customers');
CREATE FOREIGN TABLE orders_source (_id int, customer int, total numeric) SERVER dump OPTIONS (collection 'orders');
"""
TARGETS = """
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
CREATE INDEX customer_name ON customer (name);
CREATE TABLE "Order" (id int PRIMARY KEY, "customerId" int CONSTRAINT order_customer REFERENCES customer, total numeric);
CREATE INDEX "Order total" ON "Order" (total);
CREATE INDEX order_customer ON "Order" ("customerId");
SELECT mongoferry.create_migration('m');
"""

COLLECTIONS = {
    "customers": [{"_id": i, "name": f"c{i}"} for i in range(10)],
    "orders": [{"_id": i, "customer": i % 10, "total": i * 1.5} for i in range(20)],
}


def add_both(connection, **settings):
    add_task(connection, "orders", "orders_source", '"Order"', ORDERS, **{"chunk_size": 5, **settings})
    add_task(connection, "customers", "customers_source", "customer", CUSTOMERS, chunk_size=4)


@pytest.fixture
def shop(connection, write_dump):
    """Customers 0 to 9 and orders 0 to 19 of them in a dump, foreign tables and targets for both, and the migration m."""
    connection.execute(SOURCES.format(dump=write_dump(COLLECTIONS)) + TARGETS)
    add_both(connection)
    return connection


def everything(connection):
    """All that there is to know of indexes and constraints in schema public (the two in the catalogue of extensions aside)."""
    indexes = connection.execute("""
        SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident,
            t.spcname, c.reloptions, c.relowner, obj_description(i.indexrelid, 'pg_class'),
            (SELECT array_agg(coalesce(a.attstattarget, -1) ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = i.indexrelid),
            (SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace
        WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1""").fetchall()
    constraints = connection.execute("""
        SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid), c.convalidated, c.conislocal, c.coninhcount,
            obj_description(c.oid, 'pg_constraint'), p.conname
        FROM pg_constraint c LEFT JOIN pg_constraint p ON p.oid = c.conparentid
        WHERE c.connamespace = 'public'::regnamespace ORDER BY 1, 2, 3""").fetchall()
    return indexes, constraints


def indexes(connection):
    return {name for name, in connection.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('i', 'I') AND relnamespace = 'public'::regnamespace")}


def keys(connection):
    return {name for name, in connection.execute(
        "SELECT conname FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace")}


def off(connection):
    return {(kind, name) for kind, name in connection.execute("SELECT kind, name FROM mongoferry.deferred")}


def step_until_off(run):
    """Takes steps until all is off that goes, and no chunk is carried over; true if anything is off."""
    while one(run.connection, "SELECT bool_or(state = 'new') FROM mongoferry.task WHERE task = ANY (%s)", [run.options["tasks"]]) \
            or one(run.connection, "SELECT count(*) FROM mongoferry.to_take_off(%s, %s)", [run.migration, json.dumps(run.options)]):
        assert run.step() == "again"
    return bool(off(run.connection))


def problem_of(connection, call):
    with pytest.raises(errors.RaiseException) as caught:
        connection.execute(call)
    return caught.value.diag


# --- as it was ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tablespace(postgres, connection):
    """The name of a tablespace of this test, in a folder inside of the data directory, which every user may write to."""
    name = f"space_{uuid.uuid4().hex[:12]}"
    path = f"{postgres.data}/{name}"
    connection.execute(f"COPY (SELECT 1) TO PROGRAM 'mkdir {path}; cat > /dev/null'")
    connection.execute(f"CREATE TABLESPACE {name} LOCATION '{path}'")
    yield name
    connection.execute("DROP TABLE IF EXISTS wide CASCADE")
    connection.execute(f"DROP TABLESPACE {name}")


@pytest.mark.parametrize("workers", [0, 2])
def test_all_comes_back_as_it_was(shop, tablespace, workers):
    shop.execute(f"""
        CREATE SCHEMA own;
        CREATE FUNCTION own.shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.upper($1)';
        CREATE TABLE wide (id int PRIMARY KEY, a int NOT NULL, b text COLLATE "C" NOT NULL, c int, d date, e tsvector, f int, g interval,
            UNIQUE (a, b), EXCLUDE USING btree (f WITH =), FOREIGN KEY (a) REFERENCES customer ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
            CONSTRAINT "A Key" FOREIGN KEY (c) REFERENCES customer MATCH FULL ON UPDATE SET NULL);
        CREATE UNIQUE INDEX wide_unique ON wide (c, lower(b));
        CREATE INDEX "Wide: many things; really" ON wide USING btree (own.shout(b) COLLATE "C" text_pattern_ops DESC NULLS LAST, a)
            INCLUDE (c) WITH (fillfactor = 61) WHERE b <> ' ON ONLY '';' AND d > '2024-02-01' AND g < '1 day 02:00';
        ALTER INDEX "Wide: many things; really" ALTER COLUMN 1 SET STATISTICS 321;
        COMMENT ON INDEX "Wide: many things; really" IS 'it''s for \\ everything';
        CREATE INDEX wide_gin ON wide USING gin (e) WITH (fastupdate = off) TABLESPACE {tablespace};
        CREATE INDEX wide_hash ON wide USING hash (b);
        CREATE INDEX wide_brin ON wide USING brin (d) WITH (pages_per_range = 7);
        CREATE INDEX wide_c ON wide (c);
        CLUSTER wide USING wide_c;
        ALTER TABLE wide REPLICA IDENTITY USING INDEX wide_a_b_key;
        COMMENT ON CONSTRAINT "A Key" ON wide IS 'a key';
        CREATE TABLE seen (indexes int, keys int);
        CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen SELECT (SELECT count(*) FROM pg_index WHERE indrelid = 'wide'::regclass),
                (SELECT count(*) FROM pg_constraint WHERE conrelid = 'wide'::regclass AND contype = 'f'); RETURN NULL; END $$;
        CREATE TRIGGER look AFTER INSERT ON wide EXECUTE FUNCTION look()""")
    add_task(shop, "wide", "orders_source", "wide",
             """SELECT _id AS id, customer AS a, 'b' || _id AS b, customer AS c, date '2024-01-20' + _id AS d,
                to_tsvector('simple', 'x' || _id) AS e, _id AS f, make_interval(hours => _id) AS g FROM source""", chunk_size=5)
    before = everything(shop)
    assert len([index for index in before[0] if "wide" in index[0].lower()]) == 9
    # what a session has set must not change what is made
    shop.execute("SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET quote_all_identifiers = on")
    shop.execute("SET search_path = own")
    shop.execute(f"SET default_tablespace = {tablespace}")
    shop.execute("CALL mongoferry.migrate('m', workers => %s, defer_indexes => true, defer_foreign_keys => true)", [workers])
    shop.execute("RESET ALL")
    assert everything(shop) == before
    assert set(shop.execute("SELECT indexes, keys FROM seen").fetchall()) == {(4, 0)}
    assert one(shop, "SELECT count(*), count(*) FILTER (WHERE a = c) FROM wide") == (20, 20)
    assert off(shop) == set()
    assert one(shop, "SELECT outcome FROM mongoferry.run") == "complete"
    assert one(shop, "SELECT state, percent, time_left = interval '0' FROM mongoferry.progress_total") == ("done", 100, True)


def test_what_stays(shop):
    """Keys, what belongs to something else, and what could not be put back as it is."""
    shop.execute("""
        CREATE TABLE odd (id int PRIMARY KEY, a int UNIQUE, b int REFERENCES customer, c int, d int, EXCLUDE USING btree (c WITH =));
        CREATE UNIQUE INDEX odd_unique ON odd (d);
        CREATE INDEX odd_extension ON odd (a, b); ALTER INDEX odd_extension DEPENDS ON EXTENSION plpgsql;
        CREATE INDEX odd_invalid ON odd (b, a); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'odd_invalid'::regclass;
        CREATE INDEX odd_plain ON odd (d, a);
        ALTER TABLE odd ADD CONSTRAINT odd_not_valid FOREIGN KEY (c) REFERENCES customer NOT VALID;
        ALTER TABLE odd ADD CONSTRAINT odd_disabled FOREIGN KEY (d) REFERENCES customer;
        CREATE TABLE child (odd int CONSTRAINT child_odd REFERENCES odd (d));
        CREATE INDEX child_odd_index ON child (odd)""")
    trigger, = shop.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = 'odd'::regclass AND tgconstraint = "
                            "(SELECT oid FROM pg_constraint WHERE conname = 'odd_disabled') LIMIT 1").fetchone()
    shop.execute(f'ALTER TABLE odd DISABLE TRIGGER "{trigger}"')
    add_task(shop, "odd", "customers_source", "odd", "SELECT _id AS id, _id AS a, _id AS b, _id AS c, _id AS d FROM source")
    before = everything(shop)
    shop.execute("CALL mongoferry.migrate('m', only_tasks => '{customers}')")
    run = Run(shop, only_tasks=["odd"], defer_indexes=True, defer_foreign_keys=True)
    assert step_until_off(run)
    assert off(shop) == {("index", "odd_plain"), ("foreign key", "odd_b_fkey")}
    run.finish()
    assert everything(shop) == before and off(shop) == set()


@pytest.mark.parametrize("defer_indexes, defer_foreign_keys, expected", [
    (True, False, {("index", "customer_name"), ("index", "Order total"), ("index", "order_customer")}),
    (False, True, {("foreign key", "order_customer")}),
    (False, False, set()),
])
def test_what_is_asked_for(shop, defer_indexes, defer_foreign_keys, expected):
    before = everything(shop)
    run = Run(shop, defer_indexes=defer_indexes, defer_foreign_keys=defer_foreign_keys)
    step_until_off(run)
    assert off(shop) == expected
    assert {name for kind, name in expected if kind == "index"}.isdisjoint(indexes(shop))
    assert keys(shop) == (set() if defer_foreign_keys else {"order_customer"})
    assert shop.execute("SELECT relation::regclass::text, definition FROM mongoferry.deferred WHERE name = 'Order total'").fetchall() \
        == ([('"Order"', 'CREATE INDEX "Order total" ON public."Order" USING btree (total)')] if defer_indexes else [])
    run.finish()
    run.end()
    assert everything(shop) == before and off(shop) == set() and run.problem() is None
    assert one(shop, "SELECT outcome FROM mongoferry.run") == "complete"


def test_an_index_that_already_is_back(shop):
    """Made by hand meanwhile and equal, it is left as it is; a later run notes the newest definition."""
    run = Run(shop, defer_indexes=True)
    step_until_off(run)
    shop.execute("CREATE INDEX customer_name ON customer (name); COMMENT ON INDEX customer_name IS 'by hand'")
    run.finish()
    assert off(shop) == set()
    assert one(shop, "SELECT obj_description('customer_name'::regclass, 'pg_class')") == "by hand"

    shop.execute("TRUNCATE customer, \"Order\"; SELECT mongoferry.reset_task('m', t) FROM unnest('{customers,orders}'::text[]) AS t")
    step_until_off(Run(shop, defer_indexes=True))
    shop.execute("CREATE INDEX customer_name ON customer (length(name))")
    shop.execute("CALL mongoferry.migrate('m', defer_indexes => true)")
    assert "length(name)" in one(shop, "SELECT pg_get_indexdef('customer_name'::regclass)")
    assert off(shop) == set()


# --- the order ------------------------------------------------------------------------------------------------------------


def test_each_comes_back_when_its_table_is_complete(shop):
    run = Run(shop, defer_indexes=True, defer_foreign_keys=True)
    seen = []
    while run.step() == "again":
        done = {task for task, in shop.execute("SELECT task FROM mongoferry.task WHERE state = 'done'")}
        written = one(shop, 'SELECT (SELECT count(*) FROM customer) + (SELECT count(*) FROM "Order")')
        seen.append((done, off(shop), keys(shop), written))
    assert seen[-1] == ({"customers", "orders"}, set(), {"order_customer"}, 30)
    everything_off = {("index", "customer_name"), ("index", "Order total"), ("index", "order_customer"), ("foreign key", "order_customer")}
    assert [off for _, off, _, _ in seen].count(everything_off) > 3
    for done, missing, key, written in seen:
        assert written == 0 or missing == everything_off or done  # nothing is written before all is off
        assert done or missing in (set(), everything_off, everything_off - {("index", "customer_name")})
        assert ("index", "customer_name") in missing or "customers" in done or written == 0
        assert ("index", "Order total") in missing or "orders" in done or written == 0
        assert bool(key) == (("foreign key", "order_customer") not in missing)
        # the key is the last, for it needs both tables
        assert not key or written == 0 or missing == set()
    # The order is by position now: what the foreign key would have asked for does not count.
    assert [done for done, *_ in seen if done][0] == {"orders"}


def test_a_table_of_two_tasks(shop, write_dump):
    """And the target's indexes wait for a task that is not of the run."""
    shop.execute("ALTER TABLE customer ADD nickname text; CREATE INDEX customer_nickname ON customer (nickname)")
    add_task(shop, "nicknames", "customers_source", "customer", "SELECT _id AS id, 'n' || _id AS nickname FROM source",
             on_conflict="update", chunk_size=4)
    before = everything(shop)
    shop.execute("CALL mongoferry.migrate('m', only_tasks => '{customers}', defer_indexes => true)")
    assert off(shop) == {("index", "customer_name"), ("index", "customer_nickname")}
    assert one(shop, "SELECT outcome FROM mongoferry.run") \
        == 'complete, but for tasks left out: "orders", "nicknames"; taken off: 2 indexes'
    assert one(shop, "SELECT count(*) FROM customer WHERE nickname IS NULL") == 10
    shop.execute("CALL mongoferry.migrate('m')")  # not deferred: puts back what the other has left
    assert everything(shop) == before and off(shop) == set()
    assert one(shop, "SELECT count(*) FROM customer WHERE nickname IS NOT NULL") == 10


def test_only_tasks(shop):
    run = Run(shop, only_tasks=["customers"], defer_indexes=True, defer_foreign_keys=True)
    step_until_off(run)
    assert off(shop) == {("index", "customer_name")}
    run.finish()
    assert off(shop) == set()
    # The one that is done is left alone.
    run = Run(shop, defer_indexes=True, defer_foreign_keys=True)
    step_until_off(run)
    assert off(shop) == {("index", "Order total"), ("index", "order_customer"), ("foreign key", "order_customer")}
    run.finish()
    assert off(shop) == set()


def test_only_tasks_without_what_the_key_asks_for(shop):
    before = everything(shop)
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match='task "orders" depends on task "customers"'):
        Run(shop, only_tasks=["orders"], defer_indexes=True)
    Run(shop, only_tasks=["orders"], defer_foreign_keys=True).finish()
    assert off(shop) == {("foreign key", "order_customer")} and one(shop, 'SELECT count(*) FROM "Order"') == 20
    Run(shop).finish()
    assert everything(shop) == before


def test_tables_that_refer_to_each_other(shop):
    shop.execute("""
        CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL, self int NOT NULL CONSTRAINT a_self REFERENCES a);
        CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL CONSTRAINT b_a REFERENCES a);
        ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES b;
        SELECT mongoferry.create_migration('circle')""")
    add_task(shop, "a", "customers_source", "a", "SELECT _id AS id, 9 - _id AS b, 9 - _id AS self FROM source", migration="circle", chunk_size=3)
    add_task(shop, "b", "customers_source", "b", "SELECT _id AS id, 9 - _id AS a FROM source", migration="circle", chunk_size=3)
    before = everything(shop)
    with pytest.raises(errors.InvalidObjectDefinition) as caught:
        shop.execute("CALL mongoferry.migrate('circle')")
    assert "defer_foreign_keys => true" in caught.value.diag.message_hint
    with pytest.raises(errors.InvalidObjectDefinition):
        shop.execute("CALL mongoferry.migrate('circle', defer_indexes => true)")
    shop.execute("CALL mongoferry.migrate('circle', defer_foreign_keys => true)")
    assert one(shop, "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)") == (10, 10)
    assert everything(shop) == before
    shop.execute("CALL mongoferry.migrate('circle')")  # nothing is left to do, and so nothing waits
    # What stays on still counts: a key that cannot be taken off
    shop.execute("""SELECT mongoferry.reset_task('circle', t) FROM unnest('{a,b}'::text[]) AS t; TRUNCATE a, b;
        ALTER TABLE a DROP CONSTRAINT a_self; ALTER TABLE a ADD CONSTRAINT a_self FOREIGN KEY (self) REFERENCES a NOT VALID""")
    with pytest.raises(errors.InvalidObjectDefinition):
        shop.execute("CALL mongoferry.migrate('circle', defer_foreign_keys => true)")
    assert off(shop) == set() and keys(shop) >= {"a_self", "a_b", "b_a"}


# --- partitions -----------------------------------------------------------------------------------------------------------

PARTITIONED = """
CREATE TABLE p (id int, customer int, total numeric, note text, PRIMARY KEY (id, customer)) PARTITION BY RANGE (customer);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (5) PARTITION BY RANGE (id);
CREATE TABLE p1a PARTITION OF p1 FOR VALUES FROM (0) TO (10);
CREATE TABLE p1b PARTITION OF p1 DEFAULT;
CREATE TABLE p2 (note text, id int NOT NULL, customer int NOT NULL, total numeric);
CREATE INDEX "of its own name" ON p2 (total) WITH (fillfactor = 55);
COMMENT ON INDEX "of its own name" IS 'older than its parent';
CREATE INDEX p2_only ON p2 (note);
ALTER TABLE p2 ADD CONSTRAINT p2_key FOREIGN KEY (customer) REFERENCES customer;
COMMENT ON CONSTRAINT p2_key ON p2 IS 'its own key';
CREATE INDEX p_total ON p (total);
ALTER TABLE p ADD CONSTRAINT p_key FOREIGN KEY (customer) REFERENCES customer;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (5) TO (10);
ALTER INDEX p1a_total_idx RENAME TO renamed;
CREATE INDEX p_expression ON p ((id % 7), lower(note));
ALTER INDEX p_expression ALTER COLUMN 1 SET STATISTICS 77;
"""
INTO_P = "SELECT _id AS id, customer, total FROM source"


@pytest.mark.parametrize("workers", [0, 3])
def test_partitions(shop, workers):
    shop.execute(PARTITIONED)
    shop.execute("SELECT mongoferry.drop_task('m', 'orders')")
    add_task(shop, "p", "orders_source", "p", INTO_P, chunk_size=5)
    before = everything(shop)
    assert ("p2", "p2_key") in [row[:2] for row in before[1]]
    run = Run(shop, defer_indexes=True, defer_foreign_keys=True)
    assert step_until_off(run)
    assert off(shop) == {("index", name) for name in ("customer_name", "p_total", "p_expression", "p2_only")} | {("foreign key", "p_key")}
    assert not [name for name in indexes(shop) if name in ("of its own name", "renamed", "p1b_total_idx")]
    shop.execute("CALL mongoferry.migrate('m', workers => %s)", [workers])
    assert everything(shop) == before and off(shop) == set()
    assert one(shop, "SELECT count(*) FROM p") == 20


def test_partitions_that_change_meanwhile(shop):
    shop.execute(PARTITIONED)
    add_task(shop, "p", "orders_source", "p", INTO_P, chunk_size=5)
    run = Run(shop, defer_indexes=True, defer_foreign_keys=True)
    assert step_until_off(run)
    shop.execute("CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30)")
    run.finish()
    assert run.problem() is None and off(shop) == set()
    assert one(shop, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'p_total'::regclass") == 3
    assert one(shop, "SELECT bool_and(indisvalid) FROM pg_index WHERE indexrelid IN ('p_total'::regclass, 'p_expression'::regclass)")
    assert one(shop, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'p3'::regclass") == 1


def test_a_partition_as_target(shop):
    """What belongs to its parent stays."""
    shop.execute(PARTITIONED)
    add_task(shop, "p2", "orders_source", "p2", "SELECT _id AS id, 5 + _id % 5 AS customer, total FROM source", chunk_size=5)
    before = everything(shop)
    shop.execute("CALL mongoferry.migrate('m', only_tasks => '{customers}')")
    run = Run(shop, only_tasks=["p2"], defer_indexes=True, defer_foreign_keys=True)
    step_until_off(run)
    assert off(shop) == {("index", "p2_only")}
    run.finish()
    assert everything(shop) == before


def test_a_key_that_refers_to_partitions(shop):
    shop.execute(PARTITIONED)
    shop.execute("CREATE TABLE part_of_p (id int, p int, customer int, CONSTRAINT to_p FOREIGN KEY (p, customer) REFERENCES p)")
    add_task(shop, "p", "orders_source", "p", INTO_P, chunk_size=5)
    add_task(shop, "parts", "orders_source", "part_of_p", "SELECT _id AS id, _id AS p, customer FROM source", chunk_size=5)
    before = everything(shop)
    run = Run(shop, defer_indexes=True, defer_foreign_keys=True)
    step_until_off(run)
    assert ("foreign key", "to_p") in off(shop) and "to_p" not in keys(shop)
    run.finish()
    assert run.problem() is None and everything(shop) == before and off(shop) == set()


def test_a_remote_target(shop, postgres, database):
    shop.execute(f"""CREATE EXTENSION postgres_fdw;
        CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{postgres.socket_dir}', port '{postgres.port}', dbname '{database}');
        CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (user '{postgres.superuser}');
        CREATE FOREIGN TABLE remote (id int, name text) SERVER other OPTIONS (table_name 'customer');
        CREATE TABLE mixed (id int, name text) PARTITION BY RANGE (id);
        CREATE TABLE mixed1 PARTITION OF mixed FOR VALUES FROM (0) TO (5);
        CREATE TABLE behind (id int, name text);
        CREATE FOREIGN TABLE mixed2 PARTITION OF mixed FOR VALUES FROM (5) TO (50) SERVER other OPTIONS (table_name 'behind');
        CREATE INDEX mixed_name ON mixed (name);
        SELECT mongoferry.create_migration('far')""")
    add_task(shop, "remote", "customers_source", "remote", CUSTOMERS, migration="far")
    add_task(shop, "mixed", "customers_source", "mixed", CUSTOMERS, migration="far")
    before = everything(shop)
    run = Run(shop, "far", defer_indexes=True, defer_foreign_keys=True)
    step_until_off(run)
    assert off(shop) == {("index", "mixed_name")}
    run.finish()
    assert everything(shop) == before and one(shop, "SELECT count(*) FROM customer") == 10 == one(shop, "SELECT count(*) FROM mixed")


# --- stopped in between ---------------------------------------------------------------------------------------------------


def test_max_duration(shop):
    """What is not complete stays off from slice to slice, and the end of each tells so."""
    before = everything(shop)
    notices = []
    shop.add_notice_handler(lambda notice: notices.append((notice.message_primary, notice.message_hint)))
    run = Run(shop, defer_indexes=True, defer_foreign_keys=True, deadline=str(one(shop, "SELECT clock_timestamp() + interval '1 hour'")))
    assert step_until_off(run)
    run.options["deadline"] = str(one(shop, "SELECT clock_timestamp()"))
    assert run.step() == "finished"
    run.end()
    assert one(shop, "SELECT outcome FROM mongoferry.run") \
        == 'time is up; not done: "orders", "customers"; taken off: 3 indexes and 1 foreign key'
    assert notices[-1][0] == 'migration "m": 3 indexes and 1 foreign key of its targets taken off'
    assert "CALL mongoferry.restore_deferred('m')" in notices[-1][1]
    assert run.problem() is None
    # all tasks are done, and then the time is up
    run = Run(shop, deadline=str(one(shop, "SELECT clock_timestamp() + interval '1 hour'")))
    while one(shop, "SELECT count(*) FROM mongoferry.task WHERE state = 'done'") < 2:
        run.step()
    assert off(shop)
    assert one(shop, "SELECT state, percent, time_left FROM mongoferry.progress_total") == ("running", Decimal("99.9"), None)
    run.options["deadline"] = str(one(shop, "SELECT clock_timestamp()"))
    assert run.step() == "finished"
    run.end()
    assert one(shop, "SELECT outcome FROM mongoferry.run ORDER BY id DESC LIMIT 1").startswith("taken off: ")
    shop.execute("CALL mongoferry.migrate('m')")
    assert everything(shop) == before and off(shop) == set()
    assert one(shop, "SELECT state, percent FROM mongoferry.progress_total") == ("done", 100)


def test_cancelled(shop, connect):
    """Ctrl-C leaves them off, and the next call goes on."""
    before = everything(shop)
    shop.execute("""CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
        CREATE TRIGGER slow AFTER INSERT ON "Order" EXECUTE FUNCTION slow()""")
    call = Call(connect(), "CALL mongoferry.migrate('m', defer_indexes => true, defer_foreign_keys => true)")
    wait_until(lambda: one(shop, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type = 'mongoferry worker'"))
    shop.execute("SELECT pg_cancel_backend(%s)", [call.pid])
    assert isinstance(call.wait(), errors.QueryCanceled)
    # the customers may have been complete already
    assert off(shop) >= {("index", "Order total"), ("index", "order_customer"), ("foreign key", "order_customer")}
    shop.execute('DROP TRIGGER slow ON "Order"')
    shop.execute("CALL mongoferry.migrate('m', defer_indexes => true, defer_foreign_keys => true)")
    assert everything(shop) == before and off(shop) == set()


def test_kill_9(start_postgres, write_dump):
    """Of the whole server while all is off, of the leader, of a worker in the middle of a rebuild, and of the server there."""
    server = start_postgres("synchronous_commit = on\n")
    connection = server.connect()
    connection.execute("CREATE EXTENSION mongoferry;" + SOURCES.format(dump=write_dump(COLLECTIONS)) + TARGETS + """
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$;
        CREATE TRIGGER slow AFTER INSERT ON "Order" EXECUTE FUNCTION slow();
        CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 FROM pg_catalog.pg_sleep(0.1)';
        CREATE INDEX order_slow ON "Order" (slow(id));
        COMMENT ON INDEX order_slow IS 'takes two seconds'""")
    add_both(connection)
    before = everything(connection)
    deferred = "CALL mongoferry.migrate('m', defer_indexes => true, defer_foreign_keys => true)"
    rebuilding = """SELECT pid FROM pg_stat_activity WHERE backend_type = 'mongoferry worker' AND wait_event = 'PgSleep'
        AND application_name LIKE '%index "order_slow"%'"""

    def kill(call_sql, moment, victim):
        """Calls migrate(), kills the victim when the moment has come, and waits until the server is there again."""
        nonlocal connection
        call = Call(server.connect(), call_sql)
        found = wait_until(lambda: connection.execute(moment).fetchall())
        pid = {"postmaster": server.pid, "leader": call.pid, "worker": found[0][0]}[victim]
        seen = server.log_size()
        connection.close()
        os.kill(pid, signal.SIGKILL)
        assert call.wait() is not None
        call.connection.close()
        if victim == "postmaster":
            server.restart()
        else:
            wait_until(lambda: "ready to accept connections" in server.log(seen), 60)
        connection = server.connect_when_ready()

    some_chunk = "SELECT 1 FROM mongoferry.chunk WHERE task = 'orders' AND state = 'done'"
    all_of_orders = {("index", "Order total"), ("index", "order_customer"), ("index", "order_slow"), ("foreign key", "order_customer")}
    kill(deferred, some_chunk, "postmaster")
    assert off(connection) >= all_of_orders and not indexes(connection) & {name for _, name in all_of_orders}
    kill(deferred, some_chunk, "leader")
    assert off(connection) >= all_of_orders
    kill(deferred, rebuilding, "worker")
    assert ("index", "order_slow") in off(connection) and "order_slow" not in indexes(connection)
    assert ("foreign key", "order_customer") in off(connection)
    kill("CALL mongoferry.migrate('m')", rebuilding, "postmaster")
    assert off(connection) and one(connection, 'SELECT count(*) FROM "Order"') == 20
    connection.execute("CALL mongoferry.migrate('m')")
    assert everything(connection) == before and off(connection) == set()
    assert one(connection, 'SELECT count(*), sum(total) FROM "Order"') == (20, 285)
    connection.close()


def test_dump_and_restore(shop, postgres, database, folder, connect):
    before = everything(shop)
    step_until_off(Run(shop, defer_indexes=True, defer_foreign_keys=True))
    environment = {**os.environ, **postgres.environment(database)}
    dumped = subprocess.run([postgres.bin / "pg_dump"], env=environment, capture_output=True, text=True, check=True).stdout
    copy = f"{database}_copy"
    shop.execute(f"CREATE DATABASE {copy}")
    try:
        postgres.psql(dumped, database=copy)
        with connect(dbname=copy) as restored:
            assert len(off(restored)) == 4 and everything(restored) != before
            restored.execute("CALL mongoferry.migrate('m')")
            assert everything(restored) == before and off(restored) == set()
            assert one(restored, 'SELECT count(*) FROM "Order"') == 20
    finally:
        postgres.psql(f"DROP DATABASE {copy} WITH (FORCE)")


# --- what cannot be put back ----------------------------------------------------------------------------------------------


def orphans(connection, write_dump, **more):
    """Customer 3 is refused, so two orders have none."""
    connection.execute("ALTER TABLE customer ADD CHECK (name <> 'c3')")


def test_orphans(shop, write_dump):
    orphans(shop, write_dump)
    before = everything(shop)
    problem = problem_of(shop, "CALL mongoferry.migrate('m', defer_indexes => true, defer_foreign_keys => true)")
    assert problem.message_primary.startswith('foreign key "order_customer" of public."Order" could not be put back: insert or update')
    assert 'Key (customerId)=(3) is not present in table "customer".' in problem.message_detail
    assert "mongoferry.deferred" in problem.message_detail and "mongoferry.validate()" in problem.message_hint
    assert off(shop) == {("foreign key", "order_customer")}
    assert {"customer_name", "Order total", "order_customer"} <= indexes(shop)
    assert one(shop, "SELECT count(*) FROM mongoferry.task WHERE state = 'done'") == 2
    assert one(shop, "SELECT outcome FROM mongoferry.run") == 'failed: foreign key "order_customer" of public."Order"'
    assert one(shop, "SELECT failure_sqlstate FROM mongoferry.deferred") == "23503"
    assert one(shop, "SELECT state, percent FROM mongoferry.progress_total") == ("failed", Decimal("99.9"))
    # validate() counts what the hint sends there for
    assert shop.execute("""SELECT ok, target_value FROM mongoferry.validate('m', 'counts', workers => 0)
        WHERE "check" = 'reference order_customer'""").fetchall() == [(False, "2 orphans")]
    # again, with the same outcome; then mended
    assert problem_of(shop, "CALL mongoferry.migrate('m')").message_primary == problem.message_primary
    shop.execute("ALTER TABLE customer DROP CONSTRAINT customer_name_check")
    shop.execute("CALL mongoferry.retry_errors('m')")
    shop.execute("CALL mongoferry.migrate('m')")
    assert everything(shop) == (before[0], [row for row in before[1] if row[1] != "customer_name_check"]) and off(shop) == set()
    assert shop.execute("""SELECT ok FROM mongoferry.validate('m', 'counts', workers => 0) WHERE "check" = 'reference order_customer'""") \
        .fetchall() == [(True,)]
    assert one(shop, "SELECT outcome FROM mongoferry.run WHERE job = 'migrate' ORDER BY id DESC LIMIT 1") == "complete"


def test_a_name_that_is_taken(shop):
    before = everything(shop)
    run = Run(shop, defer_indexes=True)
    step_until_off(run)
    shop.execute("CREATE INDEX customer_name ON customer (length(name)); CREATE TABLE \"Order total\" ()")
    run.finish()
    run.end()
    message, detail, hint = run.problem()
    assert message == '2 indexes or foreign keys of migration "m" could not be put back'
    assert 'index "customer_name" of public.customer could not be put back: relation "customer_name" already exists' in detail
    assert 'index "Order total" of public."Order" could not be put back: relation "Order total" already exists' in detail
    assert "rename or drop" in hint and "restore_deferred('m')" in hint
    assert off(shop) == {("index", "customer_name"), ("index", "Order total")}
    shop.execute('DROP INDEX customer_name; DROP TABLE "Order total"')
    shop.execute("CALL mongoferry.restore_deferred('m')")
    assert everything(shop) == before and off(shop) == set()


def test_a_failure_beside_that_of_a_task(shop, write_dump):
    """Each is told, and what can come back does."""
    run = Run(shop, defer_indexes=True)
    step_until_off(run)
    shop.execute("""CREATE TABLE customer_name ();
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no space' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON "Order" FOR EACH ROW EXECUTE FUNCTION fail()""")
    problem = problem_of(shop, "CALL mongoferry.migrate('m')")
    assert 'task "orders" of migration "m" failed' in problem.message_primary
    assert 'index "customer_name" of public.customer could not be put back: relation' in problem.message_detail
    assert off(shop) == {("index", "customer_name"), ("index", "Order total"), ("index", "order_customer")}
    assert one(shop, "SELECT outcome FROM mongoferry.run ORDER BY id DESC LIMIT 1") == 'failed: "orders", index "customer_name" of public.customer'
    shop.execute('DROP TABLE customer_name; DROP TRIGGER fail ON "Order"')
    shop.execute("CALL mongoferry.migrate('m')")
    assert off(shop) == set()


def test_a_table_that_is_gone(shop):
    run = Run(shop, defer_indexes=True, defer_foreign_keys=True)
    step_until_off(run)
    warnings = []
    shop.add_notice_handler(lambda notice: warnings.append((notice.severity, notice.message_primary, notice.message_detail)))
    shop.execute("""DROP TABLE "Order"; SELECT mongoferry.drop_task('m', 'orders')""")
    shop.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert off(shop) == set() and "customer_name" in indexes(shop)
    gone = [warning for warning in warnings if warning[0] == "WARNING"]
    assert {message for _, message, _ in gone} == {
        'foreign key "order_customer" is not put back, because its table does not exist any more',
        'index "order_customer" is not put back, because its table does not exist any more',
        'index "Order total" is not put back, because its table does not exist any more'}
    assert any('CREATE INDEX "Order total" ON public."Order" USING btree (total)' in detail for _, _, detail in gone)


def test_a_lock_that_is_not_to_be_had(shop, connect):
    """A rebuild that meets lock_timeout is tried again, for retry_for; then it is told, and the next call does it."""
    step_until_off(Run(shop, defer_indexes=True))
    other = connect(autocommit=False)
    other.execute("LOCK TABLE customer IN ROW EXCLUSIVE MODE")
    caller = connect()
    caller.execute("SET lock_timeout = '50 ms'")
    notices = []
    caller.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    problem = problem_of(caller, "CALL mongoferry.migrate('m', workers => 1, retry_for => '1 s')")
    assert problem.message_primary == ('index "customer_name" of public.customer could not be put back: '
                                       "canceling statement due to lock timeout")
    assert any("is tried again" in notice for notice in notices)
    assert off(shop) == {("index", "customer_name")}
    other.rollback()
    caller.execute("CALL mongoferry.migrate('m', workers => 1)")
    assert off(shop) == set() and "customer_name" in indexes(shop)


# --- taking off -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_a_table_in_use_is_waited_for(shop, connect, workers):
    """Until it is free, or the call is cancelled; the leader's line says so."""
    reader = connect(autocommit=False)
    reader.execute('SELECT FROM "Order"')
    before = everything(shop)
    sql = f"CALL mongoferry.migrate('m', workers => {workers}, defer_indexes => true, progress_interval => '100 ms')"
    waiting = "SELECT pid FROM pg_locks WHERE relation = '\"Order\"'::regclass AND NOT granted AND mode = 'AccessExclusiveLock'"
    call = Call(connect(), sql)
    wait_until(lambda: shop.execute(waiting).fetchall())
    shop.execute("SELECT pg_cancel_backend(%s)", [call.pid])
    assert isinstance(call.wait(), errors.QueryCanceled)
    assert not shop.execute(waiting).fetchall()
    assert one(shop, 'SELECT count(*) FROM mongoferry.chunk WHERE state = \'done\'') == 0
    call = Call(connect(), sql)
    wait_until(lambda: shop.execute(waiting).fetchall())
    if workers:
        wait_until(lambda: any('taking indexes or keys off public."Order"' in message for message in call.messages()))
    reader.rollback()
    assert call.wait() is None
    assert everything(shop) == before and off(shop) == set()


def test_lock_timeout_while_taking_off(shop, connect):
    reader = connect(autocommit=False)
    reader.execute("SELECT FROM customer")
    caller = connect()
    caller.execute("SET lock_timeout = '50 ms'")
    with pytest.raises(errors.LockNotAvailable):
        caller.execute("CALL mongoferry.migrate('m', workers => 2, defer_indexes => true, retry_for => '1 s')")
    assert one(shop, "SELECT count(*) FROM mongoferry.chunk WHERE state = 'done'") == 0
    assert one(shop, "SELECT outcome FROM mongoferry.run") == "canceling statement due to lock timeout"
    reader.rollback()
    caller.execute("CALL mongoferry.migrate('m', workers => 2, defer_indexes => true)")
    assert off(shop) == set() and one(shop, 'SELECT count(*) FROM "Order"') == 20


def test_a_source_that_cannot_be_split_takes_nothing_off(shop, folder):
    shop.execute(f"ALTER SERVER dump OPTIONS (SET dump '{folder}/none')")
    problem_of(shop, "CALL mongoferry.migrate('m', workers => 0, defer_indexes => true, defer_foreign_keys => true)")
    assert off(shop) == set() and {"customer_name", "Order total"} <= indexes(shop)


@pytest.mark.parametrize("change, options, message, hint", [
    ("ALTER TABLE \"Order\" OWNER TO postgres; GRANT ALL ON \"Order\" TO {role}", "defer_indexes",
     'must be owner of table public."Order"', "leave out defer_indexes"),
    ("ALTER TABLE \"Order\" OWNER TO postgres; GRANT ALL ON \"Order\" TO {role}", "defer_foreign_keys",
     'must be owner of table public."Order"', "leave out defer_foreign_keys"),
    ("REVOKE CREATE ON SCHEMA public FROM {role}", "defer_indexes", "permission denied for schema public", "GRANT CREATE ON SCHEMA public TO"),
    ("ALTER TABLE customer OWNER TO postgres; GRANT SELECT, INSERT ON customer TO {role}", "defer_foreign_keys",
     "permission denied for table public.customer", "GRANT REFERENCES ON public.customer TO"),
])
def test_rights(connect, ordinary_role, superuser, shop, change, options, message, hint):
    shop.execute(f"""GRANT SELECT ON customers_source, orders_source TO {ordinary_role};
        GRANT USAGE ON FOREIGN SERVER dump TO {ordinary_role}; GRANT pg_read_server_files TO {ordinary_role};
        ALTER TABLE customer OWNER TO {ordinary_role}; ALTER TABLE "Order" OWNER TO {ordinary_role};
        UPDATE mongoferry.migration SET owner = '{ordinary_role}'""")
    before = everything(shop)
    shop.execute(change.replace("postgres", superuser).format(role=ordinary_role))
    member = connect(ordinary_role)
    with pytest.raises(errors.InsufficientPrivilege) as caught:
        member.execute(f"CALL mongoferry.migrate('m', {options} => true)")
    assert caught.value.diag.message_primary == message
    assert hint in caught.value.diag.message_hint and "take off and put back" in caught.value.diag.message_detail
    assert off(shop) == set() and one(shop, "SELECT count(*) FROM mongoferry.run") == 0
    # with the rights it works, without a superuser's
    shop.execute(f"""GRANT CREATE ON SCHEMA public TO {ordinary_role}; GRANT REFERENCES ON customer TO {ordinary_role};
        ALTER TABLE customer OWNER TO {ordinary_role}; ALTER TABLE "Order" OWNER TO {ordinary_role}""")
    member.execute("CALL mongoferry.migrate('m', defer_indexes => true, defer_foreign_keys => true)")
    assert everything(shop) == before and off(shop) == set()


# --- by hand, and the rest of the toolkit ---------------------------------------------------------------------------------


def test_restore_deferred(shop, connect):
    before = everything(shop)
    step_until_off(Run(shop, defer_indexes=True, defer_foreign_keys=True))
    told = """SELECT severity, message FROM mongoferry.preflight('m') WHERE "check" = 'deferred'"""
    assert shop.execute(told).fetchall() == [("note", "taken off by an earlier run: 3 indexes and 1 foreign key")]
    notices = []
    shop.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    shop.execute("CALL mongoferry.restore_deferred('m')")
    assert everything(shop) == before and off(shop) == set()
    assert shop.execute(told).fetchall() == []
    assert sorted(notices) == ['foreign key "order_customer" of public."Order" is back', 'index "Order total" of public."Order" is back',
                               'index "customer_name" of public.customer is back', 'index "order_customer" of public."Order" is back']
    shop.execute("CALL mongoferry.restore_deferred('m')")  # nothing is
    # It counts from there on: a later run without deferring leaves them on.
    shop.execute("CALL mongoferry.migrate('m')")
    assert everything(shop) == before and off(shop) == set()
    with pytest.raises(errors.UndefinedObject, match='migration "n" does not exist'):
        shop.execute("CALL mongoferry.restore_deferred('n')")


def test_restore_deferred_tells_what_failed_and_goes_on(shop, write_dump):
    orphans(shop, write_dump)
    run = Run(shop, defer_indexes=True, defer_foreign_keys=True)
    while one(shop, "SELECT count(*) FROM mongoferry.task WHERE state = 'done'") < 2:
        run.step()
    shop.execute("CREATE TABLE customer_name ()")
    problem = problem_of(shop, "CALL mongoferry.restore_deferred('m')")
    assert problem.message_primary == '1 index and 1 foreign key of migration "m" could not be put back'
    assert "customer_name" in problem.message_detail and "(customerId)=(3)" in problem.message_detail
    assert off(shop) == {("index", "customer_name"), ("foreign key", "order_customer")}
    shop.execute("DROP TABLE customer_name")
    problem = problem_of(shop, "CALL mongoferry.restore_deferred('m')")
    assert problem.message_primary.startswith('foreign key "order_customer" of public."Order" could not be put back: ')
    shop.execute('DELETE FROM "Order" WHERE "customerId" = 3')
    shop.execute("CALL mongoferry.restore_deferred('m')")
    assert off(shop) == set() and keys(shop) == {"order_customer"}


def test_restore_deferred_and_a_run(shop, connect, ordinary_role):
    """Not beside a run, not in a transaction block, and only for the owner."""
    step_until_off(Run(shop, defer_indexes=True))
    missing = off(shop)
    with pytest.raises(errors.ActiveSqlTransaction):
        with shop.transaction():
            shop.execute("CALL mongoferry.restore_deferred('m')")
    assert off(shop) == missing
    with pytest.raises(errors.UndefinedObject):
        connect(ordinary_role).execute("CALL mongoferry.restore_deferred('m')")
    shop.execute("""CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
        CREATE TRIGGER slow AFTER INSERT ON "Order" EXECUTE FUNCTION slow()""")
    call = Call(connect(), "CALL mongoferry.migrate('m')")
    wait_until(lambda: one(shop, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
    with pytest.raises(errors.ObjectInUse, match='migration "m" is already being run'):
        shop.execute("CALL mongoferry.restore_deferred('m')")
    shop.execute("SELECT pg_cancel_backend(%s)", [call.pid])
    call.wait()


def test_drop_migration(shop, connect, ordinary_role):
    before = everything(shop)
    step_until_off(Run(shop, defer_indexes=True, defer_foreign_keys=True))
    missing = off(shop)
    for statement in "SELECT mongoferry.drop_migration('m')", "DELETE FROM mongoferry.migration":
        with pytest.raises(errors.ObjectNotInPrerequisiteState) as caught:
            shop.execute(statement)
        assert caught.value.diag.message_primary \
            == 'migration "m" cannot be dropped: 3 indexes and 1 foreign key of its targets would be lost'
        assert "CALL mongoferry.restore_deferred('m')" in caught.value.diag.message_hint
    assert off(shop) == missing and one(shop, "SELECT count(*) FROM mongoferry.task") == 2
    shop.execute("SELECT mongoferry.drop_task('m', 'orders')")
    assert off(shop) == missing  # they are put back by the next run, or by hand
    shop.execute("CALL mongoferry.restore_deferred('m')")
    assert everything(shop) == before
    shop.execute("SELECT mongoferry.drop_migration('m')")
    assert off(shop) == set()


def test_others_do_not_see_it(shop, connect, ordinary_role):
    step_until_off(Run(shop, defer_indexes=True))
    other = connect(ordinary_role)
    assert off(other) == set()
    assert other.execute("DELETE FROM mongoferry.deferred").rowcount == 0
    with pytest.raises(errors.InsufficientPrivilege):
        other.execute("""INSERT INTO mongoferry.deferred (migration, kind, relation, name, definition, commands)
            VALUES ('m', 'index', 'customer', 'x', 'x', '{DROP TABLE customer}')""")


def test_a_rebuild_is_seen(shop, connect):
    """In pg_stat_activity, in the leader's line, and while chunks of another task are carried over."""
    shop.execute("""
        CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 FROM pg_catalog.pg_sleep(0.1)';
        CREATE INDEX customer_slow ON customer (slow(id));
        CREATE FUNCTION wait_for_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            FOR i IN 1..200 LOOP
                EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'mongoferry m/index "customer_slow" of public.customer');
                PERFORM pg_sleep(0.05);
                PERFORM pg_stat_clear_snapshot();
            END LOOP;
            INSERT INTO met SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'mongoferry m/index %';
            RETURN NULL; END $$;
        CREATE TABLE met (number int);
        CREATE TRIGGER wait_for_it AFTER INSERT ON "Order" EXECUTE FUNCTION wait_for_it()""")
    before = everything(shop)
    call = Call(connect(), "CALL mongoferry.migrate('m', workers => 2, defer_indexes => true, progress_interval => '50 ms')")
    assert call.wait() is None
    assert everything(shop) == before
    assert one(shop, "SELECT max(number) FROM met") == 1  # chunks of orders went over beside the rebuild of customers
    lines = call.messages()
    assert any("rebuilding index customer_slow" in line for line in lines)
    assert not any("100 %" in line for line in lines if "rebuilding" in line) and "100 %" in lines[-1]


def test_the_leader_tells_of_a_rebuild_at_the_end(shop, connect):
    shop.execute("""
        CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 FROM pg_catalog.pg_sleep(0.05)';
        CREATE INDEX order_slow ON "Order" (slow(id))""")
    call = Call(connect(), "CALL mongoferry.migrate('m', workers => 2, defer_indexes => true, progress_interval => '50 ms')")
    assert call.wait() is None
    assert any("99 %  rebuilding index order_slow" in line for line in call.messages())
    assert all(len(line) < 100 for line in call.messages())


def test_many_tables_at_once(shop):
    """Workers take off, carry over and rebuild beside each other, with keys in all directions."""
    tables = 6
    for i in range(tables):
        shop.execute(f"""CREATE TABLE t{i} (id int PRIMARY KEY, customer int, total numeric);
            CREATE INDEX ON t{i} (customer); CREATE INDEX ON t{i} (total); CREATE INDEX ON t{i} (lower(total::text))""")
    for i in range(tables):
        shop.execute(f"""ALTER TABLE t{i} ADD FOREIGN KEY (id) REFERENCES t{(i + 1) % tables}, ADD FOREIGN KEY (customer) REFERENCES customer,
            ADD FOREIGN KEY (id) REFERENCES t{(i + 2) % tables}""")
        add_task(shop, f"t{i}", "orders_source", f"t{i}", "SELECT _id AS id, customer, total FROM source", chunk_size=4)
    before = everything(shop)
    shop.execute("CALL mongoferry.migrate('m', workers => 4, defer_indexes => true, defer_foreign_keys => true)")
    assert everything(shop) == before and off(shop) == set()
    assert [one(shop, f"SELECT count(*) FROM t{i}") for i in range(tables)] == [20] * tables

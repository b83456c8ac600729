"""Targets behind another PostgreSQL: foreign tables of postgres_fdw, and partitioned tables with such partitions.

The other server commits a chunk's rows before the chunk's mark commits here. What a crash between the two leaves, and how
on_conflict "nothing" makes up for it, is shown with the crash at exactly that moment.
"""

import contextlib
import os
import signal
import time
import uuid
from types import SimpleNamespace

import psycopg
import pytest
from psycopg import errors

from harness import migrations
from harness.calls import Call, wait_until

COUNT = 600
DOCUMENTS = [{"_id": i, "customer": i % 40, "total": i / 4} for i in range(COUNT)]
COLUMNS = "id int, customer int, total numeric"
TRANSFORM = "SELECT _id AS id, customer, total FROM source"
PENDING = "SELECT count(*) FROM mongoferry.chunk WHERE state = 'pending'"
DONE = "SELECT count(*) FROM mongoferry.chunk WHERE state = 'done'"
WORKERS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mongoferry worker'"


def add_server(connection, where, name="far", options=""):
    connection.execute(f"""
        CREATE SERVER {name} FOREIGN DATA WRAPPER postgres_fdw
            OPTIONS (host '{where["host"]}', port '{where["port"]}', dbname '{where["dbname"]}'{options});
        CREATE USER MAPPING FOR CURRENT_USER SERVER {name} OPTIONS (user '{where["user"]}')""")


def add_source(connection, dump):
    connection.execute(f"""
        CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{dump}');
        CREATE FOREIGN TABLE orders_source (_id int, customer int, total numeric) SERVER dump OPTIONS (collection 'orders');
        SELECT mongoferry.create_migration('shop')""")


def add_task(connection, task="orders", target="orders", transform=TRANSFORM, **settings):
    """Add a task, and give the warnings of it."""
    heard = []

    def note(diagnostic):
        heard.append((diagnostic.severity, diagnostic.message_primary, diagnostic.message_detail, diagnostic.message_hint))

    connection.add_notice_handler(note)
    migrations.add_task(connection, task, "orders_source", target, transform, "shop", **{"chunk_size": 50, **settings})
    connection.remove_notice_handler(note)
    return heard


def migrate(connection, arguments="workers => 2"):
    connection.execute(f"CALL mongoferry.migrate('shop', {arguments})")


def refused(connection):
    return dict(connection.execute("SELECT source_id::text::int, sqlstate FROM mongoferry.errors").fetchall())


def rows(connection, table="orders"):
    return [(id, customer, float(total)) for id, customer, total in
            connection.execute(f"SELECT id, customer, total FROM {table} ORDER BY id")]


def expected(but=(), documents=DOCUMENTS):
    return [(d["_id"], d["customer"], d["total"]) for d in documents if d["_id"] not in but]


def assert_valid(connection):
    checks = connection.execute("SELECT task, \"check\", ok, detail FROM mongoferry.validate('shop', workers => 2)").fetchall()
    assert len(checks) > 1 and all(ok for _, _, ok, _ in checks), checks


@pytest.fixture
def far(postgres, connection, write_dump):
    """`here`: a connection with the source and a postgres_fdw server "far"; `there`: one to the database that this leads to."""
    name = f"far_{uuid.uuid4().hex[:12]}"
    postgres.psql(f"CREATE DATABASE {name}")
    there = psycopg.connect(autocommit=True, **postgres.conninfo(name))
    connection.execute("CREATE EXTENSION postgres_fdw")
    add_server(connection, postgres.conninfo(name))
    yield SimpleNamespace(here=connection, there=there, database=name,
                          add_source=lambda documents=DOCUMENTS: add_source(connection, write_dump({"orders": documents})))
    there.close()
    postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


# --- what goes in and what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 30])
@pytest.mark.parametrize("on_conflict", ["error", "nothing"])
def test_what_the_other_server_refuses(far, on_conflict, batch_size):
    """Its constraints and triggers decide as those here do, and the rest goes in exactly."""
    documents = [dict(d) for d in DOCUMENTS]
    documents[10]["customer"] = None
    documents[77]["total"] = 5000
    documents[300]["customer"] = 41
    documents[301]["customer"] = "forty"
    documents[500]["total"] = -1
    far.add_source(documents)
    far.here.execute(f"ALTER SERVER far OPTIONS (ADD batch_size '{batch_size}')")
    far.there.execute("""
        CREATE TABLE customer (id int PRIMARY KEY);
        INSERT INTO customer SELECT generate_series(0, 39);
        CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, total numeric CHECK (total < 1000));
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.total < 0 THEN RAISE EXCEPTION 'not below zero'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse();
        INSERT INTO orders VALUES (444, 1, 1)""")
    far.here.execute(f"CREATE FOREIGN TABLE orders ({COLUMNS}) SERVER far")
    add_task(far.here, on_conflict=on_conflict, conflict_key=["id"])
    migrate(far.here)
    bad = {10: "23502", 77: "23514", 300: "23503", 301: "2200G", 500: "P0001"}
    if on_conflict == "error":
        bad[444] = "23505"
    assert refused(far.here) == bad
    # postgres_fdw passes the other server's message on, and not the fields of its error
    assert far.here.execute("SELECT message, detail, constraint_name FROM mongoferry.errors WHERE sqlstate = '23514'").fetchone() == (
        'new row for relation "orders" violates check constraint "orders_total_check"', "Failing row contains (77, 37, 5000).", None)
    assert far.there.execute("DELETE FROM orders WHERE id = 444 RETURNING total").fetchone() == (1,)
    assert rows(far.there) == expected({*bad, 444}, documents)

    # after the mending there, the refused ones go in
    far.there.execute("ALTER TABLE orders ALTER customer DROP NOT NULL, DROP CONSTRAINT orders_total_check, "
                      "DROP CONSTRAINT orders_customer_fkey, DISABLE TRIGGER refuse")
    far.here.execute("CALL mongoferry.retry_errors('shop')")
    assert refused(far.here).keys() == {301}
    assert rows(far.there) == expected({301} | ({444} if on_conflict == "nothing" else set()), documents)


def test_foreign_partitions(far, postgres):
    """Two on different connections and one here."""
    far.add_source([d if d["_id"] not in (3, 599) else {**d, "customer": None} for d in DOCUMENTS])
    add_server(far.here, postgres.conninfo(far.database), "farther")
    far.there.execute("CREATE TABLE low (id int PRIMARY KEY, customer int NOT NULL, total numeric);"
                      "CREATE TABLE high (id int PRIMARY KEY, customer int NOT NULL, total numeric)")
    far.here.execute(f"""
        CREATE TABLE orders ({COLUMNS}) PARTITION BY RANGE (id);
        CREATE FOREIGN TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (200) SERVER far;
        CREATE TABLE middle PARTITION OF orders FOR VALUES FROM (200) TO (400);
        CREATE FOREIGN TABLE high PARTITION OF orders FOR VALUES FROM (400) TO (1000) SERVER farther""")
    add_task(far.here, on_conflict="nothing", conflict_key=["id"])
    assert far.here.execute("SELECT * FROM mongoferry.preflight('shop') WHERE severity = 'error'").fetchall() == []
    assert far.there.execute("SELECT count(*) FROM low").fetchone() == (0,)
    migrate(far.here)
    assert refused(far.here) == {3: "23502", 599: "23502"}
    assert rows(far.here) == expected({3, 599})
    assert rows(far.there, "high") == expected({599, *range(400)})
    assert rows(far.here, "ONLY middle") == expected({*range(200), *range(400, COUNT)})
    assert_valid(far.here)

    far.there.execute("UPDATE low SET total = 0 WHERE id = 7; DELETE FROM high WHERE id = 500; INSERT INTO high VALUES (900, 1, 1)")
    far.here.execute("SELECT * FROM mongoferry.validate('shop')")
    assert far.here.execute("SELECT kind, coalesce(source_id, key->'id')::text FROM mongoferry.mismatches ORDER BY 1"
                            ).fetchall() == [("different", "7"), ("extra", "900"), ("missing", "500")]


def test_constraints_that_wait_for_the_commit_there(far):
    """SET CONSTRAINTS does not reach the other server, so the document can't be told: the task fails, and nothing is lost."""
    far.add_source([d if d["_id"] != 222 else {**d, "customer": 99} for d in DOCUMENTS])
    far.there.execute("""
        CREATE TABLE customer (id int PRIMARY KEY);
        INSERT INTO customer SELECT generate_series(0, 39);
        CREATE TABLE orders (id int PRIMARY KEY, customer int CONSTRAINT bought_by REFERENCES customer
            DEFERRABLE INITIALLY DEFERRED, total numeric)""")
    far.here.execute(f"CREATE FOREIGN TABLE orders ({COLUMNS}) SERVER far")
    add_task(far.here, on_conflict="nothing", conflict_key=["id"])
    with pytest.raises(errors.RaiseException) as caught:
        migrate(far.here, "workers => 1")
    assert 'violates foreign key constraint "bought_by"' in caught.value.diag.message_primary
    assert rows(far.there) == expected(range(50 * far.here.execute(DONE).fetchone()[0], COUNT))
    far.there.execute("ALTER TABLE orders ALTER CONSTRAINT bought_by NOT DEFERRABLE")
    migrate(far.here)
    assert refused(far.here) == {222: "23503"}
    assert rows(far.there) == expected({222})


def test_defaults_and_sequences_are_those_of_the_foreign_table(far):
    """What the transform leaves out gets the default that the foreign table has; the sequence there stays where it was."""
    far.add_source()
    far.there.execute("CREATE TABLE orders (id serial PRIMARY KEY, customer int, total numeric, state text DEFAULT 'there')")
    far.here.execute("""
        CREATE SEQUENCE next_order;
        CREATE FOREIGN TABLE orders (id int DEFAULT nextval('next_order'), customer int, total numeric, state text DEFAULT 'here')
            SERVER far""")
    add_task(far.here, on_conflict="nothing", conflict_key=["id"])
    migrate(far.here)
    assert rows(far.there) == expected()
    assert far.there.execute("SELECT DISTINCT state FROM orders").fetchall() == [("here",)]
    assert far.here.execute("INSERT INTO orders (customer) VALUES (1) RETURNING id").fetchone() == (COUNT,)
    with pytest.raises(errors.UniqueViolation):
        for _ in range(2):
            far.there.execute("INSERT INTO orders (customer) VALUES (1)")
    far.there.execute("SELECT setval(pg_get_serial_sequence('orders', 'id'), max(id)) FROM orders")
    assert far.there.execute("INSERT INTO orders (customer) VALUES (1) RETURNING id").fetchone() == (COUNT + 1,)


def test_an_ordinary_role(far, connect, ordinary_role, superuser):
    """It needs the source's server, and a user mapping for the target's."""
    far.add_source()
    far.there.execute("CREATE TABLE orders (id int PRIMARY KEY, customer int, total numeric)")
    far.here.execute(f"""
        DROP FOREIGN TABLE orders_source; SELECT mongoferry.drop_migration('shop');
        GRANT USAGE ON FOREIGN SERVER dump, far TO {ordinary_role};
        CREATE USER MAPPING FOR {ordinary_role} SERVER far OPTIONS (user '{superuser}', password_required 'false')""")
    own = connect(ordinary_role)
    own.execute(f"""
        CREATE FOREIGN TABLE orders_source (_id int, customer int, total numeric) SERVER dump OPTIONS (collection 'orders');
        CREATE FOREIGN TABLE orders ({COLUMNS}) SERVER far;
        SELECT mongoferry.create_migration('shop')""")
    add_task(own, on_conflict="nothing")
    migrate(own)
    assert rows(far.there) == expected()
    assert_valid(own)


def test_a_warning_where_a_crash_could_write_twice(far):
    far.add_source()
    far.there.execute("CREATE TABLE orders (id int PRIMARY KEY, customer int, total numeric)")
    far.here.execute(f"""
        CREATE FOREIGN TABLE orders ({COLUMNS}) SERVER far;
        CREATE TABLE plain ({COLUMNS});
        CREATE TABLE parted ({COLUMNS}) PARTITION BY RANGE (id);
        CREATE FOREIGN TABLE part PARTITION OF parted DEFAULT SERVER far OPTIONS (table_name 'orders')""")
    for target in ("orders", "parted"):
        warning, = add_task(far.here, f"into {target}", target)
        assert warning == (
            "WARNING", f'task "into {target}" of migration "shop" may write rows twice after a crash',
            f"public.{target} is a foreign table or has foreign partitions: a chunk is committed there before it is marked as done here.",
            'Let the table there have a unique key, and set on_conflict "nothing".')
        assert add_task(far.here, f"safely into {target}", target, on_conflict="nothing") == []
    assert add_task(far.here, "here", "plain") == []
    heard = []
    far.here.add_notice_handler(lambda diagnostic: heard.append(diagnostic.message_primary))
    far.here.execute("SELECT mongoferry.alter_task('shop', 'into orders', chunk_size => 7)")
    assert heard == []
    far.here.execute("SELECT mongoferry.alter_task('shop', 'safely into orders', on_conflict => 'error')")
    assert heard == ['task "safely into orders" of migration "shop" may write rows twice after a crash']


# --- crashes ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_servers(start_postgres, write_dump):
    """`here`, and `there` with a table "orders" behind its foreign table. Both may be killed.

    Sessions that set synchronous_commit to on never see their COMMIT return here: it waits for a standby that there is not.
    """
    here = start_postgres("synchronous_commit = local\nsynchronous_standby_names = 'nobody'\n")
    there = start_postgres("synchronous_commit = on\n")
    with there.connect() as connection:
        connection.execute("CREATE TABLE orders (id int, customer int NOT NULL, total numeric)")
    with here.connect() as connection:
        connection.execute("CREATE EXTENSION mongoferry; CREATE EXTENSION postgres_fdw")
        add_server(connection, there.conninfo())
        add_source(connection, write_dump({"orders": [d if d["_id"] not in (5, 321) else {**d, "customer": None} for d in DOCUMENTS]}))
        connection.execute(f"CREATE FOREIGN TABLE orders ({COLUMNS}) SERVER far")
    return SimpleNamespace(here=here, there=there)


BAD = {5: "23502", 321: "23502"}
# A transaction that notifies waits, when it commits, for others that are at it: after postgres_fdw has committed there,
# and before anything is committed here.
SLOW_AND_NOTIFYING = TRANSFORM + " CROSS JOIN (SELECT pg_notify('chunk', '') FROM pg_sleep(0.4)) AS pause OFFSET 0"


def crash_between_the_commits(servers):
    """Run the migration into a crash of the server here when two chunks have committed there and not here.

    Gives how many rows there are of chunks that are not done.
    """
    with contextlib.closing(servers.here.connect()) as connection, contextlib.closing(servers.there.connect()) as there:
        holder = servers.here.connect()
        holder.execute("SET synchronous_commit = on")
        call = Call(servers.here.connect(), "CALL mongoferry.migrate('shop', workers => 2)")
        wait_until(lambda: connection.execute(DONE).fetchone()[0] >= 2)
        holding = Call(holder, "BEGIN; CREATE TABLE held (); NOTIFY held; COMMIT")
        wait_until(lambda: connection.execute(
            "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'mongoferry worker' "
            "AND wait_event_type = 'Lock' AND wait_event = 'object'").fetchone()[0])
        done, rows_done = connection.execute(
            "SELECT count(*), sum(rows_written) FROM mongoferry.chunk WHERE state = 'done'").fetchone()
        rows_there = there.execute("SELECT count(*) FROM orders").fetchone()[0]
        seen = servers.here.log_size()
        os.kill(connection.execute(WORKERS).fetchone()[0], signal.SIGKILL)
    assert call.wait(60) is not None and holding.wait(60) is not None
    call.connection.close()
    holder.close()
    wait_until(lambda: "ready to accept connections" in servers.here.log(seen), 60)
    with servers.here.connect_when_ready() as connection:
        assert connection.execute(DONE).fetchone()[0] == done
        assert connection.execute(PENDING).fetchone()[0] > 2
    assert 60 < rows_there - rows_done < 140, "two chunks"
    return rows_there - rows_done


@pytest.mark.parametrize("on_conflict", ["nothing", "error"])
def test_a_crash_between_the_commits(two_servers, on_conflict):
    with two_servers.there.connect() as there:
        there.execute("ALTER TABLE orders ADD PRIMARY KEY (id)")
    with two_servers.here.connect() as connection:
        add_task(connection, transform=SLOW_AND_NOTIFYING, on_conflict=on_conflict, conflict_key=["id"])
    rows_twice = crash_between_the_commits(two_servers)

    with two_servers.here.connect() as connection, two_servers.there.connect() as there:
        migrate(connection)
        assert rows(there) == expected(BAD)
        found = refused(connection)
        if on_conflict == "error":
            # They are there, and it looks as if they had been there before; what mends it leaves the true refusals.
            assert list(found.values()).count("23505") == rows_twice
            connection.execute("SELECT mongoferry.alter_task('shop', 'orders', on_conflict => 'nothing')")
            connection.execute("CALL mongoferry.retry_errors('shop')")
            assert rows(there) == expected(BAD)
            found = refused(connection)
        assert found == BAD
        assert_valid(connection)


def test_a_crash_between_the_commits_without_a_key(two_servers):
    """What the warning of add_task() is about. validate() finds it."""
    with two_servers.here.connect() as connection:
        add_task(connection, transform=SLOW_AND_NOTIFYING, on_conflict="error", conflict_key=["id"])
    rows_twice = crash_between_the_commits(two_servers)
    with two_servers.here.connect() as connection, two_servers.there.connect() as there:
        migrate(connection)
        assert there.execute("SELECT count(*) - count(DISTINCT id) FROM orders").fetchone() == (rows_twice,)
        for keyed in (True, False):
            if not keyed:
                connection.execute("SELECT mongoferry.alter_task('shop', 'orders', reset => '{conflict_key}')")
            failed = connection.execute(
                "SELECT \"check\", target_value FROM mongoferry.validate('shop') WHERE NOT ok").fetchall()
            assert failed == [("extra rows", str(rows_twice))]
            assert connection.execute("SELECT DISTINCT kind, expected, actual FROM mongoferry.mismatches").fetchall() == [
                ("extra", "1 times", "2 times")]
            failed = connection.execute("SELECT \"check\", target_value FROM mongoferry.recheck('shop') WHERE NOT ok").fetchall()
            assert failed == [("extra", str(rows_twice))]
        # the way out: once more from an empty table
        there.execute("TRUNCATE orders; ALTER TABLE orders ADD PRIMARY KEY (id)")
        connection.execute("SELECT mongoferry.alter_task('shop', 'orders', on_conflict => 'nothing');"
                           "SELECT mongoferry.reset_task('shop', 'orders')")
        migrate(connection)
        assert rows(there) == expected(BAD)
        assert_valid(connection)


def test_a_crash_between_the_commits_of_two_other_servers(two_servers):
    """One of them has committed its share of a chunk, the other has not, and will not."""
    servers = two_servers
    with servers.there.connect() as there:
        # At its commit a transaction passes by if it is the first of the two, and waits for the test if it is the second.
        there.execute("""
            CREATE TABLE even (id int PRIMARY KEY, customer int NOT NULL, total numeric, side int DEFAULT 0);
            CREATE TABLE odd (id int PRIMARY KEY, customer int NOT NULL, total numeric, side int DEFAULT 1);
            CREATE FUNCTION stop_the_second() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NOT pg_try_advisory_lock(1) THEN
                    PERFORM pg_advisory_xact_lock(2);
                END IF;
                RETURN NULL;
            END $$;
            CREATE CONSTRAINT TRIGGER stop_the_second AFTER INSERT ON even DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.id = 200) EXECUTE FUNCTION stop_the_second();
            CREATE CONSTRAINT TRIGGER stop_the_second AFTER INSERT ON odd DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.id = 201) EXECUTE FUNCTION stop_the_second()""")
    with servers.here.connect() as connection:
        add_server(connection, servers.there.conninfo(), "farther")
        connection.execute(f"""
            DROP FOREIGN TABLE orders;
            CREATE TABLE orders ({COLUMNS}, side int) PARTITION BY LIST (side);
            CREATE FOREIGN TABLE even PARTITION OF orders FOR VALUES IN (0) SERVER far;
            CREATE FOREIGN TABLE odd PARTITION OF orders FOR VALUES IN (1) SERVER farther""")
        add_task(connection, transform="SELECT _id AS id, customer, total, _id % 2 AS side FROM source",
                 on_conflict="nothing", conflict_key=["id"])

    with contextlib.closing(servers.here.connect()) as connection, servers.there.connect() as there:
        there.execute("SELECT pg_advisory_lock(2)")
        call = Call(servers.here.connect(), "CALL mongoferry.migrate('shop', workers => 1)")
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'"
        second, = wait_until(lambda: there.execute(waiting).fetchone())
        shares = [there.execute(f"SELECT count(*) FROM {table} WHERE id BETWEEN 200 AND 201").fetchone()[0]
                  for table in ("even", "odd")]
        assert sorted(shares) == [0, 1], "one has committed"
        seen = servers.here.log_size()
        os.kill(connection.execute(WORKERS).fetchone()[0], signal.SIGKILL)
        assert call.wait(60) is not None
        call.connection.close()
        there.execute("SELECT pg_terminate_backend(%s)", [second])
        wait_until(lambda: not there.execute(waiting).fetchall())
        there.execute("DROP TRIGGER stop_the_second ON even; DROP TRIGGER stop_the_second ON odd")
    wait_until(lambda: "ready to accept connections" in servers.here.log(seen), 60)

    with servers.here.connect_when_ready() as connection:
        count_of_halves = "SELECT count(*) FILTER (WHERE side = 0) - count(*) FILTER (WHERE side = 1) FROM orders"
        assert abs(connection.execute(count_of_halves).fetchone()[0]) > 20
        migrate(connection)
        assert rows(connection) == expected(BAD)
        assert refused(connection) == BAD
        assert_valid(connection)


def test_the_other_server_is_killed(two_servers):
    """Again and again while it is written to: the chunks are tried again, and in the end each row is there once."""
    servers = two_servers
    with servers.there.connect() as there:
        there.execute("ALTER TABLE orders ADD PRIMARY KEY (id)")
    with servers.here.connect() as connection:
        add_task(connection, transform=TRANSFORM + " CROSS JOIN (SELECT pg_sleep(0.2)) AS pause OFFSET 0", chunk_size=20,
                 on_conflict="nothing", conflict_key=["id"])
        call = Call(servers.here.connect(), "CALL mongoferry.migrate('shop', workers => 2)")
        for kill in range(3):
            done = connection.execute(DONE).fetchone()[0]
            wait_until(lambda: connection.execute(DONE).fetchone()[0] >= done + 2)
            time.sleep(0.07 * kill)
            os.kill(servers.there.pid, signal.SIGKILL)
            servers.there.stop()
            servers.there.start()
        assert call.wait(60) is None
        call.connection.close()
        assert any("tried again" in message for message in call.messages())
        with servers.there.connect() as there:
            assert rows(there) == expected(BAD)
        assert refused(connection) == BAD
        assert_valid(connection)

"""A scan can be cancelled at any moment: by statement_timeout, pg_cancel_backend() and pg_terminate_backend(), while
the server is silent before, during and after the connection is made, with and without TLS."""

import contextlib
import socket
import threading
import time

import psycopg
import pytest
from psycopg import errors

from harness.fake_mongodb import FakeMongo

# What a user may notice. The wait itself ends within milliseconds; what goes beyond them is the attempt, of half a second
# at most, to give the cursor up on a server that has gone silent. The rest is for a busy machine.
BOUND = 1.0
PATIENCE = 0.5


@pytest.fixture
def make_table(psql):
    """make_table(uri, options="", database="shop") → a foreign table `orders` of a new server `remote`."""

    def make(uri, options="", database="shop"):
        psql(f"""CREATE SERVER remote FOREIGN DATA WRAPPER mongoferry
                     OPTIONS (uri '{uri}', database '{database}'{options});
                 CREATE FOREIGN TABLE orders (_id int, x text) SERVER remote OPTIONS (fetch_size '100', pushdown 'off')""")

    return make


@contextlib.contextmanager
def silent_listener():
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def full_backlog():
    """A port where connect() itself hangs."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        time.sleep(0.1)
        yield listener.getsockname()[1]


def run_and_stop(connect, how, query="SELECT count(x) FROM orders", patience=PATIENCE):
    """Runs query and stops it after a while; returns how long it took to end after that, in seconds."""
    connection = connect()
    stopped_at = []

    def stop():
        with connect() as other:
            time.sleep(patience)
            stopped_at.append(time.monotonic())
            other.execute(f"SELECT {how}(%s)", (connection.info.backend_pid,))

    if how == "statement_timeout":
        connection.execute(f"SET statement_timeout = {int(patience * 1000)}")
        stopped_at.append(time.monotonic() + patience)
        stopper = None
    else:
        stopper = threading.Thread(target=stop)
        stopper.start()
    expected = errors.AdminShutdown if how == "pg_terminate_backend" else errors.QueryCanceled
    with pytest.raises(expected):
        connection.execute(query)
    took = time.monotonic() - stopped_at[0]
    if stopper:
        stopper.join()
    if how != "pg_terminate_backend":
        connection.execute("RESET statement_timeout")
        assert connection.execute("SELECT 1").fetchone() == (1,)
    return took


WAYS = ["statement_timeout", "pg_cancel_backend", "pg_terminate_backend"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("silence", [full_backlog, silent_listener], ids=["connecting", "greeting"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_cancel_before_there_is_a_connection(make_table, connect, silence, how, tls):
    with silence() as port:
        make_table(f"mongodb://127.0.0.1:{port}/?tls={str(tls).lower()}")
        assert run_and_stop(connect, how) < BOUND


@pytest.mark.parametrize("how", WAYS)
def test_cancel_while_waiting_for_a_better_server(make_table, connect, how):
    make_table("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=60000")
    assert run_and_stop(connect, how) < BOUND


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("step", ["saslstart", "find", "getmore"])
def test_cancel_while_a_command_is_unanswered(make_table, psql, connect, how, step):
    batch = {"cursor": {"id": 7, "ns": "shop.orders", "firstBatch": [{"_id": 1}]}, "ok": 1}
    with FakeMongo({"find": batch, "getmore": batch, step: None}) as server:
        make_table(server.uri)
        user = "username 'u', password 'p'" if step == "saslstart" else ""
        psql(f"CREATE USER MAPPING FOR PUBLIC SERVER remote" + (f" OPTIONS ({user})" if user else ""))
        assert run_and_stop(connect, how) < BOUND
        assert step in [next(iter(command)).lower() for command in server.commands]


@pytest.mark.parametrize("how", WAYS)
def test_cancel_in_the_middle_of_a_reply(make_table, mongo, connect, proxy, how):
    mongo.orders.insert_many({"_id": i, "x": "y" * 1000} for i in range(1000))
    between = proxy()
    make_table(between.uri, database=mongo.name)
    between.silence_after(300_000)
    assert run_and_stop(connect, how) < BOUND


@pytest.mark.parametrize("how", WAYS)
def test_cancel_over_tls(make_table, mongo_with_tls, certificates, connect, proxy, how):
    import pymongo

    with pymongo.MongoClient(mongo_with_tls.uri, tlsCAFile=str(certificates.ca_file)) as client:
        client.shop.orders.insert_many({"_id": i, "x": "y" * 1000} for i in range(1000))
    between = proxy(mongo_with_tls, uri_options="tls=true")
    make_table(between.uri, f", tls_ca_file '{certificates.ca_file}'")
    between.silence_after(300_000)
    assert run_and_stop(connect, how) < BOUND


def test_the_next_statement_works(make_table, mongo, connect, proxy):
    mongo.orders.insert_many({"_id": i, "x": "y" * 1000} for i in range(1000))
    between = proxy()
    make_table(between.uri, database=mongo.name)
    connection = connect()
    between.silence_after(300_000)
    connection.execute("SET statement_timeout = '500ms'")
    with pytest.raises(errors.QueryCanceled):
        connection.execute("SELECT count(x) FROM orders")
    connection.execute("RESET statement_timeout")
    between.speak()
    start = time.monotonic()
    assert connection.execute("SELECT count(x) FROM orders").fetchone() == (1000,)
    assert time.monotonic() - start < 4  # the driver's own pause after a failure is five seconds


def test_cancel_leaves_no_cursor_behind(secantus, mongo_client, mongo, make_table, connect):
    mongo.orders.insert_many({"_id": i} for i in range(1000))
    make_table(secantus.uri, ", application_name 'to_be_cancelled'", database=mongo.name)

    def open_cursors():
        return mongo_client.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"]

    before = open_cursors()
    fail_point = {"failCommands": ["getMore"], "blockConnection": True, "blockTimeMS": 2000, "appName": "to_be_cancelled"}
    mongo_client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": fail_point})
    try:
        for how in WAYS:
            assert run_and_stop(connect, how) < BOUND
    finally:
        mongo_client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    time.sleep(2)  # until the blocked ones are through
    assert open_cursors() <= before


def test_a_cancelled_find_ends_its_session(make_table, connect):
    with FakeMongo({"find": None}) as server:
        make_table(server.uri)
        run_and_stop(connect, "statement_timeout")
        find = next(command for command in server.commands if "find" in command)
        kill = next(command for command in server.commands if "killSessions" in command)
        assert [entry["id"] for entry in kill["killSessions"]] == [find["lsid"]["id"]]


def test_a_waiting_scan_does_not_block_drop_database(make_table, connect, postgres, connection):
    with silent_listener() as port:
        make_table(f"mongodb://127.0.0.1:{port}/?connectTimeoutMS=20000")
        waiting = connect()
        failed = []

        def scan():
            try:
                waiting.execute("SELECT count(x) FROM orders")
            except psycopg.Error as error:
                failed.append(error)

        scanner = threading.Thread(target=scan)
        scanner.start()
        time.sleep(PATIENCE)
        name = f"{connection.info.dbname}_other"
        connection.execute(f"CREATE DATABASE {name}")
        start = time.monotonic()
        connection.execute(f"DROP DATABASE {name}")
        assert time.monotonic() - start < 5  # it takes a checkpoint; a blocked one takes 20 s
        assert scanner.is_alive()
        waiting.cancel()
        scanner.join(5)
        assert isinstance(failed[0], errors.QueryCanceled)


def test_a_client_that_goes_away(make_table, connect, connection):
    """With client_connection_check_interval PostgreSQL ends the backend, from within the driver's wait."""
    import os

    with FakeMongo({"find": None}) as server:
        make_table(server.uri)
        session = connect()
        session.execute("SET client_connection_check_interval = '200ms'")
        pid = session.info.backend_pid
        session.pgconn.send_query(b"SELECT count(x) FROM orders")
        time.sleep(PATIENCE)
        os.dup2(os.open(os.devnull, os.O_RDONLY), session.pgconn.socket)
        deadline = time.monotonic() + 5
        while connection.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_cancel_between_rows(make_table, mongo, mongo_server, connect):
    """While the server is quick and it is the query that takes its time."""
    mongo.orders.insert_many({"_id": i} for i in range(1000))
    make_table(mongo_server.uri, database=mongo.name)
    assert run_and_stop(connect, "pg_cancel_backend", "SELECT pg_sleep(0.05) FROM orders") < BOUND

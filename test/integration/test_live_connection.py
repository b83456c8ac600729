"""Connections to live servers: what they look like when lost, how they are cached, which options reach the server."""

import socket
import threading
import time

import pytest
from psycopg import errors

from harness.fake_mongodb import FakeMongo

CACHE = "SELECT server_name, valid, in_use FROM mongoferry.get_connections() ORDER BY 1, 2"


@pytest.fixture
def orders(mongo):
    """1000 documents, of a kilobyte each."""
    mongo.orders.insert_many({"_id": i, "x": "y" * 1000} for i in range(1000))
    return mongo.orders


@pytest.fixture
def make_table(psql):
    """make_table(uri, database, options="", name="remote", table="orders")"""

    def make(uri, database="shop", options="", name="remote", table="orders", fetch_size=100):
        psql(f"""CREATE SERVER {name} FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{uri}', database '{database}'{options});
                 CREATE FOREIGN TABLE {table} (_id int, x text) SERVER {name}
                     OPTIONS (collection 'orders', fetch_size '{fetch_size}', pushdown 'off')""")

    return make


def count(connection, table="orders"):
    return connection.execute(f"SELECT count(x) FROM {table}").fetchone()[0]


def everything(error):
    return " ".join(filter(None, (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)))


# --- lost connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["cut_after", "close_after"])
@pytest.mark.parametrize("bytes_", [150_000, 250_001, 400_000])
def test_a_connection_lost_in_a_scan_is_an_error(connection, proxy, mongo, orders, make_table, end, bytes_):
    between = proxy()
    make_table(between.uri, mongo.name)
    getattr(between, end)(bytes_)
    with pytest.raises(errors.ConnectionFailure) as caught:
        count(connection)
    assert caught.value.sqlstate == "08006"
    assert '"remote"' in caught.value.diag.message_primary
    start = time.monotonic()
    assert count(connection) == 1000  # at once, in the same session
    assert time.monotonic() - start < 4


def test_a_server_that_ends_in_a_scan(connection, start_mongo, make_table):
    import pymongo

    server = start_mongo()
    with pymongo.MongoClient(server.uri) as client:
        client.shop.orders.insert_many({"_id": i, "x": "y" * 1000} for i in range(1000))
    make_table(server.uri)
    connection.execute("BEGIN; DECLARE c CURSOR FOR SELECT x FROM orders")
    assert len(connection.execute("FETCH 50 FROM c").fetchall()) == 50
    server.stop()
    with pytest.raises(errors.ConnectionFailure):
        connection.execute("FETCH 1000 FROM c")
    connection.execute("ROLLBACK")
    with pytest.raises(errors.SqlclientUnableToEstablishSqlconnection):
        count(connection)
    server.start(port=server.port)
    assert count(connection) == 0


def test_two_scans_on_a_connection_that_is_lost(connection, proxy, mongo, orders, make_table):
    """Both are over; the session is not, and a scan after them has a connection of its own."""
    between = proxy()
    make_table(between.uri, mongo.name)
    connection.execute("BEGIN; DECLARE c CURSOR FOR SELECT x FROM orders; DECLARE d CURSOR FOR SELECT x FROM orders")
    connection.execute("FETCH 50 FROM c")
    connection.execute("FETCH 50 FROM d")
    assert between.accepted == 1
    connection.execute("SAVEPOINT s")
    between.cut()
    with pytest.raises(errors.ConnectionFailure):
        connection.execute("FETCH ALL FROM c")
    connection.execute("ROLLBACK TO s")
    assert count(connection) == 1000
    with pytest.raises(errors.ConnectionDoesNotExist):
        connection.execute("FETCH ALL FROM d")
    connection.execute("ROLLBACK")
    assert count(connection) == 1000
    assert connection.execute(CACHE).fetchall() == [("remote", True, False)]


def test_a_connection_lost_between_statements_goes_unnoticed(connection, proxy, mongo, orders, make_table):
    between = proxy()
    make_table(between.uri, mongo.name)
    assert count(connection) == 1000
    between.cut()
    assert count(connection) == 1000


# Class 08 is what a migration tries again; 08006 closes the connection, 08000 does not.
SERVER_ERRORS = [
    *((code, "08006") for code in (6, 7, 89, 91, 189, 9001, 10107, 11600, 11602, 13435, 13436)),  # the server has to go
    *((code, "08000") for code in (43, 237, 134, 246, 262, 11601)),
    (13, "42501"), (50, "57014"), (1, "HV000"), (2, "HV000"), (175, "HV000"), (4711, "HV000"),
]


@pytest.mark.parametrize("command", ["find", "getMore"])
@pytest.mark.parametrize("code, sqlstate", SERVER_ERRORS)
def test_an_error_of_the_server_in_a_scan(connection, secantus, mongo, mongo_client, orders, make_table, command, code,
                                          sqlstate):
    make_table(secantus.uri, mongo.name, ", application_name 'to_fail'")
    fail = {"failCommands": [command], "errorCode": code, "appName": "to_fail"}
    # the planner has used the connection already, so a scan that loses it before the first document tries another one
    times = 2 if command == "find" and sqlstate == "08006" else 1
    mongo_client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": times}, "data": fail})
    with pytest.raises(errors.Error) as caught:
        count(connection)
    assert caught.value.sqlstate == sqlstate
    assert '"remote"' in caught.value.diag.message_primary
    assert f"{mongo.name}.orders" in everything(caught.value)
    assert f"MongoDB error {code}" in everything(caught.value)
    assert "failCommand" in everything(caught.value)  # the server's own words
    if code == 43:
        assert "fetch_size" in caught.value.diag.message_hint
    assert count(connection) == 1000


def test_unknown_host(connection, make_table):
    make_table("mongodb://no-such-host.invalid/")
    with pytest.raises(errors.SqlclientUnableToEstablishSqlconnection, match='"remote"') as caught:
        count(connection)
    assert "no-such-host.invalid" in everything(caught.value)


def test_nobody_there(connection, make_table):
    make_table("mongodb://127.0.0.1:1/")
    start = time.monotonic()
    with pytest.raises(errors.SqlclientUnableToEstablishSqlconnection, match='"remote"') as caught:
        count(connection)
    assert "127.0.0.1:1" in everything(caught.value)
    assert time.monotonic() - start < 5


def test_connect_timeout(connection, make_table):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        make_table(f"mongodb://127.0.0.1:{listener.getsockname()[1]}/", options=", connect_timeout '700ms'")
        start = time.monotonic()
        with pytest.raises(errors.SqlclientUnableToEstablishSqlconnection):
            count(connection)
        assert 0.6 < time.monotonic() - start < 3


def test_connect_timeout_covers_authentication(connection, make_table):
    with FakeMongo({"saslstart": None}) as server:
        make_table(server.uri, options=", connect_timeout '700ms'")
        connection.execute("CREATE USER MAPPING FOR PUBLIC SERVER remote OPTIONS (username 'u', password 'p')")
        start = time.monotonic()
        with pytest.raises(errors.SqlclientUnableToEstablishSqlconnection):
            count(connection)
        assert 0.6 < time.monotonic() - start < 4


def test_socket_timeout(connection, make_table):
    with FakeMongo({"find": None}) as server:
        make_table(server.uri, options=", socket_timeout '700ms'")
        start = time.monotonic()
        with pytest.raises(errors.ConnectionFailure):
            count(connection)
        assert 0.6 < time.monotonic() - start < 4


def test_server_selection_timeout_waits_for_a_server(connection, proxy, mongo, orders, make_table):
    between = proxy()
    between.refuse()
    make_table(between.uri, mongo.name, ", server_selection_timeout '10s'")
    threading.Timer(1, between.accept).start()
    assert count(connection) == 1000


def test_several_addresses_of_a_host(connection, mongo, orders, mongo_server, make_table):
    """localhost may be ::1 first, where nobody listens."""
    if not hasattr(mongo_server, "port"):
        pytest.skip("needs a MongoDB server whose address is known")
    make_table(f"mongodb://localhost:{mongo_server.port}/", mongo.name)
    assert count(connection) == 1000


def test_dead_members_cost_one_connect_timeout_at_most(connection, mongo, orders, secantus, make_table):
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as another:
        dead = ",".join(f"127.0.0.1:{one.getsockname()[1]}" for one in (silent, another))
        make_table(f"mongodb://{dead},127.0.0.1:1,{secantus.host}:{secantus.port}/?replicaSet=secantus", mongo.name,
                   ", connect_timeout '2s'")
        start = time.monotonic()
        assert count(connection) == 1000
        assert time.monotonic() - start < 3.9


# --- the cache --------------------------------------------------------------------------------------------------------


def test_a_connection_is_reused(connection, proxy, mongo, orders, make_table):
    between = proxy()
    make_table(between.uri, mongo.name)
    for _ in range(3):
        assert count(connection) == 1000
    assert between.accepted == 1
    assert connection.execute("SELECT count(*) FROM orders a JOIN orders b USING (_id)").fetchone() == (1000,)
    assert between.accepted == 1
    assert connection.execute(CACHE).fetchall() == [("remote", True, False)]


def test_disconnect(connection, proxy, mongo, orders, make_table):
    between = proxy()
    make_table(between.uri, mongo.name)
    make_table(between.uri, mongo.name, name="other", table="others")
    assert connection.execute("SELECT mongoferry.disconnect('remote')").fetchone() == (False,)
    count(connection), count(connection, "others")
    assert connection.execute(CACHE).fetchall() == [("other", True, False), ("remote", True, False)]
    assert connection.execute("SELECT mongoferry.disconnect('remote')").fetchone() == (True,)
    assert connection.execute(CACHE).fetchall() == [("other", True, False)]
    between.wait_until(lambda: between.connections == 1)
    assert connection.execute("SELECT mongoferry.disconnect_all()").fetchone() == (True,)
    assert connection.execute("SELECT mongoferry.disconnect_all()").fetchone() == (False,)
    between.wait_until(lambda: between.connections == 0)
    with pytest.raises(errors.UndefinedObject):
        connection.execute("SELECT mongoferry.disconnect('nothing')")


def test_an_open_scan_keeps_its_connection(connection, proxy, mongo, orders, make_table):
    between = proxy()
    make_table(between.uri, mongo.name)
    connection.execute("BEGIN; DECLARE c CURSOR FOR SELECT x FROM orders")
    connection.execute("FETCH 50 FROM c")
    assert connection.execute(CACHE).fetchall() == [("remote", True, True)]
    assert connection.execute("SELECT mongoferry.disconnect('remote')").fetchone() == (False,)
    assert len(connection.execute("FETCH ALL FROM c").fetchall()) == 950
    connection.execute("COMMIT")
    assert connection.execute("SELECT mongoferry.disconnect('remote')").fetchone() == (True,)


def test_a_scan_that_has_everything_leaves_the_connection(connection, proxy, mongo, orders, make_table):
    between = proxy()
    make_table(between.uri, mongo.name, fetch_size=5000)
    connection.execute("BEGIN; DECLARE c CURSOR FOR SELECT x FROM orders")
    connection.execute("FETCH 50 FROM c")
    assert connection.execute(CACHE).fetchall() == [("remote", True, False)]
    assert connection.execute("SELECT mongoferry.disconnect('remote')").fetchone() == (True,)
    assert len(connection.execute("FETCH ALL FROM c").fetchall()) == 950
    connection.execute("COMMIT")


def test_options_change_under_an_open_scan(connection, proxy, mongo, orders, make_table):
    before, after = proxy(), proxy()
    make_table(before.uri, mongo.name)
    connection.execute("BEGIN; DECLARE c CURSOR FOR SELECT x FROM orders")
    connection.execute("FETCH 50 FROM c")
    connection.execute(f"ALTER SERVER remote OPTIONS (SET uri '{after.uri}')")
    assert count(connection) == 1000
    assert after.accepted == 1  # new statements use the new options …
    assert len(connection.execute("FETCH ALL FROM c").fetchall()) == 950  # … and the open scan goes on
    connection.execute("COMMIT")
    before.wait_until(lambda: before.connections == 0)
    assert count(connection) == 1000
    assert before.accepted == 1


def test_a_change_by_another_session(connection, connect, proxy, mongo, orders, make_table):
    before, after = proxy(), proxy()
    make_table(before.uri, mongo.name)
    assert count(connection) == 1000
    connect().execute(f"ALTER SERVER remote OPTIONS (SET uri '{after.uri}')")
    assert count(connection) == 1000
    assert (before.accepted, after.accepted) == (1, 1)
    before.wait_until(lambda: before.connections == 0)


def test_a_changed_user_mapping(connection, proxy, mongo, orders, make_table):
    between = proxy()
    make_table(between.uri, mongo.name)
    assert count(connection) == 1000
    connection.execute("CREATE USER MAPPING FOR CURRENT_USER SERVER remote")
    assert count(connection) == 1000
    assert between.accepted == 2
    connection.execute("ALTER USER MAPPING FOR CURRENT_USER SERVER remote OPTIONS (auth_source 'admin')")
    assert count(connection) == 1000
    assert between.accepted == 3


def test_keep_connections_off(connection, proxy, mongo, orders, make_table):
    between = proxy()
    make_table(between.uri, mongo.name, ", keep_connections 'off'")
    assert count(connection) == 1000
    between.wait_until(lambda: between.connections == 0)
    with connection.transaction():
        count(connection), count(connection)
        assert connection.execute(CACHE).fetchall() == [("remote", True, False)]
    assert between.accepted == 2
    assert connection.execute(CACHE).fetchall() == []
    with pytest.raises(errors.DivisionByZero):
        connection.execute("SELECT 1 / (_id - 500) FROM orders")
    assert connection.execute(CACHE).fetchall() == []
    between.wait_until(lambda: between.connections == 0)


def test_a_connection_goes_with_its_session(connect, proxy, mongo, orders, make_table):
    between = proxy()
    make_table(between.uri, mongo.name)
    session = connect()
    count(session)
    session.close()
    between.wait_until(lambda: between.connections == 0)


def test_an_error_leaves_no_cursor_and_keeps_the_connection(connection, secantus, mongo, mongo_client, orders, make_table, proxy):
    between = proxy(secantus)
    make_table(between.uri, mongo.name)

    def open_cursors():
        return mongo_client.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"]

    before = open_cursors()
    for query in ("SELECT 1 / (_id - 50) FROM orders", "SELECT x FROM orders LIMIT 1",
                  "SELECT EXISTS (SELECT FROM orders), 1", "SELECT _id FROM orders WHERE x = (SELECT x FROM orders LIMIT 1) LIMIT 5"):
        try:
            connection.execute(query)
        except errors.DivisionByZero:
            pass
    with pytest.raises(errors.DivisionByZero):
        with connection.transaction():
            connection.execute("DECLARE c CURSOR FOR SELECT x FROM orders")
            connection.execute("FETCH 1 FROM c")
            connection.execute("SAVEPOINT s")
            connection.execute("DECLARE d CURSOR FOR SELECT x FROM orders")
            connection.execute("FETCH 1 FROM d")
            connection.execute("ROLLBACK TO s")
            assert len(connection.execute("FETCH 10 FROM c").fetchall()) == 10
            connection.execute("SELECT 1/0")
    assert open_cursors() <= before
    assert between.accepted == 1


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option, seen", [("", "mongoferry"), (", application_name 'my Änwendung'", "my Änwendung"),
                                          (f", application_name '{'ä' * 100}'", "ä" * 64)])
def test_application_name(connection, make_table, option, seen):
    batch = {"cursor": {"id": 0, "ns": "shop.orders", "firstBatch": []}, "ok": 1}
    with FakeMongo({"find": batch}) as server:
        make_table(server.uri, options=option)
        assert count(connection) == 0
        greeting = next(command for command in server.commands if "client" in command)
        assert greeting["client"]["application"]["name"] == seen


def test_fetch_size(connection, make_table):
    documents = [{"_id": i, "x": "y"} for i in range(6)]

    def batch(key, part, cursor=9):
        return {"cursor": {"id": cursor, "ns": "shop.orders", key: part}, "ok": 1}

    more = iter([batch("nextBatch", documents[2:4]), batch("nextBatch", []), batch("nextBatch", documents[4:], 0)])
    with FakeMongo({"find": batch("firstBatch", documents[:2]), "getmore": lambda *_: next(more)}) as server:
        make_table(server.uri, fetch_size=2)
        assert count(connection) == 6  # an empty batch is not the end
        sent = [command for command in server.commands if next(iter(command)) in ("find", "getMore")]
        assert [command["batchSize"] for command in sent] == [2, 2, 2, 2]
        assert len({command["lsid"]["id"] for command in sent}) == 1
        assert {command["$db"] for command in sent} == {"shop"}


def test_read_preference_and_concern(connection, make_table):
    batch = {"cursor": {"id": 0, "ns": "shop.orders", "firstBatch": []}, "ok": 1}
    hello = {"setName": "rs", "secondary": True, "isWritablePrimary": False, "ismaster": False}
    with FakeMongo({"find": batch}) as server:
        from harness.fake_mongodb import HELLO

        answer = {**HELLO, **hello, "hosts": [f"127.0.0.1:{server.port}"], "me": f"127.0.0.1:{server.port}"}
        server.answers.update(hello=answer, ismaster=answer)
        make_table(server.uri + "?replicaSet=rs", options=", read_preference 'secondary', read_concern 'majority'")
        assert count(connection) == 0
        find = next(command for command in server.commands if "find" in command)
        assert find["$readPreference"]["mode"] == "secondary"
        assert find["readConcern"] == {"level": "majority"}
        # nobody is primary
        make_table(server.uri + "?replicaSet=rs&serverSelectionTimeoutMS=700", name="strict", table="strict")
        with pytest.raises(errors.SqlclientUnableToEstablishSqlconnection):
            count(connection, "strict")


def test_compression(connection, mongo, orders, secantus, make_table):
    make_table(secantus.uri + "?compressors=snappy,zlib,zstd", mongo.name)
    assert count(connection) == 1000


def test_unix_socket(connection, folder, make_table, postgres):
    path = folder / "mongodb.sock"
    batch = {"cursor": {"id": 0, "ns": "shop.orders", "firstBatch": [{"_id": 1, "x": "y"}]}, "ok": 1}
    with FakeMongo({"find": batch}) as server, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()

        def serve():
            accepted, _ = listener.accept()
            server._serve(accepted)

        threading.Thread(target=serve, daemon=True).start()
        make_table("mongodb://" + str(path).replace("/", "%2F"))
        assert count(connection) == 1


def test_a_collection_that_does_not_exist_is_empty(connection, mongo, mongo_server, make_table):
    make_table(mongo_server.uri, mongo.name)
    assert count(connection) == 0


def test_prepared_statements_and_rescans(connection, mongo, orders, mongo_server, make_table):
    make_table(mongo_server.uri, mongo.name)
    connection.execute("SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_memoize = off")
    assert connection.execute("""SELECT count(*) FROM generate_series(1, 5) g, LATERAL (SELECT x FROM orders WHERE _id + 0 >= g * 0
                                 LIMIT 300) o""").fetchone() == (1500,)

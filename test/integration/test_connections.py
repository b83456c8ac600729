"""mongoferry.get_connections(), disconnect() and disconnect_all(): what a session sees of its connections."""

import psycopg
import pytest


@pytest.fixture
def orders(connection, live_server, mongo):
    """A foreign table of more documents than a batch."""
    mongo.orders.insert_many([{"_id": i} for i in range(500)])
    connection.execute(f"CREATE FOREIGN TABLE orders (_id int) SERVER {live_server} OPTIONS (fetch_size '50')")
    return "orders"


def connections(session):
    return session.execute("SELECT * FROM mongoferry.get_connections() ORDER BY 1, 2").fetchall()


def warnings_of(session, query):
    """What a query gives, and the warnings that came with it."""
    warnings = []

    def take(diagnostic):
        warnings.append(diagnostic.message_primary)

    session.add_notice_handler(take)
    try:
        return session.execute(query).fetchone()[0], warnings
    finally:
        session.remove_notice_handler(take)


def open_cursor(session):
    session.execute("BEGIN")
    session.execute("DECLARE c CURSOR FOR SELECT * FROM orders")
    session.execute("FETCH 1 FROM c")


def test_columns_are_named(connection):
    cursor = connection.execute("SELECT * FROM mongoferry.get_connections()")
    assert [column.name for column in cursor.description] == ["server_name", "user_name", "valid", "in_use"]
    assert cursor.fetchall() == []


def test_a_connection_is_kept_and_shown(connection, connect, orders):
    connection.execute("SELECT count(*) FROM orders")
    assert connections(connection) == [("live", "public", True, False)]
    assert connections(connect()) == [], "other sessions have connections of their own"


def test_own_mapping_and_no_mapping(connection, mongo_server, mongo, superuser):
    mongo.orders.insert_one({"_id": 1})
    for name in ("mine", "nobodys"):
        connection.execute(f"""
            CREATE SERVER {name} FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{mongo_server.uri}', database '{mongo.name}');
            CREATE FOREIGN TABLE {name} (_id int) SERVER {name} OPTIONS (collection 'orders')""")
    connection.execute("CREATE USER MAPPING FOR CURRENT_USER SERVER mine")
    connection.execute("SELECT * FROM mine, nobodys")
    assert connections(connection) == [("mine", superuser, True, False), ("nobodys", None, True, False)]


def test_disconnect(connection, orders):
    assert warnings_of(connection, "SELECT mongoferry.disconnect('live')") == (False, [])
    connection.execute("SELECT count(*) FROM orders")
    assert warnings_of(connection, "SELECT mongoferry.disconnect('live')") == (True, [])
    assert connections(connection) == []
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (500,)


def test_disconnect_all(connection, orders):
    assert warnings_of(connection, "SELECT mongoferry.disconnect_all()") == (False, [])
    connection.execute("SELECT count(*) FROM orders")
    assert warnings_of(connection, "SELECT mongoferry.disconnect_all()") == (True, [])
    assert connections(connection) == []


def test_the_server_sees_the_connection_go(connection, mongo_server, mongo, proxy):
    mongo.orders.insert_one({"_id": 1})
    between = proxy(mongo_server)
    connection.execute(f"""
        CREATE SERVER watched FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{between.uri}', database '{mongo.name}');
        CREATE FOREIGN TABLE watched (_id int) SERVER watched OPTIONS (collection 'orders')""")
    connection.execute("SELECT * FROM watched")
    assert between.connections > 0
    connection.execute("SELECT mongoferry.disconnect('watched')")
    between.wait_until(lambda: between.connections == 0)


@pytest.mark.parametrize("function, warning", [
    ("disconnect('live')", 'cannot close connection for server "live" because it is still in use'),
    ("disconnect_all()", "cannot close all connections because some of them are still in use"),
])
def test_a_connection_in_use_stays(connection, orders, function, warning):
    open_cursor(connection)
    assert connections(connection) == [("live", "public", True, True)]
    assert warnings_of(connection, f"SELECT mongoferry.{function}") == (False, [warning])
    assert len(connection.execute("FETCH ALL FROM c").fetchall()) == 499
    connection.execute("COMMIT")
    assert connections(connection) == [("live", "public", True, False)]


def test_a_changed_server_is_not_valid_any_more_but_its_cursor_goes_on(connection, orders):
    open_cursor(connection)
    connection.execute("ALTER SERVER live OPTIONS (ADD application_name 'other')")
    assert connections(connection) == [("live", "public", False, True)]
    assert len(connection.execute("FETCH ALL FROM c").fetchall()) == 499
    connection.execute("COMMIT")
    assert connections(connection) == []
    connection.execute("SELECT count(*) FROM orders")
    assert connections(connection) == [("live", "public", True, False)]


def test_unknown_server(connection):
    with pytest.raises(psycopg.errors.UndefinedObject, match='server "nowhere" does not exist'):
        connection.execute("SELECT mongoferry.disconnect('nowhere')")


def test_null_disconnects_nothing(connection, orders):
    connection.execute("SELECT count(*) FROM orders")
    assert warnings_of(connection, "SELECT mongoferry.disconnect(NULL)") == (None, [])
    assert len(connections(connection)) == 1

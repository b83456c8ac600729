"""CALL mongoferry.retry_errors(): refused documents carried over again."""

import psycopg
import pytest
from bson import Int64, ObjectId
from psycopg import errors

from test_steps import add_task, one, shop, states  # noqa: F401 (a fixture)

CUSTOMERS = "SELECT _id AS id, name FROM source"
ORDERS = 'SELECT _id AS id, customer AS "customerId", total FROM source'


@pytest.fixture
def notices(connection):
    messages = []
    connection.add_notice_handler(lambda notice: messages.append((notice.severity, notice.message_primary)))
    return messages


def lines(connection):
    return connection.execute("SELECT task, source_id FROM mongoferry.errors ORDER BY id").fetchall()


@pytest.fixture
def refusing(shop, mongo):  # noqa: F811
    """A migration that was run: customer 3 (no name) was refused, its orders 3 and 13 therefore, and order 7 (total < 0)."""
    mongo.customers.update_one({"_id": 3}, {"$unset": {"name": 1}})
    mongo.orders.update_one({"_id": 7}, {"$set": {"total": -1}})
    add_task(shop, "orders", "mongo.orders", '"Order"', ORDERS, chunk_size=5)
    add_task(shop, "customers", "mongo.customers", "customer", CUSTOMERS, chunk_size=4)
    shop.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert sorted(lines(shop)) == [("customers", 3), ("orders", 3), ("orders", 7), ("orders", 13)]
    return shop


def test_nothing_was_mended(refusing, notices):
    before = refusing.execute("SELECT id, task, chunk, source_id, raw, message FROM mongoferry.errors ORDER BY id").fetchall()
    occurred = dict(refusing.execute("SELECT id, occurred_at FROM mongoferry.errors").fetchall())
    refusing.execute("CALL mongoferry.retry_errors('m')")
    assert refusing.execute(
        "SELECT id, task, chunk, source_id, raw, message FROM mongoferry.errors ORDER BY id").fetchall() == before
    assert all(at > occurred[id] for id, at in refusing.execute("SELECT id, occurred_at FROM mongoferry.errors"))
    assert notices == [("NOTICE", 'task "customers": 0 of 1 refused documents carried over'),
                       ("NOTICE", 'task "orders": 0 of 3 refused documents carried over'),
                       ("NOTICE", 'migration "m": 0 of 4 refused documents carried over')]
    assert one(refusing, "SELECT outcome FROM mongoferry.run WHERE job = 'retry_errors'") \
        == "0 of 4 refused documents carried over"


def test_mended_at_the_source_in_the_order_of_dependencies(refusing, mongo, notices):
    mongo.customers.update_one({"_id": 3}, {"$set": {"name": "mended"}})
    refusing.execute("CALL mongoferry.retry_errors('m')")
    assert lines(refusing) == [("orders", 7)]
    assert one(refusing, "SELECT name FROM customer WHERE id = 3") == "mended"
    assert one(refusing, 'SELECT count(*) FROM "Order" WHERE "customerId" = 3') == 2
    assert refusing.execute("SELECT task, documents_mended, rows_mended FROM mongoferry.task ORDER BY 1").fetchall() \
        == [("customers", 1, 1), ("orders", 2, 2)]
    assert refusing.execute("SELECT task, rows_written, refused FROM mongoferry.progress ORDER BY 1").fetchall() \
        == [("customers", 10, 0), ("orders", 19, 1)]
    assert [message for _, message in notices] == [
        'task "customers": 1 of 1 refused documents carried over',
        'task "orders": 2 of 3 refused documents carried over',
        'migration "m": 3 of 4 refused documents carried over']
    notices.clear()
    mongo.orders.update_one({"_id": 7}, {"$set": {"total": 0}})
    refusing.execute("CALL mongoferry.retry_errors('m')")
    refusing.execute("CALL mongoferry.retry_errors('m')")
    assert notices[-1] == ("NOTICE", 'migration "m" has no refused documents to try again')
    assert one(refusing, 'SELECT count(*) FROM "Order"') == 20


def test_mended_in_the_transform(refusing):
    refusing.execute("SELECT mongoferry.alter_task('m', 'customers', transform => %s)",
                     ["SELECT _id AS id, coalesce(name, '?') AS name FROM source"])
    refusing.execute("CALL mongoferry.retry_errors('m')")
    assert lines(refusing) == [("orders", 7)]


def test_a_new_reason(refusing, mongo):
    mongo.orders.update_one({"_id": 7}, {"$set": {"total": "much"}})
    old = one(refusing, "SELECT id FROM mongoferry.errors WHERE source_id = '7'")
    refusing.execute("CALL mongoferry.retry_errors('m', only_tasks => '{orders}')")
    assert one(refusing, "SELECT id, sqlstate, document->>'total', constraint_name FROM mongoferry.errors WHERE source_id = '7'") \
        == (old, "2200G", "much", None)


def test_documents_that_are_gone(refusing, mongo):
    mongo.customers.delete_one({"_id": 3})
    refusing.execute("CALL mongoferry.retry_errors('m')")
    assert ("customers", 3) in lines(refusing)
    refusing.execute("ALTER TABLE customer ALTER name DROP NOT NULL")
    refusing.execute("CALL mongoferry.retry_errors('m')")
    assert lines(refusing) == [("orders", 7)]
    assert one(refusing, "SELECT count(*) FROM customer WHERE id = 3 AND name IS NULL") == 1


def test_a_source_that_is_gone(refusing, notices):
    refusing.execute("""ALTER SERVER live OPTIONS (SET uri 'mongodb://127.0.0.1:1/x');
        ALTER TABLE customer ALTER name DROP NOT NULL""")
    refusing.execute("CALL mongoferry.retry_errors('m')")
    assert lines(refusing) == [("orders", 7)]
    assert [message for severity, message in notices if severity == "WARNING"] == [
        f'the source of task "{task}" cannot be reached: the stored copies of its refused documents are used'
        for task in ("customers", "orders")]


def test_only_tasks(refusing, mongo):
    mongo.customers.update_one({"_id": 3}, {"$set": {"name": "mended"}})
    refusing.execute("CALL mongoferry.retry_errors('m', only_tasks => '{orders}')")
    assert sorted(lines(refusing)) == [("customers", 3), ("orders", 3), ("orders", 7), ("orders", 13)]
    with pytest.raises(errors.UndefinedObject, match='task "nothing" of migration "m" does not exist'):
        refusing.execute("CALL mongoferry.retry_errors('m', only_tasks => '{nothing}')")


def test_files(connection, write_dump, notices):
    documents = [{"_id": i, "n": "x" if i % 3 == 0 else i} for i in range(30)] + [{"n": "no id"}, {"n": "no id"}]
    path = write_dump({"numbers": documents})
    connection.execute(f"""CREATE SERVER files FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}');
        CREATE FOREIGN TABLE numbers (_id int, n text) SERVER files;
        CREATE TABLE number (id int UNIQUE, n text CHECK (n ~ '^[0-9]+$'));
        SELECT mongoferry.create_migration('m')""")
    add_task(connection, "numbers", "numbers", "number", "SELECT _id AS id, n FROM source", chunk_size=7)
    connection.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert len(lines(connection)) == 12
    connection.execute("ALTER TABLE number DROP CONSTRAINT number_n_check")
    connection.execute("CALL mongoferry.retry_errors('m')")
    assert lines(connection) == []
    assert one(connection, "SELECT count(*), count(id) FROM number") == (32, 30)
    assert one(connection, "SELECT documents_mended, rows_mended FROM mongoferry.task") == (12, 12)


def test_equal_documents_are_told_apart(connection, write_dump):
    """Files may hold a document twice; where only one of them can go in, the other stays."""
    path = write_dump({"numbers": [{"_id": 1, "n": -1}, {"_id": 1, "n": -1}]})
    connection.execute(f"""CREATE SERVER files FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}');
        CREATE FOREIGN TABLE numbers (_id int, n int) SERVER files;
        CREATE TABLE number (id int PRIMARY KEY, n int CHECK (n > 0));
        SELECT mongoferry.create_migration('m')""")
    add_task(connection, "numbers", "numbers", "number", "SELECT _id AS id, n FROM source")
    connection.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert len(lines(connection)) == 2
    connection.execute("ALTER TABLE number DROP CONSTRAINT number_n_check")
    connection.execute("CALL mongoferry.retry_errors('m')")
    assert connection.execute("SELECT constraint_name FROM mongoferry.errors").fetchall() == [("number_pkey",)]
    assert one(connection, "SELECT count(*) FROM number") == 1


def test_ids_of_all_types(connection, mongo, live_server):
    ids = [1, Int64(1 << 40), 1.5, "a", ObjectId(), {"a": 1}, b"\x01", True]
    mongo.mixed.insert_many([{"_id": id, "n": -1} for id in ids])
    connection.execute(f"""
        CREATE FOREIGN TABLE mixed (_id jsonb, n int) SERVER {live_server};
        CREATE TABLE target (id jsonb PRIMARY KEY, n int CHECK (n > 0));
        SELECT mongoferry.create_migration('m')""")
    add_task(connection, "mixed", "mixed", "target", "SELECT _id AS id, n FROM source")
    connection.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert len(lines(connection)) == len(ids)
    mongo.mixed.update_many({}, {"$set": {"n": 5}})
    connection.execute("CALL mongoferry.retry_errors('m')")
    assert lines(connection) == []
    assert one(connection, "SELECT count(*), min(n) FROM target") == (len(ids), 5)


def test_more_than_a_batch(connection, mongo, live_server):
    mongo.many.insert_many([{"_id": i, "n": -i} for i in range(2500)])
    connection.execute(f"""
        CREATE FOREIGN TABLE many (_id int, n int) SERVER {live_server};
        CREATE TABLE target (id int PRIMARY KEY, n int CHECK (n > 0));
        SELECT mongoferry.create_migration('m')""")
    add_task(connection, "many", "many", "target", "SELECT _id AS id, n FROM source")
    connection.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert len(lines(connection)) == 2500
    mongo.many.update_many({"_id": {"$gte": 100}}, {"$set": {"n": 5}})
    connection.execute("CALL mongoferry.retry_errors('m')")
    assert len(lines(connection)) == 100
    assert one(connection, "SELECT count(*) FROM target") == 2400
    assert one(connection, "SELECT documents_mended FROM mongoferry.task") == 2400


def test_a_document_is_mended_whole_or_not_at_all(connection, mongo, live_server):
    mongo.orders.insert_one({"_id": 1, "items": [{"q": 1}, {"q": -1}, {"q": -2}]})
    connection.execute(f"""
        CREATE FOREIGN TABLE items (_id int, position int OPTIONS (field '$$INDEX'), q int OPTIONS (field 'items.q'))
            SERVER {live_server} OPTIONS (collection 'orders', unwind 'items');
        CREATE TABLE item ("order" int, position int, q int CHECK (q > 0), PRIMARY KEY ("order", position));
        SELECT mongoferry.create_migration('m')""")
    add_task(connection, "items", "items", "item", 'SELECT _id AS "order", position, q FROM source')
    connection.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert lines(connection) == [("items", 1)]
    mongo.orders.update_one({"_id": 1}, {"$set": {"items.1.q": 1}})
    connection.execute("CALL mongoferry.retry_errors('m')")
    assert lines(connection) == [("items", 1)] and one(connection, "SELECT count(*) FROM item") == 0
    mongo.orders.update_one({"_id": 1}, {"$set": {"items.2.q": 1}})
    connection.execute("CALL mongoferry.retry_errors('m')")
    assert lines(connection) == [] and one(connection, "SELECT count(*) FROM item") == 3
    assert one(connection, "SELECT documents_mended, rows_mended FROM mongoferry.task") == (1, 3)


@pytest.fixture
def tree(connection, mongo, live_server):
    """People with a mother each; the references are filled by a second pass. Person 2 has a name that is refused."""
    mongo.people.insert_many([{"_id": 1, "name": "a"}, {"_id": 2, "name": "", "mother": 1}, {"_id": 3, "name": "c", "mother": 2}])
    connection.execute(f"""
        CREATE FOREIGN TABLE people (_id int, name text, mother int) SERVER {live_server};
        CREATE FOREIGN TABLE mothers (_id int, mother int) SERVER {live_server} OPTIONS (collection 'people');
        CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL CHECK (name <> ''), mother int REFERENCES person);
        SELECT mongoferry.create_migration('m')""")
    add_task(connection, "people", "people", "person", "SELECT _id AS id, name FROM source")
    add_task(connection, "mothers", "mothers", "person", "SELECT _id AS id, mother FROM source", on_conflict="update")
    connection.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert lines(connection) == [("people", 2), ("mothers", 3)]
    assert connection.execute("SELECT id, mother FROM person ORDER BY id").fetchall() == [(1, None), (3, None)]
    return connection


def test_a_mended_document_takes_part_in_later_passes(tree, mongo):
    mongo.people.update_one({"_id": 2}, {"$set": {"name": "b"}})
    tree.execute("CALL mongoferry.retry_errors('m')")
    assert lines(tree) == []
    assert tree.execute("SELECT id, mother FROM person ORDER BY id").fetchall() == [(1, None), (2, 1), (3, 2)]


def test_a_later_pass_that_refuses_it(tree, mongo, notices):
    mongo.people.update_one({"_id": 2}, {"$set": {"name": "b", "mother": 99}})
    tree.execute("CALL mongoferry.retry_errors('m', only_tasks => '{people}')")
    assert lines(tree) == [("mothers", 3), ("mothers", 2)]
    assert one(tree, "SELECT chunk IS NULL, constraint_name FROM mongoferry.errors WHERE source_id = '2'") \
        == (True, "person_mother_fkey")
    assert ("NOTICE", 'task "mothers": refused 1 of 1 documents that another task has carried over now') in notices
    mongo.people.update_one({"_id": 2}, {"$set": {"mother": 1}})
    tree.execute("CALL mongoferry.retry_errors('m')")
    assert lines(tree) == []
    assert tree.execute("SELECT id, mother FROM person ORDER BY id").fetchall() == [(1, None), (2, 1), (3, 2)]


def test_chunks_that_were_stopped_are_left_to_migrate(shop, mongo, notices):  # noqa: F811
    mongo.customers.update_one({"_id": 3}, {"$unset": {"name": 1}})
    add_task(shop, "customers", "mongo.customers", "customer", CUSTOMERS, on_error="abort")
    with pytest.raises(errors.RaiseException, match="a document of chunk 1 was refused"):
        shop.execute("CALL mongoferry.migrate('m', workers => 0)")
    mongo.customers.update_one({"_id": 3}, {"$set": {"name": "mended"}})
    notices.clear()
    shop.execute("CALL mongoferry.retry_errors('m')")
    assert lines(shop) == [("customers", 3)] and one(shop, "SELECT count(*) FROM customer") == 0
    assert notices[0][1] == "refused documents of chunks that are still to be carried over, left for mongoferry.migrate(): 1"
    shop.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert lines(shop) == [] and one(shop, "SELECT count(*) FROM customer") == 10


def test_sequences_of_mended_rows(connection, mongo, live_server):
    mongo.numbers.insert_many([{"_id": 5, "n": 1}, {"_id": 50, "n": -1}])
    connection.execute(f"""
        CREATE FOREIGN TABLE numbers (_id int, n int) SERVER {live_server};
        CREATE TABLE number (id serial PRIMARY KEY, n int CHECK (n > 0));
        SELECT mongoferry.create_migration('m')""")
    add_task(connection, "numbers", "numbers", "number", "SELECT _id AS id, n FROM source")
    connection.execute("CALL mongoferry.migrate('m', workers => 0)")
    mongo.numbers.update_many({}, {"$set": {"n": 1}})
    connection.execute("CALL mongoferry.retry_errors('m')")
    assert one(connection, "INSERT INTO number (n) VALUES (7) RETURNING id") == 51


def test_an_error_that_is_not_of_the_data_names_its_task(refusing, mongo):
    mongo.customers.update_one({"_id": 3}, {"$set": {"name": "mended"}})
    function = "CREATE OR REPLACE FUNCTION amount(numeric) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RETURN {}; END $$"
    refusing.execute(function.format("(SELECT x FROM gone)"))
    refusing.execute("SELECT mongoferry.alter_task('m', 'orders', transform => %s)", [ORDERS.replace("total", "amount(total) AS total")])
    with pytest.raises(errors.UndefinedTable, match='task "orders": relation "gone" does not exist'):
        refusing.execute("CALL mongoferry.retry_errors('m')")
    assert one(refusing, "SELECT count(*) FROM customer") == 10  # what was committed before stays
    assert one(refusing, "SELECT finished_at FROM mongoferry.run WHERE job = 'retry_errors'") is None
    refusing.execute(function.format("$1"))
    refusing.execute("CALL mongoferry.retry_errors('m')")
    assert lines(refusing) == [("orders", 7)]


def test_where_it_cannot_be_called(refusing, connect, ordinary_role):
    with connect(autocommit=False) as other:
        with pytest.raises(errors.ActiveSqlTransaction):
            other.execute("CALL mongoferry.retry_errors('m')")
    assert one(refusing, "SELECT count(*) FROM mongoferry.run WHERE job = 'retry_errors'") == 0
    with pytest.raises(errors.UndefinedObject, match='migration "x" does not exist'):
        refusing.execute("CALL mongoferry.retry_errors('x')")
    with pytest.raises(errors.UndefinedObject, match='migration "m" does not exist'):
        connect(ordinary_role).execute("CALL mongoferry.retry_errors('m')")
    with pytest.raises(errors.NullValueNotAllowed):
        refusing.execute("CALL mongoferry.retry_errors(NULL)")


def test_not_while_it_runs(refusing, connect):
    with connect(autocommit=False) as other:
        other.execute("SELECT mongoferry.exclude_runs('m')")
        with pytest.raises(errors.ObjectInUse):
            refusing.execute("CALL mongoferry.retry_errors('m')")


def test_the_search_path_of_the_caller_does_not_matter(refusing, mongo):
    """Neither types, functions nor operators of the caller's schemas stand in for ours."""
    mongo.customers.update_one({"_id": 3}, {"$set": {"name": "mended"}})
    refusing.execute("""
        CREATE SCHEMA evil;
        CREATE DOMAIN evil.jsonb AS pg_catalog.text;
        CREATE FUNCTION evil.refuse(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'taken in'; END $$;
        CREATE OPERATOR evil.= (FUNCTION = evil.refuse, LEFTARG = text, RIGHTARG = text);
        CREATE FUNCTION evil.count(text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE 'taken in'; END $$;
        SET search_path = evil, pg_catalog, public""")
    refusing.execute("CALL mongoferry.retry_errors('m')")
    assert refusing.execute("SELECT source_id FROM mongoferry.errors").fetchall() == [(7,)]

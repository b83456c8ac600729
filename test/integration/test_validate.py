"""validate() and recheck(): what the transforms give now against what the target has."""

import datetime

import psycopg
import pytest
from bson import ObjectId


@pytest.fixture
def migrated(connection, mongo, live_server):
    """Customers and their orders, migrated from a live server in small chunks; one order is refused."""
    changed = datetime.datetime(2020, 1, 1)
    mongo.customers.insert_many([{"_id": i, "name": f"customer {i}", "changed": changed} for i in range(1, 26)])
    mongo.orders.insert_many(
        [{"_id": i, "customer": i % 25 + 1, "total": i * 1.5, "changed": changed} for i in range(1, 61)]
        + [{"_id": 61, "customer": 99, "total": 1.0, "changed": changed}]
    )
    connection.execute(
        f"""
        CREATE FOREIGN TABLE customers_source (_id int, name text) SERVER {live_server} OPTIONS (collection 'customers');
        CREATE FOREIGN TABLE orders_source (_id int, customer int, total numeric) SERVER {live_server}
            OPTIONS (collection 'orders');
        CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
        CREATE TABLE "Order" (id int PRIMARY KEY, "customerId" int REFERENCES customer, total numeric(10, 2) NOT NULL);
        SELECT mongoferry.create_migration('shop');
        SELECT mongoferry.add_task('shop', 'customers', 'customers_source', 'customer', 'SELECT _id AS id, name FROM source',
            chunk_size => 10, changed_field => 'changed');
        SELECT mongoferry.add_task('shop', 'orders', 'orders_source', '"Order"',
            'SELECT _id AS id, customer AS "customerId", total FROM source', chunk_size => 20, changed_field => 'changed');
        """
    )
    connection.execute("CALL mongoferry.migrate('shop', workers => 1)")
    return connection


def failures(connection, call="validate('shop')"):
    rows = connection.execute(f'SELECT task, "check" FROM mongoferry.{call} WHERE NOT ok').fetchall()
    return sorted(rows)


def mismatches(connection):
    return connection.execute(
        """SELECT task, kind, source_id, key, column_name, expected, actual, changed FROM mongoferry.mismatches ORDER BY id"""
    ).fetchall()


@pytest.mark.parametrize("level", ["counts", "values", "sample"])
def test_without_a_difference(migrated, level):
    rows = migrated.execute(f"SELECT * FROM mongoferry.validate('shop', '{level}')").fetchall()
    assert [row for row in rows if not row[2]] == []
    found = {(row[0], row[1]): row[3:5] for row in rows}
    assert found["orders", "refused"] == ("1", None)
    assert found["orders", 'reference Order_customerId_fkey'] == ("1 refused", "0 orphans")
    if level == "values":
        assert found["orders", "values"] == ("60", "60")
        assert found["customers", "documents"] == ("25", "25")
    assert mismatches(migrated) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_each_kind_of_difference(migrated, workers):
    migrated.execute(
        """
        DELETE FROM "Order" WHERE id = 7;
        UPDATE "Order" SET total = total + 1 WHERE id = 30;
        UPDATE customer SET name = 'somebody' WHERE id = 25;
        INSERT INTO customer VALUES (1000, 'a stranger');
        """
    )
    assert failures(migrated, f"validate('shop', workers => {workers})") == [
        ("customers", "extra rows"), ("customers", "values"), ("orders", "rows"), ("orders", "values"),
    ]
    assert sorted(mismatches(migrated), key=str) == sorted(
        [
            ("customers", "different", 25, {"id": 25}, "name", "customer 25", "somebody", False),
            ("customers", "extra", None, {"id": 1000}, None, None, None, False),
            ("orders", "missing", 7, {"id": 7}, None, None, None, False),
            ("orders", "different", 30, {"id": 30}, "total", "45.00", "46.00", False),
        ],
        key=str,
    )


def test_recheck_looks_at_what_differed(migrated):
    migrated.execute("UPDATE customer SET name = 'x' WHERE id IN (3, 4); INSERT INTO customer VALUES (1000, 'a stranger')")
    assert ("customers", "values") in failures(migrated)
    assert len(mismatches(migrated)) == 3
    migrated.execute("UPDATE customer SET name = 'customer 3' WHERE id = 3; DELETE FROM customer WHERE id = 1000")
    assert failures(migrated, "recheck('shop')") == [("customers", "different")]
    assert [line[2] for line in mismatches(migrated)] == [4]
    migrated.execute("UPDATE customer SET name = 'customer 4' WHERE id = 4")
    assert failures(migrated, "recheck('shop')") == []
    assert mismatches(migrated) == []


def test_documents_changed_since_are_told_apart(migrated, mongo):
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    mongo.customers.update_one({"_id": 5}, {"$set": {"name": "renamed", "changed": later}})
    mongo.customers.update_one({"_id": 6}, {"$set": {"name": "renamed"}})
    assert failures(migrated) == [("customers", "changed"), ("customers", "values")]
    assert [(line[2], line[7]) for line in mismatches(migrated)] == [(5, True), (6, False)]


def test_a_document_that_cannot_be_transformed_any_more(migrated, mongo):
    mongo.orders.update_one({"_id": 12}, {"$set": {"total": "much"}})
    assert ("orders", "values") in failures(migrated)
    line = mismatches(migrated)[0]
    assert line[:3] == ("orders", "different", 12) and "total" in line[6]


def test_documents_added_and_removed_since(migrated, mongo):
    mongo.customers.insert_one({"_id": 77, "name": "new"})
    mongo.customers.delete_one({"_id": 2})
    found = failures(migrated)
    assert ("customers", "rows") in found and ("customers", "extra rows") in found
    assert sorted((line[1], line[3]["id"]) for line in mismatches(migrated)) == [("extra", 2), ("missing", 77)]


def test_a_target_without_a_key(migrated):
    migrated.execute(
        """
        CREATE TABLE log (name text, points int);
        SELECT mongoferry.add_task('shop', 'log', 'customers_source', 'log', 'SELECT name, _id % 2 AS points FROM source');
        """
    )
    migrated.execute("CALL mongoferry.migrate('shop', workers => 1)")
    assert failures(migrated) == []
    migrated.execute("DELETE FROM log WHERE name = 'customer 1'; INSERT INTO log VALUES ('customer 2', 0), ('x', 1)")
    assert failures(migrated) == [("log", "extra rows"), ("log", "rows")]
    assert sorted((line[1], line[3]["name"]) for line in mismatches(migrated)) == [
        ("extra", "customer 2"), ("extra", "x"), ("missing", "customer 1"),
    ]


def test_documents_that_share_a_row_count_once(migrated, mongo, live_server):
    """With on_conflict "nothing" many documents may give one row."""
    migrated.execute(
        """
        CREATE TABLE buyer (id int PRIMARY KEY);
        SELECT mongoferry.add_task('shop', 'buyers', 'orders_source', 'buyer', 'SELECT customer AS id FROM source WHERE customer < 99',
            on_conflict => 'nothing');
        """
    )
    migrated.execute("CALL mongoferry.migrate('shop', workers => 1)")
    assert failures(migrated) == []
    rows = migrated.execute("""SELECT "check", source_value, target_value FROM mongoferry.validate('shop') WHERE task = 'buyers'""").fetchall()
    assert {row[0]: row[1:] for row in rows}["rows"] == ("25", "25")
    migrated.execute("DELETE FROM buyer WHERE id = 7")
    assert failures(migrated) == [("buyers", "rows")]


@pytest.mark.parametrize("level", ["counts", "values"])
def test_extra_rows_beside_those_of_an_upsert(migrated, mongo, level):
    """A pass with on_conflict "update" over everything: what it does not give any more is extra."""
    migrated.execute(
        """
        SELECT mongoferry.alter_task('shop', 'orders', on_conflict => 'update');
        SELECT mongoferry.reset_task('shop', 'orders');
        """
    )
    mongo.orders.delete_one({"_id": 9})
    migrated.execute("CALL mongoferry.migrate('shop', workers => 1)")
    assert failures(migrated, f"validate('shop', '{level}')") == [("orders", "extra rows")]
    assert [line[:4] for line in mismatches(migrated)] == [("orders", "extra", None, {"id": 9})]


def test_a_second_pass_does_not_miss_rows_that_the_first_refused(migrated, mongo, live_server):
    mongo.orders.update_many({}, {"$set": {"note": "a note"}})
    migrated.execute(
        f"""
        ALTER TABLE "Order" ADD note text;
        CREATE FOREIGN TABLE notes_source (_id int, note text) SERVER {live_server} OPTIONS (collection 'orders');
        SELECT mongoferry.add_task('shop', 'notes', 'notes_source', '"Order"', 'SELECT _id AS id, note FROM source',
            on_conflict => 'update');
        """
    )
    migrated.execute("CALL mongoferry.migrate('shop', workers => 1)")
    assert failures(migrated) == []  # order 61 is in the quarantine of the first pass
    migrated.execute("""UPDATE "Order" SET note = 'another' WHERE id = 7; DELETE FROM "Order" WHERE id = 8""")
    assert failures(migrated) == [("notes", "values"), ("orders", "rows")]


def test_elements_of_arrays_name_their_document(migrated, mongo, live_server):
    mongo.baskets.insert_many([{"_id": ObjectId(f"{i:024x}"), "items": [{"q": i}, {"q": i + 1}][: i % 3]} for i in range(9)])
    migrated.execute(
        f"""
        CREATE FOREIGN TABLE items_source (basket mongoferry.objectid OPTIONS (field '_id'), n int OPTIONS (field '$$INDEX'),
            q int OPTIONS (field 'items.q')) SERVER {live_server} OPTIONS (collection 'baskets', unwind 'items');
        CREATE TABLE item (basket uuid, n int, q int, PRIMARY KEY (basket, n));
        SELECT mongoferry.add_task('shop', 'items', 'items_source', 'item',
            'SELECT mongoferry.to_uuid(basket) AS basket, n, q FROM source');
        """
    )
    migrated.execute("CALL mongoferry.migrate('shop', workers => 1)")
    assert failures(migrated) == []
    migrated.execute("UPDATE item SET q = 100 WHERE q = 6")
    assert ("items", "values") in failures(migrated)
    assert {line[2]["$oid"] for line in mismatches(migrated)} == {f"{5:024x}"}


def test_of_the_refused_which_for_a_refused_parent(migrated, mongo):
    mongo.customers.insert_one({"_id": 500, "name": None})
    mongo.orders.insert_one({"_id": 500, "customer": 500, "total": 1})
    migrated.execute("SELECT mongoferry.reset_task('shop', 'customers'), mongoferry.reset_task('shop', 'orders')")
    migrated.execute('TRUNCATE "Order", customer')
    migrated.execute("CALL mongoferry.migrate('shop', workers => 1)")
    detail = migrated.execute(
        """SELECT detail FROM mongoferry.validate('shop') WHERE "check" LIKE 'reference%%'"""
    ).fetchone()[0]
    assert detail.startswith("2 documents refer to a row of public.customer that is not there; of these, 1 to a document in the quarantine")


def test_arguments(connection):
    with pytest.raises(psycopg.errors.UndefinedObject):
        connection.execute("SELECT * FROM mongoferry.validate('none')")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="level"):
        connection.execute("SELECT * FROM mongoferry.validate('none', 'all')")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="sample_share"):
        connection.execute("SELECT * FROM mongoferry.validate('none', 'sample', 0)")
    connection.execute("SELECT mongoferry.create_migration('empty')")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="has no tasks"):
        connection.execute("SELECT * FROM mongoferry.validate('empty')")

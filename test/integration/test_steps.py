"""What a run does, step by step: the order of its steps, what becomes of refused documents and failures, and its end.

The steps are called one by one from sessions of the test, as the workers of CALL mongoferry.migrate() call them; a few
tests call it whole.
"""

import json
import threading

import psycopg
import pytest
from bson import ObjectId
from psycopg import errors


class Run:
    """A run of a migration, whose steps the test takes itself."""

    def __init__(self, connection, migration="m", **options):
        self.connection = connection
        self.migration = migration
        self.options = connection.execute(
            "SELECT mongoferry.begin_run('migrate', %s, %s)", [migration, json.dumps(options)]).fetchone()[0]

    def step(self, connection=None):
        return (connection or self.connection).execute(
            "SELECT mongoferry.work_step('migrate', %s, %s)", [self.migration, json.dumps(self.options)]).fetchone()[0]

    def finish(self):
        """All steps; how many did something."""
        steps = 0
        while (outcome := self.step()) == "again":
            steps += 1
            assert steps < 1000
        assert outcome == "finished"
        return steps

    def end(self):
        self.connection.execute(
            "SELECT mongoferry.end_run('migrate', %s, %s, NULL)", [self.migration, json.dumps(self.options)])

    def problem(self):
        return self.connection.execute(
            "SELECT * FROM mongoferry.run_problem('migrate', %s, %s)", [self.migration, json.dumps(self.options)]).fetchone()


def add_task(connection, task, source, target, transform=None, migration="m", **settings):
    arguments = {"migration": migration, "task": task, "source": source, "target": target, "transform": transform, **settings}
    named = ", ".join(f"{name} => %({name})s{'::regclass' if name in ('source', 'target') else ''}" for name in arguments)
    connection.execute(f"SELECT mongoferry.add_task({named})", arguments)


def one(connection, query, arguments=None):
    row = connection.execute(query, arguments).fetchone()
    return row[0] if len(row) == 1 else row


def states(connection):
    return dict(connection.execute("SELECT task, state FROM mongoferry.task ORDER BY position").fetchall())


@pytest.fixture
def shop(connection, mongo, live_server):
    """Customers 0 to 9 and orders 0 to 19 of them, foreign tables and targets for both, and the migration m, without tasks."""
    mongo.customers.insert_many([{"_id": i, "name": f"c{i}"} for i in range(10)])
    mongo.orders.insert_many([{"_id": i, "customer": i % 10, "total": i * 1.5} for i in range(20)])
    connection.execute(f"""
        CREATE SCHEMA mongo;
        CREATE FOREIGN TABLE mongo.customers (_id int, name text) SERVER {live_server};
        CREATE FOREIGN TABLE mongo.orders (_id int, customer int, total numeric) SERVER {live_server};
        CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
        CREATE TABLE "Order" (id int PRIMARY KEY, "customerId" int REFERENCES customer, total numeric CHECK (total >= 0));
        SELECT mongoferry.create_migration('m')""")
    return connection


CUSTOMERS = "SELECT _id AS id, name FROM source"
ORDERS = 'SELECT _id AS id, customer AS "customerId", total FROM source'


def add_both(connection, **settings):
    add_task(connection, "orders", "mongo.orders", '"Order"', ORDERS, **{"chunk_size": 5, **settings})
    add_task(connection, "customers", "mongo.customers", "customer", CUSTOMERS, chunk_size=4)


# --- the order of the steps -----------------------------------------------------------------------------------------------


def test_all_is_split_first_and_what_others_need_comes_first(shop):
    add_both(shop)
    run = Run(shop)
    seen = []
    while run.step() == "again":
        seen.append((states(shop), one(shop, "SELECT count(*) FROM customer"), one(shop, 'SELECT count(*) FROM "Order"')))
    customers = one(shop, "SELECT count(*) FROM mongoferry.chunk WHERE task = 'customers'")
    orders = one(shop, "SELECT count(*) FROM mongoferry.chunk WHERE task = 'orders'")
    assert customers > 1 and orders > 1
    assert [state for state, *_ in seen[:2]] == [{"orders": "running", "customers": "new"},
                                                 {"orders": "running", "customers": "running"}]
    assert len(seen) == 2 + customers + 1 + orders + 1
    for state, customer_rows, order_rows in seen:
        assert order_rows == 0 or (customer_rows == 10 and state["customers"] == "done")
    assert seen[-1] == ({"orders": "done", "customers": "done"}, 10, 20)
    assert run.step() == "finished"
    assert run.problem() is None


def test_chunks_tell_what_they_did(shop):
    add_both(shop)
    Run(shop).finish()
    rows = shop.execute("""SELECT chunk, state, documents, rows_written, refused, bytes_read > 0, started_at <= finished_at
        FROM mongoferry.chunk WHERE task = 'orders' ORDER BY chunk""").fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert {row[1] for row in rows} == {"done"} and sum(row[2] for row in rows) == 20 == sum(row[3] for row in rows)
    assert {row[4:] for row in rows} == {(0, True, True)}
    assert one(shop, """SELECT documents_total, started_at = (SELECT min(started_at) FROM mongoferry.chunk WHERE task = 'orders'),
        finished_at >= started_at FROM mongoferry.task WHERE task = 'orders'""") == (20, True, True)


def test_two_workers_take_different_chunks(shop, connect):
    add_task(shop, "customers", "mongo.customers", "customer", CUSTOMERS, chunk_size=4)
    run = Run(shop)
    assert run.step() == "again"
    chunks = one(shop, "SELECT count(*) FROM mongoferry.chunk")
    others = [connect(autocommit=False) for _ in range(chunks)]
    for other in others:
        assert run.step(other) == "again"
    with connect(autocommit=False) as idle:
        assert run.step(idle) == "wait"
    others[0].rollback()  # as if it had died: its chunk is free again
    assert run.step() == "again"
    for other in others[1:]:
        assert run.step() == "wait"
        other.commit()
    assert run.finish() == 1
    assert one(shop, "SELECT count(*) FROM customer") == 10
    assert states(shop) == {"customers": "done"}


def test_a_task_that_is_being_split_or_finished_is_waited_for(shop, connect):
    add_both(shop)
    run = Run(shop)
    with connect(autocommit=False) as other:
        assert run.step(other) == "again"  # orders
        assert run.step() == "again"  # customers
        assert run.step() == "again"  # a chunk of them, though not all tasks are split yet
        other.commit()
    chunks = one(shop, "SELECT count(*) FROM mongoferry.chunk WHERE task = 'customers' AND state = 'pending'")
    for _ in range(chunks):
        assert run.step() == "again"
    with connect(autocommit=False) as other:
        assert run.step(other) == "again"  # customers come to their end
        assert run.step() == "wait"  # orders need them
        other.commit()
    assert states(shop)["customers"] == "done"
    run.finish()


def test_an_empty_source(shop, mongo):
    mongo.customers.drop()
    mongo.orders.drop()
    add_both(shop)
    Run(shop).finish()
    assert states(shop) == {"orders": "done", "customers": "done"}


def test_the_time_is_up(shop):
    add_both(shop)
    run = Run(shop, deadline=str(one(shop, "SELECT clock_timestamp() + interval '1 hour'")))
    assert run.step() == "again"
    run.options["deadline"] = str(one(shop, "SELECT clock_timestamp()"))
    assert run.step() == "finished"
    assert run.problem() is None
    run.end()
    assert one(shop, "SELECT outcome FROM mongoferry.run") == 'time is up; not done: "orders", "customers"'
    run = Run(shop)
    run.finish()
    run.end()
    assert one(shop, "SELECT outcome FROM mongoferry.run ORDER BY id DESC LIMIT 1") == "complete"
    assert one(shop, 'SELECT count(*) FROM "Order"') == 20


def test_a_task_added_meanwhile_is_for_the_next_run(shop):
    add_task(shop, "customers", "mongo.customers", "customer", CUSTOMERS)
    run = Run(shop)
    add_task(shop, "orders", "mongo.orders", '"Order"', ORDERS)
    run.finish()
    assert states(shop) == {"customers": "done", "orders": "new"}
    Run(shop).finish()
    assert states(shop) == {"customers": "done", "orders": "done"}


# --- whole runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_migrate(shop, workers):
    add_both(shop)
    notices = []
    shop.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    shop.execute("LISTEN mongoferry")
    shop.execute("CALL mongoferry.migrate('m', workers => %s)", [workers])
    assert one(shop, 'SELECT count(*), sum(total) FROM "Order"') == (20, 285)
    assert one(shop, "SELECT outcome, workers, finished_at > started_at FROM mongoferry.run") == ("complete", workers, True)
    assert "100 %" in notices[-1]
    told = [json.loads(notify.payload) for notify in shop.notifies(timeout=5, stop_after=3)]
    assert told == [{"migration": "m", "task": "customers", "state": "done", "refused": 0},
                    {"migration": "m", "task": "orders", "state": "done", "refused": 0},
                    {"migration": "m", "state": "complete", "refused": 0}]
    shop.execute("CALL mongoferry.migrate('m')")  # nothing is left to do
    assert one(shop, 'SELECT count(*) FROM "Order"') == 20

"""What a run does, step by step: the order of its steps, what becomes of refused documents and failures, and its end.

The steps are called one by one from sessions of the test, as the workers of CALL mongoferry.migrate() call them; a few
tests call it whole.
"""

import json
import re
import threading

import psycopg
import pytest
from bson import ObjectId
from psycopg import errors

from harness.migrations import Run, add_task, one


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


def test_what_is_left_out_is_told(shop):
    add_both(shop)
    shop.execute("CALL mongoferry.migrate('m', workers => 0, only_tasks => '{customers}')")
    assert states(shop) == {"orders": "new", "customers": "done"}
    assert one(shop, "SELECT outcome FROM mongoferry.run") == 'complete, but for tasks left out: "orders"'
    shop.execute("CALL mongoferry.migrate('m', workers => 0, only_tasks => '{orders}')")
    assert one(shop, "SELECT outcome FROM mongoferry.run ORDER BY id DESC LIMIT 1") == "complete"
    assert states(shop) == {"orders": "done", "customers": "done"}


@pytest.mark.parametrize("options, error, message, hint", [
    ({"only_tasks": ["orders"]}, errors.ObjectNotInPrerequisiteState, 'task "orders" depends on task "customers", which is not done',
     'Name "customers" in only_tasks too'),
    ({"only_tasks": ["orders", "odrers"]}, errors.UndefinedObject, 'task "odrers" of migration "m" does not exist',
     'Its tasks are "orders", "customers".'),
    ({"only_tasks": [None]}, errors.NullValueNotAllowed, "only_tasks must not contain NULL", None),
    ({"only_tasks": []}, errors.InvalidParameterValue, "only_tasks must not be empty", None),
])
def test_only_tasks_that_cannot_be(shop, options, error, message, hint):
    add_both(shop)
    with pytest.raises(error, match=message) as caught:
        Run(shop, **options)
    assert hint is None or hint in caught.value.diag.message_hint
    assert one(shop, "SELECT count(*) FROM mongoferry.run") == 0


def test_a_migration_without_tasks(shop):
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match='migration "m" has no tasks'):
        Run(shop)


def test_only_the_owner_may_run_it(shop, connect, ordinary_role, superuser):
    add_both(shop)
    run = Run(shop)
    shop.execute(f"GRANT {superuser} TO {ordinary_role}")
    member = connect(ordinary_role)
    for call in [lambda: Run(member), lambda: run.step(member)]:
        with pytest.raises(errors.InsufficientPrivilege, match='must be owner of migration "m"'):
            call()
    shop.execute(f"REVOKE {superuser} FROM {ordinary_role}")
    # Of a new session: who was a member of the role that owns the extension's tables has plans without their policies, and
    # PostgreSQL 15.18 goes on with them (15.20 does not).
    with pytest.raises(errors.UndefinedObject, match='migration "m" does not exist'):
        run.step(connect(ordinary_role))


# --- refused documents ----------------------------------------------------------------------------------------------------


def refuse_some(mongo):
    """Order 4, 9, 14 and 19 are refused: one in each chunk of five."""
    mongo.orders.update_many({"_id": {"$mod": [5, 4]}}, {"$set": {"total": -1}})


def test_refused_documents_go_to_errors(shop, mongo):
    refuse_some(mongo)
    add_both(shop)
    Run(shop).finish()
    assert one(shop, 'SELECT count(*) FROM "Order"') == 16
    chunks = dict(shop.execute("SELECT chunk, refused FROM mongoferry.chunk WHERE task = 'orders'").fetchall())
    assert sum(chunks.values()) == 4
    for chunk, refused in chunks.items():
        assert one(shop, "SELECT count(*) FROM mongoferry.errors WHERE chunk = %s", [chunk]) == refused
    assert shop.execute("""SELECT migration, task, source_id, document->>'total', octet_length(raw) > 0, sqlstate, constraint_name
        FROM mongoferry.errors ORDER BY id""").fetchall() == [
            ("m", "orders", id, "-1", True, "23514", "Order_total_check") for id in (4, 9, 14, 19)]
    assert one(shop, "SELECT cause, documents, example_source_id, example_id = (SELECT min(id) FROM mongoferry.errors) "
                     "FROM mongoferry.errors_summary") \
        == ('new row for relation "Order" violates check constraint "Order_total_check"', 4, 4, True)


@pytest.mark.parametrize("settings, allowed", [({"max_errors": 4}, True), ({"max_errors": 3}, False), ({"max_errors": 0}, False),
                                               ({"on_error": "abort"}, False), ({"on_error": "abort", "max_errors": 9}, False)])
def test_how_many_are_allowed(shop, mongo, settings, allowed):
    refuse_some(mongo)
    add_both(shop, **settings)
    run = Run(shop)
    run.finish()
    run.end()
    if allowed:
        assert states(shop)["orders"] == "done" and run.problem() is None
        return
    assert states(shop) == {"orders": "failed", "customers": "done"}
    limit = 0 if "on_error" in settings else settings["max_errors"]
    assert one(shop, "SELECT count(*) FROM mongoferry.errors") == limit + 1
    assert one(shop, 'SELECT count(*) FROM "Order"') == sum(
        documents for documents, in shop.execute("SELECT documents - refused FROM mongoferry.chunk WHERE task = 'orders' AND state = 'done'"))
    message, detail, hint = run.problem()
    if "on_error" in settings:
        assert message.startswith('task "orders" of migration "m" failed: a document of chunk 1 was refused: new row for relation "Order"')
        assert one(shop, "SELECT failure_sqlstate FROM mongoferry.task WHERE task = 'orders'") == "23514"
    else:
        were = "document was" if limit == 0 else "documents were"
        assert message == f'task "orders" of migration "m" failed: {limit + 1} {were} refused, more than max_errors ({limit}) allows'
    assert "mongoferry.errors" in detail and "goes on from there" in hint
    assert one(shop, "SELECT outcome FROM mongoferry.run") == 'failed: "orders"'

    # Mended, it goes on from there: nothing is lost, nothing there twice.
    mongo.orders.update_many({"total": -1}, {"$set": {"total": 1}})
    if limit > 0:
        mongo.orders.update_one({"_id": 19}, {"$set": {"total": -1}})  # what is in errors counts, whenever it was refused
        run = Run(shop)
        run.finish()
        assert run.problem() is not None
        shop.execute("SELECT mongoferry.alter_task('m', 'orders', reset => '{max_errors}')")
    run = Run(shop)
    run.finish()
    assert run.problem() is None and states(shop)["orders"] == "done"
    in_errors = one(shop, "SELECT count(*) FROM mongoferry.errors")
    assert in_errors == (limit + 1 if limit > 0 else 0)
    assert one(shop, 'SELECT count(*) FROM "Order"') + in_errors == 20
    assert one(shop, "SELECT sum(refused) FROM mongoferry.chunk WHERE task = 'orders'") == in_errors
    assert one(shop, "SELECT failure, failure_sqlstate FROM mongoferry.task WHERE task = 'orders'") == (None, None)


def test_a_stopped_chunk_is_not_counted_twice(shop, mongo):
    refuse_some(mongo)
    add_both(shop, max_errors=2)
    for _ in range(3):
        run = Run(shop)
        run.finish()
        assert run.problem() is not None
        assert one(shop, "SELECT count(*), count(DISTINCT source_id) FROM mongoferry.errors") == (3, 3)
        assert one(shop, 'SELECT count(*) FROM "Order"') == one(
            shop, "SELECT sum(documents - refused) FROM mongoferry.chunk WHERE task = 'orders'")


# --- steps that fail ------------------------------------------------------------------------------------------------------


def test_a_step_that_fails_for_good(shop):
    """Its task is failed, what depends on it is not begun, what does not goes on; mended, the next run completes it."""
    add_both(shop)
    shop.execute("CREATE TABLE other (id int)")
    add_task(shop, "other", "mongo.customers", "other", "SELECT _id AS id FROM source")
    shop.execute("""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'disk is full' USING ERRCODE = 'disk_full', DETAIL = 'Really.', HINT = 'Buy one.'; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON customer FOR EACH ROW EXECUTE FUNCTION fail()""")
    with pytest.raises(errors.RaiseException) as caught:
        shop.execute("CALL mongoferry.migrate('m', workers => 2)")
    assert re.fullmatch(
        'task "customers" of migration "m" failed: chunk [12]: disk is full', caught.value.diag.message_primary)
    assert caught.value.diag.message_detail.startswith("Really.\nBuy one.")
    assert 'Not done either: "orders".' in caught.value.diag.message_detail
    assert states(shop) == {"orders": "running", "customers": "failed", "other": "done"}
    assert one(shop, "SELECT failure_sqlstate, failure FROM mongoferry.task WHERE task = 'customers'") \
        in [("53100", f"chunk {chunk}: disk is full\nDETAIL:  Really.\nHINT:  Buy one.") for chunk in (1, 2)]
    assert one(shop, "SELECT state, percent < 100 FROM mongoferry.progress_total") == ("failed", True)
    shop.execute("DROP TRIGGER fail ON customer")
    shop.execute("CALL mongoferry.migrate('m', workers => 2)")
    assert states(shop) == {"orders": "done", "customers": "done", "other": "done"}
    assert one(shop, 'SELECT count(*) FROM "Order"') == 20 and one(shop, "SELECT count(*) FROM other") == 10


def test_a_source_that_cannot_be_split(shop):
    add_both(shop)
    uri = one(shop, "SELECT option_value FROM pg_foreign_server, pg_options_to_table(srvoptions) WHERE option_name = 'uri'")
    shop.execute("ALTER SERVER live OPTIONS (SET uri 'mongodb://127.0.0.1:1/x')")
    with pytest.raises(errors.RaiseException, match='2 tasks of migration "m" failed: "orders", "customers"') as caught:
        shop.execute("CALL mongoferry.migrate('m', workers => 0, retry_for => '0 s')")
    assert 'Task "customers": ' in caught.value.diag.message_detail
    assert states(shop) == {"orders": "failed", "customers": "failed"}
    shop.execute(f"ALTER SERVER live OPTIONS (SET uri '{uri}')")
    shop.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert one(shop, 'SELECT count(*) FROM "Order"') == 20


def test_a_circle(shop):
    add_both(shop)
    shop.execute("SELECT mongoferry.alter_task('m', 'customers', depends_on => '{orders}')")
    with pytest.raises(errors.InvalidObjectDefinition, match="depend on each other"):
        shop.execute("CALL mongoferry.migrate('m')")
    assert one(shop, "SELECT count(*) FROM mongoferry.run") == 0


def test_a_transform_runs_with_its_search_path(shop):
    """That of the time when it was added, and neither the caller's nor ours; afterwards the caller's is in force again."""
    shop.execute("""CREATE SCHEMA own; CREATE FUNCTION own.shout(text) RETURNS text LANGUAGE sql AS 'SELECT upper($1)';
        SET search_path = own, public""")
    add_task(shop, "customers", "mongo.customers", "customer", "SELECT _id AS id, shout(name) AS name FROM source")
    shop.execute("SET search_path = pg_catalog")
    Run(shop).finish()
    assert one(shop, "SELECT min(name) FROM public.customer") == "C0"
    assert one(shop, "SHOW search_path") == "pg_catalog"


def test_an_ordinary_role(shop, connect, ordinary_role):
    """It needs no more than its own tables."""
    shop.execute(f"GRANT USAGE ON FOREIGN SERVER live TO {ordinary_role}")
    own = connect(ordinary_role)
    own.execute("""CREATE FOREIGN TABLE own_customers (_id int, name text) SERVER live OPTIONS (collection 'customers');
        CREATE TABLE own_customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text CHECK (name <> 'c7'));
        SELECT mongoferry.create_migration('own')""")
    add_task(own, "customers", "own_customers", "own_customer", CUSTOMERS, migration="own")
    own.execute("CALL mongoferry.migrate('own', workers => 2)")
    assert one(own, "SELECT count(*), max(id) FROM own_customer") == (9, 9)
    assert one(own, "INSERT INTO own_customer (name) VALUES ('x') RETURNING id") == 10
    assert own.execute("SELECT migration, refused, percent FROM mongoferry.progress_total").fetchall() == [("own", 1, 100)]
    own.execute("ALTER TABLE own_customer DROP CONSTRAINT own_customer_name_check")
    own.execute("CALL mongoferry.retry_errors('own')")
    assert one(own, "SELECT count(*) FROM own_customer") == 11


# --- sequences ------------------------------------------------------------------------------------------------------------

# name: (target and more, transform over _id = 1 … 10, what the next row gets)
SEQUENCES = {
    "serial": ("CREATE TABLE t (id serial, n int)", "SELECT _id AS id FROM source", 11),
    "bigserial of bigint": ("CREATE TABLE t (id bigserial, n int)", "SELECT _id + 10000000000 AS id FROM source", 10000000011),
    "identity by default": ("CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY, n int)", "SELECT _id AS id FROM source", 11),
    "identity always": ("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, n int)", "SELECT _id AS id FROM source", 11),
    "identity that is not filled": ("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, n int)", "SELECT _id AS n FROM source", 11),
    "names to be quoted": (
        'CREATE SEQUENCE "My Seq"; CREATE TABLE t (id int, n int); ALTER TABLE t RENAME id TO "Id"; '
        """ALTER TABLE t ALTER "Id" SET DEFAULT nextval('"My Seq"'); ALTER TABLE t RENAME TO "Ta""ble" """,
        'SELECT _id AS "Id" FROM source', 11),
    "a default, smallint": ("CREATE SEQUENCE s; CREATE TABLE t (id smallint DEFAULT nextval('s'), n int)", "SELECT _id AS id FROM source", 11),
    "a default with a cast": (
        "CREATE SEQUENCE s; CREATE TABLE t (id numeric DEFAULT nextval('s')::int, n int)", "SELECT _id + 0.5 AS id FROM source", 12),
    "with a cache": ("CREATE SEQUENCE s CACHE 100; SELECT nextval('s'); CREATE TABLE t (id int DEFAULT nextval('s'), n int)",
                     "SELECT _id + 145 AS id FROM source", 156),
    "a long way": ("CREATE TABLE t (id serial, n int)", "SELECT _id * 100000000 AS id FROM source", 1000000001),
    "exhausted by them": ("CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (MAXVALUE 10 CYCLE), n int)",
                          "SELECT _id AS id FROM source", 1),
    "a domain": ("CREATE DOMAIN d AS bigint; CREATE SEQUENCE s; CREATE TABLE t (id d DEFAULT nextval('s'), n int)",
                 "SELECT _id AS id FROM source", 11),
    "by steps": ("CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (START 5 INCREMENT BY 5), n int)",
                 "SELECT _id AS id FROM source", 15),
    "descending": ("CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY -1), n int)",
                   "SELECT -_id AS id FROM source", -11),
    "it is past them": ("CREATE TABLE t (id serial, n int); SELECT setval('t_id_seq', 50)", "SELECT _id AS id FROM source", 51),
    "it starts past them": ("CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (START 100), n int)",
                            "SELECT _id AS id FROM source", 100),
    "it starts at the last": ("CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (START 10), n int)",
                              "SELECT _id AS id FROM source", 11),
    "it is past them, descending": (
        "CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY -1), n int); SELECT setval('t_id_seq', -50)",
        "SELECT -_id AS id FROM source", -51),
    "empty target": ("CREATE TABLE t (id serial, n int)", "SELECT _id AS id FROM source WHERE false", 1),
    "values that it cannot give": ("CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (MAXVALUE 1000), n int)",
                                   "SELECT CASE WHEN _id > 5 THEN _id * 1000 ELSE _id END AS id FROM source", 6),
    "values before its first": ("CREATE TABLE t (id serial, n int)", "SELECT -_id AS id FROM source", 1),
    "partitioned": (
        "CREATE TABLE t (id serial, n int) PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (1) TO (5); "
        "CREATE TABLE t2 PARTITION OF t DEFAULT", "SELECT _id AS id FROM source", 11),
    "rows that were there": ("CREATE TABLE t (id int DEFAULT 0, n int); INSERT INTO t VALUES (70); CREATE SEQUENCE s; "
                             "ALTER TABLE t ALTER id SET DEFAULT nextval('s')", "SELECT _id AS id FROM source", 71),
}


@pytest.mark.parametrize("case", SEQUENCES)
def test_sequences(connection, mongo, live_server, case):
    tables, transform, expected = SEQUENCES[case]
    mongo.numbers.insert_many([{"_id": i} for i in range(1, 11)])
    connection.execute(f"CREATE FOREIGN TABLE numbers (_id int) SERVER {live_server}; SELECT mongoferry.create_migration('m')")
    connection.execute(tables)
    target = '"Ta""ble"' if "quoted" in case else "t"
    add_task(connection, "numbers", "numbers", target, transform, chunk_size=4)
    Run(connection).finish()
    assert one(connection, f"INSERT INTO {target} (n) VALUES (1) RETURNING *")[0] == expected


def test_sequences_of_other_columns_stay(connection, mongo, live_server):
    """Those that only take part in a default, or are of columns that hold no numbers."""
    mongo.numbers.insert_many([{"_id": i} for i in range(1, 11)])
    connection.execute(f"""CREATE FOREIGN TABLE numbers (_id int) SERVER {live_server}; SELECT mongoferry.create_migration('m');
        CREATE SEQUENCE a; CREATE SEQUENCE b; CREATE SEQUENCE c;
        CREATE TABLE t (a text DEFAULT 'no ' || nextval('a'), b int DEFAULT nextval('b') * 10, c text DEFAULT nextval('c'))""")
    add_task(connection, "numbers", "numbers", "t", "SELECT _id::text AS a, _id AS b, _id::text AS c FROM source")
    Run(connection).finish()
    assert one(connection, "SELECT nextval('a'), nextval('b'), nextval('c')") == (1, 1, 1)


def test_a_sequence_that_the_role_may_not_set(shop, connect, ordinary_role):
    shop.execute(f"""GRANT USAGE ON FOREIGN SERVER live TO {ordinary_role};
        CREATE TABLE restricted (id serial PRIMARY KEY, name text); GRANT SELECT, INSERT ON restricted TO {ordinary_role}""")
    own = connect(ordinary_role)
    own.execute("""CREATE FOREIGN TABLE own_customers (_id int, name text) SERVER live OPTIONS (collection 'customers');
        SELECT mongoferry.create_migration('own')""")
    add_task(own, "customers", "own_customers", "restricted", CUSTOMERS, migration="own")
    with pytest.raises(errors.RaiseException, match="permission denied for sequence public.restricted_id_seq") as caught:
        own.execute("CALL mongoferry.migrate('own', workers => 0)")
    assert "GRANT SELECT, UPDATE ON SEQUENCE public.restricted_id_seq" in caught.value.diag.message_detail
    shop.execute(f"GRANT SELECT, UPDATE ON SEQUENCE restricted_id_seq TO {ordinary_role}")
    own.execute("CALL mongoferry.migrate('own', workers => 0)")
    assert one(shop, "SELECT count(*), nextval('restricted_id_seq') FROM restricted") == (10, 10)


def test_a_sequence_is_never_set_back(connection, connect):
    """Others draw from it at the same moment: no value comes twice."""
    connection.execute("CREATE SEQUENCE s")
    drawn = []

    def draw():
        with connect() as other:
            for _ in range(150):
                drawn.extend(value for value, in other.execute("SELECT nextval('s') FROM generate_series(1, 20)"))

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    value = 0
    while any(thread.is_alive() for thread in threads):
        value = max(value, *drawn[-3:], 0) + 1
        one(connection, "SELECT mongoferry.advance_sequence('s', %s)", [value])
    for thread in threads:
        thread.join()
    assert len(drawn) == 9000 and len(set(drawn)) == 9000


@pytest.mark.parametrize("argument", ["pg_class", "0"])
def test_what_is_no_sequence(connection, argument):
    with pytest.raises(errors.WrongObjectType, match="is not a sequence"):
        connection.execute("SELECT mongoferry.advance_sequence(%s::regclass, 1)", [argument])

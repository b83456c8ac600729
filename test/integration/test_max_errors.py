"""max_errors, where several workers refuse documents at the same moment: none of them sees what the others have not committed."""

import threading
import time

import pytest
from psycopg import errors

from harness.migrations import Run, add_task, one


@pytest.fixture
def numbers(connection, write_dump):
    """Makes the task t over a hundred documents in chunks of ten, of which those in `bad` are refused."""

    def make(bad, max_errors):
        folder = write_dump({"numbers": [{"_id": i, "n": -1 if i in bad else i} for i in range(100)]})
        connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
        connection.execute("CREATE FOREIGN TABLE numbers (_id int, n int) SERVER dump;"
                           "CREATE TABLE target (id int PRIMARY KEY, n int CHECK (n >= 0)); SELECT mongoferry.create_migration('m')")
        add_task(connection, "t", "numbers", "target", "SELECT _id AS id, n FROM source", chunk_size=10, max_errors=max_errors)
        return connection

    return make


def state(connection):
    """(state of the task, lines of errors, chunks done, rows)"""
    return one(connection, """SELECT t.state, (SELECT count(*) FROM mongoferry.errors),
        (SELECT count(*) FROM mongoferry.chunk AS c WHERE c.state = 'done'), (SELECT count(*) FROM target) FROM mongoferry.task AS t""")


def steps_at_once(connect, run, count):
    """A step each in transactions that see nothing of each other. (Those that fail the task wait for each other at its row.)"""
    go = threading.Event()
    stepped = []

    def work():
        with connect(autocommit=False) as worker:
            stepped.append(run.step(worker))
            assert go.wait(60)
            worker.commit()

    workers = [threading.Thread(target=work) for _ in range(count)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 60
    while len(stepped) + one(run.connection, "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted") < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    go.set()
    for worker in workers:
        worker.join()
    assert stepped == ["again"] * count


def test_no_worker_has_refused_too_many_but_all_together_have(numbers, connect):
    bad = [0, 1, 2, 3, 10, 11, 12, 13]  # four in each of two chunks
    connection = numbers(bad, 5)
    run = Run(connection)
    assert run.step() == "again"  # splits
    steps_at_once(connect, run, 2)
    assert state(connection) == ("running", 8, 2, 12)
    # The next one looks at what there is, and does not go on.
    run.finish()
    assert state(connection) == ("failed", 8, 2, 12)
    message, detail, hint = run.problem()
    assert message == 'task "t" of migration "m" failed: 8 documents were refused, more than max_errors (5) allows'
    assert detail.startswith("The last was in chunk ") and detail.endswith(" mongoferry.errors_summary groups them by cause.")
    # It stays so until somebody acts.
    run = Run(connection)
    run.finish()
    assert state(connection) == ("failed", 8, 2, 12)
    connection.execute("SELECT mongoferry.alter_task('m', 't', max_errors => 8)")
    run = Run(connection)
    run.finish()
    assert run.problem() is None
    assert state(connection) == ("done", 8, 10, 92)


def test_in_the_last_chunks(numbers, connect):
    """Nothing is left to be carried over: the task is not done all the same."""
    connection = numbers([80, 81, 82, 90, 91, 92], 5)
    run = Run(connection)
    for _ in range(9):
        assert run.step() == "again"
    steps_at_once(connect, run, 2)
    assert state(connection) == ("running", 6, 10, 94)
    run.finish()
    assert state(connection) == ("failed", 6, 10, 94)
    assert run.problem()[0] == 'task "t" of migration "m" failed: 6 documents were refused, more than max_errors (5) allows'
    # Documents that are mended count no more.
    connection.execute("ALTER TABLE target DROP CONSTRAINT target_n_check")
    connection.execute("CALL mongoferry.retry_errors('m')")
    run = Run(connection)
    run.finish()
    assert state(connection) == ("done", 0, 10, 100)


def test_as_many_as_may_be(numbers, connect):
    connection = numbers([0, 1, 2, 10, 11], 5)
    run = Run(connection)
    assert run.step() == "again"
    steps_at_once(connect, run, 2)
    run.finish()
    assert run.problem() is None and state(connection) == ("done", 5, 10, 95)


def test_how_many_too_many_there_can_be(numbers, connect):
    """Each worker stops at the one that is too many for it alone, and gives up its chunk."""
    connection = numbers(range(100), 5)
    run = Run(connection)
    assert run.step() == "again"
    steps_at_once(connect, run, 4)
    assert state(connection) == ("failed", 4 * (5 + 1), 0, 0)
    run.finish()
    assert state(connection) == ("failed", 24, 0, 0)


def test_chunks_that_were_given_up_do_not_count_when_it_goes_on(numbers, connect):
    connection = numbers(range(40), 5)
    run = Run(connection)
    assert run.step() == "again"
    steps_at_once(connect, run, 4)
    connection.execute("ALTER TABLE target DROP CONSTRAINT target_n_check")
    run = Run(connection)
    run.finish()
    assert run.problem() is None and state(connection) == ("done", 0, 10, 100)


def test_with_workers(numbers, connect):
    """The same with background workers, who all meet in their first chunk."""
    connection = numbers(range(100), 5)
    connection.execute("CREATE FUNCTION wait_here() RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN 0; END'")
    connection.execute("SELECT mongoferry.alter_task('m', 't', transform => 'SELECT _id AS id, n + wait AS n FROM source, wait_here() AS wait')")
    connection.execute("SELECT pg_advisory_lock(4711)")
    caught = []

    def call():
        with connect() as other:
            try:
                other.execute("CALL mongoferry.migrate('m', workers => 3)")
            except errors.RaiseException as error:
                caught.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    while one(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted") < 3 and caller.is_alive():
        time.sleep(0.05)
    connection.execute("SELECT pg_advisory_unlock(4711)")
    caller.join()
    [error] = caught
    assert error.diag.message_primary.startswith('task "t" of migration "m" failed: ')
    assert error.diag.message_primary.endswith(" documents were refused, more than max_errors (5) allows")
    task, lines, done, rows = state(connection)
    assert (task, done, rows) == ("failed", 0, 0) and 6 <= lines <= 3 * 6

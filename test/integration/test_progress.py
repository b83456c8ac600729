"""How far a migration is: the views progress, progress_total and errors_summary, and the leader's line."""

import json
import threading
import time
from decimal import Decimal

import pytest

from test_steps import CUSTOMERS, ORDERS, Run, add_both, add_task, one, refuse_some, shop  # noqa: F401 (a fixture)

COLUMNS = ["migration", "task", "state", "chunks_done", "chunks_total", "documents_done", "documents_total", "rows_written",
           "refused", "bytes_read", "rows_per_second", "percent", "time_left", "started_at", "updated_at"]


def progress(connection, view="progress"):
    cursor = connection.execute(f"TABLE mongoferry.{view}")
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor]


def line(connection, run):
    return one(connection, "SELECT mongoferry.progress_line('migrate', %s, %s)", [run.migration, json.dumps(run.options)])


def test_columns(connection):
    cursor = connection.execute("TABLE mongoferry.progress")
    assert [column.name for column in cursor.description] == COLUMNS
    cursor = connection.execute("TABLE mongoferry.progress_total")
    assert [column.name for column in cursor.description if not column.name.startswith("tasks_")] \
        == [name for name in COLUMNS if name != "task"]


def test_step_by_step(shop, mongo):  # noqa: F811
    refuse_some(mongo)
    add_both(shop)
    before = progress(shop)
    assert [(row["task"], row["state"], row["percent"], row["documents_total"], row["time_left"]) for row in before] \
        == [("orders", "new", 0, None, None), ("customers", "new", 0, None, None)]
    run = Run(shop)
    seen, totals, lines = [], [], []
    while run.step() == "again":
        seen.append({row["task"]: row for row in progress(shop)})
        totals.append(progress(shop, "progress_total")[0])
        lines.append(line(shop, run))
    for task in "orders", "customers":
        percents = [rows[task]["percent"] for rows in seen]
        assert percents == sorted(percents) and percents[-1] == 100
        assert len(set(percents)) > 3
        for rows in seen:
            row = rows[task]
            assert (row["percent"] == 100) == (row["state"] == "done")
            assert row["documents_total"] is None or row["documents_done"] <= row["documents_total"]
    percents = [row["percent"] for row in totals]
    assert percents == sorted(percents) and percents[-1] == 100 and percents[-2] < 100
    assert all((row["percent"] == 100) == (row["state"] == "done") for row in totals)
    orders = seen[-1]["orders"]
    chunks = one(shop, "SELECT count(*) FROM mongoferry.chunk WHERE task = 'orders'")
    assert (orders["chunks_done"], orders["chunks_total"], orders["documents_done"], orders["documents_total"]) \
        == (chunks, chunks, 20, 20)
    assert (orders["rows_written"], orders["refused"]) == (16, 4)
    assert orders["bytes_read"] > 20 * 30 and orders["rows_per_second"] > 0 and orders["time_left"].total_seconds() == 0
    assert orders["started_at"] <= orders["updated_at"]
    assert (totals[-1]["tasks_done"], totals[-1]["tasks_total"], totals[-1]["rows_written"], totals[-1]["refused"]) == (2, 2, 26, 4)
    assert all(len(text) < 100 for text in lines)
    assert any("splitting customers" in text and "  0 %" in text for text in lines)
    assert any(f"customers 1/{seen[-1]['customers']['chunks_total']}" in text for text in lines)
    assert "100 %" in lines[-1] and "4 refused" in lines[-1] and "30 documents" in lines[-1]


def test_documents_inserted_meanwhile(shop, mongo):  # noqa: F811
    """More than were estimated: still no more than 100 per cent, and the totals are the real ones."""
    add_both(shop)
    run = Run(shop)
    assert run.step() == run.step() == "again"
    mongo.customers.insert_many([{"_id": i, "name": f"c{i}"} for i in range(100, 200)])
    percents = []
    while run.step() == "again":
        row = next(row for row in progress(shop) if row["task"] == "customers")
        percents.append(row["percent"])
        assert row["documents_done"] <= row["documents_total"]
    assert percents == sorted(percents) and percents[-1] == 100
    assert row["documents_done"] == row["documents_total"] == 110


# --- figures that depend on time: from chunks that the test makes up --------------------------------------------------------


@pytest.fixture
def made_up(shop):  # noqa: F811
    """A function that puts chunks of 1000 documents (and 2000 rows) into a running task: (began, ended) seconds ago, or None."""
    add_both(shop)
    shop.execute("""UPDATE mongoferry.task SET state = 'done' WHERE task = 'customers';
        UPDATE mongoferry.task SET state = 'running', documents_total = 0 WHERE task = 'orders'""")

    def make(*times):
        for number, ago in enumerate(times, 1):
            if ago is None:
                shop.execute("INSERT INTO mongoferry.chunk VALUES ('m', 'orders', %s, '', NULL, 1000)", [number])
            else:
                shop.execute("""INSERT INTO mongoferry.chunk VALUES ('m', 'orders', %s, '', NULL, 1000, 'done', 1000, 2000, 0, 5000,
                    now() - %s * interval '1 s', now() - %s * interval '1 s')""", [number, *ago])
        return next(row for row in progress(shop) if row["task"] == "orders")

    return make


# name: (chunks, rows per second, seconds left)
RATES = {
    "none yet": ([None, None], None, None),
    "one": ([(10, 0), None], 200, 10),
    "two after each other": ([(20, 10), (10, 0), None, None], 200, 20),
    "two at once": ([(10, 0), (10, 0), None, None], 400, 10),
    "what was long ago does not count": ([(5000, 4000), (4000, 3000), (20, 10), (10, 0), None], 200, 10),
    "of the last minute, between ends of chunks":
        ([(170, 140), (140, 110), (110, 80), (80, 50), (50, 35), (35, 20), (20, 10), (10, 0), None], 125, 16),
    "the present chunk has gone on for a while": ([(14, 4), None], 200, 6),
    "and for longer than expected": ([(20, 12), None], 250, 0),
    "nothing for long": ([(1000, 990), None], 0, None),
    "chunks that take long": ([(900, 450), (450, 0), None], 4.4, 450),
}


@pytest.mark.parametrize("case", RATES)
def test_rate_and_time_left(made_up, case):
    chunks, rate, left = RATES[case]
    row = made_up(*chunks)
    if rate is None:
        assert row["rows_per_second"] is None
    else:
        assert float(row["rows_per_second"]) == pytest.approx(rate, rel=0.05)
    if left is None:
        assert row["time_left"] is None
    else:
        assert row["time_left"].total_seconds() == pytest.approx(left, abs=1.5)


def test_the_time_between_two_runs_does_not_count(made_up, shop):  # noqa: F811
    shop.execute("INSERT INTO mongoferry.run (migration, job, started_at) VALUES ('m', 'migrate', now() - interval '10 s')")
    assert float(made_up((55, 50), (10, 0), None)["rows_per_second"]) == pytest.approx(200, rel=0.05)


def test_a_chunk_whose_size_is_not_known_counts(made_up, shop):  # noqa: F811
    shop.execute("INSERT INTO mongoferry.chunk VALUES ('m', 'orders', 98, '', NULL, 0), ('m', 'orders', 99, '', NULL, 0)")
    shop.execute("UPDATE mongoferry.chunk SET state = 'done', documents = 0, finished_at = now(), started_at = now() WHERE chunk = 98")
    assert made_up()["percent"] == 50


def test_almost_done_is_not_done(made_up):
    assert made_up(*[(2, 1)] * 3)["percent"] == Decimal("99.9")


# --- who sees what ----------------------------------------------------------------------------------------------------------


def test_only_ones_own(shop, mongo, connect, ordinary_role):  # noqa: F811
    refuse_some(mongo)
    add_both(shop)
    Run(shop).finish()
    stranger = connect(ordinary_role)
    for view in "progress", "progress_total", "errors_summary":
        assert one(shop, f"SELECT count(*) FROM mongoferry.{view}") > 0
        assert one(stranger, f"SELECT count(*) FROM mongoferry.{view}") == 0


def test_from_another_session_while_it_runs(shop, mongo, connect):  # noqa: F811
    """Figures only grow, and are there before the end."""
    mongo.customers.insert_many([{"_id": i, "name": f"c{i}"} for i in range(10, 600)])
    add_task(shop, "customers", "mongo.customers", "customer",
             "SELECT _id AS id, name FROM source, LATERAL (SELECT pg_sleep(0.001) FROM source AS s WHERE s._id IS NOT NULL LIMIT 1) AS x",
             chunk_size=20)
    call = threading.Thread(target=lambda: shop.execute("CALL mongoferry.migrate('m', workers => 2)"))
    call.start()
    watcher = connect()
    seen = []
    while call.is_alive():
        seen.append(progress(watcher, "progress_total")[0])
        time.sleep(0.02)
    call.join()
    seen.append(progress(watcher, "progress_total")[0])
    for name in "percent", "rows_written", "documents_done", "chunks_done":
        values = [row[name] for row in seen]
        assert values == sorted(values)
    assert any(0 < row["percent"] < 100 for row in seen) and seen[-1]["percent"] == 100


# --- errors_summary ---------------------------------------------------------------------------------------------------------

SUMMARIES = [
    # messages, causes with how many each
    (["invalid input syntax for type integer: \"abc\"", "invalid input syntax for type integer: \"x: \"\"y\""],
     [('invalid input syntax for type integer: ...', 2)]),
    (["value \"7\" is out of range for type integer", "value \"7\" is out of range for type smallint"],
     [('value ... is out of range for type integer', 1), ('value ... is out of range for type smallint', 1)]),
    (["total of 3 is less than -1.5", "total of 77 is less than 0"], [("total of ... is less than ...", 2)]),
    (["column \"a1\" of int4 is odd"], [("column \"a1\" of int4 is odd", 1)]),
]


@pytest.mark.parametrize("messages, causes", SUMMARIES)
def test_errors_are_grouped_by_cause(shop, messages, causes):  # noqa: F811
    add_both(shop)
    for message in messages:
        shop.execute("INSERT INTO mongoferry.errors (migration, task, raw, sqlstate, message) VALUES ('m', 'orders', '', '22000', %s)",
                     [message])
    assert shop.execute("SELECT cause, documents FROM mongoferry.errors_summary ORDER BY 1").fetchall() == causes


# --- the line ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding, bar", [("UTF8", "\u2588"), ("LATIN1", "#"), ("SQL_ASCII", "#")])
def test_the_line_is_of_what_the_client_can_show(shop, encoding, bar):  # noqa: F811
    add_both(shop)
    run = Run(shop)
    run.finish()
    shop.execute(f"SET client_encoding = '{encoding}'")
    text = line(shop, run)
    text = text.decode() if isinstance(text, bytes) else text
    assert text.count(bar) == 12 and (bar != "#" or text.isascii())


def test_large_numbers_leave_room(shop):  # noqa: F811
    """However large they are, the line has less than 100 characters and the most important figures."""
    name = "a task with quite a long name, and more of it than fits"
    add_task(shop, name, "mongo.customers", "customer", CUSTOMERS)
    shop.execute("""UPDATE mongoferry.task SET state = 'running', documents_total = 0;
        INSERT INTO mongoferry.chunk SELECT migration, task, n, '', NULL, 123456789012,
            CASE WHEN n < 123456 THEN 'done' ELSE 'pending' END, 123456789012, 123456789012, 0, 1,
            now() - interval '100 hours', now() - n * interval '1 ms'
            FROM mongoferry.task, generate_series(123400, 123500) AS n""")
    shop.execute("INSERT INTO mongoferry.errors (migration, task, raw, sqlstate, message) "
                 "SELECT 'm', task, '', '22000', '' FROM mongoferry.task, generate_series(1, 12345)")
    run = Run(shop)
    text = line(shop, run)
    assert len(text) < 100 and " 55 %" in text and "56/101" in text and "12,345 refused" in text and " left" in text


@pytest.mark.parametrize("number, text", [(0, "0"), (7, "7"), (7.25, "7.3"), (99, "99"), (100.4, "100"), (52300, "52,300"),
                                          (9999999, "9,999,999"), (12400000, "12.4M"), (9.999e9, "9,999.0M"), (5.3e10, "53.0G")])
def test_short_numbers(connection, number, text):
    assert one(connection, "SELECT mongoferry.short_number(%s::numeric)", [number]) == text


@pytest.mark.parametrize("duration, text", [("0", "0:00"), ("6 s", "0:06"), ("5.2 s", "0:06"), ("59 min 59 s", "59:59"), ("1 h", "1:00 h"),
                                            ("3 h 25 min 50 s", "3:25 h"), ("12 days", "12 d")])
def test_short_intervals(connection, duration, text):
    assert one(connection, "SELECT mongoferry.short_interval(%s)", [duration]) == text

"""mongoferry.why_not_pushed() names what is not sent, and why; the setting remote_explain asks the server."""

import psycopg
import pytest


@pytest.fixture
def tables(mongo, live_server, connection):
    mongo.orders.insert_many([{"_id": i, "name": f"n{i}", "d": i / 3} for i in range(10)])
    for table, pushdown in (("orders", "on"), ("kept", "off")):
        connection.execute(
            f"CREATE FOREIGN TABLE {table} (_id int, name text, d float8, at timestamptz) SERVER {live_server}"
            f" OPTIONS (collection 'orders', pushdown '{pushdown}')"
        )
    return connection


def reasons(connection, query):
    return connection.execute("SELECT * FROM mongoferry.why_not_pushed(%s)", (query,)).fetchall()


def test_nothing_is_named_where_all_is_sent(tables):
    assert reasons(tables, "SELECT * FROM orders WHERE _id = 5 AND name = 'n5'") == []
    assert reasons(tables, "SELECT count(*) FROM orders WHERE _id > 5") == []
    assert reasons(tables, "SELECT 1") == []


def test_a_condition_is_named_with_its_table_and_reason(tables):
    ((table, part, reason),) = reasons(tables, "SELECT * FROM orders o WHERE _id > 1 AND random() < 0.5 AND name = 'a'")
    assert (table, part) == ("o", "condition (random() < '0.5'::double precision)")
    assert reason and not reason.endswith(".")


def test_stages_above_a_condition_that_is_checked_here_are_named(tables):
    rows = reasons(tables, "SELECT count(*) FROM orders WHERE random() < 2")
    assert ("orders", "grouping", "a condition below it is checked here") in rows


def test_pushdown_off_and_files_are_reasons(tables):
    assert reasons(tables, "SELECT * FROM kept WHERE _id = 5") == [("kept", "everything", "pushdown is off")]


def test_an_aggregate_without_a_rule_is_named(tables):
    rows = reasons(tables, "SELECT array_agg(name) FROM orders")
    assert [row[:2] for row in rows] == [("orders", "grouping")]


@pytest.mark.parametrize("query", ["SELECT 1; SELECT 2", "", "CREATE TABLE made_by_it (a int)", "SELEC", "VACUUM"])
def test_it_takes_one_query_and_runs_nothing(tables, query):
    with pytest.raises(psycopg.errors.SyntaxError):
        reasons(tables, query)
    assert tables.execute("SELECT to_regclass('made_by_it')").fetchone() == (None,)


def test_a_query_is_not_run(tables):
    tables.execute("CREATE TABLE local_rows (a int)")
    reasons(tables, "INSERT INTO local_rows SELECT _id FROM orders")
    assert tables.execute("SELECT count(*) FROM local_rows").fetchone() == (0,)


def test_explain_asks_the_server_where_the_setting_says_so(tables):
    def plan(options=""):
        return "\n".join(line for (line,) in tables.execute(f"EXPLAIN {options} SELECT * FROM orders WHERE _id = 5"))

    assert "Server Plan" not in plan()
    tables.execute("SET mongoferry.remote_explain = on")
    assert "winningPlan" in plan()
    assert "executionStats" in plan("(ANALYZE)") and "executionStats" not in plan()


def test_a_scan_that_never_ran_shows_its_command(tables):
    """The local plan beside an aggregate has one too."""
    query = "EXPLAIN (ANALYZE, COSTS OFF) SELECT count(*) FROM orders WHERE name = 'n5'"
    lines = [line for (line,) in tables.execute(query)]
    commands = [line for line in lines if "Command: " in line]
    assert len(commands) == 2 and all('"n5"' in command for command in commands), "\n".join(lines)

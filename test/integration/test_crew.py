"""The leader of a run and its background workers, whatever happens to them: the machinery under CALL mongoferry.migrate().

What there is to do is the business of SQL functions (work_step and those around it). These tests put simple ones in their
place: a table of chunks, each with a statement of its own that does what the test wants to happen.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
import uuid

import psycopg
import pytest
from psycopg import errors

from harness.calls import Call, wait_until

# The functions that the crew calls, over the table public.chunk.
POLICY = """
DO $$
DECLARE
    own record;
BEGIN
    FOR own IN SELECT p.oid::regprocedure AS signature FROM pg_proc AS p
               WHERE pronamespace = 'mongoferry'::regnamespace AND prokind = 'f'
                   AND proname IN ('begin_run', 'end_run', 'work_step', 'step_failed', 'progress_line', 'run_problem')
    LOOP
        EXECUTE format('ALTER EXTENSION mongoferry DROP FUNCTION %s', own.signature);
        EXECUTE format('DROP FUNCTION %s CASCADE', own.signature);
    END LOOP;
END $$;

CREATE TABLE public.chunk (chunk int PRIMARY KEY, code text, state text DEFAULT 'pending', pid int, application text,
                           session_role text, role text, zone text, application_name text, failure text[]);
CREATE TABLE public.run (id int GENERATED ALWAYS AS IDENTITY, options jsonb, outcome text, ended boolean DEFAULT false);
CREATE SEQUENCE public.attempt;
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;

CREATE FUNCTION public.fail(code text, message text, detail text DEFAULT '-', hint text DEFAULT '-') RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = detail, HINT = hint;
END $$;

-- fails as long as it was called less than so many times; sequences don't roll back
CREATE FUNCTION public.fail_at_first(times int, code text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('public.attempt') <= times THEN
        PERFORM public.fail(code, message);
    END IF;
END $$;

CREATE FUNCTION mongoferry.begin_run(job text, migration text, options jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    run int;
BEGIN
    IF migration = 'nobody''s' THEN
        PERFORM public.fail('42704', 'migration "nobody''s" does not exist', 'D', 'H');
    END IF;
    INSERT INTO public.run (options) VALUES (options) RETURNING id INTO run;
    RETURN options || jsonb_build_object('run', run);
END $$;

CREATE FUNCTION mongoferry.work_step(job text, migration text, options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    mine public.chunk;
BEGIN
    IF clock_timestamp() > (options ->> 'deadline')::timestamptz THEN
        RETURN 'finished';
    END IF;
    SELECT * INTO mine FROM public.chunk AS c WHERE c.state = 'pending' ORDER BY c.chunk LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT FROM public.chunk AS c WHERE c.state = 'pending') THEN 'wait' ELSE 'finished' END;
    END IF;
    IF mine.chunk > 0 THEN -- others are steps that note nothing
        PERFORM mongoferry.note_step('orders', mine.chunk);
    END IF;
    EXECUTE mine.code;
    UPDATE public.chunk AS c SET state = 'done', pid = pg_backend_pid(), session_role = session_user, role = current_user,
            zone = current_setting('timezone'), application = current_setting('test.application', true),
            application_name = (SELECT a.application_name FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid())
        WHERE c.chunk = mine.chunk;
    RETURN 'again';
END $$;

CREATE FUNCTION mongoferry.step_failed(job text, migration text, task text, chunk int, options jsonb, sqlstate text,
                                       message text, detail text, hint text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.chunk AS c SET state = 'failed', failure = ARRAY[task, sqlstate, message, detail, hint]
        WHERE c.chunk = step_failed.chunk;
END $$;

CREATE FUNCTION mongoferry.progress_line(job text, migration text, options jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s of %s: %s of %s', job, migration, count(*) FILTER (WHERE state <> 'pending'), count(*))
    FROM public.chunk
$$;

CREATE FUNCTION mongoferry.end_run(job text, migration text, options jsonb, outcome text) RETURNS void LANGUAGE sql AS $$
    UPDATE public.run SET ended = true, outcome = end_run.outcome WHERE id = (end_run.options ->> 'run')::int
$$;

CREATE FUNCTION mongoferry.run_problem(job text, migration text, options jsonb)
    RETURNS TABLE (message text, detail text, hint text) LANGUAGE sql AS $$
    SELECT format('%s chunks of migration "%s" failed', count(*), migration), string_agg(failure[3], ', ' ORDER BY chunk),
        'Mend it.' FROM public.chunk WHERE state = 'failed' HAVING count(*) > 0
$$;
"""

WORKERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mongoferry worker' AND datname = current_database()"


def plan(connection, *codes, first=1):
    """Make these statements the chunks that there are to do; None: nothing special."""
    connection.execute("TRUNCATE public.chunk, public.run RESTART IDENTITY; ALTER SEQUENCE public.attempt RESTART")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO public.chunk (chunk, code) VALUES (%s, %s)",
                           [(first + i, code or "SELECT") for i, code in enumerate(codes)])


def states(connection):
    return [state for state, in connection.execute("SELECT state FROM public.chunk ORDER BY chunk")]


def workers(connection):
    return connection.execute(WORKERS).fetchone()[0]


def worker_pids(connection):
    return [pid for pid, in connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mongoferry worker' AND datname = current_database()")]


@pytest.fixture
def crew(connection, database, ordinary_role):
    """A connection to a database with the test's policy in place of the real one. No worker may be left at the end."""
    connection.execute(POLICY)
    yield connection
    assert workers(connection) == 0


@pytest.fixture
def call(connect, crew):
    """A function that starts a statement, by default a migrate: call("workers => 4"), call(sql=…, user=…) → a Call."""
    started = []

    def start(arguments="workers => 2", sql=None, user=None, setup=None):
        connection = connect(user)
        if setup:
            connection.execute(setup)
        started.append(Call(connection, sql or f"CALL mongoferry.migrate('shop', {arguments})"))
        return started[-1]

    yield start
    for one in started:
        one.wait()


@pytest.fixture
def start_server(start_postgres):
    """A function that starts a PostgreSQL of the test's own, with the policy in database postgres: start_server(settings)."""

    def start(settings):
        server = start_postgres(settings)
        server.psql("CREATE EXTENSION mongoferry;" + POLICY)
        return server

    return start


# --- doing the work ---------------------------------------------------------------------------------------------------


def test_all_chunks_are_done(crew, call):
    plan(crew, *["SELECT pg_sleep(0.05)"] * 20)
    assert call("workers => 3").wait() is None
    assert states(crew) == ["done"] * 20
    pids = {pid for pid, in crew.execute("SELECT pid FROM public.chunk")}
    assert len(pids) == 3, "each worker did some"
    assert crew.execute("SELECT ended, outcome FROM public.run").fetchall() == [(True, None)]


def test_nothing_to_do(crew, call):
    plan(crew)
    assert call("workers => 4").wait() is None
    assert crew.execute("SELECT ended FROM public.run").fetchall() == [(True,)]


def test_many_workers(crew, call):
    plan(crew, *["SELECT pg_sleep(0.02)"] * 60)
    assert call("workers => 12").wait() is None
    assert states(crew) == ["done"] * 60


def test_a_worker_that_waits_goes_on_when_another_has_made_work(crew, call):
    """The last chunk is made by the first, while the other worker has nothing to do."""
    plan(crew, "SELECT pg_sleep(0.7); INSERT INTO public.chunk (chunk, code) VALUES (2, 'SELECT pg_sleep(0.3)'), "
               "(3, 'SELECT pg_sleep(0.3)')")
    assert call("workers => 2").wait() is None
    assert states(crew) == ["done"] * 3
    assert crew.execute("SELECT count(DISTINCT pid) FROM public.chunk WHERE chunk > 1").fetchone() == (2,)


def test_options(crew, call):
    plan(crew)
    assert call("""max_duration => '1 hour', only_tasks => '{a,"b c"}', defer_indexes => true, workers => 1""").wait() is None
    options, late = crew.execute("SELECT options - 'deadline', (options ->> 'deadline')::timestamptz - now() "
                                 "FROM public.run").fetchone()
    assert options == {"only_tasks": ["a", "b c"], "defer_indexes": True, "defer_foreign_keys": False, "workers": 1}
    assert 3500 < late.total_seconds() <= 3600
    plan(crew)
    assert call().wait() is None
    assert crew.execute("SELECT options FROM public.run").fetchone()[0] == {
        "deadline": None, "only_tasks": None, "defer_indexes": False, "defer_foreign_keys": False, "workers": 2}


def test_max_duration_ends_between_chunks(crew, call):
    plan(crew, *["SELECT pg_sleep(0.2)"] * 100)
    start = time.monotonic()
    assert call("workers => 2, max_duration => '1 s'").wait() is None
    assert time.monotonic() - start < 4
    done = states(crew).count("done")
    assert 2 <= done <= 12
    assert call("workers => 2, max_duration => '1 s'").wait() is None
    assert states(crew).count("done") > done


def test_a_step_sees_violations_of_deferred_constraints_at_once(crew, call):
    crew.execute("CREATE TABLE public.parent (id int PRIMARY KEY); CREATE TABLE public.child "
                 "(id int REFERENCES public.parent DEFERRABLE INITIALLY DEFERRED)")
    plan(crew, "INSERT INTO public.child VALUES (1)", None)
    assert call("workers => 1").wait().sqlstate == "P0001"
    assert states(crew) == ["failed", "done"]
    assert crew.execute("SELECT failure[2] FROM public.chunk WHERE chunk = 1").fetchone() == ("23503",)


# --- as whom and with what ---------------------------------------------------------------------------------------------


def seen(connection):
    return connection.execute("SELECT DISTINCT session_role, role, zone, application FROM public.chunk").fetchall()


def test_settings_and_user_are_the_callers(crew, call, ordinary_role):
    plan(crew, None, None)
    assert call("workers => 2", user=ordinary_role,
                setup="SET timezone = 'Asia/Tokyo'; SET test.application = 'a ''value'''").wait() is None
    assert seen(crew) == [(ordinary_role, ordinary_role, "Asia/Tokyo", "a 'value'")]


@pytest.mark.parametrize("workers_asked", [2, 0])
def test_a_role_that_may_not_log_in(crew, call, ordinary_role, workers_asked):
    owner = f"owner_{uuid.uuid4().hex[:8]}"
    crew.execute(f"CREATE ROLE {owner} NOLOGIN; GRANT {owner} TO {ordinary_role}")
    try:
        plan(crew, None, "SELECT public.fail('XX000', current_setting('role'))")
        assert call(f"workers => {workers_asked}", user=ordinary_role, setup=f"SET ROLE {owner}").wait() is not None
        assert crew.execute("SELECT session_role, role FROM public.chunk WHERE chunk = 1").fetchone() == (
            ordinary_role, owner)
        assert crew.execute("SELECT failure[3] FROM public.chunk WHERE chunk = 2").fetchone() == (owner,)
    finally:
        crew.execute(f"DROP OWNED BY {owner}; DROP ROLE {owner}")


def test_a_superuser_in_another_role(crew, call, ordinary_role, superuser):
    plan(crew, None)
    assert call(setup=f"SET ROLE {ordinary_role}").wait() is None
    assert seen(crew)[0][:2] == (superuser, ordinary_role)


def test_a_role_of_the_settings_of_the_user_is_left_again(crew, call, ordinary_role):
    """ALTER ROLE … SET role applies to the workers' sessions too; the leader has reset it."""
    owner = f"owner_{uuid.uuid4().hex[:8]}"
    crew.execute(f"CREATE ROLE {owner}; GRANT {owner} TO {ordinary_role}; ALTER ROLE {ordinary_role} SET role = {owner}")
    try:
        plan(crew, None)
        assert call(user=ordinary_role, setup="SET ROLE NONE").wait() is None
        assert seen(crew)[0][:2] == (ordinary_role, ordinary_role)
        plan(crew, None)
        assert call(user=ordinary_role).wait() is None
        assert seen(crew)[0][:2] == (ordinary_role, owner)
    finally:
        crew.execute(f"ALTER ROLE {ordinary_role} RESET role; DROP ROLE {owner}")


def test_session_authorization(crew, call, ordinary_role):
    plan(crew, None)
    assert call(setup=f"SET SESSION AUTHORIZATION {ordinary_role}").wait() is None
    assert seen(crew)[0][:2] == (ordinary_role, ordinary_role)


def test_read_only_and_isolation_settings(crew, call):
    """Modes of the transaction are settings too, and must be the same in the workers."""
    plan(crew, "SELECT public.fail('XX000', current_setting('transaction_isolation'))")
    assert call(setup="SET default_transaction_isolation = 'repeatable read'").wait() is not None
    assert crew.execute("SELECT failure[3] FROM public.chunk").fetchone() == ("repeatable read",)
    plan(crew, None)
    assert call(setup="SET default_transaction_read_only = on").wait().sqlstate == "25006"
    plan(crew, None)
    crew.execute(f"ALTER DATABASE {crew.info.dbname} SET default_transaction_read_only = on")
    assert call(setup="SET default_transaction_read_only = off").wait() is None


def test_many_settings(crew, call):
    """What a session may have set, of all kinds."""
    plan(crew, None)
    setup = """SET client_encoding = 'LATIN1'; SET search_path = 'public, "odd ""one"'; SET datestyle = 'German, DMY';
               SET lock_timeout = '3s'; SET work_mem = '1MB'; SET statement_timeout = '10min'; SET log_statement = 'none';
               SET session_replication_role = 'origin'; SET bytea_output = 'escape'; SET intervalstyle = 'iso_8601';
               SET application_name = 'the app'; SET temp_buffers = '1MB'; SET role = 'none'; SET extra_float_digits = 0"""
    assert call(setup=setup).wait() is None
    assert states(crew) == ["done"]


def test_settings_that_only_a_superuser_may_make(crew, call, ordinary_role):
    """Made for the role by ALTER ROLE, they are handed over all the same; and they are no way to make others."""
    crew.execute(f"ALTER ROLE {ordinary_role} SET log_min_duration_statement = '1 h'")
    plan(crew, "SELECT public.fail('XX000', current_setting('log_min_duration_statement'))", "SET log_statement = 'all'")
    assert call("workers => 1", user=ordinary_role).wait() is not None
    assert crew.execute("SELECT failure[2], failure[3] FROM public.chunk ORDER BY chunk").fetchall() == [
        ("XX000", "1h"), ("42501", 'permission denied to set parameter "log_statement"')]


# --- what can be seen --------------------------------------------------------------------------------------------------


def test_progress_lines(crew, call):
    plan(crew, *["SELECT pg_sleep(0.25)"] * 4)
    one = call("workers => 1, progress_interval => '100 ms'")
    assert one.wait() is None
    lines = one.messages()
    assert lines == [f"migrate of shop: {done} of 4" for done in range(5)][-len(lines):]
    assert len(lines) >= 4, "the lines came while it ran, and none twice"


def test_the_last_line_is_printed_at_the_end(crew, call):
    plan(crew, None)
    one = call("workers => 1, progress_interval => '1 hour'")
    assert one.wait() is None
    assert one.messages() == ["migrate of shop: 1 of 1"]


def test_activity(crew, call):
    plan(crew, "SELECT pg_sleep(60)", "SELECT pg_sleep(60)")
    one = call("workers => 3")
    query = ("SELECT application_name, state, query, usename FROM pg_stat_activity WHERE backend_type = 'mongoferry worker' "
             "AND datname = current_database() AND application_name LIKE '%#%' ORDER BY 1")
    rows = wait_until(lambda: (found := crew.execute(query).fetchall()) and len(found) == 2 and found)
    assert rows == [(f"mongoferry shop/orders #{chunk}", "active", "SELECT mongoferry.work_step('migrate', 'shop', ...)",
                     crew.info.user) for chunk in (1, 2)]
    wait_until(lambda: workers(crew) == 3)
    crew.execute("SELECT pg_cancel_backend(%s)", (one.pid,))
    assert one.wait().sqlstate == "57014"


@pytest.mark.parametrize("workers_asked", [1, 0])
def test_warnings_of_the_workers(crew, call, workers_asked):
    plan(crew, *["DO $$ BEGIN RAISE WARNING 'beware' USING DETAIL = 'D', HINT = 'H'; RAISE NOTICE 'well'; "
                 "PERFORM pg_sleep(0.2); END $$"] * 3)
    one = call(f"workers => {workers_asked}, progress_interval => '1 hour'")
    assert one.wait() is None
    assert [notice for notice in one.notices if notice[0] == "WARNING"] == [("WARNING", "beware", "D", "H")] * 3


def test_more_warnings_than_the_leader_can_pass_on(crew, call):
    plan(crew, "DO $$ BEGIN FOR i IN 1 .. 5000 LOOP RAISE WARNING 'beware'; END LOOP; END $$", None)
    one = call("workers => 1")
    assert one.wait() is None
    told = len(one.messages("WARNING"))
    missed, = (line for line in one.messages() if "more warnings" in line)
    assert missed == f"{5000 - told} more warnings of the workers are in the server log"


def test_the_leader_holds_no_snapshot_and_no_old_transaction(crew, call):
    plan(crew, "SELECT pg_sleep(4)")
    one = call("workers => 1, progress_interval => '1 hour'")
    wait_until(lambda: workers(crew) == 1)
    time.sleep(2.5)
    xmin, xid, age = crew.execute("SELECT backend_xmin, backend_xid, extract(epoch FROM clock_timestamp() - xact_start) "
                                  "FROM pg_stat_activity WHERE pid = %s", (one.pid,)).fetchone()
    assert xmin is None and xid is None and age < 2
    assert one.wait() is None


def test_note_step_in_an_ordinary_session(crew):
    before = crew.execute("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()").fetchone()
    crew.execute("SELECT mongoferry.note_step('orders', 3), mongoferry.note_step(NULL, NULL)")
    crew.execute("SELECT mongoferry.note_step('orders', 3)")
    assert crew.execute("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()").fetchone() == before


def test_a_long_name_of_task_and_migration(crew, call):
    name = "ü" * 500
    crew.execute(f"UPDATE pg_proc SET prosrc = replace(prosrc, '''orders''', '''{name}''') WHERE proname = 'work_step'")
    plan(crew, None, "SELECT public.fail('XX000', repeat('ü', 5000))")
    one = call(sql=f"CALL mongoferry.migrate('{'é' * 300}', workers => 1)")
    assert one.wait().sqlstate == "P0001"
    assert crew.execute("SELECT failure[1], failure[3] FROM public.chunk WHERE chunk = 2").fetchone() == (name, "ü" * 5000)
    shown = crew.execute("SELECT application_name FROM public.chunk WHERE chunk = 1").fetchone()[0]
    assert shown.startswith("mongoferry ?") and shown.isascii()


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers_asked", [1, 2, 0])
def test_a_step_that_fails(crew, call, workers_asked):
    plan(crew, None, "SELECT public.fail('22012', 'it is wrong', 'so wrong', 'do better')", None)
    error = call(f"workers => {workers_asked}").wait()
    assert states(crew) == ["done", "failed", "done"]
    assert crew.execute("SELECT failure FROM public.chunk WHERE chunk = 2").fetchone() == (
        ["orders", "22012", "it is wrong", "so wrong", "do better"],)
    assert (error.sqlstate, error.diag.message_primary, error.diag.message_detail, error.diag.message_hint) == (
        "P0001", '1 chunks of migration "shop" failed', "it is wrong", "Mend it.")
    assert crew.execute("SELECT ended FROM public.run").fetchone() == (True,)


@pytest.mark.parametrize("workers_asked", [2, 0])
def test_an_error_of_no_task_ends_the_run(crew, call, workers_asked):
    plan(crew, "SELECT public.fail('42P01', 'something is missing', 'a table', 'make it')", first=0)
    error = call(f"workers => {workers_asked}").wait()
    assert (error.sqlstate, error.diag.message_primary, error.diag.message_detail, error.diag.message_hint) == (
        "42P01", "something is missing", "a table", "make it")
    assert "work_step" in error.diag.context
    assert crew.execute("SELECT ended, outcome FROM public.run").fetchone() == (True, "something is missing")


def test_an_error_in_begin_run(crew, call):
    plan(crew, None)
    error = call(sql="CALL mongoferry.migrate('nobody''s')").wait()
    assert (error.sqlstate, error.diag.message_detail) == ("42704", "D")
    assert states(crew) == ["pending"]


def test_an_error_in_step_failed(crew, call):
    crew.execute("UPDATE pg_proc SET prosrc = 'BEGIN PERFORM public.fail(''23514'', ''cannot say''); END' "
                 "WHERE proname = 'step_failed'")
    plan(crew, "SELECT 1/0")
    assert call().wait().diag.message_primary == "cannot say"


@pytest.mark.parametrize("workers_asked", [1, 0])
def test_a_failure_that_step_failed_does_not_note(crew, call, workers_asked):
    """The same step would fail for ever."""
    crew.execute("UPDATE pg_proc SET prosrc = 'BEGIN END' WHERE proname = 'step_failed'")
    plan(crew, "SELECT 1/0")
    assert call(f"workers => {workers_asked}").wait().sqlstate == "22012"


def test_an_unknown_outcome(crew, call):
    crew.execute("UPDATE pg_proc SET prosrc = $$BEGIN RETURN 'what'; END$$ WHERE proname = 'work_step'")
    assert 'mongoferry.work_step() returned "what"' in str(call().wait())


@pytest.mark.parametrize("workers_asked", [1, 3, 0])
@pytest.mark.parametrize("sqlstate", ["08006", "40001", "40P01", "55P03", "53300", "57P01"])
def test_a_transient_error_is_tried_again(crew, call, workers_asked, sqlstate):
    plan(crew, f"SELECT public.fail_at_first(2, '{sqlstate}', 'not just now')", None)
    one = call(f"workers => {workers_asked}")
    assert one.wait() is None
    assert states(crew) == ["done", "done"]
    assert crew.execute("SELECT last_value FROM public.attempt").fetchone() == (3,)
    assert "shop/orders #1 failed for now and is tried again: not just now" in one.messages()


def test_how_long_a_retry_waits(crew, call, server_log):
    plan(crew, "SELECT public.fail_at_first(4, '08006', 'not just now')")
    start = time.monotonic()
    assert call("workers => 1").wait() is None
    assert time.monotonic() - start > 0.25 + 0.5 + 1 + 2
    assert re.findall(r"LOG:  mongoferry tries shop/orders #1 again in (\d+) ms: not just now", server_log()) == [
        "250", "500", "1000", "2000"]


@pytest.mark.parametrize("workers_asked", [2, 0])
def test_retries_end(crew, call, workers_asked):
    plan(crew, "SELECT public.fail('08001', 'gone for good')", None)
    start = time.monotonic()
    error = call(f"workers => {workers_asked}, retry_for => '1 s'").wait()
    assert 0.9 < time.monotonic() - start < 10
    assert error.sqlstate == "P0001"
    assert states(crew) == ["failed", "done"]
    assert crew.execute("SELECT failure[2:3] FROM public.chunk WHERE chunk = 1").fetchone() == (["08001", "gone for good"],)


def test_no_retries(crew, call):
    plan(crew, "SELECT public.fail('08001', 'gone')")
    one = call("retry_for => '0'")
    assert one.wait().sqlstate == "P0001"
    assert not [line for line in one.messages() if "tried again" in line]


def test_a_failed_commit_of_a_step_is_tried_again(crew, call):
    """Serialization failures come as late as the commit."""
    crew.execute("""
        CREATE FUNCTION public.fail_late() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM public.fail_at_first(2, '40001', 'late'); RETURN NULL; END $$;
        CREATE TABLE public.late (a int);
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON public.late DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION public.fail_late()""")
    plan(crew, "SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.late VALUES (1)")
    assert call("workers => 1").wait() is None
    assert crew.execute("SELECT count(*) FROM public.late").fetchone() == (1,)


ARGUMENTS = [
    ("NULL", "22004", 'argument "migration" of migrate() must not be null'),
    ("'shop', workers => NULL", "22004", 'argument "workers" of migrate() must not be null'),
    ("'shop', retry_for => NULL", "22004", 'argument "retry_for" of migrate() must not be null'),
    ("'shop', defer_indexes => NULL", "22004", 'argument "defer_indexes" of migrate() must not be null'),
    ("'shop', workers => -1", "22023", 'argument "workers" of migrate() must be between 0 and 1024, not -1'),
    ("'shop', workers => 1025", "22023", 'argument "workers" of migrate() must be between 0 and 1024, not 1025'),
    ("'shop', max_duration => '0'", "22023", 'argument "max_duration" of migrate() must be a positive duration'),
    ("'shop', max_duration => '-1 day 2 hours'", "22023", 'argument "max_duration" of migrate() must be a positive duration'),
    ("'shop', progress_interval => '0'", "22023", 'argument "progress_interval" of migrate() must be a positive duration'),
    ("'shop', retry_for => '-1 s'", "22023", 'argument "retry_for" of migrate() must be zero or a positive duration'),
]


@pytest.mark.parametrize("arguments, sqlstate, message", ARGUMENTS)
def test_arguments(crew, arguments, sqlstate, message):
    with pytest.raises(psycopg.Error) as caught:
        crew.execute(f"CALL mongoferry.migrate({arguments})")
    assert (caught.value.sqlstate, caught.value.diag.message_primary) == (sqlstate, message)


@pytest.mark.parametrize("sql", [
    "BEGIN; CALL mongoferry.migrate('shop')",
    "SELECT 1; CALL mongoferry.migrate('shop')",
    "DO $$ BEGIN BEGIN CALL mongoferry.migrate('shop'); EXCEPTION WHEN division_by_zero THEN NULL; END; END $$",
    "SELECT public.wrap()",
])
def test_not_in_a_transaction_block(crew, sql):
    crew.execute("CREATE FUNCTION public.wrap() RETURNS void LANGUAGE plpgsql AS "
                 "$$ BEGIN CALL mongoferry.migrate('shop'); END $$")
    with pytest.raises(errors.ActiveSqlTransaction) as caught:
        crew.execute(sql)
    assert caught.value.diag.message_primary == "migrate() cannot run inside a transaction block"
    assert "by itself" in caught.value.diag.message_hint
    crew.execute("ROLLBACK")


def test_in_a_procedure_of_the_user(crew, call):
    plan(crew, None, None)
    assert call(sql="DO $$ BEGIN CALL mongoferry.migrate('shop', workers => 1); CALL mongoferry.migrate('shop', 0); END $$"
                ).wait() is None
    assert states(crew) == ["done", "done"]


def test_extended_protocol(crew, connect):
    """As JDBC and others call it: with parameters, in autocommit."""
    plan(crew, None)
    connect().execute("CALL mongoferry.migrate(%s, workers => %s)", ("shop", 1), prepare=True)
    assert states(crew) == ["done"]


# --- exclusion --------------------------------------------------------------------------------------------------------


def test_two_leaders_exclude_each_other(crew, call):
    plan(crew, "SELECT pg_sleep(60)")
    first = call("workers => 1")
    wait_until(lambda: workers(crew) == 1)
    error = call("workers => 1").wait()
    assert (error.sqlstate, error.diag.message_primary) == ("55006", 'migration "shop" is already being run')
    assert error.diag.message_detail == f"The process with PID {first.pid} runs it."
    assert f"pg_cancel_backend({first.pid})" in error.diag.message_hint
    assert call(sql="CALL mongoferry.migrate('other', workers => 1, max_duration => '0.5 s')").wait() is None
    crew.execute("SELECT pg_cancel_backend(%s)", (first.pid,))
    assert first.wait().sqlstate == "57014"
    plan(crew, None)
    assert call("workers => 1").wait() is None, "the lock was given up"


@pytest.mark.parametrize("code", ["SELECT 1/0", "SELECT public.fail('XX000', 'x')"])
def test_the_lock_is_given_up_after_an_error(crew, connect, code):
    mine = connect()
    plan(crew, code, first=0)
    for _ in range(2):
        with pytest.raises(psycopg.Error) as caught:
            mine.execute("CALL mongoferry.migrate('shop')")
        assert caught.value.sqlstate in ("22012", "XX000")
    assert mine.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_a_migrate_within_itself(crew, call):
    plan(crew, "CALL mongoferry.migrate('shop')")
    call("workers => 0").wait()
    assert crew.execute("SELECT failure[2] FROM public.chunk").fetchone() == ("25001",)


# --- cancel and termination ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers_asked", [1, 4, 0])
@pytest.mark.parametrize("how, sqlstate", [("pg_cancel_backend", "57014"), ("pg_terminate_backend", "57P01")])
def test_stopping_the_leader(crew, call, how, sqlstate, workers_asked):
    plan(crew, None, *["SELECT pg_sleep(60)"] * 4)
    one = call(f"workers => {workers_asked}")
    wait_until(lambda: crew.execute("SELECT count(*) >= %s FROM pg_stat_activity WHERE application_name LIKE "
                                    "'mongoferry shop/orders #%%' AND wait_event = 'PgSleep' AND datname = "
                                    "current_database()", (workers_asked or 1,)).fetchone()[0])
    stopped_at = time.monotonic()
    crew.execute(f"SELECT {how}(%s)", (one.pid,))
    assert one.wait().sqlstate == sqlstate
    assert time.monotonic() - stopped_at < 3
    if how == "pg_terminate_backend":
        wait_until(lambda: not crew.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (one.pid,)).fetchall())
    assert workers(crew) == 0
    assert states(crew) == ["done"] + ["pending"] * 4
    assert crew.execute("SELECT ended FROM public.run").fetchone() == (False,), "it was interrupted"
    if how == "pg_cancel_backend":
        assert one.connection.execute("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
                                      ).fetchone() == ("",)


def test_ctrl_c_in_psql(crew, postgres):
    plan(crew, "SELECT pg_sleep(60)", "SELECT pg_sleep(60)")
    psql = subprocess.Popen([postgres.bin / "psql", "-X", "-c", "CALL mongoferry.migrate('shop', workers => 2)"],
                            env={**os.environ, **postgres.environment(crew.info.dbname)}, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: workers(crew) == 2)
    psql.send_signal(signal.SIGINT)
    _, stderr = psql.communicate(timeout=20)
    assert "ERROR:  canceling statement due to user request" in stderr
    assert workers(crew) == 0


def test_a_client_that_goes_away(crew, postgres):
    plan(crew, "SELECT pg_sleep(1.5)", "SELECT pg_sleep(60)")
    psql = subprocess.Popen([postgres.bin / "psql", "-X", "-c",
                             "CALL mongoferry.migrate('shop', workers => 1, progress_interval => '100 ms')"],
                            env={**os.environ, **postgres.environment(crew.info.dbname)}, stderr=subprocess.DEVNULL)
    wait_until(lambda: workers(crew) == 1)
    psql.kill()
    psql.wait()
    wait_until(lambda: workers(crew) == 0)


def test_statement_timeout_is_the_calls(crew, call):
    plan(crew, *["SELECT pg_sleep(0.1)"] * 100)
    start = time.monotonic()
    assert call("workers => 2", setup="SET statement_timeout = '1 s'").wait().sqlstate == "57014"
    assert time.monotonic() - start < 4


def test_a_worker_is_terminated(crew, call):
    plan(crew, "SELECT pg_sleep(1.5)", "SELECT pg_sleep(1.5)", None)
    one = call("workers => 2")
    pid, = wait_until(lambda: crew.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'mongoferry "
                                           "shop/orders #2' AND datname = current_database()").fetchone())
    crew.execute("SELECT pg_terminate_backend(%s)", (pid,))
    assert one.wait() is None
    assert states(crew) == ["done"] * 3
    warning, = (notice for notice in one.notices if notice[0] == "WARNING")
    assert re.fullmatch(r'background worker \d of migration "shop" ended at shop/orders #2: terminating background worker '
                        r'"mongoferry worker" due to administrator command', warning[1])
    assert warning[2] == "Another one takes its place; what it had not committed is done again."


def test_workers_that_are_always_terminated(crew, call):
    plan(crew, "SELECT pg_terminate_backend(pg_backend_pid()); SELECT pg_sleep(10)")
    one = call("workers => 2")
    error = one.wait()
    assert (error.sqlstate, error.diag.message_primary) == (
        "57000", 'all background workers of migration "shop" ended before their work was done')
    assert 2 <= len(one.messages("WARNING")) <= 8
    assert crew.execute("SELECT ended, outcome FROM public.run").fetchone() == (True, error.diag.message_primary)


def test_cancelling_a_workers_statement_fails_its_step(crew, call):
    plan(crew, "SELECT pg_sleep(60)", None)
    one = call("workers => 1")
    wait_until(lambda: crew.execute("SELECT FROM pg_stat_activity WHERE application_name = 'mongoferry shop/orders #1' AND "
                                    "datname = current_database()").fetchall())
    crew.execute("SELECT pg_cancel_backend(%s)", (worker_pids(crew)[0],))
    assert one.wait().sqlstate == "P0001"
    assert crew.execute("SELECT failure[2] FROM public.chunk WHERE chunk = 1").fetchone() == ("57014",)
    assert states(crew) == ["failed", "done"]


def test_cancelling_workers_that_wait_does_nothing(crew, call):
    plan(crew, "SELECT pg_sleep(2)")
    one = call("workers => 2")
    wait_until(lambda: workers(crew) == 2)
    for _ in range(20):
        crew.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'mongoferry worker' AND "
                     "application_name = 'mongoferry shop' AND state = 'idle' AND datname = current_database()")
        time.sleep(0.05)
    assert one.wait() is None
    assert not one.messages("WARNING")


def test_a_worker_that_cannot_connect(crew, call, ordinary_role):
    """The role may not log in any more when the workers start."""
    plan(crew, None)
    crew.execute(f"GRANT SELECT ON pg_authid TO {ordinary_role}; ALTER ROLE {ordinary_role} SUPERUSER")
    crew.execute(f"UPDATE pg_proc SET prosrc = replace(prosrc, 'IF migration', 'ALTER ROLE {ordinary_role} NOLOGIN; IF "
                 "migration') WHERE proname = 'begin_run'")
    one = call("workers => 2", user=ordinary_role)
    assert one.wait().sqlstate == "57000"
    assert len(one.messages("WARNING")) == 2
    assert all(f'could not start: role "{ordinary_role}" is not permitted to log in' in line
               for line in one.messages("WARNING"))
    crew.execute(f"REVOKE SELECT ON pg_authid FROM {ordinary_role}; ALTER ROLE {ordinary_role} NOSUPERUSER LOGIN")


# --- a source that fails ----------------------------------------------------------------------------------------------


@pytest.fixture
def far_table(psql, proxy, mongo):
    """A foreign table public.far of 1000 documents, a kilobyte each, behind a proxy; gives the proxy."""
    mongo.orders.insert_many({"_id": i, "x": "y" * 1000} for i in range(1000))
    between = proxy()
    psql(f"""CREATE SERVER far FOREIGN DATA WRAPPER mongoferry OPTIONS
                 (uri '{between.uri}', database '{mongo.name}', server_selection_timeout '1s');
             CREATE USER MAPPING FOR PUBLIC SERVER far;
             CREATE FOREIGN TABLE public.far (_id int, x text) SERVER far OPTIONS (collection 'orders', fetch_size '100');
             CREATE TABLE public.near (_id int, x text)""")
    return between


COPY = "INSERT INTO public.near SELECT * FROM public.far"


@pytest.mark.parametrize("workers_asked", [1, 0])
def test_a_connection_that_is_cut_in_a_scan(crew, call, far_table, workers_asked):
    plan(crew, COPY, None)
    far_table.cut_after(300_000)
    one = call(f"workers => {workers_asked}")
    assert one.wait() is None
    assert crew.execute("SELECT count(*) FROM public.near").fetchone() == (1000,)
    trouble, = (notice for notice in one.notices if "tried again" in notice[1])
    assert trouble[1].startswith('shop/orders #1 failed for now and is tried again: lost the connection to server "far"')
    assert "Connection reset by peer" in trouble[2]


def test_a_source_that_is_away_for_a_while(crew, call, far_table):
    plan(crew, COPY, *[None] * 3)
    far_table.refuse()
    one = call("workers => 2")
    wait_until(lambda: any('could not connect to server "far"' in message for message in one.messages()))
    wait_until(lambda: states(crew) == ["pending", "done", "done", "done"])
    far_table.accept()
    assert one.wait() is None
    assert crew.execute("SELECT count(*) FROM public.near").fetchone() == (1000,)


@pytest.mark.parametrize("how, sqlstate", [("pg_cancel_backend", "57014"), ("pg_terminate_backend", "57P01")])
def test_workers_that_wait_for_a_silent_source_end_at_once(crew, call, far_table, how, sqlstate):
    plan(crew, COPY, COPY)
    far_table.silence_after(300_000)
    one = call("workers => 2")
    wait_until(lambda: crew.execute("SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name LIKE "
                                    "'mongoferry shop/orders #%' AND wait_event = 'Extension' AND datname = "
                                    "current_database()").fetchone()[0])
    time.sleep(0.5)
    stopped_at = time.monotonic()
    crew.execute(f"SELECT {how}(%s)", (one.pid,))
    assert one.wait().sqlstate == sqlstate
    assert time.monotonic() - stopped_at < 2
    wait_until(lambda: workers(crew) == 0, 1)


# --- run_workers --------------------------------------------------------------------------------------------------------

RUN_WORKERS = "SELECT mongoferry.run_workers('validate', 'shop', '{{\"run\": 1}}', {})"


@pytest.mark.parametrize("workers_asked", [2, 0])
def test_run_workers_in_a_function(crew, call, workers_asked):
    plan(crew, *["SELECT pg_sleep(0.1)"] * 6)
    one = call(sql=RUN_WORKERS.format(workers_asked))
    assert one.wait() is None
    assert states(crew) == ["done"] * 6
    assert one.messages()[-1] == "validate of shop: 6 of 6"


@pytest.mark.parametrize("workers_asked", [2, 0])
def test_run_workers_in_a_transaction_block(crew, connect, workers_asked):
    plan(crew, None, None)
    mine = connect()
    with mine.transaction():
        mine.execute(RUN_WORKERS.format(workers_asked))
        assert states(mine) == ["done"] * 2
        if workers_asked == 0:
            assert states(crew) == ["pending"] * 2, "it has not committed"
    assert states(crew) == ["done"] * 2


@pytest.mark.parametrize("workers_asked", [2, 0])
def test_a_step_that_fails_ends_run_workers(crew, call, workers_asked):
    """An error of a function, as any other one; step_failed() is migrate's."""
    plan(crew, "SELECT public.fail('22012', 'it is wrong', 'so wrong', 'do better')", *["SELECT pg_sleep(60)"] * 1)
    error = call(sql=RUN_WORKERS.format(workers_asked)).wait()
    assert (error.sqlstate, error.diag.message_primary, error.diag.message_detail, error.diag.message_hint) == (
        "22012", "it is wrong", "so wrong", "do better")
    assert states(crew) == ["pending"] * 2
    plan(crew, "SELECT public.fail_at_first(2, '08006', 'not just now')")
    assert call(sql=RUN_WORKERS.format(workers_asked)).wait() is None


def test_run_workers_in_a_subtransaction_that_fails(crew, connect):
    plan(crew, "SELECT public.fail('42P01', 'something is missing')", first=0)
    mine = connect()
    with mine.transaction():
        for _ in range(2):
            with pytest.raises(errors.UndefinedTable), mine.transaction():
                mine.execute(RUN_WORKERS.format(2))
            assert workers(crew) == 0
        plan(crew, None)
        mine.execute(RUN_WORKERS.format(1))
    assert states(crew) == ["done"]


def test_run_workers_in_a_security_definer_function(crew, connect, ordinary_role):
    crew.execute(f"""CREATE FUNCTION public.wrap() RETURNS void LANGUAGE sql SECURITY DEFINER AS
                         $$ {RUN_WORKERS.format(2)} $$;
                     ALTER FUNCTION public.wrap() OWNER TO {ordinary_role}""")
    plan(crew, None, None)
    connect().execute("SELECT public.wrap()")
    assert crew.execute("SELECT DISTINCT role FROM public.chunk").fetchall() == [(ordinary_role,)]


def test_run_workers_is_cancelled(crew, call):
    plan(crew, *["SELECT pg_sleep(60)"] * 2)
    one = call(sql=RUN_WORKERS.format(2))
    wait_until(lambda: workers(crew) == 2)
    crew.execute("SELECT pg_cancel_backend(%s)", (one.pid,))
    assert one.wait().sqlstate == "57014"
    assert workers(crew) == 0


def test_workers_that_wait_for_the_callers_locks(crew, connect):
    plan(crew, "INSERT INTO public.locked VALUES (1)")
    crew.execute("CREATE TABLE public.locked (a int PRIMARY KEY)")
    mine = connect()
    with pytest.raises(errors.DeadlockDetected) as caught, mine.transaction():
        mine.execute("INSERT INTO public.locked VALUES (1)")
        mine.execute(RUN_WORKERS.format(2))
    assert caught.value.diag.message_primary == 'the workers of migration "shop" wait for a lock that this session holds'
    assert workers(crew) == 0


def test_two_run_workers_exclude_each_other_and_not_migrate(crew, call):
    plan(crew, "SELECT pg_sleep(60)")
    one = call(sql=RUN_WORKERS.format(1))
    wait_until(lambda: workers(crew) == 1)
    error = call(sql=RUN_WORKERS.format(1)).wait()
    assert (error.sqlstate, error.diag.message_primary) == (
        "55006", 'job "validate" of migration "shop" is already being run')
    assert call("workers => 1, max_duration => '0.5 s'").wait() is None
    crew.execute("SELECT pg_cancel_backend(%s)", (one.pid,))
    assert one.wait().sqlstate == "57014"


# --- servers of their own ---------------------------------------------------------------------------------------------


def test_no_background_worker_is_free(start_server):
    server = start_server("max_worker_processes = 0\nmax_parallel_workers = 0\nmax_logical_replication_workers = 0\n")
    with server.connect() as connection:
        plan(connection, None, None, "SELECT public.fail_at_first(1, '08006', 'not now')")
        one = Call(server.connect(), "CALL mongoferry.migrate('shop', workers => 4)")
        assert one.wait() is None
        assert states(connection) == ["done"] * 3
        notice = one.notices[0]
        assert notice[1] == 'no background worker is free: this session does the work of migration "shop" itself'
        assert '"max_worker_processes" (0)' in notice[3]
        one.connection.close()


def test_fewer_background_workers_are_free_than_asked_for(start_server):
    server = start_server("max_worker_processes = 3\n")  # one is the logical replication launcher's
    with server.connect() as connection:
        plan(connection, *["SELECT pg_sleep(0.2)"] * 4)
        one = Call(server.connect(), "CALL mongoferry.migrate('shop', workers => 4)")
        assert one.wait() is None
        assert states(connection) == ["done"] * 4
        assert one.notices[0][1] == 'only 2 of 4 background workers could be started for migration "shop"'
        one.connection.close()


@pytest.mark.parametrize("victim", ["worker", "leader", "postmaster"])
def test_kill_9(start_server, victim):
    """PostgreSQL restarts after it; nothing of the crew is left, and the next call goes on."""
    server = start_server("synchronous_commit = on\n")
    with contextlib.closing(server.connect()) as connection:
        plan(connection, *["SELECT pg_sleep(0.2)"] * 10)
        one = Call(server.connect(), "CALL mongoferry.migrate('shop', workers => 2)")
        wait_until(lambda: states(connection).count("done") >= 2)
        pid = {"worker": lambda: worker_pids(connection)[0], "leader": lambda: one.pid,
               "postmaster": lambda: server.pid}[victim]()
        crew = [one.pid, *worker_pids(connection)]
        os.kill(pid, signal.SIGKILL)
    assert one.wait() is not None
    for process in crew:
        wait_until(lambda: not os.path.exists(f"/proc/{process}"))
    if victim == "postmaster":
        server.stop()
        server.start()

    with server.connect_when_ready() as connection:
        assert workers(connection) == 0
        assert "pending" in states(connection)
        assert Call(server.connect(), "CALL mongoferry.migrate('shop', workers => 2)").wait() is None
        assert states(connection) == ["done"] * 10


def test_a_server_that_is_stopped_while_it_runs(start_server):
    """A fast shutdown ends leader and workers, and does not wait."""
    server = start_server("")
    with contextlib.closing(server.connect()) as connection:
        plan(connection, *["SELECT pg_sleep(60)"] * 2)
        one = Call(server.connect(), "CALL mongoferry.migrate('shop', workers => 2)")
        wait_until(lambda: workers(connection) == 2)
    start = time.monotonic()
    os.kill(server.pid, signal.SIGINT)
    assert one.wait().sqlstate == "57P01"
    server.stop()
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("workers_asked", [1, 0])
def test_memory_does_not_grow_with_the_steps(crew, call, workers_asked):
    crew.execute("CREATE TABLE public.memory (chunk int GENERATED ALWAYS AS IDENTITY, used bigint)")
    measure = "INSERT INTO public.memory (used) SELECT sum(used_bytes) FROM pg_backend_memory_contexts"
    plan(crew, *([None] * 99 + [measure]) * 10)
    assert call(f"workers => {workers_asked}, progress_interval => '20 ms'").wait() is None
    used = [used for used, in crew.execute("SELECT used FROM public.memory ORDER BY chunk")]
    assert len(used) == 10
    assert used[-1] - used[2] < 50000, used


def test_nothing_leaks(start_server):
    """Fifty runs in one session, some of them failing: no shared memory, no lock and no memory of the session is left."""
    server = start_server("dynamic_shared_memory_type = mmap\n")
    segments = server.data / "pg_dynshmem"

    def memory(connection):
        # what stands in contexts that live as long as the session
        return connection.execute("SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name IN "
                                  "('TopMemoryContext', 'mongoferry leader', 'mongoferry step')").fetchone()[0]

    with contextlib.closing(server.connect()) as control, contextlib.closing(server.connect()) as connection:
        def run(kind):
            plan(control, *{"good": [None, None], "failing": ["SELECT 1/0"], "stopping": ["SELECT 1/0"],
                            "retrying": ["SELECT public.fail_at_first(1, '08006', 'x')"]}[kind],
                 first=0 if kind == "stopping" else 1)
            with contextlib.suppress(errors.RaiseException, errors.DivisionByZero):
                connection.execute("CALL mongoferry.migrate('shop', workers => 2)")

        kinds = ["good", "failing", "stopping", "retrying", "good"]
        for kind in kinds:
            run(kind)
        files, used = len(list(segments.iterdir())), memory(connection)
        for round_number in range(50):
            run(kinds[round_number % len(kinds)])
        assert len(list(segments.iterdir())) <= files
        assert memory(connection) < used + 20000
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
        assert workers(control) == 0

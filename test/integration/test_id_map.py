"""The map from source keys to UUIDs under concurrency, with rights, and through a dump."""

import os
import random
import subprocess
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import IsolationLevel, errors

MAP_IDS = "SELECT source_id, id FROM mongoferry.map_ids(%s, %s)"
MAP_ID = "SELECT mongoferry.map_id(%s, %s)"


def wait_until_blocked(watcher, connection):
    """Return when another session keeps `connection` waiting."""
    for _ in range(1000):
        blockers = watcher.execute("SELECT pg_blocking_pids(%s)", (connection.info.backend_pid,)).fetchone()[0]
        if blockers:
            return
        watcher.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("the session never waited")


def run_all(actions):
    """Run functions at the same time, each in a thread; their results. A failure of one is raised."""
    barrier = threading.Barrier(len(actions), timeout=30)

    def run(action):
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result(timeout=120) for future in [pool.submit(run, action) for action in actions]]


def assert_one_uuid_for_each_key(connection, results, collection, keys):
    seen = {}
    for source_id, mapped in results:
        assert seen.setdefault(source_id, mapped) == mapped, f"two UUIDs for {source_id}"
    assert seen.keys() == set(keys)
    assert len(set(seen.values())) == len(seen)
    stored = connection.execute("SELECT source_id, id FROM mongoferry.id_map WHERE collection = %s", (collection,)).fetchall()
    assert dict(stored) == seen and len(stored) == len(seen)


def test_sessions_that_map_overlapping_sets_neither_deadlock_nor_disagree(connect, connection):
    keys = [f"key {n}" for n in range(3000)]
    sessions = 8

    def session(number):
        connection = connect()

        def work():
            chance = random.Random(number)
            results = []
            for _ in range(10):
                some = chance.sample(keys, 1000)
                results += connection.execute(MAP_IDS, ("customers", some + some[:5] + [None])).fetchall()
            return results

        return work

    results = [row for rows in run_all([session(number) for number in range(sessions)]) for row in rows]
    assert len(results) == sessions * 10 * 1000
    assert_one_uuid_for_each_key(connection, results, "customers", {source_id for source_id, _ in results})


def test_sessions_that_map_the_same_keys_one_by_one_agree(connect, connection):
    keys = [str(n) for n in range(200)]

    def session(number):
        connection = connect()

        def work():
            order = random.Random(number).sample(keys, len(keys))
            return [(key, connection.execute(MAP_ID, ("customers", key)).fetchone()[0]) for key in order]

        return work

    results = [row for rows in run_all([session(number) for number in range(6)]) for row in rows]
    assert_one_uuid_for_each_key(connection, results, "customers", keys)


@pytest.mark.parametrize("statement", [MAP_ID, "SELECT id FROM mongoferry.map_ids(%s, ARRAY[%s])"])
@pytest.mark.parametrize("first_commits", [True, False])
def test_a_key_that_another_session_is_mapping(connect, connection, statement, first_commits):
    first, second = connect(autocommit=False), connect()
    mapped = first.execute(statement, ("customers", "42")).fetchone()[0]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: second.execute(statement, ("customers", "42")).fetchone()[0])
        wait_until_blocked(connection, second)
        first.commit() if first_commits else first.rollback()
        other = waiting.result(timeout=30)
    assert (other == mapped) is first_commits
    assert connection.execute(MAP_ID, ("customers", "42")).fetchone()[0] == other


@pytest.mark.parametrize("statement", [MAP_ID, "SELECT id FROM mongoferry.map_ids(%s, ARRAY[%s])"])
def test_a_snapshot_older_than_the_mapping_fails_to_serialize(connect, connection, statement):
    second = connect(autocommit=False)
    second.isolation_level = IsolationLevel.REPEATABLE_READ
    second.execute("SELECT count(*) FROM mongoferry.id_map")
    mapped = connection.execute(MAP_ID, ("customers", "42")).fetchone()[0]
    with pytest.raises(errors.SerializationFailure):
        second.execute(statement, ("customers", "42"))
    second.rollback()
    assert second.execute(statement, ("customers", "42")).fetchone()[0] == mapped


def test_the_map_survives_a_dump(postgres, database, connection):
    chosen = uuid.uuid4()
    connection.execute("INSERT INTO mongoferry.id_map VALUES ('people', 'anna', %s)", (chosen,))
    made = dict(connection.execute(MAP_IDS, ("customers", ["a", "b", "ä ' \\ \t"])).fetchall())
    environment = {**os.environ, **postgres.environment(database)}
    dumped = subprocess.run([postgres.bin / "pg_dump"], env=environment, capture_output=True, text=True, check=True)
    restored = f"test_{uuid.uuid4().hex[:12]}"
    postgres.psql(f"CREATE DATABASE {restored}")
    try:
        postgres.psql(dumped.stdout, database=restored)
        with psycopg.connect(**postgres.conninfo(restored), autocommit=True) as copy:
            assert copy.execute(MAP_ID, ("people", "anna")).fetchone()[0] == chosen
            assert dict(copy.execute(MAP_IDS, ("customers", list(made))).fetchall()) == made
            assert copy.execute("SELECT count(*) FROM mongoferry.id_map").fetchone()[0] == 4
    finally:
        postgres.psql(f"DROP DATABASE {restored} WITH (FORCE)")


def test_rights_are_those_of_the_caller(connect, connection, ordinary_role):
    role = connect(user=ordinary_role)
    for statement, arguments in ((MAP_ID, ("customers", "1")), (MAP_IDS, ("customers", ["1"]))):
        with pytest.raises(errors.InsufficientPrivilege, match="id_map"):
            role.execute(statement, arguments)
    connection.execute(f"GRANT SELECT ON mongoferry.id_map TO {ordinary_role}")
    known = connection.execute(MAP_ID, ("customers", "1")).fetchone()[0]
    assert role.execute(MAP_ID, ("customers", "1")).fetchone()[0] == known
    with pytest.raises(errors.InsufficientPrivilege):
        role.execute(MAP_ID, ("customers", "2"))
    connection.execute(f"GRANT INSERT ON mongoferry.id_map TO {ordinary_role}")
    assert role.execute(MAP_ID, ("customers", "2")).fetchone()[0] != known

"""A migration that pg_cron carries over in short slices, until it is complete: real pg_cron, in both of its ways to run a job.

Before version 1.5 pg_cron knows no schedule shorter than a minute, so this takes two minutes with it, most of them idle.
That is why one test looks at everything, on two servers at once.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from harness.calls import wait_until

# How pg_cron comes to a session for a job: as a client of the server's own socket, or with a background worker.
WAYS = {"a connection": "cron.host = '{socket_dir}'", "a background worker": "cron.use_background_workers = on"}

SETUP = """
CREATE EXTENSION pg_cron;
CREATE EXTENSION mongoferry;
CREATE ROLE anna LOGIN;
GRANT USAGE ON SCHEMA cron TO anna;
GRANT CREATE ON SCHEMA public TO anna;
CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{dump}');
GRANT USAGE ON FOREIGN SERVER dump TO anna;
"""

# Documents take their time until `pace` is zero, so that the first slice can't be the last.
MIGRATIONS = """
CREATE TABLE pace (seconds double precision);
INSERT INTO pace VALUES (0.5);
CREATE FOREIGN TABLE orders_source (_id int, customer text, total numeric) SERVER dump OPTIONS (collection 'orders');
CREATE TABLE orders (id int PRIMARY KEY, customer text NOT NULL, total numeric);
CREATE TABLE strict (id int PRIMARY KEY, customer text NOT NULL);
SELECT mongoferry.create_migration('shop');
SELECT mongoferry.add_task('shop', 'orders', 'orders_source', 'orders',
    'SELECT _id AS id, customer, total FROM source CROSS JOIN (SELECT pg_sleep(seconds) FROM pace OFFSET 0) AS pause',
    chunk_size => 20);
SELECT mongoferry.create_migration('broken');
SELECT mongoferry.add_task('broken', 'orders', 'orders_source', 'strict', 'SELECT _id AS id, customer FROM source',
    on_error => 'abort');
SELECT cron.schedule('shop', '{schedule}', $$CALL mongoferry.migrate('shop', max_duration => '2 s')$$);
SELECT cron.schedule('rival', '{schedule}', $$CALL mongoferry.migrate('shop', max_duration => '2 s')$$);
SELECT cron.schedule('broken', '{schedule}', $$CALL mongoferry.migrate('broken')$$);
"""


def pg_cron_version():
    """The version of the pg_cron that is installed beside the extension, as a tuple of integers."""
    shared = subprocess.run([os.environ["MONGOFERRY_TEST_PG_CONFIG"], "--sharedir"], stdout=subprocess.PIPE, text=True, check=True)
    control = Path(shared.stdout.strip()) / "extension/pg_cron.control"
    if not control.exists():
        pytest.skip("pg_cron is not installed (Debian: postgresql-15-cron; test/tools/install-packages tests does it)")
    version, = (line.split("'")[1] for line in control.read_text().splitlines() if line.startswith("default_version"))
    return tuple(int(part) for part in version.replace("-", ".").split("."))


def test_a_migration_in_slices(start_postgres, write_dump):
    schedule = "2 seconds" if pg_cron_version() >= (1, 5) else "* * * * *"
    dump = write_dump({"orders": [
        {"_id": i, "customer": f"customer {i % 7}" if i != 131 else None, "total": i / 4} for i in range(240)]})
    servers = {}
    for way, setting in WAYS.items():
        server = servers[way] = start_postgres("shared_preload_libraries = 'pg_cron'\n")
        with open(server.data / "postgresql.conf", "a") as conf:
            conf.write(setting.format(socket_dir=server.socket_dir) + "\n")
        server.restart()
        server.psql(SETUP.format(dump=dump))
    watched = {}
    for way, server in servers.items():
        listener = server.connect()
        listener.execute("LISTEN mongoferry")
        watched[way] = (server.connect(), listener)
        server.psql(MIGRATIONS.format(schedule=schedule), user="anna")

    def ended_runs(connection):
        return [outcome for outcome, in connection.execute(
            "SELECT outcome FROM mongoferry.run WHERE migration = 'shop' AND finished_at IS NOT NULL ORDER BY id")]

    for connection, _ in watched.values():
        wait_until(lambda: ended_runs(connection), 90)
        assert connection.execute("SELECT state FROM mongoferry.task WHERE migration = 'shop'").fetchone() == ("running",)
        assert 0 < connection.execute("SELECT count(*) FROM orders").fetchone()[0] < 239
        connection.execute("UPDATE pace SET seconds = 0")
    for connection, _ in watched.values():
        wait_until(lambda: "complete" in ended_runs(connection), 90)
        connection.execute("UPDATE cron.job SET active = false")
        wait_until(lambda: not connection.execute(
            "SELECT FROM cron.job_run_details WHERE status NOT IN ('succeeded', 'failed')").fetchall())

    for way, (connection, listener) in watched.items():
        outcomes = ended_runs(connection)
        assert outcomes[0] == 'time is up; not done: "orders"', way
        assert outcomes.count("complete") >= 1

        # each row of the source once and unchanged, but for the document that could not go in
        assert connection.execute("""
            (SELECT _id, customer, total FROM orders_source WHERE _id <> 131 EXCEPT ALL SELECT * FROM orders)
            UNION ALL (SELECT * FROM orders EXCEPT ALL SELECT _id, customer, total FROM orders_source)""").fetchall() == []
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (239,)
        assert connection.execute(
            "SELECT source_id::text, sqlstate FROM mongoferry.errors WHERE migration = 'shop'").fetchall() == [("131", "23502")]

        # what pg_cron says of it: of the two jobs that were due at once, one was refused each time while the other ran
        details = connection.execute("""
            SELECT jobname, status, return_message, d.username FROM cron.job_run_details AS d JOIN cron.job USING (jobid)
            ORDER BY runid""").fetchall()
        assert {user for *_, user in details} == {"anna"}
        slices = [row for row in details if row[0] != "broken"]
        assert len([row for row in slices if row[1] == "succeeded"]) == len(outcomes) >= 2, (way, details)
        refused = [message for _, status, message, _ in slices if status == "failed"]
        assert refused, way
        assert all('migration "shop" is already being run' in message for message in refused), (way, refused)
        broken = [row for row in details if row[0] == "broken"]
        assert all(status == "failed" and 'task "orders" of migration "broken" failed' in message
                   for _, status, message, _ in broken), (way, broken)

        # what a session that listens has heard
        heard = [json.loads(notification.payload) for notification in listener.notifies(timeout=0.5)]
        shop = [payload for payload in heard if payload["migration"] == "shop"]
        assert shop[0] == {"migration": "shop", "state": "stopped", "refused": shop[0]["refused"]}, way
        assert {"migration": "shop", "task": "orders", "state": "done", "refused": 1} in shop
        assert shop[-1] == {"migration": "shop", "state": "complete", "refused": 1}
        assert {"migration": "broken", "state": "failed", "refused": 1} in heard

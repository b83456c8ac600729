"""A migration that is killed again and again ends exactly as one that nobody disturbed."""

import os
import random
import signal
import time

import pymongo

from harness.calls import Call, wait_until

KILLS = 24
WORKERS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mongoferry worker'"


SETUP = """
CREATE EXTENSION mongoferry;
CREATE SERVER live FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{uri}', database 'shop', server_selection_timeout '1s');
CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{dump}');
CREATE FOREIGN TABLE customers_source (_id int, name text) SERVER dump OPTIONS (collection 'customers');
CREATE FOREIGN TABLE orders_source (_id text, customer int, total numeric) SERVER live OPTIONS (collection 'orders');
"""

# The same migration twice: one is killed, the other is not.
MIGRATION = """
CREATE SCHEMA {name};
CREATE TABLE {name}.customer (id int PRIMARY KEY, number int GENERATED ALWAYS AS IDENTITY, name text NOT NULL);
CREATE TABLE {name}.orders (id text PRIMARY KEY, customer int REFERENCES {name}.customer, total numeric);
SELECT mongoferry.create_migration('{name}');
SELECT mongoferry.add_task('{name}', 'customers', 'customers_source', '{name}.customer',
    'SELECT _id AS id, name FROM source CROSS JOIN (SELECT pg_sleep({pause})) AS pause OFFSET 0', chunk_size => 10);
SELECT mongoferry.add_task('{name}', 'orders', 'orders_source', '{name}.orders',
    'SELECT _id AS id, customer, total FROM source CROSS JOIN (SELECT pg_sleep({pause})) AS pause OFFSET 0', chunk_size => 10);
"""


def test_kill_9_at_random_instants(start_postgres, start_mongo, write_dump):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    own_postgres = start_postgres("synchronous_commit = on\n")
    mongo = start_mongo(persistent=True)
    client_orders = [
        {"_id": i if i % 3 else f"order {i}", "customer": i * 7, "total": i / 4 if i % 50 else "much"} for i in range(400)
    ]
    with pymongo.MongoClient(mongo.uri) as client:
        client.shop.orders.insert_many(client_orders)
    dump = write_dump(
        {"customers": [{"_id": i, "name": f"customer {i}" if i % 100 else None} for i in range(2400)]}
    )
    with own_postgres.connect() as connection:
        connection.execute(SETUP.format(uri=mongo.uri, dump=dump))
        connection.execute(MIGRATION.format(name="calm", pause=0))
        connection.execute(MIGRATION.format(name="killed", pause=0.1))
        connection.execute("CALL mongoferry.migrate('calm', workers => 2)")

    kills = {}
    while sum(kills.values()) < KILLS:
        connection = own_postgres.connect_when_ready()
        call = Call(own_postgres.connect(), "CALL mongoferry.migrate('killed', workers => 2, retry_for => '20 s')")
        time.sleep(chance.uniform(0.05, 0.5))
        victim = chance.choice(["worker", "leader", "postmaster", "mongod"])
        pids = [pid for pid, in connection.execute(WORKERS)]
        left = connection.execute(
            "SELECT count(*) FROM mongoferry.task WHERE migration = 'killed' AND state IN ('new', 'running')"
        ).fetchone()[0]
        connection.close()
        seen = own_postgres.log_size()
        assert left > 0, f"it was done after {kills}"
        if victim == "worker" and not pids:
            victim = "leader"
        if victim == "mongod":
            mongo.kill()
            time.sleep(chance.uniform(0, 0.3))
            mongo.start(port=mongo.port)
        else:
            os.kill({"worker": pids[0] if pids else None, "leader": call.pid, "postmaster": own_postgres.pid}[victim],
                    signal.SIGKILL)
        kills[victim] = kills.get(victim, 0) + 1
        if victim == "mongod":
            # The workers try again, and go on with the server that comes up in its place; the leader's end is next.
            time.sleep(chance.uniform(0, 0.5))
            os.kill(call.pid, signal.SIGKILL)
        assert call.wait(60) is not None
        call.connection.close()
        if victim == "postmaster":
            own_postgres.stop()
            own_postgres.start()
        else:
            wait_until(lambda: "ready to accept connections" in own_postgres.log(seen), 60)

    print(f"kills: {kills}")
    with own_postgres.connect_when_ready() as connection:
        wait_until(lambda: not connection.execute(WORKERS).fetchall())
        final = Call(own_postgres.connect(), "CALL mongoferry.migrate('killed', workers => 2)")
        assert final.wait(120) is None, final.error
        final.connection.close()
        for table, columns in [("customer", "id, name"), ("orders", "id, customer, total")]:
            calm, killed = (
                connection.execute(f"SELECT {columns} FROM {schema}.{table} ORDER BY id").fetchall()
                for schema in ("calm", "killed")
            )
            assert calm == killed and len(calm) > 300
        calm, killed = (
            connection.execute(
                "SELECT task, source_id::text, sqlstate FROM mongoferry.errors WHERE migration = %s ORDER BY 1, 2", [name]
            ).fetchall()
            for name in ("calm", "killed")
        )
        assert calm == killed and len(calm) > 12
        progress = connection.execute(
            "SELECT migration, task, state, documents_done, rows_written, refused, percent FROM mongoferry.progress"
            " ORDER BY 2, 1"
        ).fetchall()
        assert [row[1:] for row in progress[0::2]] == [row[1:] for row in progress[1::2]]
        assert {row[6] for row in progress} == {100}

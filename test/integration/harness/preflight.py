"""What the tests of preflight() share: a migration over one collection, and ways to ask for its rows."""

import psycopg
import pytest

from . import migrations

COLUMNS = "_id int, n int, ref int, name text, items jsonb"


@pytest.fixture
def shop(connection, mongo, live_server):
    """A connection to a database with the migration m and the foreign table `source_table` over `mongo.documents`."""
    connection.execute(f"CREATE FOREIGN TABLE source_table ({COLUMNS}) SERVER {live_server} OPTIONS (collection 'documents')")
    connection.execute("SELECT mongoferry.create_migration('m')")
    return connection


def add_task(connection, task, target, transform, source="source_table", **settings):
    migrations.add_task(connection, task, source, target, transform, **settings)


def preflight(connection, name="m"):
    with connection.cursor(row_factory=psycopg.rows.namedtuple_row) as cursor:
        return cursor.execute("SELECT * FROM mongoferry.preflight(%s)", [name]).fetchall()


def found(rows, check, task="t"):
    """(severity, message) of what a check found."""
    return [(row.severity, row.message) for row in rows if row.check == check and row.task == task]


def worst(rows):
    return [(row.severity, row.task, row.check, row.message) for row in rows if row.severity != "note"]


def documents(count, **fields):
    return [{"_id": i, "n": 1, "ref": 1, "name": "x", "items": []} | fields for i in range(count)]

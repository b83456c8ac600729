"""A collection's default collation compares strings as people do; PostgreSQL's equality and C order compare bytes.

The test server leaves a collection's collation out of account, so this looks at the commands.
"""

import pytest

COMPARE_TEXT = [
    "SELECT _id FROM {0} WHERE name = 'ada'",
    "SELECT _id FROM {0} WHERE name <> 'ada'",
    "SELECT _id FROM {0} WHERE name NOT IN ('ada', 'b')",
    "SELECT _id FROM {0} WHERE name > 'B' COLLATE \"C\"",
    "SELECT count(*) FROM {0} WHERE name <> 'ada'",
    "SELECT name, count(*) FROM {0} GROUP BY name",
]
COMPARE_NO_TEXT = ["SELECT _id, name FROM {0}", "SELECT name FROM {0} WHERE _id > 5", "SELECT _id FROM {0} WHERE _id IN (1, 2)"]


@pytest.fixture
def people(live_server, connection):
    connection.execute(
        f"CREATE FOREIGN TABLE people (_id int, name text) SERVER {live_server} OPTIONS (collection 'people')"
    )
    return connection


def command(connection, query):
    plan = "\n".join(line for (line,) in connection.execute("EXPLAIN " + query.format("people")))
    return next(line for line in plan.splitlines() if "Command: " in line)


def test_strings_are_compared_by_their_bytes(people):
    for query in COMPARE_TEXT:
        assert '"collation": {"locale": "simple"}' in command(people, query), query
    for query in COMPARE_NO_TEXT:  # any index serves
        assert "collation" not in command(people, query), query

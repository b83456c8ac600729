"""Pushing a condition down never changes an answer: the filter saves documents, in every kind of statement.

The rules for conditions are in test_pushdown_conditions.py.
"""

import pytest

from harness.bson_values import VALUES


@pytest.fixture
def tables(mongo, live_server, connection):
    mongo.things.insert_many({"_id": number, "n": value, "d": value} for number, value in enumerate(VALUES))
    for table, pushdown in (("pushed", "on"), ("kept", "off")):
        connection.execute(
            f"CREATE FOREIGN TABLE {table} (_id int, n int, d float8) SERVER {live_server}"
            f" OPTIONS (collection 'things', pushdown '{pushdown}', on_mismatch 'null')")
    return connection


def plan(connection, query):
    return "\n".join(line for (line,) in connection.execute("EXPLAIN " + query))


def test_a_sent_condition_saves_documents(tables):
    """The filter does something: fewer documents come over than the collection has."""
    text = plan(tables, "(ANALYZE) SELECT _id FROM pushed WHERE n = 7")
    assert "Documents Received: 1" in text, text
    text = plan(tables, "(ANALYZE) SELECT _id FROM kept WHERE n = 7")
    assert f"Documents Received: {len(VALUES)}" in text, text


def test_a_condition_in_a_join_or_prepared_statement(tables):
    query = "SELECT count(*) FROM {0} a JOIN {0} b ON a._id = b._id WHERE a.n = 5 AND b.d >= 5"
    assert tables.execute(query.format("pushed")).fetchone() == tables.execute(query.format("kept")).fetchone()
    for table in ("pushed", "kept"):
        tables.execute(f"PREPARE {table}_query(int) AS SELECT _id FROM {table} WHERE n = $1 ORDER BY 1")
    for _ in range(7):  # beyond the switch to a generic plan
        for value in (5, 6, None):
            argument = "NULL" if value is None else value
            rows = [tables.execute(f"EXECUTE {t}_query({argument})").fetchall() for t in ("pushed", "kept")]
            assert rows[0] == rows[1]
            assert bool(rows[0]) == (value is not None)

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


# Conditions with a parameter, its type, and values for it.
PARAMETERS = [
    ("n {} $1", "int", ["5", "0", "NULL"]), ("n {} $1", "numeric", ["5.5", "NaN", "1e40", "NULL"]), ("d {} $1", "float8", ["0.1", "NaN", "-Infinity", "NULL"]),
    ("price {} $1", "numeric", ["0.1", "5", "NaN", "Infinity", "1e-100", "9007199254740993", "NULL"]),
    ("at {} $1", "timestamptz", ["2024-02-29 12:00:00.123Z", "2024-02-29 12:00:00.1235Z", "infinity", "NULL"]), ("at {} $1", "date", ["2024-02-29", "infinity"]),
    ("day {} $1", "date", ["2024-02-29", "-infinity", "NULL"]), ("name {} $1", "text", ["Ada", "5", "true", "", "NULL"]),
    ("u {} $1", "uuid", ["00112233-4455-6677-8899-aabbccddeeff", "NULL"]), ("oid {} $1", "mongoferry.objectid", ["507f1f77bcf86cd799439011", "NULL"]),
    ("flag {} $1", "bool", ["true", "NULL"]),
]
MORE_PARAMETERS = [
    ("name LIKE $1", "text", ["A%", "%a", "Ada", "5%", "", "NULL", "a\\\\%b"]), ("name NOT LIKE $1", "text", ["A%", "%"]), ("name ~ $1", "text", ["^A", "(?i)a", "\\\\mA", "d+"]),
    ("name ILIKE $1", "text", ["a%", "KÖLN"]), ("n = ANY ($1)", "int[]", ["{5,6}", "{}", "{NULL,5}", "NULL"]), ("n <> ALL ($1)", "int[]", ["{5,6}", "{}", "{NULL,5}", "NULL"]),
    ("name = ANY ($1)", "text[]", ["{Ada,5}", "{}"]), ("mongoferry.to_uuid(oid) = $1", "uuid", ["013a7092-e8d8-7bcf-a1b3-5e650e404400", "00112233-4455-6677-8899-aabbccddeeff"]),
    ("n IS DISTINCT FROM $1", "int", ["5", "NULL"]), ("(n = $1) IS NOT TRUE", "int", ["5", "NULL"]), ("n = 5 OR $1", "bool", ["true", "false", "NULL"]),
    ("NOT (n = 5 AND $1)", "bool", ["true", "false", "NULL"]), ("$1 = ANY (tags)", "int", ["5", "NULL"]), ("tags @> $1", "int[]", ["{5}", "{5,6}", "{}", "{NULL}", "NULL"]),
]


def test_values_of_parameters_decide_when_the_scan_starts(mongo, live_server, connection):
    """A generic plan is made without the values: NULL, NaN, infinities and patterns that can't be sent come up only then."""
    columns = {"n": "int", "d": "float8", "price": "numeric", "at": "timestamptz", "day": "date", "name": "text", "u": "uuid",
               "oid": "mongoferry.objectid", "flag": "bool", "tags": "int[]"}
    mongo.things.insert_many({"_id": number, **dict.fromkeys(columns, value)} for number, value in enumerate(VALUES))
    declared = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
    for table, pushdown in (("pushed", "on"), ("kept", "off")):
        connection.execute(f"CREATE FOREIGN TABLE {table} (_id int, {declared}) SERVER {live_server}"
                           f" OPTIONS (collection 'things', pushdown '{pushdown}', on_mismatch 'null')")
    connection.execute("CREATE TEMP TABLE here AS SELECT * FROM kept; SET plan_cache_mode = force_generic_plan")
    cases = [(condition.format(operator), type_, values) for condition, type_, values in PARAMETERS for operator in ("=", "<>", "<", ">=")] + MORE_PARAMETERS
    differences = []
    for number, (condition, type_, values) in enumerate(cases):
        for table in ("pushed", "here"):
            connection.execute(f"PREPARE {table}_{number}({type_}) AS SELECT _id FROM {table} WHERE {condition} ORDER BY 1")
        for value in values:
            argument = "NULL" if value == "NULL" else f"E'{value}'"
            pushed, here = (connection.execute(f"EXECUTE {table}_{number}({argument})").fetchall() for table in ("pushed", "here"))
            if pushed != here:
                differences.append(f"{condition} with {value}: misses {set(here) - set(pushed)}, has too much {set(pushed) - set(here)}")
    assert not differences, "\n".join(differences)


def test_an_array_at_a_position_is_not_looked_into(mongo, live_server, connection):
    """{"l.1": 5} does not match {l: [0, [5]]}: the path ends with the position."""
    mongo.places.insert_many([{"_id": 1, "l": [0, [5, 6]]}, {"_id": 2, "l": [[5], 7]}])
    for table, pushdown in (("pushed_places", "on"), ("kept_places", "off")):
        connection.execute(
            f"CREATE FOREIGN TABLE {table} (_id int, a int[] OPTIONS (field 'l.1', on_mismatch 'null')) SERVER {live_server}"
            f" OPTIONS (collection 'places', pushdown '{pushdown}')"
        )
    for condition in ("a = '{5,6}'", "a && '{5}'", "a @> '{6}'", "5 = ANY (a)"):
        rows = [connection.execute(f"SELECT _id FROM {t} WHERE {condition}").fetchall() for t in ("pushed_places", "kept_places")]
        assert rows == [[(1,)], [(1,)]], condition


def test_strings_that_spell_booleans_pass_the_filter(mongo, live_server, connection):
    mongo.flags.insert_many([{"_id": 1, "f": "f"}, {"_id": 2, "f": "t"}, {"_id": 3, "f": False}, {"_id": 4}])
    for table, pushdown in (("pushed_flags", "on"), ("kept_flags", "off")):
        connection.execute(
            f"CREATE FOREIGN TABLE {table} (_id int, f bool OPTIONS (coerce_strings 'true')) SERVER {live_server}"
            f" OPTIONS (collection 'flags', pushdown '{pushdown}')"
        )
    for condition in ("NOT f", "true <> f", "f <> false", "f", "f = false", "f IS NOT TRUE", "f IS FALSE"):
        rows = [
            connection.execute(f"SELECT _id FROM {table} WHERE {condition} ORDER BY 1").fetchall()
            for table in ("pushed_flags", "kept_flags")
        ]
        assert rows[0] == rows[1], condition

"""Conditions on unwound tables: what is sent before the array becomes rows lets every document through of which a row is wanted."""

import pytest

from harness.bson_values import OID, UUID, VALUES

CONDITIONS = [
    *(f"{column} {operator} {constant}" for column in ("n", "element") for operator in ("=", "<>", "<", "<=", ">", ">=")
      for constant in ("5", "5.5", "1e30", "'NaN'::numeric", "-1")),
    *(f"d {operator} {constant}::float8" for operator in ("=", "<>", "<", "<=", ">", ">=") for constant in ("5", "0.1", "'NaN'", "'Infinity'")),
    *(f"name {operator} '{constant}'" for operator in ("=", "<>", "LIKE", "NOT LIKE", "~") for constant in ("Ada", "5", "A", "[5]")),
    *(f"day {operator} '2024-02-29'" for operator in ("=", "<>", "<", "<=", ">", ">=")),
    *(f"{column} IS {test}" for column in ("n", "name", "total", "position") for test in ("NULL", "NOT NULL")),
    f"u = '{UUID}'", f"u <> '{UUID}'", f"oid = '{OID}'", f"mongoferry.to_uuid(oid) <> '{UUID}'",
    "n IN (5, 6)", "n NOT IN (5, 6)", "n = 5 AND d > 5", "NOT (n = 5)", "(n = 5) IS NOT TRUE", "n IS DISTINCT FROM 5", "n IS NOT DISTINCT FROM 5",
    "total = 5", "total <> 5", "total IS NULL", "total = 5 AND n = 5", "total = 5 OR n = 5", "position = 0", "position = 0 AND n = 5",
    "n::bigint + 1 = 6", "total::bigint + n = 10", "flag", "NOT flag", "flag IS NOT TRUE", "5 = ANY (tags)", "tags @> '{5}'", "n > total",
]


@pytest.fixture
def tables(mongo, live_server, connection):
    fields = ("n", "d", "name", "day", "u", "oid", "flag", "tags")
    documents = []
    for value in VALUES:
        other = VALUES[(len(documents) * 7) % len(VALUES)]
        item = dict.fromkeys(fields, value)
        documents.append({"items": [item, dict.fromkeys(fields, other), {}, value], "total": value})
        documents.append({"items": [item], "total": 5})
        documents.append({"items": value, "total": other})
        documents.append({"items": item})
        documents.append({"items": [[value], [item]]})
    documents += [{"total": 5}, {"items": []}, {"items": None, "total": 5}]
    mongo.things.insert_many({"_id": number, **document} for number, document in enumerate(documents))
    types = {"n": "int", "d": "float8", "name": "text", "day": "date", "u": "uuid", "oid": "mongoferry.objectid", "flag": "bool", "tags": "int[]"}
    columns = ", ".join(f"{name} {types[name]} OPTIONS (field 'items.{name}')" for name in fields)
    for outer in ("false", "true"):
        for table, pushdown in (("pushed", "on"), ("kept", "off")):
            connection.execute(
                f"CREATE FOREIGN TABLE {table}_{outer} (_id int, {columns}, total int, element int OPTIONS (field 'items'),"
                f" position int OPTIONS (field '$$INDEX')) SERVER {live_server} OPTIONS (collection 'things', unwind 'items',"
                f" unwind_outer '{outer}', pushdown '{pushdown}', on_mismatch 'null')")
        connection.execute(f"CREATE TEMP TABLE here_{outer} AS SELECT * FROM kept_{outer}")
    return connection


@pytest.mark.parametrize("outer", ["false", "true"])
def test_rows_of_elements_are_the_same_with_and_without_pushdown(tables, outer):
    differences = []
    for condition in CONDITIONS:
        here, pushed = (tables.execute(f"SELECT _id, position FROM {table}_{outer} WHERE {condition} ORDER BY 1, 2").fetchall()
                        for table in ("here", "pushed"))
        if here != pushed:
            differences.append(f"{condition}: misses {sorted(set(here) - set(pushed))[:5]}, has too much {sorted(set(pushed) - set(here))[:5]}")
    assert not differences, "\n".join(differences)


def test_conditions_on_elements_save_documents(tables):
    for condition in ("n = 6", "name = 'Köln'", "day = '2024-02-29'", "d > 1e200", "total = 6"):
        plan = "\n".join(line for (line,) in tables.execute(f"EXPLAIN SELECT FROM pushed_false WHERE {condition}"))
        assert '"filter"' in plan, plan

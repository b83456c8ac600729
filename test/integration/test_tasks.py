"""Migrations and tasks: the order that foreign keys make, targets of every kind, the statements run for real, rights, dumps."""

import os
import subprocess
import uuid
from decimal import Decimal

import bson
import psycopg
import pytest
from psycopg import errors

from harness import migrations

ALL = bson.encode({"kind": "all"})


@pytest.fixture
def schema(connection):
    """A connection to a database with a foreign table `source_table` whose server is never asked, and the migration m."""
    connection.execute("CREATE SERVER away FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://127.0.0.1:1/x')")
    connection.execute("CREATE FOREIGN TABLE source_table (id int, a int, b int, c int, name text) SERVER away")
    connection.execute("SELECT mongoferry.create_migration('m')")
    return connection


def add_task(connection, task, target, transform=None, source="source_table", migration="m", **settings):
    migrations.add_task(connection, task, source, target, transform, migration, **settings)


def statement(connection, task, migration="m"):
    return connection.execute("SELECT mongoferry.task_statement(%s, %s)", [migration, task]).fetchone()[0]


def run(connection, task, migration="m", bounds=ALL):
    """Run a task's statement as a worker does, over all of the source; the number of rows written."""
    with connection.transaction():
        connection.execute("SELECT mongoferry.use_search_path(%s, %s)", [migration, task])
        connection.execute("DEALLOCATE ALL")
        connection.execute("PREPARE chunk (pg_catalog.bytea) AS " + statement(connection, task, migration))
        return connection.execute(f"EXECUTE chunk ('\\x{bounds.hex()}')").rowcount


def dependencies(connection, migration="m"):
    rows = connection.execute("SELECT task, depends_on FROM mongoferry.task_dependencies(%s)", [migration]).fetchall()
    return set(rows)


def rows(connection, table, order="1"):
    return connection.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()


# --- the order ----------------------------------------------------------------------------------------------------------

# name: (tables, tasks as (name, target, transform, settings), what waits for what, whether there is an order)
ORDERS = {
    "no foreign key": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int PRIMARY KEY, p int)",
        [("p", "p", "SELECT id FROM source", {}), ("q", "q", "SELECT id, a AS p FROM source", {})],
        set(), True),
    "foreign key that is filled": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int PRIMARY KEY, p int REFERENCES p)",
        [("q", "q", "SELECT id, a AS p FROM source", {}), ("p", "p", "SELECT id FROM source", {})],
        {("q", "p")}, True),
    "foreign key that is not filled": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int PRIMARY KEY, p int REFERENCES p)",
        [("q", "q", "SELECT id FROM source", {}), ("p", "p", "SELECT id FROM source", {})],
        set(), True),
    "foreign key to what no task fills": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int PRIMARY KEY, p int REFERENCES p)",
        [("q", "q", "SELECT id, a AS p FROM source", {})],
        set(), True),
    "foreign key that is not valid": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int, p int); "
        "ALTER TABLE q ADD FOREIGN KEY (p) REFERENCES p NOT VALID",
        [("q", "q", "SELECT id, a AS p FROM source", {}), ("p", "p", "SELECT id FROM source", {})],
        {("q", "p")}, True),
    "deferrable foreign key": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int, p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        [("q", "q", "SELECT id, a AS p FROM source", {}), ("p", "p", "SELECT id FROM source", {})],
        {("q", "p")}, True),
    "one column of two stays NULL": (
        "CREATE TABLE p (x int, y int, PRIMARY KEY (x, y)); CREATE TABLE q (x int, y int, FOREIGN KEY (x, y) REFERENCES p)",
        [("q", "q", "SELECT a AS x FROM source", {}), ("p", "p", "SELECT a AS x, b AS y FROM source", {})],
        set(), True),
    "one column of two has a default": (
        "CREATE TABLE p (x int, y int, PRIMARY KEY (x, y)); "
        "CREATE TABLE q (x int, y int DEFAULT 1, FOREIGN KEY (x, y) REFERENCES p)",
        [("q", "q", "SELECT a AS x FROM source", {}), ("p", "p", "SELECT a AS x, b AS y FROM source", {})],
        {("q", "p")}, True),
    "match full": (
        "CREATE TABLE p (x int, y int, PRIMARY KEY (x, y)); "
        "CREATE TABLE q (x int, y int, FOREIGN KEY (x, y) REFERENCES p MATCH FULL)",
        [("q", "q", "SELECT a AS x FROM source", {}), ("p", "p", "SELECT a AS x, b AS y FROM source", {})],
        {("q", "p")}, True),
    "two tasks fill the referenced table": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int, p int REFERENCES p)",
        [("p1", "p", "SELECT id FROM source", {}), ("p2", "p", "SELECT -id AS id FROM source", {}),
         ("q", "q", "SELECT id, a AS p FROM source", {})],
        {("q", "p1"), ("q", "p2")}, True),
    "by word": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int)",
        [("q", "q", "SELECT id FROM source", {"depends_on": ["p"]}), ("p", "p", "SELECT id FROM source", {})],
        {("q", "p")}, True),
    "by word in a circle": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int)",
        [("q", "q", "SELECT id FROM source", {"depends_on": ["p"]}),
         ("p", "p", "SELECT id FROM source", {"depends_on": ["q"]})],
        {("q", "p"), ("p", "q")}, False),
    "to itself": (
        "CREATE TABLE p (id int PRIMARY KEY, parent int REFERENCES p)",
        [("p", "p", "SELECT id, a AS parent FROM source", {})],
        {("p", "p")}, False),
    "to itself, by a second pass": (
        "CREATE TABLE p (id int PRIMARY KEY, parent int REFERENCES p)",
        [("p", "p", "SELECT id FROM source", {}),
         ("parents", "p", "SELECT id, a AS parent FROM source", {"on_conflict": "update"})],
        {("parents", "p")}, True),
    "a second pass that touches no foreign key": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int PRIMARY KEY, p int NOT NULL REFERENCES p, name text)",
        [("q", "q", "SELECT id, a AS p FROM source", {}), ("p", "p", "SELECT id FROM source", {}),
         ("names", "q", "SELECT id, name FROM source", {"on_conflict": "update"})],
        {("q", "p"), ("names", "q")}, True),
    "the first 'update' over a target is no second pass": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int PRIMARY KEY, p int REFERENCES p)",
        [("q", "q", "SELECT id, a AS p FROM source", {"on_conflict": "update"}),
         ("p", "p", "SELECT id FROM source", {"on_conflict": "nothing"})],
        {("q", "p")}, True),
    "a pass that may bring rows is waited for": (
        "CREATE TABLE p (id int PRIMARY KEY, name text); CREATE TABLE q (id int, p int REFERENCES p)",
        [("p", "p", "SELECT id FROM source", {}),
         ("more", "p", "SELECT a AS id, name FROM source", {"on_conflict": "update"}),
         ("q", "q", "SELECT id, a AS p FROM source", {})],
        {("more", "p"), ("q", "p"), ("q", "more")}, True),
    "but not where it is the one that waits": (
        "CREATE TABLE p (id int PRIMARY KEY, q int); CREATE TABLE q (id int PRIMARY KEY, p int REFERENCES p); "
        "ALTER TABLE p ADD FOREIGN KEY (q) REFERENCES q",
        [("p", "p", "SELECT id FROM source", {}),
         ("more", "p", "SELECT id, b AS q FROM source", {"on_conflict": "update"}),
         ("q", "q", "SELECT id, a AS p FROM source", {})],
        {("more", "p"), ("more", "q"), ("q", "p")}, True),
    "two passes over two tables that refer to each other": (
        "CREATE TABLE p (id int PRIMARY KEY, q int); CREATE TABLE q (id int PRIMARY KEY, p int REFERENCES p); "
        "ALTER TABLE p ADD FOREIGN KEY (q) REFERENCES q",
        [("p", "p", "SELECT id FROM source", {}), ("q", "q", "SELECT id FROM source", {}),
         ("p2", "p", "SELECT id, b AS q FROM source", {"on_conflict": "update"}),
         ("q2", "q", "SELECT id, a AS p FROM source", {"on_conflict": "update"})],
        {("p2", "p"), ("p2", "q"), ("q2", "q"), ("q2", "p")}, True),
    "a circle of three": (
        "CREATE TABLE p (id int PRIMARY KEY, x int); CREATE TABLE q (id int PRIMARY KEY, x int REFERENCES p); "
        "CREATE TABLE r (id int PRIMARY KEY, x int REFERENCES q); ALTER TABLE p ADD FOREIGN KEY (x) REFERENCES r",
        [("p", "p", "SELECT id, a AS x FROM source", {}), ("q", "q", "SELECT id, a AS x FROM source", {}),
         ("r", "r", "SELECT id, a AS x FROM source", {})],
        {("p", "r"), ("q", "p"), ("r", "q")}, False),
    "referenced table partitioned": (
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); "
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p DEFAULT; "
        "CREATE TABLE q (id int, p int REFERENCES p)",
        [("q", "q", "SELECT id, a AS p FROM source", {}), ("p", "p", "SELECT id FROM source", {})],
        {("q", "p")}, True),
    "referenced table filled by partition": (
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); "
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p DEFAULT; "
        "CREATE TABLE q (id int, p int REFERENCES p)",
        [("q", "q", "SELECT id, a AS p FROM source", {}), ("p2", "p2", "SELECT id FROM source", {}),
         ("p1", "p1", "SELECT id FROM source", {})],
        {("q", "p1"), ("q", "p2")}, True),
    "referencing table partitioned": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int, p int REFERENCES p) PARTITION BY RANGE (id); "
        "CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (10); CREATE TABLE q2 PARTITION OF q DEFAULT",
        [("q", "q", "SELECT id, a AS p FROM source", {}), ("q2", "q2", "SELECT id, a AS p FROM source", {}),
         ("p", "p", "SELECT id FROM source", {})],
        {("q", "p"), ("q2", "p")}, True),
    "foreign key of a partition alone": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int, p int) PARTITION BY RANGE (id); "
        "CREATE TABLE q1 (p int REFERENCES p, id int); ALTER TABLE q ATTACH PARTITION q1 FOR VALUES FROM (0) TO (10); "
        "CREATE TABLE q2 PARTITION OF q DEFAULT",
        [("q", "q", "SELECT id, a AS p FROM source", {}), ("q2", "q2", "SELECT id, a AS p FROM source", {}),
         ("p", "p", "SELECT id FROM source", {})],
        {("q", "p")}, True),
    "partitioned table that refers to itself": (
        "CREATE TABLE p (id int PRIMARY KEY, parent int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT; "
        "ALTER TABLE p ADD FOREIGN KEY (parent) REFERENCES p",
        [("p", "p", "SELECT id, a AS parent FROM source", {})],
        {("p", "p")}, False),
    "inheritance passes no foreign key on": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int, p int REFERENCES p); CREATE TABLE r () INHERITS (q)",
        [("r", "r", "SELECT id, a AS p FROM source", {}), ("q", "q", "SELECT id, a AS p FROM source", {}),
         ("p", "p", "SELECT id FROM source", {})],
        {("q", "p")}, True),
    "columns by name": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int, a int REFERENCES p, d int REFERENCES p)",
        [("q", "q", None, {}), ("p", "p", None, {})],
        {("q", "p")}, True),
}


@pytest.mark.parametrize("name", ORDERS)
def test_order(schema, name):
    tables, tasks, expected, ordered = ORDERS[name]
    schema.execute(tables)
    for task, target, transform, settings in tasks:
        add_task(schema, task, target, transform, **settings)
    assert dependencies(schema) == expected
    if ordered:
        schema.execute("SELECT mongoferry.check_order('m')")
    else:
        with pytest.raises(errors.InvalidObjectDefinition) as caught:
            schema.execute("SELECT mongoferry.check_order('m')")
        for task, depends_on in expected:
            assert f'Task "{task}" waits for "{depends_on}"' in caught.value.diag.message_detail
    by_word = {(task, other) for task, _, _, settings in tasks for other in settings.get("depends_on", [])}
    if not ordered and not by_word:
        schema.execute("SELECT mongoferry.check_order('m', foreign_keys => false)")


def test_a_circle_behind_others_is_found_alone(schema):
    schema.execute("CREATE TABLE p (id int)")
    for task, depends_on in [("a", ["b"]), ("b", ["c"]), ("c", ["d"]), ("d", ["c"]), ("e", []), ("f", ["e", "a"])]:
        add_task(schema, task, "p", "SELECT id FROM source", depends_on=depends_on)
    with pytest.raises(errors.InvalidObjectDefinition, match='tasks of migration "m" depend on each other: "c", "d"') as caught:
        schema.execute("SELECT mongoferry.check_order('m')")
    assert caught.value.diag.message_hint == "Change depends_on with mongoferry.alter_task()."


def test_many_tasks_are_ordered_soon(schema):
    for number in range(60):
        references = f"REFERENCES t{number - 1}" if number else ""
        schema.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, a int {references})")
        add_task(schema, f"t{number}", f"t{number}")
    assert dependencies(schema) == {(f"t{n}", f"t{n - 1}") for n in range(1, 60)}
    schema.execute("SET statement_timeout = '10s'")
    schema.execute("SELECT mongoferry.check_order('m')")


# --- targets kept elsewhere -----------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(schema, postgres, database):
    """A postgres_fdw server that leads back to this database."""
    try:
        schema.execute("CREATE EXTENSION postgres_fdw")
    except (errors.UndefinedFile, errors.FeatureNotSupported):
        pytest.skip("postgres_fdw is not installed")
    schema.execute(f"""
        CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw
            OPTIONS (host '{postgres.socket_dir}', port '{postgres.port}', dbname '{database}');
        CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere OPTIONS (user '{postgres.superuser}')""")
    return schema


def test_a_foreign_table_as_target(elsewhere):
    elsewhere.execute("""
        CREATE TABLE far (id int PRIMARY KEY, name text);
        CREATE FOREIGN TABLE near (id int, name text) SERVER elsewhere OPTIONS (table_name 'far')""")
    add_task(elsewhere, "plain", "near", "SELECT id, name FROM source")
    assert "ON CONFLICT" not in statement(elsewhere, "plain")
    # postgres_fdw knows DO NOTHING without a key alone
    add_task(elsewhere, "again", "near", "SELECT id, name FROM source", on_conflict="nothing", conflict_key=["id"])
    assert statement(elsewhere, "again").endswith("\nON CONFLICT DO NOTHING")
    assert elsewhere.execute("SELECT mongoferry.task_key('m', 'again')").fetchone()[0] == ["id"]
    document = bson.encode({"kind": "raw", "documents": bson.encode({"id": 1, "name": "one"}) + bson.encode({"id": 2})})
    assert run(elsewhere, "again", bounds=document) == 2
    assert run(elsewhere, "again", bounds=document) == 0
    assert rows(elsewhere, "far") == [(1, "one"), (2, None)]
    with pytest.raises(errors.UniqueViolation):
        run(elsewhere, "plain", bounds=document)
    with pytest.raises(errors.FeatureNotSupported, match='cannot have on_conflict "update"'):
        add_task(elsewhere, "update", "near", "SELECT id, name FROM source", on_conflict="update")
    with pytest.raises(errors.UndefinedColumn, match="conflict_key"):
        add_task(elsewhere, "key", "near", "SELECT id, name FROM source", conflict_key=["ident"])


def test_a_foreign_table_that_is_not_updatable(elsewhere):
    elsewhere.execute("CREATE FOREIGN TABLE near (id int) SERVER elsewhere OPTIONS (table_name 'far', updatable 'false')")
    with pytest.raises(errors.WrongObjectType, match="a foreign table that cannot be written"):
        add_task(elsewhere, "t", "near", "SELECT id FROM source")


def test_partitions_elsewhere(elsewhere):
    elsewhere.execute("""
        CREATE TABLE far (id int PRIMARY KEY, name text);
        CREATE TABLE parted (id int, name text) PARTITION BY RANGE (id);
        CREATE TABLE parted_here PARTITION OF parted FOR VALUES FROM (0) TO (10);
        CREATE FOREIGN TABLE parted_there PARTITION OF parted FOR VALUES FROM (10) TO (20)
            SERVER elsewhere OPTIONS (table_name 'far')""")
    add_task(elsewhere, "t", "parted", "SELECT id, name FROM source", on_conflict="nothing", conflict_key=["id"])
    with pytest.raises(errors.FeatureNotSupported):
        add_task(elsewhere, "u", "parted", "SELECT id, name FROM source", on_conflict="update", conflict_key=["id"])
    document = bson.encode({"kind": "raw", "documents": bson.encode({"id": 1}) + bson.encode({"id": 12})})
    assert run(elsewhere, "t", bounds=document) == 2
    assert rows(elsewhere, "far") == [(12, None)]
    assert rows(elsewhere, "parted") == [(1, None), (12, None)]


def test_a_partitioned_target_with_keys(schema):
    schema.execute("""
        CREATE TABLE parted (id int PRIMARY KEY, name text NOT NULL) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10);
        CREATE TABLE high PARTITION OF parted DEFAULT""")
    chunk = bson.encode({"kind": "raw", "documents": bson.encode({"id": 1, "name": "a"}) + bson.encode({"id": 12, "name": "b"})})
    changed = bson.encode({"kind": "raw", "documents": bson.encode({"id": 1, "name": "x"}) + bson.encode({"id": 13, "name": "c"})})
    add_task(schema, "t", "parted", "SELECT id, name FROM source", on_conflict="update")
    assert run(schema, "t", bounds=chunk) == 2
    assert run(schema, "t", bounds=changed) == 2
    assert rows(schema, "parted") == [(1, "x"), (12, "b"), (13, "c")]
    assert rows(schema, "low") == [(1, "x")]


# --- the statements, run ----------------------------------------------------------------------------------------------------


@pytest.fixture
def people(connection, mongo, live_server):
    """A collection of people who have managers and teams, and the migration m."""
    mongo.people.insert_many([{"_id": n, "name": f"person {n}", "manager": 5 if n < 5 else None, "team": n % 2} for n in range(6)])
    mongo.teams.insert_many([{"_id": n, "lead": n} for n in range(2)])
    connection.execute(f"""
        CREATE FOREIGN TABLE people (id int OPTIONS (field '_id'), name text, manager int, team int) SERVER {live_server};
        CREATE FOREIGN TABLE teams (id int OPTIONS (field '_id'), lead int) SERVER {live_server};
        CREATE SCHEMA new;
        CREATE TABLE new.team (id int PRIMARY KEY, lead int);
        CREATE TABLE new.person (id int PRIMARY KEY, name text NOT NULL, manager int REFERENCES new.person,
            team int NOT NULL REFERENCES new.team);
        ALTER TABLE new.team ADD FOREIGN KEY (lead) REFERENCES new.person""")
    connection.execute("SELECT mongoferry.create_migration('m')")
    return connection


def test_a_circle_is_carried_over_by_second_passes(people):
    add_task(people, "people", "new.person", "SELECT id, name, team FROM source", source="people")
    add_task(people, "teams", "new.team", "SELECT id FROM source", source="teams")
    add_task(people, "managers", "new.person", "SELECT id, manager FROM source", source="people", on_conflict="update")
    add_task(people, "leads", "new.team", source="teams", on_conflict="update")
    people.execute("SELECT mongoferry.check_order('m')")
    waits = dependencies(people)
    done, written = [], {}
    while len(done) < 4:  # in the order that the dependencies allow
        task = next(t for t in ("leads", "managers", "people", "teams")
                    if t not in done and all(other in done for waiting, other in waits if waiting == t))
        written[task] = run(people, task)
        done.append(task)
    assert written == {"people": 6, "teams": 2, "managers": 6, "leads": 2}
    assert statement(people, "managers").startswith("UPDATE new.person ")  # name and team are missing
    assert statement(people, "leads").startswith("INSERT INTO new.team ")
    assert rows(people, "new.person") == [(n, f"person {n}", 5 if n < 5 else None, n % 2) for n in range(6)]
    assert rows(people, "new.team") == [(0, 0), (1, 1)]


def test_on_conflict(people):
    people.execute("CREATE TABLE plain (id int PRIMARY KEY, name text UNIQUE, note text DEFAULT 'kept')")
    people.execute("INSERT INTO plain VALUES (3, 'old', 'mine')")
    for task in ("error", "nothing", "update"):
        add_task(people, task, "plain", "SELECT id, name FROM source", source="people", on_conflict=task)
    with pytest.raises(errors.UniqueViolation):
        run(people, "error")
    assert run(people, "nothing") == 5
    assert rows(people, "plain WHERE id = 3") == [(3, "old", "mine")]
    assert run(people, "update") == 6
    assert rows(people, "plain") == [(n, f"person {n}", "mine" if n == 3 else "kept") for n in range(6)]
    # another key than the one that is named
    people.execute("UPDATE plain SET id = 99 WHERE id = 0")
    for task in ("nothing", "update"):
        with pytest.raises(errors.UniqueViolation, match="plain_name_key"):
            run(people, task)


@pytest.mark.parametrize(
    "key_type, value, stored, matches",
    [
        ("varchar(3)", "'abc'", "abc", True),
        ("varchar(3)", "'abc' || left(name, 1)", "abc", False),  # an INSERT would refuse it: nothing is cut
        ("char(3)", "'abc' || left(name, 1)", "abc", False),
        ("short", "'abc' || left(name, 1)", "abc", False),
        ("char(5)", "'ab'", "ab", True),
        ("numeric(3,1)", "1.24", "1.2", True),  # an INSERT would round it
        ("timestamp(0)", "'2024-01-01 00:00:00.4'", "2024-01-01", True),
        ("cents", "1.248", "1.25", True),
        ("nested", "'abc'", "abc", True),
        ("nested", "'abc' || left(name, 1)", "abc", False),
        ("interval day to minute", "'1 day 00:00:05'", "1 day", True),
        ("uuid", "'a3bb189e-8bf9-3888-9912-ace4e6543002'", "a3bb189e-8bf9-3888-9912-ace4e6543002", True),
        ("int[]", "ARRAY[1,2]", "{1,2}", True),
        ("bigint", "7::smallint", "7", True),
        ("mongoferry.objectid", "'6592aac00000000000000001'", "6592aac00000000000000001", True),
        ("mood", "'good'", "good", True),
        ("short", "'abc'", "abc", True),
        ('"Odd Type"', "'b'", "b", True),
    ],
)
def test_the_key_of_an_update(people, key_type, value, stored, matches):
    people.execute("""
        CREATE TYPE mood AS ENUM ('bad', 'good'); CREATE DOMAIN short AS varchar(3); CREATE DOMAIN nested AS short;
        CREATE DOMAIN cents AS numeric(5,2); CREATE TYPE "Odd Type" AS ENUM ('a', 'b')""")
    people.execute(f'CREATE TABLE keyed ("the key" {key_type} PRIMARY KEY, must text NOT NULL, given text)')
    people.execute(f"INSERT INTO keyed VALUES ('{stored}', 'x')")
    add_task(people, "t", "keyed", f'SELECT {value} AS "the key", name AS given FROM source WHERE id = 1', source="people",
             on_conflict="update")
    assert statement(people, "t").startswith("UPDATE ")
    assert run(people, "t") == (1 if matches else 0)


def test_hostile_names(people):
    people.execute("""
        CREATE SCHEMA "s.'""x";
        CREATE TABLE "s.'""x"."source" (id int, "given" text, target text NOT NULL, "excl""uded" int, "%I $1" numeric,
            PRIMARY KEY (id, target));
        CREATE TABLE "s.'""x"."%s" (target int PRIMARY KEY, must int NOT NULL, "source" text, excluded text)""")
    add_task(people, 'the "first"; $1 %s', """"s.'""x".source""",
             """SELECT id, name AS given, 'x' AS target, team AS "excl""uded", 1.5 AS "%I $1" FROM source""",
             source="people", on_conflict="update")
    assert run(people, 'the "first"; $1 %s') == 6
    assert run(people, 'the "first"; $1 %s') == 6
    assert rows(people, """"s.'""x".source""")[2] == (2, "person 2", "x", 0, Decimal("1.5"))
    people.execute("""INSERT INTO "s.'""x"."%s" VALUES (4, 1)""")
    add_task(people, "second", """"s.'""x"."%s\"""", "SELECT id AS target, name AS source, 'e' AS excluded FROM source",
             source="people", on_conflict="update")
    assert run(people, "second") == 1
    assert rows(people, """"s.'""x"."%s\"""") == [(4, 1, "person 4", "e")]


def test_a_second_row_for_one_key_is_an_error(people):
    people.execute("CREATE TABLE keyed (id int PRIMARY KEY, must text NOT NULL, note text); INSERT INTO keyed VALUES (0, 'x'), (1, 'x')")
    add_task(people, "update", "keyed", "SELECT team AS id, name AS note FROM source", source="people", on_conflict="update")
    add_task(people, "insert", "keyed", "SELECT team AS id, name AS must FROM source", source="people", on_conflict="update")
    for task in ("update", "insert"):
        with pytest.raises(errors.CardinalityViolation):
            run(people, task)
    people.execute("SELECT mongoferry.alter_task('m', 'update', transform => 'SELECT team AS id, min(name) AS note FROM source GROUP BY team')")
    assert run(people, "update") == 2
    assert rows(people, "keyed") == [(0, "x", "person 0"), (1, "x", "person 1")]
    people.execute("SELECT mongoferry.alter_task('m', 'update', transform => 'SELECT manager AS id, name AS note FROM source WHERE id = 5')")
    with pytest.raises(errors.NotNullViolation, match="NULL in the key"):
        run(people, "update")
    # a row that is not there is none to update
    people.execute("SELECT mongoferry.alter_task('m', 'update', transform => 'SELECT id, name AS note FROM source WHERE id > 0')")
    assert run(people, "update") == 1


def write_chunk(connection, task):
    """What write_chunk() makes of a task's statement: (rows written, [(_id, sqlstate, constraint)])."""
    with connection.transaction():
        connection.execute("SELECT mongoferry.use_search_path('m', %s)", [task])
        refused = connection.execute(
            """SELECT w.source_id, w.sqlstate, w.constraint_name
               FROM mongoferry.task AS t, mongoferry.write_chunk(t.source, mongoferry.task_statement('m', t.task), %s) AS w
               WHERE t.migration = 'm' AND t.task = %s""", [ALL, task]).fetchall()
        written = connection.execute("SELECT rows_written FROM mongoferry.chunk_totals()").fetchone()[0]
    return written, sorted(refused)


def test_the_statements_in_write_chunk(people, mongo):
    mongo.people.insert_many([{"_id": 6, "name": None, "team": 0}, {"_id": 7, "name": "lost", "manager": 99, "team": 1}])
    people.execute("ALTER TABLE new.person DROP CONSTRAINT person_team_fkey")
    add_task(people, "people", "new.person", "SELECT id, name, team FROM source", source="people")
    add_task(people, "again", "new.person", "SELECT id, name, team FROM source", source="people", on_conflict="nothing")
    add_task(people, "managers", "new.person", "SELECT id, manager FROM source", source="people", on_conflict="update")
    assert write_chunk(people, "people") == (7, [(6, "23502", None)])
    assert write_chunk(people, "again") == (0, [(6, "23502", None)])
    # the row of 6 is not there, so that there is nothing to update; that of 7 refers to nobody
    assert write_chunk(people, "managers") == (6, [(7, "23503", "person_manager_fkey")])
    assert rows(people, "new.person")[4:] == [(4, "person 4", 5, 0), (5, "person 5", None, 1), (7, "lost", None, 1)]


def test_identity_columns_keep_what_is_copied(people):
    people.execute("CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)")
    add_task(people, "copied", "numbered", "SELECT id + 100 AS id, name FROM source", source="people")
    assert run(people, "copied") == 6
    add_task(people, "numbered", "numbered", "SELECT name FROM source WHERE id < 2", source="people")
    assert run(people, "numbered") == 2
    assert [row[0] for row in rows(people, "numbered")] == [1, 2, *range(100, 106)]


def test_transforms_see_the_search_path_of_their_task(people, connect):
    people.execute("""
        CREATE SCHEMA helpers; CREATE FUNCTION helpers.shout(text) RETURNS text LANGUAGE sql AS 'SELECT upper($1)';
        CREATE TABLE plain (id int PRIMARY KEY, name text);
        SET search_path = helpers, public""")
    add_task(people, "t", "plain", "SELECT id, shout(name) AS name FROM source", source="people")
    other = connect()
    assert run(other, "t") == 6
    assert rows(other, "plain")[0] == (0, "PERSON 0")
    assert other.execute("SHOW search_path").fetchone()[0] == '"$user", public'


def test_use_search_path_ends_with_the_function_that_calls_it(people):
    people.execute("SET search_path = new, public")
    add_task(people, "t", "person", "SELECT id, name, team FROM source", source="people")
    people.execute("RESET search_path")
    people.execute("""
        CREATE FUNCTION caller() RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM mongoferry.use_search_path('m', 't');
            RETURN pg_catalog.current_setting('search_path');
        END $$""")
    assert people.execute("SELECT caller(), current_setting('search_path')").fetchone() == ("new, public", '"$user", public')


# --- rights -----------------------------------------------------------------------------------------------------------------


def test_each_role_has_migrations_of_its_own(schema, connect, ordinary_role):
    schema.execute("CREATE TABLE p (id int PRIMARY KEY)")
    add_task(schema, "t", "p", "SELECT id FROM source")
    role = connect(user=ordinary_role)
    for table in ("migration", "task", "chunk", "errors", "run"):
        assert rows(role, f"mongoferry.{table}") == []
    for call in ("require_owner('m')", "drop_migration('m')", "task_statement('m', 't')", "alter_task('m', 't')", "reset_task('m', 't')",
                 "drop_task('m', 't')", "check_order('m')", "task_dependencies('m')", "task_query('m', 't')"):
        with pytest.raises(errors.UndefinedObject, match='migration "m" does not exist'):
            role.execute(f"SELECT mongoferry.{call}")
    with pytest.raises(errors.DuplicateObject):
        role.execute("SELECT mongoferry.create_migration('m')")
    role.execute("SELECT mongoferry.create_migration('mine')")
    add_task(role, "t", "p", "SELECT id FROM source", migration="mine")
    assert statement(role, "t", "mine").startswith("INSERT INTO public.p")
    # the superuser sees it and may drop it, but does not run its code
    assert {row[0] for row in rows(schema, "mongoferry.migration")} == {"m", "mine"}
    with pytest.raises(errors.InsufficientPrivilege, match='must be owner of migration "mine"') as caught:
        statement(schema, "t", "mine")
    assert caught.value.diag.message_hint == f"SET ROLE {ordinary_role} first."
    schema.execute("SELECT mongoferry.drop_migration('mine')")


def test_what_belongs_to_a_task_goes_with_it(schema, connect, ordinary_role):
    role = connect(user=ordinary_role)
    role.execute("CREATE TABLE p (id int PRIMARY KEY)")
    for connection, migration in ((schema, "m"), (role, "mine"), (role, "mine too")):
        if connection is role:
            connection.execute("SELECT mongoferry.create_migration(%s)", [migration])
        for task in ("a", "b"):
            add_task(connection, task, "p", "SELECT id FROM source", migration=migration)
            connection.execute(
                "INSERT INTO mongoferry.chunk (migration, task, chunk, bounds, documents_estimated) VALUES (%s, %s, 1, '', 0)",
                [migration, task])
            connection.execute(
                "INSERT INTO mongoferry.errors (migration, task, raw, sqlstate, message) VALUES (%s, %s, '', '22000', 'x')",
                [migration, task])
        connection.execute("INSERT INTO mongoferry.run (migration, job) VALUES (%s, 'migrate')", [migration])

    def left(table, columns="migration, task"):
        return sorted(schema.execute(f"SELECT {columns} FROM mongoferry.{table}").fetchall())

    role.execute("SELECT mongoferry.reset_task('mine', 'b')")
    others = [("m", "a"), ("m", "b"), ("mine too", "a"), ("mine too", "b")]
    assert left("chunk") == left("errors") == sorted([*others, ("mine", "a")])
    role.execute("SELECT mongoferry.drop_task('mine', 'a')")
    assert left("chunk") == left("errors") == others
    assert left("task") == sorted([*others, ("mine", "b")])
    role.execute("DELETE FROM mongoferry.migration WHERE migration = 'mine'")  # by hand it is the same
    role.execute("SELECT mongoferry.drop_migration('mine too')")
    assert left("task") == left("chunk") == left("errors") == [("m", "a"), ("m", "b")]
    assert left("run", "migration") == [("m",)]


@pytest.mark.parametrize("call", ["drop_migration('m')", "drop_task('m', 't')", "reset_task('m', 't')"])
def test_nothing_is_taken_from_under_a_run(schema, connect, call):
    schema.execute("CREATE TABLE p (id int PRIMARY KEY)")
    add_task(schema, "t", "p", "SELECT id FROM source")
    other = connect()
    with other.transaction():
        other.execute("SELECT mongoferry.exclude_runs('m')")  # takes the locks that a run holds
        other.execute("SELECT mongoferry.exclude_runs('m')")
        with pytest.raises(errors.ObjectInUse, match='migration "m" is already being run'):
            schema.execute(f"SELECT mongoferry.{call}")
        schema.execute("SELECT mongoferry.exclude_runs('another')")
        schema.execute("SELECT mongoferry.alter_task('m', 't', chunk_size => 7)")  # counts from the next chunk on
    schema.execute(f"SELECT mongoferry.{call}")


def test_who_looks_at_a_task_does_not_run_its_code(schema, connect, ordinary_role):
    """A function that the planner evaluates is the owner's code: a superuser who asks for the statement must not run it."""
    role = connect(user=ordinary_role)
    role.execute("""
        CREATE TABLE stolen (who text, target int);
        CREATE FUNCTION trap() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN
            RAISE WARNING 'planned as %', current_user;
            RETURN 1;
        END $$""")
    role.execute("SELECT mongoferry.create_migration('mine')")
    add_task(role, "t", "stolen", "SELECT trap() AS target FROM source", migration="mine")
    notices = []
    schema.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    for call in ("task_statement('mine', 't')", "task_columns('mine', 't')", "check_task('mine', 't')", "task_dependencies('mine')",
                 "check_order('mine')", "task_query('mine', 't')", "task_key('mine', 't')", "alter_task('mine', 't', chunk_size => 5)"):
        try:
            schema.execute(f"SELECT mongoferry.{call}")
        except errors.InsufficientPrivilege:
            pass
    assert notices == []


def test_an_owner_that_is_gone(schema, superuser):
    name = f"role_{uuid.uuid4().hex[:12]}"
    schema.execute(f"CREATE ROLE {name}; SET ROLE {name}; SELECT mongoferry.create_migration('hers'); RESET ROLE; DROP ROLE {name}")
    with pytest.raises(errors.InsufficientPrivilege):
        schema.execute("SELECT mongoferry.require_owner('hers')")
    schema.execute("UPDATE mongoferry.migration SET owner = quote_ident(current_user)::regrole WHERE migration = 'hers'")
    schema.execute("SELECT mongoferry.require_owner('hers')")
    schema.execute("SELECT mongoferry.drop_migration('hers')")


# --- at the same time ---------------------------------------------------------------------------------------------------------


def test_tasks_added_at_the_same_time_get_positions_of_their_own(schema, connect):
    schema.execute("CREATE TABLE p (id int PRIMARY KEY)")
    other = connect()
    other.execute("SET lock_timeout = '200ms'")
    with schema.transaction():
        add_task(schema, "first", "p", "SELECT id FROM source")
        with pytest.raises(errors.LockNotAvailable):
            add_task(other, "second", "p", "SELECT id FROM source")
    add_task(other, "second", "p", "SELECT id FROM source")
    assert schema.execute("SELECT task, position FROM mongoferry.task ORDER BY 2").fetchall() == [("first", 1), ("second", 2)]


# --- dump and restore ---------------------------------------------------------------------------------------------------------


def catalogue(connection):
    """All rows of all tables of the extension that are dumped, and where their sequences stand."""
    tables = connection.execute("""
        SELECT c.oid::regclass::text, c.relkind FROM pg_extension AS e, unnest(e.extconfig) AS u (oid) JOIN pg_class AS c USING (oid)
        WHERE e.extname = 'mongoferry' ORDER BY 1""").fetchall()
    return {table: connection.execute(f"SELECT last_value, is_called FROM {table}").fetchone() if kind == "S"
            else connection.execute(f"SELECT t::text FROM {table} AS t ORDER BY 1").fetchall() for table, kind in tables}


@pytest.mark.parametrize("form", ["plain", "custom"])
def test_the_catalogue_survives_a_dump(postgres, database, schema, connect, ordinary_role, tmp_path, form):
    schema.execute("""
        CREATE TABLE "P" (id int PRIMARY KEY, note text); CREATE TABLE q (id int, p int REFERENCES "P", a int);
        SET search_path = public, mongoferry""")
    add_task(schema, "q", "q", "SELECT id, a AS p FROM source -- 'quoted' \\ \t\n", depends_on=["p", "with \"quotes\", and comma"],
             conflict_key=None, max_errors=7)
    add_task(schema, "p", '"P"', "SELECT id, name AS note FROM source", on_conflict="update", conflict_key=["id"],
             changed_field="meta.updated", on_error="abort", chunk_size=5)
    schema.execute("RESET search_path")
    role = connect(user=ordinary_role)
    role.execute("SELECT mongoferry.create_migration('mine', 'a comment')")
    add_task(role, "t", "q", "SELECT id FROM source", migration="mine")
    schema.execute("""
        UPDATE mongoferry.task SET state = 'running', documents_total = 10, started_at = now() WHERE task = 'p';
        INSERT INTO mongoferry.chunk (migration, task, chunk, bounds, bounds_shown, documents_estimated, state)
            SELECT 'm', 'p', n, decode(lpad(n::text, 4, '0'), 'hex'), '{"a": 1}', 3, 'pending' FROM generate_series(1, 20) AS n;
        INSERT INTO mongoferry.errors (migration, task, chunk, source_id, document, raw, sqlstate, message)
            SELECT 'm', 'p', 1, '5', '{}', '\\x0500000000', '22000', E'a\\tmessage\\n' FROM generate_series(1, 3);
        DELETE FROM mongoferry.errors WHERE id = 3;
        INSERT INTO mongoferry.run (migration, job, options) VALUES ('m', 'migrate', '{"workers": 3}')""")
    before = catalogue(schema)
    assert all(before[f"mongoferry.{table}"] for table in ("migration", "task", "chunk", "errors", "run"))

    environment = {**os.environ, **postgres.environment(database)}
    restored = f"test_{uuid.uuid4().hex[:12]}"
    postgres.psql(f"CREATE DATABASE {restored}")
    try:
        if form == "plain":
            dumped = subprocess.run([postgres.bin / "pg_dump"], env=environment, capture_output=True, text=True, check=True)
            postgres.psql(dumped.stdout, database=restored)
        else:
            path = tmp_path / "dump"
            subprocess.run([postgres.bin / "pg_dump", "-Fd", "-f", path], env=environment, check=True)
            subprocess.run([postgres.bin / "pg_restore", "--exit-on-error", "-j2", "-d", restored, path], env=environment, check=True)
        with psycopg.connect(**postgres.conninfo(restored), autocommit=True) as copy:
            assert catalogue(copy) == catalogue(schema)
            copy.execute("SELECT mongoferry.check_task('m', 'p')")
            assert statement(copy, "p") == statement(schema, "p")
            copy.execute("INSERT INTO mongoferry.errors (migration, task, raw, sqlstate, message) VALUES ('m', 'p', '', '22000', 'x')")
            assert copy.execute("SELECT max(id) FROM mongoferry.errors").fetchone()[0] == 4
        with psycopg.connect(**postgres.conninfo(restored, ordinary_role), autocommit=True) as copy:
            assert [row[0] for row in rows(copy, "mongoferry.migration")] == ["mine"]
            assert [row[0] for row in copy.execute("SELECT task FROM mongoferry.task").fetchall()] == ["t"]
    finally:
        postgres.psql(f"DROP DATABASE {restored} WITH (FORCE)")

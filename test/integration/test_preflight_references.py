"""preflight() on references between sources, beyond its sample: documents that refer to what no document gives."""

import pytest

from harness.preflight import add_task, found, preflight, shop, worst  # noqa: F401


@pytest.fixture
def firm(shop, mongo, live_server):
    """Fifty parents, and two thousand children that refer to them, of which three refer to none."""
    mongo.parents.insert_many([{"_id": i, "name": f"p{i}"} for i in range(50)])
    mongo.children.insert_many([{"_id": i, "parent": i % 50 if i % 700 else 1000 + i} for i in range(1, 2001)]
                               + [{"_id": 3000}, {"_id": 3001, "parent": None}])
    shop.execute(f"""
        CREATE FOREIGN TABLE parents (_id int, name text) SERVER {live_server};
        CREATE FOREIGN TABLE children (_id int, parent int) SERVER {live_server};
        CREATE TABLE parent (id int PRIMARY KEY, name text NOT NULL);
        CREATE TABLE child (id int PRIMARY KEY, parent_id int CONSTRAINT up REFERENCES parent);
        CREATE INDEX ON child (parent_id)""")
    return shop


def add_both(connection, parents="SELECT _id AS id, name FROM source", children="SELECT _id AS id, parent AS parent_id FROM source"):
    add_task(connection, "parents", "parent", parents, source="parents")
    add_task(connection, "children", "child", children, source="children", chunk_size=300)


def references(connection, task="children", **settings):
    rows = connection.execute("SELECT * FROM mongoferry.preflight('m'" + "".join(f", {k} => {v}" for k, v in settings.items()) + ")")
    return [(row[0], row[3], row[4]) for row in rows if row[1] == task and row[2] == "reference"]


STATE = """SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child),
    (SELECT count(*) FROM pg_class WHERE relname LIKE 'mongoferry!_%' ESCAPE '!' AND relpersistence = 't')"""


def test_references_that_meet_nothing(firm):
    add_both(firm)
    [(severity, message, hint)] = references(firm)
    assert (severity, message) == ("warning", '2 of 2000 references by foreign key "up" meet no row')
    assert hint.split("\n")[0] in [f"Their documents will be refused. One of them has (parent_id) = ({n})." for n in (1700, 2400)]
    assert hint.split("\n")[1] == 'Looked at all 2002 documents, and at all that task "parents" gives.'
    assert firm.execute(STATE).fetchone() == (0, 0, 0)
    # and migrate() agrees
    firm.execute("CALL mongoferry.migrate('m', workers => 0)")
    assert firm.execute("SELECT count(*) FROM mongoferry.errors WHERE constraint_name = 'up'").fetchone() == (2,)


def test_references_that_all_meet(firm, mongo):
    mongo.parents.insert_many([{"_id": i, "name": "late"} for i in (1700, 2400)])
    add_both(firm)
    [(severity, message, hint)] = references(firm)
    assert (severity, message) == ("note", 'all 2000 references by foreign key "up" meet a row')


def test_rows_that_are_there_count(firm):
    firm.execute("INSERT INTO parent VALUES (1700, 'x'), (2400, 'y')")
    add_both(firm)
    assert [r[:2] for r in references(firm)] == [("note", 'all 2000 references by foreign key "up" meet a row')]


def test_parents_that_the_transform_refuses(firm, mongo):
    mongo.parents.update_one({"_id": 7}, {"$set": {"_id_text": "x"}})
    add_both(firm, parents="SELECT 12 / (_id - 7) * 0 + _id AS id, name FROM source")
    [(severity, message, hint)] = references(firm)
    assert (severity, message) == ("warning", '42 of 2000 references by foreign key "up" meet no row')  # 40 to parent 7


def test_children_that_the_transform_refuses(firm):
    add_both(firm, children="SELECT _id AS id, parent + 12 / (_id - 700) * 0 AS parent_id FROM source")
    assert [r[:2] for r in references(firm)] == [("warning", '1 of 1999 references by foreign key "up" meet no row')]


def test_two_tasks_bring_the_parents(firm, mongo, live_server):
    mongo.others.insert_one({"_id": 1700})
    firm.execute(f"CREATE FOREIGN TABLE others (_id int) SERVER {live_server}")
    add_both(firm)
    add_task(firm, "others", "parent", "SELECT _id AS id, 'other' AS name FROM source", source="others")
    [(severity, message, hint)] = references(firm)
    assert (severity, message) == ("warning", '1 of 2000 references by foreign key "up" meet no row')
    assert hint.endswith('at all that tasks "parents", "others" give.')


def test_key_of_two_columns_and_of_other_types(shop, mongo, live_server):
    mongo.documents.insert_many([{"_id": i, "n": i % 2, "name": "x"} for i in range(10)])
    shop.execute("""
        CREATE TABLE parent (a bigint, b varchar(9), PRIMARY KEY (a, b));
        CREATE TABLE child (id int PRIMARY KEY, x int, y text, CONSTRAINT up FOREIGN KEY (y, x) REFERENCES parent (b, a))""")
    add_task(shop, "p", "parent", "SELECT _id AS a, 'k' || n AS b FROM source WHERE _id <> 4")
    add_task(shop, "c", "child", "SELECT _id AS id, CASE WHEN _id <> 5 THEN _id END AS x, 'k0' AS y FROM source")
    # 1, 3, 7, 9 have k1; 4 is left out; 5 has no reference
    [(severity, message, hint)] = references(shop, "c")
    assert (severity, message) == ("warning", '5 of 9 references by foreign key "up" meet no row')
    assert "One of them has (y, x) = (k0," in hint


def test_reference_to_itself(shop, mongo):
    mongo.documents.insert_many([{"_id": i, "ref": i // 2, "name": "x"} for i in range(1, 11)])
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, name text NOT NULL, boss int CONSTRAINT up REFERENCES target)")
    add_task(shop, "t", "target", "SELECT _id AS id, name FROM source")
    add_task(shop, "bosses", "target", "SELECT _id AS id, ref AS boss FROM source", on_conflict="update")
    assert [r[:2] for r in references(shop, "bosses")] == [("warning", '1 of 10 references by foreign key "up" meet no row')]
    assert references(shop, "t") == []


@pytest.mark.parametrize("parents, children", [
    ("SELECT name FROM source", "SELECT _id AS id, parent AS parent_id FROM source"),
])
def test_parents_whose_keys_are_not_known(firm, parents, children):
    firm.execute("ALTER TABLE parent ALTER id ADD GENERATED BY DEFAULT AS IDENTITY")
    add_both(firm, parents, children)
    [(severity, message, hint)] = references(firm)
    assert (severity, message, hint) == (
        "note", 'references by foreign key "up" were not looked at', 'Task "parents" does not give (id) of public.parent.')


def test_no_reference_is_given(firm):
    add_both(firm, children="SELECT _id AS id FROM source")
    assert references(firm) == []


def test_time(firm):
    add_both(firm)
    [(severity, message, hint)] = references(firm, max_duration="'0'")
    assert (severity, message) == ("note", 'references by foreign key "up" were not looked at')
    assert "max_duration" in hint
    assert [r[0] for r in references(firm, max_duration="NULL")] == ["warning"]


def test_without_temporary_tables(firm, connect, ordinary_role, database):
    firm.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC; GRANT SELECT ON parents, children TO {ordinary_role};"
                 f"GRANT SELECT, INSERT ON parent, child TO {ordinary_role}")
    theirs = connect(ordinary_role)
    theirs.execute("SELECT mongoferry.create_migration('theirs');"
                   "SELECT mongoferry.add_task('theirs', 'parents', 'parents', 'parent', 'SELECT _id AS id, name FROM source');"
                   "SELECT mongoferry.add_task('theirs', 'children', 'children', 'child', 'SELECT _id AS id, parent AS parent_id FROM source')")
    rows = preflight(theirs, "theirs")
    assert found(rows, "reference", "children") == [("note", 'references by foreign key "up" were not looked at')]
    assert found(rows, "sample", "children")  # the rest goes on


def test_from_files(shop, write_dump):
    folder = write_dump({"parents": [{"_id": i} for i in range(10)], "children": [{"_id": i, "parent": i} for i in range(8, 12)]})
    shop.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    shop.execute("CREATE FOREIGN TABLE parents (_id int) SERVER dump; CREATE FOREIGN TABLE children (_id int, parent int) SERVER dump;"
                 "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, parent_id int CONSTRAINT up REFERENCES parent)")
    add_task(shop, "parents", "parent", "SELECT _id AS id FROM source", source="parents")
    add_task(shop, "children", "child", "SELECT _id AS id, parent AS parent_id FROM source", source="children")
    assert [r[:2] for r in references(shop)] == [("warning", '2 of 4 references by foreign key "up" meet no row')]


def test_partitioned_parents(firm):
    firm.execute("""
        DROP TABLE child, parent;
        CREATE TABLE parent (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF parent FOR VALUES FROM (0) TO (25);
        CREATE TABLE high PARTITION OF parent FOR VALUES FROM (25) TO (10000);
        CREATE TABLE child (id int PRIMARY KEY, parent_id int CONSTRAINT up REFERENCES parent) PARTITION BY HASH (id);
        CREATE TABLE child_0 PARTITION OF child FOR VALUES WITH (MODULUS 1, REMAINDER 0)""")
    add_both(firm)
    assert [r[:2] for r in references(firm)] == [("warning", '2 of 2000 references by foreign key "up" meet no row')]

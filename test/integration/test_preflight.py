"""preflight(): what migrate() would fail on is found, told by row, and nothing is written."""

import os

import pytest
from psycopg import errors

from harness.preflight import add_task, documents, found, preflight, shop, worst  # noqa: F401


def test_nothing_to_complain_about(shop, mongo):
    mongo.documents.insert_many(documents(300))
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, n int)")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    rows = preflight(shop)
    assert worst(rows) == []
    assert found(rows, "sample") == [("note", "200 sampled documents give 200 rows")]
    [(severity, message)] = found(rows, "source")
    assert severity == "note" and message.startswith("public.source_table has 300 documents, about 1")
    [(severity, message)] = found(rows, "target size")
    assert message == "public.target will take about 11 kB, without its indexes"  # 300 * (24 + 8 + 4) bytes
    [(severity, message)] = found(rows, "workers", None)
    assert message == "max_worker_processes is " + shop.execute("SHOW max_worker_processes").fetchone()[0]


def test_the_order_of_the_rows(shop, mongo):
    mongo.documents.insert_many(documents(5, n="many"))
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, n int); INSERT INTO target VALUES (-1, 1)")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    severities = [row.severity for row in preflight(shop)]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert set(severities) == {"error", "warning", "note"}


# name: (set-up, transform, settings, bad fields of every tenth document, what the sample says)
REFUSALS = {
    "conversion": (
        "CREATE TABLE target (id int PRIMARY KEY, n int)", {}, {"n": "many"},
        [("warning", '20 of 200 sampled documents are refused: cannot convert BSON string to integer for column "n" of foreign table "source_table"')]),
    "NOT NULL": (
        "CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)", {}, {"n": None},
        [("warning", '20 of 200 sampled documents are refused: null value in column "n" of relation "target" violates not-null constraint')]),
    "abort": (
        "CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)", {"on_error": "abort"}, {"n": None},
        [("error", '20 of 200 sampled documents are refused: null value in column "n" of relation "target" violates not-null constraint')]),
    "more than may be": (
        "CREATE TABLE target (id int PRIMARY KEY, n int CONSTRAINT small CHECK (n < 5))", {"max_errors": 19}, {"n": 6},
        [("error", '20 of 200 sampled documents are refused: new row for relation "target" violates check constraint "small"')]),
    "as many as may be": (
        "CREATE TABLE target (id int PRIMARY KEY, n int CONSTRAINT small CHECK (n < 5))", {"max_errors": 20}, {"n": 6},
        [("warning", '20 of 200 sampled documents are refused: new row for relation "target" violates check constraint "small"')]),
    "foreign key to what no task brings": (
        "CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1); CREATE TABLE target (id int PRIMARY KEY, n int CONSTRAINT up REFERENCES parent)",
        {}, {"n": 6},
        [("warning", '20 of 200 sampled documents are refused: insert or update on table "target" violates foreign key constraint "up"')]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_in_the_sample(shop, mongo, case):
    set_up, settings, bad_fields, expected = REFUSALS[case]
    mongo.documents.insert_many([d | (bad_fields if d["_id"] % 10 == 0 else {}) for d in documents(200)])
    shop.execute(set_up)
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source", **settings)
    assert found(preflight(shop), "sample") == expected
    assert shop.execute("SELECT count(*) FROM target").fetchone() == (0,)


def test_all_refused_by_several_causes(shop, mongo):
    mongo.documents.insert_many([d | ({"n": None} if d["_id"] % 2 else {"n": "x"}) for d in documents(10)])
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL)")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    sample = found(preflight(shop), "sample")
    assert [severity for severity, _ in sample] == ["error", "error"]
    assert all(message.startswith("5 of 10 sampled documents are refused: ") for _, message in sample)


def test_foreign_key_to_the_target_of_another_task(shop, mongo):
    mongo.documents.insert_many(documents(20))
    shop.execute("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE target (id int PRIMARY KEY, n int CONSTRAINT up REFERENCES parent);"
                 "CREATE INDEX ON target (n)")
    add_task(shop, "p", "parent", "SELECT _id AS id FROM source")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    rows = preflight(shop)
    assert worst(rows) == []
    assert found(rows, "sample")[0] == (
        "note", '20 of 20 sampled documents could not be judged: insert or update on table "target" violates foreign key constraint "up"')


def test_other_refusals_beside_that_foreign_key(shop, mongo):
    mongo.documents.insert_many(documents(20, name=None)[:5] + documents(20)[5:])
    shop.execute("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE target (id int PRIMARY KEY, n int REFERENCES parent, name text NOT NULL);"
                 "CREATE INDEX ON target (n)")
    add_task(shop, "p", "parent", "SELECT _id AS id FROM source")
    add_task(shop, "t", "target", "SELECT _id AS id, n, name FROM source")
    sample = found(preflight(shop), "sample")
    assert [(severity, message[:5].split()[0]) for severity, message in sample] == [("warning", "5"), ("note", "15")]


def test_a_source_that_cannot_be_reached(shop):
    shop.execute("CREATE SERVER away FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=300')")
    shop.execute("CREATE USER MAPPING FOR PUBLIC SERVER away; CREATE FOREIGN TABLE far (_id int) SERVER away; CREATE TABLE target (id int)")
    add_task(shop, "t", "target", "SELECT _id AS id FROM source", source="far")
    rows = preflight(shop)
    [(severity, message)] = found(rows, "source")
    assert severity == "error" and message.startswith("cannot read public.far: ")
    assert found(rows, "sample") == []


def test_an_empty_source(shop):
    shop.execute("CREATE TABLE target (id int)")
    add_task(shop, "t", "target", "SELECT _id AS id FROM source")
    assert found(preflight(shop), "source") == [("warning", "public.source_table has no documents")]


def test_dump(shop, write_dump):
    path = write_dump({"things": documents(250)})
    shop.execute(f"CREATE SERVER dumped FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
    shop.execute("CREATE FOREIGN TABLE things (_id int, n int) SERVER dumped; CREATE TABLE target (id int PRIMARY KEY, n int)")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source", source="things")
    rows = preflight(shop)
    assert worst(rows) == []
    assert found(rows, "sample") == [("note", "200 sampled documents give 200 rows")]


def test_circle(shop, mongo):
    mongo.documents.insert_many(documents(3))
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, n int REFERENCES target)")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    assert found(preflight(shop), "order", None) == [("error", 'task "t" of migration "m" depends on itself')]


def test_a_transform_that_fits_no_more(shop, mongo):
    mongo.documents.insert_many(documents(3))
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, n int)")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    shop.execute("ALTER TABLE target RENAME n TO m")
    rows = preflight(shop)
    [(severity, message)] = found(rows, "transform")
    assert severity == "error" and "n" in message
    assert found(rows, "sample") == []


@pytest.mark.parametrize("on_conflict, expected", [("error", [("warning", "public.target is not empty")]), ("nothing", []), ("update", [])])
def test_target_not_empty(shop, mongo, on_conflict, expected):
    mongo.documents.insert_many(documents(3))
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, n int); INSERT INTO target VALUES (-1, 1)")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source", on_conflict=on_conflict)
    assert found(preflight(shop), "target") == expected


@pytest.mark.parametrize("index, expected", [
    ("", 1), ("CREATE INDEX ON target (n)", 0), ("CREATE INDEX ON target (n, id)", 0), ("CREATE INDEX ON target (id, n)", 1),
    ("CREATE INDEX ON target (n) WHERE id > 5", 1)])
def test_index_for_a_foreign_key(shop, index, expected):
    shop.execute("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE target (id int PRIMARY KEY, n int CONSTRAINT up REFERENCES parent)")
    if index:
        shop.execute(index)
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    assert found(preflight(shop), "index") == [("warning", 'no index for foreign key "up" on (n) of public.target')] * expected


@pytest.mark.parametrize("trigger, expected", [
    ("BEFORE INSERT ON target FOR EACH ROW", 1), ("AFTER INSERT ON target FOR EACH ROW", 1), ("AFTER INSERT ON target FOR EACH STATEMENT", 0),
    ("AFTER UPDATE ON target FOR EACH ROW", 0), ("AFTER DELETE ON target FOR EACH ROW", 0)])
def test_triggers(shop, trigger, expected):
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, n int)")
    shop.execute("CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    shop.execute(f"CREATE TRIGGER acts {trigger} EXECUTE FUNCTION act()")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    assert found(preflight(shop), "trigger") == [("warning", 'trigger "acts" of public.target fires for each row')] * expected
    shop.execute("ALTER TABLE target DISABLE TRIGGER acts")
    assert found(preflight(shop), "trigger") == []


@pytest.mark.parametrize("transform, expected", [
    ("SELECT n AS id, count(*) AS n FROM source GROUP BY n", "Aggregate"),
    ("SELECT max(n) AS id FROM source", "Aggregate"),
    ("SELECT _id AS id, row_number() OVER (ORDER BY name) AS n FROM source", "WindowAgg"),
    ("SELECT _id AS id FROM source LIMIT 5", "Limit"),
    ("SELECT DISTINCT ON (n) n AS id FROM source ORDER BY n, name", "Unique"),
    ("SELECT _id AS id, (SELECT count(*) FROM jsonb_array_elements(items)) AS n FROM source", None),
    ("SELECT _id AS id, first.n FROM source, LATERAL (SELECT 1 AS n FROM jsonb_array_elements(items) LIMIT 1) AS first", None),
    ("SELECT _id AS id, (SELECT max(t.n) FROM target AS t) AS n FROM source", None)])
def test_transforms_that_need_the_whole_source(shop, transform, expected):
    shop.execute("CREATE TABLE target (id int, n int)")
    add_task(shop, "t", "target", transform)
    rows = found(preflight(shop), "whole source")
    if expected is None:
        assert rows == []
    else:
        [(severity, message)] = rows
        assert severity == "warning" and expected in message and "one chunk at a time" in message


def test_rights(shop, mongo, connect, ordinary_role, live_server):
    mongo.documents.insert_many(documents(3))
    shop.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {ordinary_role}; CREATE TABLE target (id int PRIMARY KEY, n int);"
                 f"GRANT SELECT ON source_table TO {ordinary_role}; GRANT INSERT, SELECT ON target TO {ordinary_role}")
    theirs = connect(ordinary_role)
    theirs.execute("SELECT mongoferry.create_migration('theirs')")
    theirs.execute("SELECT mongoferry.add_task('theirs', 't', 'source_table', 'target', 'SELECT _id AS id, n FROM source')")
    assert worst(preflight(theirs, "theirs")) == []
    shop.execute(f"REVOKE ALL ON target FROM {ordinary_role}; REVOKE ALL ON source_table FROM {ordinary_role};"
                 f"REVOKE USAGE ON FOREIGN SERVER {live_server} FROM PUBLIC")
    rows = preflight(theirs, "theirs")
    assert {m for s, m in found(rows, "rights") if s == "error"} == {
        'no right to use server "live"', "no right to read public.source_table", "no INSERT right on id, n of public.target"}
    with pytest.raises(errors.InsufficientPrivilege):
        preflight(shop, "theirs")
    with pytest.raises(errors.UndefinedObject):
        preflight(shop, "none")


def test_no_tasks(shop):
    assert ("error", 'migration "m" has no tasks') in found(preflight(shop), "tasks", None)


STATE = """
    SELECT (SELECT count(*) FROM target), (SELECT count(*) FROM log), (SELECT count(*) FROM mongoferry.chunk),
        (SELECT count(*) FROM mongoferry.errors), (SELECT count(*) FROM mongoferry.run),
        (SELECT jsonb_agg(t) FROM mongoferry.task AS t)::text,
        (SELECT jsonb_object_agg(sequencename, coalesce(last_value, 0)) FROM pg_sequences)::text"""
WRITTEN = """SELECT jsonb_object_agg(relname, n_live_tup)::text FROM pg_stat_user_tables"""


@pytest.mark.parametrize("calls", [0, 3])
def test_nothing_is_written(shop, mongo, calls):
    mongo.documents.insert_many(documents(100) + [{"_id": 1000, "n": None}])
    shop.execute("""CREATE SEQUENCE of_trigger CACHE 10; CREATE SEQUENCE of_transform; CREATE SEQUENCE of_default MAXVALUE 5000 INCREMENT 7;
        CREATE TABLE log (id bigint, at timestamptz);
        CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL, s serial, i int GENERATED BY DEFAULT AS IDENTITY,
            d int DEFAULT nextval('of_default'), x int);
        CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN INSERT INTO log VALUES (nextval('of_trigger'), now()); RETURN NEW; END$$;
        CREATE TRIGGER acts AFTER INSERT ON target FOR EACH ROW EXECUTE FUNCTION act();""")
    for name in ("of_trigger", "of_transform", "of_default", "target_s_seq", "target_i_seq"):
        for _ in range(calls):
            shop.execute(f"SELECT nextval('{name}')")
    add_task(shop, "t", "target", "SELECT _id AS id, n, nextval('of_transform') AS x FROM source")
    before = shop.execute(STATE).fetchone()
    shop.execute("SELECT pg_stat_force_next_flush()")
    live = shop.execute(WRITTEN).fetchone()
    expected_next = shop.execute("SELECT nextval('of_trigger')").fetchone()[0] + 1
    before = shop.execute(STATE).fetchone()
    rows = preflight(shop)
    assert found(rows, "sample")[0][1].startswith("1 of 101 sampled documents are refused: null value")
    assert shop.execute(STATE).fetchone() == before
    shop.execute("SELECT pg_stat_force_next_flush()")
    assert shop.execute(WRITTEN).fetchone() == live
    following = shop.execute("SELECT nextval('of_trigger')").fetchone()[0]
    assert following == expected_next or following > expected_next - 1 and following % 10 == 1  # numbers cached may be lost


def test_sequences_of_another_role_are_left_alone(shop, mongo, connect, ordinary_role):
    mongo.documents.insert_many(documents(3))
    shop.execute(f"CREATE TABLE target (id int PRIMARY KEY, n int, s serial); GRANT SELECT ON source_table TO {ordinary_role};"
                 f"GRANT INSERT, SELECT ON target TO {ordinary_role}; GRANT USAGE ON SEQUENCE target_s_seq TO {ordinary_role}")
    theirs = connect(ordinary_role)
    theirs.execute("SELECT mongoferry.create_migration('theirs')")
    theirs.execute("SELECT mongoferry.add_task('theirs', 't', 'source_table', 'target', 'SELECT _id AS id, n FROM source')")
    assert found(preflight(theirs, "theirs"), "sample") == [("warning", "no sample was written to public.target")]
    assert shop.execute("SELECT last_value, is_called FROM target_s_seq").fetchone() == (1, False)


def test_it_can_be_rolled_back_itself(shop, mongo):
    mongo.documents.insert_many(documents(3))
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, n int)")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    with shop.transaction(force_rollback=True):
        shop.execute("INSERT INTO target VALUES (0, 1)")
        # Of the row written before only the sample's refusal is told: it stands there when the sample is tried.
        assert len([row for row in worst(preflight(shop)) if row[2] == "sample"]) == 1
    assert worst(preflight(shop)) == []


def test_a_source_or_a_target_that_is_gone(shop, mongo):
    mongo.documents.insert_many(documents(3))
    shop.execute("CREATE TABLE target (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)")
    add_task(shop, "t", "target", "SELECT _id AS id FROM source")
    add_task(shop, "u", "other", "SELECT _id AS id FROM source")
    shop.execute("DROP TABLE target")
    rows = preflight(shop)
    assert [row for row in worst(rows) if row[1] == "t"] == [
        ("error", "t", "transform", 'target of task "t" of migration "m" does not exist any more')]
    assert found(rows, "sample", "u") == [("note", "3 sampled documents give 3 rows")]
    shop.execute("DROP FOREIGN TABLE source_table")
    assert found(preflight(shop), "transform", "u") == [("error", 'source of task "u" of migration "m" does not exist any more')]


def test_partitioned_target(shop, mongo):
    mongo.documents.insert_many([d | {"n": d["_id"] % 20} for d in documents(40)])
    shop.execute("""
        CREATE TABLE target (id int, n int, PRIMARY KEY (id, n)) PARTITION BY RANGE (n);
        CREATE TABLE low PARTITION OF target FOR VALUES FROM (0) TO (10);
        CREATE TABLE high PARTITION OF target (CHECK (n <> 15)) FOR VALUES FROM (10) TO (19)""")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    assert sorted(found(preflight(shop), "sample")) == [
        ("warning", '2 of 40 sampled documents are refused: new row for relation "high" violates check constraint "high_n_check"'),
        ("warning", '2 of 40 sampled documents are refused: no partition of relation "target" found for row')]
    assert shop.execute("SELECT count(*) FROM target").fetchone() == (0,)


def test_pass_that_updates(shop, mongo):
    mongo.documents.insert_many(documents(20))
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, name text NOT NULL, n int CHECK (n < 1))")
    add_task(shop, "t", "target", "SELECT _id AS id, name FROM source")
    add_task(shop, "u", "target", "SELECT _id AS id, n FROM source", on_conflict="update")
    rows = preflight(shop)
    assert worst(rows) == []
    # There is nothing to update yet.
    assert found(rows, "sample", "u") == [("note", "20 sampled documents give 0 rows")]
    shop.execute("INSERT INTO target VALUES (3, 'x', NULL)")
    [(severity, message)] = found(preflight(shop), "sample", "u")
    assert severity == "warning" and message.startswith("1 of 20 sampled documents are refused: new row")
    assert shop.execute("TABLE target").fetchall() == [(3, "x", None)]


def test_target_on_another_server(shop, mongo, database):
    mongo.documents.insert_many(documents(5))
    host, port = shop.info.host, shop.info.port
    shop.execute("CREATE EXTENSION postgres_fdw; CREATE SCHEMA there; CREATE TABLE there.target (id int PRIMARY KEY, n int)")
    shop.execute(f"CREATE SERVER there FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname '{database}')")
    shop.execute(f"CREATE USER MAPPING FOR CURRENT_USER SERVER there OPTIONS (user '{shop.info.user}')")
    shop.execute("CREATE FOREIGN TABLE target (id int, n int) SERVER there OPTIONS (schema_name 'there')")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    add_task(shop, "u", "target", "SELECT _id AS id, n FROM source", on_conflict="nothing")
    rows = preflight(shop)
    assert found(rows, "remote target", "t") == [("warning", "rows of public.target are kept on another server")]
    assert found(rows, "remote target", "u") == [("note", "rows of public.target are kept on another server")]
    assert found(rows, "sample", "t") == [("note", "no sample was written to public.target")]
    assert shop.execute("SELECT count(*) FROM there.target").fetchone() == (0,)


def test_sequences(shop, mongo, connect, ordinary_role):
    mongo.documents.insert_many(documents(5))
    shop.execute("CREATE SEQUENCE counter; CREATE TABLE target (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial,"
                 "n int DEFAULT nextval('counter'), name text)")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    rows = preflight(shop)
    assert found(rows, "sequence") == [
        ("note", "sequence public.target_id_seq behind id of public.target will be set past the copied values"),
        ("note", "sequence public.counter behind n of public.target will be set past the copied values")]
    assert found(rows, "identity") == [("note", "id of public.target is GENERATED ALWAYS, and the transform gives it")]

    shop.execute(f"GRANT SELECT ON source_table TO {ordinary_role}; GRANT INSERT, SELECT ON target TO {ordinary_role}")
    theirs = connect(ordinary_role)
    theirs.execute("SELECT mongoferry.create_migration('theirs')")
    theirs.execute("SELECT mongoferry.add_task('theirs', 't', 'source_table', 'target', 'SELECT _id AS id, n FROM source')")
    assert {m for s, m in found(preflight(theirs, "theirs"), "rights") if s == "error"} == {
        "no right to set sequence public.target_id_seq behind id of public.target",
        "no right to set sequence public.counter behind n of public.target",
        "no right to draw from sequence public.target_s_seq, the default of s of public.target"}
    shop.execute(f"GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {ordinary_role}")
    assert found(preflight(theirs, "theirs"), "rights") == []


# ---- disk space ----


def test_free_disk_space(connection):
    [data] = connection.execute("SHOW data_directory").fetchone()
    free = os.statvfs(data)
    for [given] in connection.execute("SELECT mongoferry.free_disk_space(0) UNION ALL SELECT mongoferry.free_disk_space(oid) FROM pg_tablespace"
                                      " UNION ALL SELECT mongoferry.free_wal_space()").fetchall():
        assert given == pytest.approx(free.f_bavail * free.f_frsize, rel=0.2, abs=2**30)
    assert connection.execute("SELECT mongoferry.free_disk_space(1)").fetchone() == (None,)


def test_who_may_ask_for_free_disk_space(connection, connect, ordinary_role):
    theirs = connect(ordinary_role)
    assert theirs.execute("SELECT mongoferry.free_disk_space(0) > 0").fetchone() == (True,)
    with pytest.raises(errors.InsufficientPrivilege, match="permission denied for tablespace pg_global"):
        theirs.execute("SELECT mongoferry.free_disk_space(oid) FROM pg_tablespace WHERE spcname = 'pg_global'")
    connection.execute(f"GRANT pg_read_all_stats TO {ordinary_role}")
    assert theirs.execute("SELECT mongoferry.free_disk_space(oid) > 0 FROM pg_tablespace WHERE spcname = 'pg_global'").fetchone() == (True,)


@pytest.mark.parametrize("bytes_wanted, severity", [(1000, "note"), (2**60, "warning")])
def test_targets_that_do_not_fit(connection, bytes_wanted, severity):
    connection.execute("CREATE TABLE target (id int); CREATE TABLE other (id int)")
    rows = connection.execute(
        "SELECT * FROM mongoferry.preflight_space(jsonb_build_array(jsonb_build_object('target', 'target'::regclass::oid, 'bytes', %s::bigint),"
        " jsonb_build_object('target', 'other'::regclass::oid, 'bytes', 1000)))", [bytes_wanted]).fetchall()
    assert [row[:2] for row in rows][0] == (severity, "disk")
    assert rows[0][2].startswith('targets in tablespace "pg_default" will take about ') and rows[0][2].endswith(" are free")
    assert rows[1][1] == "disk" and rows[1][2].startswith("the write-ahead log has ")


def test_disk_space_of_all_targets(shop, mongo):
    mongo.documents.insert_many(documents(300))
    shop.execute("CREATE TABLE target (id int PRIMARY KEY, n int); CREATE TABLE other (id int PRIMARY KEY, n int)")
    add_task(shop, "t", "target", "SELECT _id AS id, n FROM source")
    add_task(shop, "u", "other", "SELECT _id AS id, n FROM source")
    disk = found(preflight(shop), "disk", None)
    assert disk[0][1].startswith('targets in tablespace "pg_default" will take about 21 kB, and ')  # 2 * 300 * (24 + 8 + 4) bytes
    assert len(disk) == 2

"""A whole migration by a role that is no superuser, from create_migration() to the report, with no more rights than it needs."""


def test_a_whole_migration(connection, connect, ordinary_role, mongo, live_server):
    mongo.people.insert_many([{"_id": i, "name": f"p{i}"} for i in range(50)] + [{"_id": 50}])
    connection.execute(f"""
        CREATE FOREIGN TABLE people (_id int, name text) SERVER {live_server};
        CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL);
        GRANT USAGE ON FOREIGN SERVER {live_server} TO {ordinary_role};
        GRANT SELECT ON people TO {ordinary_role};
        GRANT SELECT, INSERT ON person TO {ordinary_role};
        GRANT SELECT, UPDATE ON SEQUENCE person_id_seq TO {ordinary_role}""")
    theirs = connect(ordinary_role)
    theirs.execute("SELECT mongoferry.create_migration('m')")
    theirs.execute("SELECT mongoferry.add_task('m', 't', 'people', 'person', 'SELECT _id AS id, name FROM source', chunk_size => 20)")
    assert [row for row in theirs.execute("SELECT severity, \"check\" FROM mongoferry.preflight('m')").fetchall() if row[0] == "error"] == []
    theirs.execute("CALL mongoferry.migrate('m', workers => 2)")
    assert theirs.execute("SELECT state, rows_written, refused FROM mongoferry.progress").fetchone() == ("done", 50, 1)
    mongo.people.update_one({"_id": 50}, {"$set": {"name": "late"}})
    theirs.execute("CALL mongoferry.retry_errors('m')")
    assert theirs.execute("SELECT count(*) FROM person").fetchone() == (51,)
    assert all(ok for (ok,) in theirs.execute("SELECT ok FROM mongoferry.validate('m')").fetchall())
    assert all(ok for (ok,) in theirs.execute("SELECT ok FROM mongoferry.recheck('m')").fetchall())
    assert '"m"' in theirs.execute("SELECT mongoferry.report('m', 'json')").fetchone()[0]
    assert theirs.execute("SELECT nextval('person_id_seq')").fetchone()[0] > 50
    theirs.execute("SELECT mongoferry.drop_migration('m')")

"""Migrations whose steps a test takes itself, in place of the workers of CALL mongoferry.migrate()."""

import json


class Run:
    """A run of a migration, whose steps the test takes itself."""

    def __init__(self, connection, migration="m", **options):
        self.connection = connection
        self.migration = migration
        self.options = connection.execute(
            "SELECT mongoferry.begin_run('migrate', %s, %s)", [migration, json.dumps(options)]).fetchone()[0]

    def step(self, connection=None):
        return (connection or self.connection).execute(
            "SELECT mongoferry.work_step('migrate', %s, %s)", [self.migration, json.dumps(self.options)]).fetchone()[0]

    def finish(self):
        """All steps; how many did something."""
        steps = 0
        while (outcome := self.step()) == "again":
            steps += 1
            assert steps < 1000
        assert outcome == "finished"
        return steps

    def end(self):
        self.connection.execute(
            "SELECT mongoferry.end_run('migrate', %s, %s, NULL)", [self.migration, json.dumps(self.options)])

    def problem(self):
        return self.connection.execute(
            "SELECT * FROM mongoferry.run_problem('migrate', %s, %s)", [self.migration, json.dumps(self.options)]).fetchone()


def add_task(connection, task, source, target, transform=None, migration="m", **settings):
    arguments = {"migration": migration, "task": task, "source": source, "target": target, "transform": transform, **settings}
    named = ", ".join(f"{name} => %({name})s{'::regclass' if name in ('source', 'target') else ''}" for name in arguments)
    connection.execute(f"SELECT mongoferry.add_task({named})", arguments)


def one(connection, query, arguments=None):
    row = connection.execute(query, arguments).fetchone()
    return row[0] if len(row) == 1 else row

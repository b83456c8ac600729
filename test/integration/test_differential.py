"""Random queries give the same answers with pushdown and without (test/differential).

They come from a seed that is always the same, and more from MONGOFERRY_DIFFERENTIAL_SEED if that is set; `make differential`
runs any number from any seed.
"""

import os

import pytest

from differential.minimizer import minimize
from differential.reproduction import reproduction
from differential.runner import QUERIES_OF_A_SCHEMA, Runner

SCHEMAS = 15  # of each part
PARTS = ["always the same", "always the same, more"]
if "MONGOFERRY_DIFFERENTIAL_SEED" in os.environ:
    PARTS += ["of this run", "of this run, more"]


@pytest.mark.parametrize("part", range(len(PARTS)), ids=PARTS)
def test_random_queries_give_the_same_with_and_without_pushdown(part, postgres, database, mongo, mongo_server, record_property):
    seed = "mongoferry" if part < 2 else os.environ["MONGOFERRY_DIFFERENTIAL_SEED"]
    runner = Runner(lambda: postgres.connect(database), mongo, mongo_server.uri)
    found = []

    def report(disagreement):
        minimize(runner, disagreement, seconds=20)
        found.append(reproduction(runner, disagreement))

    try:
        for number in range(part % 2, 2 * SCHEMAS, 2):
            runner.run_schema(seed, number, on_disagreement=report)
            if len(found) >= 3:
                break
    finally:
        runner.close()
    record_property("differential", [f"seed {seed}", *runner.statistics.lines()])
    assert not found, "\n\n".join([*found, *runner.statistics.lines()])
    statistics = runner.statistics
    assert statistics.queries == SCHEMAS * QUERIES_OF_A_SCHEMA
    # a test that pushes nothing, or whose queries fail, would show nothing
    assert statistics.pushed["anything"] > statistics.queries / 3, "\n".join(statistics.lines())
    assert all(statistics.pushed[kind] for kind in ("filter", "group", "sort", "limit", "lookup")), "\n".join(statistics.lines())
    assert statistics.rows > statistics.queries / 3, "\n".join(statistics.lines())

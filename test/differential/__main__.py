"""The differential test from the command line. PGHOST and so on name a PostgreSQL whose installation has the extension,
MONGOFERRY_TEST_URI a MongoDB; test/tools/with-servers starts both.
"""

import argparse
import os
import sys
import time
import uuid

import psycopg
import pymongo

from .minimizer import minimize
from .reproduction import reproduction
from .runner import QUERIES_OF_A_SCHEMA, Runner


def parse_arguments():
    parser = argparse.ArgumentParser(prog="differential", description="Run random queries with pushdown on and off and compare the answers.")
    parser.add_argument("--queries", type=int, default=10000, help="how many (default: 10000)")
    parser.add_argument("--seed", default=str(time.time_ns() % 10**9), help="chooses schemas, documents and queries (default: the time)")
    parser.add_argument("--only", metavar="SEED/SCHEMA[/QUERY]", help="run one schema, or one query of it")
    parser.add_argument("--stop-after", type=int, default=20, metavar="N", help="end after N disagreements (default: 20)")
    parser.add_argument("--as-found", action="store_true", help="print disagreements as they were found: do not make them small")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    print(f"seed {arguments.seed}", flush=True)
    name = f"differential_{uuid.uuid4().hex[:8]}"
    uri = os.environ["MONGOFERRY_TEST_URI"]
    with psycopg.connect(dbname="postgres", autocommit=True) as administration, pymongo.MongoClient(uri) as client:
        administration.execute(f"CREATE DATABASE {name}")
        try:
            with psycopg.connect(dbname=name, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION mongoferry")
            runner = Runner(lambda: psycopg.connect(dbname=name, autocommit=True), client[name], uri)
            try:
                return run(runner, arguments)
            finally:
                runner.close()
        finally:
            client.drop_database(name)
            administration.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(runner, arguments):
    found = 0

    def report(disagreement):
        nonlocal found
        found += 1
        if not arguments.as_found:
            minimize(runner, disagreement)
        print(reproduction(runner, disagreement), end="\n\n", flush=True)

    if arguments.only:
        seed, schema, *query = arguments.only.split("/")
        runner.run_schema(seed, schema, only=query[0] if query else None, on_disagreement=report)
    else:
        number = 0
        while runner.statistics.queries < arguments.queries and found < arguments.stop_after:
            left = arguments.queries - runner.statistics.queries
            runner.run_schema(arguments.seed, number, queries=min(QUERIES_OF_A_SCHEMA, left), on_disagreement=report)
            number += 1
    print(*runner.statistics.lines(), sep="\n")
    print(f"{found} disagreements")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Scans that several processes share: the rows are those of one process, each once; and what they cannot do."""

import contextlib
import datetime
import random
import re
import struct
import threading
import time

import bson
import psycopg
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp, json_util
from psycopg import errors

from harness import archives
from harness.fake_mongodb import FakeMongo

COLUMNS = "_id int, x int, name text, tags text[], document jsonb OPTIONS (field '$$ROOT')"


def documents(count, size=0):
    """Documents of different sizes, some of which look like others from the middle."""
    chance = random.Random(count)
    return [{"_id": i, "x": i % 100, "name": f"name {i}" * chance.randint(1, 5), "tags": [str(i), "a"] * chance.randint(0, 3),
             "inner": {"_id": i, "text": "{\n\"}," * chance.randint(0, 9), "bytes": bson.encode({"_id": i})},
             "filler": "x" * chance.randint(0, 2 * size)} for i in range(count)]


def force_parallel(connection, workers=2, leader=True):
    """Plans take workers wherever they can; without the leader, they do all the reading."""
    for name, value in {"parallel_setup_cost": 0, "parallel_tuple_cost": 0, "min_parallel_table_scan_size": 0,
                        "max_parallel_workers_per_gather": workers,
                        "parallel_leader_participation": "on" if leader else "off"}.items():
        connection.execute(f"SET {name} = {value}")


def explain(connection, query, options="ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF"):
    return "\n".join(row[0] for row in connection.execute(f"EXPLAIN ({options}) {query}"))


def number(plan, name):
    """The number that EXPLAIN shows under a name; all of them as a list, if there are several."""
    found = [int(value) for value in re.findall(rf"{name}: (\d+)", plan)]
    return found[0] if len(found) == 1 else found


def rows(connection, query, workers=2):
    """What the query gives in parallel, sorted, after a look at who has read."""
    plan = explain(connection, query)
    assert "Parallel Foreign Scan" in plan, plan
    assert number(plan, "Workers Launched") == workers, plan
    return sorted(connection.execute(query).fetchall(), key=repr)


def serial_rows(connection, query):
    with connection.transaction():
        connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        return sorted(connection.execute(query).fetchall(), key=repr)


# --- files ------------------------------------------------------------------------------------------------------------

FILES = {
    "bson": ("c.bson", lambda documents: b"".join(map(bson.encode, documents))),
    "lines": ("c.json", lambda documents: "\n".join(map(json_util.dumps, documents)).encode()),
    "array": ("c.json", lambda documents: b"\xef\xbb\xbf" + json_util.dumps(documents).encode()),
    "pretty": ("c.json", lambda documents: "\n".join(json_util.dumps(d, indent=2) for d in documents).encode()),
    "pretty array": ("c.json", lambda documents: json_util.dumps(documents, indent=1).encode() + b"\n"),
}


@pytest.fixture
def make_table(connection):
    """make_table(path, columns=…, options="") → a foreign table c over a dump."""

    def make(path, columns=COLUMNS, options="", name="c"):
        connection.execute(f"""CREATE SERVER {name}_files FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}');
                               CREATE FOREIGN TABLE {name} ({columns}) SERVER {name}_files OPTIONS (collection 'c'{options})""")
        return name

    return make


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize("form", FILES)
def test_a_file_gives_each_document_once(connection, write_file, make_table, form, leader):
    name, content = FILES[form]
    stored = documents(4000, 300)
    make_table(write_file(name, content(stored)))
    force_parallel(connection, leader=leader)
    query = "SELECT _id, x, name, tags, md5(document::text) FROM c"
    expected = serial_rows(connection, query)
    assert len(expected) == len(stored)
    assert rows(connection, query) == expected
    plan = explain(connection, query)
    assert number(plan, "Documents Received") == len(stored)
    assert number(plan, "Bytes Received") == sum(len(bson.encode(d)) for d in stored)
    assert number(plan, "Parts Read") >= 6
    assert "Divided By: bytes" in plan

"""in_chunk(): a foreign table restricted to a chunk of its documents."""

import random

import bson
import psycopg
import pytest
from bson import Code, Int64, ObjectId


def bounds(**members):
    return bson.encode(members)


def raw(*documents):
    return bounds(kind="raw", documents=b"".join(bson.encode(document) for document in documents))


@pytest.fixture
def numbers(connection, mongo, live_server):
    mongo.numbers.insert_many([{"_id": i, "n": i * 10, "items": [{"q": i}, {"q": -i}]} for i in range(10)])
    connection.execute(
        f"CREATE FOREIGN TABLE numbers (_id int, n int, document jsonb OPTIONS (field '$$ROOT')) SERVER {live_server}"
    )
    return connection


IN_CHUNK = "mongoferry.in_chunk(tableoid, %s)"


def ids(connection, chunk, where=""):
    rows = connection.execute(f"SELECT _id FROM numbers WHERE {IN_CHUNK} {where} ORDER BY _id", [chunk]).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    "chunk, expected",
    [
        (bounds(kind="all"), list(range(10))),
        (bounds(kind="ids"), list(range(10))),
        (bounds(kind="ids", min=3), list(range(3, 10))),
        (bounds(kind="ids", max=3), [0, 1, 2]),
        (bounds(kind="ids", min=3, max=5), [3, 4]),
        (bounds(kind="ids", min=3, max=3), []),
        (bounds(kind="ids", min="a"), []),
        (bounds(kind="ids", max=ObjectId("65a000000000000000000001")), list(range(10))),
        (bounds(kind="list", ids=[7, 2, 99, "x"]), [2, 7]),
        (bounds(kind="list", ids=[]), []),
        (bounds(kind="ids", **{"min": 3, "except": [4, 5, 8, 9, 77]}), [3, 6, 7]),
        (bounds(kind="all", **{"except": [0]}), list(range(1, 10))),
        (bounds(kind="all", **{"except": list(range(10))}), []),
        (bounds(kind="all", **{"except": [Int64(0)]}), list(range(10))),  # another type is another value
        (raw({"_id": 1}, {"_id": 55}), [1, 55]),
        (raw(), []),
        (bounds(kind="raw", documents=bson.encode({"_id": 1}) + bson.encode({"_id": 2}), **{"except": [1]}), [2]),
        (None, []),
    ],
)
def test_bounds(numbers, chunk, expected):
    assert ids(numbers, chunk) == expected


def test_with_a_filter_beside_it(numbers):
    assert ids(numbers, bounds(kind="ids", min=3), "AND n < 60") == [3, 4, 5]
    assert ids(numbers, bounds(kind="list", ids=[3, 9]), "AND n < 60") == [3]
    assert ids(numbers, raw({"_id": 1, "n": 1}, {"_id": 2, "n": 99}), "AND n < 60") == [1]


@pytest.mark.parametrize(
    "chunk, detail",
    [
        (b"", "not a BSON document"),
        (b"\x05\x00\x00\x00\x00", "no kind"),
        (b"junk", "not a BSON document"),
        (bounds(kind="none"), "kind is none that is known"),
        (bounds(kind=1), "kind is none that is known"),
        (bounds(kind="ids", first=1), "do not fit their kind"),
        (bounds(kind="list"), "do not fit their kind"),
        (bounds(kind="raw"), "do not fit their kind"),
        (bounds(kind="list", ids=3), "not an array"),
        (bounds(kind="raw", documents="x"), "not binary"),
        (bounds(kind="raw", documents=b"abcdefghij"), "not whole BSON documents"),
        (bounds(kind="raw", documents=bson.encode({}) + b"\x05"), "not whole BSON documents"),
        (bounds(kind="ids", other=1), "unknown member"),
        (bounds(kind="bytes", first=-1), "negative"),
        (bounds(kind="bytes", first="1"), "not an integer"),
        (bounds(kind="bytes", first=10, end=3), "end before they begin"),
        (bounds(kind="bytes", first=10, block=11), "block begins behind them"),
        (bounds(kind="ids", block=11), "do not fit their kind"),
    ],
)
def test_bounds_that_are_none(numbers, chunk, detail):
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="invalid bounds of a chunk") as caught:
        ids(numbers, chunk)
    assert detail in caught.value.diag.message_detail


def test_a_files_range_on_a_live_server(numbers):
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="range of a file"):
        ids(numbers, bounds(kind="bytes", first=0))


def test_a_corrupt_document_given_with_the_query(numbers):
    document = bytearray(bson.encode({"_id": 1, "n": 5}))
    document[-6] = 0x99  # inside the framing
    document[4] = 0x77  # no such type
    with pytest.raises(psycopg.errors.DataCorrupted):
        ids(numbers, bounds(kind="raw", documents=bytes(document)))


def test_documents_given_with_the_query_need_no_server(connection):
    connection.execute(
        "CREATE SERVER away FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://127.0.0.1:1/x')"
    )
    connection.execute("CREATE FOREIGN TABLE numbers (_id int, n text) SERVER away")
    assert ids(connection, raw({"_id": 4})) == [4]


def test_only_the_scan_that_has_it_is_restricted(numbers):
    chunk = bounds(kind="ids", min=3, max=5)
    rows = numbers.execute(
        f"""WITH source AS NOT MATERIALIZED (SELECT * FROM numbers WHERE {IN_CHUNK})
            SELECT s._id, (SELECT count(*) FROM numbers), (SELECT count(*) FROM source), o.n
            FROM source s JOIN numbers o ON o._id = s._id + 1 ORDER BY 1""",
        [chunk],
    ).fetchall()
    assert rows == [(3, 10, 2, 40), (4, 10, 2, 50)]


def test_generic_plan_and_rescan(numbers):
    numbers.execute("SET plan_cache_mode = force_generic_plan")
    numbers.execute("PREPARE chunk (bytea) AS SELECT array_agg(_id ORDER BY _id) FROM numbers WHERE mongoferry.in_chunk(tableoid, $1)")
    for first, last in [(0, 3), (3, 7), (7, 10)]:
        chunk = bounds(kind="ids", min=first, max=last).hex()
        assert numbers.execute(f"EXECUTE chunk ('\\x{chunk}')").fetchone()[0] == list(range(first, last))
    plan = numbers.execute("EXPLAIN (COSTS off) EXECUTE chunk (NULL)").fetchall()
    assert any("Chunk: known when the scan starts" in line for line, in plan)
    # a scan for each row of another one, with its bounds
    numbers.execute("CREATE TABLE chunks (number int, bounds bytea)")
    for number, (first, last) in enumerate([(0, 3), (3, 7), (7, 10)]):
        numbers.execute("INSERT INTO chunks VALUES (%s, %s)", [number, bounds(kind="ids", min=first, max=last)])
    numbers.execute("INSERT INTO chunks VALUES (3, NULL), (4, %s)", [raw({"_id": 8})])
    rows = numbers.execute(
        """SELECT number, (SELECT array_agg(_id ORDER BY _id) FROM numbers WHERE mongoferry.in_chunk(tableoid, bounds))
           FROM chunks ORDER BY number"""
    ).fetchall()
    assert rows == [(0, [0, 1, 2]), (1, [3, 4, 5, 6]), (2, [7, 8, 9]), (3, None), (4, [8])]


def test_explain(numbers):
    chunk = bounds(kind="ids", min=3, max=5)
    plan = "\n".join(
        line
        for line, in numbers.execute(
            f"EXPLAIN (COSTS off) SELECT n FROM numbers WHERE mongoferry.in_chunk(tableoid, '\\x{chunk.hex()}')"
        )
    )
    assert '"min" : { "_id" : 3 }, "max" : { "_id" : 5 }, "hint" : { "_id" : 1 }'.replace(" ", "") in plan.replace(" ", "")
    assert '"projection"' in plan and '"n"' in plan
    assert "Filter" not in plan
    given = raw({"_id": 3}).hex()
    plan = "\n".join(
        line
        for line, in numbers.execute(
            f"EXPLAIN (COSTS off) SELECT n FROM numbers WHERE mongoferry.in_chunk(tableoid, '\\x{given}')"
        )
    )
    assert "Chunk: documents given with the query" in plan and "Command" not in plan


@pytest.mark.parametrize(
    "query",
    [
        "SELECT mongoferry.in_chunk(1, '\\x00')",
        "SELECT * FROM pg_class WHERE mongoferry.in_chunk(tableoid, '\\x00')",
        "SELECT * FROM numbers WHERE mongoferry.in_chunk(tableoid, '\\x00') OR n = 1",
        "SELECT * FROM numbers WHERE mongoferry.in_chunk(n::oid, '\\x00')",
        "SELECT * FROM numbers WHERE mongoferry.in_chunk(tableoid, int4send(n))",
    ],
)
def test_where_it_means_nothing(numbers, query):
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="can only be used as a condition"):
        numbers.execute(query)


def test_two_at_once(numbers):
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="two chunks at once"):
        numbers.execute(
            f"SELECT * FROM numbers WHERE {IN_CHUNK} AND {IN_CHUNK}", [bounds(kind="all"), bounds(kind="ids")]
        )


def test_elements_of_the_documents_in_the_chunk(numbers, live_server):
    numbers.execute(
        f"""CREATE FOREIGN TABLE elements (_id int, position int OPTIONS (field '$$INDEX'), q int OPTIONS (field 'items.q'))
            SERVER {live_server} OPTIONS (collection 'numbers', unwind 'items')"""
    )
    rows = numbers.execute(
        f"SELECT _id, q FROM elements WHERE {IN_CHUNK} ORDER BY 1, position", [bounds(kind="ids", min=8)]
    ).fetchall()
    assert rows == [(8, 8), (8, -8), (9, 9), (9, -9)]


def encoded(*documents):
    return [bson.encode(document) for document in documents]


def test_bounds_from_documents(numbers):
    def made(call, *arguments):
        return numbers.execute(f"SELECT mongoferry.{call}", arguments).fetchone()[0]

    documents = encoded({"_id": 3, "n": 7}, {"_id": 5}, {"n": 1})
    assert bson.decode(made("id_bounds(%s)", documents)) == {"kind": "list", "ids": [3, 5]}
    assert bson.decode(made("raw_bounds(%s)", documents)) == {"kind": "raw", "documents": b"".join(documents)}
    chunk = bounds(kind="ids", min=2, max=7)
    assert bson.decode(made("bounds_except(%s, %s)", chunk, documents)) == {
        "kind": "ids", "min": 2, "max": 7, "except": [3, 5],
    }
    assert ids(numbers, made("bounds_except(%s, %s)", chunk, documents)) == [2, 4, 6]
    assert made("raw_bounds(%s::bytea[])", []) == bounds(kind="raw", documents=b"")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        made("raw_bounds(%s)", [b"no document"])


def explained(connection, query, parameters=None):
    return "\n".join(line for line, in connection.execute("EXPLAIN (COSTS off, VERBOSE) " + query, parameters))


def literal(chunk):
    return f"'\\x{chunk.hex()}'::bytea"


def test_a_chunk_of_the_same_table_on_each_side(numbers):
    """The bounds belong to the scan, not to the table."""
    rows = numbers.execute(
        """SELECT a._id, b._id FROM (SELECT * FROM numbers WHERE mongoferry.in_chunk(tableoid, %s)) a
           LEFT JOIN (SELECT * FROM numbers WHERE mongoferry.in_chunk(tableoid, %s)) b USING (n) ORDER BY 1""",
        [bounds(kind="ids", min=2, max=5), bounds(kind="ids", min=3)],
    ).fetchall()
    assert rows == [(2, None), (3, 3), (4, 4)]
    rows = numbers.execute(
        """SELECT count(*) FROM (SELECT _id FROM numbers WHERE mongoferry.in_chunk(tableoid, %s)
           UNION ALL SELECT _id FROM numbers WHERE mongoferry.in_chunk(tableoid, %s)) u""",
        [bounds(kind="ids", min=2, max=5), raw({"_id": 1})],
    ).fetchall()
    assert rows == [(4,)]


def test_in_the_condition_of_an_outer_join(numbers):
    rows = numbers.execute(
        """SELECT g, n FROM generate_series(1, 3) g LEFT JOIN numbers ON _id = g AND mongoferry.in_chunk(tableoid, %s)
           ORDER BY 1""",
        [bounds(kind="ids", min=2, max=3)],
    ).fetchall()
    assert rows == [(1, None), (2, 20), (3, None)]


def test_bounds_from_a_table(numbers):
    numbers.execute("CREATE TABLE chunk (number int, bounds bytea)")
    numbers.execute("INSERT INTO chunk VALUES (1, %s), (2, %s)", [bounds(kind="ids", max=4), bounds(kind="ids", min=4)])
    query = "SELECT count(*) FROM numbers WHERE mongoferry.in_chunk(tableoid, (SELECT bounds FROM chunk WHERE number = %s))"
    assert [numbers.execute(query, [number]).fetchone()[0] for number in (1, 2, 3)] == [4, 6, 0]
    # compressed and out of line, as large bounds are
    numbers.execute(
        "INSERT INTO chunk SELECT 3, mongoferry.raw_bounds(array_agg(raw || '')) FROM generate_series(1, 2000), mongoferry.read_documents('numbers', NULL)"
    )
    assert numbers.execute(query, [3]).fetchone()[0] == 20000


def test_inside_functions(numbers):
    """Two readings at once in one session, and one that stops early."""
    numbers.execute(
        """CREATE FUNCTION pairs(first bytea, second bytea) RETURNS SETOF int[] LANGUAGE plpgsql AS $$
           DECLARE a int; b int;
           BEGIN
               FOR a IN SELECT _id FROM numbers WHERE mongoferry.in_chunk(tableoid, first) ORDER BY 1 LOOP
                   FOR b IN SELECT _id FROM numbers WHERE mongoferry.in_chunk(tableoid, second) LOOP
                       RETURN NEXT ARRAY[a, b];
                       EXIT;
                   END LOOP;
               END LOOP;
           END $$"""
    )
    numbers.execute("SET plan_cache_mode = force_generic_plan")
    for _ in range(3):
        rows = numbers.execute(
            "SELECT * FROM pairs(%s, %s)", [bounds(kind="ids", min=7), bounds(kind="ids", min=3, max=4)]
        ).fetchall()
        assert rows == [([7, 3],), ([8, 3],), ([9, 3],)]


def test_no_more_columns_are_read(numbers):
    query = f"SELECT count(n) FROM numbers WHERE {IN_CHUNK}"
    plan = explained(numbers, query.replace("%s", literal(bounds(kind="ids", min=3))))
    assert '"projection": {"n": 1, "_id": 1}' in plan
    # a statement whose bounds are a parameter, as the toolkit's are, with source used twice
    numbers.execute("SET plan_cache_mode = force_generic_plan")
    numbers.execute(
        """PREPARE chunk (bytea) AS
           WITH source AS NOT MATERIALIZED (SELECT * FROM numbers WHERE mongoferry.in_chunk(tableoid, $1))
           SELECT a.n FROM source a JOIN source b USING (_id) WHERE a.n > 30"""
    )
    plan = explained(numbers, "EXECUTE chunk (NULL)")
    assert plan.count("Chunk: known when the scan starts") == 2
    assert plan.count('"projection"') == 2 and plan.count('"n": 1') == 1 and "CTE" not in plan
    assert '"filter"' not in plan  # a chunk's documents are counted as they come
    chunk = literal(bounds(kind="ids", max=6))
    assert sorted(numbers.execute(f"EXECUTE chunk ({chunk})").fetchall()) == [(40,), (50,)]


def test_documents_passed_over_that_the_query_does_not_show(numbers):
    chunk = bounds(kind="ids", **{"min": 5, "except": [6, 8]})
    rows = numbers.execute(f"SELECT n FROM numbers WHERE {IN_CHUNK} ORDER BY 1", [chunk]).fetchall()
    assert rows == [(50,), (70,), (90,)]
    assert numbers.execute(f"SELECT count(*) FROM numbers WHERE {IN_CHUNK}", [chunk]).fetchone()[0] == 3


def test_limit(numbers):
    rows = numbers.execute(
        f"SELECT _id FROM numbers WHERE {IN_CHUNK} LIMIT 2", [bounds(kind="all", **{"except": [0, 1, 2]})]
    ).fetchall()
    assert len(rows) == 2 and all(row[0] > 2 for row in rows)


def test_a_partition(numbers, live_server):
    numbers.execute("CREATE TABLE whole (_id int, n int) PARTITION BY RANGE (_id)")
    numbers.execute(
        f"CREATE FOREIGN TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (100) SERVER {live_server} OPTIONS (collection 'numbers')"
    )
    rows = numbers.execute(f"SELECT _id FROM whole WHERE {IN_CHUNK}", [bounds(kind="ids", min=8)]).fetchall()
    assert sorted(rows) == [(8,), (9,)]


def test_explain_of_bounds_that_are_none(numbers):
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="invalid bounds of a chunk"):
        explained(numbers, "SELECT 1 FROM numbers WHERE mongoferry.in_chunk(tableoid, 'junk')")


@pytest.mark.parametrize(
    "chunk, expected",
    [
        (raw(*({"_id": i} for i in range(37))), 37),
        (bounds(kind="list", ids=list(range(23))), 23),
        (bounds(kind="list", ids=[]), 1),
        (bounds(kind="bytes", first=100), 20000),
        (bounds(kind="ids", min=1), 20000),
    ],
)
def test_estimates(connection, live_server, write_dump, chunk, expected):
    server = live_server
    if b"bytes" in chunk:
        connection.execute(
            f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{write_dump({'numbers': []})}')"
        )
        server = "dump"
    connection.execute(f"CREATE FOREIGN TABLE numbers (_id int, n int) SERVER {server}")
    plan = connection.execute(f"EXPLAIN SELECT * FROM numbers WHERE mongoferry.in_chunk(tableoid, {literal(chunk)})")
    [line] = [line for line, in plan if "Foreign Scan" in line]
    assert f"rows={expected} " in line


def test_bounds_of_another_kind_of_source(connection, write_dump):
    folder = write_dump({"numbers": [{"_id": 1}]})
    connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    connection.execute("CREATE FOREIGN TABLE numbers (_id int) SERVER dump")
    for chunk in [bounds(kind="ids", min=1), bounds(kind="list", ids=[1])]:
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="range of _id cannot be read from a file"):
            ids(connection, chunk)
    assert ids(connection, raw({"_id": 5})) == [5]
    assert ids(connection, bounds(kind="all")) == [1]


@pytest.mark.parametrize("kind", ["live", "file"])
def test_bounds_that_were_tampered_with(request, connection, kind):
    """Any bytes give rows or an error, and leave the session alive."""
    documents = [{"_id": i, "n": i} for i in range(10)]
    if kind == "live":
        request.getfixturevalue("mongo").numbers.insert_many(documents)
        server = request.getfixturevalue("live_server")
    else:
        folder = request.getfixturevalue("write_dump")({"numbers": documents})
        connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
        server = "dump"
    connection.execute(f"CREATE FOREIGN TABLE numbers (_id text, n int) SERVER {server}")
    file_size = sum(len(bson.encode(document)) for document in documents)
    seeds = [
        bounds(kind="ids", min={"a": {"b": [1, "x"]}}, max=ObjectId()),
        bounds(kind="ids", min="abc", max=Code("x", {"a": 1})),
        bounds(kind="list", ids=[1, {"a": {"b": 1}}, "x", b"abc"]),
        bounds(kind="all", **{"except": [1, "a", {"b": 1}]}),
        bounds(
            kind="raw", documents=bson.encode({"_id": 1, "n": 2}) + bson.encode({"_id": {"x": 1}}), **{"except": [1]}
        ),
        bounds(kind="bytes", first=0, end=Int64(100), size=file_size),
        bounds(kind="bytes", first=Int64(22), end=66, size=file_size, block=0),
    ]
    source = random.Random(20240229)
    outcomes = set()
    for _ in range(600):
        chunk = bytearray(source.choice(seeds))
        for _ in range(source.choice([1, 1, 2, 4])):
            position = source.randrange(len(chunk))
            chunk[position] = source.choice([0, 1, 2, 3, 4, 5, 0xB, 0xF, 0x7F, 0x80, 0xFF, chunk[position] ^ 1])
        for query in [
            f"SELECT _id, n FROM numbers WHERE {IN_CHUNK}",
            "SELECT mongoferry.count_documents('numbers', %s)",
            "SELECT * FROM mongoferry.read_documents('numbers', %s)",
        ]:
            try:
                connection.execute(query, [bytes(chunk)]).fetchall()
                outcomes.add("rows")
            except psycopg.Error as error:
                assert not connection.closed, bytes(chunk).hex()
                assert error.sqlstate[:2] != "XX" or error.sqlstate == "XX001", (bytes(chunk).hex(), error)
                outcomes.add(error.sqlstate)
    assert {"rows", "22023", "XX001"} <= outcomes

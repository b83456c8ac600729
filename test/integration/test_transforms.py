"""Transforms as text: what bind_transform() makes of them, what it refuses, and what describe_query() tells."""

import pytest
from psycopg import errors

SOURCE = "SELECT * FROM stored WHERE number > 0"


@pytest.fixture
def stored(connection):
    connection.execute("CREATE TABLE stored (number integer, name text)")
    connection.execute("INSERT INTO stored VALUES (0, 'zero'), (1, 'one'), (2, 'two')")
    return connection


def bind(connection, transform, source_query=SOURCE):
    return connection.execute("SELECT mongoferry.bind_transform(%s, %s)", (transform, source_query)).fetchone()[0]


# Each gives one column; the rows as a sorted list.
TRANSFORMS = {
    "plain": ("SELECT number FROM source", [1, 2]),
    "lower-case keywords": ("select number from source", [1, 2]),
    "white space around": ("\n\t SELECT number FROM source \n", [1, 2]),
    "semicolon": ("SELECT number FROM source;", [1, 2]),
    "several semicolons": (";;SELECT number FROM source ; ;", [1, 2]),
    "comment before": ("-- WITH nothing\nSELECT number FROM source", [1, 2]),
    "block comment before": ("/* a; /* b */ WITH c AS () */ SELECT number FROM source", [1, 2]),
    "comment at the end": ("SELECT number FROM source -- the end", [1, 2]),
    "comment after the semicolon": ("SELECT number FROM source; -- the end", [1, 2]),
    "comment and semicolon inside it": ("SELECT number FROM source -- the; end", [1, 2]),
    "own WITH": ("WITH a AS (SELECT number + 10 AS n FROM source) SELECT n FROM a", [11, 12]),
    "own WITH, comment inside": ("WITH -- first\n a AS (SELECT number + 10 AS n FROM source) SELECT n FROM a", [11, 12]),
    "own WITH, several": (
        "WITH a AS (SELECT number AS n FROM source), b AS MATERIALIZED (SELECT n FROM a) SELECT n FROM b, source "
        "WHERE n = number",
        [1, 2],
    ),
    "own WITH with a column list": ("WITH a (n) AS (SELECT number FROM source) SELECT n FROM a", [1, 2]),
    "quoted name in WITH": ('WITH "WITH a" AS (SELECT number FROM source) SELECT number FROM "WITH a"', [1, 2]),
    "WITH RECURSIVE": (
        "WITH RECURSIVE up (n) AS (SELECT number FROM source UNION SELECT n + 1 FROM up WHERE n < 4) SELECT n FROM up",
        [1, 2, 3, 4],
    ),
    "WITH in a subquery only": (
        "SELECT n FROM (WITH a AS (SELECT number AS n FROM source) SELECT n FROM a) AS s",
        [1, 2],
    ),
    "WITH after a comment that has one": (
        "/* WITH x */ WITH a AS (SELECT number FROM source) SELECT number FROM a",
        [1, 2],
    ),
    "string with WITH": ("SELECT 'WITH a AS (' || number FROM source", ["WITH a AS (1", "WITH a AS (2"]),
    "string with semicolon": ("SELECT ';' || number || ';' FROM source;", [";1;", ";2;"]),
    "dollar-quoted string": ("SELECT $x$;WITH $1$x$ || number FROM source", [";WITH $11", ";WITH $12"]),
    "characters of several bytes before WITH": (
        "/* äöü€😀 */ WITH ä AS (SELECT number FROM source) SELECT number FROM ä",
        [1, 2],
    ),
    "parenthesised": ("(SELECT number FROM source)", [1, 2]),
    "parenthesised twice, ordered": ("((SELECT number FROM source)) ORDER BY 1 LIMIT 1;", [1]),
    "parenthesised WITH": ("(WITH a AS (SELECT number FROM source) SELECT number FROM a)", [1, 2]),
    "parenthesised WITH, ordered": ("((WITH a AS (SELECT number FROM source) SELECT number FROM a)) ORDER BY 1", [1, 2]),
    "UNION": ("SELECT number FROM source UNION ALL SELECT number + 5 FROM source", [1, 2, 6, 7]),
    "UNION of parenthesised WITHs": (
        "(WITH a AS (SELECT number FROM source) SELECT number FROM a) UNION ALL "
        "(WITH a AS (SELECT number + 5 FROM source) SELECT * FROM a)",
        [1, 2, 6, 7],
    ),
    "WITH before UNION": (
        "WITH a AS (SELECT number FROM source) SELECT number FROM a UNION ALL SELECT number + 5 FROM source",
        [1, 2, 6, 7],
    ),
    "VALUES": ("VALUES ((SELECT max(number) FROM source)), (7)", [2, 7]),
    "aggregate": ("SELECT sum(number)::int FROM source", [3]),
    "source quoted": ('SELECT number FROM "source"', [1, 2]),
    "source in capitals": ("SELECT SOURCE.number FROM SOURCE", [1, 2]),
    "source aliased": ("SELECT s.number FROM source AS s", [1, 2]),
    "source twice": ("SELECT a.number FROM source a JOIN source b USING (number)", [1, 2]),
    "source in a subquery": ("SELECT (SELECT max(number) FROM source)", [2]),
    "source in LATERAL": ("SELECT l.n FROM source s, LATERAL (SELECT s.number * 2 AS n) AS l", [2, 4]),
    "a table of that name in a schema too": (
        "SELECT s.number FROM source s JOIN public.stored t ON s.number = t.number",
        [1, 2],
    ),
}


def test_transforms_read_the_source_they_are_bound_to(stored):
    def rows(transform):
        return sorted(row[0] for row in stored.execute(bind(stored, transform)).fetchall())

    assert {case: rows(transform) for case, (transform, _) in TRANSFORMS.items()} == {
        case: expected for case, (_, expected) in TRANSFORMS.items()
    }


def test_bound_transforms_stand_in_an_insert(stored):
    def inserted(transform):
        stored.execute("CREATE TABLE target (value text)")
        stored.execute(f"INSERT INTO target (value) {bind(stored, transform)} ON CONFLICT DO NOTHING")
        rows = stored.execute("SELECT value FROM target").fetchall()
        stored.execute("DROP TABLE target")
        return sorted(row[0] for row in rows)

    assert {case: inserted(transform) for case, (transform, _) in TRANSFORMS.items()} == {
        case: [str(value) for value in expected] for case, (_, expected) in TRANSFORMS.items()
    }


def test_table_is_a_transform(stored):
    assert sorted(stored.execute(bind(stored, "TABLE source")).fetchall()) == [(1, "one"), (2, "two")]


@pytest.mark.parametrize(
    "transform",
    [
        "SELECT 'shipped' AS state, '2026-01-02' AS day, number FROM source",
        "WITH a AS (SELECT number FROM source) SELECT 'shipped', '2026-01-02', number FROM a",
        "(SELECT 'shipped', '2026-01-02', number FROM source) ORDER BY 3",
        "SELECT 'shipped', '2026-01-02', number FROM source ORDER BY number; -- all",
    ],
)
def test_literals_are_assigned_to_columns_of_any_type(stored, transform):
    stored.execute("CREATE TYPE state AS ENUM ('new', 'shipped')")
    stored.execute("CREATE TABLE target (state state, day date, number integer)")
    stored.execute(f"INSERT INTO target (state, day, number) {bind(stored, transform)}")
    assert stored.execute("SELECT state, day::text, number FROM target ORDER BY number").fetchall() == [
        ("shipped", "2026-01-02", 1),
        ("shipped", "2026-01-02", 2),
    ]


def test_source_is_read_with_the_transforms_condition(stored):
    bound = bind(stored, "SELECT number FROM source WHERE number = 2")
    plan = "\n".join(row[0] for row in stored.execute("EXPLAIN (COSTS off) " + bound).fetchall())
    assert "CTE" not in plan and "number = 2" in plan


REFUSED = {
    "empty": ("", errors.SyntaxError, "transform is empty"),
    "only a comment": ("-- SELECT 1 FROM source", errors.SyntaxError, "transform is empty"),
    "only semicolons": (";;", errors.SyntaxError, "transform is empty"),
    "two statements": ("SELECT 1 FROM source; SELECT 2", errors.SyntaxError, "transform is more than one statement"),
    "INSERT": ("INSERT INTO stored SELECT * FROM source", errors.SyntaxError, "transform is not a SELECT"),
    "WITH … INSERT": (
        "WITH a AS (SELECT * FROM source) INSERT INTO stored SELECT * FROM a",
        errors.SyntaxError,
        "transform is not a SELECT",
    ),
    "UPDATE": ("UPDATE stored SET number = 1", errors.SyntaxError, "transform is not a SELECT"),
    "EXPLAIN": ("EXPLAIN SELECT * FROM source", errors.SyntaxError, "transform is not a SELECT"),
    "DROP": ("DROP TABLE stored", errors.SyntaxError, "transform is not a SELECT"),
    "INTO": ("SELECT number INTO copy FROM source", errors.SyntaxError, "transform must not contain SELECT INTO"),
    "INTO in a UNION": (
        "SELECT number INTO copy FROM source UNION SELECT 1",
        errors.SyntaxError,
        "transform must not contain SELECT INTO",
    ),
    "FOR UPDATE": ("SELECT number FROM source FOR UPDATE", errors.SyntaxError, "transform must not lock rows"),
    "FOR SHARE in a subquery": (
        "SELECT (SELECT number FROM stored LIMIT 1 FOR SHARE) FROM source",
        errors.SyntaxError,
        "transform must not lock rows",
    ),
    "INSERT in WITH": (
        "WITH a AS (INSERT INTO stored SELECT * FROM source RETURNING number) SELECT number FROM a",
        errors.SyntaxError,
        "transform must not modify data",
    ),
    "DELETE in a nested WITH": (
        "SELECT * FROM source, (WITH a AS (DELETE FROM stored RETURNING number) SELECT number FROM a) AS b",
        errors.SyntaxError,
        "transform must not modify data",
    ),
    "parameter": ("SELECT number + $1 FROM source", errors.UndefinedParameter, "transform must not contain parameters such as $1"),
    "no source": ("SELECT number FROM stored", errors.SyntaxError, "transform does not read source"),
    "source of another schema": ("SELECT number FROM public.source", errors.SyntaxError, "transform does not read source"),
    "source of other case": ('SELECT number FROM "Source"', errors.SyntaxError, "transform does not read source"),
    "WITH query named source": (
        "WITH source AS (SELECT 1) SELECT * FROM source",
        errors.DuplicateAlias,
        'transform must not have a WITH query named "source"',
    ),
    "unfinished": ("SELECT number FROM", errors.SyntaxError, "syntax error at end of input"),
    "not SQL": ("db.orders.find()", errors.SyntaxError, 'syntax error at or near "db"'),
    "unterminated string": ("SELECT 'a FROM source", errors.SyntaxError, "unterminated quoted string"),
    "unterminated comment": ("SELECT 1 FROM source /*", errors.SyntaxError, "unterminated /* comment"),
}


def test_what_is_no_transform_is_refused(stored):
    def refusal(transform, message):
        with pytest.raises(errors.Error) as raised:
            bind(stored, transform)
        return type(raised.value), raised.value.diag.message_primary[: len(message)]

    assert {case: refusal(transform, message) for case, (transform, _, message) in REFUSED.items()} == {
        case: (error_class, message) for case, (_, error_class, message) in REFUSED.items()
    }
    assert stored.execute("SELECT count(*) FROM stored").fetchone() == (3,)


def test_errors_point_into_the_transform(stored):
    with pytest.raises(errors.SyntaxError) as raised:
        bind(stored, "SELECT 'ä', FROM source")
    assert raised.value.diag.internal_query == "SELECT 'ä', FROM source"
    assert raised.value.diag.internal_position == "13"
    with pytest.raises(errors.SyntaxError) as raised:
        bind(stored, "WITH ä AS (SELECT 1), b AS (DELETE FROM stored) SELECT * FROM source")
    assert raised.value.diag.message_detail == 'WITH query "b" is not a SELECT.'
    assert raised.value.diag.internal_position == "23"


def describe(connection, query):
    return connection.execute(
        "SELECT position, name, type::regtype::text, format_type(type, type_modifier) FROM mongoferry.describe_query(%s)",
        (query,),
    ).fetchall()


def test_queries_are_described_and_not_run(stored):
    assert describe(
        stored,
        "SELECT number/0 AS n, 'x'::varchar(7) AS v, $1 AS bounds, NULL::numeric(6,2), 'text' AS t, 2 AS n FROM stored",
    ) == [
        (1, "n", "integer", "integer"),
        (2, "v", "character varying", "character varying(7)"),
        (3, "bounds", "bytea", "bytea"),
        (4, "numeric", "numeric", "numeric(6,2)"),
        (5, "t", "text", "text"),
        (6, "n", "integer", "integer"),
    ]
    assert describe(stored, "INSERT INTO stored SELECT 9, 'nine'") == []
    assert describe(stored, "DELETE FROM stored RETURNING number") == [(1, "number", "integer", "integer")]
    assert stored.execute("SELECT count(*) FROM stored").fetchone() == (3,)


@pytest.mark.parametrize(
    "query, error_class",
    [
        ("SELECT nothing FROM stored", errors.UndefinedColumn),
        ("SELECT * FROM nowhere", errors.UndefinedTable),
        ("SELECT", None),
        ("SELECT 1; SELECT 2", errors.SyntaxError),
        ("", errors.SyntaxError),
        ("SELEC 1", errors.SyntaxError),
        ("SELECT $2", errors.UndefinedParameter),
        ("INSERT INTO stored (number) SELECT 'x'::text", errors.DatatypeMismatch),
    ],
)
def test_description_raises_the_querys_own_errors(stored, query, error_class):
    if error_class is None:
        assert describe(stored, query) == []
        return
    with pytest.raises(error_class):
        describe(stored, query)

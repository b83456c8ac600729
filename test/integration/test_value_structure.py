"""Paths, arrays, composite types, domains, unwind, and the counts of on_mismatch: reading that goes beyond one value."""

import struct

import bson
import pytest
from bson import Decimal128, Int64, MinKey, ObjectId

from harness.reading import Reader, Refused, check_refusal, document_of


@pytest.fixture
def reader(connection, folder):
    return Reader(connection, folder)


def cstring(text):
    return text.encode() + b"\0"


def element(element_type, key, value):
    return bytes([element_type]) + cstring(key) + value


def raw_document(*elements):
    body = b"".join(elements) + b"\0"
    return struct.pack("<i", len(body) + 4) + body


def int32(key, value):
    return element(0x10, key, struct.pack("<i", value))


# --- paths -----------------------------------------------------------------------------------------------------------


def test_paths(reader):
    document = {"_id": 1, "a": {"b": {"c": 5}, "list": [10, {"x": 20}, [30, 40]]}, "e": "scalar"}
    columns = """
        whole jsonb OPTIONS (field 'a'), b jsonb OPTIONS (field 'a.b'), c int OPTIONS (field 'a.b.c'),
        again int8 OPTIONS (field 'a.b.c'), "a.b.c" text, first int OPTIONS (field 'a.list.0'),
        x int OPTIONS (field 'a.list.1.x'), deep int OPTIONS (field 'a.list.2.1'), none int OPTIONS (field 'a.list.3'),
        not_canonical int OPTIONS (field 'a.list.00'), array_key jsonb OPTIONS (field 'a.list.x'),
        below_scalar int OPTIONS (field 'e.f'), missing int OPTIONS (field 'a.z.z')"""
    assert reader.rows([document], columns) == [
        (document["a"], {"c": 5}, 5, 5, "5", 10, 20, 40, None, None, None, None, None)]


def test_numbers_as_keys_of_objects(reader):
    documents = [{"_id": 1, "v": {"0": 5, "00": 6}}, {"_id": 2, "v": [7, 8]}]
    columns = "a int OPTIONS (field 'v.0'), b int OPTIONS (field 'v.00')"
    assert reader.rows(documents, columns) == [(5, 6), (7, None)]


def test_positions_do_not_depend_on_the_keys_of_arrays(reader):
    # old drivers wrote other keys; MongoDB goes by position
    document = raw_document(int32("_id", 1), element(0x04, "v", raw_document(int32("7", 1), int32("0", 2), int32("", 3))))
    columns = "a int OPTIONS (field 'v.0'), b int OPTIONS (field 'v.1'), c int OPTIONS (field 'v.2'), v int[]"
    assert reader.rows([document], columns) == [(1, 2, 3, [1, 2, 3])]


def test_of_duplicate_keys_the_first_counts(reader):
    document = raw_document(int32("v", 1), int32("v", 2), element(0x03, "o", raw_document(int32("x", 3), int32("x", 4))),
                            element(0x03, "o", raw_document(int32("x", 5), int32("y", 6))), int32("w", 7))
    reader.connection.execute("CREATE TYPE pair AS (x int, y int)")
    columns = "v int, x int OPTIONS (field 'o.x'), y int OPTIONS (field 'o.y'), o pair, j jsonb OPTIONS (field 'o'), w int"
    assert reader.rows([document], columns, "v, x, y, o::text, j, w") == [(1, 3, None, "(3,)", {"x": 3}, 7)]


def test_first_null_of_duplicate_keys_counts(reader):
    document = raw_document(element(0x0A, "v", b""), int32("v", 2))
    assert reader.rows([document], "v int") == [(None,)]


def test_fields_in_any_order(reader):
    """The order of the documents before is only a guess."""
    names = [f"field_{n}" for n in range(40)] + ["a", "b", "_" * 60]
    columns = ", ".join(f'"{name}" int' for name in names)
    documents = []
    expected = []
    for seed in range(200):
        order = names[:]
        if seed % 5 == 1:
            order.reverse()
        if seed % 5 == 2:
            order = [name for number, name in enumerate(order) if (number + seed) % 7]
        if seed % 5 == 3:
            order = order[seed % 43:] + order[:seed % 43]
        document = {"_id": seed}
        for number, name in enumerate(order):
            if seed % 4 == 0 and number % 3 == 0:
                document[f"unwanted_{number}"] = "x"
            document[name] = seed * 1000 + number
        documents.append(document)
        expected.append(tuple(document.get(name) for name in names))
    assert reader.rows(documents, columns) == expected
    assert reader.rows(documents, columns, '"a", field_7') == [
        (document.get("a"), document.get("field_7")) for document in documents]


def test_root_and_nothing(reader):
    documents = [{"_id": 1, "a": 5}, {}]
    assert reader.rows(documents, "d jsonb OPTIONS (field '$$ROOT'), a int") == [({"_id": 1, "a": 5}, 5), ({}, None)]
    assert reader.rows(documents, "a int", "count(*)") == [(2,)]


def test_many_columns(reader):
    count = 1000
    columns = ", ".join(f"c{n} int" for n in range(count))
    table = reader.table([{"_id": 1, **{f"c{n}": n for n in range(count)}}], columns)
    assert reader.query(f"SELECT * FROM {table}") == [tuple(range(count))]


def test_deep_paths(reader):
    value = 5
    for _ in range(99):
        value = {"a": value}
    path = ".".join(["a"] * 99)
    assert reader.rows([value], f"v int OPTIONS (field '{path}')") == [(5,)]


@pytest.mark.parametrize("cut", range(8))
def test_corrupt_values_name_file_and_offset(reader, cut):
    """The document's framing is right, what is inside is not."""
    broken = [
        element(0x02, "v", struct.pack("<i", 1000) + b"abc\0"),
        element(0x02, "v", struct.pack("<i", 3) + b"abc"),
        element(0x02, "v", struct.pack("<i", -1) + b"abc\0"),
        element(0x03, "v", struct.pack("<i", 100) + b"\0"),
        element(0x04, "v", struct.pack("<i", 4) + b"\0"),
        element(0x20, "v", b""),
        element(0x08, "v", b"\2"),
        element(0x03, "v", raw_document(element(0x12, "a", b"\0"))),
    ][cut]
    good = raw_document(int32("_id", 1))
    bad = raw_document(int32("_id", 2), broken)
    for column_type in ("int", "text", "jsonb", "json", "int[]", "jsonb OPTIONS (field '$$ROOT')",
                        "int OPTIONS (field 'v.a')"):
        for options in ({}, {"on_mismatch": "null"}):
            table = reader.table([good, bad], f"v {column_type}", **options)
            error = reader.query(f"SELECT v FROM {table}")
            if cut == 7 and column_type in ("int", "int[]"):
                # a whole object where another type is wanted: nobody looks into it
                assert error == [(None,), (None,)] if options else Refused("2200G"), (column_type, error)
                continue
            assert error == Refused("XX001", f"{table}.bson"), (column_type, error)
            assert f"byte {len(good)}" in error.detail


# --- arrays ----------------------------------------------------------------------------------------------------------


ARRAYS = [
    ("int[]", [1, 2, 3], "{1,2,3}"),
    ("int[]", [], "{}"),
    ("int[]", [None, 1, None], "{NULL,1,NULL}"),
    ("int[]", [1, Int64(2), 3.0, Decimal128("4.0")], "{1,2,3,4}"),
    ("int[]", [1, "2"], Refused("2200G", 'field "v.1"')),
    ("int[]", [1, 2.5], Refused("22003", 'field "v.1": value 2.5 is not a whole number')),
    ("int[]", 1, Refused("2200G")),
    ("int[]", {"0": 1}, Refused("2200G")),
    ("int[]", None, None),
    ("bigint[]", list(range(1000)), "{" + ",".join(map(str, range(1000))) + "}"),
    ("text[]", ["a", 1, True, None, {"x": 1}], '{a,1,true,NULL,"{\\"x\\": 1}"}'),
    ("text[]", [["a", "b"], ["c", None]], "{{a,b},{c,NULL}}"),
    ("int[]", [[1, 2], [3, 4], [5, 6]], "{{1,2},{3,4},{5,6}}"),
    ("int[]", [[[1], [2]], [[3], [4]]], "{{{1},{2}},{{3},{4}}}"),
    ("int[]", [[1, 2], [3]], Refused("2202E", "is not rectangular")),
    ("int[]", [[1, 2], 3], Refused("2202E", "is not rectangular")),
    ("int[]", [1, [2]], Refused("2202E", "is not rectangular")),
    ("int[]", [[1], None], Refused("2202E", "is not rectangular")),
    ("int[]", [[[1]], [2]], Refused("2202E", "is not rectangular")),
    ("int[]", [[1], [[2]]], Refused("2202E", "is not rectangular")),
    ("int[]", [[]], Refused("2202E", "is not rectangular")),
    ("int[]", [[], []], Refused("2202E", "is not rectangular")),
    ("int[]", [[1, 2], [3, "x"]], Refused("2200G", 'field "v.1.1"')),
    ("int[]", [[[[[[1]]]]]], "{{{{{{1}}}}}}"),
    ("int[]", [[[[[[[1]]]]]]], Refused("2202E", "")),
    ("jsonb[]", [[1, 2], [3], 4, None], '{"[1, 2]",[3],4,NULL}'),
    ("numeric(6,2)[]", [1.005, 2, Decimal128("3.456")], "{1.01,2.00,3.46}"),
    ("numeric(3,0)[]", [1, 1000], Refused("22003", 'field "v.1"')),
    ("varchar(3)[]", ["abc", "abc  "], "{abc,abc}"),
    ("varchar(3)[]", ["abc", "abcd"], Refused("22001", 'field "v.1"')),
    ("uuid[]", ["00112233-4455-6677-8899-aabbccddeeff"], "{00112233-4455-6677-8899-aabbccddeeff}"),
    ("date[]", ["2024-01-01", "x"], Refused("22007", 'field "v.1"')),
    ("mongoferry.objectid[]", [ObjectId("65f000000102030405060708"), None], "{65f000000102030405060708,NULL}"),
    ("positive[]", [1, 2], "{1,2}"),
    ("positive[]", [1, 0], Refused("23514", 'field "v.1"')),
    ("positive[]", [None], "{NULL}"),
    ("pair[]", [{"x": 1, "y": "a"}, {"y": "b"}, None], '{"(1,a)","(,b)",NULL}'),
    ("pair[]", [{"x": 1}, 5], Refused("2200G", 'field "v.1"')),
    ("pair[]", [{"x": "no"}], Refused("2200G", 'field "v.0.x"')),
    ("row_of_ints", [1, 2], "{1,2}"),
    ("row_of_ints", [1, 2, 3, 4], Refused("23514")),
    ("row_of_ints[]", [[1, 2], [3]], '{"{1,2}","{3}"}'),
    ("int2vector", [1, 2], Refused("2200G")),
]


@pytest.fixture
def typed_reader(reader):
    reader.connection.execute("""
        CREATE DOMAIN positive AS int CHECK (VALUE > 0);
        CREATE DOMAIN required AS text NOT NULL;
        CREATE DOMAIN row_of_ints AS int[] CHECK (cardinality(VALUE) < 4);
        CREATE DOMAIN short AS varchar(3);
        CREATE DOMAIN shorter AS short CHECK (length(VALUE) < 3);
        CREATE TYPE pair AS (x int, y text);
        CREATE TYPE tree AS (name text, "left" pair, "right" pair[], size numeric(6,2));
        CREATE DOMAIN valid_pair AS pair CHECK ((VALUE).x > 0);
        CREATE FUNCTION is_even(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
            BEGIN IF $1 > 100 THEN RAISE EXCEPTION 'too large for me' USING ERRCODE = '22023'; END IF; RETURN $1 % 2 = 0; END $$;
        CREATE DOMAIN even AS int CHECK (is_even(VALUE))""")
    return reader


def test_arrays(typed_reader):
    wrong = []
    for column_type, value, expected in ARRAYS:
        got = typed_reader.read(value, column_type)
        if got != expected:
            wrong.append((column_type, value, got, expected))
        elif isinstance(expected, Refused):
            check_refusal(got)
    assert not wrong


def test_bounds_of_arrays_start_at_one(reader):
    assert reader.rows([{"_id": 1, "v": [[1, 2, 3], [4, 5, 6]]}], "v int[]", "array_dims(v), v[2][1]") == [("[1:2][1:3]", 4)]
    assert reader.rows([{"_id": 1, "v": []}], "v int[]", "array_ndims(v), cardinality(v)") == [(None, 0)]


def test_misfits_in_arrays_become_null_elements(typed_reader):
    documents = [{"_id": 1, "v": [1, "x", 3]}, {"_id": 2, "v": [[1, "y"], [2.5, 4]]}, {"_id": 3, "v": "z"},
                 {"_id": 4, "v": [[1], 2]}, {"_id": 5, "v": [1]}]
    rows = typed_reader.rows(documents, "v int[]", on_mismatch="null")
    assert rows == [([1, None, 3],), ([[1, None], [None, 4]],), (None,), (None,), ([1],)]
    assert typed_reader.warning()[1] == '"v" (integer[]): 5 values, first in document {"_id": 1}'


def test_large_arrays(reader):
    value = list(range(100_000))
    assert reader.rows([{"_id": 1, "v": value}], "v int[]") == [(value,)]
    assert reader.rows([{"_id": 1, "v": value}], "v text[]", "cardinality(v), v[100000]") == [(100_000, "99999")]


# --- composite types and domains --------------------------------------------------------------------------------------


COMPOSITES = [
    ("pair", {"x": 1, "y": "a", "z": 5}, "(1,a)"),
    ("pair", {"y": "a"}, "(,a)"),
    ("pair", {}, "(,)"),
    ("pair", {"x": 1.5}, Refused("22003", 'field "v.x": value 1.5 is not a whole number')),
    ("pair", [1, "a"], Refused("2200G")),
    ("pair", "(1,a)", Refused("2200G")),
    ("tree", {"name": "n", "left": {"x": 1}, "right": [{"y": "b"}, None, {"x": 2, "y": "c"}], "size": 1.005},
     '(n,"(1,)","{""(,b)"",NULL,""(2,c)""}",1.01)'),
    ("tree", {"right": [{"x": 1}, {"x": "no"}]}, Refused("2200G", 'field "v.right.1.x"')),
    ("tree", {"size": 10000}, Refused("22003", 'field "v.size"')),
    ("valid_pair", {"x": 1}, "(1,)"),
    ("valid_pair", {"x": 0}, Refused("23514", 'violates check constraint "valid_pair_check"')),
    ("positive", 1, "1"),
    ("positive", 0, Refused("23514", 'value for domain positive violates check constraint "positive_check"')),
    ("positive", "x", Refused("2200G", "to positive for column")),
    ("positive", None, None),
    ("required", "a", "a"),
    ("required", None, Refused("23502", "domain required does not allow null values")),
    ("short", "abcd", Refused("22001", "to short for column")),
    ("short", "abc ", "abc"),
    ("shorter", "ab", "ab"),
    ("shorter", "abc", Refused("23514")),
    ("even", 2, "2"),
    ("even", 3, Refused("23514")),
    ("even", 102, Refused("22023", "too large for me")),
]


def test_composite_types_and_domains(typed_reader):
    wrong = []
    for column_type, value, expected in COMPOSITES:
        got = typed_reader.read(value, column_type)
        if got != expected:
            wrong.append((column_type, value, got, expected))
        elif isinstance(expected, Refused):
            check_refusal(got)
    assert not wrong


def test_missing_fields_are_null_for_domains_too(typed_reader):
    assert typed_reader.rows([{"_id": 1}], "v required") == Refused("23502", "cannot convert BSON null to required")
    assert typed_reader.rows([{"_id": 1}], "v required", on_mismatch="null") == [(None,)]
    assert typed_reader.warning()[1] == '"v" (required): 1 value, in document {"_id": 1}'
    assert typed_reader.rows([{"_id": 1}], "v positive") == [(None,)]


def test_dropped_and_added_attributes(typed_reader):
    typed_reader.connection.execute("CREATE TYPE changed AS (a int, b int, c int); ALTER TYPE changed DROP ATTRIBUTE b; "
                                    "ALTER TYPE changed ADD ATTRIBUTE d text")
    assert typed_reader.read({"a": 1, "b": 2, "c": 3, "d": "x"}, "changed") == "(1,3,x)"


def test_misfits_in_composites_become_null_attributes(typed_reader):
    rows = typed_reader.rows([{"_id": 1, "v": {"x": "no", "y": "a"}}, {"_id": 2, "v": 5}], "v pair", "v::text",
                             on_mismatch="null")
    assert rows == [("(,a)",), (None,)]
    assert typed_reader.warning()[1] == '"v" (pair): 2 values, first in document {"_id": 1}'


def test_misfits_of_domains_leave_the_transaction_usable(typed_reader):
    """A domain's check may run any function: what that left behind is cleaned up."""
    connection = typed_reader.connection
    table = typed_reader.table([{"_id": n, "v": n} for n in range(90, 111)], "v even", on_mismatch="null")
    with connection.transaction():
        connection.execute("CREATE TEMPORARY TABLE kept AS SELECT 1 AS one")
        rows = connection.execute(f"SELECT v FROM {table}").fetchall()
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]
    assert [row[0] for row in rows] == [n if n % 2 == 0 and n <= 100 else None for n in range(90, 111)]
    assert typed_reader.warning()[1] == '"v" (even): 15 values, first in document {"_id": 91}'


def test_misfits_of_input_functions_leave_the_transaction_usable(typed_reader):
    connection = typed_reader.connection
    connection.execute("CREATE EXTENSION hstore")
    documents = [{"_id": 1, "d": "2024-01-01", "h": "a=>1"}, {"_id": 2, "d": "nonsense", "h": "=>"}]
    table = typed_reader.table(documents, "d date, h hstore", on_mismatch="null")
    with connection.transaction():
        rows = connection.execute(f"SELECT d::text, h::text FROM {table}").fetchall()
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(2,)]
    assert rows == [("2024-01-01", '"a"=>"1"'), (None, None)]
    error = typed_reader.rows(documents, "v hstore OPTIONS (field 'h')")
    assert error == Refused("22P02", 'to hstore for column "v"')


# --- unwind -----------------------------------------------------------------------------------------------------------


ORDER = {"_id": 1, "city": "Rom", "items": [{"sku": "a", "qty": 1}, {"sku": "b"}, None, 5, [6, 7]]}
ITEM_COLUMNS = """position int OPTIONS (field '$$INDEX'), _id int, city text, sku text OPTIONS (field 'items.sku'),
                  qty int OPTIONS (field 'items.qty'), item jsonb OPTIONS (field 'items'),
                  first int OPTIONS (field 'items.0')"""


def test_unwind(reader):
    assert reader.rows([ORDER], ITEM_COLUMNS, unwind="items") == [
        (0, 1, "Rom", "a", 1, {"sku": "a", "qty": 1}, None),
        (1, 1, "Rom", "b", None, {"sku": "b"}, None),
        (2, 1, "Rom", None, None, None, None),
        (3, 1, "Rom", None, None, 5, None),
        (4, 1, "Rom", None, None, [6, 7], 6),
    ]


@pytest.mark.parametrize("items", [{}, {"items": None}, {"items": []}, {"items": document_of(0x06, b"", "items")}],
                         ids=["missing", "null", "empty", "undefined"])
def test_unwind_of_nothing(reader, items):
    documents = [next(iter(items.values()))] if items and type(items.get("items")) is bytes else [{"_id": 1, **items}]
    columns = "position int OPTIONS (field '$$INDEX'), _id int, sku text OPTIONS (field 'items.sku')"
    assert reader.rows(documents, columns, unwind="items") == []
    assert reader.rows(documents, columns, unwind="items", unwind_outer="true") == [(None, 1, None)]


def test_unwind_of_a_value_that_is_no_array(reader):
    documents = [{"_id": 1, "items": {"sku": "a"}}, {"_id": 2, "items": "x"}]
    columns = "position int OPTIONS (field '$$INDEX'), _id int, sku text OPTIONS (field 'items.sku'), items text"
    expected = [(None, 1, "a", '{"sku": "a"}'), (None, 2, None, "x")]
    assert reader.rows(documents, columns, unwind="items") == expected
    assert reader.rows(documents, columns, unwind="items", unwind_outer="true") == expected


def test_unwind_along_a_path(reader):
    documents = [{"_id": 1, "a": {"lists": [[1, 2], [3]], "b": 5}}, {"_id": 2, "a": 7}]
    columns = """n int OPTIONS (field 'a.lists.0'), position int8 OPTIONS (field '$$INDEX'), b int OPTIONS (field 'a.b'),
                 a jsonb, root jsonb OPTIONS (field '$$ROOT')"""
    a = documents[0]["a"]
    assert reader.rows(documents, columns, unwind="a.lists.0") == [(1, 0, 5, a, documents[0]), (2, 1, 5, a, documents[0])]
    # a column whose path only begins with the same letters
    assert reader.rows([{"_id": 1, "items": [1], "items2": 9}], 'items int, items2 int', unwind="items") == [(1, 9)]


@pytest.mark.parametrize("column_type", ["smallint", "int", "bigint", "numeric", "double precision", "text"])
def test_type_of_the_position(reader, column_type):
    rows = reader.rows([{"_id": 1, "v": ["a", "b"]}], f"p {column_type} OPTIONS (field '$$INDEX')", "p::text", unwind="v")
    assert rows == [("0",), ("1",)]


def test_unwind_with_nothing_of_the_elements(reader):
    documents = [{"_id": 1, "v": [1, 2, 3]}, {"_id": 2, "v": []}, {"_id": 3}]
    assert reader.rows(documents, "_id int", unwind="v") == [(1,), (1,), (1,)]
    assert reader.rows(documents, "_id int", "count(*)", unwind="v") == [(3,)]
    assert reader.rows(documents, "_id int", "count(*)", unwind="v", unwind_outer="true") == [(5,)]


def test_errors_in_elements_name_the_position(reader):
    documents = [{"_id": 1, "items": [{"qty": 1}, {"qty": "x"}]}]
    error = reader.rows(documents, "qty int OPTIONS (field 'items.qty')", unwind="items")
    assert error == Refused("2200G", 'field "items.1.qty": value "x"')
    error = reader.rows([{"_id": 1, "items": ["x"]}], "v int OPTIONS (field 'items')", unwind="items")
    assert error == Refused("2200G", 'field "items.0": value "x"')
    error = reader.rows([{"_id": 1, "items": {"qty": "x"}}], "qty int OPTIONS (field 'items.qty')", unwind="items")
    assert error == Refused("2200G", 'field "items.qty": value "x"')


def test_misfits_of_unwound_documents_count_once(reader):
    documents = [{"_id": 1, "total": "x", "items": [{"qty": "y"}, {"qty": 2}, {"qty": "z"}]}, {"_id": 2, "total": 5, "items": [{}]}]
    columns = "total int, qty int OPTIONS (field 'items.qty')"
    rows = reader.rows(documents, columns, unwind="items", on_mismatch="null")
    assert rows == [(None, None), (None, 2), (None, None), (5, None)]
    message, detail = reader.warning()
    assert message.startswith("3 values of 2 columns of foreign table")
    assert detail.split("\n") == ['"total" (integer): 1 value, in document {"_id": 1}',
                                  '"qty" (integer): 2 values, first in document {"_id": 1}']


def test_domains_in_unwound_rows(typed_reader):
    documents = [{"_id": 1, "items": [{"a": "x"}, {}]}]
    columns = "a required OPTIONS (field 'items.a'), b required"
    assert typed_reader.rows(documents, columns, unwind="items") == Refused("23502", 'column "b"')
    assert typed_reader.rows(documents, columns, "a", unwind="items") == Refused("23502", 'column "a"')
    assert typed_reader.rows(documents, columns, unwind="items", on_mismatch="null") == [("x", None), (None, None)]
    assert typed_reader.warning()[0].startswith("2 values of 2 columns")


def test_index_needs_unwind(reader):
    error = reader.rows([{"_id": 1}], "p int OPTIONS (field '$$INDEX')")
    assert error == Refused("HV024", 'column "p"') and "Set unwind" in error.hint


# --- on_mismatch ------------------------------------------------------------------------------------------------------


def test_the_narrower_option_wins(reader):
    documents = [{"_id": 1, "a": "x", "b": "y"}]
    columns = "a int OPTIONS (on_mismatch 'null'), b int OPTIONS (on_mismatch 'error')"
    table = reader.table(documents, columns, on_mismatch="null")
    assert reader.query(f"SELECT a FROM {table}") == [(None,)]
    assert reader.query(f"SELECT b FROM {table}") == Refused("2200G", 'column "b"')
    assert reader.query(f"SELECT a, b FROM {table}") == Refused("2200G", 'column "b"')


def test_one_warning_at_the_end(reader):
    documents = [{"_id": ObjectId("65f000000102030405060708"), "total": 1}]
    documents += [{"_id": {"n": n}, "total": "x" if n % 2 else 5, "name": "a\0b" if n < 20 else "c"} for n in range(200)]
    table = reader.table(documents, "total numeric, name varchar(10), other int", on_mismatch="null")
    assert len(reader.query(f"SELECT * FROM {table}")) == 201
    message, detail = reader.warning()
    assert message == f'120 values of 2 columns of foreign table "{table}" were read as NULL because they do not fit'
    assert detail.split("\n") == ['"total" (numeric): 100 values, first in document {"_id": {"n": 1}}',
                                  '"name" (character varying(10)): 20 values, first in document {"_id": {"n": 0}}']
    # only what was read counts
    assert reader.query(f"SELECT count(other) FROM {table}") == [(0,)]
    assert reader.warning() is None
    # a scan that ends early says what it knows
    assert len(reader.query(f"SELECT total FROM {table} LIMIT 4")) == 4
    assert reader.warning()[0].startswith("1 value of 1 column")


def test_a_document_without_id(reader):
    assert reader.rows([{"v": "x"}], "v int", on_mismatch="null") == [(None,)]
    assert reader.warning()[1] == '"v" (integer): 1 value, in document without _id'


def test_min_key_is_no_number(reader):
    assert reader.read(MinKey(), "int") == Refused("2200G", 'value {"$minKey": 1}')


def test_a_large_document(reader):
    """Near MongoDB's limit of 16 MB, and deeper than its 100 levels."""
    text = "x" * (15 * 1024 * 1024)
    assert reader.rows([{"_id": 1, "v": text, "w": 5}], "v text, w int", "length(v), w") == [(len(text), 5)]
    deep = bson.encode({"a": 1})
    for _ in range(150):
        deep = raw_document(element(0x03, "a", deep))
    table = reader.table([deep], "j jsonb OPTIONS (field 'a'), t text OPTIONS (field 'a')")
    assert reader.query(f"SELECT j::text = t FROM {table}") == [(True,)]
    for _ in range(20000):
        deep = raw_document(element(0x03, "a", deep))
    for column_type in ("jsonb", "json", "text"):
        error = reader.rows([deep], f"v {column_type} OPTIONS (field 'a')")
        assert error == Refused("22000", "levels deep"), column_type

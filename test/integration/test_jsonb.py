"""BSON as jsonb: every type in both formats, random documents against pymongo's Extended JSON, and what must be refused.

The extension writes jsonb's storage form itself, so the tests also look at it the way PostgreSQL does: keys are found by
binary search, and what PostgreSQL reads from the text must be equal and of the same size.
"""

import json
import math
import random
import struct
import uuid
from decimal import Decimal

import bson
import psycopg
import pytest
from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from psycopg import errors

# --- raw BSON, for what pymongo would not write -----------------------------------------------------------------------


def document(*elements):
    body = b"".join(elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def element(code, key, value):
    key = key if isinstance(key, bytes) else key.encode()
    return bytes([code]) + key + b"\0" + value


def string(key, value, code=2):
    value = value if isinstance(value, bytes) else value.encode()
    return element(code, key, struct.pack("<i", len(value) + 1) + value + b"\0")


def nested(levels):
    inner = document()
    for level in range(levels):
        inner = document(element(3 if level % 2 else 4, "0", inner))
    return document(element(3, "v", inner))


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def foreign_table(psql, write_file):
    """A function that makes the foreign table `docs` over documents: v in both formats, and all of it."""

    def make(documents, options="", **settings):
        path = write_file("docs.bson", b"".join(d if isinstance(d, bytes) else bson.encode(d) for d in documents))
        psql(f"""
            CREATE SERVER files FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}'{options});
            CREATE FOREIGN TABLE docs (
                relaxed jsonb OPTIONS (field 'v'),
                canonical jsonb OPTIONS (field 'v', json_format 'canonical'),
                relaxed_text json OPTIONS (field 'v'),
                canonical_text json OPTIONS (field 'v', json_format 'canonical'),
                root jsonb OPTIONS (field '$$ROOT'),
                canonical_root jsonb OPTIONS (field '$$ROOT', json_format 'canonical'),
                n int) SERVER files""", **settings)

    return make


OID = ObjectId("507f1f77bcf86cd799439011")
OID_JSON = {"$oid": "507f1f77bcf86cd799439011"}
UUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")


class Raw(bytes):
    """A whole document as bytes (a Binary would be bytes too)."""


def raw(code, value=b""):
    return Raw(document(element(code, "v", value)))


# a value (or a whole document as bytes), relaxed, canonical (None: the same)
CASES = {
    "int32": (5, 5, {"$numberInt": "5"}),
    "int32 min": (-(2**31), -(2**31), {"$numberInt": "-2147483648"}),
    "int64": (Int64(5), 5, {"$numberLong": "5"}),
    "int64 max": (Int64(2**63 - 1), 2**63 - 1, {"$numberLong": "9223372036854775807"}),
    "int64 min": (Int64(-(2**63)), -(2**63), {"$numberLong": "-9223372036854775808"}),
    "double": (0.1, 0.1, {"$numberDouble": "0.1"}),
    "whole double": (1.0, 1, {"$numberDouble": "1.0"}),
    "negative zero": (-0.0, 0, {"$numberDouble": "-0.0"}),
    "large double": (1e300, 10**300, {"$numberDouble": "1e+300"}),
    "smallest double": (5e-324, 5e-324, {"$numberDouble": "5e-324"}),
    "NaN": (math.nan, {"$numberDouble": "NaN"}, None),
    "infinity": (math.inf, {"$numberDouble": "Infinity"}, None),
    "negative infinity": (-math.inf, {"$numberDouble": "-Infinity"}, None),
    "Decimal128": (Decimal128("1.50"), {"$numberDecimal": "1.50"}, None),
    "Decimal128 with exponent": (Decimal128("1E+3"), {"$numberDecimal": "1E+3"}, None),
    "Decimal128 NaN": (Decimal128("NaN"), {"$numberDecimal": "NaN"}, None),
    "string": ("a \"quoted\" \\ \u0001 ä 😀", "a \"quoted\" \\ \u0001 ä 😀", None),
    "empty string": ("", "", None),
    "true": (True, True, None),
    "false": (False, False, None),
    "ObjectId": (OID, OID_JSON, None),
    "date": (DatetimeMS(1709208000123), {"$date": "2024-02-29T12:00:00.123Z"}, {"$date": {"$numberLong": "1709208000123"}}),
    "date in whole seconds": (DatetimeMS(0), {"$date": "1970-01-01T00:00:00Z"}, {"$date": {"$numberLong": "0"}}),
    "date before 1970": (DatetimeMS(-1), {"$date": {"$numberLong": "-1"}}, None),
    "end of 9999": (DatetimeMS(253402300799999), {"$date": "9999-12-31T23:59:59.999Z"},
                    {"$date": {"$numberLong": "253402300799999"}}),
    "date after 9999": (DatetimeMS(253402300800000), {"$date": {"$numberLong": "253402300800000"}}, None),
    "last date": (raw(9, struct.pack("<q", 2**63 - 1)), {"$date": {"$numberLong": "9223372036854775807"}}, None),
    "UUID": (Binary.from_uuid(UUID), {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}, None),
    "binary": (Binary(b"\0\xff", 0), {"$binary": {"base64": "AP8=", "subType": "00"}}, None),
    "empty binary": (Binary(b"", 128), {"$binary": {"base64": "", "subType": "80"}}, None),
    "old binary": (Binary(b"abc", 2), {"$binary": {"base64": "YWJj", "subType": "02"}}, None),
    "regex": (raw(11, b"^a\0xi\0"), {"$regularExpression": {"pattern": "^a", "options": "ix"}}, None),
    "code": (Code("f()"), {"$code": "f()"}, None),
    "code with scope": (Code("f()", {"b": 1, "a": OID}), {"$code": "f()", "$scope": {"a": OID_JSON, "b": 1}},
                        {"$code": "f()", "$scope": {"a": OID_JSON, "b": {"$numberInt": "1"}}}),
    "symbol": (Raw(document(string("v", "x", 14))), {"$symbol": "x"}, None),
    "DBPointer": (raw(12, struct.pack("<i", 5) + b"db.c\0" + OID.binary),
                  {"$dbPointer": {"$ref": "db.c", "$id": OID_JSON}}, None),
    "timestamp": (Timestamp(4294967295, 2), {"$timestamp": {"t": 4294967295, "i": 2}}, None),
    "undefined": (raw(6), {"$undefined": True}, None),
    "min key": (MinKey(), {"$minKey": 1}, None),
    "max key": (MaxKey(), {"$maxKey": 1}, None),
    "empty object": ({}, {}, None),
    "empty array": ([], [], None),
    "object": ({"b": 1, "a": {"x": None}}, {"a": {"x": None}, "b": 1}, {"a": {"x": None}, "b": {"$numberInt": "1"}}),
    "array": ([1, "x", None, [2]], [1, "x", None, [2]], [{"$numberInt": "1"}, "x", None, [{"$numberInt": "2"}]]),
    "odd keys": ({"": "empty", "a.b": "dot", "$c": "dollar", "ключ": "Cyrillic"},) * 2 + (None,),
    "what looks like a wrapper": ({"$oid": "no ObjectId", "x": True},) * 2 + (None,),
    "duplicate keys: the first": (raw(3, document(string("a", "1"), string("b", "x"), string("a", "2"))),
                                  {"a": "1", "b": "x"}, None),
}


def test_every_type(foreign_table, connection):
    foreign_table([value if isinstance(value, Raw) else {"v": value} for value, _, _ in CASES.values()])
    rows = connection.execute("SELECT relaxed::text, canonical::text, root::text, canonical_root::text, relaxed_text::jsonb::text,"
                              " canonical_text::jsonb::text FROM docs").fetchall()
    assert len(rows) == len(CASES)
    for (name, (_, relaxed, canonical)), row in zip(CASES.items(), rows):
        canonical = relaxed if canonical is None else canonical
        got = [json.loads(text) for text in row]
        assert got[:4] == [relaxed, canonical, {"v": relaxed}, {"v": canonical}], name
        if not name.startswith("duplicate"):  # json's own rule for those is another one
            assert got[4:] == [relaxed, canonical], name


def test_null_is_sql_null_alone_and_null_inside(foreign_table, connection):
    foreign_table([{"v": None}, {}, {"v": [None]}])
    assert connection.execute("SELECT relaxed::text, root::text FROM docs").fetchall() == [
        (None, '{"v": null}'), (None, "{}"), ("[null]", '{"v": [null]}')]


# --- random documents -------------------------------------------------------------------------------------------------


class Documents:
    """Random documents of all types that pymongo can write."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def text(self):
        length = self.chance.choice([0, 1, 3, 7, 8, 9, 15, 16, 17, 100])
        return "".join(self.chance.choice("abcdefgh ijklmnop\"\\/\n\té漢😀\u0001") for _ in range(length))

    def key(self):
        chance = self.chance
        return chance.choice(["a", "", "a.b", "$x", "createdAt", "quantity", "quantitx", "ключ", "x" * 70, "é",
                              f"k{chance.randrange(60)}", f"key_{chance.randrange(60)}", f"longer_key_{chance.randrange(30)}"])

    def value(self, depth):
        chance = self.chance
        return chance.choice([
            lambda: chance.choice([0, 1, -1, 9999, 10000, 2**31 - 1, -(2**31), chance.randrange(-(2**31), 2**31)]),
            lambda: Int64(chance.choice([0, 10**16, 2**63 - 1, -(2**63), chance.randrange(-(2**63), 2**63), 10**chance.randrange(19)])),
            lambda: chance.choice([0.0, -0.0, 1.0, 0.1, 1e300, 5e-324, 2.0**53, 2.0**53 + 2, 2.0**63, 1e-7, math.nan, -math.inf,
                                   chance.uniform(-1e6, 1e6), round(chance.uniform(0, 1000), 2),
                                   struct.unpack("<d", chance.randbytes(8))[0]]),
            self.text,
            lambda: chance.choice([True, False, None]),
            lambda: ObjectId(chance.randbytes(12)),
            lambda: DatetimeMS(chance.choice([0, 1, -1, 1577836800000, 253402300799999, 253402300800000,
                                              chance.randrange(-(10**13), 2 * 10**13)])),
            lambda: Decimal128(chance.choice(["1.50", "1E+3", "-0", "Infinity", "0.001", "9" * 34])),
            lambda: Binary(chance.randbytes(chance.randrange(20)), chance.choice([0, 1, 2, 3, 4, 5, 128])),
            lambda: Regex(chance.choice(["^a", "é.*", ""]), chance.choice([0, 2, 8])),
            lambda: Code(self.text()),
            lambda: Timestamp(chance.randrange(2**32), chance.randrange(2**32)),
            lambda: chance.choice([MinKey(), MaxKey()]),
            lambda: Code(self.text(), self.document(depth + 1)) if depth < 3 else 1,
            *[lambda: self.document(depth + 1) if depth < 3 else 2] * 3,
            *[lambda: [self.value(depth + 1) for _ in range(chance.choice([0, 1, 3, 40, 70]))] if depth < 2 else 3] * 3,
        ])()

    def document(self, depth=0):
        return {self.key(): self.value(depth) for _ in range(self.chance.choice([1, 2, 5, 12, 50] if depth else [3, 10, 40]))}


def expected_json(encoded, options):
    decoded = bson.decode(encoded, CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS))
    options = options.with_options(datetime_conversion=DatetimeConversion.DATETIME_MS)
    return comparable(json_util._json_convert(decoded, json_options=options))


def comparable(value):
    """Numbers as the exact decimal that they are written as; a $numberDouble, whose text has several forms, as its double."""
    if isinstance(value, dict):
        if list(value) == ["$numberDouble"] and isinstance(value["$numberDouble"], str):
            return ("double", struct.pack("<d", float(value["$numberDouble"])))
        return {key: comparable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    return Decimal(repr(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def parsed(text):
    return comparable(json.loads(text, parse_int=Decimal, parse_float=Decimal))


@pytest.mark.parametrize("seed", range(3))
def test_random_documents(foreign_table, connection, seed):
    source = Documents(seed)
    documents = [bson.encode(source.document()) for _ in range(100)]
    foreign_table(documents)
    rows = connection.execute("SELECT root::text, canonical_root::text FROM docs").fetchall()
    assert len(rows) == len(documents)
    for encoded, (relaxed, canonical) in zip(documents, rows):
        assert parsed(relaxed) == expected_json(encoded, json_util.RELAXED_JSON_OPTIONS)
        assert parsed(canonical) == expected_json(encoded, json_util.CANONICAL_JSON_OPTIONS)

    # the storage form: as PostgreSQL would have made it of the text
    connection.execute("CREATE TEMP TABLE stored AS SELECT root AS j FROM docs UNION ALL SELECT canonical_root FROM docs")
    assert connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE j = j::text::jsonb),"
        " count(*) FILTER (WHERE pg_column_size(j || '{}') = pg_column_size(j::text::jsonb || '{}')),"
        " count(*) FILTER (WHERE jsonb_hash(j) = jsonb_hash(j::text::jsonb)),"
        " count(*) FILTER (WHERE NOT EXISTS (SELECT FROM jsonb_each(j) WHERE j -> key IS DISTINCT FROM value))"
        " FROM stored").fetchone() == (2 * len(documents),) * 5
    connection.execute("CREATE INDEX ON stored USING gin (j)")


# --- NUL, bad UTF-8, encodings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_nul, expected", [("strip", "ab"), ("replace", "a\ufffdb")])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: [1, {"x": s}]])
def test_nul(foreign_table, connection, on_nul, expected, wrap):
    foreign_table([{"v": wrap("a\0b")}], options=f", on_nul '{on_nul}'")
    assert json.loads(connection.execute("SELECT relaxed::text FROM docs").fetchone()[0]) == wrap(expected)


REFUSED = {
    "NUL": (string("a", "x\0y"), errors.UntranslatableCharacter, 'has a field "list.1.a" that contains U+0000'),
    "bad UTF-8": (string("a", b"ok\xff"), errors.CharacterNotInRepertoire, 'has a field "list.1.a" that is not valid UTF-8'),
    "surrogate": (string("a", b"\xed\xa0\x80"), errors.CharacterNotInRepertoire, 'has a field "list.1.a" that is not valid UTF-8'),
    "overlong": (string("a", b"\xc0\xaf"), errors.CharacterNotInRepertoire, 'has a field "list.1.a" that is not valid UTF-8'),
    "cut sequence": (string("a", b"\xe6\xbc"), errors.CharacterNotInRepertoire, 'has a field "list.1.a" that is not valid UTF-8'),
    "bad UTF-8 in a key": (string(b"k\xc3", "x"), errors.CharacterNotInRepertoire, 'has a field "list.1.k?" that has a name that is not valid UTF-8'),
    "bad UTF-8 in code": (string("a", b"\xff", 13), errors.CharacterNotInRepertoire, 'has a field "list.1.a" that is not valid UTF-8'),
    "bad UTF-8 in a regex": (element(11, "a", b"\xff\0\0"), errors.CharacterNotInRepertoire, 'has a field "list.1.a" that is not valid UTF-8'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_text(foreign_table, connection, name):
    bad, error, words = REFUSED[name]
    value = document(element(4, "list", document(element(10, "0", b""), element(3, "1", document(bad)))))
    foreign_table([{"n": 1, "v": "good"}, document(element(16, "n", struct.pack("<i", 2)), element(3, "v", value))])
    with pytest.raises(error) as raised:
        connection.execute("SELECT relaxed FROM docs").fetchall()
    assert words in raised.value.diag.message_detail
    connection.execute("ALTER SERVER files OPTIONS (ADD on_mismatch 'null')")
    assert connection.execute("SELECT n, relaxed::text FROM docs").fetchall() == [(1, '"good"'), (2, None)]


def test_a_database_that_is_not_utf8(postgres, write_file):
    name = f"test_{uuid.uuid4().hex[:12]}"
    keys = ["ä", "zz", "é", "z"]
    path = write_file("docs.bson", bson.encode({"v": {key: f"{key}ü" for key in keys}, "w": {"x": "ok"}})
                      + bson.encode({"v": {"a": "漢"}}))
    postgres.psql(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        with psycopg.connect(**postgres.conninfo(name), client_encoding="utf8", autocommit=True) as connection:
            connection.execute("CREATE EXTENSION mongoferry")
            connection.execute(f"CREATE SERVER files FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
            connection.execute("CREATE FOREIGN TABLE docs (v jsonb, w jsonb) SERVER files")
            with pytest.raises(errors.UntranslatableCharacter, match="."):
                connection.execute("SELECT v FROM docs").fetchall()
            connection.execute("ALTER FOREIGN TABLE docs OPTIONS (ADD on_mismatch 'null')")
            (value,), (refused,) = connection.execute("SELECT v FROM docs").fetchall()
            assert value == {key: f"{key}ü" for key in keys} and refused is None
            assert connection.execute("SELECT v = v::text::jsonb, v ->> 'é', v ->> 'z' FROM docs LIMIT 1").fetchone() == (
                True, "éü", "zü")
    finally:
        postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_nesting(foreign_table, connection):
    foreign_table([nested(100), nested(198)])
    depths = connection.execute("SELECT length(relaxed::text) FROM docs").fetchall()
    assert len(depths) == 2
    connection.execute("DROP SERVER files CASCADE")
    foreign_table([nested(5000)])
    with pytest.raises(errors.DataError, match="."):
        connection.execute("SELECT root FROM docs").fetchall()
    assert connection.execute("SELECT count(*) FROM docs").fetchone() == (1,)


def test_a_document_of_16_megabytes_and_one_of_100000_keys(foreign_table, connection):
    items = [{"n": n, "text": "x" * 60, "price": n / 100} for n in range(145_000)]
    large = bson.encode({"v": items})
    assert 15_000_000 < len(large) < 16 * 1024 * 1024
    wide = {f"key{n}": n for n in range(100_000)}
    foreign_table([large, {"v": wide}])
    assert connection.execute("SELECT jsonb_array_length(relaxed), relaxed -> 144999 FROM docs LIMIT 1").fetchone() == (
        145_000, items[-1])
    assert connection.execute("SELECT relaxed -> 'key0', relaxed -> 'key99999', (SELECT count(*) FROM jsonb_object_keys(relaxed))"
                              " FROM docs WHERE jsonb_typeof(relaxed) = 'object'").fetchone() == (0, 99_999, 100_000)

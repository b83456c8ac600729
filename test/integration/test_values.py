"""Every BSON type into every column type: exact, or refused. Over .bson files; the source makes no difference here."""

import datetime
import struct
import uuid

import pytest
from bson import Binary, Code, DatetimeMS, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from harness.reading import Reader, Refused, check_refusal, document_of

OBJECT_ID = ObjectId("65f000000102030405060708")  # made at 2024-03-12 07:10:56 UTC
UUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
UTC = datetime.timezone.utc


def text_value(text):
    return struct.pack("<i", len(text) + 1) + text + b"\0"


# A value of each BSON type, by the type's name in MongoDB.
SAMPLES = {
    "double": 2.5,
    "string": "abc",
    "object": {"a": 1},
    "array": [1, None],
    "binData": Binary(b"\x01\x02", 0),
    "binData:3": Binary(UUID.bytes, 3),
    "binData:4": Binary(UUID.bytes, 4),
    "undefined": document_of(0x06, b""),
    "objectId": OBJECT_ID,
    "bool": True,
    "date": datetime.datetime(2024, 2, 29, 12, 30, 1, 5000, UTC),
    "null": None,
    "regex": Regex("a+/b", "im"),
    "dbPointer": document_of(0x0C, text_value(b"db.c") + OBJECT_ID.binary),
    "javascript": Code("f()"),
    "symbol": document_of(0x0E, text_value(b"abc")),
    "javascriptWithScope": Code("f()", {"x": 1}),
    "int": 7,
    "timestamp": Timestamp(1709209801, 2),
    "long": Int64(7),
    "decimal": Decimal128("2.50"),
    "minKey": MinKey(),
    "maxKey": MaxKey(),
}

# The string that suits a column type in place of "abc".
STRINGS = {
    "date": "2024-02-29", "time": "12:30:01.5", "timetz": "12:30+02", "timestamp": "2024-02-29 12:30", "interval": "1 day",
    "timestamptz": "2024-02-29T12:30:00+02:00", "uuid": str(UUID).upper(), "inet": "10.0.0.1", "cidr": "10.0.0.0/8",
    "macaddr": "08:00:2b:01:02:03", "bit(3)": "101", "int4range": "[1,5)", "point": "(1,2)", "mood": "happy",
    "xml": "<a/>", "objectid": str(OBJECT_ID), "money": "$1.00", "tsvector": "a b", "oid": "42", '"char"': "a",
}

TEXTS = {
    "double": "2.5", "string": "abc", "object": '{"a": 1}', "array": "[1, null]", "binData:3": str(UUID), "binData:4": str(UUID),
    "objectId": str(OBJECT_ID), "bool": "true", "date": "2024-02-29T12:30:01.005Z", "regex": "/a+/b/im",
    "dbPointer": '{"$dbPointer": {"$ref": "db.c", "$id": {"$oid": "65f000000102030405060708"}}}', "javascript": "f()",
    "symbol": "abc", "javascriptWithScope": '{"$code": "f()", "$scope": {"x": 1}}', "int": "7",
    "timestamp": '{"$timestamp": {"t": 1709209801, "i": 2}}', "long": "7", "decimal": "2.50", "minKey": '{"$minKey": 1}',
    "maxKey": '{"$maxKey": 1}',
}
JSON = {
    **TEXTS, "string": '"abc"', "binData": '{"$binary": {"base64": "AQI=", "subType": "00"}}',
    "binData:3": '{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}',
    "binData:4": '{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}',
    "undefined": '{"$undefined": true}', "objectId": '{"$oid": "65f000000102030405060708"}',
    "date": '{"$date": "2024-02-29T12:30:01.005Z"}', "regex": '{"$regularExpression": {"pattern": "a+/b", "options": "im"}}',
    "javascript": '{"$code": "f()"}', "symbol": '{"$symbol": "abc"}', "decimal": '{"$numberDecimal": "2.50"}',
}
# jsonb orders keys by length
JSONB = {**JSON, "dbPointer": '{"$dbPointer": {"$id": {"$oid": "65f000000102030405060708"}, "$ref": "db.c"}}',
         "timestamp": '{"$timestamp": {"i": 2, "t": 1709209801}}',
         "regex": '{"$regularExpression": {"options": "im", "pattern": "a+/b"}}',
         "binData": '{"$binary": {"base64": "AQI=", "subType": "00"}}'}
TO_UUID = "018e3180-0000-7010-880c-1014181c2000"  # checked against to_uuid() below
WHOLE = {"int": "7", "long": "7"}
# the values that each column type takes; null and undefined are NULL everywhere (but jsonb keeps undefined), and whatever
# is not here is refused
MATRIX = {
    "boolean": {"bool": "true"},
    "smallint": WHOLE, "integer": WHOLE, "bigint": WHOLE,
    "real": {**WHOLE, "double": "2.5", "decimal": "2.5"},
    "double precision": {**WHOLE, "double": "2.5", "decimal": "2.5"},
    "numeric": {**WHOLE, "double": "2.5", "decimal": "2.50"},
    "text": TEXTS, "varchar": TEXTS, "citext": TEXTS, "short": TEXTS,
    "json": JSON, "jsonb": JSONB,
    "timestamptz": {"date": "2024-02-29 12:30:01.005+00", "objectId": "2024-03-12 07:10:56+00",
                    "timestamp": "2024-02-29 12:30:01+00", "string": "2024-02-29 10:30:00+00"},
    "timestamp": {"date": "2024-02-29 12:30:01.005", "objectId": "2024-03-12 07:10:56", "timestamp": "2024-02-29 12:30:01",
                  "string": "2024-02-29 12:30:00"},
    "date": {"date": "2024-02-29", "objectId": "2024-03-12", "timestamp": "2024-02-29", "string": "2024-02-29"},
    "bytea": {"binData": "\\x0102", "binData:3": "\\x" + UUID.hex, "binData:4": "\\x" + UUID.hex,
              "objectId": "\\x" + str(OBJECT_ID)},
    "uuid": {"binData:3": str(UUID), "binData:4": str(UUID), "objectId": TO_UUID, "string": str(UUID)},
    "objectid": {"objectId": str(OBJECT_ID)},
    "integer[]": {"array": "{1,NULL}"}, "text[]": {"array": "{1,NULL}"}, "jsonb[]": {"array": "{1,NULL}"},
    "pair": {"object": "(1,)"},
    # by their input functions, from strings only
    "time": {"string": "12:30:01.5"}, "timetz": {"string": "12:30:00+02"}, "interval": {"string": "1 day"},
    "inet": {"string": "10.0.0.1/32"}, "cidr": {"string": "10.0.0.0/8"}, "macaddr": {"string": "08:00:2b:01:02:03"},
    "bit(3)": {"string": "101"}, "int4range": {"string": "[1,5)"}, "point": {"string": "(1,2)"}, "mood": {"string": "happy"},
    "xml": {"string": "<a/>"}, "money": {"string": "$1.00"}, "tsvector": {"string": "'a' 'b'"}, "oid": {"string": "42"},
    '"char"': {"string": "a"},
}


@pytest.fixture
def reader(connection, folder):
    connection.execute("CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE TYPE pair AS (a int, b text)")
    connection.execute("CREATE DOMAIN short AS text CHECK (length(VALUE) < 200)")
    return Reader(connection, folder)


@pytest.mark.parametrize("column_type", MATRIX)
def test_every_bson_type(reader, column_type):
    if column_type == "xml" and not reader.query("SELECT 1 FROM pg_type WHERE typname = 'xml'"):
        pytest.skip("this PostgreSQL has no xml")
    accepted = MATRIX[column_type]
    got = {}
    expected = {}
    for name, value in SAMPLES.items():
        if name == "string":
            value = STRINGS.get(column_type, value)
        got[name] = reader.read(value, column_type)
        if name == "null" or (name == "undefined" and "undefined" not in accepted):
            expected[name] = None
        elif name in accepted:
            expected[name] = accepted[name]
        elif name in ("double", "decimal") and column_type in ("smallint", "integer", "bigint"):
            expected[name] = Refused("22003", "is not a whole number")
        else:
            expected[name] = Refused("2200G")
        if isinstance(expected[name], Refused):
            check_refusal(got[name], name.split(":")[0])
            # the way out: NULL, and a word about it at the end
            assert reader.read(value, column_type, on_mismatch="null") is None
            message, detail = reader.warning()
            assert "1 value of 1 column of foreign table" in message
            assert detail.startswith('"v" (') and detail.endswith('): 1 value, in document {"_id": 1}')
        else:
            assert reader.warning() is None
    assert got == expected


def test_to_uuid_is_the_same(reader):
    assert reader.query(f"SELECT mongoferry.to_uuid('{OBJECT_ID}')::text") == [(TO_UUID,)]


def test_names_of_the_types_in_errors(reader):
    error = reader.read({"a": 1}, "numeric(6,2)")
    assert error.message.startswith("cannot convert BSON object to numeric(6,2) for column")
    assert 'value {"a": 1}' in error.detail


MIN_DATE = -210866803200000
END_TIMESTAMP = 9224318016000000
END_DATE = (2147483494 - 2440588) * 86400000
NAN = float("nan")
INFINITY = float("inf")
RANGE = Refused("22003", "is out of range")
WHOLE_NUMBER = Refused("22003", "is not a whole number")
INEXACT = Refused("22003", "cannot be represented exactly")
TIME_RANGE = Refused("22008", "is out of range")
TOO_LONG = Refused("22001", "is too long")


def integers(column_type, low, high):
    for value in (low, high):
        for make in (Int64, lambda n: Decimal128(str(n)), lambda n: Decimal128(f"{n}.000")):
            yield column_type, make(value), str(value)
        if abs(value) < 2 ** 40:
            yield column_type, float(value), str(value)
    for value in (low - 1, high + 1):
        if -2 ** 63 <= value < 2 ** 63:
            yield column_type, Int64(value), RANGE
            yield column_type, float(value), RANGE
        yield column_type, Decimal128(str(value)), RANGE
    for value in (NAN, INFINITY, -INFINITY, 1e300, -1e300):
        yield column_type, value, RANGE
        yield column_type, Decimal128(str(value)), RANGE
    yield column_type, -0.0, "0"
    yield column_type, Decimal128("-0.00"), "0"
    yield column_type, Decimal128("0E+6111"), "0"
    yield column_type, Decimal128("1E+3"), "1000"
    yield column_type, Decimal128("1.50E+1"), "15"
    yield column_type, Decimal128("1E+6111"), RANGE
    yield column_type, Decimal128("1E-6176"), WHOLE_NUMBER
    yield column_type, 5.7, WHOLE_NUMBER
    yield column_type, 5e-324, WHOLE_NUMBER


LIMITS = [
    *integers("smallint", -2 ** 15, 2 ** 15 - 1),
    ("smallint", 40000, RANGE),
    *integers("integer", -2 ** 31, 2 ** 31 - 1),
    *integers("bigint", -2 ** 63, 2 ** 63 - 1),
    ("bigint", -2.0 ** 63, str(-2 ** 63)),
    ("bigint", 2.0 ** 63, RANGE),
    ("bigint", 2.0 ** 63 - 1024, str(2 ** 63 - 1024)),
    ("bigint", -2.0 ** 63 - 2048, RANGE),

    ("double precision", Int64(2 ** 53), "9.007199254740992e+15"),
    ("double precision", Int64(2 ** 53 + 1), INEXACT),
    ("double precision", Int64(-2 ** 53 - 1), INEXACT),
    ("double precision", Int64(2 ** 63 - 1), INEXACT),
    ("double precision", Int64(-2 ** 63), "-9.223372036854776e+18"),
    ("double precision", 0.1, "0.1"),
    ("double precision", -0.0, "-0"),
    ("double precision", NAN, "NaN"),
    ("double precision", -INFINITY, "-Infinity"),
    ("double precision", 5e-324, "5e-324"),
    ("double precision", 1.7976931348623157e308, "1.7976931348623157e+308"),
    ("double precision", Decimal128("0.1"), "0.1"),
    ("double precision", Decimal128("0.10"), "0.1"),
    ("double precision", Decimal128("1E+23"), "9.999999999999999e+22"),  # the double's numeric is 1E+23 again
    ("double precision", Decimal128("0.1000000000000000055511151231257827"), INEXACT),
    ("double precision", Decimal128("9007199254740993"), INEXACT),
    ("double precision", Decimal128("1.7976931348623157E+308"), "1.7976931348623157e+308"),
    ("double precision", Decimal128("1.8E+308"), RANGE),
    ("double precision", Decimal128("5E-324"), "5e-324"),
    ("double precision", Decimal128("4.9E-324"), INEXACT),
    ("double precision", Decimal128("1E-400"), RANGE),
    ("double precision", Decimal128("1E+6111"), RANGE),
    ("double precision", Decimal128("-0"), "-0"),
    ("double precision", Decimal128("0E-6176"), "0"),
    ("double precision", Decimal128("NaN"), "NaN"),
    ("double precision", Decimal128("Infinity"), "Infinity"),
    ("double precision", Decimal128("-Infinity"), "-Infinity"),

    ("real", 0.1, "0.1"),
    ("real", 16777217, "1.6777216e+07"),
    ("real", Int64(2 ** 63 - 1), "9.223372e+18"),
    ("real", 3.4028234663852886e38, "3.4028235e+38"),
    ("real", 3.4028235677973366e38, RANGE),
    ("real", -3.5e38, RANGE),
    ("real", 1e-45, "1e-45"),
    ("real", 1e-46, RANGE),
    ("real", -0.0, "-0"),
    ("real", NAN, "NaN"),
    ("real", INFINITY, "Infinity"),
    ("real", Decimal128("0.1"), "0.1"),
    ("real", Decimal128("3.5E+38"), RANGE),
    ("real", Decimal128("1E-46"), RANGE),
    ("real", Decimal128("-Infinity"), "-Infinity"),
    # rounding to double first would round to the other neighbour
    ("real", Decimal128("1.000000059604644775390625000001"), "1.0000001"),

    ("numeric", Int64(-2 ** 63), str(-2 ** 63)),
    ("numeric", Int64(2 ** 63 - 1), str(2 ** 63 - 1)),
    ("numeric", 0.1, "0.1"),
    ("numeric", 129.9, "129.9"),
    ("numeric", 2.0, "2"),
    ("numeric", 1e23, "1" + "0" * 23),
    ("numeric", 9007199254740993.0, "9007199254740992"),
    ("numeric", 1.7976931348623157e308, "17976931348623157" + "0" * 292),
    ("numeric", 5e-324, "0." + "0" * 323 + "5"),
    ("numeric", -0.0, "0"),
    ("numeric", NAN, "NaN"),
    ("numeric", INFINITY, "Infinity"),
    ("numeric", -INFINITY, "-Infinity"),
    ("numeric", Decimal128("1.50"), "1.50"),
    ("numeric", Decimal128("-1.50"), "-1.50"),
    ("numeric", Decimal128("0.00"), "0.00"),
    ("numeric", Decimal128("-0"), "0"),
    ("numeric", Decimal128("1E+3"), "1000"),
    ("numeric", Decimal128("1.5E+3"), "1500"),
    ("numeric", Decimal128("1234567890123456789012345678901234"), "1234567890123456789012345678901234"),
    ("numeric", Decimal128("-12345678901234567890123456789.01234"), "-12345678901234567890123456789.01234"),
    ("numeric", Decimal128("9223372036854775808"), "9223372036854775808"),
    ("numeric", Decimal128("18446744073709551616.5"), "18446744073709551616.5"),
    ("numeric", Decimal128("9.999999999999999999999999999999999E+6144"), "9" * 34 + "0" * 6111),
    ("numeric", Decimal128("1E-6176"), "0." + "0" * 6175 + "1"),
    ("numeric", Decimal128("0E-6176"), "0." + "0" * 6176),
    ("numeric", Decimal128("0E+6111"), "0"),
    ("numeric", Decimal128("NaN"), "NaN"),
    ("numeric", Decimal128("-Infinity"), "-Infinity"),
    ("numeric(6,2)", 1234.567, "1234.57"),
    ("numeric(6,2)", Decimal128("9999.994"), "9999.99"),
    ("numeric(6,2)", Decimal128("9999.995"), Refused("22003", "numeric field overflow")),
    ("numeric(6,2)", 7, "7.00"),
    ("numeric(6,2)", 10000, Refused("22003", "numeric field overflow")),
    ("numeric(6,2)", NAN, "NaN"),
    ("numeric(6,2)", INFINITY, Refused("22003", "numeric field overflow")),

    ("timestamptz", DatetimeMS(MIN_DATE), "4714-11-24 00:00:00+00 BC"),
    ("timestamptz", DatetimeMS(MIN_DATE - 1), TIME_RANGE),
    ("timestamptz", DatetimeMS(END_TIMESTAMP - 1), "294276-12-31 23:59:59.999+00"),
    ("timestamptz", DatetimeMS(END_TIMESTAMP), TIME_RANGE),
    ("timestamptz", DatetimeMS(-2 ** 63), TIME_RANGE),
    ("timestamptz", DatetimeMS(2 ** 63 - 1), TIME_RANGE),
    ("timestamptz", DatetimeMS(-1), "1969-12-31 23:59:59.999+00"),
    ("timestamptz", ObjectId("00000000" + "0" * 16), "1970-01-01 00:00:00+00"),
    ("timestamptz", ObjectId("ffffffff" + "0" * 16), "2106-02-07 06:28:15+00"),
    ("timestamptz", Timestamp(2 ** 32 - 1, 2 ** 32 - 1), "2106-02-07 06:28:15+00"),
    ("timestamptz(0)", DatetimeMS(946684801500), "2000-01-01 00:00:02+00"),
    ("timestamptz(3)", DatetimeMS(1234), "1970-01-01 00:00:01.234+00"),
    ("timestamptz(1)", "2024-01-01T00:00:00.25Z", "2024-01-01 00:00:00.3+00"),
    ("timestamp", DatetimeMS(MIN_DATE), "4714-11-24 00:00:00 BC"),
    ("timestamp", DatetimeMS(MIN_DATE - 1), TIME_RANGE),
    ("timestamp", DatetimeMS(END_TIMESTAMP - 1), "294276-12-31 23:59:59.999"),
    ("timestamp", DatetimeMS(END_TIMESTAMP), TIME_RANGE),
    ("timestamp(0)", DatetimeMS(1499), "1970-01-01 00:00:01"),
    ("date", DatetimeMS(MIN_DATE), "4714-11-24 BC"),
    ("date", DatetimeMS(MIN_DATE - 1), TIME_RANGE),
    ("date", DatetimeMS(END_DATE - 1), "5874897-12-31"),
    ("date", DatetimeMS(END_DATE), TIME_RANGE),
    ("date", DatetimeMS(-2 ** 63), TIME_RANGE),
    ("date", DatetimeMS(2 ** 63 - 1), TIME_RANGE),
    ("date", DatetimeMS(-1), "1969-12-31"),
    ("date", DatetimeMS(0), "1970-01-01"),
    ("date", DatetimeMS(86399999), "1970-01-01"),
    ("text", DatetimeMS(-1), "1969-12-31T23:59:59.999Z"),
    ("text", DatetimeMS(8640000000000000), "+275760-09-13T00:00:00.000Z"),
    ("date", "30 February", Refused("22007", "invalid input syntax for type date")),
    ("date", "2024-02-30", Refused("22008", "date/time field value out of range")),

    ("varchar(3)", "äöü", "äöü"),
    ("varchar(3)", "abc  ", "abc"),
    ("varchar(3)", "abcd", TOO_LONG),
    ("varchar(3)", "äöüß", TOO_LONG),
    ("varchar(3)", 1234, TOO_LONG),
    ("varchar(3)", 123, "123"),
    ("varchar(3)", "", ""),
    ("char(3)", "abc   ", "abc"),
    ("char(3)", "abcd", TOO_LONG),
    ("char", "ab", TOO_LONG),
    ("name", "a" * 63, "a" * 63),
    ("name", "a" * 64, TOO_LONG),
    ('"char"', "ab", TOO_LONG),
    ('"char"', "ä", TOO_LONG),
    ("bit(3)", "1010", Refused("22026", "does not match type bit(3)")),
    ("varbit(3)", "10", "10"),
    ("varbit(3)", "1010", Refused("22001", "too long")),
    ("mood", "glad", Refused("22P02", "invalid input value for enum mood")),
    ("time(0)", "12:30:01.6", "12:30:02"),
    ("inet", "10.0.0.256", Refused("22P02", "invalid input syntax for type inet")),
    ("tsquery", "a &", Refused("22P02", "no operand in tsquery")),
    ("regclass", "no_such_table", Refused("22P02", "does not exist")),
    ("text", 1e23, "9.999999999999999e+22"),
    ("text", 0.1, "0.1"),
    ("text", -0.0, "-0"),
    ("text", NAN, "NaN"),
    ("text", -2 ** 31, "-2147483648"),
    ("text", Int64(-2 ** 63), "-9223372036854775808"),
    ("text", Decimal128("1E+3"), "1E+3"),
    ("text", False, "false"),
    ("text", "", ""),
    ("text", DBRef("c", 1), '{"$ref": "c", "$id": 1}'),

    ("uuid", Binary(UUID.bytes[:15], 4), Refused("22P03", "does not have the 16 bytes of a UUID")),
    ("uuid", Binary(UUID.bytes, 0), Refused("2200G", "subtype")),
    ("uuid", "{" + str(UUID) + "}", str(UUID)),
    ("uuid", "no uuid", Refused("22P02", "invalid input syntax for type uuid")),
    ("text", Binary(UUID.bytes[:15], 4), Refused("2200G")),
    ("bytea", Binary(b"", 0), "\\x"),
    ("bytea", Binary(b"\x01", 0x80), "\\x01"),
    ("bytea", document_of(0x05, struct.pack("<iBi", 6, 2, 2) + b"ab"), "\\x6162"),
    ("objectid", str(OBJECT_ID), Refused("2200G", "coerce_strings 'true'")),
    ("boolean", 1, Refused("2200G")),
    ("integer", True, Refused("2200G")),
]


def test_limits(reader):
    wrong = []
    for column_type, value, expected in LIMITS:
        got = reader.read(value, column_type)
        if got != expected:
            wrong.append((column_type, value, got, expected))
        elif isinstance(expected, Refused):
            check_refusal(got)
            if reader.read(value, column_type, on_mismatch="null") is not None or reader.warning() is None:
                wrong.append((column_type, value, "on_mismatch 'null'"))
    assert not wrong


def test_padding_of_char(reader):
    assert reader.rows([{"_id": 1, "v": "äb"}], "v char(4)", "octet_length(v), length(v)") == [(5, 2)]


COERCED = [
    ("integer", "12", "12"),
    ("integer", " -12 ", "-12"),
    ("integer", "2147483648", Refused("22003", "out of range for type integer")),
    ("integer", "12.0", Refused("22P02", "invalid input syntax for type integer")),
    ("integer", "", Refused("22P02")),
    ("smallint", "-32769", Refused("22003")),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("numeric", "12.50", "12.50"),
    ("numeric(4,1)", "12.55", "12.6"),
    ("numeric(4,1)", "12345", Refused("22003", "numeric field overflow")),
    ("numeric", "12,50", Refused("22P02")),
    ("double precision", "1e3", "1000"),
    ("double precision", "1e309", Refused("22003")),
    ("real", "1e-50", Refused("22003")),
    ("boolean", "yes", "true"),
    ("boolean", "off", "false"),
    ("boolean", "maybe", Refused("22P02")),
    ("objectid", str(OBJECT_ID).upper(), str(OBJECT_ID)),
    ("objectid", "65f00000010203040506070", Refused("22P02")),
    ("integer", "1\0", Refused("22P05", "on_nul")),
    ("integer", {"a": 1}, Refused("2200G")),
]


def test_coerce_strings(reader):
    for column_type, value, expected in COERCED:
        assert (column_type, value, reader.read(value, column_type, coerce_strings="true")) == (column_type, value, expected)
        if isinstance(value, str) and "\0" not in value:
            without = reader.read(value, column_type)
            assert without == Refused("2200G", "coerce_strings 'true'"), (column_type, value)
            check_refusal(without)


@pytest.mark.parametrize("column_type", ["text", "varchar(20)", "citext", "json", "jsonb", "text[]", "short"])
def test_nul(reader, column_type):
    def read(value, **options):
        value = [value] if column_type.endswith("[]") else value
        got = reader.read(value, column_type, **options)
        return got.strip('"{}') if isinstance(got, str) else got

    refused = read("a\0b\0")
    assert refused == Refused("22P05", "contains U+0000")
    assert "on_nul 'strip' or 'replace'" in refused.hint
    assert read("a\0b\0", on_nul="strip") == "ab"
    assert read("a\0b\0", on_nul="replace") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    # what only looks like one
    assert read("a\\u0000b") == ("a\\\\u0000b" if column_type in ("json", "jsonb", "text[]") else "a\\u0000b")


@pytest.mark.parametrize("column_type", ["text", "json", "jsonb"])
def test_nul_deep_inside(reader, column_type):
    value = {"list": ["ok", {"k\\": "a\0\\"}]}
    raw = reader.read(value, column_type)
    assert raw == Refused("22P05", "contains U+0000")
    assert "on_nul 'strip' or 'replace'" in raw.hint
    assert reader.read(value, column_type, on_nul="strip") == '{"list": ["ok", {"k\\\\": "a\\\\"}]}'
    assert reader.read(value, column_type, on_mismatch="null") is None
    assert reader.warning() is not None


@pytest.mark.parametrize("column_type", ["text", "varchar(20)", "citext", "json", "jsonb", "date", "mood"])
@pytest.mark.parametrize("wrong", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"],
                         ids=["byte", "cut", "overlong", "surrogate", "beyond"])
def test_invalid_utf8(reader, column_type, wrong):
    document = document_of(0x02, text_value(b"abcdefgh" + wrong))
    error = reader.read(document, column_type)
    assert error == Refused("22021", "is not valid UTF-8")
    check_refusal(error)
    assert reader.read(document, column_type, on_mismatch="null") is None
    assert 'value, in document {"_id": 1}' in reader.warning()[1]


def test_uuid_representations(reader):
    stored = Binary(UUID.bytes, 3)
    for column_type in ("uuid", "text"):
        assert reader.read(stored, column_type) == str(UUID)
        assert reader.read(stored, column_type, uuid_representation="standard") == str(UUID)
        assert reader.read(stored, column_type, uuid_representation="pythonLegacy") == str(UUID)
        assert reader.read(stored, column_type, uuid_representation="csharpLegacy") == "33221100-5544-7766-8899-aabbccddeeff"
        assert reader.read(stored, column_type, uuid_representation="javaLegacy") == "77665544-3322-1100-ffee-ddccbbaa9988"
        # subtype 4 has one order only
        assert reader.read(Binary(UUID.bytes, 4), column_type, uuid_representation="javaLegacy") == str(UUID)


def test_json_formats(reader):
    value = {"i": 1, "l": Int64(2), "d": 1.5, "t": datetime.datetime(2024, 1, 1, tzinfo=UTC)}
    relaxed = '{"i": 1, "l": 2, "d": 1.5, "t": {"$date": "2024-01-01T00:00:00Z"}}'
    canonical = ('{"i": {"$numberInt": "1"}, "l": {"$numberLong": "2"}, "d": {"$numberDouble": "1.5"}, '
                 '"t": {"$date": {"$numberLong": "1704067200000"}}}')
    for column_type in ("json", "text"):
        assert reader.read(value, column_type) == relaxed
        assert reader.read(value, column_type, json_format="canonical") == canonical
    for text, json_format in ((relaxed, "relaxed"), (canonical, "canonical")):
        table = reader.table([{"_id": 1, "v": value}], "v jsonb", json_format=json_format)
        assert reader.query(f"SELECT v = '{text}' FROM {table}") == [(True,)]


def test_missing_and_null_are_null(reader):
    for column_type in MATRIX:
        assert reader.rows([{"_id": 1}, {"_id": 2, "v": None}], f"v {column_type}", "v IS NULL") == [(True,), (True,)]


def test_errors_show_values_in_a_reasonable_length(reader):
    error = reader.read("ä" * 1000, "integer")
    assert "ä" * 40 in error.detail and len(error.detail) < 400
    error = reader.rows([{"_id": {"k": "x" * 1000, "l": "y"}, "v": "abc"}], "v integer")
    assert 'Document {"_id": {"k": "xxxx' in error.detail and len(error.detail) < 400
    assert reader.rows([document_of(0x02, text_value(b"\xff\x01\n"))], "v integer") == Refused("2200G", 'value "?\\u0001\\n"')
    without_id = reader.rows([{"v": "abc"}], "v integer")
    assert without_id.detail.startswith("Document without _id of collection")


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP", "SQL_ASCII"])
def test_other_encodings(postgres, folder, encoding):
    import psycopg

    name = f"values_{encoding.lower()}_{uuid.uuid4().hex[:8]}"
    postgres.psql(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        with psycopg.connect(**postgres.conninfo(name), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION mongoferry")
            connection.execute("SET client_encoding = 'UTF8'")
            reader = Reader(connection, folder)
            fits, foreign = {"LATIN1": ("é", "日"), "EUC_JP": ("日", "é́ā"), "SQL_ASCII": ("日é", None)}[encoding]
            for column_type in ("text", "varchar(10)", "jsonb", "json", "text[]"):
                value = [fits] if column_type.endswith("[]") else fits
                table = reader.table([{"_id": 1, "v": value, fits: 5}], f'v {column_type}, k int OPTIONS (field \'{fits}\')')
                rows = reader.query(f"SELECT v::text, k FROM {table}")
                got = rows[0][0]
                got = got.decode() if isinstance(got, bytes) else got
                assert (got.strip('"{}'), rows[0][1]) == (fits, 5), column_type
                if foreign:
                    value = ["a" + foreign] if column_type.endswith("[]") else "a" + foreign
                    error = reader.read(value, column_type)
                    assert error == Refused("22P05", f"encoding {encoding}"), column_type
                    assert "on_nul" not in error.hint
                    assert reader.read(value, column_type, on_mismatch="null") == ("{NULL}" if isinstance(value, list) else None)
            assert reader.read("abc" + fits, "integer") == Refused("2200G")
    finally:
        postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")

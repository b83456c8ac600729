"""Documents for tests of pushdown: values of every BSON type, and for each column type those that are native.

What native means says src/query/translation.h: the field holds a BSON value of the column's own, or nothing.
"""

import datetime
import random
import uuid

from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

OID = ObjectId("507f1f77bcf86cd799439011")
OTHER_OID = ObjectId("507f1f77bcf86cd799439012")
UTC = datetime.timezone.utc
UUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
# mongoferry.to_uuid(OID)
UUID_OF_OID = uuid.UUID("013a7092-e8d8-7bcf-a1b3-5e650e404400")


def at(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


def legacy(value, order="standard"):
    """A UUID as drivers stored it once, in a binary of subtype 3."""
    data = value.bytes_le if order == "csharpLegacy" else value.bytes
    return Binary(data, 3)


# Of every BSON type, chosen for what could go wrong with them.
VALUES = [
    None,
    *(float(f) for f in (0, 5, 5.5, 0.1, 12.5, -1, 1e300, 1e23, 0.5)),
    float("nan"), float("inf"), float("-inf"), -0.0, 0.30000000000000004, 0.3, 9007199254740992.0, 9007199254740994.0,
    *(0, 5, 6, 7, -1, 2**31 - 1),
    *(Int64(i) for i in (5, 2**53, 2**53 + 1, -(2**63), 2**63 - 1, 2**31)),
    *(Decimal128(d) for d in ("5", "5.0", "0.1", "0.3", "12.5", "12.50", "NaN", "Infinity", "-Infinity", "1E+40",
                              "9007199254740993", "0.30000000000000004", "-0", "12.504", "12.505",
                              "9999.995", "9999.994", "0.005", "-12.505")),
    12.504, 12.505, 9999.994,
    "Ada", "ada", "Adam", "", "5", "12", "true", "t", "2024-02-29T12:00:00.123Z", "2024-02-29 12:00:00.123+00", "infinity",
    "NUL\0inside", "Köln", "köln", "a.b", "a%b", "a_b", "a\\b", "line\nbreak", "Ada\n", " Ada", "Ada ", "ab  ", "abc  ", "abcd",
    "x" * 40, "Ą", "😀", "$a", "(", "507f1f77bcf86cd799439011", str(UUID), "{" + str(UUID).upper() + "}",
    True, False,
    OID, OTHER_OID, ObjectId("65e072c00000000000000000"),
    at("2024-02-29 12:00:00.123"), at("2024-02-29 12:00:00.124"), at("2024-02-29"), at("2024-02-28 23:59:59.999"), at("2024-03-01"),
    at("1969-12-31 23:59:59.999"), at("1970-01-01"), DatetimeMS(253402300799999),
    Timestamp(1709208000, 1),
    Binary(uuid.UUID(int=5).bytes, 4), Binary(UUID.bytes, 4), legacy(UUID), legacy(UUID, "csharpLegacy"),
    Binary(UUID_OF_OID.bytes, 4), Binary(b"\x00\xff", 0), Binary(b"short", 4),
    Regex("^a", "i"), Code("Ada"), Code("Ada", {"a": 1}), MinKey(), MaxKey(),
    {"a": 5}, {}, [], [5], [5, 6], ["Ada"], ["Ada", "Bob"], [None], [None, 5], [[5]], [True], {"0": "Ada"}, [OID],
    [at("2024-02-29 12:00:00.123")],
]

_INTEGERS = [0, 5, 6, 7, -1, Int64(5), 5.0, -0.0, 12.0, Decimal128("5"), Decimal128("5.0"), 100]
_TEXTS = ["Ada", "ada", "Adam", "", "5", "12", "true", "Köln", "köln", "a.b", "a%b", "a_b", "a\\b", "line\nbreak", "Ada\n", " Ada",
          "Ada ", "Ą", "😀", "$a", "(", "abc", "ABC", "B", "Z", "a", "é", "null"]
_TIMES = [at("2024-02-29 12:00:00.123"), at("2024-02-29 12:00:00.124"), at("2024-02-29"), at("2024-02-28 23:59:59.999"),
          at("2024-03-01"), at("1969-12-31 23:59:59.999"), at("1970-01-01"), DatetimeMS(253402300799999), at("2024-03-31 01:30:00"),
          at("2024-10-27 00:30:00"), at("2024-10-27 01:30:00")]
NATIVE = {
    "int2": _INTEGERS + [32767, -32768],
    "int": _INTEGERS + [2**31 - 1, -(2**31), Int64(2**31 - 1)],
    "int8": _INTEGERS + [Int64(2**53), Int64(2**53 + 1), Int64(2**63 - 1), Int64(-(2**63)), Decimal128("9007199254740993"), 9007199254740992.0],
    "float8": [0.0, 5.0, 5.5, 0.1, 12.5, -1.0, 1e300, 1e23, 0.3, 0.30000000000000004, float("nan"), float("inf"), float("-inf"), 5,
               Int64(2**53)],
    "numeric": [0, 5, 6, -1, 5.0, Int64(2**53 + 1), Decimal128("5"), Decimal128("5.0"), Decimal128("0.1"), Decimal128("12.5"),
                Decimal128("12.50"), Decimal128("NaN"), Decimal128("Infinity"), Decimal128("-Infinity"), Decimal128("1E+40"),
                Decimal128("0.30000000000000004"), Decimal128("0.3"), 9007199254740992.0],
    "numeric(6,2)": [0, 5, -1, 5.0, Int64(9999), Decimal128("5"), Decimal128("5.00"), Decimal128("12.5"), Decimal128("12.500"),
                     Decimal128("0.10"), Decimal128("-0.01"), Decimal128("9999.99"), Decimal128("1E+3")],
    "bool": [True, False],
    "text": _TEXTS,
    "varchar(3)": [text for text in _TEXTS if len(text) <= 3] + ["ab ", "abc", "xyz"],
    "mongoferry.objectid": [OID, OTHER_OID, ObjectId("65e072c00000000000000000"), ObjectId("0" * 24), ObjectId("f" * 24)],
    "uuid": [Binary(value.bytes, 4) for value in (UUID, UUID_OF_OID, uuid.UUID(int=5), uuid.UUID(int=0), uuid.UUID(int=2**128 - 1))],
    "timestamptz": _TIMES,
    "timestamp": _TIMES,
    "date": _TIMES,
}
NATIVE["varchar"] = NATIVE["text"]

_MISSING = object()


def native_documents(columns, count, seed=6):
    """Documents whose fields are all native: {column: type} → a list. A field is missing, null or a value."""
    chance = random.Random(seed)
    documents = []
    for number in range(count):
        document = {"_id": number}
        for path, type_ in columns.items():
            value = chance.choice([None, _MISSING, *NATIVE[type_]])
            if value is _MISSING:
                continue
            *parents, last = path.split(".")
            place = document
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
        documents.append(document)
    return documents

"""The documents that the decoder's fuzzer begins with: every BSON type at the paths it reads, and odd shapes."""

import datetime
import struct
import uuid

import bson
from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

OID = ObjectId("65f000000102030405060708")


def element(type_byte, key, value):
    return bytes([type_byte]) + key.encode() + b"\0" + value


def raw(*elements):
    body = b"".join(elements) + b"\0"
    return struct.pack("<i", len(body) + 4) + body


def text(characters):
    return struct.pack("<i", len(characters) + 1) + characters + b"\0"


def nested(depth):
    document = {"v": 1}
    for _ in range(depth):
        document = {"v": document}
    return bson.encode(document)


VALUES = [
    1, -1, Int64(2**62), 2.5, 0.1, float("nan"), float("inf"), Decimal128("12.50"), Decimal128("1E+6111"), Decimal128("NaN"), True, None,
    "happy", "12", "", "Zürich \U0001f600", "a\0b", "2024-02-29T12:00:00Z", "10.0.0.1", "08:00:2b:01:02:03", "1 day", str(uuid.UUID(int=5)),
    "65f000000102030405060708", OID, datetime.datetime(1969, 12, 31, 23, 59, 59), DatetimeMS(2**62), DatetimeMS(-(2**62)),
    Timestamp(1709209801, 2), Binary(b"\0\1\2"), Binary(uuid.UUID(int=7).bytes, 4), Binary(uuid.UUID(int=7).bytes, 3),
    Regex("a+/b", "im"), Code("f()"), Code("f()", {"x": 1}), MinKey(), MaxKey(),
    {"a": 1, "b": "x"}, {}, [], [1, 2], ["a", None, "b"], [[1, 2], [3, 4]], [[1], [2, 3]], [{"a": 1, "b": "y"}, {"a": None}], [1, "x", 2.5],
    {"": 1, "a.b": 2, "$c": 3}, [[[1]]],
]


def documents():
    for value in VALUES:
        yield bson.encode({"_id": OID, "v": value, "a": value, "b": {"c": value}, "list": [value, value], "s": value, "n": 7})
        yield bson.encode({"v": value})  # at the end, where a byte too far is outside
    yield bson.encode({
        "_id": OID, "n": Int64(5), "s": "paid", "d": datetime.datetime(2024, 2, 29), "v": Decimal128("99.95"), "list": ["a", "b"],
        "b": {"c": {"city": "Köln"}}, "items": [{"sku": "A-1", "qty": 2, "price": Decimal128("1.50")}, {"sku": "B", "qty": 1}], "a": True,
    })
    yield bson.encode({"_id": {"x": 1}, "items": [], "list": "no array"})
    yield bson.encode({"_id": 1, "items": [{"sku": i, "qty": [i]} for i in range(30)]})
    yield nested(90)
    yield nested(150)
    # duplicate keys, and types that pymongo does not write
    yield raw(element(0x10, "v", struct.pack("<i", 1)), element(0x02, "v", text(b"second")), element(0x10, "v", struct.pack("<i", 3)))
    yield raw(element(0x06, "v", b""), element(0x0E, "a", text(b"symbol")), element(0x0C, "s", text(b"db.c") + OID.binary),
              element(0x05, "d", struct.pack("<iBi", 6, 2, 2) + b"ab"), element(0x02, "n", text(b"\xff\xfe")))
    yield raw()

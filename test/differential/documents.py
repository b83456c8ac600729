"""BSON documents as the test writes them: encoding, Extended JSON, and the odd values that a field may hold."""

import datetime
import json
import uuid

import bson
from bson import (
    Binary,
    Code,
    DatetimeMS,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
    json_util,
)

UTC = datetime.timezone.utc


class Undefined:
    """BSON's undefined, for which pymongo has no value."""

    def __repr__(self):
        return "UNDEFINED"


UNDEFINED = Undefined()

# What no column type, or only another one than the field's, takes. (Dates beyond the years 1 to 9999 are not among them:
# SecantusDB refuses to store them. It stores undefined as null.)
ODD_VALUES = [
    None, 0, 5, -1, 2**31 - 1, Int64(5), Int64(2**53 + 1), Int64(-(2**63)), Int64(2**63 - 1),
    0.0, -0.0, 2.5, 1e300, 1e23, float("nan"), float("inf"), float("-inf"), 0.30000000000000004,
    Decimal128("5"), Decimal128("5.00"), Decimal128("0.1"), Decimal128("NaN"), Decimal128("-Infinity"), Decimal128("1E+40"),
    Decimal128("9.999999999999999999999999999999999E+6144"), Decimal128("-0"),
    "", "a", "Ada", "5", "12.5", "true", "NUL\0inside", "2024-02-29T12:00:00.123Z", "2024-02-29", "507f1f77bcf86cd799439011",
    "00000000-0000-0000-0000-000000000005", "$f0",
    True, False, ObjectId("507f1f77bcf86cd799439011"),
    datetime.datetime(2024, 2, 29, 12, 0, 0, 123000, UTC), DatetimeMS(-62135596800000), Timestamp(1709208000, 1),
    Binary(uuid.UUID(int=5).bytes, 4), Binary(uuid.UUID(int=5).bytes, 3), Binary(b"\x00\xff", 0),
    Regex("^a", "i"), Code("a"), MinKey(), MaxKey(), UNDEFINED,
    {}, {"a": 5}, {"k": "a", "n": 5}, {"0": 1}, {"$numberInt": "x"},
    [], [5], [1, 2, 3], ["a"], ["Ada", None], [None], [[1, 2], [3, 4]], [[1], [2, 3]], [True], [{"k": "a"}, {"k": "b"}], [[]],
]


def encode(document):
    """The bytes of a document, which may hold UNDEFINED."""
    body = b"".join(_element(key, value) for key, value in document.items())
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def _element(key, value):
    name = key.encode() + b"\0"
    if value is UNDEFINED:
        return b"\x06" + name
    if isinstance(value, dict):
        return b"\x03" + name + encode(value)
    if isinstance(value, list):
        return b"\x04" + name + encode({str(position): item for position, item in enumerate(value)})
    return bson.encode({key: value})[4:-1]


def extended_json(value):
    """A document or value as canonical Extended JSON."""
    if value is UNDEFINED:
        return '{"$undefined": true}'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {extended_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(extended_json, value)) + "]"
    return json_util.dumps(value, json_options=json_util.CANONICAL_JSON_OPTIONS)


def set_path(document, path, value):
    """Put a value at a dotted path; a numeric step is a position in an array. Where something else is in the way, it stays."""
    steps = path.split(".")
    place = document
    for step, following in zip(steps, steps[1:]):
        made = [] if following.isdigit() else {}
        if isinstance(place, list):
            while len(place) <= int(step):
                place.append(None)
            if place[int(step)] is None:
                place[int(step)] = made
            place = place[int(step)]
        else:
            place = place.setdefault(step, made)
        if not isinstance(place, list if following.isdigit() else dict):
            return
    if isinstance(place, list):
        while len(place) <= int(steps[-1]):
            place.append(None)
        place[int(steps[-1])] = value
    else:
        place[steps[-1]] = value

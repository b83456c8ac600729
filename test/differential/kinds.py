"""The column types of the differential test.

For each: the BSON values that are the type's own, some that convert to it in another way, and constants to compare
with, drawn from about the same values so that comparisons hit.
"""

import datetime
import uuid
from dataclasses import dataclass
from typing import Callable

from bson import Binary, DatetimeMS, Decimal128, Int64, ObjectId

from .documents import UTC


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Kind:
    """A column type. `native`, `near` and `literal` take a random.Random.

    declared  the ways to write the type in a foreign table
    native    a BSON value that is the type's own
    near      one that converts to the type, or almost does
    literal   a constant of the type, in SQL
    """

    declared: tuple
    native: Callable
    near: Callable
    literal: Callable


# --- numbers ----------------------------------------------------------------------------------------------------------

_SMALL = [0, 1, -1, 2, 3, 5, 7, 10, 42, 100, -5]
_EDGES = {
    "int2": [32767, -32768],
    "int4": [32767, 2147483647, -2147483648],
    "int8": [2**31, 2**53, 2**53 + 1, 2**53 - 1, -(2**53) - 1, 2**63 - 1, -(2**63)],
}
_DOUBLES = [0.0, -0.0, 1.0, 0.5, 0.1, -1.5, 2.5, 5.0, 12.5, 42.0, 100.0, 0.30000000000000004, 1e300, 1e-300, 5e-324, 1e23, 2.0**53,
            float("nan"), float("inf"), float("-inf")]
_DECIMALS = ["0", "1", "1.0", "1.00", "0.1", "12.50", "12.5", "-3.75", "5", "5.0", "42", "100", "1E+3", "0.30000000000000004",
             "9007199254740993", "-0.001", "NaN", "Infinity", "-Infinity", "1E+40", "123456789012345678901234567890.1234"]


def _whole(name, rng):
    return rng.choice(_SMALL if rng.random() < 0.85 else _EDGES[name])


def _whole_native(name):
    def native(rng):
        value = _whole(name, rng)
        if rng.random() < 0.6:
            return Int64(value) if abs(value) >= 2**31 else value
        return rng.choice([Int64(value), float(value) if abs(value) <= 2**53 else Int64(value), Decimal128(str(value)),
                           Decimal128(f"{value}.0")])

    return native


def _whole_literal(name):
    def literal(rng):
        value = _whole(name, rng)
        return f"{value}" if name == "int4" and value >= 0 else f"'{value}'::{name}"

    return literal


def _double_literal(rng):
    return f"'{rng.choice(_DOUBLES)!r}'::float8"


def _double_native(rng):
    way = rng.random()
    if way < 0.15:
        return rng.choice([float("nan"), float("nan"), -0.0, float("inf"), float("-inf")])
    return rng.choice(_DOUBLES) if way < 0.85 else rng.choice(_SMALL)


def _decimal_native(rng):
    way = rng.random()
    if way < 0.1:
        return rng.choice([Decimal128("NaN"), float("nan"), Decimal128("Infinity"), Decimal128("-Infinity")])
    if way < 0.4:
        return Decimal128(rng.choice(_DECIMALS))
    if way < 0.6:
        return rng.choice(_SMALL)
    return rng.choice(_DOUBLES) if way < 0.8 else Int64(_whole("int8", rng))


def _near_number(rng):
    return rng.choice([2.5, Int64(2**40), Decimal128("2.50"), Decimal128("NaN"), float("nan"), "5", "12.5", " 7 ", True, 1e300])


# --- text -------------------------------------------------------------------------------------------------------------

TEXTS = ["", "a", "A", "b", "B", "Ada", "ada", "ADA", "Äda", "é", "e\u0301", "ß", "SS", "İ", "ı", "Straße", "z", "Z", "a b", " a", "a ",
         "$x", "$$ROOT", "a.b", "100%", "a_b", "a\\b", "it's", '"q"', "a\nb", "^a", "a+", "(a|b)", "[ab]", "5", "05", "12.5", "true",
         "null", "日本", "😀", "apple", "Apple", "apples", "application", "banana", "~", "{}", "[1]", "\u200b"]
_COMMON_TEXTS = ["a", "b", "Ada", "ada", "apple", "apples", "banana", ""]


def _text(rng):
    return rng.choice(_COMMON_TEXTS if rng.random() < 0.5 else TEXTS)


def _near_text(rng):
    return rng.choice([5, 2.5, Int64(2**53), Decimal128("1.50"), True, ObjectId("507f1f77bcf86cd799439011"), ["a"], {"k": "a"},
                       datetime.datetime(2024, 2, 29, 12, 0, 0, 123000, UTC), Binary(uuid.UUID(int=5).bytes, 4)])


# --- keys -------------------------------------------------------------------------------------------------------------

OBJECTIDS = [ObjectId(f"{seconds:08x}bcf86cd7994390{number:02x}")
             for seconds in (0x507F1F77, 0x65E072C0, 0) for number in (0, 1, 0x11, 0xFF)]
UUIDS = [uuid.UUID(int=5), uuid.UUID(int=2**127), uuid.UUID("018f2f5e-0000-7000-8000-00000000abcd"), uuid.UUID(int=2**128 - 1)]


# --- time -------------------------------------------------------------------------------------------------------------

_MOMENTS = ["2024-02-29 12:00:00.123", "2024-02-29 12:00:00.124", "2024-02-29 00:00:00", "2024-03-31 01:30:00", "2024-11-03 05:30:00",
            "2023-12-31 23:59:59.999", "2024-01-01 00:00:00", "1970-01-01 00:00:00", "1969-12-31 23:59:59.999",
            "1900-06-15 10:00:00", "2038-01-19 03:14:08", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999"]
_FRACTIONS = ["2024-02-29 12:00:00.1235", "1969-12-31 23:59:59.9985", "2024-01-01 00:00:00.000001"]
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


def _date_native(rng):
    moment = datetime.datetime.fromisoformat(rng.choice(_MOMENTS)).replace(tzinfo=UTC)
    return DatetimeMS(round((moment - _EPOCH) / datetime.timedelta(milliseconds=1)))


def _near_date(rng):
    return rng.choice([rng.choice(OBJECTIDS), "2024-02-29T12:00:00.123Z", "2024-02-29 12:00:00.123+00", "2024-02-29", "infinity"])


def _moment_literal(type_):
    zone = "Z" if type_ == "timestamptz" else ""

    def literal(rng):
        way = rng.random()
        if way < 0.06:
            return f"'{rng.choice(['infinity', '-infinity'])}'::{type_}"
        if way < 0.2 and type_ != "date":
            return f"'{rng.choice(_FRACTIONS)}{zone}'::{type_}"
        return f"'{rng.choice(_MOMENTS)}{zone}'::{type_}" if type_ != "date" else f"'{rng.choice(_MOMENTS)[:10]}'::date"

    return literal


# --- arrays and objects -----------------------------------------------------------------------------------------------


def _array_native(element):
    def native(rng):
        return [None if rng.random() < 0.1 else element(rng) for _ in range(rng.choice([0, 1, 2, 3, 3, 5]))]

    return native


def _near_array(rng):
    return rng.choice([[[1, 2], [3, 4]], [["a"], ["b"]], [[]], 5, "a", [5, "a"], [2.5], {"0": 1}])


def _array_literal(type_, texts):
    def literal(rng):
        items = ", ".join(rng.choice(texts) for _ in range(rng.choice([0, 1, 1, 2, 3])))
        return f"ARRAY[{items}]::{type_}"

    return literal


def _object_native(rng):
    document = {}
    for key in ("k", "n", "a", "o", "b"):
        if rng.random() < 0.7:
            document[key] = {
                "k": lambda: _text(rng),
                "n": lambda: rng.choice([*_SMALL, 2.5, Int64(2**53 + 1), Decimal128("1.50"), None]),
                "a": lambda: [rng.choice([1, "a", None, {"k": "a"}]) for _ in range(rng.randrange(4))],
                "o": lambda: {"x": rng.choice([1, "a", None]), "k": {"n": 5}},
                "b": lambda: rng.choice([True, False]),
            }[key]()
    return document


def _near_object(rng):
    return rng.choice([[], [1, "a"], [{"k": "a"}], 5, "a", None, True, {"k": ["a"]}, {"n": "5"}, {"k": {"k": "a"}}])


JSON_TEXTS = ["{}", "[]", "5", '"a"', "null", "true", '{"k": "a"}', '{"n": 5}', '{"o": {"x": 1}}', '{"a": [1]}', "[1]", '["a"]',
              '{"k": "a", "n": 5}', '{"a": [{"k": "a"}]}', '{"n": 5.0}', '{"n": 2.5}']


def _constant(texts, type_):
    return lambda rng: f"{quoted(rng.choice(texts))}::{type_}"


KINDS = {
    **{name: Kind((name,), _whole_native(name), _near_number, _whole_literal(name)) for name in ("int2", "int4", "int8")},
    "float8": Kind(("float8",), _double_native, _near_number,
                   _double_literal),
    "numeric": Kind(("numeric", "numeric", "numeric", "numeric(12,2)"), _decimal_native, _near_number,
                    lambda rng: f"'{rng.choice(_DECIMALS)}'::numeric"),
    "bool": Kind(("bool",), lambda rng: rng.random() < 0.5, lambda rng: rng.choice([0, 1, "true", "f"]),
                 lambda rng: rng.choice(["true", "false"])),
    "text": Kind(("text",), _text, _near_text, lambda rng: f"{quoted(_text(rng))}::text"),
    "varchar": Kind(("varchar", "varchar(6)"), _text, _near_text, lambda rng: f"{quoted(_text(rng))}::varchar"),
    "objectid": Kind(("mongoferry.objectid",), lambda rng: rng.choice(OBJECTIDS), lambda rng: rng.choice(["507f1f77bcf86cd799439011", 5]),
                     lambda rng: f"'{rng.choice(OBJECTIDS)}'::mongoferry.objectid"),
    "uuid": Kind(("uuid",), lambda rng: Binary(rng.choice(UUIDS).bytes, 4),
                 lambda rng: rng.choice([Binary(UUIDS[0].bytes, 3), str(UUIDS[0]), OBJECTIDS[0]]),
                 lambda rng: f"'{rng.choice(UUIDS)}'::uuid"),
    **{name: Kind((name,), _date_native, _near_date, _moment_literal(name)) for name in ("timestamptz", "timestamp", "date")},
    "int4[]": Kind(("int4[]",), _array_native(lambda rng: rng.choice(_SMALL)), _near_array,
                   _array_literal("int4[]", ["0", "1", "2", "3", "5", "NULL"])),
    "text[]": Kind(("text[]",), _array_native(_text), _near_array, _array_literal("text[]", ["'a'", "'b'", "'Ada'", "''", "NULL"])),
    "jsonb": Kind(("jsonb",), _object_native, _near_object, _constant(JSON_TEXTS, "jsonb")),
}



def literal_of(name, value):
    """A constant of a type that equals a BSON value that is native to the type, or None where none is easily written."""
    if value is None or name == "jsonb" or isinstance(value, list) and None in value:
        return None
    if name in _EDGES:
        return f"'{int(value.to_decimal() if isinstance(value, Decimal128) else value)}'::{name}"
    if name in ("float8", "numeric"):
        return f"'{value}'::{name}"
    if name == "bool":
        return str(value).lower()
    if name == "objectid":
        return f"'{value}'::mongoferry.objectid"
    if name == "uuid":
        return f"'{uuid.UUID(bytes=bytes(value))}'::uuid"
    if name in ("timestamptz", "timestamp", "date"):
        moment = _EPOCH.replace(tzinfo=None) + datetime.timedelta(milliseconds=int(value))
        text = moment.isoformat(" ", "milliseconds")
        return f"'{text[:10] if name == 'date' else text + ('Z' if name == 'timestamptz' else '')}'::{name}"
    if name.endswith("[]"):
        return f"ARRAY[{', '.join(quoted(item) if isinstance(item, str) else str(item) for item in value)}]::{name}"
    return f"{quoted(value)}::{name}"


NUMBERS = ("int2", "int4", "int8", "float8", "numeric")
TIMES = ("timestamptz", "timestamp", "date")
STRINGS = ("text", "varchar")

# Constants that are no column's: what templates of expressions name as {=key}, {=unit} and so on. (type, texts)
_ARGUMENTS = {
    "key": ("text", ["k", "n", "a", "o", "x", "b", "missing", "0", "f0", "f1", "f2", "_id", ""]),
    "keys": ("text[]", ["{k}", "{k,n}", "{f0,missing}", "{}"]),
    "path": ("text[]", ["{o,x}", "{a,0}", "{a,-1}", "{o,k,n}", "{k}", "{}", "{f0}", "{o,f1}"]),
    "unit": ("text", ["millennium", "century", "decade", "year", "quarter", "month", "week", "day", "hour", "minute", "second", "milliseconds"]),
    "zone": ("text", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "+05", "Australia/Lord_Howe"]),
    "interval": ("interval", ["1 day", "1 month", "2 hours", "-1 year", "1.5 seconds", "0", "1 month 3 days"]),
    "pattern": ("text", ["a%", "A%", "%a", "%a%", "_", "__", "a_b", r"a\_b", r"100\%", "%", "", "ap%le", "ada", "%$%", "é%", "a%b%", "Ada", "ß%",
                         "%\n%", "(a|b)", "[a-z]%", "a.b", r"a\\b", "App%"]),
    "regex": ("text", ["^a", "a$", "^(a|b)", "[[:alpha:]]", r"\d+", r"^\w+$", ".", "a+", "(?i)ada", "^$", r"\yapp", "p{2}", "[^a]", "^app",
                       "^Ada$", "a.b", "ss", "^é", "(", r"^a\.b", "^ap.*e", "a|", r"\$"]),
    "short": ("int4", ["0", "1", "2", "3", "-1"]),
    "count": ("int8", ["0", "1", "2", "3", "10"]),
}


def argument(name, rng):
    """A constant for a template: (type, literal)."""
    if name in KINDS:
        return name, KINDS[name].literal(rng)
    type_, texts = _ARGUMENTS[name]
    return type_, f"{quoted(rng.choice(texts))}::{type_}"


def uuid_of_objectid(rng):
    """The UUID that to_uuid() makes of an ObjectId, in SQL that the planner turns into a constant."""
    return f"mongoferry.to_uuid('{rng.choice(OBJECTIDS)}'::mongoferry.objectid)"

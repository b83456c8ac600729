"""The rules for conditions, as a table of cases: for each condition, whether it is sent, and whether exactly.

Each runs over documents with every BSON type in every field, with pushdown on and off: the rows must be the same. An exact
one must besides, given to MongoDB alone, find as many documents of native values as PostgreSQL does without pushdown.
on_mismatch 'null' is set, so that documents which do not fit a column take part instead of stopping the scan.
"""

import pytest
from bson import json_util
from bson.codec_options import DatetimeConversion

from harness.bson_values import OID, OTHER_OID, UUID, UUID_OF_OID, VALUES, native_documents

COLUMNS = {
    "small": "int2", "n": "int", "big": "int8", "r": "float4", "d": "float8", "price": "numeric", "flag": "bool",
    "at": "timestamptz", "utc": "timestamp", "day": "date", "name": "text", "cname": 'text COLLATE "C"', "vname": "varchar",
    "code": "varchar(3)", "rounded": "numeric(6,2)", "oid": "mongoferry.objectid", "u": "uuid", "nested": "int", "deep": "text",
}
# Not held against MongoDB alone: what is native of them the tables above do not say.
OTHERS = {
    "loose": "int OPTIONS (coerce_strings 'true')", "stripped": "text OPTIONS (on_nul 'strip')",
    "old": "uuid OPTIONS (uuid_representation 'csharpLegacy')", "older": "uuid OPTIONS (uuid_representation 'pythonLegacy')",
    "tags": "int[]", "words": "text[]", "document": "jsonb", "data": "bytea",
    "first": "text OPTIONS (field 'list.0')", "seconds": "timestamptz(0)", "millis": "timestamptz(3)",
}
PATHS = {"nested": "a.nested", "deep": "a.b.deep"}
JSON = json_util.JSONOptions(tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO)
OPERATORS = ("=", "<>", "<", "<=", ">", ">=")


def each(columns, constants, operators=OPERATORS):
    return [f"{column} {operator} {constant}" for column in columns.split() for operator in operators for constant in constants]


def denied(conditions):
    return [f"NOT ({condition})" for condition in conditions]


def asked(conditions):
    """Under all the tests of SQL's third truth value."""
    return [f"({condition}) IS {test}" for condition in conditions
            for test in ("TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN")]


INTEGERS = each("small n big", ["5", "0", "-1", "32767", "2147483647", "3000000000", "9007199254740993"]) + \
    each("n big nested", ["5.5", "2.5", "5.0", "-0.5", "1e30", "-1e30", "'NaN'::numeric", "'Infinity'::numeric"]) + \
    each("n small", ["5.0::float8", "5.5::float8", "'NaN'::float8", "'-Infinity'::float8", "1e300::float8"]) + \
    each("big", ["5.0::float8", "5.5::float8", "-1e10::float8", "'NaN'::float8"]) + ["5 >= n", "5 < n", "small = 5::int2"]
FLOATS = each("d", [f"{value}::float8" for value in (
    "5", "5.5", "0.1", "0.3", "1e23", "'infinity'", "'-infinity'", "'NaN'", "9007199254740992", "-0.0", "12.5::float4")])
NUMERICS = each("price", ["5", "5.0", "12.5", "0.1", "0.3", "1e23", "1e40", "9007199254740993", "0.30000000000000004", "4503599627370496.3",
                          "'NaN'", "'Infinity'", "'-Infinity'"])
NUMERICS += each("rounded", ["5", "5.00", "12.5", "0.1", "12.504", "12.505", "0.005", "9999.99", "10000", "'NaN'", "'Infinity'", "-1"]) + \
    ["rounded IS NULL", "rounded IS NOT NULL", "rounded IN (5, 12.5, 0.301)", "rounded BETWEEN 0.1 AND 5", "NOT (rounded > 5)"]
TIMES = each("at", [f"'{value}'::timestamptz" for value in ("2024-02-29 12:00:00.123Z", "2024-02-29 12:00:00.1235Z",
                                                           "1969-12-31 23:59:59.9985Z", "infinity", "-infinity")]) + \
    each("utc", [f"'{value}'::timestamp" for value in ("2024-02-29 12:00:00.123", "2024-02-29 12:00:00.1235", "infinity", "-infinity")]) + \
    each("at utc day", ["'2024-02-29'::date", "'infinity'::date", "'1970-01-01'::date"]) + \
    each("at day", ["'2024-03-31 02:30'::timestamp", "'2024-02-29'::timestamp", "'2024-10-27 02:30'::timestamp", "'infinity'::timestamp"]) + \
    each("day", ["'2024-02-29 00:00Z'::timestamptz", "'2024-02-28 23:00Z'::timestamptz", "'2024-02-29 12:00Z'::timestamptz"])
TEXTS = each("name cname vname deep code", [f"'{value}'" for value in (
    "Ada", "", "5", "12", "true", "Köln", "a.b", "ab", "abc", "abcd", "ab ", "null", "x", "$a", "507f1f77bcf86cd799439011", "[5]", "{}")],
             ("=", "<>")) + each("cname", ["'Ada'", "''", "'5'", "'Köln'", "'z'", "'Ą'", "'😀'"])
IDENTIFIERS = each("oid", [f"'{OID}'", f"'{'f' * 24}'"]) + each("u", [f"'{UUID}'", f"'{UUID_OF_OID}'"], ("=", "<>")) + \
    each("mongoferry.to_uuid(oid)", [f"'{UUID_OF_OID}'"]) + each("mongoferry.to_uuid(oid)", [f"'{UUID}'"], ("=", "<>")) + \
    [f"oid IN ('{OID}', '{OTHER_OID}')", f"mongoferry.to_uuid(oid) IN ('{UUID_OF_OID}', '{UUID}')", f"u = ANY ('{{{UUID},{UUID_OF_OID}}}')",
     f"mongoferry.to_uuid(oid) NOT IN ('{UUID_OF_OID}', '{UUID}')", f"oid::uuid = '{UUID_OF_OID}'"]
LISTS = ["n IN (5, 6, NULL)", "n = ANY ('{0,-1}')", "n = ANY ('{}'::int[])", "n = ANY (NULL::int[])", "n NOT IN (5, 6)", "n NOT IN (5, NULL)",
         "n <> ALL ('{}'::int[])", "n <> ANY ('{5,6}')", "n = ALL ('{5}')", "n > ANY ('{5,6}')", "n > ALL ('{5,6}')", "n <= ALL ('{5,6,NULL}')",
         "vname IN ('Ada', '5', NULL)", "name NOT IN ('Ada', '5')", "d IN (0.1, 5, 'NaN')", "price IN (0.1, 5, 12.5)", "price NOT IN (0.1, 5)",
         "day IN ('2024-02-29', '1970-01-01')", "day NOT IN ('2024-02-29', '1970-01-01')", "big IN (5, 9007199254740993)",
         "n::bigint IN (5, 6)", "n BETWEEN 0 AND 6", "n NOT BETWEEN 0 AND 6", "n BETWEEN SYMMETRIC 6 AND 0"]
LOGIC = ["n = 5 OR big = 5", "n = 5 AND (d = 5 OR price > 1)", "n = 5 OR n = 6 OR flag", "n = 5 OR n IS NULL", "NOT (n = 5)",
         "NOT (n = 5 OR name = 'Ada')", "NOT (n = 5 AND name = 'Ada')", "NOT (n IS NULL OR d > 5)", "(n = 5 OR flag) AND NOT (d < 3 OR u IS NULL)",
         "flag", "NOT flag", "flag = true", "flag < true", "flag <> true", "flag OR n = 5", "flag IS NULL", "n = NULL", "NOT (n = NULL)",
         "n = 5 AND NULL", "flag > (n = NULL)",
         "(n, big) > (5, 5)", "(n, big) <= (5, 5)", "(n, cname) < (6, 'Ada')", "NOT (n, big) < (5, 5)", "(n, big, d) >= (5, 5, 5.5)", "(5, 5) < (n, big)",
         "(n, big) = (5, 5)", "(n, big) <> (5, 5)", "(n, big) > (5, NULL)", "(n, big) IN ((5, 5), (6, 7))"]
NULLS = [f"{column} IS {test}" for column in ("small n big d price flag at utc day name vname code oid u nested deep").split()
         for test in ("NULL", "NOT NULL")]
DISTINCT = [f"{column} IS {not_}DISTINCT FROM {constant}" for not_ in ("", "NOT ")
            for column, constant in (("n", "5"), ("n", "NULL"), ("d", "'NaN'"), ("price", "0.1"), ("name", "'Ada'"), ("name", "NULL"),
                                     ("flag", "true"), ("at", "'2024-02-29 12:00:00.123Z'"), ("nested", "5"), ("5", "n"), ("u", f"'{UUID}'"))]
TRUTH = asked(["n = 5", "flag", "n = 5 OR flag", "n IN (5, NULL)", "d > 5", "nested < 6", "n IS NULL", "n = 5 AND name = 'Ada'"])
NOT_EVERYTHING = ["n = 5", "n > 5.5", "d >= 5", "d < 'NaN'", "price > 0.1", "at >= '2024-02-29 12:00:00.1235Z'", "day = '2024-02-29'",
                  "name = 'Ada'", "cname > 'A'", "u = '" + str(UUID) + "'", "n IN (5, 6)", "n NOT IN (5, NULL)", "n IS NULL",
                  "n IS DISTINCT FROM 5", "(n = 5) IS TRUE", "n BETWEEN 0 AND 6"]

PATTERNS = ["Ada", "A%", "%a", "%d%", "A_a", "_", "%", "", "__a", "a\\%b", "a\\_b", "a.b", "K_ln", "%ö%", "\\$a", "(", "Ada_", "%\n%", "line%", "_da%", "😀",
            "5", "5%", "1%", "tr%", "%\\\\%"]
LIKES = [f"{column} {operator} '{pattern}'" for column in ("name", "vname", "deep", "cname", "code") for operator in ("LIKE", "NOT LIKE")
         for pattern in PATTERNS] + \
    [f"cname ILIKE '{pattern}'" for pattern in PATTERNS] + [f"cname NOT ILIKE '{pattern}'" for pattern in PATTERNS] + \
    ["name LIKE 'a!%b' ESCAPE '!'", "name LIKE NULL", "starts_with(name, 'Ad')", "name ^@ 'a.'", "starts_with(name, '')", "NOT starts_with(name, 'A')",
     "(name LIKE 'A%') IS NOT TRUE", "(name LIKE 'A%') IS UNKNOWN", "NOT (name LIKE 'A%' AND n = 5)", "name LIKE 'A%' OR name LIKE '%b'",
     "name LIKE ANY ('{A%,k%}')", "name NOT LIKE ALL ('{A%,k%}')"]
REGEXES = ["^Ada", "Ada$", "^Ada$", "a.b", "^a\\.b$", "[a-z]", "^[^a-z]", "(A|a)da", "^(?:A|K)", "a|b", "^A|b$", "d+", "^.$", "^.{3}$", "x{3,}", "x{2,3}y?",
           "", "ö", "^K.ln", "\\$a", "\\(", "line.break", "a{1,2}?", "[ab]*?z", "\\n", "(d)(a)", "[A-Z][0-9]?", "^Ad*", "^Köl", "^5"]
MATCHES = [f"{column} {operator} '{regex}'" for column in ("name", "cname", "vname") for operator in ("~", "!~") for regex in REGEXES] + \
    [f"cname {operator} '{regex}'" for operator in ("~", "!~") for regex in ("\\d", "\\w+", "^\\s", "\\S\\D", "\\W")] + \
    ["name SIMILAR TO 'A(d|x)a'", "name ~ NULL"]

EXACT = {
    "likes": LIKES, "matches": MATCHES,
    "integers": INTEGERS, "floats": FLOATS, "numerics": NUMERICS, "times": TIMES, "texts": TEXTS, "identifiers": IDENTIFIERS, "lists": LISTS,
    "logic": LOGIC + denied(NOT_EVERYTHING) + TRUTH, "nulls": NULLS + DISTINCT,
}

# Exact in MongoDB, where binaries compare by length, subtype and bytes; SecantusDB compares them by their bytes only.
UUID_ORDER = each("u", [f"'{UUID}'", f"'{UUID_OF_OID}'", f"'{'f' * 8}-ffff-ffff-ffff-{'f' * 12}'"])
WIDE = UUID_ORDER + each("r", ["5::float4", "0.1::float4", "'NaN'::float4", "0.1::float8", "16777217::float8", "'Infinity'::float4"]) + \
    each("loose", ["5", "12"]) + each("stripped", ["'NULinside'", "'Ada'"], ("=", "<>")) + \
    each("old older", [f"'{UUID}'", f"'{UUID_OF_OID}'"], ("=", "<>")) + each("older", [f"'{UUID}'"]) + \
    each("utc", ["'2024-02-29 12:00Z'::timestamptz", "'2024-03-31 01:30Z'::timestamptz"], ("=", "<", "<=", ">", ">=")) + \
    each("first", ["'Ada'", "'5'"], ("=",)) + each("millis", ["'2024-02-29 12:00:00.123Z'"]) + \
    [f"{column} IS {test}" for column in ("loose stripped old data r").split() for test in ("NULL", "NOT NULL")] + \
    [f"{column} IS NOT NULL" for column in ("tags words document").split()]

WIDE += [f"name ILIKE '{pattern}'" for pattern in PATTERNS if pattern != "%"] + [f"cname ~* '{regex}'" for regex in REGEXES] + \
    [f"first LIKE '{pattern}'" for pattern in ("A%", "5", "_")] + ["stripped LIKE 'NUL%'", "stripped ~ 'in'"]
ARRAYS = ["5 = ANY (tags)", "6 = ANY (tags)", "5 < ANY (tags)", "tags @> '{5}'", "tags @> '{5,6}'", "'{5}' <@ tags", "tags && '{6,7}'", "'{5}' && tags",
          "tags = '{5}'", "tags = '{5,6}'", "tags = '{NULL,5}'", "'Ada' = ANY (words)", "words @> '{Ada,Bob}'", "words && '{Ada,5}'", "words = '{Ada}'",
          "'5' = ANY (words)", "words @> '{{5}}'", "'true' = ANY (words)", "tags @> '{{5}}'"]
WIDE += ARRAYS
# Why, says the text behind.
KEPT = {
    "name ~* 'a'": "letters depend on the locale", "name NOT ILIKE 'a%'": "likewise", "name ~ '(?i)a'": "the dialects", "name ~ '\\mA'": "likewise",
    "name ~ '(a)\\1'": "likewise", "name ~ '[[:alpha:]]'": "likewise", "name ~ 'a(?=b)'": "likewise", "name ~ '\\d'": "depends on the locale",
    "tags @> '{}'": "any array", "tags <@ '{5}'": "no rule", "5 <> ALL (tags)": "no rule",
    "seconds = '2024-02-29'": "the type modifier rounds",
    "data = 'x'": "no rule for bytea",
    "tags IS NULL": "what on_mismatch reads as NULL can't be told by the server",
    "document IS NULL": "likewise", "seconds IS NULL": "likewise",
    "first IS NULL": "the path names a position",
    "name > 'A' COLLATE \"und-x-icu\"": "the order of another collation",
    "big = 1e17::float8": "bigint as double precision is rounded",
    "mongoferry.to_uuid(oid) > '00112233-4455-6677-8899-aabbccddeeff'": "no ObjectId makes this UUID",
    "d = random()": "volatile",
}


def create_tables(connection, server, collection, columns, prefix=""):
    """The same table with pushdown and without."""
    written = ", ".join(
        f"{name} {type_}" + (f" OPTIONS (field '{PATHS[name]}')" if name in PATHS else "") for name, type_ in columns.items())
    for table, pushdown in (("pushed", "on"), ("kept", "off")):
        connection.execute(
            f"CREATE FOREIGN TABLE {prefix}{table} (_id int, {written}) SERVER {server}"
            f" OPTIONS (collection '{collection}', pushdown '{pushdown}', on_mismatch 'null')")


def place_at(document, path, value):
    *parents, last = path.split(".")
    for parent in parents:
        document = document.setdefault(parent, {})
    document[last] = value


@pytest.fixture
def tables(mongo, live_server, connection):
    documents = []
    for number, value in enumerate(VALUES):
        document = {"_id": number, "list": [value]}
        for column in (*COLUMNS, *OTHERS):
            place_at(document, PATHS.get(column, column), value)
        documents.append(document)
    documents.append({"_id": len(documents)})
    documents.append({"_id": len(documents), "a": 5, "list": "Ada"})
    documents.append({"_id": len(documents), "a": [{"nested": 5, "b": {"deep": "Ada"}}], "list": []})
    documents.append({"_id": len(documents), "a": {"nested": 5, "b": [{"deep": "Ada"}]}, "list": {"0": "Ada"}})
    mongo.things.insert_many(documents)
    natives = {PATHS.get(name, name): type_.split(" COLLATE")[0] for name, type_ in COLUMNS.items() if name != "r"}
    mongo.natives.insert_many(native_documents(natives, 400))
    create_tables(connection, live_server, "things", COLUMNS | OTHERS)
    create_tables(connection, live_server, "natives", COLUMNS, prefix="native_")
    for prefix in ("", "native_"):
        connection.execute(f"CREATE TEMP TABLE {prefix}here AS SELECT * FROM {prefix}kept")
    # One in which days are shifted against UTC, and which jumps.
    connection.execute("SET TimeZone = 'Europe/Berlin'")
    return connection


def sent_filter(connection, condition, table="pushed"):
    """What is sent for a condition, as a dictionary; None if nothing is; {} if nothing needs to be: all or none match."""
    plan = [line.strip() for (line,) in connection.execute(f"EXPLAIN (COSTS OFF) SELECT _id FROM {table} WHERE {condition}")]
    for line in plan:
        name, _, value = line.partition(": ")
        if name == "Command":
            return json_util.loads(value, json_options=JSON).get("filter")
    return {}


def ids(connection, table, condition):
    return [number for (number,) in connection.execute(f"SELECT _id FROM {table} WHERE {condition} ORDER BY 1")]


CASES = {**EXACT, "wide": WIDE, "kept": list(KEPT)}


@pytest.mark.parametrize("subject", CASES)
def test_conditions_give_the_same_rows_with_and_without_pushdown(tables, subject):
    assert ids(tables, "here", "true") == ids(tables, "kept", "true")
    differences = []
    for condition in CASES[subject]:
        here, pushed = ids(tables, "here", condition), ids(tables, "pushed", condition)
        if pushed != here:
            differences.append(f"{condition}: misses {sorted(set(here) - set(pushed))}, has too much {sorted(set(pushed) - set(here))}")
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("subject", EXACT)
def test_exact_conditions_need_no_recheck_over_native_values(tables, mongo, subject):
    every = ids(tables, "native_here", "true")
    differences = []
    for condition in EXACT[subject]:
        predicate = sent_filter(tables, condition, "native_pushed")
        here = ids(tables, "native_here", condition)
        if not predicate:
            if here not in ([], every):
                differences.append(f"{condition}: is not sent")
            continue
        found = [document["_id"] for document in mongo.natives.find(predicate, {"_id": 1}).sort("_id", 1)]
        if found != here:
            differences.append(f"{condition}: {predicate} misses {sorted(set(here) - set(found))[:5]}, has too much {sorted(set(found) - set(here))[:5]}")
    assert not differences, "\n".join(differences)


def test_conditions_that_are_kept_send_nothing_and_wide_ones_something(tables):
    assert not [condition for condition in KEPT if sent_filter(tables, condition) is not None]
    assert not [condition for condition in WIDE if sent_filter(tables, condition) is None]

"""Random SQL expressions.

An expression is a tree of pieces of text and smaller expressions, so that the minimizer can take it apart. What can be
said about a type is a table of templates: {int4} stands for any expression of the type, {.int4} for a column, {=int4}
for a constant; {time} for any of the types of time, {T} for one type that is the same throughout the template.
"""

import re
from dataclasses import dataclass

from .kinds import KINDS, NUMBERS, STRINGS, TIMES, argument, uuid_of_objectid


class Expression:
    """`type` is a name of kinds.KINDS (or a constant's own); `parts` are strings and Expressions."""

    def __init__(self, type_, *parts):
        self.type = type_
        self.parts = parts

    def sql(self, parameters=None):
        """The text. Constants that want to be parameters are put into the list `parameters`, if there is one, as $1, $2 …"""
        return "".join(part if isinstance(part, str) else part.sql(parameters) for part in self.parts)

    def children(self):
        return [part for part in self.parts if not isinstance(part, str)]

    def with_child(self, position, child):
        """A copy with another child at a position among the children."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        parts = list(self.parts)
        indexes = [index for index, part in enumerate(parts) if not isinstance(part, str)]
        parts[indexes[position]] = child
        copy.parts = tuple(parts)
        return copy

    def walk(self):
        yield self
        for child in self.children():
            yield from child.walk()


class Constant(Expression):
    """A literal, which a prepared statement may take as a parameter."""

    def __init__(self, type_, literal, parameter):
        super().__init__(type_, literal)
        self.parameter = parameter

    def sql(self, parameters=None):
        if parameters is None or not self.parameter:
            return self.parts[0]
        parameters.append((self.type, self.parts[0]))
        return f"${len(parameters)}"


class ColumnReference(Expression):
    """`constants`: literals that equal values of the column."""

    def __init__(self, type_, text, collation=None, constants=()):
        super().__init__(type_, text)
        self.collation = collation
        self.constants = constants


class NoSuchColumn(Exception):
    """A template asks for a column of a type that no table has."""


@dataclass
class Scope:
    """The columns that an expression may use: ColumnReferences. `outer` are those of the query around it."""

    columns: list
    outer: list = ()

    def of_type(self, type_):
        return [column for column in self.columns if column.type == type_]

    def types(self, among):
        """The types of the columns, restricted to some, as often as there are columns."""
        return [column.type for column in self.columns if column.type in among]


ORDERED = (*NUMBERS, *STRINGS, *TIMES, "objectid", "uuid", "bool")

# Which other type a column is compared with now and then.
COMPARABLE = {
    **{name: NUMBERS for name in NUMBERS},
    **{name: STRINGS for name in STRINGS},
    **{name: TIMES for name in TIMES},
}

# type → [(weight, template)]
TEMPLATES = {
    "int2": [(2, "({int4})::int2"), (1, "({int2} + {=int2})"), (1, "(- {int2})")],
    "int4": [
        (4, "({int4} + {int4})"), (3, "({int4} - {int4})"), (2, "({int4} * {=short})"), (2, "({int4} / {int4})"), (2, "({int4} % {int4})"),
        (1, "abs({int4})"), (1, "(- {int4})"), (3, "length({text})"), (1, "char_length({varchar})"), (1, "octet_length({text})"),
        (1, "strpos({text}, {=text})"), (1, "({int8})::int4"), (1, "({numeric})::int4"), (1, "({float8})::int4"), (1, "({int2})::int4"),
        (1, "({bool})::int4"), (2, "extract(year from {time})::int4"), (1, "array_length({int4[]}, 1)"), (1, "cardinality({text[]})"),
        (1, "({int4[]})[1]"), (1, "greatest({int4}, {int4})"), (1, "least({int4}, {=int4})"), (1, "({int4} & {=int4})"), (1, "sign({int4})::int4"),
        (1, "({date} - {date})"), (1, "jsonb_array_length({.jsonb} -> {=key})"),
    ],
    "int8": [(3, "({int8} + {int4})"), (2, "({int8} - {int8})"), (1, "({int8} * {=short})"), (1, "({int8} / {int8})"), (1, "({int8} % {int8})"),
             (2, "({int4})::int8"), (1, "({numeric})::int8"), (1, "abs({int8})")],
    "float8": [(3, "({float8} + {float8})"), (2, "({float8} - {float8})"), (2, "({float8} * {float8})"), (2, "({float8} / {float8})"),
               (1, "abs({float8})"), (1, "floor({float8})"), (1, "ceil({float8})"), (1, "round({float8})"), (1, "trunc({float8})"),
               (2, "({int4})::float8"), (1, "({numeric})::float8"), (1, "sqrt({float8})"), (1, "(- {float8})"), (1, "sign({float8})")],
    "numeric": [(3, "({numeric} + {numeric})"), (2, "({numeric} - {numeric})"), (2, "({numeric} * {numeric})"), (1, "({numeric} / {numeric})"),
                (1, "({numeric} % {numeric})"), (1, "abs({numeric})"), (2, "round({numeric}, {=short})"), (1, "round({numeric})"), (1, "floor({numeric})"), (1, "ceil({numeric})"),
                (1, "trunc({numeric}, {=short})"), (2, "({int4})::numeric"), (1, "({int8})::numeric"), (1, "({float8})::numeric"),
                (1, "extract(epoch from {time})"), (1, "extract(dow from {time})"), (1, "extract(hour from {timestamptz})"),
                (1, "extract(week from {time})"), (1, "extract(doy from {time})"), (1, "extract(month from {time})"), (1, "extract(isodow from {time})"),
                (1, "extract(second from {timestamp})"), (1, "extract(quarter from {time})"), (1, "extract(isoyear from {time})")],
    "text": [(4, "lower({text})"), (4, "upper({text})"), (2, "({text} || {text})"), (1, "substr({text}, 2, 3)"), (1, "substr({text}, {=short})"), (1, "left({text}, {=short})"),
             (1, "right({text}, {=short})"), (1, "trim({text})"), (1, "ltrim({text})"), (1, "({int4})::text"), (3, "({.jsonb} ->> {=key})"), (2, "({.jsonb} #>> {=path})"),
             (1, "replace({text}, {=text}, {=text})"), (2, "({varchar})::text"), (1, '({text} COLLATE "C")'), (1, "({bool})::text"),
             (1, "({objectid})::text"), (1, "concat({text}, {text})"), (1, "({.jsonb} -> {=key} ->> {=key})"), (1, "reverse({text})")],
    "varchar": [(1, "({text})::varchar"), (1, "({text})::varchar(3)")],
    "bool": [],  # conditions, below
    "objectid": [],
    "uuid": [(5, "mongoferry.to_uuid({objectid})")],
    "timestamptz": [(4, "date_trunc({=unit}, {timestamptz})"), (1, "date_trunc({=unit}, {timestamptz}, {=zone})"), (2, "({timestamptz} + {=interval})"),
                    (1, "({timestamptz} - {=interval})"), (1, "({timestamp})::timestamptz"), (1, "({timestamp} AT TIME ZONE {=zone})"), (1, "(date_trunc('year', now()) - {=interval})"),
                    (1, "({date})::timestamptz"), (1, "greatest({timestamptz}, {=timestamptz})")],
    "timestamp": [(3, "date_trunc({=unit}, {timestamp})"), (1, "({timestamptz} AT TIME ZONE {=zone})"), (1, "({timestamptz})::timestamp"),
                  (1, "({timestamp} - {=interval})"), (1, "({date})::timestamp")],
    "date": [(2, "({timestamptz})::date"), (2, "({date} + {=short})"), (1, "date_trunc('month', {date})::date"), (1, "(current_date - {=short})"),
             (1, "({timestamp})::date")],
    "jsonb": [(3, "({.jsonb} -> {=key})"), (2, "({.jsonb} #> {=path})"), (1, "to_jsonb({int4})"), (1, "({.jsonb} -> 'a' -> 0)"), (1, "({.jsonb} - {=key})")],
    "int4[]": [(1, "ARRAY[{int4}, {int4}]"), (1, "({int4[]} || {int4})")],
    "text[]": [(1, "ARRAY[{text}, {=text}]"), (1, "({text[]} || {=text[]})")],
}

ANY_TYPE_TEMPLATES = [(2, "coalesce({T}, {=T})"), (1, "coalesce({T}, {T})"), (2, "nullif({T}, {=T})"), (1, "CASE WHEN {bool} THEN {T} ELSE {T} END"),
                      (1, "CASE WHEN {bool} THEN {T} END"), (1, "CASE {.short_type} WHEN {=short_type} THEN {T} ELSE {=T} END")]

CONDITIONS = [
    # what is simple comes most
    (120, "({.T} {op} {=T})"), (12, "({.T} = {=T})"), (8, "({.T} {op} {=U})"), (8, "({=T} {op} {.T})"), (8, "({.T} {op} {.U})"), (12, "({T} {op} {T})"),
    (10, "({T} {op} {=T})"),
    (12, "({.any} IS NULL)"), (12, "({.any} IS NOT NULL)"), (4, "({any} IS NULL)"), (3, "({any} IS NOT NULL)"),
    (8, "{.bool}"), (5, "(NOT {.bool})"),
    (20, "({bool} AND {bool})"), (24, "({bool} OR {bool})"), (14, "(NOT {bool})"),
    (3, "({bool} IS TRUE)"), (3, "({bool} IS NOT TRUE)"), (3, "({bool} IS FALSE)"), (3, "({bool} IS NOT FALSE)"), (2, "({bool} IS UNKNOWN)"),
    (2, "({bool} IS NOT UNKNOWN)"), (2, "({bool} = {bool})"),
    (10, "({.T} IN ({=T}, {=T}, {=T}))"), (4, "({.T} IN ({=T}, NULL))"), (5, "({.T} NOT IN ({=T}, {=T}))"), (1, "({.T} NOT IN ({=T}, NULL))"),
    (4, "({T} = ANY (ARRAY[{=T}, {=T}]))"), (2, "({.T} <> ALL (ARRAY[{=T}, {=T}]))"), (2, "({.T} {op} ANY (ARRAY[{=T}, {=T}]))"), (1, "({.T} {op} ALL (ARRAY[{=T}, {=T}]))"),
    (1, "({.T} IN ({=T}, {T}))"),
    (8, "({.T} BETWEEN {=T} AND {=T})"), (3, "({T} NOT BETWEEN {=T} AND {=T})"), (1, "({.T} BETWEEN SYMMETRIC {=T} AND {=T})"), (1, "({=T} BETWEEN {.T} AND {T})"),
    (4, "({.T} IS DISTINCT FROM {=T})"), (4, "({.T} IS NOT DISTINCT FROM {=T})"), (2, "({.T} IS DISTINCT FROM {.T})"), (1, "({T} IS NOT DISTINCT FROM {T})"),
    (12, "({.string} LIKE {=pattern})"), (4, "({.string} NOT LIKE {=pattern})"), (4, "({.string} ILIKE {=pattern})"), (1, "({text} LIKE {=pattern})"), (1, "({.string} NOT ILIKE {=pattern})"),
    (6, "({.string} ~ {=regex})"), (3, "({.string} ~* {=regex})"), (2, "({.string} !~ {=regex})"), (1, "({.string} !~* {=regex})"), (2, "starts_with({.text}, {=text})"), (2, "({.text} ^@ {=text})"),
    (4, "({=int4} = ANY ({.int4[]}))"), (3, "({=text} = ANY ({.text[]}))"), (1, "({int4} = ANY ({.int4[]}))"), (1, "({=int4} <> ALL ({.int4[]}))"), (1, "({=int4} < ANY ({.int4[]}))"),
    (3, "({.int4[]} @> {=int4[]})"), (2, "({.int4[]} && {=int4[]})"), (2, "({.int4[]} <@ {=int4[]})"), (2, "({.int4[]} = {=int4[]})"), (1, "({.int4[]} < {=int4[]})"),
    (3, "({.text[]} @> {=text[]})"), (2, "({.text[]} && {=text[]})"), (1, "({.text[]} = {=text[]})"), (1, "({.text[]} <> {=text[]})"),
    (4, "({.jsonb} ? {=key})"), (4, "({.jsonb} @> {=jsonb})"), (1, "({.jsonb} <@ {=jsonb})"), (1, "({.jsonb} ?| {=keys})"), (1, "({.jsonb} ?& {=keys})"),
    (6, "({.jsonb} ->> {=key} = {=text})"), (3, "({.jsonb} -> {=key} = {=jsonb})"), (2, "({.jsonb} #>> {=path} = {=text})"), (2, "({.jsonb} -> {=key} IS NULL)"),
    (1, "(jsonb_typeof({.jsonb} -> {=key}) = 'number')"), (2, "({.jsonb} ->> {=key} IS NOT NULL)"), (1, "(({.jsonb} ->> 'n')::numeric > {=numeric})"), (1, "({.jsonb} ->> {=key} LIKE {=pattern})"),
    (8, "(mongoferry.to_uuid({.objectid}) = {ouuid})"), (2, "(mongoferry.to_uuid({.objectid}) IN ({ouuid}, {ouuid}))"), (1, "(mongoferry.to_uuid({.objectid}) {op} {ouuid})"),
    (3, "CASE WHEN {bool} THEN {bool} ELSE {bool} END"), (2, "coalesce({bool}, {=bool})"), (1, "(({.T}, {.T}) = ({=T}, {=T}))"), (1, "(({.T}, {.int4}) < ({=T}, {=int4}))"),
    (2, "(date_trunc({=unit}, {.timestamptz}) = {=timestamptz})"), (2, "(extract(year from {.time}) = 2024)"), (2, "(length({.string}) {op} {=short})"), (3, "(lower({.string}) = {=text})"), (2, "(upper({.string}) = {=text})"),
    (2, "(({.timestamptz})::date {op} {=date})"), (1, "({.timestamptz} > date_trunc('month', now()) - {=interval})"), (1, "({.date} < current_date - {=short})"),
]

_OPERATORS = ["=", "=", "<", "<=", ">", ">=", "<>"]
_PLACEHOLDER = re.compile(r"\{([.=]?)([a-z0-9_]+(?:\[\])?|[TU])\}")


class ExpressionMaker:
    """Makes expressions over the columns of a scope. `parameters` is the share of constants that may become parameters."""

    def __init__(self, rng, scope, parameters=0.0):
        self.rng = rng
        self.scope = scope
        self.parameters = parameters

    def expression(self, type_, depth=2):
        """An expression of a type, at most so many templates deep."""
        if type_ == "bool":
            return self.condition(depth)
        columns = self.scope.of_type(type_)
        way = self.rng.random()
        if depth <= 0 or way < 0.45:
            if columns and self.rng.random() < 0.85:
                return self.rng.choice(columns)
            return self.constant(type_)
        return self._from_templates(TEMPLATES[type_] if way < 0.85 and TEMPLATES[type_] else ANY_TYPE_TEMPLATES, type_, depth)

    def condition(self, depth=2):
        if depth <= 0:
            bools = self.scope.of_type("bool")
            if bools and self.rng.random() < 0.3:
                return self.rng.choice(bools)
            return self._from_templates(CONDITIONS, "bool", 0)
        return self._from_templates(CONDITIONS, "bool", depth)

    def constant(self, name, column=None):
        """A constant, often one that equals a value of a column that it is compared with."""
        type_, literal = argument(name, self.rng)
        if column and column.type == name and column.constants and self.rng.random() < 0.6:
            literal = self.rng.choice(column.constants)
        if name in KINDS and self.rng.random() < 0.03:
            literal = f"NULL::{KINDS[name].declared[0]}"
        return Constant(type_, literal, self.rng.random() < self.parameters)

    def some_type(self, among=None):
        """A type that some column has."""
        types = self.scope.types(among or KINDS)
        if not types:
            raise NoSuchColumn
        return self.rng.choice(types)

    def _from_templates(self, templates, type_, depth):
        weights = [weight for weight, _ in templates]
        for _ in range(50):
            template = self.rng.choices(templates, weights)[0][1]
            if depth <= 0 and re.search(r"\{(bool|any|[a-z0-9]+(\[\])?)\}", template.replace("{op}", "").replace("{ouuid}", "")):
                continue  # a leaf is wanted
            try:
                return self.fill(template, type_, depth)
            except NoSuchColumn:
                continue
        return self.constant(type_)

    def fill(self, template, type_, depth):
        """An Expression of a type from a template."""
        bound = {}
        if "T}" in template:
            bound["T"] = type_ if type_ != "bool" else self.some_type(ORDERED if "{op}" in template or "BETWEEN" in template else None)
        parts, end = [], 0
        for found in _PLACEHOLDER.finditer(template):
            parts.append(template[end:found.start()])
            parts.append(self._piece(found.group(1), found.group(2), bound, depth))
            end = found.end()
        parts.append(template[end:])
        return Expression(type_, *(part for part in parts if part != ""))

    def _piece(self, how, name, bound, depth):
        if name == "op":
            return self.rng.choice(_OPERATORS)
        if name == "ouuid":
            return Constant("uuid", uuid_of_objectid(self.rng), self.rng.random() < self.parameters)
        type_ = self._type(how, name, bound)
        if how == "=":
            return self.constant(type_, bound.get("column"))
        if how == ".":
            columns = self.scope.of_type(type_)
            if not columns:
                raise NoSuchColumn
            bound["column"] = self.rng.choice(columns)
            return bound["column"]
        return self.expression(type_, depth - 1)

    def _type(self, how, name, bound):
        if name == "T":
            return bound["T"]
        if name == "U":  # another type that T can be compared with
            others = COMPARABLE.get(bound["T"], (bound["T"],))
            return self.some_type(others) if how == "." else self.rng.choice(others)
        if name == "any":
            return self.some_type()
        if name == "time":
            return self.some_type(TIMES)
        if name == "string":
            return self.some_type(STRINGS)
        if name == "short_type":
            if "short_type" not in bound:
                bound["short_type"] = self.some_type(("int4", "text", "bool", "int8"))
            return bound["short_type"]
        return name

"""Random queries over a schema's tables."""

import copy
import re
from dataclasses import dataclass, field

from .expressions import ORDERED, ColumnReference, Constant, Expression, ExpressionMaker, NoSuchColumn, Scope
from .kinds import KINDS, NUMBERS, STRINGS

# Types of which equal values may print differently: 1.0 and 1.00, 0 and -0.
UNEVEN = ("numeric", "float8")

# Aggregates whose results depend on the order of doubles.
_ADDS = re.compile(r"\b(sum|avg|stddev|variance|var)\w*\(")


@dataclass
class Item:
    """A column of the select list. `chosen`: one of several equal values (a group's, min's) that may print differently."""

    expression: Expression
    chosen: bool = False

    def rounded(self):
        """Whether the value depends on the order in which an aggregate meets doubles, in its last digits."""
        return self.expression.type == "float8" and _ADDS.search(self.expression.sql()) is not None

    def ignores_case(self):
        return any(getattr(part, "collation", None) == "ignore_case" for part in self.expression.walk())


@dataclass
class Source:
    """A member of FROM: a table, or a subquery. `join` is how it is joined to those before it, '' for the first."""

    alias: str
    table: object = None
    query: object = None
    join: str = ""
    lateral: bool = False
    on: Expression = None

    def columns(self):
        if self.table:
            return [ColumnReference(c.kind, f"{self.alias}.{c.name}", c.collation, c.constants) for c in self.table.columns]
        return [ColumnReference(item.expression.type, f"{self.alias}.c{number}") for number, item in enumerate(self.query.items)]

    def key(self):
        """References to the columns that together differ in all rows, or None."""
        if not self.table or not self.table.key:
            return None
        return [c for c in self.columns() if c.parts[0].split(".")[1] in self.table.key]


@dataclass
class SortKey:
    expression: Expression
    direction: str = ""
    nulls: str = ""


@dataclass
class Query:
    items: list
    sources: list
    where: list = field(default_factory=list)
    groups: list = None  # None: no aggregation
    having: list = field(default_factory=list)
    distinct: bool = False
    order: list = field(default_factory=list)
    total: bool = False  # whether `order` decides between any two rows
    limit: int = None
    offset: int = None
    prepared: str = None  # plan_cache_mode, if it runs as a prepared statement

    def text(self, parameters=None):
        """The SELECT, with constants as $n if `parameters` is a list."""
        sql = "SELECT " + ("DISTINCT " if self.distinct else "")
        sql += ", ".join(self._item(number, item, parameters) for number, item in enumerate(self.items)) or "1"
        sql += "\nFROM " + "\n".join(self._source(source, parameters) for source in self.sources)
        if self.where:
            sql += "\nWHERE " + " AND ".join(condition.sql(parameters) for condition in self.where)
        if self.groups:
            sql += "\nGROUP BY " + ", ".join(f"{group.sql(None)}" for group in self.groups)
        if self.having:
            sql += "\nHAVING " + " AND ".join(condition.sql(parameters) for condition in self.having)
        if self.order:
            sql += "\nORDER BY " + ", ".join(f"{k.expression.sql(None)}{k.direction}{k.nulls}" for k in self.order)
        if self.limit is not None:
            sql += f"\nLIMIT {self.limit}"
        if self.offset is not None:
            sql += f"\nOFFSET {self.offset}"
        return sql

    def _item(self, number, item, parameters):
        # what GROUP BY, or ORDER BY beside DISTINCT, says again has to have the same text
        repeated = item.chosen and (self.groups or self.distinct)
        return f"{item.expression.sql(None if repeated else parameters)} AS c{number}"

    @staticmethod
    def _source(source, parameters):
        what = source.table.name if source.table else f"({source.query.text(parameters)})"
        on = f" ON {source.on.sql(parameters)}" if source.on else ""
        join = f"{source.join} " if source.join else ""
        return f"{join}{'LATERAL ' if source.lateral else ''}{what} {source.alias}{on}"

    def statements(self, explain=""):
        """(statements to run before, the statement whose rows count)."""
        if not self.prepared:
            return [], explain + self.text()
        parameters = []
        text = self.text(parameters)
        types = ", ".join(KINDS[type_].declared[0] if type_ in KINDS else type_ for type_, _ in parameters)
        values = ", ".join(literal for _, literal in parameters)
        return ["DEALLOCATE ALL", f"SET plan_cache_mode = {self.prepared}", f"PREPARE q{f'({types})' if types else ''} AS {text}"], \
            f"{explain}EXECUTE q{f'({values})' if values else ''}"

    # --- what the comparison has to know

    def narrows(self):
        """Whether documents may be passed over: there is a filter, a LIMIT, or a join."""
        return bool(self.where) or self.limit is not None or bool(self.offset) or len(self.sources) > 1 or \
            any(source.query for source in self.sources) or any(" FROM " in e.sql() for e in self.expressions())

    def adds_doubles(self):
        return any(part.type == "float8" and _ADDS.search(part.sql()) for expression in self.expressions() for part in expression.walk())

    def columns_read(self):
        """(table's name, names of its columns that are read) for each table of the query, subqueries included."""
        text = self.text()
        for table, alias in re.findall(r"\b([tu]\d+) (r\d+)\b", text):
            columns = sorted(set(re.findall(rf"\b{alias}\.(\w+)", text)))
            if columns:
                yield table, columns

    def expressions(self):
        yield from (item.expression for item in self.items)
        yield from (source.on for source in self.sources if source.on)
        yield from self.where
        yield from self.groups or []
        yield from self.having
        yield from (key.expression for key in self.order)

    def copy(self, **changes):
        made = copy.copy(self)
        made.__dict__.update(changes)
        return made


class SubqueryExpression(Expression):
    """An expression with a query in it, such as EXISTS (SELECT …); its parts are those of the query's text that matter."""


class QueryMaker:
    """Makes the queries of a schema."""

    def __init__(self, rng, schema):
        self.rng = rng
        self.schema = schema
        self.parameters = 0.0
        self.aliases = 0

    def query(self):
        rng = self.rng
        prepared = None
        if rng.random() < 0.22:
            prepared = rng.choice(["force_generic_plan", "force_generic_plan", "force_custom_plan"])
            self.parameters = 0.7
        make = rng.choices([self.scan, self.aggregate, self.distinct, self.join, self.join_aggregate, self.from_subquery, self.scalar_subquery],
                           [42, 24, 5, 16, 4, 4, 3])[0]
        while True:
            try:
                query = make()
                break
            except NoSuchColumn:
                pass
        query.prepared = prepared
        return query

    # --- forms

    def scan(self):
        source = self.source()
        maker = self.maker([source])
        query = Query(self.items(maker, source), [source], self.where(maker))
        self.sort_and_limit(query, maker)
        return query

    def distinct(self):
        source = self.source()
        maker = self.maker([source])
        expressions = [self.grouping(maker) for _ in range(self.rng.choice([1, 1, 2, 3]))]
        query = Query([Item(e, True) for e in expressions], [source], self.where(maker, 0.5), distinct=True)
        if self.rng.random() < 0.5:
            query.order = [self.sort_key(item.expression) for item in query.items]
            query.total = True
            if self.rng.random() < 0.5:
                query.limit = self.rng.choice([0, 1, 3, 10])
        return query

    def aggregate(self):
        source = self.source()
        return self.aggregated([source], self.where(self.maker([source]), 0.5))

    def join_aggregate(self):
        sources = self.joined()
        return self.aggregated(sources, self.where(self.maker(sources), 0.3))

    def join(self):
        if self.rng.random() < 0.35:
            return self.half_join()
        sources = self.joined()
        maker = self.maker(sources)
        query = Query(self.items(maker, *sources), sources, self.where(maker, 0.5))
        self.sort_and_limit(query, maker)
        return query

    def half_join(self):
        """A semi or anti join."""
        outer = self.source()
        maker = self.maker([outer])
        conditions = self.where(maker, 0.4)
        for _ in range(self.rng.choice([1, 1, 1, 2])):
            conditions.append(self.exists([outer]))
        query = Query(self.items(maker, outer), [outer], conditions)
        if self.rng.random() < 0.3:
            return self.aggregated([outer], conditions)
        self.sort_and_limit(query, maker)
        return query

    def exists(self, outer):
        """[NOT] EXISTS (…) or [NOT] IN (…): an Expression."""
        rng = self.rng
        inner = self.source()
        extra = self.where(self.maker([inner]), 0.4)
        and_extra = [part for condition in extra for part in (" AND ", condition)]
        negation = "NOT " if rng.random() < 0.4 else ""
        if rng.random() < 0.3:
            left, right = self.pair(outer, inner)
            head = [f" WHERE ", *and_extra[1:]] if and_extra else []
            return SubqueryExpression("bool", "(", left, f" {negation}IN (SELECT ", right, f" FROM {inner.table.name} {inner.alias}", *head, "))")
        return SubqueryExpression("bool", f"({negation}EXISTS (SELECT 1 FROM {inner.table.name} {inner.alias} WHERE ",
                                  self.join_condition(outer, inner), *and_extra, "))")

    def from_subquery(self):
        """SELECT … FROM (SELECT …) s, or FROM t, LATERAL (SELECT …) s."""
        rng = self.rng
        if rng.random() < 0.5:
            inner = rng.choice([self.scan, self.aggregate, self.distinct])()
            if inner.limit is not None and not inner.total:
                inner.limit = inner.offset = None
            sources = [Source(self.alias(), query=inner)]
        else:
            outer, table = self.source(), self.source()
            maker = self.maker([table])
            inner = Query(self.items(maker, table), [table], [self.join_condition([outer], table), *self.where(maker, 0.3)])
            if rng.random() < 0.4:
                inner = self.aggregated([table], inner.where, grouped=False)
            elif rng.random() < 0.5 and table.key():
                inner.order = [SortKey(c) for c in table.key()]
                inner.limit = 1
            join = rng.choice(["CROSS JOIN", "LEFT JOIN"])
            sources = [outer, Source(self.alias(), query=inner, join=join, lateral=True, on=Constant("bool", "true", False) if join == "LEFT JOIN" else None)]
        maker = self.maker(sources)
        return Query(self.items(maker, *sources), sources, self.where(maker, 0.5))

    def scalar_subquery(self):
        """SELECT …, (SELECT aggregate FROM t WHERE …) FROM …"""
        outer, table = self.source(), self.source()
        maker = self.maker([outer])
        inner = self.maker([table])
        value = self.aggregate_call(inner, [table], nested=True)
        subquery = SubqueryExpression(value.type, "(SELECT ", value, f" FROM {table.table.name} {table.alias} WHERE ", self.join_condition([outer], table), ")")
        return Query([*self.items(maker, outer), Item(subquery)], [outer], self.where(maker, 0.5))

    # --- pieces

    def alias(self):
        self.aliases += 1
        return f"r{self.aliases}"

    def source(self):
        return Source(self.alias(), self.rng.choice(self.schema.tables))

    def maker(self, sources):
        return ExpressionMaker(self.rng, Scope([c for source in sources for c in source.columns()]), self.parameters)

    def items(self, maker, *sources):
        rng = self.rng
        items = [Item(c) for source in sources for c in source.key() or []]
        columns = maker.scope.columns
        items += [Item(c) for c in rng.sample(columns, min(len(columns), rng.choice([0, 1, 2, 4])))]
        if rng.random() < 0.3:
            items.append(Item(maker.expression(maker.some_type(), 2)))
        return items or [Item(rng.choice(columns))]

    def where(self, maker, likely=0.85):
        """The members of WHERE."""
        if self.rng.random() >= likely:
            return []
        return [maker.condition(self.rng.choice([0, 0, 1, 1, 2, 3])) for _ in range(self.rng.choices([1, 2, 3], [75, 20, 5])[0])]

    def sort_key(self, expression):
        return SortKey(expression, self.rng.choice(["", "", " ASC", " DESC", " DESC"]), self.rng.choice(["", "", " NULLS FIRST", " NULLS LAST"]))

    def sort_and_limit(self, query, maker):
        rng = self.rng
        if rng.random() < 0.45:
            if rng.random() < 0.1:
                query.limit = rng.choice([0, 1, 2, 5])
            return
        expressions = [maker.rng.choice(maker.scope.columns) if rng.random() < 0.8 else maker.expression(maker.some_type(), 1)
                       for _ in range(rng.choice([0, 1, 1, 2]))]
        expressions = [e for e in expressions if not isinstance(e, Constant)]
        keys = [source.key() for source in query.sources]
        if rng.random() < 0.85 and None not in keys:
            expressions += [c for key in keys for c in key]
            query.total = True
        else:
            # rows in any order among equals: only the keys' sequence can be compared
            expressions = [e for e in expressions if e.type not in UNEVEN and getattr(e, "collation", None) != "ignore_case"]
            query.items += [Item(e) for e in expressions]
        query.order = [self.sort_key(e) for e in expressions]
        if rng.random() < 0.65 and query.order:
            query.limit = rng.choice([0, 1, 1, 2, 3, 5, 10, 1000])
            if rng.random() < 0.3:
                query.offset = rng.choice([0, 1, 2, 7])

    def grouping(self, maker):
        """An expression to group by: a column, or something shippable."""
        if self.rng.random() < 0.3:
            expression = maker.expression(maker.some_type(), 1)
            if not isinstance(expression, Constant):  # which ORDER BY would take for a position
                return expression
        return self.rng.choice(maker.scope.columns)

    def aggregated(self, sources, where, grouped=None):
        rng = self.rng
        maker = self.maker(sources)
        grouped = rng.random() < 0.65 if grouped is None else grouped
        groups = [self.grouping(maker) for _ in range(rng.choice([1, 1, 1, 2]))] if grouped else []
        items = [Item(g, True) for g in groups]
        for _ in range(rng.choice([1, 1, 2, 3])):
            call = self.aggregate_call(maker, sources)
            items.append(Item(call, call.type in (*UNEVEN, "text") and call.sql().startswith(("min", "max"))))
        query = Query(items, sources, where, groups=groups)
        if rng.random() < 0.25:
            query.having = [self.having(maker, sources)]
        if groups and rng.random() < 0.4:
            query.order = [self.sort_key(g) for g in groups]
            query.total = True
            if rng.random() < 0.4:
                query.limit = rng.choice([1, 2, 5])
        return query

    def having(self, maker, sources):
        rng = self.rng
        call = self.aggregate_call(maker, sources)
        if rng.random() < 0.3 or call.type not in (*NUMBERS, *STRINGS):
            return Expression("bool", "(", call, rng.choice([" IS NULL)", " IS NOT NULL)"]))
        return Expression("bool", "(", call, f" {rng.choice(['=', '<', '>', '>=', '<>'])} ", maker.constant("count" if call.type == "int8" else call.type), ")")

    def aggregate_call(self, maker, sources, nested=False):
        """An aggregate, with FILTER now and then."""
        rng = self.rng
        while True:
            try:
                call = self._aggregate_call(maker, sources)
                break
            except NoSuchColumn:
                pass
        if rng.random() < 0.2 and not nested:
            call = Expression(call.type, call, " FILTER (WHERE ", maker.condition(1), ")")
        return call

    def _aggregate_call(self, maker, sources):
        rng = self.rng

        def argument(among):
            type_ = maker.some_type(among)
            if rng.random() < 0.75:
                return rng.choice(maker.scope.of_type(type_))
            return maker.expression(type_, 1)

        name = rng.choices(["count(*)", "count", "sum", "avg", "min", "max", "bool", "stddev", "distinct", "array_agg", "string_agg"],
                           [15, 12, 20, 12, 10, 10, 8, 6, 8, 8, 2])[0]
        if name == "count(*)":
            return Expression("int8", "count(*)")
        if name == "count":
            return Expression("int8", "count(", argument(KINDS), ")")
        if name in ("sum", "avg"):
            value = argument(NUMBERS)
            result = {"int2": "int8", "int4": "int8"}.get(value.type, value.type if value.type == "float8" else "numeric")
            if name == "avg":
                result = "float8" if value.type == "float8" else "numeric"
            distinct = "DISTINCT " if rng.random() < 0.08 else ""
            return Expression(result, f"{name}({distinct}", value, ")")
        if name in ("min", "max"):
            value = argument([t for t in ORDERED if t not in ("objectid", "uuid", "bool")])
            return Expression("text" if value.type == "varchar" else value.type, f"{name}(", value, ")")
        if name == "bool":
            return Expression("bool", f"{rng.choice(['bool_and', 'bool_or', 'every'])}(", maker.condition(1) if rng.random() < 0.4 else argument(["bool"]), ")")
        if name == "stddev":
            value = argument(NUMBERS)
            function = rng.choice(["stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp"])
            return Expression("float8" if value.type == "float8" else "numeric", f"{function}(", value, ")")
        if name == "distinct":
            return Expression("int8", "count(DISTINCT ", argument(KINDS), ")")
        keys = [key for source in sources for key in source.key() or [None]]
        if None in keys:
            raise NoSuchColumn
        order = ", ".join([rng.choice(maker.scope.columns).sql() + rng.choice(["", " DESC", " NULLS FIRST"])] * rng.randrange(2) + [key.sql() for key in keys])
        if name == "array_agg":
            value = argument([t for t in KINDS if "[]" not in t])
            return Expression("array", "array_agg(", value, f" ORDER BY {order})")
        return Expression("text", "string_agg(", argument(["text"]), f", ',' ORDER BY {order})")

    # --- joins

    def joined(self):
        rng = self.rng
        sources = [self.source()]
        for _ in range(rng.choice([1, 1, 1, 2])):
            source = self.source()
            source.join = rng.choices(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"], [50, 40, 6, 4])[0]
            source.on = self.join_condition(sources, source)
            if rng.random() < 0.2 and source.join != "FULL JOIN":
                source.on = Expression("bool", "(", source.on, " AND ", self.maker([*sources, source]).condition(1), ")")
            sources.append(source)
        return sources

    def pair(self, outer, inner):
        """Two columns that can be compared, often a reference and what it refers to."""
        rng = self.rng
        left = [c for source in outer for c in source.columns()]
        right = inner.columns()
        pairs = [(a, b) for a in left for b in right if a.type == b.type and a.type not in ("jsonb", "bool", "int4[]", "text[]")
                 and a.collation == b.collation]
        if not pairs:
            raise NoSuchColumn
        referring = [(a, b) for a, b in pairs if ("ref" in a.sql() and b.sql().endswith(".id")) or ("ref" in b.sql() and a.sql().endswith(".id"))
                     or (a.sql().endswith(".id") and b.sql().endswith(".id"))]
        return rng.choice(referring if referring and rng.random() < 0.7 else pairs)

    def join_condition(self, outer, inner):
        left, right = self.pair(outer, inner)
        operator = " = " if self.rng.random() < 0.95 else " < "
        if self.rng.random() < 0.5:
            left, right = right, left
        return Expression("bool", "(", left, operator, right, ")")

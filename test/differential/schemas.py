"""Random schemas: collections with documents and indexes, and foreign tables over them."""

from dataclasses import dataclass, field, replace

from bson import Int64, ObjectId

from .documents import ODD_VALUES, set_path
from .kinds import KINDS, OBJECTIDS, literal_of, quoted

ZONES = ["UTC", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "<+03>-3"]
COLLATIONS = ["C", "C", None, None, "POSIX", "en-x-icu", "ignore_case"]
IGNORE_CASE = "CREATE COLLATION IF NOT EXISTS ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"

# How much of a field's values are its type's own, convert in other ways, are anything.
CLEAN, NEAR, DIRTY = "clean", "near", "dirty"


@dataclass
class Column:
    name: str
    kind: str
    path: str
    declared: str
    collation: str = None
    options: dict = field(default_factory=dict)
    constants: tuple = ()  # in SQL, some that equal values of the column

    def ddl(self):
        collate = f' COLLATE "{self.collation}"' if self.collation else ""
        return f"{self.name} {self.declared}{_options({'field': self.path, **self.options})}{collate}"


@dataclass
class Table:
    """A foreign table. `key`: the names of columns whose values no two rows share, or None."""

    name: str
    collection: str
    columns: list
    key: list
    options: dict

    def collections(self):
        return [self.collection]

    def ddl(self, schema, pushdown, server_name):
        """The statements that make the table in a PostgreSQL schema. server_name(collection): its name on the server."""
        columns = ",\n    ".join(column.ddl() for column in self.columns)
        options = _options({"collection": server_name(self.collection), "pushdown": pushdown, **self.options})
        return [f"CREATE FOREIGN TABLE {schema}.{self.name} (\n    {columns}\n) SERVER live{options}"]

    def with_columns(self, columns):
        return replace(self, columns=columns)


@dataclass
class PartitionedTable:
    """A table partitioned by the column `part`, whose partitions are foreign tables of the same columns."""

    name: str
    columns: list
    key: list
    partitions: list

    def collections(self):
        return [partition.collection for partition in self.partitions]

    def ddl(self, schema, pushdown, server_name):
        columns = ", ".join(f"{c.name} {c.declared}" + (f' COLLATE "{c.collation}"' if c.collation else "") for c in self.columns)
        statements = [f"CREATE TABLE {schema}.{self.name} ({columns}) PARTITION BY LIST (part)"]
        for number, partition in enumerate(self.partitions):
            statements += partition.ddl(schema, pushdown, server_name)
            statements.append(f"ALTER TABLE {schema}.{self.name} ATTACH PARTITION {schema}.{partition.name} FOR VALUES IN ({number})")
        return statements

    def with_columns(self, columns):
        columns = [c for c in self.columns if c in columns or c.name == "part"]
        names = {c.name for c in columns}
        return replace(self, columns=columns,
                       partitions=[p.with_columns([c for c in p.columns if c.name in names]) for p in self.partitions])


def _options(options):
    listed = ", ".join(f"{name} {quoted(value)}" for name, value in options.items())
    return f" OPTIONS ({listed})" if listed else ""


@dataclass
class Collection:
    name: str
    documents: list
    indexes: list


@dataclass
class Schema:
    """`settings` are the session's on both sides; `plan_settings` only where pushdown is on: they choose among plans.
    `analyzed`: whether ANALYZE has seen the tables."""

    name: str
    collections: dict
    tables: list
    settings: dict
    plan_settings: dict
    analyzed: bool


@dataclass
class _Field:
    """A field of a collection in the making. `values` are those that it may have."""

    path: str
    kind: str
    state: str
    values: list
    missing: float
    null: float

    def value(self, rng):
        """(whether it is there, its value)"""
        way = rng.random()
        if way < self.missing:
            return False, None
        if way < self.missing + self.null:
            return True, None
        if self.state == DIRTY and rng.random() < 0.3:
            return True, rng.choice(ODD_VALUES)
        if self.state != CLEAN and rng.random() < 0.2:
            return True, KINDS[self.kind].near(rng)
        return True, rng.choice(self.values)


def _make_field(rng, path, kind):
    state = rng.choices([CLEAN, NEAR, DIRTY], [70, 10, 20])[0]
    values = [KINDS[kind].native(rng) for _ in range(rng.choice([2, 4, 12, 30]))]
    often = rng.choice([0, 0.1, 0.1, 0.3])
    return _Field(path, kind, state, values, often, rng.choice([0, 0.1, often]))


_PATHS = ["f{}", "f{}", "f{}", "f{}", "o.f{}", "o.f{}", "o.p.f{}", "l.{}", "m.{}.f"]
_ELEMENT_PATHS = ["items.f{}", "items.f{}", "items.o.f{}"]


def _random_kind(rng):
    return rng.choices(list(KINDS), [4, 12, 6, 9, 9, 6, 14, 4, 5, 4, 8, 4, 5, 4, 4, 4])[0]


def _make_ids(rng, count):
    """(kind of the column, distinct values)"""
    way = rng.choice(["int4", "int4", "objectid", "objectid", "text", "mixed"])
    if way == "int4":
        return "int4", list(range(count))
    if way == "objectid":
        return "objectid", [OBJECTIDS[i] if i < len(OBJECTIDS) else ObjectId(f"{i:024x}") for i in range(count)]
    if way == "text":
        return "text", [f"id{i}" for i in range(count)]
    ids = [i if i % 3 == 0 else f"id{i}" if i % 3 == 1 else rng.choice([ObjectId(f"{i:024x}"), Int64(2**40 + i), {"k": i}, i + 0.5])
           for i in range(count)]
    return "jsonb", ids


class _CollectionMaker:
    """Makes one collection and the tables over it."""

    def __init__(self, rng, number, others):
        self.rng = rng
        self.number = number
        self.others = others  # (kind, ids) of the collections before, which fields may refer to
        self.id_kind, self.ids = _make_ids(rng, rng.choices([0, 1, 5, 15, 30, 60], [4, 4, 15, 25, 30, 20])[0])
        self.fields = [_make_field(rng, rng.choice(_PATHS).format(i), _random_kind(rng)) for i in range(rng.randint(4, 8))]
        for position, (kind, ids) in enumerate(others):
            if ids:
                values = [*rng.sample(ids, min(len(ids), 8)), *(ids[:1])]
                self.fields.append(_Field(f"ref{position}", kind, rng.choice([CLEAN, CLEAN, DIRTY]), values, 0.05, 0.1))
        self.elements = []
        self.element_state = CLEAN
        if rng.random() < 0.5:
            self.element_state = rng.choice([CLEAN, DIRTY])
            if rng.random() < 0.25:  # elements that are no objects
                self.elements = [_make_field(rng, "items", rng.choice(["int4", "text", "float8", "timestamptz"]))]
            else:
                self.elements = [_make_field(rng, rng.choice(_ELEMENT_PATHS).format(i), _random_kind(rng)) for i in range(rng.randint(2, 4))]

    def collection(self):
        rng = self.rng
        documents = [self._document(id_) for id_ in self.ids]
        paths = [f.path for f in self.fields]
        indexes = rng.sample(paths, min(len(paths), rng.choice([0, 0, 1, 2])))
        # an index cannot hold what several fields of one array would need, and a field of an array by position is seldom meant
        return Collection(f"c{self.number}", documents, [path for path in indexes if not path.startswith(("l.", "m."))])

    def _document(self, id_, part=None):
        rng = self.rng
        document = {"_id": id_}
        if part is not None:
            document["part"] = part
        for one in self.fields:
            there, value = one.value(rng)
            if there:
                set_path(document, one.path, value)
        if self.elements:
            items = self._items()
            if items is not None:
                document["items"] = items
        if any(f.state == DIRTY for f in self.fields) and rng.random() < 0.1:
            # something else in the place of a parent, arrays of objects among it
            parent = rng.choice(["o", "m", "l"])
            if parent in document:
                document[parent] = rng.choice([rng.choice(ODD_VALUES), [document[parent]], [document[parent], {"f0": 5}]])
        keys = list(document)
        if rng.random() < 0.2:
            rng.shuffle(keys)
        return {key: document[key] for key in keys}

    def _items(self):
        rng = self.rng
        if self.element_state == DIRTY and rng.random() < 0.2:
            return rng.choice([None, {}, {"f0": 5}, 5, "a", [[1, 2], [3]], [None], [[]]])
        if rng.random() < 0.1:
            return None
        items = []
        for _ in range(rng.choice([0, 1, 2, 3])):
            if self.elements[0].path == "items":
                items.append(self.elements[0].value(rng)[1])
                continue
            holder = {"items": {}}
            for one in self.elements:
                there, value = one.value(rng)
                if there:
                    set_path(holder, one.path, value)
            items.append(holder["items"])
        return items

    def partitioned(self, count):
        """(collections of this kind of document, a table partitioned over them)"""
        rng = self.rng
        columns = [*self._own_columns(), Column("part", "int4", "part", "int4")]
        collections, partitions = [], []
        for part in range(count):
            documents = [self._document(id_, part) for id_ in self.ids if rng.random() < 0.7]
            collections.append(Collection(f"c{self.number}_{part}", documents, []))
            own = [replace(c, options={**c.options}) for c in columns]
            partitions.append(Table(f"t{self.number}_{part}", f"c{self.number}_{part}", own, None, {}))
        return collections, PartitionedTable(f"t{self.number}", columns, ["id", "part"], partitions)

    def tables(self):
        tables = [self._table(f"t{self.number}", self._own_columns(), ["id"], {})]
        if self.elements:
            options = {"unwind": "items"}
            if self.rng.random() < 0.4:
                options["unwind_outer"] = "true"
            columns = self._own_columns(few=True)
            columns.append(Column("pos", "int4", "$$INDEX", "int4"))
            columns += [self._column(f"e{i}", one) for i, one in enumerate(self.elements)]
            tables.append(self._table(f"u{self.number}", columns, ["id", "pos"], options))
        return tables

    def _own_columns(self, few=False):
        rng = self.rng
        id_ = _Field("_id", self.id_kind, CLEAN, self.ids, 0, 0)
        columns = [self._column("id", id_)]
        fields = rng.sample(self.fields, min(3, len(self.fields))) if few else self.fields
        columns += [self._column(one.path if one.path.startswith("ref") else f"a{i}", one) for i, one in enumerate(fields)]
        if not few and any(f.path.startswith("o.") for f in self.fields) and rng.random() < 0.6:
            columns.append(self._column("obj", _Field("o", "jsonb", CLEAN, [], 0, 0)))
        if not few and rng.random() < 0.25:  # a field read as another type
            one = rng.choice(self.fields)
            columns.append(self._column("other", _Field(one.path, _random_kind(rng), DIRTY, [], 0, 0)))
        if rng.random() < 0.4:
            columns.append(self._column("doc", _Field("$$ROOT", "jsonb", CLEAN, [], 0, 0)))
        return columns

    def _column(self, name, one):
        rng = self.rng
        declared = rng.choice(KINDS[one.kind].declared)
        options = {}
        if one.kind == "numeric" and one.state == CLEAN and declared != "numeric":
            options["on_mismatch"] = "null"  # what has too many digits
        if one.kind == "varchar" and declared != "varchar" or one.state != CLEAN and rng.random() < 0.85:
            options["on_mismatch"] = "null"
        if one.state != CLEAN:
            if rng.random() < 0.2:
                options["coerce_strings"] = "true"
            if one.kind in ("text", "varchar", "jsonb") and rng.random() < 0.3:
                options["on_nul"] = rng.choice(["strip", "replace"])
        if one.kind == "jsonb" and rng.random() < 0.2:
            options["json_format"] = "canonical"
        collation = None
        if one.kind in ("text", "varchar"):
            collation = rng.choice(COLLATIONS)
        constants = {literal_of(one.kind, value) for value in one.values[:8]} - {None}
        return Column(name, one.kind, one.path, declared, collation, options, tuple(sorted(constants)))

    def _table(self, name, columns, key, options):
        rng = self.rng
        if rng.random() < 0.15:
            options["fetch_size"] = rng.choice(["1", "3", "7"])
        if rng.random() < 0.1:
            options["on_mismatch"] = "null"
        return Table(name, f"c{self.number}", columns, key, options)


def _plan_settings(rng):
    settings = {}
    for name in ("enable_hashjoin", "enable_mergejoin", "enable_hashagg", "enable_sort", "enable_nestloop", "enable_material", "enable_memoize"):
        if rng.random() < 0.15:
            settings[name] = "off"
    for name in ("enable_partitionwise_aggregate", "enable_partitionwise_join"):
        if rng.random() < 0.5:
            settings[name] = "on"
    if rng.random() < 0.15:
        settings |= {"parallel_setup_cost": "0", "parallel_tuple_cost": "0", "min_parallel_table_scan_size": "0"}
    return settings


def make_schema(rng, name):
    """A random Schema of one to three collections."""
    makers = []
    for number in range(rng.choice([1, 2, 2, 3])):
        makers.append(_CollectionMaker(rng, number, [(maker.id_kind, maker.ids) for maker in makers]))
    collections = {f"c{maker.number}": maker.collection() for maker in makers}
    tables = [table for maker in makers for table in maker.tables()]
    if rng.random() < 0.2:
        maker = _CollectionMaker(rng, len(makers), [(maker.id_kind, maker.ids) for maker in makers])
        members, table = maker.partitioned(rng.choice([1, 2, 3]))
        collections |= {member.name: member for member in members}
        tables.append(table)
    return Schema(name, collections, tables, {"TimeZone": rng.choice(ZONES)}, _plan_settings(rng), rng.random() < 0.3)

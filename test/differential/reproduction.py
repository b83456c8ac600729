"""Prints a disagreement so that it can be run again by hand: documents, tables, query, both answers."""

import json
import re

from .documents import extended_json


def reproduction(runner, disagreement):
    """A text that stands on its own."""
    schema, query = disagreement.schema, disagreement.query
    used = [table for table in schema.tables if f" {table.name} " in query.text().replace("\n", " ")]
    parts = [f"=== {disagreement.name}: {disagreement.why}"]
    for name in dict.fromkeys(name for table in used for name in table.collections()):
        collection = schema.collections[name]
        parts.append(f"-- documents of {runner.server_name(schema, name)}" + (f", indexes on {', '.join(collection.indexes)}" if collection.indexes else ""))
        parts += [extended_json(document) for document in collection.documents]
    parts += [statement + ";" for statement in runner.ddl(schema, [_with_columns_of(table, query.text()) for table in used])]
    parts += [f"SET {name} = '{value}';" for name, value in {**schema.settings, **schema.plan_settings}.items()]
    before, statement = query.statements()
    parts += [f"{one};" for one in [*before, statement]]
    parts += ["-- with pushdown", str(disagreement.pushed), "-- without", str(disagreement.kept)]
    if disagreement.plan:
        parts += ["-- plan with pushdown", *_plan_lines(disagreement.plan)]
    return "\n".join(parts)


def _with_columns_of(table, text):
    """The table without the columns that a query does not name."""
    return table.with_columns([column for column in table.columns if re.search(rf"\.{column.name}\b", text)] or table.columns[:1])


_SHOWN = ("Command", "Filter", "Join Filter", "Hash Cond", "Merge Cond", "Index Cond", "Sort Key", "Group Key", "Local Plan Runs")


def _plan_lines(node, depth=0):
    yield "  " * depth + node["Node Type"]
    for name in _SHOWN:
        if name in node:
            value = node[name]
            yield "  " * depth + f"  {name}: {value if isinstance(value, str) else json.dumps(value)}"
    for child in node.get("Plans", []):
        yield from _plan_lines(child, depth + 1)

"""Makes a disagreement small: fewer documents, a smaller query, smaller expressions, as long as the two sides disagree."""

import time
from dataclasses import replace

from .expressions import Constant, Expression
from .queries import Item


def minimize(runner, disagreement, seconds=30):
    """Change a Disagreement's schema and query to smaller ones that disagree too, as far as the time goes. The schema has
    to be set up, and is left with the smaller collections."""
    return _Minimizer(runner, disagreement, time.monotonic() + seconds).run()


class _Minimizer:
    def __init__(self, runner, disagreement, end):
        self.runner = runner
        self.found = disagreement
        self.end = end

    def run(self):
        while True:
            before = self._size()
            self._fewer_documents()
            self._smaller_query()
            self._smaller_documents()
            if self._size() >= before or self._late():
                return self.found

    def _size(self):
        documents = sum(len(str(c.documents)) for c in self.found.schema.collections.values())
        return documents, len(self.found.query.text()) + 20 * bool(self.found.query.prepared)

    def _late(self):
        return time.monotonic() > self.end

    def _still(self, query):
        """Whether the sides disagree on a query, and keep it if they do. A disagreement of another kind will do, but an
        error in place of rows is not a smaller form of them."""
        if self._late():
            return False
        why, pushed, kept = self.runner.compare(query)
        if not why or (pushed.rows is None) != (self.found.pushed.rows is None) or (kept.rows is None) != (self.found.kept.rows is None):
            return False
        self.found.query, self.found.why, self.found.pushed, self.found.kept = query, why, pushed, kept
        self.found.plan = self.runner.pushed.plan(query)
        return True

    # --- documents

    def _fewer_documents(self):
        for collection in self.found.schema.collections.values():
            size = max(len(collection.documents), 1)
            while size >= 1:
                start = 0
                while start < len(collection.documents) and not self._late():
                    rest = collection.documents[:start] + collection.documents[start + size:]
                    if not self._try_documents(collection, rest):
                        start += size
                size //= 2

    def _try_documents(self, collection, documents):
        before = collection.documents
        self.runner.store(self.found.schema, collection.name, documents)
        if self._still(self.found.query):
            collection.documents = documents
            return True
        self.runner.store(self.found.schema, collection.name, before)
        return False

    def _smaller_documents(self):
        """Leave out fields that do not matter."""
        for collection in self.found.schema.collections.values():
            for key in {key for document in collection.documents for key in document if key != "_id"}:
                self._try_documents(collection, [{k: v for k, v in document.items() if k != key} for document in collection.documents])

    # --- the query

    def _smaller_query(self):
        smaller = True
        while smaller and not self._late():
            smaller = any(self._still(query) for query in variants(self.found.query))


def variants(query):
    """Smaller queries, the much smaller ones first."""
    if query.prepared:
        yield query.copy(prepared=None)
    for name in ("where", "having"):
        conditions = getattr(query, name)
        for position in range(len(conditions)):
            yield query.copy(**{name: conditions[:position] + conditions[position + 1:]})
    if query.offset is not None:
        yield query.copy(offset=None)
    if query.limit is not None:
        yield query.copy(limit=None, offset=None)
    if query.order and query.limit is None and query.total:
        yield query.copy(order=[], total=False)
    if query.distinct:
        yield query.copy(distinct=False)
    for position, source in enumerate(query.sources):
        if position == len(query.sources) - 1 and position > 0:
            yield query.copy(sources=query.sources[:-1])
        if source.query:
            for inner in variants(source.query):
                yield _with_source(query, position, query=inner)
    if query.total or not query.order:
        for position, item in enumerate(query.items):
            if len(query.items) > 1:
                yield query.copy(items=query.items[:position] + query.items[position + 1:])
    if query.groups:
        for position in range(len(query.groups)):
            yield query.copy(groups=query.groups[:position] + query.groups[position + 1:])
    for position, key in enumerate(query.order):
        if query.total and len(query.order) > 1:
            yield query.copy(order=query.order[:position] + query.order[position + 1:], total=query.limit is None)
    for name in ("where", "having"):
        conditions = getattr(query, name)
        for position, condition in enumerate(conditions):
            for smaller in smaller_expressions(condition):
                yield query.copy(**{name: [*conditions[:position], smaller, *conditions[position + 1:]]})
    for position, source in enumerate(query.sources):
        if source.on:
            for smaller in smaller_expressions(source.on):
                yield _with_source(query, position, on=smaller)
    if not query.groups:
        for position, item in enumerate(query.items):
            for smaller in smaller_expressions(item.expression):
                yield query.copy(items=[*query.items[:position], Item(smaller, item.chosen), *query.items[position + 1:]])


def _with_source(whole, position, **changes):
    """A query with something changed about one of its sources."""
    changed = replace(whole.sources[position], **changes)
    return whole.copy(sources=[*whole.sources[:position], changed, *whole.sources[position + 1:]])


def smaller_expressions(expression):
    """Expressions of the same type with less in them."""
    if isinstance(expression, Constant) or not expression.children():
        return
    inner = [e for e in expression.walk() if e is not expression and e.type == expression.type]
    yield from inner
    for position, child in enumerate(expression.children()):
        if child.children():
            yield expression.with_child(position, Expression(child.type, "NULL"))
        for smaller in smaller_expressions(child):
            yield expression.with_child(position, smaller)

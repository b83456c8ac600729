"""Runs queries on two sets of foreign tables over the same collections, one with pushdown and one without.

Each side is a session of its own: the schema of its tables is all that its search_path has, so the queries read the same.
"""

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import psycopg
from bson.raw_bson import RawBSONDocument
from psycopg import pq

from . import comparison, deviations
from .comparison import Outcome
from .documents import encode
from .queries import QueryMaker
from .schemas import IGNORE_CASE, make_schema

PUSHED, KEPT = "pushed", "kept"
QUERIES_OF_A_SCHEMA = 40
_ANALYZE = "ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON"
_OVERFLOW = "22003"
_STATEMENT_TIMEOUT = "20s"


class Side:
    """A session that sees one set of tables."""

    def __init__(self, connect, schema):
        self._connect = connect
        self.schema = schema
        self.settings = {}
        self.open()

    def open(self):
        """A new session with the settings of the last one."""
        self.connection = self._connect()
        self._warnings = []
        self.connection.add_notice_handler(self._note)
        self.must(f"SET statement_timeout = '{_STATEMENT_TIMEOUT}'; SET search_path = {self.schema}, public, mongoferry")
        for name, value in self.settings.items():
            self.must(f"SET {name} = '{value}'")

    def reopen(self):
        """A new session after a backend crashed, as soon as the server takes one."""
        self.connection.close()
        end = time.monotonic() + 60
        while True:
            try:
                return self.open()
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def close(self):
        self.connection.close()

    def _note(self, diagnostic):
        if diagnostic.severity == "WARNING":
            self._warnings.append(diagnostic.message_primary)

    def run(self, sql):
        """The Outcome of a statement, or of several in one string (the last one's)."""
        self._warnings = []
        try:
            result = self.connection.pgconn.exec_(sql.encode())
        except psycopg.OperationalError as error:
            return Outcome(sqlstate=comparison.CRASH, message=str(error))
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            rows = [tuple(None if (value := result.get_value(row, column)) is None else value.decode() for column in range(result.nfields))
                    for row in range(result.ntuples)]
            return Outcome(rows=rows, warnings=tuple(self._warnings))
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        if self.connection.pgconn.status != pq.ConnStatus.OK or state is None:
            return Outcome(sqlstate=comparison.CRASH, message=result.get_error_message())
        detail = result.error_field(pq.DiagnosticField.MESSAGE_DETAIL)
        message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY).decode()
        return Outcome(sqlstate=state.decode(), message=message + (f" ({detail.decode()})" if detail else ""))

    def must(self, sql):
        outcome = self.run(sql)
        if outcome.rows is None:
            raise AssertionError(f"{outcome}\n{sql}")
        return outcome

    def apply(self, settings):
        """Leave the session with these settings and those of open() only."""
        for name in self.settings.keys() - settings.keys():
            self.must(f"RESET {name}")
        for name, value in settings.items():
            self.must(f"SET {name} = '{value}'")
        self.settings = dict(settings)

    def answer(self, query):
        """The Outcome of a Query."""
        before, statement = query.statements()
        for one in before:
            outcome = self.run(one)
            if outcome.rows is None:
                return outcome
        return self.run(statement)

    def plan(self, query, options="VERBOSE, COSTS OFF, FORMAT JSON"):
        """The plan of a Query that was run just now, as EXPLAIN has it in JSON, or None."""
        outcome = self.run(query.statements(f"EXPLAIN ({options}) ")[1])
        return None if outcome.rows is None else json.loads(outcome.rows[0][0])[0]["Plan"]


def plan_nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from plan_nodes(child)


def _foreign_scans(plan):
    """The foreign scans of a plan, without those of a local plan that waits below a pushed one."""
    if plan.get("Node Type") == "Foreign Scan":
        return [plan]
    return [scan for child in plan.get("Plans", []) for scan in _foreign_scans(child)]


def remote_commands(plan):
    """The commands of a plan's foreign scans, as dicts. (Those that are known when the scan starts only EXPLAIN ANALYZE has.)"""
    commands = (scan.get("Command", "") for scan in _foreign_scans(plan))
    return [json.loads(command) for command in commands if command.startswith("{")]


def _mentions(value, key):
    if isinstance(value, dict):
        return key in value or any(_mentions(item, key) for item in value.values())
    return isinstance(value, list) and any(_mentions(item, key) for item in value)


def kinds_of_pushdown(plan):
    """What of a query went to the server: a set of names."""
    kinds = set()
    for scan in _foreign_scans(plan):
        if scan.get("Parallel Aware"):
            kinds.add("parallel scan")
        if scan.get("Async Capable"):
            kinds.add("async")
    for command in remote_commands(plan):
        stages = command.get("pipeline", [])
        names = [name for stage in stages for name in stage]
        filters = [command["filter"]] if command.get("filter") else []
        filters += [stage["$match"] for stage in stages if stage.get("$match")]
        if filters:
            kinds.add("filter")
        if any(_mentions(one, "$expr") for one in filters):
            kinds.add("filter with $expr")
        if "sort" in command or "$sort" in names:
            kinds.add("sort")
        if "limit" in command or "$limit" in names:
            kinds.add("limit")
        if "$group" in names:
            kinds.add("group")
        if "$count" in names or "count" in command:
            kinds.add("count")
        if "$lookup" in names:
            kinds.add("lookup")
    return kinds


@dataclass
class Disagreement:
    """`name` is SEED/SCHEMA/QUERY. `plan` is what EXPLAIN said of the side with pushdown."""

    name: str
    schema: object
    query: object
    why: str
    pushed: Outcome
    kept: Outcome
    plan: object = None


@dataclass
class Statistics:
    queries: int = 0
    seconds: float = 0.0
    refused: Counter = field(default_factory=Counter)  # SQLSTATE → queries that failed on both sides
    rows: int = 0  # queries with at least one row
    pushed: Counter = field(default_factory=Counter)  # kind of pushdown → queries
    fallbacks: int = 0  # queries whose pushed plan ran the local plan after all
    analyzed: int = 0  # queries that were asked
    allowed: Counter = field(default_factory=Counter)  # why outcomes that differ were allowed to → queries
    deviations: Counter = field(default_factory=Counter)

    def add(self, other):
        for name in ("queries", "seconds", "rows", "fallbacks", "analyzed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("refused", "pushed", "allowed", "deviations"):
            getattr(self, name).update(getattr(other, name))

    def lines(self):
        def share(count):
            return f"{count} ({100 * count / max(self.queries, 1):.1f} %)"

        yield f"{self.queries} queries in {self.seconds:.0f} s, {self.queries / max(self.seconds, 1e-9):.0f} a second; {share(self.rows)} gave rows, " \
              f"{share(sum(self.refused.values()))} failed on both sides alike"
        if self.refused:
            yield "SQLSTATEs of those that failed: " + ", ".join(f"{state} {count}" for state, count in self.refused.most_common())
        yield "pushed down: " + (", ".join(f"{kind} {share(count)}" for kind, count in sorted(self.pushed.items())) or "nothing")
        yield f"local plan in place of the pushed one: {self.fallbacks} of {self.analyzed} pushed groups, sorts and joins that EXPLAIN ANALYZE was asked about"
        if self.allowed:
            yield "differences that are allowed: " + ", ".join(f"{why} {count}" for why, count in self.allowed.items())
        for name, count in self.deviations.items():
            yield f"deviation of the test server: {name}: {count}"


class Runner:
    """Runs the test on one PostgreSQL database, which has the extension, and one MongoDB database."""

    def __init__(self, connect, mongo, uri):
        self.mongo = mongo
        self.sides = {schema: Side(connect, schema) for schema in (PUSHED, KEPT)}
        self.pushed, self.kept = self.sides[PUSHED], self.sides[KEPT]
        self.statistics = Statistics()
        address = uri.replace("'", "''")
        self.kept.must(f"""
            CREATE SERVER IF NOT EXISTS live FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{address}', database '{mongo.name}');
            CREATE USER MAPPING IF NOT EXISTS FOR CURRENT_USER SERVER live; CREATE SCHEMA pushed; CREATE SCHEMA kept; SET search_path = public; {IGNORE_CASE};
            SET search_path = {KEPT}, public, mongoferry""")

    def close(self):
        for side in self.sides.values():
            side.close()

    # --- schemas

    def set_up(self, schema):
        """Make the collections and both sets of tables."""
        for collection in schema.collections.values():
            self.store(schema, collection.name, collection.documents)
            for path in collection.indexes:
                self.mongo[self.server_name(schema, collection.name)].create_index([(path, 1)])
        self.kept.must("DROP SCHEMA pushed, kept CASCADE; CREATE SCHEMA pushed; CREATE SCHEMA kept")
        self.kept.must("; ".join(self.ddl(schema)))
        self.pushed.apply({**schema.settings, **schema.plan_settings})
        self.kept.apply(schema.settings)
        if schema.analyzed:
            # On both sides, because the planner tries conditions on what it knows, and some raise errors. Documents that do
            # not fit may make it fail.
            for side in self.sides.values():
                for table in schema.tables:
                    side.run(f"ANALYZE {table.name}")

    def ddl(self, schema, tables=None):
        """The statements that make the foreign tables on both sides."""
        return [statement for side, pushdown in ((PUSHED, "on"), (KEPT, "off")) for table in (schema.tables if tables is None else tables)
                for statement in table.ddl(side, pushdown, lambda name: self.server_name(schema, name))]

    def store(self, schema, name, documents):
        """Let a collection have these documents."""
        collection = self.mongo[self.server_name(schema, name)]
        collection.delete_many({})
        if documents:
            collection.insert_many([RawBSONDocument(encode(document)) for document in documents])

    def take_down(self, schema):
        for name in schema.collections:
            self.mongo.drop_collection(self.server_name(schema, name))

    @staticmethod
    def server_name(schema, name):
        return f"{schema.name.replace('/', '_')}_{name}"

    # --- queries

    def compare(self, query):
        """(why the two sides disagree or None, the outcome with pushdown, the one without)"""
        pushed = self.pushed.answer(query)
        if pushed.sqlstate == comparison.CRASH:  # which ended all sessions
            self.pushed.reopen()
            self.kept.reopen()
        kept = self.kept.answer(query)
        why = comparison.difference(query, pushed, kept, lambda: self._due_to_plan(query, pushed, kept))
        return why, pushed, kept

    def _due_to_plan(self, query, pushed, kept):
        """Whether one side alone has an error, or the two have different ones, because they have different plans."""
        both_fail = pushed.rows is None and kept.rows is None
        if both_fail or _OVERFLOW in (pushed.sqlstate, kept.sqlstate) and query.adds_doubles():
            # which document is met first, and which sums of doubles are made on the way, depends on the order; without workers
            # and partial sums that is the documents'
            plain = ("max_parallel_workers_per_gather = 0", "enable_partitionwise_aggregate = off", "enable_hashagg = on")
            return self._answer_with(self.pushed, query, plain).sqlstate == kept.sqlstate
        return pushed.rows is None and self._other_plans_fail(query, pushed.sqlstate)

    @staticmethod
    def _answer_with(side, query, settings):
        """The answer of a side with other settings, which are as they were afterwards."""
        side.must("; ".join(f"SET {setting}" for setting in settings))
        answer = side.answer(query)
        names = [setting.split(" = ")[0] for setting in settings]
        side.run("; ".join(f"SET {name} = '{side.settings[name]}'" if name in side.settings else f"RESET {name}" for name in names))
        return answer

    def _other_plans_fail(self, query, sqlstate):
        """Whether an error of a join is one that the side without pushdown has too when it evaluates more rows: of each
        table alone, or with another way to join."""
        if len(list(query.columns_read())) < 2:
            return False
        ways = ("enable_hashjoin = off", "enable_mergejoin = off", "enable_nestloop = off")
        return any(self._answer_with(self.kept, query, ways[:count]).sqlstate == sqlstate for count in (1, 2, 3)) or \
            any((self.kept.run(f"SELECT {column} FROM {table}").sqlstate or "")[:2] == sqlstate[:2]  # which document comes first is open, too
                for table, columns in query.columns_read() for column in columns)

    def run_schema(self, seed, number, queries=QUERIES_OF_A_SCHEMA, only=None, on_disagreement=None):
        """Run the queries of schema `number`; the Disagreements. on_disagreement(disagreement) is called while the schema is there."""
        name = f"{seed}/{number}"
        schema = make_schema(random.Random(name), name)
        self.set_up(schema)
        disagreements = []
        start = time.monotonic()
        try:
            for position in range(queries) if only is None else [only]:
                found = self._run_query(schema, f"{name}/{position}")
                if found:
                    disagreements.append(found)
                    if on_disagreement:
                        before = time.monotonic()
                        on_disagreement(found)
                        start += time.monotonic() - before
        finally:
            self.statistics.seconds += time.monotonic() - start
            self.take_down(schema)
        return disagreements

    def _run_query(self, schema, name):
        statistics = self.statistics
        query = QueryMaker(random.Random(name), schema).query()
        why, pushed, kept = self.compare(query)
        plan = self.pushed.plan(query)
        if plan and query.prepared and pushed.rows is not None:  # what it sends is known when it runs
            plan = self.pushed.plan(query, _ANALYZE) or plan
        statistics.queries += 1
        if plan:
            kinds = kinds_of_pushdown(plan)
            statistics.pushed.update(kinds)
            if kinds:
                statistics.pushed["anything"] += 1
        if not why:
            self._count(query, pushed, kept, plan)
            return None
        deviation = deviations.explanation(query.text(), remote_commands(plan) if plan else [], pushed, kept)
        if deviation:
            statistics.deviations[deviation.name] += 1
            return None
        return Disagreement(name, schema, query, why, pushed, kept, plan)

    def _count(self, query, pushed, kept, plan):
        statistics = self.statistics
        if kept.rows is None and pushed.rows is None:
            statistics.refused[kept.sqlstate] += 1
        elif kept.rows is None:
            statistics.allowed["refused documents passed over"] += 1
        elif pushed.rows is None:
            statistics.allowed["expressions of a join evaluated for other rows"] += 1
        else:
            statistics.rows += bool(kept.rows)
        if plan and pushed.rows is not None and {"group", "count", "sort", "limit", "lookup"} & kinds_of_pushdown(plan):
            analyzed = self.pushed.plan(query, _ANALYZE)
            statistics.analyzed += analyzed is not None
            statistics.fallbacks += bool(analyzed) and any(_ran_local_plan(node) for node in plan_nodes(analyzed))


def _ran_local_plan(node):
    """Whether a foreign scan of an EXPLAIN ANALYZE ran its local plan because the server had reported odd documents."""
    return node.get("Local Plan Runs", 0) > 0

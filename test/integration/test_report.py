"""report(): the figures, from catalogue tables filled here by hand, as text, JSON and a page of HTML."""

import json
from html.parser import HTMLParser

import pytest
from psycopg import errors

HOSTILE = "<script>alert('x')</script> & \"quoted\""


class Page(HTMLParser):
    """The elements, the text and the attributes of a page; every element has to be closed where it should be."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.elements, self.attributes, self.texts, self.tables, self.open = [], [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.attributes += attributes
        if tag != "meta":
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def named(self, tag, css=None):
        return [attributes for name, attributes in self.elements if name == tag and css in (None, attributes.get("class"))]

    def table(self, header):
        """The lines below the header of the table whose header has this cell."""
        [table] = [t for t in self.tables if header in t[0]]
        return [dict(zip(table[0], line, strict=True)) for line in table[1:]]


@pytest.fixture
def catalogue(connection):
    connection.execute("SET timezone = 'UTC'")
    connection.execute("CREATE TABLE target (id int)")
    connection.execute("SELECT mongoferry.create_migration('m', 'from the old shop')")
    return connection


def add_task(connection, task, state="new", position=1, migration="m", **columns):
    columns = {"migration": migration, "task": task, "position": position, "state": state, "search_path": "public", **columns}
    names = ", ".join(columns)
    values = ", ".join(f"%({name})s" for name in columns)
    connection.execute(
        f"INSERT INTO mongoferry.task (source, target, {names}) VALUES ('public.target', 'public.target', {values})", columns)


def add_chunk(connection, task, chunk, began, ended, documents=0, rows=0, refused=0, estimated=None, migration="m"):
    """A chunk that was done between these seconds after noon; pending where they are None."""
    connection.execute(
        "INSERT INTO mongoferry.chunk (migration, task, chunk, bounds, documents_estimated, state, documents, rows_written,"
        " refused, bytes_read, started_at, finished_at)"
        " SELECT %(migration)s, %(task)s, %(chunk)s, '', %(estimated)s, CASE WHEN s IS NULL THEN 'pending' ELSE 'done' END,"
        " %(documents)s, %(rows)s, %(refused)s, %(documents)s::bigint * 100, noon + s, noon + e"
        " FROM (SELECT timestamptz '2026-01-02 12:00:00Z' AS noon, %(began)s * interval '1 s' AS s, %(ended)s * interval '1 s' AS e) AS x",
        {"migration": migration, "task": task, "chunk": chunk, "estimated": documents if estimated is None else estimated,
         "documents": documents, "rows": rows, "refused": refused, "began": began, "ended": ended})


def add_error(connection, task, message="null value", sqlstate="23502", count=1, column=None, constraint=None, source_id="1"):
    connection.execute(
        "INSERT INTO mongoferry.errors (migration, task, chunk, raw, source_id, sqlstate, message, column_name, constraint_name)"
        " SELECT 'm', %s, 1, '', %s, %s, %s, %s, %s FROM generate_series(1, %s)",
        [task, json.dumps(source_id), sqlstate, message, column, constraint, count])


def add_run(connection, job="migrate", began=0, ended=None, outcome=None, options="{}", workers=2):
    return connection.execute(
        "INSERT INTO mongoferry.run (migration, job, options, workers, started_at, finished_at, outcome)"
        " SELECT 'm', %s, %s, %s, noon + %s * interval '1 s', noon + %s * interval '1 s', %s"
        " FROM (SELECT timestamptz '2026-01-02 12:00:00Z' AS noon) AS x RETURNING id",
        [job, options, workers, began, ended, outcome]).fetchone()[0]


def add_check(connection, run, number, task, check, ok, source=None, target=None, detail=None):
    connection.execute("INSERT INTO mongoferry.validation_result VALUES (%s, 'm', %s, %s, %s, %s, %s, %s, %s)",
                       [run, number, task, check, ok, source, target, detail])


def text(connection, migration="m"):
    return connection.execute("SELECT mongoferry.report(%s)", [migration]).fetchone()[0]


def data(connection, migration="m"):
    return json.loads(connection.execute("SELECT mongoferry.report(%s, 'json')", [migration]).fetchone()[0])


def page(connection, migration="m"):
    return Page(connection.execute("SELECT mongoferry.report(%s, 'html')", [migration]).fetchone()[0])


def a_migration_with_everything(connection):
    """Two tasks: customers done (two chunks of 10 s side by side, and one after a pause), orders failed half way."""
    add_task(connection, "customers", "done", documents_total=3000, documents_mended=2, rows_mended=2)
    add_chunk(connection, "customers", 1, 0, 10, documents=1000, rows=1000)
    add_chunk(connection, "customers", 2, 0, 10, documents=1000, rows=990, refused=10)
    add_chunk(connection, "customers", 3, 1000, 1010, documents=1000, rows=1000)
    add_task(connection, "orders", "failed", position=2, documents_total=4000, failure="too many errors", failure_sqlstate="P0001")
    add_chunk(connection, "orders", 1, 1010, 1020, documents=1000, rows=2000)
    add_chunk(connection, "orders", 2, None, None, estimated=3000)
    add_error(connection, "customers", 'invalid input syntax for type integer: "abc"', "22P02", count=3, column="age")
    add_error(connection, "customers", 'invalid input syntax for type integer: "x"y"', "22P02", count=2, column="age")
    add_error(connection, "customers", 'new row violates check constraint "a"', "23514", count=2, constraint="a")
    add_error(connection, "customers", 'new row violates check constraint "b"', "23514", count=1, constraint="b")
    add_run(connection, ended=10, outcome="complete")
    add_run(connection, began=900)
    add_run(connection, began=1000, ended=1020, outcome="1 task failed", workers=4)
    old = add_run(connection, "validate", 2000, 2010, "complete", '{"level": "count"}')
    add_check(connection, old, 1, "customers", "old check", False)
    new = add_run(connection, "validate", 3000, 3065, "complete", '{"level": "values"}')
    add_check(connection, new, 1, "customers", "rows", True, "2992", "2992")
    add_check(connection, new, 2, "orders", "values", False, "2000", "1999", "TABLE mongoferry.mismatches")


# --- the figures --------------------------------------------------------------------------------------------------------


def test_figures_of_the_tasks(catalogue):
    a_migration_with_everything(catalogue)
    customers, orders = data(catalogue)["tasks"]
    expected = {"task": "customers", "source": "public.target", "state": "done", "chunks": 3, "chunks_done": 3, "share_done": 1,
                "documents": 3000, "documents_estimated": 3000, "bytes": 300000, "rows": 2992, "refused": 8, "mended": 2,
                "seconds": 20, "documents_per_second": 150.0, "rows_per_second": 149.5}
    assert {name: customers[name] for name in expected} == expected
    expected = {"state": "failed", "failure": "too many errors", "chunks": 2, "chunks_done": 1, "share_done": 0.25, "rows": 2000,
                "refused": 0, "seconds": 10, "rows_per_second": 200.0}
    assert {name: orders[name] for name in expected} == expected


def test_totals_count_the_time_in_which_anything_ran(catalogue):
    a_migration_with_everything(catalogue)
    assert data(catalogue)["totals"] == {
        "tasks": 2, "tasks_done": 1, "tasks_failed": 1, "tasks_new": 0, "documents": 4000, "bytes": 400000, "rows": 4992,
        "refused": 8, "mended": 2, "seconds": 30, "documents_per_second": 133.3, "rows_per_second": 166.3}


def test_errors_are_put_together_by_cause(catalogue):
    a_migration_with_everything(catalogue)
    causes = [(e["documents"], e["sqlstate"], e["message"], e["column_name"], e["constraint_name"]) for e in data(catalogue)["errors"]]
    assert causes == [
        (5, "22P02", 'invalid input syntax for type integer: ...', "age", None),
        (2, "23514", 'new row violates check constraint "a"', None, "a"),
        (1, "23514", 'new row violates check constraint "b"', None, "b")]


def test_the_20_most_frequent_causes_are_shown_and_the_rest_is_counted(catalogue):
    add_task(catalogue, "t", "running")
    for number in range(1, 24):
        add_error(catalogue, "t", f"cause {chr(96 + number)}", count=number)
    causes = data(catalogue)["errors"]
    assert [c["documents"] for c in causes] == list(range(23, 3, -1))
    total, shown = sum(range(1, 24)), sum(range(4, 24))
    line = f"{total} documents are in the quarantine; the 20 most frequent causes account for {shown} of them."
    assert line in text(catalogue)
    html = page(catalogue)
    assert line in html.texts
    assert len(html.table("cause")) == 20
    assert {bar["width"] for bar in html.named("rect", "failed")} >= {"300.0", str(round(300 * 4 / 23, 1))}


def test_runs_that_did_not_end(catalogue):
    a_migration_with_everything(catalogue)
    assert [(r["job"], r["outcome"]) for r in data(catalogue)["runs"]] == [
        ("migrate", "complete"), ("migrate", "interrupted"), ("migrate", "1 task failed"), ("validate", "complete"),
        ("validate", "complete")]
    add_run(catalogue, began=4000)
    assert data(catalogue)["runs"][-1]["outcome"] == "running or interrupted"


def test_only_the_last_validation_is_shown(catalogue):
    a_migration_with_everything(catalogue)
    validation = data(catalogue)["validation"]
    assert (validation["level"], validation["ok"]) == ("values", False)
    assert [(c["task"], c["check"], c["ok"]) for c in validation["checks"]] == [("customers", "rows", True), ("orders", "values", False)]
    assert "validate (values) of 2026-01-02 12:50:00 +00:00: 1 of 2 checks failed." in text(catalogue)


# name: (chunks as (began, ended, rows), size of a bucket, rate of each bucket, number of the points after a pause)
THROUGHPUT = {
    "one chunk over many buckets": ([(0, 10, 1000)], 1, [100] * 10, []),
    "side by side": ([(0, 2, 200), (1, 3, 200)], 1, [100, 200, 100], []),
    "a part of a bucket": ([(0, 0.5, 100)], 1, [200], []),
    "no time at all": ([(0, 0, 100)], 1, [100], []),
    "a pause": ([(0, 1, 100), (500, 501, 300)], 1, [100, 300], [1]),
    "nothing written": ([(0, 2, 0)], 1, [0, 0], []),
    "long": ([(0, 3600, 36000)], 60, [10] * 60, []),
}


@pytest.mark.parametrize("name", THROUGHPUT)
def test_throughput(catalogue, name):
    chunks, size, rates, pauses = THROUGHPUT[name]
    add_task(catalogue, "t", "done")
    for number, (began, ended, rows) in enumerate(chunks, 1):
        add_chunk(catalogue, "t", number, began, ended, rows, rows)
    throughput = data(catalogue)["throughput"]
    points = throughput["points"]
    assert throughput["bucket_seconds"] == size
    assert sum(p["rows"] for p in points) == sum(rows for _, _, rows in chunks)
    assert [p["rows_per_second"] for p in points] == rates
    assert [n for n, p in enumerate(points) if p["after_pause"]] == pauses
    bars = [float(bar["height"]) for bar in page(catalogue).named("rect", "bar") if "rx" not in bar]
    assert bars == pytest.approx([160 * rate / max(*rates, 1) for rate in rates], abs=0.1)


# --- text ---------------------------------------------------------------------------------------------------------------


def test_text(catalogue):
    a_migration_with_everything(catalogue)
    report = text(catalogue)
    lines = report.splitlines()
    assert lines[0].startswith("Migration m, ")
    assert "from the old shop" in lines
    assert "1 of 2 tasks done, 1 failed, 4,000 documents read, 4,992 rows written, 8 documents refused." in lines
    assert "30 s of work at 166 rows/s and 133 documents/s, 391 kB of BSON." in lines
    [customers] = [line.split() for line in lines if line.split()[:2] == ["customers", "public.target"]]
    assert customers[3:] == ["done", "100", "%", "3,000", "2,992", "8", "2", "20", "s", "150", "150", "293", "kB"]
    assert any(line.endswith("  too many errors") and "25 %" in line for line in lines)
    assert any(line.split()[:3] == ["FAILED", "orders", "values"] for line in lines)
    assert not any(line != line.rstrip() for line in lines)


def test_text_keeps_control_characters_from_the_terminal(catalogue):
    add_task(catalogue, "a\x1b[31m\nb", "running")
    report = text(catalogue)
    assert "\x1b" not in report and "a [31m b" in report


# --- HTML ---------------------------------------------------------------------------------------------------------------


def test_html(catalogue):
    a_migration_with_everything(catalogue)
    html = page(catalogue)
    assert [t["task"] for t in html.table("rows/s")] == ["customers", "orders"]
    assert [(t["state"], t["failure"]) for t in html.table("rows/s")] == [("done", ""), ("failed", "too many errors")]
    assert [e["documents"] for e in html.table("cause")] == ["5", "2", "1"]
    assert [(c["task"], c["result"]) for c in html.table("result")] == [("customers", "ok"), ("orders", "FAILED")]
    assert [r["time"] for r in html.table("outcome")] == ["10 s", "-", "20 s", "10 s", "1 min 05 s"]
    assert [svg["aria-label"] for svg in html.named("svg")] == [
        "rows per second over time", "share done of each task", "refused documents by cause"]
    assert [bar["width"] for bar in html.named("rect", "bar") + html.named("rect", "failed") if "rx" in bar] == [
        "300.0", "75.0", "300.0", "120.0", "60.0"]
    assert [cell["class"] for cell in html.named("td") if "failed" in cell["class"]] == ["l failed"] * 2
    assert len(html.named("line", "pause")) == 1


def test_html_needs_nothing_but_itself(catalogue):
    a_migration_with_everything(catalogue)
    html = page(catalogue)
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & {tag for tag, _ in html.elements}
    assert not {"src", "href", "xlink:href", "srcset"} & {name for name, _ in html.attributes}
    style = "".join(t for t in html.texts if "color-scheme" in t)
    assert "prefers-color-scheme: dark" in style and "url(" not in style and "@import" not in style


def test_html_escapes_every_value(catalogue):
    """Names and messages made to break out of the text and of attributes come out as text, each where it belongs."""
    catalogue.execute("SELECT mongoferry.create_migration(%s, %s)", [HOSTILE, HOSTILE])
    add_task(catalogue, HOSTILE, "failed", failure=HOSTILE)
    add_chunk(catalogue, HOSTILE, 1, 0, 1, 1, 1)
    add_error(catalogue, HOSTILE, HOSTILE, HOSTILE, column=HOSTILE, constraint=HOSTILE, source_id=HOSTILE)
    run = add_run(catalogue, "validate", 0, 1, HOSTILE, json.dumps({"level": HOSTILE}))
    add_check(catalogue, run, 1, HOSTILE, HOSTILE, False, HOSTILE, HOSTILE, HOSTILE)
    catalogue.execute('CREATE TABLE "<b>x</b>" (id int)')
    catalogue.execute("UPDATE mongoferry.task SET source = '\"<b>x</b>\"', target = '\"<b>x</b>\"'")
    for table in ("task", "chunk", "errors", "run", "validation_result"):
        catalogue.execute(f"UPDATE mongoferry.{table} SET migration = %s", [HOSTILE])
    html = page(catalogue, HOSTILE)
    tags = {tag for tag, _ in html.elements}
    assert not {"script", "b"} & tags
    assert not any(name.startswith("on") for name, _ in html.attributes)
    assert html.texts.count("Migration " + HOSTILE) == 2 and HOSTILE in html.texts  # title, heading; comment
    [task] = html.table("rows/s")
    assert (task["task"], task["failure"], task["source"]) == (HOSTILE, HOSTILE, 'public."<b>x</b>"')
    [cause] = html.table("cause")
    assert [cause[c] for c in ("task", "SQLSTATE", "cause", "constraint", "column")] == [HOSTILE] * 5
    assert cause["first _id"] == json.dumps(HOSTILE)
    [check] = html.table("result")
    assert [check[c] for c in ("task", "check", "source", "target", "detail")] == [HOSTILE] * 5
    assert html.table("outcome")[0]["outcome"] == HOSTILE
    assert any(f"validate ({HOSTILE}) of" in t for t in html.texts)
    assert data(catalogue, HOSTILE)["migration"] == HOSTILE


# --- with little to report ----------------------------------------------------------------------------------------------


def test_migration_without_tasks(catalogue):
    assert "The migration has no tasks yet." in text(catalogue)
    assert "Not validated yet." in text(catalogue)
    figures = data(catalogue)
    assert figures["totals"]["tasks"] == 0 and figures["tasks"] == figures["runs"] == figures["errors"] == []
    assert figures["throughput"]["points"] == [] and figures["validation"] is None
    html = page(catalogue)
    assert html.tables == [] and html.named("svg") == []
    assert {"Nothing has been run yet.", "Nothing has been carried over yet.", "Not validated yet.",
            "No documents are in the quarantine."} <= set(html.texts)


def test_nothing_run_yet(catalogue):
    add_task(catalogue, "t")
    assert "Nothing has been run yet: 1 task is waiting." in text(catalogue)
    [task] = page(catalogue).table("rows/s")
    assert (task["state"], task["done"], task["documents"], task["time"], task["rows/s"]) == ("new", "0 %", "0", "0 s", "-")


def test_a_split_task_of_an_empty_source(catalogue):
    add_task(catalogue, "t", "running")
    add_chunk(catalogue, "t", 1, None, None)
    add_chunk(catalogue, "t", 2, 0, 1)
    assert data(catalogue)["tasks"][0]["share_done"] == 0.5


def test_what_is_not_done_never_shows_as_100_percent(catalogue):
    add_task(catalogue, "t", "running")
    add_chunk(catalogue, "t", 1, 0, 1, documents=99999)
    add_chunk(catalogue, "t", 2, None, None, estimated=1)
    assert page(catalogue).table("rows/s")[0]["done"] == "99 %"


def test_other_migrations_are_left_out(catalogue):
    a_migration_with_everything(catalogue)
    catalogue.execute("SELECT mongoferry.create_migration('other')")
    add_task(catalogue, "customers", migration="other")
    add_chunk(catalogue, "customers", 1, 0, 1, 7, 7, migration="other")
    assert data(catalogue)["totals"]["documents"] == 4000
    figures = data(catalogue, "other")
    assert (figures["totals"]["documents"], figures["errors"], figures["runs"], figures["validation"]) == (7, [], [], None)


# --- errors and rights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["text", "json", "html", "other"])
def test_unknown_migration(catalogue, format):
    with pytest.raises(errors.UndefinedObject, match='migration "none" does not exist'):
        catalogue.execute("SELECT mongoferry.report('none', %s)", [format])


@pytest.mark.parametrize("format", ["HTML", "", None])
def test_unknown_format(catalogue, format):
    with pytest.raises(errors.InvalidParameterValue, match="invalid value for format"):
        catalogue.execute("SELECT mongoferry.report('m', %s)", [format])


def test_a_migration_of_another_role(catalogue, connect, ordinary_role):
    with connect(user=ordinary_role) as other:
        with pytest.raises(errors.UndefinedObject):
            text(other)
        other.execute("SELECT mongoferry.create_migration('mine')")
        assert text(other, "mine").startswith("Migration mine, ")

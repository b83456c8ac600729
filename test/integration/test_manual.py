"""The manual says what the code does: its option tables are the code's, its functions and links exist."""

import datetime
import pathlib
import re

import psycopg
import pytest
from bson import Decimal128, ObjectId

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()

SECTIONS = [
    ("On a server", "server"),
    ("On a user mapping", "user mapping"),
    ("On a foreign table", "table"),
    ("On a column", "column"),
    ("For IMPORT FOREIGN SCHEMA", "import"),
]


def option_tables(connection):
    rows = connection.execute("SELECT * FROM mongoferry.options()").fetchall()
    text = ""
    for title, level in SECTIONS:
        text += f"### {title}\n\n| option | takes | default | meaning |\n|---|---|---|---|\n"
        for name, levels, value, default, reads_files, description in rows:
            if level in levels.split(", "):
                takes = " ".join(f"`{v}`" for v in value.split("|")) if "|" in value else value
                text += f"| `{name}`{' †' if reads_files else ''} | {takes} | {default or ''} | {description} |\n"
        text += "\n"
    return text


def test_option_tables_are_those_of_the_code(connection):
    begin = re.search(r"<!-- options: begin.*?-->\n", README)
    expected = option_tables(connection)
    assert README[begin.end() : README.index("<!-- options: end -->")] == expected, (
        "README's option tables should be:\n" + expected
    )


def rule_tables(connection):
    text, last = "", None
    for subject, sql, mongodb, when in connection.execute("SELECT * FROM mongoferry.pushdown_rules()").fetchall():
        if subject != last:
            text += ("\n" if last else "") + f"### {subject.capitalize() if subject != 'jsonb' else subject}\n\n"
            text += "| SQL | on the server | when |\n|---|---|---|\n"
            last = subject
        cells = (sql, mongodb or "*not sent*", when)
        text += "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    return text


def test_the_rules_of_pushdown_are_those_of_the_code(connection):
    page = (ROOT / "docs/pushdown.md").read_text()
    begin = re.search(r"<!-- rules: begin.*?-->\n", page)
    expected = rule_tables(connection)
    assert page[begin.end() : page.index("<!-- rules: end -->")] == expected, (
        "the tables of docs/pushdown.md should be:\n" + expected
    )


def test_functions_of_the_manual_exist_and_none_is_forgotten(connection):
    section = README[README.index("\n## Functions") : README.index("\n## What is sent")]
    named = set(re.findall(r"mongoferry\.(\w+)\(", section))
    mentioned = named | set(re.findall(r"`(\w+)(?:\([^`]*)?`", section))
    existing = {
        name
        for (name,) in connection.execute(
            "SELECT proname FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass"
            " JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'mongoferry' AND d.deptype = 'e'"
            " WHERE proname !~ '^(mongoferry_|objectid_|objectid$)'"
            " AND prokind IN ('f', 'p') AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oprcode = p.oid)"
            " AND obj_description(p.oid, 'pg_proc') !~ '\\mPart of (the toolkit|preflight\\(\\)|report\\(\\))$'"
            " AND NOT EXISTS (SELECT FROM pg_cast c WHERE c.castfunc = p.oid AND proname NOT LIKE 'to\\_%')"
        )
    }
    assert named <= existing
    assert existing <= mentioned


def test_links_within_the_manual_lead_somewhere():
    headings = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", README, re.M)
    }
    links = set(re.findall(r"\]\(#([^)]*)\)", README))
    assert links and links <= headings
    for path in re.findall(r"`((?:docs|examples)/[\w./]+)`", README):
        assert (ROOT / path).exists(), path


def sql_blocks(heading):
    """The SQL examples below a heading, without psql's own commands."""
    section = README[README.index(f"\n{heading}\n") :]
    section = section[: section.index("\n#", len(heading) + 2)]
    blocks = re.findall(r"```sql\n(.*?)```", section, re.S)
    assert blocks
    return [re.sub(r"(?m)^\\.*$", "", block) for block in blocks]


CUSTOMER, ORDER = ObjectId(), ObjectId("5d04d56403e75b90117000a0")
CUSTOMERS = [{"_id": CUSTOMER, "name": "Ada", "email": "Ada@Example.org", "created_at": datetime.datetime(2024, 1, 2)}]
ORDERS = [
    {"_id": ORDER, "customer_id": CUSTOMER, "total": Decimal128("12.50"), "tags": ["new", "gift"],
     "shipping": {"address": {"city": "Köln"}}, "items": [{"sku": "A", "qty": 2}, {"sku": "B", "qty": 1}]}
]


def test_the_first_migration(psql, connection, write_dump):
    connection.execute('CREATE TABLE "Customer" (id uuid PRIMARY KEY, name text, email text, "createdAt" timestamptz)')
    connection.execute('CREATE TABLE "Order" (id uuid PRIMARY KEY, "customerId" uuid REFERENCES "Customer", total numeric)')
    first, then = sql_blocks("## A first migration in ten lines")
    assert len(first.strip().splitlines()) <= 10
    orders = ORDERS + [{**ORDERS[0], "_id": ObjectId(), "customer_id": ObjectId(), "tags": None}]
    folder = str(write_dump({"customers": CUSTOMERS, "orders": orders}))
    connection.execute("DROP EXTENSION mongoferry")
    psql(first.replace("/backup/dump/shop", folder))
    rows = connection.execute('SELECT email, total FROM "Order" o JOIN "Customer" c ON c.id = o."customerId"').fetchall()
    assert [(email, str(total)) for email, total in rows] == [("ada@example.org", "12.50")]
    told = psql(then)
    assert "Order_customerId_fkey" in told and "|f|" not in told


@pytest.fixture
def toolkit(connection, write_dump):
    """What the examples of the toolkit take for granted: foreign tables of a shop and a firm, and their targets."""
    team, person = ObjectId(), ObjectId()
    folder = write_dump({"customers": [{**CUSTOMERS[0], "created": CUSTOMERS[0]["created_at"]}], "orders": ORDERS,
                         "teams": [{"_id": team, "name": "ferry", "lead": person}], "people": [{"_id": person, "team": team}]})
    connection.execute(f"""
        CREATE SERVER shop FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}');
        CREATE SCHEMA mongo;
        CREATE FOREIGN TABLE mongo.customers (_id mongoferry.objectid, name text, email text, created timestamptz) SERVER shop;
        CREATE FOREIGN TABLE mongo.orders (_id mongoferry.objectid, customer_id mongoferry.objectid, total numeric) SERVER shop;
        CREATE TABLE "Customer" (id uuid PRIMARY KEY, name text, email text, "createdAt" timestamptz);
        CREATE TABLE "Order" (id uuid PRIMARY KEY, "customerId" uuid REFERENCES "Customer", total numeric);
        CREATE FOREIGN TABLE mongo.teams (id text OPTIONS (field '_id'), name text, lead text) SERVER shop;
        CREATE FOREIGN TABLE mongo.people (id text OPTIONS (field '_id'), team text) SERVER shop;
        CREATE TABLE team (id text PRIMARY KEY, name text, lead text);
        CREATE TABLE person (id text PRIMARY KEY, team text NOT NULL REFERENCES team);
        ALTER TABLE team ADD CONSTRAINT team_lead_fkey FOREIGN KEY (lead) REFERENCES person;
        SELECT mongoferry.create_migration('firm');
        SELECT mongoferry.add_task('firm', 'people', 'mongo.people', 'public.person', 'SELECT id, team FROM source');
    """)
    return connection


def test_the_examples_of_the_toolkit(toolkit, psql):
    """Every SQL example of the section, in order. Those of pg_cron have a test of their own, test_pg_cron.py."""
    section = README[README.index("\n## The migration toolkit") : README.index("\n## What is sent")]
    blocks = re.findall(r"```sql\n(.*?)```", section, re.S)
    scheduled = [block for block in blocks if "cron." in block]
    assert len(blocks) > 8 and len(scheduled) == 1
    said = [psql(block) for block in blocks if block not in scheduled]
    assert not [line for text in said for line in text.splitlines() if "|f|" in line or line.startswith("error")]
    assert toolkit.execute('SELECT name, email FROM "Customer"').fetchall() == [("Ada", "ada@example.org")]
    psql("CALL mongoferry.migrate('firm')")
    assert toolkit.execute("SELECT count(*) FROM team JOIN person ON person.id = team.lead AND person.team = team.id").fetchone() == (1,)


def test_the_error_of_a_circle(toolkit):
    toolkit.execute("SELECT mongoferry.add_task('firm', 'teams', 'mongo.teams', 'public.team', 'SELECT id, name, lead FROM source')")
    with pytest.raises(psycopg.Error) as refused:
        toolkit.execute("SELECT mongoferry.check_order('firm')")
    told = refused.value.diag
    text = f"ERROR:  {told.message_primary}\nDETAIL:  {told.message_detail}\nHINT:  {told.message_hint}\n"
    assert f"```\n{text}```" in README, text


def test_the_error_message(connection, write_dump):
    folder = write_dump({"orders": [{**ORDERS[0], "total": "12,50"}]})
    connection.execute(f"CREATE SERVER shop FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    connection.execute("CREATE FOREIGN TABLE orders (total numeric) SERVER shop")
    with pytest.raises(psycopg.Error) as refused:
        connection.execute("SELECT * FROM orders")
    told = refused.value.diag
    text = f"ERROR:  {told.message_primary}\nDETAIL:  {told.message_detail}\nHINT:  {told.message_hint}\n"
    assert f"```\n{text}```" in README, text


def test_foreign_tables_of_the_manual(connection, write_dump):
    folder = write_dump({"customers": CUSTOMERS, "orders": ORDERS})
    connection.execute(f"CREATE SERVER shop FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
    connection.execute("CREATE SCHEMA mongo")
    for block in sql_blocks("## Foreign tables") + sql_blocks("### A row for each element of an array"):
        connection.execute(block)
    rows = connection.execute("SELECT city, first_tag, tags, document->'items'->1->>'sku' FROM mongo.orders").fetchall()
    assert rows == [("Köln", "new", ["new", "gift"], "B")]
    assert connection.execute("SELECT position, sku, qty FROM mongo.order_items").fetchall() == [(0, "A", 2), (1, "B", 1)]
    connection.execute("DROP FOREIGN TABLE mongo.orders, mongo.order_items")
    for block in sql_blocks("### Importing"):
        connection.execute(block)
    assert connection.execute("SELECT shipping_address_city FROM mongo.orders").fetchall() == [("Köln",)]


def test_servers_of_the_manual(connection):
    for heading in ("### Live", "### Files"):
        for block in sql_blocks(heading):
            connection.execute(block)
    connection.execute("CREATE FOREIGN TABLE t (a int) SERVER shop")
    assert '"find": "t"' in "".join(line for (line,) in connection.execute("EXPLAIN SELECT * FROM t"))

"""docs/runbook.md is run from start to end as it stands there, over the example's shop: from a live server, and from files only.

```sql blocks are for psql as the role shop, or as a superuser where their first line says so; ```sh blocks run in a copy of
examples/shop. ```console blocks need MongoDB's own tools and are not run.
"""

import copy
import datetime
import os
import re
import shutil
import subprocess
from pathlib import Path

import pymongo
import pytest
from bson import Decimal128, ObjectId, Timestamp

from test_shop_migration import EXPECTED, SHOP, content, live_documents, outcome

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
SECTIONS = {title: text for title, text in re.findall(r"^## (?:\d+\. )?(.*?)\n(.*?)(?=^## |\Z)", RUNBOOK, re.M | re.S)}
URI = "mongodb://db1.example.com,db2.example.com/?replicaSet=rs0"
PASSWORD = "any characters: @/%"


class Operator:
    """Does what the runbook says, section by section, on a PostgreSQL of its own."""

    def __init__(self, server, folder, replacements):
        self.server, self.replacements = server, replacements
        self.folder = folder
        shutil.copytree(SHOP, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("dump"))

    def do(self, section, kinds=("sql", "sh")):
        """Runs the blocks of a section; gives what each of them printed."""
        printed = []
        for kind, text in re.findall(r"^```(\w+)\n(.*?)^```$", SECTIONS[section], re.M | re.S):
            if kind not in kinds:
                continue
            for old, new in self.replacements.items():
                text = text.replace(old, new)
            if kind == "sql":
                user = self.server.superuser if text.startswith("-- as a superuser") else "shop"
                printed.append(self.psql(text, user))
            else:
                printed.append(self.shell(text))
        assert printed, section
        return printed

    def psql(self, text, user="shop"):
        return self.server.psql(text, database="shop", user=user, timeout=200).stdout

    def shell(self, text):
        environment = {**os.environ, **self.server.environment(), "PATH": f"{self.server.bin}:{os.environ['PATH']}", "HOME": str(self.folder)}
        del environment["PGDATABASE"]
        done = subprocess.run(["bash", "-euc", text], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def connect(self):
        return self.server.connect("shop")


def dump_into(folder):
    shutil.copytree(SHOP / "dump/shop", folder)
    for path in [folder, *folder.iterdir()]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def operator(start_postgres, folder, tmp_path):
    for number in ("", "2"):
        (folder / f"dump{number}").mkdir()
        (folder / f"dump{number}").chmod(0o755)
        dump_into(folder / f"dump{number}/shop")
    return Operator(start_postgres(), tmp_path / "shop", {
        "/backup/dump/shop": str(folder / "dump/shop"), "/backup/dump2/shop": str(folder / "dump2/shop")})


@pytest.fixture
def mongo_shop(mongo_with_auth):
    """The shop's database on a live server, and its user reader, as the runbook's console block makes it."""
    assert f"createUser({{user: 'reader', pwd: '{PASSWORD}', roles: [{{role: 'read', db: 'shop'}}]}})" in SECTIONS["Prepare"]
    mongo_with_auth.add_user("reader", PASSWORD, roles=[{"role": "read", "db": "shop"}])
    with pymongo.MongoClient(mongo_with_auth.admin_uri, tz_aware=True) as client:
        for collection in ("customers", "products", "orders", "reviews"):
            client.shop[collection].insert_many(live_documents(collection))
        yield client.shop


def expected_after_mending():
    """As migrate.sql mends, and reviews without a rating left out."""
    expected = copy.deepcopy(EXPECTED["mended"])
    del expected["refused"]["reviews"]["23502 rating"]
    return expected


def validate_and_mend(operator):
    """The sections from Preflight to Validate."""
    severities = {line.split("|")[0] for line in operator.do("Preflight")[0].splitlines() if "|" in line}
    assert "warning" in severities and "error" not in severities
    first, _, _, restored = operator.do("Run")
    assert restored == ""
    assert 'Asynchronous notification "mongoferry"' in first and '"complete"' in first
    progress, = operator.do("Watch")
    assert progress.startswith("shop|done|8|8|")
    summary, mended, retried, table = operator.do("Refused documents")
    assert "orders|3|invalid input value for enum" in summary
    assert table.startswith("task,source_id,message,detail,document\n")
    with operator.connect() as connection:
        assert outcome(connection) == expected_after_mending()
        assert table.count("{") >= connection.execute("SELECT count(*) FROM mongoferry.errors").fetchone()[0]
    assert [printed.strip() for printed in operator.do("Validate")] == ["", "", ""]


def test_live(operator, mongo_shop, mongo_with_auth):
    tasks = operator.folder / "tasks.sql"
    tasks.write_text(tasks.read_text().replace("chunk_size => 250", "chunk_size => 1000"))  # a chunk of SecantusDB takes its time
    operator.replacements[URI] = f"mongodb://{mongo_with_auth.host}:{mongo_with_auth.port}/"
    operator.do("Prepare")
    rehearsal = operator.do("Rehearse on a dump")
    assert 'invalid input value for enum' in rehearsal[0] and "(0 rows)" in rehearsal[0]
    validate_and_mend(operator)

    # the application goes on
    with operator.connect() as connection:
        gone, number = connection.execute(
            """SELECT (SELECT mongoferry.to_objectid(id)::text FROM "Review" WHERE substr(id::text, 15, 1) = '7' ORDER BY id LIMIT 1),
                      (SELECT min(number) FROM "Order")""").fetchone()
    assert mongo_shop.reviews.delete_one({"_id": ObjectId(gone)}).deleted_count == 1
    mongo_shop.orders.update_one({"number": number}, {"$set": {"total": Decimal128("1.23")}})
    newcomer = ObjectId()
    mongo_shop.customers.insert_one({"_id": newcomer, "name": {"first": "Ada", "last": "New"}, "preferences": {}, "createdAt": datetime.datetime(2024, 7, 2)})
    mongo_shop.products.update_one({"sku": "SKU-00100"}, {"$set": {"stock": 4711, "changed": Timestamp(1719900000, 1)}})
    repeated, by_date, vacuumed = operator.do("Cut over")
    differences = [line for line in repeated.splitlines() if "|" in line]  # of validate, and after the DELETE none of recheck
    assert [line.split("|")[:5] for line in differences] == [["reviews", "extra rows", "f", "", "1"]]
    with operator.connect() as connection:
        assert connection.execute("""SELECT count(*) FROM "Review" WHERE id = mongoferry.to_uuid(%s::mongoferry.objectid)""", [gone]).fetchone() == (0,)
        assert connection.execute("""SELECT total::text FROM "Order" WHERE number = %s""", [number]).fetchone() == ("1.23",)
        assert connection.execute("""SELECT "lastName" FROM "Customer" WHERE id = mongoferry.to_uuid(%s::mongoferry.objectid)""", [str(newcomer)]).fetchone() == ("New",)
        assert connection.execute("""SELECT stock FROM "Product" WHERE sku = 'SKU-00100'""").fetchone() == (4711,)
        updated, = connection.execute("SELECT rows_written FROM mongoferry.progress WHERE migration = 'shop since June'").fetchone()
        assert 0 < updated < 50  # not all of the products
        migrated = content(connection)

    operator.do("Roll back")
    with operator.connect() as connection:
        assert not any(content(connection).values())
    operator.psql("CALL mongoferry.migrate('shop')")
    with operator.connect() as connection:
        assert content(connection) == migrated
    clean_up(operator)


def test_files_only(operator):
    operator.do("From files only", kinds=["sh"])
    validate_and_mend(operator)
    with operator.connect() as connection:
        migrated, before = content(connection), indexes(connection)
    operator.do("Roll back")
    operator.do("From files only", kinds=["sql"])
    operator.psql("CALL mongoferry.migrate('shop', defer_indexes => true)")
    with operator.connect() as connection:
        assert content(connection) == migrated
        assert indexes(connection) == before
        assert connection.execute("SELECT srvoptions[1] FROM pg_foreign_server WHERE srvname = 'shop'").fetchone()[0].endswith("/dump2/shop")
    clean_up(operator)


def indexes(connection):
    return connection.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1").fetchall()


def clean_up(operator):
    operator.do("Clean up")
    assert (operator.folder / "shop.html").read_text().startswith("<!DOCTYPE html>")
    with operator.connect() as connection:
        assert connection.execute("SELECT count(*) FROM pg_extension WHERE extname = 'mongoferry'").fetchone() == (0,)
        assert connection.execute('SELECT count(*) > 700 FROM "Customer"').fetchone() == (True,)


@pytest.mark.parametrize("text", [URI, PASSWORD, "/backup/dump/shop", "/backup/dump2/shop"])
def test_what_is_replaced_is_there(text):
    assert text in RUNBOOK


def test_messages_of_the_table_are_those_of_the_code():
    """What the table of troubles quotes is what somebody will search for."""
    sources = "".join(path.read_text() for folder in ("src", "extension") for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".cpp", ".h", ".sql"))
    sources = re.sub(r'"\s*\n\s*"|\'\s*\n\s*\'', "", sources).replace('\\"', '"')
    sources += "No space left on device duplicate key value Lock refused DEFERRABLE"  # PostgreSQL's own
    rows = [row.split("|")[1] for row in SECTIONS["When something goes wrong"].splitlines() if row.startswith("| ")][2:]
    quoted = [message for row in rows for message in re.findall(r"`([^`]*)`", row)]
    assert len(quoted) > 15
    for message in quoted:
        assert message in sources, message


def test_the_checks_of_preflight_are_all_explained():
    readme = (ROOT / "README.md").read_text()
    section = readme[readme.index("\n### Preflight") : readme.index("\n### Running")]

    def first_cells(text):
        return {name for row in re.findall(r"^\| (`.*?) \|", text, re.M) for name in re.findall(r"`(.*?)`", row)}

    assert first_cells(section) and first_cells(section) <= first_cells(SECTIONS["Preflight"])


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", RUNBOOK):
        assert not link or (ROOT / "docs" / link).exists(), link
    manual = (ROOT / "README.md").read_text()
    for file, text in (("../README.md", manual), ("", RUNBOOK)):
        headings = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}
        for link in re.findall(rf"\]\({re.escape(file)}#([^)]*)\)", RUNBOOK):
            assert link in headings, link

"""The example's migration, from a dump and from a live server, against what its generator says has to come out (examples/shop/dirt.json)."""

import copy
import gzip
import json
import re
import shutil
from decimal import Decimal
from pathlib import Path

import bson
import pytest
from bson.binary import JAVA_LEGACY, Binary, UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument

SHOP = Path(__file__).parents[2] / "examples" / "shop"
MANIFEST = json.loads((SHOP / "dirt.json").read_text())
EXPECTED = MANIFEST["expected"]
STANDARD = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO, uuid_representation=UuidRepresentation.STANDARD)
FIRST_HALF, SECOND_HALF = re.split(r"(?=^-- Mend the transform)", (SHOP / "migrate.sql").read_text(), flags=re.M)


def packed(collection):
    return gzip.decompress((SHOP / "dump" / "shop" / f"{collection}.bson.gz").read_bytes())


def documents(collection):
    return bson.decode_all(packed(collection), STANDARD)


def raw_documents(collection):
    return [document.raw for document in bson.decode_all(packed(collection), CodecOptions(document_class=RawBSONDocument))]


@pytest.fixture
def dump(folder):
    """A copy of the dump that the server can read."""
    shutil.copytree(SHOP / "dump", folder / "dump")
    for path in (folder / "dump").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "dump").chmod(0o755)
    return folder / "dump" / "shop"


@pytest.fixture
def from_dump(dump):
    return {"dump": dump}


def live_documents(collection):
    """The dump's documents for a live server. SecantusDB does not take the two dates that no calendar holds; text is as unfit for a date."""
    return [
        RawBSONDocument(bson.encode({**document, "birthDate": "in the thirties"}, codec_options=STANDARD)
                        if isinstance(document.get("birthDate"), DatetimeMS) else raw)
        for document, raw in zip(documents(collection), raw_documents(collection))]


@pytest.fixture
def from_server(mongo, mongo_server):
    for collection in ("customers", "products", "orders", "reviews"):
        mongo[collection].insert_many(live_documents(collection))
    return {"uri": mongo_server.uri, "database": mongo.name}


@pytest.fixture
def source(postgres, database, from_dump):
    """The database, with the foreign tables over the dump."""
    postgres.psql((SHOP / "foreign_tables.sql").read_text(), database=database, variables=from_dump)
    return database


@pytest.fixture
def play(postgres, database, tmp_path):
    """Plays the example's scripts, or text, through psql in one folder; gives what psql said."""

    def run(*scripts, variables=(), many_documents_a_chunk=False):
        said = ""
        for script in scripts:
            text = (SHOP / script).read_text() if script.endswith(".sql") else script
            if many_documents_a_chunk:
                text = text.replace("chunk_size => 250", "chunk_size => 1000")
            done = postgres.psql(text.replace("shop-report.html", str(tmp_path / "shop-report.html")), database=database, variables=variables, timeout=200)
            said += done.stdout + done.stderr
        return said

    return run


@pytest.fixture
def migrated(source, play):
    return play("schema.sql", "tasks.sql", "migrate.sql")


def outcome(connection):
    """What dirt.json expects, as it is: the refused of each task by reason, and the rows of each table."""
    refused = {}
    for task, reason, count in connection.execute(
            "SELECT task, concat_ws(' ', sqlstate, coalesce(constraint_name, column_name)), count(*) FROM mongoferry.errors GROUP BY 1, 2"):
        refused.setdefault(task, {})[reason] = count
    rows = {table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in EXPECTED["first"]["rows"]}
    return {"refused": refused, "rows": rows}


def content(connection):
    """Every row of every table, as text."""
    return {table: sorted(row for (row,) in connection.execute(f'SELECT t::text FROM "{table}" AS t')) for table in EXPECTED["first"]["rows"]}


def failed_checks(connection):
    return connection.execute(
        """SELECT task, "check", detail FROM mongoferry.validation_result AS r WHERE NOT ok
           AND run = (SELECT max(id) FROM mongoferry.run WHERE job = 'validate')""").fetchall()


@pytest.mark.parametrize("source_kind", ["from_dump", "from_server"])
def test_documents_are_refused_mended_and_validated(play, connection, request, source_kind, tmp_path):
    play("schema.sql")
    play("foreign_tables.sql", variables=request.getfixturevalue(source_kind))
    play("tasks.sql", FIRST_HALF, many_documents_a_chunk=source_kind == "from_server")
    expected = copy.deepcopy(EXPECTED["first"])
    if source_kind == "from_server":  # see live_documents
        customers = expected["refused"]["customers"]
        customers["22007 birth_date"] = customers.pop("22008 birth_date")
    assert outcome(connection) == expected
    said = play(SECOND_HALF)
    assert outcome(connection) == EXPECTED["mended"]
    assert "2 values of 1 column" in said and '"birth_date"' in said  # the dates that no calendar holds are read as NULL, not in silence
    assert connection.execute("SELECT job, outcome FROM mongoferry.run ORDER BY id").fetchall() == [
        ("migrate", "complete"), ("retry_errors", "43 of 200 refused documents carried over"), ("validate", "no difference")]
    assert failed_checks(connection) == []
    page = (tmp_path / "shop-report.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "Order_customerId_fkey" in page


def test_a_live_server_and_its_dump_give_the_same_rows(play, connection, from_dump, from_server):
    play("schema.sql")
    play("foreign_tables.sql", variables=from_server)
    play("tasks.sql", "migrate.sql", many_documents_a_chunk=True)  # a chunk of SecantusDB takes its time
    live = content(connection)
    connection.execute("DROP SCHEMA mongo CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SERVER shop CASCADE; SELECT mongoferry.drop_migration('shop')")
    play("schema.sql")
    play("foreign_tables.sql", variables=from_dump)
    play("tasks.sql", "migrate.sql")
    assert content(connection) == live


def test_every_document_is_written_or_refused(migrated, play, connection):
    play("counts.sql")
    tables = {"customers": "Customer", "products": "Product", "orders": "Order", "orders.items": "OrderItem", "reviews": "Review"}
    rows = connection.execute('SELECT collection, read, "table", written, difference FROM mongo.counts').fetchall()
    assert set(rows) == {(name, EXPECTED["documents"][name], table, EXPECTED["mended"]["rows"][table], 0) for name, table in tables.items()}


def test_references_are_filled_by_the_second_pass(migrated, connection):
    referrals = {str(d["_id"]): str(d["referredBy"]) for d in documents("customers") if "referredBy" in d}
    found = dict(connection.execute(
        '''SELECT mongoferry.to_objectid(id)::text, mongoferry.to_objectid("referredById")::text FROM "Customer" WHERE "referredById" IS NOT NULL'''))
    assert found.items() <= referrals.items()
    there = {id for (id,) in connection.execute('SELECT mongoferry.to_objectid(id)::text FROM "Customer"')}
    assert set(found) == {customer for customer, other in referrals.items() if customer in there and other in there}


def test_orders_arrive_as_they_were(migrated, connection):
    """Every written order, value by value, against pymongo's reading of the dump."""
    rows = {number: rest for number, *rest in connection.execute(
        '''SELECT number, mongoferry.to_objectid(id)::text, mongoferry.to_objectid("customerId")::text, status::text, total, "shippingCountry",
                  "giftMessage", coupons, "placedAt" FROM "Order"''')}
    assert len(rows) == EXPECTED["mended"]["rows"]["Order"]
    for document in documents("orders"):
        if document["number"] not in rows:
            continue
        total = document["total"]
        total = total.to_decimal() if isinstance(total, bson.Decimal128) else Decimal(repr(total))
        gift = document.get("giftMessage")
        assert rows[document["number"]] == [
            str(document["_id"]),
            str(document["customerId"]) if document.get("customerId") else None,
            {"Shiped": "SHIPPED", "on hold": "PENDING"}.get(document["status"], document["status"].upper()),
            total.quantize(Decimal("0.01")),
            document.get("shipping", {}).get("address", {}).get("country"),
            gift and gift.replace("\0", "\ufffd"),
            document.get("coupons"),
            document["placedAt"].replace(tzinfo=None),
        ], document


def test_items_arrive_in_their_order(migrated, connection):
    rows = {}
    for number, position, product, sku, quantity, price in connection.execute(
            '''SELECT o.number, i.position, i."productId", i.sku, i.quantity, i.price
               FROM "OrderItem" i JOIN "Order" o ON o.id = i."orderId" ORDER BY o.number, i.position'''):
        rows.setdefault(number, {})[position] = (product, sku, quantity, price)
    for document in documents("orders"):
        items = document.get("items") or []
        for position, item in enumerate(items if isinstance(items, list) else [items]):
            found = rows.get(document["number"], {}).pop(position, None)
            if found:
                assert found == (item["productId"], item["sku"], int(item["qty"]), item["price"].to_decimal())
    assert not any(rows.values())


def test_products_arrive_with_their_uuids_and_categories(migrated, connection):
    rows = {sku: rest for sku, *rest in connection.execute(
        '''SELECT p.sku, p.id, p.name, p.ean, p.weight, p."erpId", p.image,
                  ARRAY(SELECT c.slug FROM "_CategoryToProduct" j JOIN "Category" c ON c.id = j."A" WHERE j."B" = p.id ORDER BY c.slug)
           FROM "Product" p''')}
    assert len(rows) == EXPECTED["mended"]["rows"]["Product"]
    for document in documents("products"):
        if document["sku"] not in rows:
            continue
        found = rows[document["sku"]]
        found[3] = repr(found[3])  # NaN is not equal to itself
        erp, weight, image = document["erpId"], document.get("weight"), document.get("image")
        assert found == [
            document["_id"], document["name"], document["ean"], repr(weight),
            erp and Binary(erp, 3).as_uuid(JAVA_LEGACY), image, sorted(document.get("categories", [])),
        ], document


def test_every_flaw_is_found_through_the_foreign_tables(source, connection):
    """dirt.json counts the flaws in Python; here SQL counts them in the documents that mongoferry reads."""
    connection.execute("CREATE SCHEMA raw")
    for collection in {flaw["collection"] for flaw in MANIFEST["flaws"]}:
        connection.execute(f"""CREATE FOREIGN TABLE raw.{collection} (document jsonb OPTIONS (field '$$ROOT'))
                               SERVER shop OPTIONS (json_format 'canonical', on_nul 'replace')""")
    found = [(f["collection"], f["flaw"], connection.execute(f"SELECT count(*) FROM raw.{f['collection']} WHERE {f['where']}").fetchone()[0])
             for f in MANIFEST["flaws"]]
    assert found == [(f["collection"], f["flaw"], f["documents"]) for f in MANIFEST["flaws"]]


def test_import_makes_a_readable_table_of_each_collection(source, connection):
    connection.execute("CREATE SCHEMA imported; IMPORT FOREIGN SCHEMA shop FROM SERVER shop INTO imported")
    tables = [name for (name,) in connection.execute(
        "SELECT foreign_table_name FROM information_schema.foreign_tables WHERE foreign_table_schema = 'imported' ORDER BY 1")]
    assert tables == ["customers", "orders", "products", "reviews"]
    for name in tables:
        assert connection.execute(f"SELECT count(*) FROM imported.{name}").fetchone()[0] == EXPECTED["documents"][name]

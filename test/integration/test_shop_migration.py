"""The example's migration, from dump to target, against what its generator says has to come out (examples/shop/dirt.json)."""

import gzip
import json
import shutil
from decimal import Decimal
from pathlib import Path

import bson
import psycopg
import pytest
from bson.binary import JAVA_LEGACY, Binary, UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion

SHOP = Path(__file__).parents[2] / "examples" / "shop"
MANIFEST = json.loads((SHOP / "dirt.json").read_text())
EXPECTED = MANIFEST["expected"]


def documents(collection):
    options = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO, uuid_representation=UuidRepresentation.STANDARD)
    return bson.decode_all(gzip.decompress((SHOP / "dump" / "shop" / f"{collection}.bson.gz").read_bytes()), options)


@pytest.fixture
def source(postgres, database, folder):
    """The database, with the foreign tables over a copy of the dump that the server can read."""
    shutil.copytree(SHOP / "dump", folder / "dump")
    for path in (folder / "dump").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "dump").chmod(0o755)
    postgres.psql((SHOP / "foreign_tables.sql").read_text(), database=database, variables={"dump": folder / "dump" / "shop"})
    return database


@pytest.fixture
def migrated(postgres, source):
    """What psql said on the way: its standard error, in which warnings are."""
    said = ""
    for script in ("schema.sql", "migrate.sql", "counts.sql"):
        said += postgres.psql((SHOP / script).read_text(), database=source).stderr
    return said


def test_every_document_is_written_or_refused(migrated, connection):
    table = {"customers": "Customer", "products": "Product", "orders": "Order", "orders.items": "OrderItem", "reviews": "Review"}
    expected = {
        (name, EXPECTED["documents"][name], table[name], EXPECTED["rows"][table[name]], sum(EXPECTED["refused"][name].values()), 0)
        for name in table
    }
    assert set(connection.execute("SELECT * FROM migration.counts").fetchall()) == expected


def test_documents_are_refused_for_the_reasons_that_the_generator_gives(migrated, connection):
    refused = {name: {} for name in EXPECTED["refused"]}
    for collection, reason, count in connection.execute(
            "SELECT collection, reason, count(*) FROM migration.refused GROUP BY collection, reason"):
        refused[collection][reason] = count
    assert refused == EXPECTED["refused"]


def test_tables_hold_as_many_rows_as_the_generator_says(migrated, connection):
    rows = {table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in EXPECTED["rows"]}
    assert rows == EXPECTED["rows"]


def test_unreadable_values_are_kept_aside_and_warned_of(migrated, connection):
    kept = connection.execute("SELECT collection, field, value->'$date'->>'$numberLong' FROM migration.set_to_null").fetchall()
    assert sorted(kept) == [("customers", "birthDate", "-315619200000000000"), ("customers", "birthDate", "946684800000000000")]
    assert "WARNING" in migrated


def test_orders_arrive_as_they_were(migrated, connection):
    """Every written order, value by value, against pymongo's reading of the dump."""
    rows = {number: rest for number, *rest in connection.execute(
        '''SELECT number, mongoferry.to_objectid(id)::text, mongoferry.to_objectid("customerId")::text, status::text, total, "shippingCountry",
                  "giftMessage", coupons, "placedAt" FROM "Order"''')}
    assert len(rows) == EXPECTED["rows"]["Order"]
    for document in documents("orders"):
        if document["number"] not in rows:
            continue
        total = document["total"]
        total = total.to_decimal() if isinstance(total, bson.Decimal128) else Decimal(repr(total))
        gift = document.get("giftMessage")
        assert rows[document["number"]] == [
            str(document["_id"]),
            str(document["customerId"]) if document.get("customerId") else None,
            document["status"].upper(),
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
                               SERVER shop_dump OPTIONS (json_format 'canonical', on_nul 'replace')""")
    found = [(f["collection"], f["flaw"], connection.execute(f"SELECT count(*) FROM raw.{f['collection']} WHERE {f['where']}").fetchone()[0])
             for f in MANIFEST["flaws"]]
    assert found == [(f["collection"], f["flaw"], f["documents"]) for f in MANIFEST["flaws"]]


def test_a_strict_column_refuses_and_says_what_and_where(source, connection):
    connection.execute("CREATE FOREIGN TABLE strict (_id uuid, price numeric) SERVER shop_dump OPTIONS (collection 'products')")
    bad = next(d for d in documents("products") if isinstance(d.get("price"), str))
    with pytest.raises(psycopg.DataError) as raised:
        connection.execute("SELECT sum(price) FROM strict")
    told = " ".join(filter(None, (raised.value.diag.message_primary, raised.value.diag.message_detail, raised.value.diag.message_hint)))
    for word in ("products", "price", "string", "numeric", str(bad["_id"]), "on_mismatch"):
        assert word in told, told


def test_import_makes_a_readable_table_of_each_collection(source, connection):
    tables = [name for (name,) in connection.execute(
        "SELECT foreign_table_name FROM information_schema.foreign_tables WHERE foreign_table_schema = 'imported' ORDER BY 1")]
    assert tables == ["customers", "orders", "products", "reviews"]
    for name in tables:
        assert connection.execute(f"SELECT count(*) FROM imported.{name}").fetchone()[0] == EXPECTED["documents"][name]

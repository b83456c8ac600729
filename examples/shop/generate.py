#!/usr/bin/env python3
"""Writes the example's source: what `mongodump --gzip --db shop` leaves of a small shop's database.

    generate.py [FOLDER]        FOLDER/dump/shop/* and FOLDER/dirt.json (default: beside this file)

Real collections are not clean, and neither are these: fields are missing, types drift, references point nowhere. Every
such flaw is planted on purpose, in a known number; dirt.json lists them, and says what a migration into schema.sql has
to write and to refuse. Those expectations come from the documents by the rules in `expect`, in Python, so that they are
a second opinion on what migrate.sql does in SQL.

Two runs write the same bytes, on any machine: the only source of randomness is Random(seed).random(), the one method
whose sequence Python guarantees across versions; there is no clock and no floating-point function that a C library could
round differently. (The gzip layer is the compressor's own: another zlib may write other compressed bytes.)

Needs the `bson` module of pymongo. Formats: the BSON specification; mongodump's folder format as of the MongoDB Database
Tools 100.12 and later: NAME.bson.gz, NAME.metadata.json.gz (canonical Extended JSON) and prelude.json.gz.
"""

import datetime
import gzip
import io
import json
import random
import re
import struct
import sys
import uuid
from decimal import Decimal
from pathlib import Path

import bson
from bson import Binary, Decimal128, Int64, ObjectId, Timestamp
from bson.binary import JAVA_LEGACY, UuidRepresentation
from bson.datetime_ms import DatetimeMS

CUSTOMERS, PRODUCTS, ORDERS, REVIEWS = 800, 250, 2500, 1500

# Limits of the target that `expect` judges by; schema.sql declares the same.
INT4_MAX = 2**31 - 1
PRODUCT_NAME_LENGTH = 120
MENDED_PRODUCT_NAME_LENGTH = 200  # as migrate.sql makes it
PRICE_LIMIT = Decimal(10) ** 10  # numeric(12,2) holds less than this
STATUSES = ["pending", "paid", "shipped", "delivered", "cancelled"]

CODEC = bson.CodecOptions(uuid_representation=UuidRepresentation.STANDARD, tz_aware=True)


class Dice:
    """Random choices made of Random.random() alone, a sequence that no Python version may change."""

    def __init__(self, seed):
        self._random = random.Random(seed).random

    def below(self, n):
        return int(self._random() * n)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def pick(self, values):
        return values[self.below(len(values))]

    def chance(self, percent):
        return self.below(100) < percent

    def octets(self, n):
        return bytes(self.below(256) for _ in range(n))

    def some(self, values, n):
        """n different members of values, in their order."""
        left, taken = list(range(len(values))), []
        for _ in range(min(n, len(left))):
            taken.append(left.pop(self.below(len(left))))
        return [values[i] for i in sorted(taken)]

    def uuid4(self):
        return uuid.UUID(bytes=self.octets(16), version=4)


def object_id(seconds, dice, counter):
    """An ObjectId as a driver makes it: seconds, 5 bytes of the process, 3 bytes of a counter."""
    process = (b"\x8f\x1c\x44\xd0\x2a", b"\x03\xe7\x5b\x90\x11", b"\xc6\x60\x0d\xaf\x7e")[dice.below(3)]
    return ObjectId(struct.pack(">I", seconds) + process + struct.pack(">I", counter & 0xFFFFFF)[1:])


def utc(seconds, milliseconds=0):
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return epoch + datetime.timedelta(seconds=seconds, milliseconds=milliseconds)


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def money(cents):
    """Decimal128 with two places."""
    return Decimal128(Decimal(cents).scaleb(-2))


def cents(value):
    """Of a clean price: what `money` was given."""
    return int(value.to_decimal().scaleb(2))


SHOP_OPENED = 1_546_300_800  # 2019-01-01
SHOP_DUMPED = 1_719_792_000  # 2024-07-01

FIRST_NAMES = ["Anna", "Jürgen", "Zoë", "François", "Łukasz", "Çelik", "Søren", "Ángel", "Bjørk", "Dvořák", "Iryna", "Γιώργος", "Юлия",
               "美咲", "小明", "민준", "مريم", "נועה", "Ömer", "Chloé", "Mary Ann", "Seán", "Nguyễn", "João", "Åsa", "Emma", "Noah", "Mia"]
LAST_NAMES = ["Müller", "O’Brien", "García", "Šimek", "Nowak", "Weiß", "van den Berg", "D'Angelo", "Kowalska", "Ølgaard", "Papadopoulos",
              "Иванова", "田中", "王", "김", "الحسن", "לוי", "Yılmaz", "Smith", "Jensen", "Dubois", "Silva", "Nagy", "Öztürk", "Brown"]
PLACES = [("Wien", "AT", "1070"), ("Zürich", "CH", "8001"), ("Köln", "DE", "50667"), ("München", "DE", "80331"), ("Berlin", "DE", "10115"),
          ("Århus", "DK", "8000"), ("A Coruña", "ES", "15001"), ("Besançon", "FR", "25000"), ("Łódź", "PL", "90-001"), ("Göteborg", "SE", "411 03"),
          ("Dún Laoghaire", "IE", "A96 X6P0"), ("東京", "JP", "100-0001"), ("İzmir", "TR", "35210")]
STREETS = ["Hauptstraße", "Gartenweg", "Rue de l’Église", "Calle Mayor", "Długa", "Kungsgatan", "Nørregade", "中央通り", "Bahnhofstrasse", "Station Road"]
THINGS = ["Teekanne", "Grüner Tee", "抹茶 Matcha", "Earl Grey", "قهوة عربية", "Café crème", "Kaffeemühle", "Espressotasse", "Becher", "Löffel",
          "Honig", "Kandis", "Filter No. 4", "Thermoskanne", "Gaiwan 盖碗", "Mate", "Чай с мятой", "Sencha 煎茶", "Zucker", "Tablett"]
KINDS = ["", " Bio", " Nr. 7", " XL", " (Set)", " ☕", " – Edition 2021", " Déjà vu", " 🎁", " 50 %"]
CATEGORIES = ["tea", "coffee", "dishes", "sweet", "gift", "organic", "storage", "sale"]
TAGS = ["new", "bestseller", "fair-trade", "vegan", "glasklar", "手作り", "last chance"]
PRAISE = ["Super!", "Schmeckt wie früher.", "とても美味しい", "Très bon, merci 🙂", "ممتاز", "Kam zerbrochen an 😢", "ok", "Wird wieder bestellt.",
          "Not my cup of tea.", "Очень вкусно", "Five stars ⭐⭐⭐⭐⭐", "Zu süß."]


def make_customers():
    dice, documents = Dice(1), []
    seconds = SHOP_OPENED
    for i in range(CUSTOMERS):
        seconds += dice.between(60_000, 300_000)
        first, last = dice.pick(FIRST_NAMES), dice.pick(LAST_NAMES)
        city, country, postcode = dice.pick(PLACES)
        document = {
            "_id": object_id(seconds, dice, 0x2A0000 + i),
            "name": {"first": first, "last": last},
            "email": f"kunde{i:03d}@{dice.pick(['example.org', 'example.com', 'mail.example.net'])}",
            "phone": f"+49 30 {dice.between(1000000, 9999999)}",
            # 1930 to 2005: about half of them before 1970, where milliseconds since the epoch are negative
            "birthDate": utc(dice.between(-14610, 12783) * 86400),
            "address": {
                "street": f"{dice.pick(STREETS)} {dice.between(1, 140)}",
                "postcode": postcode,
                "city": city,
                "country": country,
            },
            "loyaltyPoints": dice.between(0, 4000),
            "marketing": dice.chance(40),
            "tags": dice.some(["vip", "b2b", "newsletter", "Großkunde"], dice.below(3)),
            "preferences": {"theme": dice.pick(["dark", "light"]), "size": {"unit": "cm", "value": dice.between(150, 200)}},
            "createdAt": utc(seconds, dice.below(1000)),
        }
        if not dice.chance(60):
            del document["phone"]
        documents.append(document)

    # The first version of the application knew no structure of names, and had no birth dates.
    for i in range(0, 40):
        name = documents[i]["name"]
        documents[i]["name"] = f"{name['first']} {name['last']}"
        documents[i].pop("birthDate")
    for i in range(50, 62):
        documents[i]["birthDate"] = None
    for i in range(70, 85):
        documents[i].pop("email")
    for i in range(90, 95):
        documents[i]["email"] = None
    for i in range(100, 118):
        documents[i].pop("address")
    for i in range(120, 124):
        documents[i]["address"] = None
    for i in range(130, 142):
        documents[i]["address"]["postcode"] = dice.between(10000, 99999)  # int32 where others have text
    for i in range(150, 165):
        documents[i]["phone"] = Int64(49_301_000_0000 + dice.below(1_000_000))
    for i in range(170, 180):
        documents[i]["loyaltyPoints"] = float(documents[i]["loyaltyPoints"])  # 120.0: an int all the same
    for i in range(180, 186):
        documents[i].pop("loyaltyPoints")
    documents[190]["loyaltyPoints"] = 99.5
    documents[191]["loyaltyPoints"] = Int64(3_000_000_000)
    for i in range(200, 209):
        documents[i]["marketing"] = dice.pick(["yes", "true", "no"])
    documents[210]["tags"] = ["vip", None, "newsletter"]
    documents[211]["tags"] = "vip"  # a bare value where others have an array
    documents[220]["notes"] = "calls back\x00after five"
    documents[221]["notes"] = "\u202bשלום, לקוח ותיק\u202c – עברית"
    documents[222]["notes"] = "👩‍👩‍👧‍👦 orders for the family; e\u0301 decomposed"
    # nanoseconds since 1970 where milliseconds belong: the year 30 million, which no PostgreSQL date holds
    documents[230]["birthDate"] = DatetimeMS(946_684_800_000_000_000)
    documents[231]["birthDate"] = DatetimeMS(-315_619_200_000_000_000)
    # the same address in other letters: MongoDB's unique index compares bytes
    for older, newer in ((300, 560), (301, 655), (302, 720)):
        documents[newer]["email"] = documents[older]["email"].upper()
    # customers that asked to be deleted; their orders, reviews and referrals stay behind
    gone = [documents[i]["_id"] for i in (400, 430, 470, 500)]
    # a customer may be entered before the one who brought them
    referrals = Dice(5)
    for i in range(240, CUSTOMERS, 7):
        documents[i]["referredBy"] = documents[referrals.pick([n for n in range(CUSTOMERS) if n != i])]["_id"]
    for i, n in ((240, 400), (247, 430), (254, 190), (261, 230), (268, 231)):  # gone, or refused by the target
        documents[i]["referredBy"] = documents[n]["_id"]
    documents[230]["referredBy"] = documents[10]["_id"]
    return [d for d in documents if d["_id"] not in gone], gone


def make_products():
    dice, documents = Dice(2), []
    for i in range(PRODUCTS):
        document = {
            "_id": dice.uuid4(),
            "sku": f"SKU-{i + 1:05d}",
            "name": dice.pick(THINGS) + dice.pick(KINDS),
            "price": money(dice.between(150, 9900)),
            "stock": dice.between(0, 500),
            "ean": Int64(4_006_381_000_000 + dice.below(1_000_000)),
            "weight": dice.between(50, 2500) / 1000,
            "categories": dice.some(CATEGORIES, dice.between(1, 3)),
            "tags": dice.some(TAGS, dice.below(3)),
            "attributes": {"color": dice.pick(["rot", "blau", "grün", None]), "dimensions": {"w": dice.between(5, 40), "h": dice.between(5, 40)}},
            "erpId": Binary.from_uuid(dice.uuid4(), JAVA_LEGACY),  # subtype 3 in the byte order of the old Java driver
            "releasedAt": utc(dice.between(SHOP_OPENED, SHOP_DUMPED) // 86400 * 86400),
            "changed": Timestamp(dice.between(SHOP_OPENED, SHOP_DUMPED), dice.between(1, 9)),
        }
        if dice.chance(8):
            document["discontinued"] = True
        documents.append(document)

    for i in range(0, 20):
        documents[i]["price"] = cents(documents[i]["price"]) / 100  # double, as a shell or a script wrote it
    for i in range(20, 30):
        documents[i]["price"] = dice.between(2, 90)  # int32
    for i in range(30, 37):
        documents[i]["price"] = str(documents[i]["price"].to_decimal())  # "12.50"
    documents[37]["price"] = "auf Anfrage"
    documents[38].pop("price")
    documents[39]["price"] = Decimal128("1E+30")
    for i in range(40, 48):
        documents[i]["stock"] = Int64(documents[i]["stock"])
    for i in range(48, 54):
        documents[i]["stock"] = float(documents[i]["stock"])
    documents[54]["stock"] = 2.5
    documents[60]["name"] = "Geschenkkorb " + "mit allem, was das Herz begehrt, " * 5
    documents[61]["weight"] = float("nan")
    documents[62]["weight"] = float("inf")
    for i in range(63, 70):
        documents[i].pop("weight")
    documents[70]["categories"] = []
    documents[71].pop("categories")
    documents[72]["image"] = Binary(bytes.fromhex("89504e470d0a1a0a") + dice.octets(40))
    documents[73]["erpId"] = None
    documents[74]["attributes"] = {"a.dotted.key": 1, "$dollar": True, "": "empty key"}
    gone = [documents[i]["_id"] for i in (150, 180, 210)]
    return [d for d in documents if d["_id"] not in gone], gone


def make_orders(customers, gone_customers, products, gone_products):
    dice, documents = Dice(3), []
    seconds = SHOP_OPENED + 40 * 86400
    priced = [p for p in products if isinstance(p.get("price"), Decimal128) and p["price"].to_decimal() < PRICE_LIMIT
              and isinstance(p["stock"], int) and len(p["name"]) <= PRODUCT_NAME_LENGTH]
    for i in range(ORDERS):
        seconds += dice.between(30_000, 105_000)
        customer = customers[dice.below(max(20, i * len(customers) // ORDERS))]
        address = customer.get("address") or {"street": "Hauptstraße 1", "postcode": "50667", "city": "Köln", "country": "DE"}
        items = []
        for product in dice.some(priced, dice.between(1, 4)):
            items.append({
                "productId": product["_id"],
                "sku": product["sku"],
                "qty": dice.between(1, 5),
                "price": product["price"],
            })
            if dice.chance(15):
                items[-1]["options"] = {"gift": True, "message": dice.pick(["Alles Gute!", "おめでとう", "🎂", "مبروك"])}
        document = {
            "_id": object_id(seconds, dice, 0x700000 + i),
            "number": 10_000 + i,
            "customerId": customer["_id"],
            "status": dice.pick(STATUSES),
            "items": items,
            "total": money(sum(item["qty"] * cents(item["price"]) for item in items)),
            "currency": "EUR",
            "shipping": {"method": dice.pick(["dhl", "post", "pickup"]), "cost": dice.pick([0, 4.9, 6.5]), "address": dict(address)},
            "placedAt": utc(seconds, dice.below(1000)),
        }
        if dice.chance(10):
            document["coupons"] = dice.some(["WELCOME", "SOMMER-10", "TEE"], dice.between(1, 2))
        documents.append(document)

    for i in range(0, 40):
        documents[i].pop("customerId")  # guests
    for i in range(40, 45):
        documents[i]["customerId"] = None
    for i in range(2000, 2012):
        documents[i]["customerId"] = dice.pick(gone_customers)
    # customers that the target refuses, so that refusals have consequences
    for i, n in ((2020, 190), (2021, 191), (2022, 190)):
        documents[i]["customerId"] = customers[n]["_id"]
    for i in range(100, 112):
        documents[i]["status"] = documents[i]["status"].upper()
    for i, status in ((120, "Shiped"), (121, "on hold"), (122, "on hold")):
        documents[i]["status"] = status
    for i in range(130, 150):
        documents[i]["total"] = cents(documents[i]["total"]) / 100  # double
    for i in range(150, 155):
        documents[i]["total"] = Int64(cents(documents[i]["total"]) // 100)
    documents[160]["total"] = Decimal128("NaN")
    documents[161]["total"] = Decimal128("-25.00")  # a refund
    for i in range(170, 176):
        documents[i]["items"] = []
    for i in range(176, 180):
        documents[i].pop("items")
    for i in range(180, 183):
        documents[i]["items"] = None
    for i in range(183, 186):
        documents[i]["items"] = documents[i]["items"][0]  # an object where others have an array of one
    documents[186]["items"] = [documents[186]["items"][0], "SKU-00042 x 2"]
    for i in range(190, 198):
        documents[i]["items"][0]["qty"] = str(documents[i]["items"][0]["qty"])  # "2"
    documents[198]["items"][0]["qty"] = 1.5
    for i in range(200, 210):
        documents[i]["items"][0]["productId"] = dice.pick(gone_products)
    for i, sku in ((210, "SKU-00038"), (211, "SKU-00061")):  # products that the target refuses
        documents[i]["items"][0].update(productId=next(p["_id"] for p in products if p["sku"] == sku), sku=sku)
    documents[220]["giftMessage"] = "Für Oma\x00"
    documents[221]["giftMessage"] = "יום הולדת שמח! 🎉"
    documents[222]["giftMessage"] = "\U0001f469\u200d\U0001f373 Guten Appetit"
    for i in range(230, 236):
        documents[i]["shipping"].pop("address")
    for i in range(236, 239):
        documents[i].pop("shipping")
    return documents


def make_reviews(customers, gone_customers, products, gone_products):
    dice, documents, taken = Dice(4), [], set()
    seconds = SHOP_OPENED + 90 * 86400
    while len(documents) < REVIEWS:
        i = len(documents)
        pair = (dice.pick(customers)["_id"], dice.pick(products)["_id"])
        if pair in taken:
            continue
        taken.add(pair)
        seconds += dice.between(60_000, 180_000)
        document = {
            "_id": object_id(seconds, dice, 0x110000 + i),
            "customerId": pair[0],
            "productId": pair[1],
            "rating": dice.between(1, 5),
            "text": dice.pick(PRAISE),
            "helpful": {"up": dice.below(30), "down": dice.below(5)},
            "createdAt": utc(seconds, dice.below(1000)),
        }
        if dice.chance(30):
            document["verified"] = dice.chance(80)
        documents.append(document)

    # Taken over from the shop's forerunner: integer keys, references as text, dates as text.
    for i in range(0, 60):
        documents[i]["_id"] = 501 + i
        documents[i]["customerId"] = str(documents[i]["customerId"])
        documents[i]["createdAt"] = iso(documents[i]["createdAt"])
    documents[59]["createdAt"] = "last Tuesday"
    for i in range(100, 125):
        documents[i]["rating"] = float(documents[i]["rating"])
    for i in range(125, 137):
        documents[i]["rating"] = str(documents[i]["rating"])
    for i in range(137, 140):
        documents[i]["rating"] = 4.5
    documents[140]["rating"] = "great"
    for i in range(141, 145):
        documents[i].pop("rating")
    for i in range(150, 159):
        documents[i]["customerId"] = dice.pick(gone_customers)
    for i in range(160, 167):
        documents[i]["productId"] = dice.pick(gone_products)
    # a second review of the same product by the same customer
    for older, newer in ((700, 1300), (701, 1301), (702, 1302), (703, 1303), (704, 1304)):
        for field in ("customerId", "productId"):
            documents[newer][field] = documents[older][field]
    documents[170]["text"] = "Zeichen\x00verloren"
    documents[171]["text"] = "\x00"
    for i in range(180, 190):
        documents[i]["text"] = None
    for i in range(190, 200):
        documents[i].pop("text")
    for i in range(200, 206):
        documents[i]["helpful"]["up"] = Int64(documents[i]["helpful"]["up"])
    # mongodump reads along the index on _id, in which numbers come before ObjectIds
    return sorted(documents, key=lambda d: (isinstance(d["_id"], ObjectId), d["_id"]))


# --- What a migration into schema.sql has to make of it ---------------------------------------------------------------


def number(value):
    """The number that a value of a collection stands for, text included; None if it stands for none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, str):
        return Decimal(value) if re.fullmatch(r"-?\d+(\.\d+)?", value) else None
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(int(value))


def fits_integer(value):
    value = number(value)
    return value is not None and value.is_finite() and value == int(value) and abs(value) <= INT4_MAX


def expect(customers, products, orders, reviews, mended):
    """What the tasks of tasks.sql make of it: of each task the documents that are refused, by SQLSTATE and the constraint or column
    that the error names, and the rows of each table. `mended`: after what migrate.sql mends, and with that tried again.

    Of several reasons the one counts that PostgreSQL meets first: values, NOT NULL, CHECK, unique keys, foreign keys.
    """
    refused = {}

    def refuse(task, *reason):
        reasons = refused.setdefault(task, {})
        reasons[" ".join(reason)] = reasons.get(" ".join(reason), 0) + 1

    def unfit(value):
        """The SQLSTATE for a value that an integer column does not take."""
        return "22P02" if isinstance(value, str) and number(value) is None else "22003"

    kept_customers, emails = set(), set()
    for document in customers:  # in the order of _id, so the older one keeps an address that two have
        email, birth = (document.get("email") or "").lower(), document.get("birthDate")
        if isinstance(birth, DatetimeMS) and not mended:
            refuse("customers", "22008", "birth_date")
        elif document.get("loyaltyPoints") is not None and not fits_integer(document["loyaltyPoints"]):
            refuse("customers", unfit(document["loyaltyPoints"]), "loyalty_points")
        elif email and email in emails:
            refuse("customers", "23505", "Customer_email_key")
        else:
            kept_customers.add(str(document["_id"]))
            emails.add(email)
    for document in customers:
        if "referredBy" in document and str(document["_id"]) in kept_customers and str(document["referredBy"]) not in kept_customers:
            refuse("referrals", "23503", "Customer_referredById_fkey")

    kept_products, categories, assigned = set(), set(), 0
    for document in products:
        price = number(document.get("price"))
        categories.update(document.get("categories", []))
        if isinstance(document.get("price"), str) and price is None:
            refuse("products", "22P02", "price")
        elif not fits_integer(document["stock"]):
            refuse("products", unfit(document["stock"]), "stock")
        elif len(document["name"]) > (MENDED_PRODUCT_NAME_LENGTH if mended else PRODUCT_NAME_LENGTH):
            refuse("products", "22001")
        elif price is not None and abs(price) >= PRICE_LIMIT:
            refuse("products", "22003")
        elif price is None:
            refuse("products", "23502", "price")
        else:
            kept_products.add(document["_id"])
            assigned += len(document.get("categories", []))
            continue
        if document.get("categories"):
            refuse("category links", "23503", "_CategoryToProduct_B_fkey")

    kept_orders, item_rows, elements = 0, 0, 0
    for document in orders:
        reason = None
        if document["status"].lower() not in STATUSES and not mended:
            reason = ("22P02",)
        elif not number(document["total"]).is_finite():
            reason = ("23514", "Order_total_check")
        elif document.get("customerId") is not None and str(document["customerId"]) not in kept_customers:
            reason = ("23503", "Order_customerId_fkey")
        if reason:
            refuse("orders", *reason)
        else:
            kept_orders += 1
        # a document is refused with all of its items
        items = document.get("items") or []
        items = items if isinstance(items, list) else [items]
        elements += len(items)
        fields = [item if isinstance(item, dict) else {} for item in items]
        if any("qty" in item and not fits_integer(item["qty"]) for item in fields):
            refuse("order items", "22003", "quantity")
        elif any("productId" not in item for item in fields):
            refuse("order items", "23502", "productId")
        elif items and reason:
            refuse("order items", "23503", "OrderItem_orderId_fkey")
        elif any(item["productId"] not in kept_products for item in fields):
            refuse("order items", "23503", "OrderItem_productId_fkey")
        else:
            item_rows += len(items)

    review_rows, pairs = 0, set()
    for document in reviews:
        pair = (str(document["customerId"]), document["productId"])
        moment = document["createdAt"] if isinstance(document["createdAt"], str) else iso(document["createdAt"])
        if document.get("rating") is not None and not fits_integer(document["rating"]):
            refuse("reviews", unfit(document["rating"]), "rating")
        elif not moment[:1].isdigit():
            refuse("reviews", "22007", "created_at")
        elif document.get("rating") is None:
            refuse("reviews", "23502", "rating")
        elif pair in pairs:  # the first review stays
            refuse("reviews", "23505", "Review_customerId_productId_key")
        elif pair[0] not in kept_customers:
            refuse("reviews", "23503", "Review_customerId_fkey")
        elif pair[1] not in kept_products:
            refuse("reviews", "23503", "Review_productId_fkey")
        else:
            review_rows += 1
            pairs.add(pair)

    return {
        "refused": {task: dict(sorted(reasons.items())) for task, reasons in refused.items()},
        "rows": {"Customer": len(kept_customers), "Product": len(kept_products), "Category": len(categories),
                 "_CategoryToProduct": assigned, "Order": kept_orders, "OrderItem": item_rows, "Review": review_rows},
        "elements": elements,
    }


# --- The flaws, to be counted by anybody ------------------------------------------------------------------------------


def typed(field, *types):
    return lambda d: field in d and isinstance(d[field], types)


def has_nul(value):
    return isinstance(value, str) and "\x00" in value


def items_of(document):
    items = document.get("items")
    return [i for i in items if isinstance(i, dict)] if isinstance(items, list) else []


MISSING, IS_NULL = "NOT document ? '{0}'", "document->'{0}' = 'null'"
IS_TEXT, IS_INT32 = "jsonb_typeof(document->'{0}') = 'string'", "document->'{0}' ? '$numberInt'"
IS_INT64, IS_DOUBLE, IS_DECIMAL = "document->'{0}' ? '$numberLong'", "document->'{0}' ? '$numberDouble'", "document->'{0}' ? '$numberDecimal'"
NUL_REPLACED = "strpos(document->>'{0}', chr(65533)) > 0"  # as on_nul 'replace' shows it


def flaws(gone_customers):
    """(collection, what, test of a decoded document, the same as SQL over the document in canonical Extended JSON)"""

    def missing(field):
        return (f"{field} is missing", lambda d: field not in d, MISSING.format(field))

    def null(field):
        return (f"{field} is null", lambda d: field in d and d[field] is None, IS_NULL.format(field))

    def kind(field, sql, name, *types):
        return (f"{field} is {name}", typed(field, *types), sql.format(field))

    def text(field):
        return kind(field, IS_TEXT, "a string", str)

    def int32(field):
        return (f"{field} is an int32", lambda d: type(d.get(field)) is int, IS_INT32.format(field))

    def int64(field):
        return kind(field, IS_INT64, "an int64", Int64)

    def double(field):
        return kind(field, IS_DOUBLE, "a double", float)

    def nul(field):
        return (f"{field} holds a NUL character", lambda d: has_nul(d.get(field)), NUL_REPLACED.format(field))

    def ms(d):
        value = d.get("birthDate")
        return None if value is None else int(value) if isinstance(value, DatetimeMS) else int(value.timestamp() * 1000)

    birth = "(document->'birthDate'->'$date'->>'$numberLong')::bigint"
    yield from (("customers", *flaw) for flaw in (
        text("name"), missing("email"), null("email"),
        ("email differs from another only in case", lambda d: (d.get("email") or "") != (d.get("email") or "").lower(),
         "document->>'email' <> lower(document->>'email')"),
        missing("birthDate"), null("birthDate"),
        ("birthDate lies before 1970", lambda d: ms(d) is not None and ms(d) < 0, f"{birth} < 0"),
        ("birthDate is beyond what PostgreSQL holds", lambda d: ms(d) is not None and abs(ms(d)) > 10**16, f"abs({birth}) > 10::numeric ^ 16"),
        missing("address"), null("address"),
        ("address.postcode is an int32", lambda d: type((d.get("address") or {}).get("postcode")) is int,
         "document->'address'->'postcode' ? '$numberInt'"),
        ("referredBy is someone who is gone", lambda d: d.get("referredBy") in gone_customers,
         "document->'referredBy'->>'$oid' IN (" + ", ".join(f"'{i}'" for i in sorted(map(str, gone_customers))) + ")"),
        int64("phone"), missing("loyaltyPoints"), int64("loyaltyPoints"), double("loyaltyPoints"),
        text("marketing"), text("tags"),
        ("tags holds a null", lambda d: isinstance(d["tags"], list) and None in d["tags"],
         "jsonb_typeof(document->'tags') = 'array' AND document->'tags' @> '[null]'"),
        nul("notes"),
    ))
    yield from (("products", *flaw) for flaw in (
        double("price"), int32("price"), text("price"), missing("price"),
        ("price is beyond numeric(12,2)", lambda d: isinstance(d.get("price"), Decimal128) and d["price"].to_decimal() >= PRICE_LIMIT,
         "(document->'price'->>'$numberDecimal')::numeric >= 10::numeric ^ 10"),
        int64("stock"), double("stock"),
        ("name is longer than 120 characters", lambda d: len(d["name"]) > PRODUCT_NAME_LENGTH, "length(document->>'name') > 120"),
        missing("weight"),
        ("weight is NaN or infinite", lambda d: "weight" in d and d["weight"] - d["weight"] != 0,
         "document->'weight'->>'$numberDouble' IN ('NaN', 'Infinity', '-Infinity')"),
        missing("categories"),
        ("categories is empty", lambda d: d.get("categories") == [], "document->'categories' = '[]'"),
        ("erpId is a UUID of subtype 3", lambda d: isinstance(d["erpId"], Binary) and d["erpId"].subtype == 3,
         "document->'erpId'->'$binary'->>'subType' = '03'"),
        null("erpId"),
    ))
    yield from (("orders", *flaw) for flaw in (
        missing("customerId"), null("customerId"),
        ("status is none of the enum's, in any case", lambda d: d["status"].lower() not in STATUSES,
         "lower(document->>'status') NOT IN (" + ", ".join(f"'{s}'" for s in STATUSES) + ")"),
        ("status is in upper case", lambda d: d["status"].isupper(), "document->>'status' = upper(document->>'status')"),
        double("total"), int64("total"),
        ("total is NaN", lambda d: isinstance(d["total"], Decimal128) and d["total"].to_decimal().is_nan(),
         "document->'total'->>'$numberDecimal' = 'NaN'"),
        missing("items"), null("items"),
        ("items is empty", lambda d: d.get("items") == [], "document->'items' = '[]'"),
        ("items is an object", lambda d: isinstance(d.get("items"), dict), "jsonb_typeof(document->'items') = 'object'"),
        ("an item is a string", lambda d: isinstance(d.get("items"), list) and any(isinstance(i, str) for i in d["items"]),
         "jsonb_typeof(document->'items') = 'array' AND document @? 'strict $.items[*] ? (@.type() == \"string\")'"),
        ("an item's qty is a string", lambda d: any(isinstance(i["qty"], str) for i in items_of(d)),
         "document @? 'lax $.items[*].qty ? (@.type() == \"string\")'"),
        ("an item's qty is a double", lambda d: any(isinstance(i["qty"], float) for i in items_of(d)),
         "document @? 'lax $.items[*].qty.\"$numberDouble\"'"),
        nul("giftMessage"),
        ("shipping is missing, or its address is", lambda d: "address" not in d.get("shipping", {}), "document->'shipping'->'address' IS NULL"),
    ))
    yield from (("reviews", *flaw) for flaw in (
        int32("_id"), text("customerId"), text("createdAt"),
        double("rating"), text("rating"), missing("rating"),
        ("helpful.up is an int64", lambda d: isinstance(d["helpful"]["up"], Int64), "document->'helpful'->'up' ? '$numberLong'"),
        missing("text"), null("text"), nul("text"),
    ))


def dirt(collections, gone_customers):
    counted = [{"collection": name, "flaw": what, "documents": sum(bool(test(d)) for d in collections[name]), "where": where}
               for name, what, test, where in flaws(gone_customers)]
    documents = (collections["customers"], collections["products"], collections["orders"], collections["reviews"])
    first, mended = expect(*documents, mended=False), expect(*documents, mended=True)
    return {
        "about": "Written by generate.py. flaws: how many documents have it, and how to find them in SQL, where document is the whole"
                 " document in canonical Extended JSON with on_nul 'replace'. expected: how many documents and elements of the array"
                 " items a migration reads; which documents each task refuses, by SQLSTATE and the constraint or column that the"
                 " error names, and how many rows each table has: at first, and when what migrate.sql mends is mended.",
        "flaws": counted,
        "expected": {
            "documents": {**{name: len(found) for name, found in collections.items()}, "orders.items": first.pop("elements")},
            "first": first,
            "mended": {name: mended[name] for name in first},
        },
    }


# --- Files ------------------------------------------------------------------------------------------------------------

INDEXES = {
    "customers": [{"key": {"email": 1}, "unique": True, "sparse": True}],
    "products": [{"key": {"sku": 1}, "unique": True}, {"key": {"categories": 1}}],
    "orders": [{"key": {"number": 1}, "unique": True}, {"key": {"customerId": 1, "placedAt": -1}}],
    "reviews": [{"key": {"productId": 1}}],
}


def metadata(collection, number_of_collection):
    """What mongodump writes beside the documents: options, indexes as listIndexes gives them, UUID, name."""

    def index(key, **options):
        canonical = {field: {"$numberInt": str(direction)} for field, direction in key.items()}
        name = "_id_" if key == {"_id": 1} else "_".join(f"{field}_{direction}" for field, direction in key.items())
        return {"v": {"$numberInt": "2"}, "key": canonical, "name": name, **options}

    described = {
        "options": {},
        "indexes": [index({"_id": 1})] + [index(**i) for i in INDEXES[collection]],
        "uuid": Dice(100 + number_of_collection).uuid4().hex,
        "collectionName": collection,
        "type": "collection",
    }
    return json.dumps(described, separators=(",", ":")).encode()


def compressed(name, content):
    """gzip with the member's name and no time, so that the same content gives the same file."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename=name, mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as stream:
        stream.write(content)
    return buffer.getvalue()


def generate():
    """(path below the target folder, content) of every file."""
    customers, gone_customers = make_customers()
    products, gone_products = make_products()
    collections = {
        "customers": customers,
        "products": sorted(products, key=lambda d: d["_id"].bytes),  # in the order of the index on _id
        "orders": make_orders(customers, gone_customers, products, gone_products),
        "reviews": make_reviews(customers, gone_customers, products, gone_products),
    }
    files = {"dump/shop/prelude.json": b'{"ServerVersion":"7.0.16","ToolVersion":"100.12.0"}'}
    for i, (name, documents) in enumerate(collections.items()):
        files[f"dump/shop/{name}.bson"] = b"".join(bson.encode(d, codec_options=CODEC) for d in documents)
        files[f"dump/shop/{name}.metadata.json"] = metadata(name, i)
    for path, content in files.items():
        yield path + ".gz", compressed(Path(path).name, content)
    report = dirt(collections, gone_customers)
    yield "dirt.json", (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode()


def main():
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for path, content in generate():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        print(f"{len(content):8} {file}")


if __name__ == "__main__":
    main()

"""The example's dump: that generate.py makes it, that it is what mongodump writes, and that dirt.json tells the truth about it.

Needs no server: this reads the files of examples/shop with pymongo's bson.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import bson
import pytest
from bson import json_util
from bson.codec_options import CodecOptions, DatetimeConversion

SHOP = Path(__file__).parents[2] / "examples" / "shop"
DUMP = SHOP / "dump" / "shop"
COLLECTIONS = ["customers", "orders", "products", "reviews"]


def unpacked(path):
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def documents(collection):
    options = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
    return list(bson.decode_iter(unpacked(DUMP / f"{collection}.bson.gz"), options))


@pytest.fixture(scope="module")
def manifest():
    return json.loads((SHOP / "dirt.json").read_text())


def test_generator_reproduces_the_committed_files(tmp_path):
    subprocess.run([sys.executable, SHOP / "generate.py", tmp_path], check=True, capture_output=True)
    made = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    committed = sorted(p.relative_to(SHOP) for p in DUMP.rglob("*") if p.is_file()) + [Path("dirt.json")]
    assert made == sorted(committed)
    for path in made:
        # The content, not the compressed bytes, which are the local zlib's.
        assert unpacked(tmp_path / path) == unpacked(SHOP / path), path


def test_gzip_members_carry_no_time():
    for path in DUMP.iterdir():
        assert path.read_bytes()[4:8] == b"\0\0\0\0", path


def test_files_are_those_of_one_mongodump_run():
    expected = {f"{name}.{kind}.gz" for name in COLLECTIONS for kind in ("bson", "metadata.json")}
    assert {p.name for p in DUMP.iterdir()} == expected | {"prelude.json.gz"}


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_metadata(collection):
    described = json_util.loads(unpacked(DUMP / f"{collection}.metadata.json.gz"))
    assert list(described) == ["options", "indexes", "uuid", "collectionName", "type"]
    assert described["collectionName"] == collection and described["type"] == "collection"
    assert described["indexes"][0] == {"v": 2, "key": {"_id": 1}, "name": "_id_"}
    assert len(bytes.fromhex(described["uuid"])) == 16


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_documents_are_whole_and_in_the_order_of_their_keys(collection, manifest):
    found = documents(collection)
    assert len(found) == manifest["expected"]["documents"][collection]
    # numbers come before ObjectIds and binaries; within a type the order is the natural one
    keys = [(isinstance(d["_id"], (bson.ObjectId, bytes)), d["_id"]) for d in found]
    assert keys == sorted(keys) and len({str(k) for k in keys}) == len(keys)


def test_every_flaw_is_there(manifest):
    assert len(manifest["flaws"]) >= 50
    for flaw in manifest["flaws"]:
        assert flaw["documents"] > 0, flaw


@pytest.mark.parametrize("stage", ["first", "mended"])
def test_expectations_add_up(manifest, stage):
    expected = manifest["expected"]
    for task, table in {"customers": "Customer", "products": "Product", "orders": "Order", "reviews": "Review"}.items():
        refused = sum(expected[stage]["refused"][task].values())
        assert expected["documents"][task] == expected[stage]["rows"][table] + refused, task

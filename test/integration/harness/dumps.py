"""Dump files as mongodump lays them out, written without mongodump."""

import base64
import gzip
import hashlib
import json
from pathlib import Path
from urllib.parse import quote_plus

import bson


def bson_bytes(documents):
    """The documents one after the other, as in a .bson file. A document may be given as bytes, as they are."""
    return b"".join(document if isinstance(document, bytes) else bson.encode(document) for document in documents)


def write_file(path, content, *, compressed=False):
    """Write bytes to a file that the server can read; with `compressed`, as gzip. The path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 6, mtime=0) if compressed else content)
    path.chmod(0o644)
    return path


def escaped_name(collection):
    """A collection's name as mongodump writes it in file names: encoded as in a URL's query, and cut if that is too long
    for a file (mongodump/prepare.go of mongo-tools: outputPath)."""
    escaped = quote_plus(collection, safe="")
    if len(escaped) <= 238:
        return escaped
    digest = base64.urlsafe_b64encode(hashlib.sha1(collection.encode()).digest()).decode().rstrip("=")
    return escaped[:208] + "%24" + digest


def write_dump_folder(folder, collections, *, compressed=False, metadata=True):
    """A folder of one database: NAME.bson (or .bson.gz) and NAME.metadata.json for each entry of `collections`
    (name → list of documents). The folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ".gz" if compressed else ""
    for name, documents in collections.items():
        stem = escaped_name(name)
        write_file(folder / f"{stem}.bson{suffix}", bson_bytes(documents), compressed=compressed)
        if metadata:
            described = {"indexes": [{"v": {"$numberInt": "2"}, "key": {"_id": {"$numberInt": "1"}}, "name": "_id_"}],
                         "collectionName": name, "type": "collection", "options": {}}
            write_file(folder / f"{stem}.metadata.json{suffix}", json.dumps(described).encode(), compressed=compressed)
    return folder

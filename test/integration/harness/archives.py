"""Archives as mongodump --archive writes them, written without mongodump.

The format is described in common/archive/spec.md of mongo-tools.
"""

import json

import bson
from bson.int64 import Int64

from .dumps import bson_bytes

MAGIC = b"\x6d\xe2\x99\x81"
TERMINATOR = b"\xff\xff\xff\xff"

_POLYNOMIAL = 0xC96C5795D7870F42  # of ECMA-182, bits reflected


def _make_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _make_table()


def crc64(content, checksum=0):
    value = ~checksum & (2**64 - 1)
    for byte in content:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return ~value & (2**64 - 1)


class Archive:
    """An archive in the making.

        archive = Archive()
        archive.collection("shop", "orders")            in the prelude
        archive.block("shop", "orders", [documents])    as often as wanted, mixed with other collections' blocks
        archive.end("shop", "orders")
        content = archive.content()
    """

    def __init__(self):
        self._prelude = b""
        self._blocks = b""
        self._checksums = {}

    def collection(self, database, name, *, type="collection", options=None):
        metadata = json.dumps({"options": options or {}, "indexes": [], "collectionName": name, "type": type})
        self._prelude += bson.encode({"db": database, "collection": name, "metadata": metadata, "size": 0, "type": type})

    def block(self, database, name, documents):
        content = bson_bytes(documents)
        self._checksums[database, name] = crc64(content, self._checksums.get((database, name), 0))
        self._blocks += self.block_header(database, name, False, 0) + content + TERMINATOR

    def end(self, database, name, *, wrong_checksum=False):
        checksum = self._checksums.get((database, name), 0) ^ (1 if wrong_checksum else 0)
        self._blocks += self.block_header(database, name, True, checksum) + TERMINATOR

    def content(self):
        return self.head() + self.blocks()

    def head(self):
        """What is before the blocks."""
        header = bson.encode({"concurrent_collections": 4, "version": "0.1", "server_version": "7.0.16", "tool_version": "100.12.0"})
        return MAGIC + header + self._prelude + TERMINATOR

    def blocks(self):
        return self._blocks

    @staticmethod
    def block_header(database, name, end, checksum):
        signed = checksum - 2**64 if checksum >= 2**63 else checksum
        return bson.encode({"db": database, "collection": name, "EOF": end, "CRC": Int64(signed)})


def archive_of(databases, *, chunk=3):
    """An archive of {database: {collection: [documents]}}, its blocks of `chunk` documents taking turns as those of
    collections that are dumped in parallel do."""
    archive = Archive()
    waiting = []
    for database, collections in databases.items():
        for name, documents in collections.items():
            archive.collection(database, name)
            waiting.append((database, name, list(documents)))
    while waiting:
        database, name, documents = waiting.pop(0)
        archive.block(database, name, documents[:chunk])
        if documents[chunk:]:
            waiting.append((database, name, documents[chunk:]))
        else:
            archive.end(database, name)
    return archive.content()

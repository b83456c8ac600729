"""A damaged file is an error that names the file and the byte, after the documents before it have been delivered."""

import gzip
import os
import zlib

import bson
import psycopg
import pytest

from harness.archives import Archive, archive_of
from harness.dumps import bson_bytes

DOCUMENTS = [{"_id": i, "text": "x" * (i * 7 % 50)} for i in range(20)]
ENDS = [len(bson_bytes(DOCUMENTS[:i])) for i in range(len(DOCUMENTS) + 1)]
CONTENT = bson_bytes(DOCUMENTS)


class Reading:
    """The _ids that came, and the diagnostics of the error that ended it (None: it ended well)."""

    def __init__(self, ids, error):
        self.ids, self.error = ids, error


@pytest.fixture
def read(connection):
    """A function that reads a dump row by row to its end or to an error."""

    def run(path, collection="orders"):
        connection.execute("DROP SERVER IF EXISTS dump CASCADE")
        connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
        connection.execute(f"CREATE FOREIGN TABLE t (_id int) SERVER dump OPTIONS (collection '{collection}')")
        ids = []
        try:
            with connection.transaction():
                connection.execute("DECLARE c CURSOR FOR SELECT _id FROM t")
                while rows := connection.execute("FETCH 1 FROM c").fetchall():
                    ids += [row[0] for row in rows]
        except psycopg.Error as error:
            return Reading(ids, error.diag)
        return Reading(ids, None)

    return run


def check(reading, path, offset, documents, *, compressed=False, line=None, detail=None):
    where = " of its decompressed content" if compressed else ""
    where += f", in line {line}" if line else ""
    assert reading.error is not None
    assert reading.error.sqlstate == "XX001"
    assert reading.error.message_primary == f'file "{path}" is corrupt at byte {offset}{where}'
    if detail:
        assert reading.error.message_detail == detail
    assert reading.ids == list(range(documents))


# the border of a document, inside its length, its fields, its last byte
CUTS = [0, ENDS[1], ENDS[7], 1, ENDS[7] + 1, ENDS[7] + 3, ENDS[7] + 4, ENDS[7] + 5, ENDS[8] - 1, ENDS[20] - 1, 3]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_truncated_bson(read, write_file, compressed):
    for cut in CUTS:
        path = write_file("orders.bson", CONTENT[:cut], compressed=compressed)
        whole = max(i for i, end in enumerate(ENDS) if end <= cut)
        reading = read(path)
        if cut in ENDS:
            assert reading.error is None
            assert reading.ids == list(range(whole))
        elif cut - ENDS[whole] < 4:
            check(reading, path, ENDS[whole], whole, compressed=compressed, detail="The file ends inside a document's length.")
        else:
            announced = ENDS[whole + 1] - ENDS[whole]
            check(reading, path, ENDS[whole], whole, compressed=compressed,
                  detail=f"The file ends inside a document: {announced} bytes are announced, {cut - ENDS[whole]} are there.")


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9, 0.999])
def test_truncated_gzip(read, write_file, kept):
    many = [{"_id": i, "text": os.urandom(50).hex()} for i in range(4000)]
    content = bson_bytes(many)
    compressed = gzip.compress(content)
    path = write_file("orders.bson.gz", compressed[:int(len(compressed) * kept)])
    reading = read(path)
    assert reading.error.sqlstate == "XX001"
    assert reading.error.message_primary.startswith(f'file "{path}" is corrupt at byte ')
    assert reading.error.message_primary.endswith(" of its decompressed content")
    assert reading.error.message_detail == "The gzip data ends too early."
    # everything that can be decompressed came
    there = zlib.decompressobj(31).decompress(path.read_bytes())
    size = len(bson.encode(many[0]))
    assert reading.ids == list(range(len(there) // size))
    assert f"byte {len(there)} of" in reading.error.message_primary


def test_gzip_cut_before_its_checksum(read, write_file):
    path = write_file("orders.bson.gz", gzip.compress(CONTENT)[:-8])
    check(read(path), path, len(CONTENT), len(DOCUMENTS), compressed=True, detail="The gzip data ends too early.")


def test_gzip_with_a_wrong_checksum(read, write_file):
    compressed = bytearray(gzip.compress(CONTENT))
    compressed[-5] ^= 1
    path = write_file("orders.bson.gz", bytes(compressed))
    check(read(path), path, len(CONTENT), len(DOCUMENTS), compressed=True,
          detail="The gzip data is invalid: incorrect data check.")


def test_gzip_with_a_changed_byte(read, write_file):
    many = [{"_id": i, "text": os.urandom(50).hex()} for i in range(4000)]
    compressed = bytearray(gzip.compress(bson_bytes(many)))
    compressed[len(compressed) // 2] ^= 0xFF
    path = write_file("orders.bson.gz", bytes(compressed))
    reading = read(path)
    # the change may decompress to something else first: a bad document, or a bad checksum at the end
    assert reading.error.sqlstate in ("XX001", "22P03")
    assert len(reading.ids) > 500
    assert reading.ids[:500] == list(range(500))


def test_gzip_cut_in_its_header(read, write_file):
    path = write_file("orders.bson.gz", gzip.compress(CONTENT)[:5])
    check(read(path), path, 0, 0, compressed=True, detail="The gzip data ends too early.")


def test_junk_after_gzip(read, write_file):
    path = write_file("orders.bson.gz", gzip.compress(CONTENT) + b"junk")
    check(read(path), path, len(CONTENT), len(DOCUMENTS), compressed=True,
          detail="The gzip data is followed by something else.")


@pytest.mark.parametrize("position", [0, 10])
def test_bad_length(read, write_file, position):
    for prefix in [0, 4, -1, 2**31 - 1, 16 * 1024 * 1024 + 16 * 1024 + 1]:
        content = bytearray(CONTENT)
        content[ENDS[position]:ENDS[position] + 4] = prefix.to_bytes(4, "little", signed=True)
        path = write_file("orders.bson", bytes(content))
        check(read(path), path, ENDS[position], position,
              detail=f"A document's length is given as {prefix} bytes; 5 to 16793600 are possible.")


def test_document_without_its_final_zero(read, write_file):
    content = bytearray(CONTENT)
    content[ENDS[5] - 1] = 1
    path = write_file("orders.bson", bytes(content))
    check(read(path), path, ENDS[4], 4)


def test_fault_far_into_a_file(read, connection, write_file):
    """Behind many read buffers, so that offsets are not those of a buffer."""
    document = bson.encode({"_id": 1, "text": "y" * 1000})
    count = 5000
    path = write_file("orders.bson", document * count + document[:500])
    connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
    connection.execute("CREATE FOREIGN TABLE t (_id int) SERVER dump")
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT count(*) FROM t")
    assert f"corrupt at byte {len(document) * count}" in str(caught.value)


def test_documents_before_the_fault_suffice(connection, write_file):
    path = write_file("orders.bson", CONTENT + b"\x03")
    connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
    connection.execute("CREATE FOREIGN TABLE t (_id int) SERVER dump")
    assert len(connection.execute("SELECT _id FROM t LIMIT 20").fetchall()) == 20
    with pytest.raises(psycopg.Error):
        connection.execute("SELECT _id FROM t LIMIT 21")
    assert connection.execute("SELECT 1").fetchone() == (1,)


# --- archives ---------------------------------------------------------------------------------------------------------

OTHERS = [{"_id": i, "text": "other"} for i in range(10)]


def test_wrong_checksum_in_an_archive(read, write_file):
    archive = Archive()
    for name in ("orders", "customers"):
        archive.collection("shop", name)
        archive.block("shop", name, DOCUMENTS)
    offset = len(archive.content())
    archive.end("shop", "orders", wrong_checksum=True)
    archive.end("shop", "customers")
    path = write_file("backup", archive.content())
    reading = read(path)
    check(reading, path, offset, len(DOCUMENTS))
    assert reading.error.message_detail.startswith('The checksum of the collection "orders" is ')
    assert read(path, "customers").error is None
    compressed = write_file("backup.gz", archive.content(), compressed=True)
    check(read(compressed), compressed, offset, len(DOCUMENTS), compressed=True)


def test_changed_document_in_an_archive(read, write_file):
    content = bytearray(archive_of({"shop": {"orders": DOCUMENTS}}))
    content[content.index(b"xxxx")] = ord("y")
    reading = read(write_file("backup", bytes(content)))
    assert reading.error.sqlstate == "XX001"
    assert "checksum" in reading.error.message_detail
    assert reading.ids == list(range(len(DOCUMENTS)))


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_truncated_archive(read, write_file, compressed):
    """Cut anywhere up to the end of the collection's last block: never fewer documents without an error."""
    content = archive_of({"shop": {"orders": DOCUMENTS, "customers": OTHERS}}, chunk=4)
    prelude = content.index(b"\xff\xff\xff\xff") + 4
    end = content.rindex(b"orders\0\x08EOF\0\x01") - 40
    for cut in [*range(5, prelude, 97), *range(prelude, end, 61)]:
        path = write_file("backup", content[:cut], compressed=compressed)
        reading = read(path)
        assert reading.error is not None, cut
        assert reading.error.sqlstate == "XX001", cut
        assert reading.error.message_primary.startswith(f'file "{path}" is corrupt at byte '), cut
        assert reading.ids == list(range(len(reading.ids))), cut


def test_archive_without_its_blocks(read, write_file):
    archive = Archive()
    archive.collection("shop", "orders")
    path = write_file("backup", archive.content())
    check(read(path), path, len(archive.content()), 0,
          detail='The archive ends before the collection "orders" is complete.')


def test_bad_length_in_an_archive(read, write_file):
    archive = Archive()
    archive.collection("shop", "orders")
    archive.block("shop", "orders", DOCUMENTS[:3])
    offset = len(archive.content()) - 4
    archive.block("shop", "orders", [])
    content = bytearray(archive.content())
    content[offset:offset + 4] = b"\x01\x00\x00\x00"
    path = write_file("backup", bytes(content))
    check(read(path), path, offset, 3, detail="A document's length is given as 1 bytes; 5 to 16793600 are possible.")


# --- exports ----------------------------------------------------------------------------------------------------------

LINES = [f'{{"_id":{i},"text":"line"}}\n' for i in range(10)]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_bad_json(read, write_file, compressed):
    text = "".join(LINES[:6]) + '{"_id":6,"text":oops}\n' + LINES[7]
    path = write_file("orders.json", text.encode(), compressed=compressed)
    reading = read(path)
    assert reading.ids == list(range(6))
    assert reading.error.sqlstate == "XX001"
    start = len("".join(LINES[:6]))
    where = reading.error.message_primary.removeprefix(f'file "{path}" is corrupt at byte ')
    assert start < int(where.split()[0].rstrip(",")) < start + 22
    assert where.endswith(", in line 7")
    assert ("decompressed" in where) == compressed
    assert reading.error.message_detail.startswith("Invalid Extended JSON: ")


def test_truncated_json(read, write_file):
    text = "".join(LINES)
    path = write_file("orders.json", text[:-4].encode())
    check(read(path), path, len(text) - len(LINES[-1]), 9, line=10)
    path = write_file("array.json", ("[" + ",".join(LINES)).encode())
    check(read(path), path, len("[" + ",".join(LINES)), 10, line=11, detail="The file ends inside an array.")


@pytest.mark.parametrize("bad", ['{"_id":{"$numberLong":"x"}}', '{"_id":9223372036854775808}', '{"_id":{"$oid":"123"}}'])
def test_values_that_extended_json_does_not_know(read, write_file, bad):
    path = write_file("orders.json", (LINES[0] + bad).encode())
    reading = read(path)
    assert reading.ids == [0]
    assert reading.error.sqlstate == "XX001"
    assert ", in line 2" in reading.error.message_primary


def test_utf16(read, write_file):
    path = write_file("orders.json", "".join(LINES).encode("utf-16"))
    check(read(path), path, 0, 0, line=1, detail="The file is encoded in UTF-16; it must be UTF-8.")


def test_csv_is_refused(read, write_file):
    for name in ("orders.csv", "orders.tsv", "orders"):
        path = write_file(name, b"_id,text\n1,x\n")
        reading = read(path)
        assert reading.error.sqlstate == "42809"
        assert reading.error.message_primary == f'file "{path}" is not a dump that can be read'
        assert "CSV" in reading.error.message_hint

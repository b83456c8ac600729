"""Files never hurt the server: rights, special files, memory, cancellation, files that change while they are read."""

import contextlib
import gzip
import json
import os
import threading
import time

import bson
import psycopg
import pytest

from harness.archives import TERMINATOR, Archive
from harness.dumps import bson_bytes

SMALL = bson_bytes([{"_id": 1, "name": "a"}])


@pytest.fixture
def make_table(connection):
    """A function that makes the foreign table `t` over a dump."""

    def make(path, collection="orders"):
        connection.execute("DROP SERVER IF EXISTS dump CASCADE")
        connection.execute(f"CREATE SERVER dump FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
        connection.execute(f"CREATE FOREIGN TABLE t (_id int, name text) SERVER dump OPTIONS (collection '{collection}')")

    return make


@pytest.fixture
def refused(connection):
    def read():
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("SELECT * FROM t")
        return caught.value.diag

    return read


# --- rights -----------------------------------------------------------------------------------------------------------


def test_who_may_name_a_dump(connection, connect, ordinary_role, write_file):
    path = write_file("orders.bson", SMALL)
    connection.execute(f"GRANT USAGE ON FOREIGN DATA WRAPPER mongoferry TO {ordinary_role}")
    create = f"CREATE SERVER mine FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')"
    with connect(ordinary_role) as user:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="dump"):
            user.execute(create)
        user.execute("CREATE SERVER mine FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'localhost')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="dump"):
            user.execute(f"ALTER SERVER mine OPTIONS (DROP host, ADD dump '{path}')")
        user.execute("DROP SERVER mine")
        connection.execute(f"GRANT pg_read_server_files TO {ordinary_role}")
        user.execute(create)
        user.execute("CREATE FOREIGN TABLE t (_id int) SERVER mine")
        assert user.execute("SELECT * FROM t").fetchall() == [(1,)]
        # what counts at run time is what the server's owner may do now
        connection.execute(f"REVOKE pg_read_server_files FROM {ordinary_role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="dump"):
            user.execute("SELECT * FROM t")
        connection.execute("DROP SERVER mine CASCADE")


def test_a_server_may_be_lent(connection, connect, ordinary_role, write_file):
    path = write_file("orders.bson", SMALL)
    connection.execute(f"CREATE SERVER lent FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{path}')")
    connection.execute(f"GRANT USAGE ON FOREIGN SERVER lent TO {ordinary_role}")
    with connect(ordinary_role) as user:
        user.execute("CREATE FOREIGN TABLE t (_id int) SERVER lent")
        assert user.execute("SELECT * FROM t").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            user.execute("ALTER SERVER lent OPTIONS (SET dump '/etc/passwd')")
        user.execute("DROP FOREIGN TABLE t")


def test_a_dump_is_an_absolute_path(connection):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("CREATE SERVER bad FOREIGN DATA WRAPPER mongoferry OPTIONS (dump 'dump/shop')")
    assert caught.value.diag.message_detail == "The path must be absolute."


# --- what is no file --------------------------------------------------------------------------------------------------


def test_missing(make_table, refused, folder):
    for path in (folder / "nothing", folder / "nothing" / "there"):
        make_table(path)
        error = refused()
        assert error.sqlstate == "58P01"
        assert error.message_primary == f'could not open dump "{path}": No such file or directory'


def test_unreadable(make_table, refused, write_file, write_dump, folder):
    path = write_file("orders.bson", SMALL)
    path.chmod(0)
    make_table(path)
    error = refused()
    assert error.sqlstate == "42501"
    assert error.message_primary == f'could not open file "{path}": Permission denied'

    path = write_dump({"orders": [{"_id": 1}]})
    (path / "orders.bson").chmod(0)
    make_table(path)
    error = refused()
    assert error.sqlstate == "42501"
    assert error.message_primary == f'could not open file "{path}/orders.bson": Permission denied'

    path.chmod(0o700)
    os.chown(path, os.getuid(), -1)
    if os.geteuid() == 0:  # the server is another user then
        error = refused()
        assert error.sqlstate == "42501"
        assert error.message_primary == f'could not open directory "{path}": Permission denied'
    path.chmod(0o755)


def test_special_files(make_table, refused, folder, connection):
    connection.execute("SET statement_timeout = '5s'")
    pipe = folder / "orders.bson"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    (folder / "customers.bson").mkdir()
    (folder / "link.bson").symlink_to("/dev/zero")
    for path, collection, name in [(pipe, "orders", pipe), (folder, "orders", pipe), ("/dev/zero", "x", "/dev/zero"),
                                   (folder, "customers", folder / "customers.bson"), (folder, "link", folder / "link.bson")]:
        make_table(path, collection)
        error = refused()
        assert error.sqlstate == "42809"
        assert error.message_primary == f'"{name}" is not a regular file'


# --- files that change while they are read ----------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["cut", "removed", "replaced"])
def test_file_changes_while_it_is_read(connection, make_table, write_file, change):
    document = bson.encode({"_id": 1, "name": "x" * 1000})
    path = write_file("orders.bson", document * 5000)
    make_table(path)
    with pytest.raises(psycopg.Error, match="corrupt at byte") if change == "cut" else contextlib.nullcontext():
        with connection.transaction():
            connection.execute("DECLARE c CURSOR FOR SELECT _id FROM t")
            assert len(connection.execute("FETCH 10 FROM c").fetchall()) == 10
            if change == "cut":
                os.truncate(path, len(document) * 4000 + 10)
            elif change == "removed":
                path.unlink()
            else:
                path.with_suffix(".new").write_bytes(b"junk")
                path.with_suffix(".new").rename(path)
            assert len(connection.execute("FETCH ALL FROM c").fetchall()) == 4990
    assert connection.execute("SELECT 1").fetchone() == (1,)


# --- memory -----------------------------------------------------------------------------------------------------------


def peak_memory(connection):
    """The most private and shared memory that the backend has had, in bytes."""
    with open(f"/proc/{connection.info.backend_pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def repeated_gzip(part, times, head=b"", tail=b""):
    """gzip of head + part * times + tail; quick, because part is compressed once, as a member of its own."""
    member = gzip.compress(part, 1)
    return (gzip.compress(head) if head else b"") + member * times + (gzip.compress(tail) if tail else b"")


MEGABYTE = bson.encode({"_id": 1, "name": "x" * 1000}) * 1000  # about
JSON_MEGABYTE = ('{"_id":1,"name":"' + "x" * 1000 + '"}\n').encode() * 1000


def around_a_large_block():
    """Beginning and end of an archive whose collection `orders` comes behind a block of another one."""
    archive = Archive()
    archive.collection("shop", "orders")
    archive.block("shop", "orders", [{"_id": 1}])
    archive.end("shop", "orders")
    return archive.head() + Archive.block_header("shop", "large", False, 0), TERMINATOR + archive.blocks()


@pytest.mark.parametrize("form", ["bson", "bson.gz", "json.gz", "archive.gz"])
def test_memory_does_not_grow_with_the_file(connection, make_table, write_file, form):
    head, tail = around_a_large_block()

    def write(megabytes):
        if form == "bson":
            return write_file("orders.bson", MEGABYTE * megabytes), 1000 * megabytes
        if form == "bson.gz":
            return write_file("orders.bson.gz", repeated_gzip(MEGABYTE, megabytes)), 1000 * megabytes
        if form == "json.gz":
            return write_file("orders.json.gz", repeated_gzip(JSON_MEGABYTE, megabytes)), 1000 * megabytes
        return write_file("backup.gz", repeated_gzip(MEGABYTE, megabytes, head, tail)), 1

    peaks = []
    for megabytes in (3, 200 if form != "json.gz" else 60):
        path, count = write(megabytes)
        make_table(path)
        assert connection.execute("SELECT count(name), count(*) FROM t").fetchone()[1] == count
        peaks.append(peak_memory(connection))
        path.unlink()
    assert peaks[1] - peaks[0] < 4 * 1024 * 1024


@pytest.mark.parametrize("form", ["bson.gz", "json", "archive"])
def test_nothing_is_left_of_scans_that_end_early(connection, make_table, write_file, form):
    """A read buffer that stayed would be a quarter of a megabyte each time; the files are long enough to fill it."""
    documents = [{"_id": i, "name": "x" * 4000} for i in range(1, 100)]
    archive = Archive()
    archive.collection("shop", "orders")
    archive.block("shop", "orders", documents)
    content = {"bson.gz": bson_bytes(documents), "json": "".join(map(json.dumps, documents)).encode() + b"{",
               "archive": archive.content()}[form]
    make_table(write_file("orders", content, compressed=form == "bson.gz"))

    def scan(times):
        for _ in range(times):
            connection.execute("SELECT _id FROM t LIMIT 1")
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute("SELECT 1 / (_id - 1) FROM t")
            if form != "bson.gz":
                with pytest.raises(psycopg.errors.DataCorrupted):
                    connection.execute("SELECT count(*) FROM t")

    scan(20)
    before = peak_memory(connection)
    scan(100)
    assert peak_memory(connection) - before < 4 * 1024 * 1024


# --- cancellation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["skipping", "rows"])
@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_a_long_scan_is_cancelled_at_once(connection, make_table, write_file, form, how):
    """Also while no row comes out: some gigabytes of another collection lie before the one that is read."""
    head, tail = around_a_large_block()
    if form == "skipping":
        path = write_file("backup.gz", repeated_gzip(MEGABYTE, 20000, head, tail))
    else:
        path = write_file("orders.bson.gz", repeated_gzip(MEGABYTE, 20000))
    make_table(path)
    if how == "timeout":
        connection.execute("SET statement_timeout = '300ms'")
    else:
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
    start = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT count(*) FROM t")
    assert 0.25 < time.monotonic() - start < 1.3
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_terminated_backend_ends_at_once(connection, connect, make_table, write_file):
    make_table(write_file("orders.bson.gz", repeated_gzip(MEGABYTE, 20000)))
    other = connect()
    timer = threading.Timer(0.3, lambda: other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid]))
    timer.start()
    start = time.monotonic()
    with pytest.raises(psycopg.Error):
        connection.execute("SELECT count(*) FROM t")
    assert time.monotonic() - start < 1.3
    timer.join()

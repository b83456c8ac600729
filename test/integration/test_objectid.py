"""The type objectid outside of a session's own SQL: the binary protocol, dumps, other roles."""

import os
import subprocess
import uuid

import psycopg
import pytest
from psycopg import errors

OID = "507f1f77bcf86cd799439011"


def test_binary_protocol(connection):
    assert connection.execute("SELECT %s::mongoferry.objectid", (OID,), binary=True).fetchone() == (bytes.fromhex(OID),)
    connection.execute("CREATE TABLE keys (id mongoferry.objectid)")
    connection.execute("INSERT INTO keys SELECT substr(md5(i::text), 1, 24)::mongoferry.objectid FROM generate_series(1, 500) AS i")
    with connection.cursor().copy("COPY keys TO STDOUT (FORMAT binary)") as copy:
        content = b"".join(bytes(piece) for piece in copy)
    connection.execute("CREATE TABLE copies (LIKE keys)")
    with connection.cursor().copy("COPY copies FROM STDIN (FORMAT binary)") as copy:
        copy.write(content)
    assert connection.execute("SELECT count(*) FROM keys JOIN copies USING (id)").fetchone() == (500,)


@pytest.mark.parametrize("size", [0, 11, 13])
def test_binary_input_of_another_size_is_refused(connection, size):
    connection.execute("CREATE TABLE keys (id mongoferry.objectid)")
    header = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    row = (1).to_bytes(2, "big") + size.to_bytes(4, "big") + bytes(size)
    with pytest.raises((errors.InvalidBinaryRepresentation, errors.ProtocolViolation)):
        with connection.cursor().copy("COPY keys FROM STDIN (FORMAT binary)") as copy:
            copy.write(header + row + b"\xff\xff")
    assert connection.execute("SELECT count(*) FROM keys").fetchone() == (0,)


def test_what_is_built_on_it_survives_a_dump(postgres, database, connection):
    connection.execute(f"""
        CREATE TABLE keys (id mongoferry.objectid PRIMARY KEY, key uuid GENERATED ALWAYS AS (mongoferry.to_uuid(id)) STORED);
        CREATE INDEX ON keys USING hash (id);
        CREATE INDEX ON keys USING brin (id);
        INSERT INTO keys SELECT substr(md5(i::text), 1, 24)::mongoferry.objectid FROM generate_series(1, 500) AS i;
        CREATE VIEW later AS SELECT * FROM keys WHERE id > '{OID}' AND id <> 'ffffffffffffffffffffffff';
        CREATE VIEW last AS SELECT max(id) AS id FROM keys""")
    environment = {**os.environ, **postgres.environment(database)}
    dumped = subprocess.run([postgres.bin / "pg_dump"], env=environment, capture_output=True, text=True, check=True)
    restored = f"test_{uuid.uuid4().hex[:12]}"
    postgres.psql(f"CREATE DATABASE {restored}")
    try:
        postgres.psql(dumped.stdout, database=restored)
        with psycopg.connect(**postgres.conninfo(restored), autocommit=True) as copy:
            for query in ("SELECT count(*), md5(string_agg(id || key::text, '' ORDER BY id)) FROM later", "SELECT id::text FROM last"):
                assert copy.execute(query).fetchone() == connection.execute(query).fetchone()
    finally:
        postgres.psql(f"DROP DATABASE {restored} WITH (FORCE)")


def test_an_ordinary_role_needs_neither_rights_nor_a_search_path(connect, ordinary_role):
    role = connect(user=ordinary_role)
    role.execute("CREATE TABLE public.keys (id mongoferry.objectid PRIMARY KEY)")
    role.execute("INSERT INTO public.keys VALUES (%s)", (OID,))
    assert role.execute("SELECT max(id)::text, count(mongoferry.to_uuid(id)), bool_and(id = %s) FROM public.keys WHERE id >= %s",
                        (OID, OID)).fetchone() == (OID, 1, True)


def test_the_extension_leaves_nothing_behind(connection):
    connection.execute("DROP EXTENSION mongoferry")
    assert connection.execute("SELECT count(*) FROM pg_operator WHERE oid >= 16384").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM pg_proc WHERE oid >= 16384").fetchone() == (0,)
    connection.execute("CREATE EXTENSION mongoferry")

"""Reading BSON values through foreign tables over .bson files, and telling what was refused."""

import re
import struct

import bson
import psycopg

from .dumps import write_file


def document_of(element_type, value, key="v", _id=1):
    """The bytes of {_id: …, key: value} where pymongo cannot write the value: its BSON type's number and its bytes."""
    body = bson.encode({"_id": _id})[4:-1] + bytes([element_type]) + key.encode() + b"\0" + value + b"\0"
    return struct.pack("<i", len(body) + 4) + body


class Refused:
    """An expected refusal: SQLSTATE, and words of the message, detail or hint."""

    def __init__(self, sqlstate, words=""):
        self.sqlstate = sqlstate
        self.words = words

    def __repr__(self):
        return f"Refused({self.sqlstate!r}, {self.words!r})"


class Error:
    """A refusal that happened."""

    def __init__(self, error):
        self.sqlstate = error.sqlstate
        self.message = error.diag.message_primary
        self.detail = error.diag.message_detail or ""
        self.hint = error.diag.message_hint or ""

    def __eq__(self, expected):
        return (isinstance(expected, Refused) and expected.sqlstate == self.sqlstate
                and expected.words in f"{self.message}\n{self.detail}\n{self.hint}")

    def __repr__(self):
        return f"Error({self.sqlstate}: {self.message} / {self.detail} / {self.hint})"


def options_clause(options):
    words = ", ".join(f"""{name} '{str(value).replace("'", "''")}'""" for name, value in options.items())
    return f"OPTIONS ({words})" if words else ""


class Reader:
    """Makes foreign tables over .bson files in `folder` and reads them.

    warnings   those of the last statement: (message, detail)
    """

    def __init__(self, connection, folder):
        self.connection = connection
        self.folder = folder
        self.count = 0
        self.warnings = []
        connection.execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'")
        connection.execute("SET search_path = public, mongoferry")
        connection.execute(f"CREATE SERVER files FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '{folder}')")
        connection.add_notice_handler(self._note)

    def _note(self, diagnostic):
        # now: its texts go with the result
        if diagnostic.severity_nonlocalized == "WARNING":
            self.warnings.append((diagnostic.message_primary, diagnostic.message_detail))

    def table(self, documents, columns, **options):
        """A new foreign table over these documents (dicts or bytes). columns: SQL. Its name."""
        self.count += 1
        name = f"things_{self.count}"
        content = b"".join(one if type(one) is bytes else bson.encode(one) for one in documents)
        write_file(self.folder / f"{name}.bson", content)
        self.connection.execute(f"CREATE FOREIGN TABLE {name} ({columns}) SERVER files {options_clause(options)}")
        return name

    def query(self, sql):
        """The rows, or an Error."""
        self.warnings.clear()
        try:
            return self.connection.execute(sql).fetchall()
        except psycopg.Error as error:
            return Error(error)

    def read(self, value, column_type, **options):
        """One value as text, or an Error. value: what pymongo can write, or a document's bytes with the key v."""
        # not isinstance: a Binary is one
        document = value if type(value) is bytes else {"_id": 1, "v": value}
        rows = self.query(f"SELECT v::text FROM {self.table([document], f'v {column_type}', **options)}")
        return rows[0][0] if isinstance(rows, list) else rows

    def rows(self, documents, columns, select="*", **options):
        """All rows, values as psycopg gives them, or an Error."""
        return self.query(f"SELECT {select} FROM {self.table(documents, columns, **options)}")

    def warning(self):
        """(message, detail) of the only WARNING of the last query, or None."""
        assert len(self.warnings) <= 1, self.warnings
        return self.warnings[0] if self.warnings else None


REFUSAL = re.compile(r'cannot convert BSON (\w+) to (.+) for column "v" of foreign table "things_\d+"')


def check_refusal(error, bson_type=None):
    """That a refusal of {_id: 1, v: …} names what it has to."""
    assert isinstance(error, Error), error
    named = REFUSAL.fullmatch(error.message)
    assert named and bson_type in (None, named[1]), error
    assert 'Document {"_id": 1} of collection "' in error.detail and 'field "v' in error.detail, error
    assert "on_mismatch 'null'" in error.hint, error

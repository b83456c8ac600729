"""A server that speaks just enough of MongoDB's protocol to answer wrongly: for tests with hostile and broken replies."""

import socket
import struct
import threading

import bson

OP_REPLY, OP_QUERY, OP_COMPRESSED, OP_MSG = 1, 2004, 2012, 2013

HELLO = {
    "isWritablePrimary": True, "ismaster": True, "helloOk": True, "minWireVersion": 0, "maxWireVersion": 21,
    "maxBsonObjectSize": 16 * 1024 * 1024, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30, "connectionId": 1, "readOnly": False, "ok": 1.0,
}


def message(opcode, body, response_to, length=None):
    """A whole wire message; length: what its header says, if not the truth."""
    size = 16 + len(body) if length is None else length
    return struct.pack("<iiii", size, 1, response_to, opcode) + body


def op_msg(document, response_to=0, flags=0):
    """An OP_MSG with one document (a dict, or bytes to be sent as they are)."""
    data = document if isinstance(document, bytes) else bson.encode(document)
    return message(OP_MSG, struct.pack("<I", flags) + b"\0" + data, response_to)


def op_reply(document, response_to=0):
    data = document if isinstance(document, bytes) else bson.encode(document)
    return message(OP_REPLY, struct.pack("<iqii", 8, 0, 0, 1) + data, response_to)


class FakeMongo:
    """Listens on a free loopback port; answers each command with answers[name], name in lower case.

    An answer is a dict (sent as the reply's document), bytes (the document as it is), None (no answer: silence), or a
    function of (request_id, command) that returns the bytes of the whole message, b"" to close the connection, or one
    of the former. commands holds what has been received.
    """

    def __init__(self, answers):
        self.answers = {"hello": HELLO, "ismaster": HELLO, "ping": {"ok": 1}, "endsessions": {"ok": 1},
                        "killcursors": {"ok": 1}, "killsessions": {"ok": 1}}
        self.answers.update(answers)
        self.commands = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.uri = f"mongodb://127.0.0.1:{self.port}/"
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()
        for connection in self._open:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while self._answer(connection):
                pass
        except OSError:
            pass
        connection.close()

    def _answer(self, connection):
        header = self._read(connection, 16)
        if not header:
            return False
        length, request_id, _, opcode = struct.unpack("<iiii", header)
        body = self._read(connection, length - 16)
        if opcode == OP_QUERY:
            document = body[body.index(b"\0", 4) + 1 + 8:]
            document = document[:struct.unpack("<i", document[:4])[0]]
        elif opcode == OP_MSG:
            document = body[5:5 + struct.unpack("<i", body[5:9])[0]]
        else:
            return False
        command = bson.decode(document)
        name = next(iter(command)).lower()
        self.commands.append(command)
        answer = self.answers.get(name, {"ok": 0, "code": 59, "codeName": "CommandNotFound", "errmsg": f"no {name}"})
        if callable(answer):
            answer = answer(request_id, command)
            if isinstance(answer, bytes):
                if not answer:
                    return False
                connection.sendall(answer)
                return True
        if answer is None:
            return True
        make = op_reply if opcode == OP_QUERY else op_msg
        connection.sendall(make(answer, request_id))
        return True

    @staticmethod
    def _read(connection, size):
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                return b""
            data += more
        return data

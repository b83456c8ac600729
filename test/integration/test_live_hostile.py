"""What a broken or hostile server may answer: an error each time, never a crash, never a short result."""

import random
import struct
import zlib

import bson
import psycopg
import pytest
from bson import Binary, Int64, ObjectId, Regex, Timestamp
from psycopg import errors

from harness.fake_mongodb import HELLO, OP_COMPRESSED, OP_MSG, FakeMongo, message, op_msg, op_reply


@pytest.fixture
def read(connection):
    """read(answers) → the ids that a scan gives from a FakeMongo with these answers."""

    def run(answers, user=None, uri_options=""):
        with FakeMongo(answers) as server, connection.transaction():
            connection.execute("SET LOCAL statement_timeout = '4s'")
            connection.execute(f"""CREATE SERVER remote FOREIGN DATA WRAPPER mongoferry
                                       OPTIONS (uri '{server.uri}{uri_options}', database 'shop', connect_timeout '2s')""")
            connection.execute("CREATE FOREIGN TABLE orders (_id int, x text) SERVER remote")
            if user:
                connection.execute(f"CREATE USER MAPPING FOR PUBLIC SERVER remote OPTIONS (username '{user}', password 'secret')")
            rows = connection.execute("SELECT _id FROM orders").fetchall()
            connection.execute("DROP SERVER remote CASCADE")
            return [row[0] for row in rows]

    return run


def cursor(documents, cursor_id=0, key="firstBatch", **more):
    return {"cursor": {"id": Int64(cursor_id), "ns": "shop.orders", key: documents}, "ok": 1, **more}


GOOD = bson.encode(cursor([{"_id": 1, "x": "a"}, {"_id": 2, "x": "b"}]))


def compressed(compressor, data, size=None, opcode=OP_MSG):
    def answer(request_id, _):
        body = b"\0" * 5 + data
        packed = zlib.compress(body) if compressor == 2 else body
        return message(OP_COMPRESSED, struct.pack("<iiB", opcode, len(body) if size is None else size, compressor) + packed,
                       request_id)

    return answer


def raw(make):
    return lambda request_id, _: make(request_id)


REFUSED = {
    # of the command's document
    "nothing": {},
    "ok and nothing else": {"ok": 1},
    "neither ok nor an error": {"ok": 0},
    "ok 0 with a cursor": {**cursor([{"_id": 1}]), "ok": 0},
    "a cursor that is a number": {"cursor": 5, "ok": 1},
    "no cursor id": {"cursor": {"firstBatch": []}, "ok": 1},
    "a cursor id that is text": {"cursor": {"id": "x", "firstBatch": []}, "ok": 1},
    "no batch": {"cursor": {"id": Int64(0)}, "ok": 1},
    "a batch that is a document": {"cursor": {"id": Int64(0), "firstBatch": {"0": {}}}, "ok": 1},
    "a batch of numbers": cursor([1, 2]),
    "a batch with a number in it": cursor([{"_id": 1}, 2]),
    # that the driver asserts on
    "an error without a code": {"ok": 0, "code": 0, "errmsg": "x"},
    "an error whose code is no number": {"ok": 0, "code": float("nan"), "errmsg": "x"},
    "an error with a negative code": {"ok": 0, "code": -1, "errmsg": "x"},
    "an error whose code has more than 32 bits": {"ok": 0, "code": Int64(1 << 32), "errmsg": "x"},
    "an error whose code is text": {"ok": 0, "code": "x"},
    "an error in bad UTF-8": bson.encode({"ok": 0, "code": 5, "errmsg": "XXXX"}).replace(b"XXXX", b"\xff\xfe\x80\x01"),
    "a write concern error without a code": {**cursor([]), "writeConcernError": {"code": 0, "errmsg": "x"}},
    "a write concern error that is text": {**cursor([]), "writeConcernError": "x"},
    "labels that are no text": {"ok": 0, "code": 1, "errorLabels": [1, {}]},
    "a cluster time that is a number": {**cursor([]), "$clusterTime": 1},
    # of the wire
    "the end of the stream": raw(lambda _: b""),
    "a message without a body": raw(lambda request: message(OP_MSG, b"", request)),
    "a length of 0": raw(lambda request: message(OP_MSG, b"\0" * 20, request, length=0)),
    "a negative length": raw(lambda request: message(OP_MSG, b"\0" * 20, request, length=-5)),
    "a length of 2 GB": raw(lambda request: message(OP_MSG, b"\0" * 20, request, length=0x7FFFFFFF)),
    "an OP_REPLY": raw(lambda request: op_reply(GOOD, request)),
    "an unknown opcode": raw(lambda request: message(99, b"\0" * 40, request)),
    "an answer to another request": raw(lambda request: op_msg(GOOD, request + 1)),
    "a document sequence": raw(lambda request: message(
        OP_MSG, b"\0\0\0\0\1" + struct.pack("<i", 6 + len(GOOD)) + b"x\0" + GOOD, request)),
    "a lying document sequence": raw(lambda request: message(OP_MSG, b"\0\0\0\0\1\xff\xff\xff\x7fx\0" + GOOD, request)),
    "two bodies": raw(lambda request: message(OP_MSG, b"\0" * 5 + GOOD + b"\0" + GOOD, request)),
    "a checksum": raw(lambda request: message(OP_MSG, b"\1\0\0\0\0" + GOOD + b"1234", request)),
    "more to come": raw(lambda request: op_msg(GOOD, request, flags=2)),
    "a document longer than the message": raw(lambda request: op_msg(struct.pack("<i", len(GOOD) + 1) + GOOD[4:], request)),
    "a document shorter than the message": raw(lambda request: op_msg(struct.pack("<i", 5) + GOOD[4:], request)),
    "a document of negative length": raw(lambda request: op_msg(struct.pack("<i", -1) + GOOD[4:], request)),
    "a document without its end": raw(lambda request: op_msg(GOOD[:-1] + b"x", request)),
    "a lying length after compression": compressed(2, GOOD, size=500),
    "2 GB after compression": compressed(2, GOOD, size=0x7FFFFF00),
    "a negative length after compression": compressed(2, GOOD, size=-1),
    "compression that was not offered": compressed(1, GOOD),
    "compression within compression": compressed(2, GOOD, opcode=OP_COMPRESSED),
    "200 levels outside of the batch": {**cursor([]), "operationTime": __import__("functools").reduce(
        lambda inner, _: {"a": inner}, range(200), 1)},
}


@pytest.mark.parametrize("command", ["find", "getmore"])
def test_replies_that_are_refused(read, connection, command):
    answers = {"find": cursor([{"_id": 0, "x": "c"}], 7), "getmore": cursor([], 0, "nextBatch")}
    for name, answer in REFUSED.items():
        with pytest.raises(psycopg.Error) as caught:
            rows = read({**answers, command: answer})
            pytest.fail(f"{name}: gave {rows}")
        assert caught.value.sqlstate in ("08P01", "08006", "HV000"), name
        assert '"remote"' in caught.value.diag.message_primary, name
        assert connection.execute("SELECT 1").fetchone() == (1,), name


@pytest.mark.parametrize("answer", [GOOD, cursor([{"_id": 1}, {"_id": 2}], operationTime=Timestamp(1, 1)), compressed(2, GOOD),
                                    compressed(0, GOOD)])
def test_a_reply_that_is_accepted(read, answer):
    assert read({"find": answer}) == [1, 2]


def test_an_answer_about_another_cursor(read):
    with pytest.raises(errors.ProtocolViolation):
        read({"find": cursor([{"_id": 1}], 7), "getmore": cursor([{"_id": 2}], 8, "nextBatch")})


def test_a_server_that_never_comes_to_an_end(read):
    with pytest.raises(errors.QueryCanceled):
        read({"find": cursor([], 7), "getmore": cursor([], 7, "nextBatch")})


def test_a_server_that_stops_in_a_message(read, connection):
    connection.execute("SET statement_timeout = '1s'")
    start = message(OP_MSG, b"\0" * 5 + GOOD, 0, length=47_000_000)
    with pytest.raises(errors.QueryCanceled):
        read({"find": lambda request_id, _: start[:8] + struct.pack("<i", request_id) + start[12:]})


WEIRD = [0, -1, 1, 2**31 - 1, -(2**31), Int64(2**62), Int64(-1), 1.5, float("nan"), "", "x", "a" * 300, "h:1", "[::1", None, True,
         False, [], ["x"], [""], [1, 2], [["x"]], [None], {}, {"a": 1}, {"keyId": 1}, ObjectId(), Binary(b"xyz"), Regex("a"),
         Timestamp(1, 1), ["h:1"] * 100, ["h:99999"], {"clusterTime": 5}, {"clusterTime": Timestamp(1, 1)}, {"payload": "x"},
         {"conversationId": 1, "payload": Binary(b"r=x"), "done": True}, {"processId": 5, "counter": "x"},
         {"conversationId": 1, "payload": Binary(b"r=abc,s=QUJD,i=4096"), "done": False}]
FIELDS = [*HELLO, "setName", "setVersion", "electionId", "hosts", "passives", "arbiters", "primary", "me", "secondary", "arbiterOnly",
          "hidden", "tags", "lastWrite", "topologyVersion", "msg", "saslSupportedMechs", "speculativeAuthenticate", "compression",
          "$clusterTime", "operationTime", "serviceId", "code", "errmsg", "codeName", "isreplicaset", "writeConcernError",
          "errorLabels"]


@pytest.mark.parametrize("user", [None, "somebody"])
@pytest.mark.parametrize("options", ["", "?replicaSet=rs", "?loadBalanced=true"])
def test_greetings_with_anything_in_any_field(read, user, options):
    """All that matters is that the session lives on (the fixture `read` uses one for all)."""
    chance = random.Random(f"{user}{options}")
    for _ in range(40):
        greeting = {**HELLO, **{chance.choice(FIELDS): chance.choice(WEIRD) for _ in range(chance.randint(1, 3))}}
        answers = {"hello": greeting, "ismaster": greeting, "find": cursor([{"_id": 1}]),
                   "saslstart": chance.choice([{"ok": 1}, {"ok": 1, "payload": 5}, {"ok": 1, "conversationId": 1, "done": False,
                                                "payload": Binary(b"r=abc,s=QUJD,i=4096")}])}
        try:
            assert read(answers, user, options) == [1]
        except psycopg.Error as error:
            assert error.sqlstate[:2] in ("08", "28", "57", "HV"), error
            assert "secret" not in str(error)


def test_replies_with_changed_bytes(read):
    """A changed reply is either refused or read; it never ends the server process."""
    chance = random.Random(4)
    original = bson.encode(cursor([{"_id": i, "x": "x" * 20} for i in range(5)]))
    for _ in range(150):
        changed = bytearray(original)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(changed))] = chance.choice([0, 1, 2, 3, 4, 5, 8, 16, 127, 128, 255, chance.randrange(256)])
        try:
            read({"find": bytes(changed), "getmore": cursor([], 0, "nextBatch")})
        except psycopg.Error as error:
            assert error.sqlstate, error

#!/usr/bin/env python3
"""Writes the seeds of bson_fuzzer, extended_json_fuzzer and wire_reply_fuzzer: small inputs that hold every type and every form once.

    make_corpus.py          into test/fuzz/corpus/, where they are kept
"""

import pathlib
import struct
import zlib


def element(type_number, key, payload=b""):
    return bytes([type_number]) + key.encode() + b"\0" + payload


def document(*elements):
    body = b"".join(elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def text(value):
    data = value.encode()
    return struct.pack("<i", len(data) + 1) + data + b"\0"


def binary(subtype, data):
    return struct.pack("<iB", len(data), subtype) + data


def code_with_scope(code, scope):
    body = text(code) + scope
    return struct.pack("<i", len(body) + 4) + body


OBJECT_ID = bytes.fromhex("507f1f77bcf86cd799439011")
NUMBER = element(0x10, "a", struct.pack("<i", 1))

BSON = {
    "empty": document(),
    "numbers": document(
        element(0x01, "d", struct.pack("<d", 1.5)),
        element(0x10, "i", struct.pack("<i", -5)),
        element(0x12, "l", struct.pack("<q", 1 << 40)),
        element(0x13, "n", bytes([150] + [0] * 13 + [0x3C, 0x30])),
        element(0x08, "b", b"\1"),
    ),
    "texts": document(
        element(0x02, "s", text('"\\\n\0é€😀')),
        element(0x0B, "r", b"a.b\0mi\0"),
        element(0x0D, "c", text("f()")),
        element(0x0E, "y", text("s")),
        element(0x0F, "w", code_with_scope("f()", document(NUMBER))),
        element(0x0C, "p", text("d.c") + OBJECT_ID),
    ),
    "times": document(
        element(0x09, "d", struct.pack("<q", 1709210096789)),
        element(0x09, "e", struct.pack("<q", -1)),
        element(0x11, "t", struct.pack("<II", 1, 1709210096)),
        element(0x07, "o", OBJECT_ID),
    ),
    "binaries": document(
        element(0x05, "g", binary(0, b"abc")),
        element(0x05, "o", binary(2, struct.pack("<i", 2) + b"ab")),
        element(0x05, "u", binary(4, bytes(range(16)))),
    ),
    "nested": document(
        element(0x03, "o", document(element(0x03, "p", document(NUMBER)))),
        element(0x04, "r", document(element(0x0A, "0"), element(0x04, "1", document()))),
    ),
    "keys": document(element(0x06, ""), element(0xFF, "$min"), element(0x7F, "a.b"), element(0x0A, "a-rather-long-key")),
}

JSON = {
    "empty": "{}",
    "plain": '{"a": [1, -2.5e3, true, false, null, "\\u00e9\\ud83d\\ude00\\n"], "b": {"c": 9223372036854775807}}',
    "numbers": '{"a": {"$numberInt": "1"}, "b": {"$numberLong": "2"}, "c": {"$numberDouble": "-Infinity"}, "d": {"$numberDecimal": "1.50E+3"}}',
    "times": '{"a": {"$date": "2024-02-29T12:34:56.789Z"}, "b": {"$date": {"$numberLong": "-1"}}, "c": {"$timestamp": {"t": 1, "i": 2}}}',
    "binaries": '{"a": {"$binary": {"base64": "Zm9v", "subType": "00"}}, "b": {"$uuid": "c8edabc3-f738-4ca3-b68d-ab92a91478a3"}, "c": {"$oid": "507f1f77bcf86cd799439011"}}',
    "texts": '{"a": {"$regularExpression": {"pattern": "a", "options": "mi"}}, "b": {"$symbol": "s"}, "c": {"$code": "f", "$scope": {"x": 1}}, "d": {"$code": "g"}}',
    "rest": '{"a": {"$minKey": 1}, "b": {"$maxKey": 1}, "c": {"$undefined": true}, "d": {"$dbPointer": {"$ref": "d.c", "$id": {"$oid": "507f1f77bcf86cd799439011"}}}}',
    "older": '{"a": {"$date": 1}, "b": {"$date": "2013-12-11T19:51:23.123+0100"}, "c": {"$binary": "Zm9v", "$type": "00"}, "d": {"$regex": "a", "$options": "i"}, "e": [NaN, +Infinity, -Infinity]}',
    "turned": '{"a": {"$options": "i", "$regex": "a"}, "b": {"$type": "0", "$binary": "Zm9v"}, "c": {"$scope": {"$scope": {}}, "$code": "f"}}',
    "operators": '{"a": {"$gt": 1}, "b": {"$type": "string"}, "c": {"$regex": "a"}, "d": {"$scope": {"x": 1}, "y": 2}, "e": {"$ref": "c", "$id": 1}}',
}


def message(opcode, body):
    return struct.pack("<iiii", 16 + len(body), 1, 1, opcode) + body


OK = element(0x01, "ok", struct.pack("<d", 1))
BATCH = element(0x04, "firstBatch", document(element(0x03, "0", document(NUMBER)), element(0x03, "1", document())))
CURSOR = document(element(0x03, "cursor", document(BATCH, element(0x12, "id", struct.pack("<q", 7)), element(0x02, "ns", text("d.c")))), OK)
GREETING = document(
    element(0x04, "hosts", document(element(0x02, "0", text("a:1")))),
    element(0x03, "speculativeAuthenticate", document(element(0x10, "conversationId", struct.pack("<i", 1)),
                                                      element(0x05, "payload", binary(0, b"r=a")), element(0x08, "done", b"\0"))),
    OK,
)
FAILURE = document(element(0x10, "code", struct.pack("<i", 43)), element(0x02, "errmsg", text("gone")))
WIRE = {
    "cursor": message(2013, b"\0" * 5 + CURSOR),
    "failure": message(2013, b"\0" * 5 + FAILURE),
    "greeting": message(1, struct.pack("<iqii", 8, 0, 0, 1) + GREETING),
    "compressed": message(2012, struct.pack("<iiB", 2013, 5 + len(CURSOR), 2) + zlib.compress(b"\0" * 5 + CURSOR)),
    "not_compressed": message(2012, struct.pack("<iiB", 2013, 5 + len(CURSOR), 0) + b"\0" * 5 + CURSOR),
}


def main():
    corpus = pathlib.Path(__file__).resolve().parent / "corpus"
    for fuzzer, seeds in {"bson_fuzzer": BSON, "extended_json_fuzzer": JSON, "wire_reply_fuzzer": WIRE}.items():
        folder = corpus / fuzzer
        folder.mkdir(parents=True, exist_ok=True)
        for name, seed in seeds.items():
            (folder / name).write_bytes(seed if isinstance(seed, bytes) else seed.encode())


if __name__ == "__main__":
    main()

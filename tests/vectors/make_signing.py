"""Writes ``signing.json``: inputs and expected outputs of signing a command, for clients in any language.

    python tests/vectors/make_signing.py > tests/vectors/signing.json

Nothing of the server is imported.  The canonical JSON is written out here character by character, and HMAC is spelled
out as RFC 2104 has it, so that the server's use of the library's functions is checked against something else.
Both SDKs are held to it too: tests/sdk/wire/test_signing.py, tests/sdk_js/wire/signing.test.mjs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from typing import Any

SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
SECRET = "c3VwZXItc2VjcmV0LW9mLWEtc2Vzc2lvbi1mb3ItdGVzdHM"


def canonical(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(escaped(char) for char in value) + '"'
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: [ord(char) for char in pair[0]])
        return "{" + ",".join(f"{canonical(key)}:{canonical(item)}" for key, item in pairs) + "}"
    raise TypeError(type(value))


def escaped(char: str) -> str:
    if char in SHORT_ESCAPES:
        return SHORT_ESCAPES[char]
    code = ord(char)
    if 0x20 <= code < 0x7F:
        return char
    # Everything else, U+007F among it, goes out as one or two UTF-16 units.
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    block = 64
    key = hashlib.sha256(key).digest() if len(key) > block else key
    key = key.ljust(block, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def vector(name: str, cmd_wire: str, *, difficulty: int = 1, secret: str = SECRET, note: str = "") -> dict[str, Any]:
    cmd_json = canonical(json.loads(cmd_wire))
    cmd_hash = hashlib.sha256(cmd_json.encode("ascii")).hexdigest()
    fields = {
        "session_jti": "jti_0123456789abcdef0123456789abcdef",
        "channel_id": "ws-7f2d51a0",
        "agent_id": "scout.1_b-2",
        "server_cmd_id": "cmd_" + hashlib.sha256(name.encode()).hexdigest()[:12],
        "client_cmd_id": "c:1.a_b-2",
        "cmd_hash": cmd_hash,
        "nonce": base64.urlsafe_b64encode(hashlib.sha256(b"nonce " + name.encode()).digest()[:16]).decode().rstrip("="),
        "expires_at": 1_760_000_005,
        "difficulty": difficulty,
    }
    signing_string = "|".join(["v1", *(str(value) for value in fields.values())])
    sig = base64.urlsafe_b64encode(hmac_sha256(secret.encode(), signing_string.encode())).decode().rstrip("=")
    number, pow_hash = 0, proof(fields, "0")
    while not pow_hash.startswith("0" * difficulty):
        number += 1
        pow_hash = proof(fields, str(number))
    return {
        "name": name,
        "note": note,
        "cmd_wire": cmd_wire,
        "cmd": json.loads(cmd_wire),
        "canonical": cmd_json,
        "cmd_secret": secret,
        **fields,
        "signing_string": signing_string,
        "sig": sig,
        "proof_nonce": str(number),
        "pow_hash": pow_hash,
    }


def proof(fields: dict[str, Any], proof_nonce: str) -> str:
    return hashlib.sha256(f"{fields['nonce']}|{fields['cmd_hash']}|{proof_nonce}".encode()).hexdigest()


def vectors() -> list[dict[str, Any]]:
    say = '{"type":"say","text":"%s"}'
    return [
        vector("move_to", '{"type":"move_to","x":3,"y":4}'),
        vector("move_to, keys in another order", '{"y":4,"x":3,"type":"move_to"}', note="same cmd_hash as move_to"),
        vector(
            "move_to, with white space",
            ' { "type" : "move_to",\n\t"x": 3 ,\r\n "y":4 } ',
            note="same cmd_hash as move_to",
        ),
        vector("difficulty 0", '{"type":"move_to","x":0,"y":49}', difficulty=0, note="any proof will do, or none"),
        vector("difficulty 3", '{"type":"move_to","x":49,"y":0}', difficulty=3),
        vector("minus zero", '{"type":"move_to","x":-0,"y":4}', note="the integer 0"),
        vector("harvest", '{"type":"harvest","node_id":"chunk-0-node-3"}'),
        vector("say, ASCII", say % "hello"),
        vector("say, empty", say % "", note="hashes like any other; the world refuses it"),
        vector("say, accent and emoji", say % "h\u00e9llo \U0001f600", note="raw UTF-8 on the wire"),
        vector("say, accent and emoji escaped", say % "h\\u00E9llo \\uD83D\\uDE00", note="same cmd_hash as raw"),
        vector("say, decomposed accent", say % "he\u0301llo \U0001f600", note="another text, another cmd_hash"),
        vector("say, every short escape", say % '\\" \\\\ \\/ \\b \\f \\n \\r \\t'),
        vector(
            "say, control characters",
            say % "\\u0000\\u001f\\u007f\\u0080\\u009f",
            note="U+007F is escaped too, though JSON.stringify leaves it",
        ),
        vector("say, odd line ends", say % "a\u2028b\u2029c\u0085d\\rE\\nf"),
        vector("say, ends of the planes", say % "\uffff\U00010000\U0010ffff\ue000"),
        vector("say, right to left and a joiner", say % "\u05e9\u05dc\u05d5\u05dd \U0001f469\u200d\U0001f680"),
        vector("say, HTML", say % "<b>&'\\\"</b>", note="no HTML escapes"),
        vector("numbers", '{"type":"numbers","list":[0,-1,10,9007199254740991,-9007199254740991]}'),
        vector(
            "nested",
            '{"z":[{"b":[true,false,null],"a":{}},[]],"type":"nested","a":{"\u00e9":"","e":{"k":""}}}',
            note="no command of the world; the rules of the canonical form hold all the same",
        ),
        vector(
            "keys by code point",
            '{"\U0001f600":1,"\uff21":2,"a":3,"B":4,"":5,"\u00e4":6,"aa":7}',
            note="sorted by code point, not by UTF-16 unit: U+FF21 comes before U+1F600",
        ),
        vector("a long secret", '{"type":"say","text":"x"}', secret="k" * 100, note="HMAC hashes keys above 64 bytes"),
        vector(
            "a secret beyond ASCII",
            '{"type":"say","text":"x"}',
            secret="schl\u00fcssel \U0001f511",
            note="its UTF-8 bytes",
        ),
    ]


def refused() -> list[dict[str, str]]:
    move = '{"type":"move_to","x":%s,"y":4}'
    return [
        {"name": "duplicate key", "cmd_wire": '{"type":"say","text":"a","text":"b"}'},
        {"name": "duplicate key, one of them escaped", "cmd_wire": '{"type":"say","text":"a","te\\u0078t":"b"}'},
        {"name": "NaN", "cmd_wire": move % "NaN"},
        {"name": "Infinity", "cmd_wire": move % "Infinity"},
        {"name": "minus Infinity", "cmd_wire": move % "-Infinity"},
        {"name": "a float that overflows", "cmd_wire": move % "1e400"},
        {"name": "a float", "cmd_wire": move % "3.0"},
        {"name": "a float by its exponent", "cmd_wire": move % "3e0"},
        {"name": "a string", "cmd_wire": move % '"3"'},
        {"name": "a boolean", "cmd_wire": move % "true"},
        {"name": "null", "cmd_wire": move % "null"},
        {"name": "an integer that JavaScript can't hold", "cmd_wire": move % "9007199254740993"},
        {"name": "an integer of 5,000 digits", "cmd_wire": move % ("9" * 5000)},
        {"name": "a lone surrogate", "cmd_wire": '{"type":"say","text":"\\ud800"}'},
        {"name": "an unknown field", "cmd_wire": '{"type":"move_to","x":3,"y":4,"z":5}'},
        {"name": "a missing field", "cmd_wire": '{"type":"move_to","x":3}'},
        {"name": "an unknown type", "cmd_wire": '{"type":"fly"}'},
        {"name": "no object", "cmd_wire": '["move_to",3,4]'},
        {"name": "nested too deep", "cmd_wire": '{"type":"say","text":[[[["deep"]]]]}'},
    ]


ABOUT = (
    "canonical: JSON of cmd with keys sorted by code point, no spaces, all but U+0020..U+007E as \\uXXXX (lower case "
    "hex, surrogate pairs beyond the BMP), as Python's json.dumps writes it. cmd_hash: hex SHA-256 of canonical. "
    "sig: base64url without padding of HMAC-SHA256 under the UTF-8 bytes of cmd_secret over signing_string. "
    "pow_hash: hex SHA-256 of nonce|cmd_hash|proof_nonce, with difficulty leading zeroes; proof_nonce is the smallest "
    "number that has them. cmd_wire is what may stand in the message; everything under refused gets command_ack with "
    "reason invalid_cmd and no challenge. No fractional numbers here: a command that holds one is refused."
)

if __name__ == "__main__":
    json.dump({"about": ABOUT, "vectors": vectors(), "refused": refused()}, sys.stdout, indent=1)
    sys.stdout.write("\n")

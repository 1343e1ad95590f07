"""What an agent sends over its socket: strict parsing of one text message into one typed frame.

Pure.  Nothing in here raises on hostile input: a message is a frame or a ``FrameError`` with a stable reason, which
goes back as ``error {reason}`` while the connection lives on (contract, "Playing").  Python's own JSON reader is used
because it can see duplicate keys; its leniencies (NaN, huge and endless numbers, lone surrogates) are closed here.
What has none of all that, as nearly every message, is read by orjson, which takes a tenth of the time.

A fault inside ``cmd`` does not spoil the frame: the frame then carries ``cmd_fault``, so that the refusal can name the
``client_cmd_id`` (``command_ack`` with ``invalid_cmd``).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from api.ids import TraceId, is_cmd_id, trace_id_or_new

MAX_FRAME_BYTES: Final = 16 * 1024
MAX_CMD_DEPTH: Final = 4
MAX_INT: Final = 2**53 - 1
MAX_INT_CHARS: Final = len(str(-MAX_INT))
MAX_SIG_CHARS: Final = 256
MAX_PROOF_NONCE_CHARS: Final = 128
#: Beyond it a message is read strictly, which bounds its depth too.
PLAIN_VALUES_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class FrameError:
    """Why a message is no frame."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ping:
    """``ping``."""

    trace_id: TraceId


@dataclass(frozen=True, slots=True)
class CommandReq:
    """``command_req``.  ``cmd`` is plain JSON data; ``cmd_fault`` is None or what makes it ``invalid_cmd``."""

    client_cmd_id: str
    cmd: object
    trace_id: TraceId
    cmd_fault: str | None = None


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """``command_answer``.  ``proof_nonce`` is None when there is no proof at all."""

    server_cmd_id: str
    sig: str
    proof_nonce: str | None
    trace_id: TraceId


Frame = Ping | CommandReq | CommandAnswer

TOO_LARGE: Final = FrameError("message_too_large")
BINARY: Final = FrameError("binary_not_supported")
BAD_UTF8: Final = FrameError("bad_utf8")
BAD_JSON: Final = FrameError("bad_json")
BAD_SHAPE: Final = FrameError("bad_shape")
BAD_CLIENT_CMD_ID: Final = FrameError("invalid_client_cmd_id")
UNKNOWN_TYPE: Final = FrameError("unsupported_message_type")


def parse_frame(message: str | bytes) -> Frame | FrameError:
    """Return the frame that ``message`` holds.

    Args:
        message: the text of a WebSocket text message, or its UTF-8 bytes.  (A binary message is ``BINARY``; the
            socket knows, this function can't tell.)
    """
    if len(message) > MAX_FRAME_BYTES:
        return TOO_LARGE
    plain = _read_plain(message)
    if plain is not None and (isinstance(message, bytes) or message.isascii()):
        return _frame(plain, False)
    try:
        if isinstance(message, bytes):
            text = message.decode()
        else:
            text = message
            if not text.isascii() and len(text.encode()) > MAX_FRAME_BYTES:
                return TOO_LARGE
    except UnicodeDecodeError:
        return BAD_UTF8
    except UnicodeEncodeError:
        return BAD_JSON
    try:
        data = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return BAD_JSON
    if type(data) is not dict:
        return BAD_SHAPE if not isinstance(data, _Fault) else BAD_JSON
    return _frame(data, "\\ud" in text or "\\uD" in text)


# Reading JSON in which there is nothing to be strict about


def _read_plain(message: str | bytes) -> dict[str, Any] | None:
    """Return an object of texts, small whole numbers, ``true``, ``false``, ``null``; None: it must be read strictly.

    orjson keeps the last of two equal names.  But each name has its colon outside of all texts, so where there are as
    many colons as names no name came twice.
    """
    try:
        data = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    if type(data) is not dict:
        return None
    names, values = 0, [cast("Any", data)]
    for value in values:  # which grows meanwhile
        kind = type(value)
        if kind is dict:
            names += len(value)
            values.extend(value.values())
        elif kind is list:
            values.extend(value)
        elif kind is float or (kind is int and not -MAX_INT <= value <= MAX_INT):
            return None
        if len(values) > PLAIN_VALUES_MOST:
            return None
    colons = message.count(b":") if isinstance(message, bytes) else message.count(":")
    return data if names == colons else None


# Reading JSON strictly


class _Fault:
    """Stands in the parsed data where a value was that must not be there."""

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what


_DUPLICATE_KEY: Final = _Fault("duplicate_key")
_NOT_FINITE: Final = _Fault("number_not_finite")
_TOO_BIG: Final = _Fault("number_too_big")


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Fault:
    data = dict(pairs)
    return data if len(data) == len(pairs) else _DUPLICATE_KEY


def _read_int(digits: str) -> int | _Fault:
    if len(digits) > MAX_INT_CHARS:
        return _TOO_BIG
    value = int(digits)
    return value if -MAX_INT <= value <= MAX_INT else _TOO_BIG


def _read_float(digits: str) -> float | _Fault:
    value = float(digits)
    return value if math.isfinite(value) else _NOT_FINITE


def _read_constant(_name: str) -> _Fault:
    return _NOT_FINITE


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_read_object, parse_int=_read_int, parse_float=_read_float, parse_constant=_read_constant
)


# Frames from data


def _frame(data: dict[str, Any], surrogates: bool) -> Frame | FrameError:
    kind = data.get("type")
    if type(kind) is not str:
        return BAD_SHAPE
    trace_id = trace_id_or_new(data.get("trace_id"))
    if kind == "ping":
        return Ping(trace_id)
    payload = data.get("payload")
    if kind == "command_req":
        return _command_req(payload, trace_id, surrogates) if type(payload) is dict else BAD_SHAPE
    if kind == "command_answer":
        return _command_answer(payload, trace_id) if type(payload) is dict else BAD_SHAPE
    return UNKNOWN_TYPE


def _command_req(payload: dict[str, Any], trace_id: TraceId, surrogates: bool) -> Frame | FrameError:
    client_cmd_id = payload.get("client_cmd_id")
    if type(client_cmd_id) is not str or not is_cmd_id(client_cmd_id):
        return BAD_CLIENT_CMD_ID
    cmd = payload.get("cmd")
    return CommandReq(client_cmd_id, cmd, trace_id, _fault_of(cmd, MAX_CMD_DEPTH, surrogates))


def _command_answer(payload: dict[str, Any], trace_id: TraceId) -> Frame | FrameError:
    server_cmd_id, sig, proof = payload.get("server_cmd_id"), payload.get("sig"), payload.get("proof")
    if type(server_cmd_id) is not str or not is_cmd_id(server_cmd_id):
        return BAD_SHAPE
    if type(sig) is not str or len(sig) > MAX_SIG_CHARS:
        return BAD_SHAPE
    # Older clients send the proof's nonce as a bare string.
    nonce = proof.get("proof_nonce") if type(proof) is dict else proof
    if nonce is not None and (type(nonce) is not str or len(nonce) > MAX_PROOF_NONCE_CHARS):
        return BAD_SHAPE
    return CommandAnswer(server_cmd_id, sig, nonce, trace_id)


def _fault_of(value: object, depth_left: int, surrogates: bool) -> str | None:
    """Return what is wrong with a command's data, or None.  ``surrogates``: the text held a maybe lone escape."""
    if isinstance(value, _Fault):
        return value.what
    if type(value) is str:
        return "lone_surrogate" if surrogates and not _encodable(value) else None
    if type(value) is not dict and type(value) is not list:
        return None
    if depth_left == 0:
        return "too_deep"
    if type(value) is dict:
        if surrogates and not all(map(_encodable, value)):
            return "lone_surrogate"
        value = list(value.values())
    for inner in value:
        fault = _fault_of(inner, depth_left - 1, surrogates)
        if fault is not None:
            return fault
    return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

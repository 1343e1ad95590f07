"""Messages to and from bytes: the WebSocket envelope (``payload`` inside), the flat form of server-sent events."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from chunkcrawl.wire.messages import (
    Challenge,
    ChunkClosed,
    ChunkDelta,
    ChunkStatic,
    ChunkTransition,
    CommandAck,
    CommandResult,
    ErrorEvent,
    Event,
    Heartbeat,
    PlaybackState,
    PrivateDelta,
    ResyncRequired,
    SessionReady,
    Snapshot,
    UnknownEvent,
)

__all__ = ["decode_snapshot", "decode_sse", "decode_ws", "encode"]


class _Envelope(msgspec.Struct, gc=False):
    type: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    event_id: str | None = None
    trace_id: str | None = None
    server_ts_ms: int | None = None


class _FlatHead(msgspec.Struct, gc=False):
    type: str | None = None
    trace_id: str | None = None
    server_ts_ms: int | None = None


_Type = TypeVar("_Type")
_KNOWN: Final[tuple[type[Event], ...]] = (
    SessionReady,
    ChunkStatic,
    ChunkDelta,
    ChunkTransition,
    PrivateDelta,
    Challenge,
    CommandAck,
    CommandResult,
    Heartbeat,
    ErrorEvent,
    ResyncRequired,
    ChunkClosed,
    PlaybackState,
)
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {kind.TYPE: msgspec.json.Decoder(kind) for kind in _KNOWN}
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_HEAD: Final = msgspec.json.Decoder(_FlatHead)
_ANY_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_SNAPSHOT: Final = msgspec.json.Decoder(Snapshot)


def decode_ws(frame: str | bytes) -> Event:
    """Read one WebSocket message: ``{"type", "event_id"?, "trace_id", "server_ts_ms", "payload": {...}}``.

    Raises:
        msgspec.DecodeError: The frame is not a JSON object with a ``type`` at all.
    """
    envelope = _read(_ENVELOPE, frame)
    event = _decode(envelope.type, bytes(envelope.payload))
    event.event_id = envelope.event_id or ""
    event.trace_id = envelope.trace_id or ""
    event.server_ts_ms = envelope.server_ts_ms or 0
    return event


def decode_sse(name: str, data: str, event_id: str = "") -> Event:
    """Read one server-sent event: ``data`` is JSON with the payload's fields beside ``type``.

    Args:
        name: The ``event:`` field; empty or ``message`` falls back to the ``type`` inside the JSON.
        data: The ``data:`` field.
        event_id: The ``id:`` field of this event, empty without one.

    Raises:
        msgspec.DecodeError: ``data`` is not a JSON object.
    """
    raw = data.encode()
    head = _read(_HEAD, raw)
    kind = name if name and name != "message" else (head.type or "")
    event = _decode(kind, raw)
    event.event_id = event_id
    event.trace_id = head.trace_id or ""
    event.server_ts_ms = head.server_ts_ms or 0
    return event


def decode_snapshot(body: bytes) -> Snapshot:
    """Read a snapshot answer.

    Raises:
        msgspec.DecodeError: It does not have the contract's shape.
    """
    return _read(_SNAPSHOT, body)


def encode(kind: str, payload: dict[str, Any]) -> str:
    """Return a WebSocket message of ours as text; the server takes text frames only."""
    return msgspec.json.encode({"type": kind, "payload": payload}).decode()


def _read(decoder: msgspec.json.Decoder[_Type], text: str | bytes) -> _Type:
    try:
        return decoder.decode(text)
    except (RecursionError, UnicodeError) as error:
        raise msgspec.DecodeError(f"not a message: {type(error).__name__}") from error


def _decode(kind: str, raw: bytes) -> Event:
    decoder = _DECODERS.get(kind)
    problem = None
    if decoder is not None:
        try:
            event: Event = _read(decoder, raw)
        except msgspec.ValidationError as error:
            problem = str(error)
        else:
            event.raw = raw
            return event
    try:
        fields = _read(_ANY_OBJECT, raw)
    except msgspec.ValidationError:
        fields = {}
    return UnknownEvent(name=kind, fields=fields, problem=problem, raw=raw)

"""Events as readers get them: how they stand in a stream, and the ways in which they are written on the wire.

The payload's JSON is made once, by whoever wrote the event.  Here it is only wrapped, by joining bytes: no reader
costs a JSON encoding, and what is the same for all readers of an event is made once and kept with it.

Shared and private events are different types.  ``SharedEvent`` comes from a chunk's stream and may go to anyone;
``PrivateEvent`` comes from an agent's stream and goes to that agent and its owner only.  What serves spectators
takes ``SharedEvent`` alone, so a private event can't be handed to it (contract: "Watching").
"""

from __future__ import annotations

import re
from typing import Final, NewType

import orjson

from config.errors import ServerError
from streaming.framing import http_chunk, text_frame_head
from streaming.keys import AGENT_STREAM_PREFIX, CHUNK_STREAM_PREFIX

#: An entry's id in its stream: (tick, seq) for chunks, (n, 0) for agents.
StreamId = tuple[int, int]
#: The id that a client sees and hands back to resume (``streaming/cursor.py``).
EventId = NewType("EventId", str)

BEFORE_FIRST: Final[StreamId] = (0, 0)

SHARED_KINDS: Final = frozenset({"chunk_delta", "chunk_closed"})
PRIVATE_KINDS: Final = frozenset(
    {"command_challenge", "command_ack", "command_result", "chunk_transition", "agent_private_delta"}
)
#: Written for the followers; they never reach a client under these names.
INTERNAL_KINDS: Final = frozenset({"agent_placed", "agent_removed"})

_TRACE_OK: Final = re.compile(r"[A-Za-z0-9_.:\-]+", re.ASCII)


class BadEntry(ServerError, ValueError):
    """A stream holds something that is not an event of ours."""

    reason = "bad_entry"


def parse_stream_id(text: bytes) -> StreamId:
    """Read ``b"12-3"`` as ``(12, 3)``.  Raises ``ValueError``."""
    major, _, minor = text.partition(b"-")
    return int(major), int(minor)


def format_stream_id(id_: StreamId) -> str:
    """Return ``(12, 3)`` as ``12-3``."""
    return f"{id_[0]}-{id_[1]}"


class Event:
    """One event: its kind, when and for which trace it was made, and its payload as JSON.

    ``payload`` is a JSON object without raw line breaks, as orjson writes it.  ``key`` is the stream it stands in,
    empty for what a gateway says by itself (``session_ready``, ``heartbeat``, ...), which has no id either.
    """

    __slots__ = (
        "_chunk",
        "_frame",
        "_sse_tail",
        "_ws_tail",
        "event_id",
        "id",
        "key",
        "kind",
        "payload",
        "prev",
        "trace_id",
        "ts_ms",
    )

    #: Pages read the agent-scoped events' fields under ``payload`` (contract: "Envelopes").
    NESTED_TOO = False

    def __init__(
        self,
        kind: str,
        payload: bytes,
        ts_ms: int,
        trace_id: str,
        *,
        key: str = "",
        id_: StreamId = BEFORE_FIRST,
        prev: StreamId = BEFORE_FIRST,
    ) -> None:
        self.kind = kind
        self.payload = payload
        self.ts_ms = ts_ms
        self.trace_id = trace_id
        self.key = key
        self.id = id_
        self.prev = prev
        #: A chunk's entry has one id for all its spectators; followers make their own (``streaming/cursor.py``).
        self.event_id: EventId | None = None
        self._ws_tail: bytes | None = None
        self._sse_tail: bytes | None = None
        self._frame: tuple[EventId | None, bytes] | None = None
        self._chunk: tuple[EventId | None, bytes] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key} {format_stream_id(self.id)} {self.kind}>"

    def fields(self) -> dict[str, object]:
        """Return the payload, parsed, for the few places that must look inside."""
        value: dict[str, object] = orjson.loads(self.payload)
        return value

    # -- for sending --

    def ws_bytes(self, event_id: EventId | None = None) -> bytes:
        """Return the WebSocket envelope as UTF-8: ``type`` first, ``event_id`` where the event can be replayed."""
        return b"".join(self._envelope(event_id))

    def ws_frame(self, event_id: EventId | None = None) -> bytes:
        """Return the envelope as a whole WebSocket frame.

        The one for the last ``event_id`` is kept: all spectators of a chunk ask for the same one.
        """
        if self._frame is not None and self._frame[0] == event_id:
            return self._frame[1]
        head, tail = self._envelope(event_id)
        frame = b"".join((text_frame_head(len(head) + len(tail)), head, tail))
        self._frame = (event_id, frame)
        return frame

    def _envelope(self, event_id: EventId | None) -> tuple[bytes, bytes]:
        """Return the envelope in two parts, the second of which is the same for every ``event_id`` and made once."""
        tail = self._ws_tail
        if tail is None:
            head = f'"trace_id":{_quote(self.trace_id)},"server_ts_ms":{self.ts_ms},"payload":'
            tail = self._ws_tail = head.encode() + self.payload + b"}"
        identified = "" if event_id is None else f'"event_id":"{event_id}",'
        return f'{{"type":"{self.kind}",{identified}'.encode(), tail

    def sse_bytes(self, event_id: EventId | None = None) -> bytes:
        """Return the event as an SSE block: ``id:`` if given, ``event:``, one flat ``data:`` line, an empty line."""
        tail = self._sse_tail
        if tail is None:
            tail = self._sse_tail = self._flat()
        return tail if event_id is None else b"id: " + event_id.encode() + b"\n" + tail

    def sse_chunk(self, event_id: EventId | None = None) -> bytes:
        """Return the block as a chunk of a body; the one for the last ``event_id`` is kept, as in ``ws_frame``."""
        if self._chunk is not None and self._chunk[0] == event_id:
            return self._chunk[1]
        chunk = http_chunk(self.sse_bytes(event_id))
        self._chunk = (event_id, chunk)
        return chunk

    def _flat(self) -> bytes:
        head = f'{{"type":"{self.kind}","trace_id":{_quote(self.trace_id)},"server_ts_ms":{self.ts_ms}'.encode()
        inner = self.payload[1:-1]
        nested = b',"payload":' + self.payload if self.NESTED_TOO else b""
        data = head + (b"," + inner if inner else b"") + nested + b"}"
        return b"event: " + self.kind.encode() + b"\ndata: " + data + b"\n\n"


class SharedEvent(Event):
    """What anyone may see: a chunk's stream, and what a gateway says to a reader."""

    __slots__ = ()


class PrivateEvent(Event):
    """What only an agent and its owner may see."""

    __slots__ = ()
    NESTED_TOO = True


Entry = SharedEvent | PrivateEvent


def events_of_message(key: str, data: bytes) -> list[Entry]:
    r"""Read a Pub/Sub message: ``{id} `` and what the stream has under that id.  Raises ``BadEntry``."""
    id_, _, message = data.partition(b" ")
    return events_of(key, id_, message)


def events_of(key: str, id_: bytes, message: bytes) -> list[Entry]:
    r"""Read an entry as a stream holds it: its id, and its field ``m``.

    That is ``{prev} {kind} {ts_ms} {trace_id}\n{payload}``.  In an agent's stream further events may follow, each as
    ``\n{kind} {ts_ms} {trace_id}\n{payload}``: what one commit had for the agent.  The entry has the number of the last
    one.

    Raises:
        BadEntry: it is malformed, or of a kind that must not stand in this stream (a private event in a chunk's).
    """
    lines = message.split(b"\n")
    if len(lines) <= 2 or not key.startswith(AGENT_STREAM_PREFIX):
        return [from_stream(key, id_, message)]
    heads, payloads = lines[::2], lines[1::2]
    before, _, heads[0] = heads[0].partition(b" ")
    try:
        first = parse_stream_id(id_)[0] - len(heads)
        if len(heads) != len(payloads) or parse_stream_id(before) != (first, 0):
            raise ValueError(f"{len(lines)} lines from {before!r} to {id_!r}")
    except ValueError as error:
        raise BadEntry(f"{key}: {error}") from None
    return [
        from_stream(key, b"%d-0" % (n + 1), b"%d-0 %b\n%b" % (n, head, payload))
        for n, (head, payload) in enumerate(zip(heads, payloads, strict=True), first)
    ]


def from_stream(key: str, id_: bytes, message: bytes) -> Entry:
    """Read an entry of one event, as all of a chunk's stream are (see ``events_of``).

    Raises:
        BadEntry: it is malformed, or of a kind that must not stand in this stream (a private event in a chunk's).
    """
    head, newline, payload = message.partition(b"\n")
    try:
        prev, kind_bytes, ts_ms, trace_id = head.split(b" ", 3)
        kind = kind_bytes.decode("ascii")
        where = {
            "ts_ms": int(ts_ms),
            "id_": parse_stream_id(id_),
            "prev": parse_stream_id(prev),
        }
        # Nothing without a trace leaves the server: what was written without one bears its place.
        trace = trace_id.decode("ascii", "replace") or f"entry-{id_.decode('ascii')}"
    except ValueError as error:
        raise BadEntry(f"{key}: {error}") from None
    if not newline or payload[:1] != b"{" or payload[-1:] != b"}" or b"\n" in payload:
        raise BadEntry(f"{key}: no payload")
    if key.startswith(CHUNK_STREAM_PREFIX) and kind in SHARED_KINDS:
        entry = SharedEvent(kind, payload, trace_id=trace, key=key, **where)  # type: ignore[arg-type]
        entry.event_id = EventId(f"{key[len(CHUNK_STREAM_PREFIX) :]}:{entry.id[0]}:{entry.id[1]}")
        return entry
    if key.startswith(AGENT_STREAM_PREFIX) and (kind in PRIVATE_KINDS or kind in INTERNAL_KINDS):
        return PrivateEvent(kind, payload, trace_id=trace, key=key, **where)  # type: ignore[arg-type]
    raise BadEntry(f"{key}: a {kind} has no place here")


def chunk_of(entry: Event) -> str:
    """Return the chunk in whose stream a shared entry stands."""
    return entry.key[len(CHUNK_STREAM_PREFIX) :]


def notice(kind: str, payload: dict[str, object], ts_ms: int, trace_id: str) -> SharedEvent:
    """Make an event of the gateway's own, without an id; ``trace_id`` is of the connection or of what it answers."""
    return SharedEvent(kind, orjson.dumps(payload), ts_ms, trace_id)


def _quote(text: str) -> str:
    return f'"{text}"' if _TRACE_OK.fullmatch(text) else orjson.dumps(text).decode()

"""One server-sent event stream, read by callbacks: HTTP by httptools' parser, events by their blank lines.

An event costs 23 us here, the system call among it; 115 us through the SDK's ``Watcher``, which reads through httpx and
parses every event.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

import httptools

from chunkcrawl.errors import ApiError, ProtocolViolation, ServerUnreachable
from chunkcrawl.transport.http import bearer, error_of
from chunkcrawl.wire.sse import EVENT_MAX_BYTES, HEADERS
from loadtest.connection import small_socket
from loadtest.group import AgentGroup

__all__ = ["EventReader", "EventSplitter", "SseConnection", "open_stream"]

OPEN_TIMEOUT_S: Final = 10.0
OK: Final = 200


class EventReader(Protocol):
    """What a stream tells of what comes."""

    def event(self, stream: SseConnection, name: bytes, event_id: bytes, data: bytes) -> None:
        """Take an event; ``event_id`` is empty without one."""
        ...


class EventSplitter:
    """Bytes in, events out.  Bounded: ``ProtocolViolation`` for an event of more than 4 MiB."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes, bytes]]:
        """Return the events (name, id, data) that ``data`` completes."""
        self._buffer += data
        if b"\r" in self._buffer:
            self._buffer = _with_plain_ends(self._buffer)
        *blocks, self._buffer = self._buffer.split(b"\n\n")
        if len(self._buffer) > EVENT_MAX_BYTES:
            raise ProtocolViolation(f"an event of more than {EVENT_MAX_BYTES} bytes")
        return [_fields(block) for block in blocks if block]


def _with_plain_ends(text: bytes) -> bytes:
    """Return the text with line ends CRLF and CR as LF; a CR at the very end waits for what follows."""
    whole, rest = (text[:-1], b"\r") if text.endswith(b"\r") else (text, b"")
    return whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + rest


def _fields(block: bytes) -> tuple[bytes, bytes, bytes]:
    name, event_id, data = b"message", b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        elif field == b"id":
            event_id = value
    return name, event_id, b"\n".join(data)


class SseConnection(asyncio.Protocol):
    """A connection that carries one stream.  ``opened`` is done with the answer's head, ``ended`` at the end of it."""

    def __init__(self, group: AgentGroup, request: bytes, reader: EventReader) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        #: Whether we ended it.
        self.ours = False
        #: Whether the server ended it in order, as it does for a chunk that was removed.
        self.finished = False
        #: Bytes of events so far.
        self.received = 0
        self._group, self._request, self._reader = group, request, reader
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._splitter = EventSplitter()
        self._headers: dict[str, str] = {}
        self._refusal = b""

    def close(self) -> None:
        """End it."""
        self.ours = True
        if self._transport is not None:
            self._transport.abort()

    def pause(self, paused: bool) -> None:
        """Stop reading, or go on."""
        if self._transport is not None and not self._transport.is_closing():
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    # -- for asyncio --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            # The parser wraps what our own callbacks raise.
            cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
            if isinstance(cause, Exception) and not isinstance(cause, ProtocolViolation | httptools.HttpParserError):
                self._group.fail(cause)
                return
            self._group.measures.counts["unusable"] += 1
            self._fail(ProtocolViolation(f"{type(cause).__name__}: {cause}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End the stream."""
        self._fail(ServerUnreachable(f"closed: {exc}" if exc else "closed without an answer"))
        if not self.ended.done():
            self.ended.set_result(None)

    # -- for httptools --

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header of the answer."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Open the stream, if the answer's head is one of a stream."""
        if self._parser.get_status_code() != OK:
            return
        if not self._headers.get("content-type", "").startswith("text/event-stream"):
            self._fail(ProtocolViolation("no event stream"))
        elif not self.opened.done():
            self.opened.set_result(None)

    def on_body(self, body: bytes) -> None:
        """Read the events of a part of the body."""
        if self._parser.get_status_code() != OK:
            self._refusal = (self._refusal + body)[:EVENT_MAX_BYTES]
            return
        self.received += len(body)
        for name, event_id, data in self._splitter.feed(body):
            if data:
                self._reader.event(self, name, event_id, data)

    def on_message_complete(self) -> None:
        """Note that the server ended the stream in order."""
        status = self._parser.get_status_code()
        self.finished = status == OK
        self._fail(error_of(status, self._headers, self._refusal))

    def _fail(self, error: ApiError | ProtocolViolation | ServerUnreachable) -> None:
        """Give the connection up: ``opened`` fails with ``error``, unless the answer's head has come already."""
        if not self.opened.done():
            self.opened.set_exception(error)
        if self._transport is not None:
            self._transport.abort()


async def open_stream(
    group: AgentGroup, path: str, token: str, last_event_id: str | None, reader: EventReader, *, slow: bool
) -> SseConnection:
    """Open a stream; ``path`` with its query.

    Raises:
        ServerUnreachable, ApiError, ProtocolViolation: There is none.
    """
    base = urlsplit(group.plan.base)
    host, port = base.hostname or "", base.port or (443 if group.tls else 80)
    lines = {"Host": base.netloc} | HEADERS | bearer(token)
    if last_event_id:
        lines["Last-Event-ID"] = last_event_id
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    request = f"GET {base.path}{path} HTTP/1.1\r\n{head}\r\n".encode()
    loop = asyncio.get_running_loop()
    stream = SseConnection(group, request, reader)
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            if slow:
                name = host if group.tls else None
                sock = await small_socket(host, port)
                await loop.create_connection(lambda: stream, sock=sock, ssl=group.tls, server_hostname=name)
            else:
                await loop.create_connection(lambda: stream, host, port, ssl=group.tls)
            await stream.opened
    except (OSError, TimeoutError) as error:
        stream.close()
        raise ServerUnreachable(f"{group.plan.base}: {type(error).__name__} {error}".rstrip()) from None
    return stream

"""Server-sent events out of an HTTP response, bounded.

httpx-sse 0.4.3, the least we require, splits on CR, LF and CRLF only, as the standard says, so a text with U+2028
arrives whole; tests/sdk/wire/test_sse.py holds it to that.  What is added here: a bound on what one event may hold, and
no empty events (the library makes one of every comment once an id has been seen).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError

from chunkcrawl.errors import ProtocolViolation

__all__ = ["EVENT_MAX_BYTES", "HEADERS", "server_sent_events"]

EVENT_MAX_BYTES: Final = 4 * 1024 * 1024
#: Uncompressed: a compressor on the way may hold events back.
HEADERS: Final = {"Accept": "text/event-stream", "Cache-Control": "no-store", "Accept-Encoding": "identity"}


class _Counted(httpx.AsyncByteStream):
    """A response's bytes, with a limit on how many may come between two events."""

    def __init__(self, stream: httpx.AsyncByteStream, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self.since_event = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._stream:
            self.since_event += len(data)
            if self.since_event > self._limit:
                raise ProtocolViolation(f"an event of more than {self._limit} bytes")
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()


async def server_sent_events(
    response: httpx.Response, *, limit_bytes: int = EVENT_MAX_BYTES
) -> AsyncGenerator[ServerSentEvent, None]:
    """Yield the events of a response that is being streamed.

    Raises:
        ProtocolViolation: It is no event stream, or one event is larger than ``limit_bytes``.
        httpx.HTTPError: The connection broke.
    """
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("an async response is needed")
    counted = _Counted(stream, limit_bytes)
    response.stream = counted
    events = EventSource(response).aiter_sse()
    try:
        async for event in events:
            counted.since_event = 0
            if event.data or event.retry is not None:
                yield event
    except SSEError as error:
        raise ProtocolViolation(str(error)) from error
    finally:
        await events.aclose()

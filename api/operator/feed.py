"""The operators' stream: figures made once a period for all who watch, encoded once, and not made while nobody does.

A new reader is given everything as it was at the last period; after that only what has changed.  One that is too slow
loses what waits for it and is given everything anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import orjson
import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.errors import ApiError
from api.handlers import AWAY
from api.operator.chunk_table import Cells, columns
from api.operator.figures import Figures
from api.sockets.streams import Batch
from config.logs import described
from streaming.cancellable import end
from streaming.entry import SharedEvent, notice
from streaming.gap_detector import Item
from streaming.shared_clock import now_ms
from streaming.subscriber_queue import SubscriberQueue

__all__ = ["Feed", "FeedView"]

log = structlog.get_logger(__name__)

PERIOD_S: Final = 2.0
#: What stands in the envelope where other events have the trace of a command.
TRACE: Final = "operators"


class Feed:
    """Makes the stream's events for the views that are in it."""

    def __init__(self, figures: Figures, period_s: float = PERIOD_S) -> None:
        self._figures = figures
        self.period_s = period_s
        self._views: set[FeedView] = set()
        self._task: asyncio.Task[None] | None = None
        #: What was last sent of each kind, and the events that a new reader is given.
        self._sent: dict[str, bytes] = {}
        self._cells: dict[str, Cells] = {}
        self._whole: list[SharedEvent] | None = None
        self._due = asyncio.Event()

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._views)

    def enter(self, view: FeedView) -> None:
        """Let a view have the events from now on: all of them with the next ones."""
        self._views.add(view)
        self._due.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="operators-feed")

    def leave(self, view: FeedView) -> None:
        """Take a view out; with the last one the work ends."""
        self._views.discard(view)
        if not self._views and self._task is not None:
            self._task.cancel()
            self._task = None
            self._sent, self._cells, self._whole = {}, {}, None

    def hurry(self) -> None:
        """Make the next figures now: an operator has done something and wants to see it."""
        self._due.set()

    async def close(self) -> None:
        """End the work."""
        if self._task is not None:
            await end(self._task)

    async def whole(self) -> list[SharedEvent]:
        """Return everything as it was at the last period, encoded once for all who ask."""
        if self._whole is None:
            hour = {"points": await self._figures.hour()}
            chunks = {"whole": True, **columns(self._cells), "gone": []}
            self._whole = [
                SharedEvent(kind, payload, now_ms(), TRACE) for kind, payload in self._sent.items() if kind != "point"
            ]
            self._whole += [_event("hour", hour), _event("chunks", chunks)]
        return self._whole

    async def _run(self) -> None:
        while True:
            self._due.clear()
            try:
                await self._round()
            except ApiError as error:
                self._put([_event("trouble", {"reason": error.reason, "text": error.words})])
            except (SQLAlchemyError, *AWAY) as error:
                log.info("operators_feed_put_off", **described(error))
                self._put([_event("trouble", {"reason": "unavailable", "text": None})])
            except Exception as error:  # the feed is everybody's, and one bad reading must not end it
                log.error("operators_feed_failed", **described(error))
            try:
                async with asyncio.timeout(self.period_s):
                    await self._due.wait()
                await asyncio.sleep(self.period_s / 10)  # several that hurry are served together
            except TimeoutError:
                pass

    async def _round(self) -> None:
        sections = await self._figures.sections()
        changed = []
        for kind, fields in sections.items():
            payload = orjson.dumps(fields)
            if self._sent.get(kind) != payload:
                self._sent[kind] = payload
                changed.append(SharedEvent(kind, payload, now_ms(), TRACE))
        table = self._figures.chunks
        changes = table.changes_since(self._cells)
        if changes.changed or changes.gone:
            fields = {"whole": False, **columns(changes.changed), "gone": changes.gone}
            changed.append(_event("chunks", fields))
            self._cells = table.cells
        if changed:
            self._whole = None
        new = [view for view in self._views if not view.begun]
        whole = await self.whole() if new else []
        for view in [view for view in self._views if view.begun]:
            for event in changed:
                view.queue.put(event)
        for view in new:
            for event in whole:
                view.queue.put(event)
            view.begun = True

    def _put(self, events: list[SharedEvent]) -> None:
        for view in self._views:
            for event in events:
                view.queue.put(event)


class FeedView:
    """One operator's view of the feed: what ``api.sockets.sse`` sends."""

    def __init__(self, feed: Feed, queue: SubscriberQueue, hello: dict[str, object], trace_id: str) -> None:
        self._feed = feed
        self._hello = hello
        self._trace_id = trace_id
        self.queue = queue
        #: Whether it has been given everything, and wants changes alone.
        self.begun = False

    async def events(self) -> AsyncGenerator[Batch, None]:
        """Yield what to send, for ever.  Use ``contextlib.aclosing``.  Raises ``Closed`` when the queue was closed."""
        self._feed.enter(self)
        try:
            yield [(notice("hello", self._hello, now_ms(), self._trace_id), None)]
            while True:
                items = await self.queue.take()
                if items is None:
                    whole = await self._feed.whole()
                    yield [(event, None) for event in (_event("resync", {}), *whole)]
                    continue
                batch: list[tuple[Any, None]] = [(item, None) for item in items if isinstance(item, SharedEvent)]
                if self.queue.heartbeat_due:
                    self.queue.heartbeat_due = False
                    batch.append((_event("heartbeat", {}), None))
                yield batch
        finally:
            self._feed.leave(self)

    def at_once(self, _: Item) -> None:
        """Have everything queued: what comes together is sent together."""


def _event(kind: str, fields: dict[str, Any]) -> SharedEvent:
    return SharedEvent(kind, orjson.dumps(fields), now_ms(), TRACE)

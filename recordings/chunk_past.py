"""A chunk's past, a page at a time: the deltas that its watchers were sent, made again byte for byte from the inputs.

A page says from what state it begins (the chunk's static and its moving things), so each can be shown by itself, and
what can't be shown and why.  It is bounded by deltas, by their bytes and by the ticks that are run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from recordings.past_page import DELTAS_MOST, Gap, PastDelta, PastPage
from recordings.track import Begun, Catalog, Stepped, Track, Unrunnable
from world.ids import ChunkId
from world.outputs import ChunkDelta
from world.shard import ShardWorld

BYTES_MOST: Final = 2_000_000
#: Ticks that one page runs again at most, some tenths of a second of CPU; a longer rest is several pages.
TICKS_MOST: Final = 600
#: Shards that a chunk is followed to within one page.
MOVES_MOST: Final = 8

Hear = Callable[[Stepped], object]


def _nothing(step: Stepped) -> None:
    pass


@dataclass(slots=True)
class Bounds:
    """Where a page ends at the latest."""

    last: int
    run_to: int
    deltas: int
    bytes: int = BYTES_MOST

    def take(self, size: int) -> bool:
        """Return whether there is room for a delta of this size, and take it; the first always has."""
        first = self.bytes == BYTES_MOST
        if self.deltas <= 0 or (self.bytes < size and not first):
            return False
        self.deltas -= 1
        self.bytes -= size
        return True


def read_past(
    catalog: Catalog,
    chunk_id: str,
    first: int,
    last: int,
    limit: int = DELTAS_MOST,
    hear: Hear = _nothing,
) -> PastPage:
    """Return what happened from ``first`` on, up to ``last`` at most; the page's ``last`` says how far it goes.

    Args:
        limit: deltas at most.
        hear: called with each entry that the page is made of, before what it shows is taken.

    Raises:
        OSError: the place is away.
    """
    page = PastPage(chunk_id, first, first - 1)
    bounds = Bounds(last, min(last, first - 1 + TICKS_MOST), min(limit, DELTAS_MOST))
    tracks = catalog.tracks()
    in_order = {shard: tracks[shard] for shard in catalog.order_for(chunk_id, tracks)}
    left: _ChunkRun | None = None
    for _ in range(MOVES_MOST):
        reading = _read_where_it_is(page, bounds, in_order, left, hear)
        if reading is None:
            break
        catalog.found_in(chunk_id, reading.shard)
        if not reading.gave_away:
            break
        left = reading
    else:
        page.last, page.ended = max(page.shown, page.first), False
    page.clip_gap()
    return page


def _read_where_it_is(
    page: PastPage, bounds: Bounds, tracks: dict[int, Track], left: _ChunkRun | None, hear: Hear
) -> _ChunkRun | None:
    """Read from the shard that has the chunk, and return what has read it; None: no shard has it.

    A shard that gave a chunk away says so in its next entry only, which may come much later, or not yet: so whoever
    has nothing more to say of the chunk has it only if no other one has.  ``left``: who gave it away before.
    """
    waiting: list[_ChunkRun] = []
    for shard, track in tracks.items():
        if left is not None and shard == left.shard:
            continue
        reading = _ChunkRun(shard, page, bounds, track.run(page.shown), hear)
        if reading.begins_with_it():
            reading.gave_away = reading.read()
            return reading
        waiting.append(reading)
    if left is not None and left.came_back:
        waiting.append(left)
    silent = [reading for reading in waiting if reading.silent]
    if silent:
        max(silent, key=lambda one: one.shown_at).take_state()
    found = [(tick, reading) for reading in waiting if (tick := reading.find()) is not None]
    if found:  # it was not there yet, or on its way
        _, reading = min(found, key=lambda one: one[0])
        reading.gave_away = reading.read()
        return reading
    page.last = max(page.last, page.shown, min(bounds.last, max((one.reached for one in waiting), default=-1)))
    page.ended = all(reading.ended for reading in waiting)
    page.gap = page.gap or next((reading.gap for reading in waiting if page.state is None), None)
    return None


class _ChunkRun:
    """Reads a page from one shard's run."""

    def __init__(
        self, shard: int, page: PastPage, bounds: Bounds, run: Iterator[Begun | Stepped | Unrunnable], hear: Hear
    ) -> None:
        self.shard = shard
        self._page = page
        self._bounds = bounds
        self._run = run
        self._hear = hear
        self._chunk = ChunkId(page.chunk_id)
        #: Whether the shard has the chunk, and whether it ever had it.
        self._has = False
        self.found = False
        #: Whether a life has begun anew and not loaded it yet.
        self._loading = False
        self._after = page.shown
        self.reached = page.shown
        self.gap: Gap | None = None
        #: An entry that was looked at and not taken yet.
        self._pending: Begun | Stepped | Unrunnable | None = None
        #: The chunk's static and state where it was seen first.
        self._state: tuple[bytes, bytes] | None = None
        self.shown_at = -1
        #: Whether the entry in which the chunk went away brought it back, too.
        self.came_back = False
        self.silent = False
        self.ended = False
        #: Whether the chunk was found to leave for another shard.
        self.gave_away = False

    def begins_with_it(self) -> bool:
        """Go to the world before the page; return whether the chunk is in it, and the next entry does not give it away.

        ``silent``: it is in it, and there is no next entry.
        """
        begun = next(self._run, None)
        if begun is None or isinstance(begun, Stepped):
            self.ended = True
            return False
        self._go_on(begun)
        if not self._has:
            return False
        step = next(self._run, None)
        self.silent = step is None
        self.ended = step is None
        self._pending = step
        if not isinstance(step, Stepped):
            return step is not None
        here = step.world.holds(self._chunk) or self._chunk in step.output.closed or self._tells(step)
        if here and self._chunk not in step.dropped:
            return True
        self._has = self.found = False
        self._state = None
        return False

    def take_state(self) -> None:
        """Let the page begin with what this shard has of the chunk, if it has no beginning yet."""
        page = self._page
        if page.state is None and self._state is not None:
            page.gap = page.gap or self.gap
            page.static, page.state = self._state

    def _tells(self, step: Stepped) -> bool:
        return any(one.chunk_id == self._chunk and one.tick > self._after for one in step.output.deltas)

    def find(self) -> int | None:
        """Go on to where the chunk is first seen; return that tick, None: nowhere within the bounds."""
        if self.silent:
            return None
        while (step := self._next()) is not None:
            if not isinstance(step, Stepped):
                if step.gap is not None and self.gap is not None:
                    self.reached = max(self.reached, step.gap.first - 1)
                    return None
                self._go_on(step)
                if self._has:
                    return self.reached
                continue
            if step.world.holds(self._chunk) or self._tells(step):
                self._pending = step
                return step.tick
            if step.tick > self._bounds.run_to:
                self.reached = max(self.reached, self._bounds.run_to)
                return None
            self.reached = max(self.reached, step.tick)
        self.ended = True
        return None

    def read(self) -> bool:
        """Fill the page; return whether the chunk left the shard for another one."""
        page, bounds = self._page, self._bounds
        page.ended = False
        if self._after >= bounds.last:  # the gap is all that was asked for
            page.gap = page.gap or self.gap
            page.static = page.state = None
            self._end(bounds.last)
            return False
        self.take_state()
        while (step := self._next()) is not None:
            if not isinstance(step, Stepped):
                if step.gap is not None and (self.found or self.gap is not None):
                    if step.gap.first > page.first:
                        self._end(step.gap.first - 1)  # the next page begins with this gap
                        return False
                    page.static = page.state = self._state = None
                self._go_on(step)
                self.take_state()
            elif self.found and self._chunk in step.dropped:
                self.came_back = step.world.holds(self._chunk)
                self._has = self.found = False
                self._pending = step
                return True
            elif not self._take(step):
                return False
            elif self.found and not self._has and not self._loading:
                return True
            elif step.tick > bounds.run_to:
                self._end(bounds.run_to)
                return self.found and not self._has
            else:
                self.reached = max(self.reached, step.tick)
        self.ended = page.ended = True
        self._end(self.reached)
        return True  # or given away without a further word

    def _go_on(self, step: Begun | Unrunnable) -> None:
        gap = step.gap
        if gap is not None:
            self.gap = gap
            self.reached = self._after = max(self._after, gap.last)
            self._bounds.run_to = min(self._bounds.last, max(self._bounds.run_to, gap.last + TICKS_MOST))
        if isinstance(step, Begun):
            self._loading = self.found
            self._look(step.world)

    def _next(self) -> Begun | Stepped | Unrunnable | None:
        pending, self._pending = self._pending, None
        return next(self._run, None) if pending is None else pending

    def _take(self, step: Stepped) -> bool:
        """Take an entry into the page; return whether there is more to take."""
        self._hear(step)
        for delta in step.output.deltas:
            if delta.chunk_id == self._chunk and not self._show(delta, step):
                return False
        self._look(step.world)
        self.take_state()
        if self._chunk in step.output.closed:
            self._page.closed = step.tick
            self._end(step.tick)
            return False
        return True

    def _look(self, world: ShardWorld) -> None:
        """Note whether the chunk is here, and its state where it is seen first."""
        self._has = world.holds(self._chunk)
        if not self._has:
            return
        self.found, self._loading = True, False
        if self._state is None:
            self.shown_at = world.state.chunks[self._chunk].shown_at
            self._state = orjson.dumps(world.chunk_static(self._chunk)), orjson.dumps(world.chunk_delta(self._chunk))

    def _show(self, delta: ChunkDelta, step: Stepped) -> bool:
        """Add a delta to the page; return whether there is room for more."""
        page = self._page
        if delta.tick <= self._after:
            if not page.deltas and delta.tick < page.first:  # its commit spans the beginning of the page
                page.state = orjson.dumps(_without_events(delta.payload))
            return True
        if delta.tick > self._bounds.last:
            self._end(self._bounds.last)
            return False
        payload = orjson.dumps(delta.payload)
        if not self._bounds.take(len(payload)):
            self._end(delta.tick - 1)
            return False
        page.deltas.append(PastDelta(delta.tick, payload, step.ms_of(delta.tick)))
        return True

    def _end(self, tick: int) -> None:
        self.reached = max(self._page.shown, min(tick, self._bounds.last))
        self._page.last = self.reached


def _without_events(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "events": []}


def tick_at(catalog: Catalog, chunk_id: str, ms: int) -> int | None:
    """Return about which tick it was at a Unix time (ms); None: nothing that old is kept.  Raises ``OSError``."""
    tracks = catalog.tracks()
    for shard in catalog.order_for(chunk_id, tracks):
        found = tracks[shard].tick_at(ms)
        if found is not None:
            return found
    return None

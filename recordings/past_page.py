"""What a page of a chunk's past holds, and its bytes between processes.  Knows nothing of the world."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

import orjson

#: Why something of the past can't be shown: it is older than what is kept; entries are missing, or what is there is
#: damaged; another version of the rules made it; it is not written yet; nothing is recorded, or not where one looks.
Reason = Literal["before_first", "missing", "other_rules", "not_yet_recorded", "not_recorded"]

DELTAS_MOST: Final = 500
#: After every tick.
NO_END: Final = 10**14


@dataclass(frozen=True, slots=True)
class Gap:
    """Ticks, both included, that can't be shown."""

    first: int
    last: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class PastDelta:
    """A ``chunk_delta`` as it was sent: its tick, its payload as JSON, and about when (Unix time, ms)."""

    tick: int
    payload: bytes
    ms: int


@dataclass(slots=True)
class PastPage:
    """What happened in a chunk from ``first`` to ``last``, both included."""

    chunk_id: str
    first: int
    last: int
    #: What of it can't be shown; it comes before everything else.
    gap: Gap | None = None
    #: The chunk before the first delta, as ``chunk_static`` and ``chunk_delta`` without events; None: it was not there.
    static: bytes | None = None
    state: bytes | None = None
    deltas: list[PastDelta] = field(default_factory=list)
    #: The tick at which the chunk was removed.
    closed: int | None = None
    #: Whether ``last`` is where the recording ends: what follows is not written yet, or has not happened.
    ended: bool = False

    @property
    def shown(self) -> int:
        """The tick of the last delta in it, or the one before the page."""
        return self.deltas[-1].tick if self.deltas else self.first - 1

    def clip_gap(self) -> None:
        """Let the gap end with the page at the latest."""
        if self.gap is not None and self.gap.last > self.last:
            self.gap = replace(self.gap, last=self.last)

    def pack(self) -> bytes:
        """Return it as a line of JSON, and after it the payloads."""
        gap = None if self.gap is None else [self.gap.first, self.gap.last, self.gap.reason]
        start = [None if one is None else len(one) for one in (self.static, self.state)]
        deltas = [[delta.tick, delta.ms, len(delta.payload)] for delta in self.deltas]
        head = [self.chunk_id, self.first, self.last, gap, self.closed, self.ended, start, deltas]
        parts = [self.static or b"", self.state or b"", *(delta.payload for delta in self.deltas)]
        return orjson.dumps(head) + b"\n" + b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> PastPage:
        """Read what ``pack`` wrote.  Raises ``ValueError``."""
        head, _, rest = data.partition(b"\n")
        chunk_id, first, last, gap, closed, ended, start, deltas = orjson.loads(head)
        page = cls(chunk_id, first, last, None if gap is None else Gap(*gap), closed=closed, ended=ended)
        at = 0
        cut: list[bytes | None] = []
        for length in (*start, *(one[2] for one in deltas)):
            cut.append(None if length is None else rest[at : at + length])
            at += length or 0
        page.static, page.state, *payloads = cut
        page.deltas = [PastDelta(tick, data or b"", ms) for (tick, ms, _), data in zip(deltas, payloads, strict=True)]
        return page

"""What a page of an agent's past holds, and its bytes between processes.  Knows nothing of the world."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from recordings.past_page import PastDelta, PastPage

#: Where a private event stands beside the chunk's delta of its tick.
BEFORE_DELTA: Final = 0
DELTA: Final = 1
AFTER_DELTA: Final = 2


class OrderPlace(NamedTuple):
    """The order in which things came: by tick, and within one before, as, or after the chunk's delta."""

    tick: int
    rank: int


@dataclass(frozen=True, slots=True)
class Told:
    """A private event as it was sent: its kind, trace and payload as JSON, and about when (Unix time, ms).

    ``tick`` is that of its commit.  A commit's private events came before its deltas: ``place`` says so.
    """

    tick: int
    place: OrderPlace
    kind: str
    trace_id: str
    payload: bytes
    ms: int


@dataclass(slots=True)
class AgentPage:
    """What happened to an agent in one chunk, and in that chunk: ``chunk`` is a page of its past.

    It holds whole ticks only: of the last one that is recorded there may be more to come.
    """

    chunk: PastPage
    #: The agent's own events, in order.
    told: list[Told] = field(default_factory=list)
    #: Whether it was in the chunk at the beginning, after the gap if there is one.
    present: bool = False
    #: Whether it was in the chunk at any time of the page.
    seen: bool = False
    #: The tick at which it left the chunk; the page ends with that.
    left: int | None = None
    #: What it carried; None: it was not seen.
    gold: int | None = None

    def items(self) -> list[tuple[OrderPlace, Told | PastDelta]]:
        """Return everything in the order in which it was sent."""
        found: list[tuple[OrderPlace, Told | PastDelta]] = [(one.place, one) for one in self.told]
        found += [(OrderPlace(delta.tick, DELTA), delta) for delta in self.chunk.deltas]
        return sorted(found, key=lambda one: one[0])

    def pack(self) -> bytes:
        """Return it as a line of JSON, the payloads of ``told``, and the chunk's page."""
        told = [[one.tick, *one.place, one.kind, one.trace_id, one.ms, len(one.payload)] for one in self.told]
        head = orjson.dumps([self.present, self.seen, self.left, self.gold, told])
        return b"".join((head, b"\n", *(one.payload for one in self.told), self.chunk.pack()))

    @classmethod
    def unpack(cls, data: bytes) -> AgentPage:
        """Read what ``pack`` wrote.  Raises ``ValueError``."""
        head, _, rest = data.partition(b"\n")
        present, seen, left, gold, heads = orjson.loads(head)
        told, at = [], 0
        for tick, due, rank, kind, trace_id, ms, length in heads:
            told.append(Told(tick, OrderPlace(due, rank), kind, trace_id, rest[at : at + length], ms))
            at += length
        return cls(PastPage.unpack(rest[at:]), told, present, seen, left, gold)

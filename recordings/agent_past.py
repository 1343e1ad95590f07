"""An agent's past, a page at a time: what its owner was sent of it, made again from the inputs.

The page of the chunk in which the agent was, and beside it the agent's private events of the same runs.  It ends where
the agent leaves the chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import orjson

from recordings.agent_page import AFTER_DELTA, BEFORE_DELTA, DELTA, AgentPage, OrderPlace, Told
from recordings.chunk_past import read_past
from recordings.past_page import DELTAS_MOST, NO_END
from recordings.track import Catalog, Stepped
from world.ids import AgentId, ChunkId
from world.outputs import PrivateEvent

#: So long after a tick nothing is committed of it any more; a shard at rest writes nothing later that would show it.
OVER_MS: Final = 5_000


def read_agent_past(catalog: Catalog, agent_id: str, chunk_id: str, first: int, limit: int = DELTAS_MOST) -> AgentPage:
    """Return what happened to an agent in a chunk, and in that chunk, from the tick ``first`` on.

    If it is not there then, the page begins where it comes; without its coming it has neither deltas nor events.

    Args:
        limit: deltas at most.

    Raises:
        OSError: the place is away.
    """
    listener = _Listener(AgentId(agent_id), ChunkId(chunk_id))
    chunk = read_past(catalog, chunk_id, first, NO_END, limit, listener.hear)
    page = AgentPage(chunk, gold=listener.gold)
    page.present = chunk.state is not None and _shows(chunk.state, agent_id)
    _keep_whole_ticks(page, listener.last_tick, is_over=lambda: _is_over(catalog, listener.last_ms))
    _tell(page, listener.heard)
    return page


@dataclass(slots=True)
class _Heard:
    """What one commit had of the agent."""

    tick: int
    #: Where it stands among the chunk's deltas.
    place: OrderPlace
    told: list[Told] = field(default_factory=list)
    #: Whether the agent came into the chunk with it, or left it; None: neither.
    joined: bool | None = None


class _Listener:
    """Notes what the entries that a page is made of say of one agent."""

    def __init__(self, agent_id: AgentId, chunk_id: ChunkId) -> None:
        self._agent_id = agent_id
        self._chunk_id = chunk_id
        self.heard: list[_Heard] = []
        #: The tick of the last entry; None: there was none.
        self.last_tick: int | None = None
        self.last_ms = 0
        self.gold: int | None = None

    def hear(self, step: Stepped) -> None:
        """Take an entry."""
        self.last_tick, self.last_ms = step.tick, step.ms_of(step.tick)
        output = step.output
        ticks = [delta.tick for delta in output.deltas]
        place = OrderPlace(min(ticks), BEFORE_DELTA) if ticks else OrderPlace(step.tick, AFTER_DELTA)
        heard = _Heard(step.tick, place)
        for chunk_id, agent_id, joined in output.members:
            if (chunk_id, agent_id) == (self._chunk_id, self._agent_id):
                heard.joined = joined
        heard.told = [self._told(event, step, place) for event in output.private if event.agent_id == self._agent_id]
        if heard.told or heard.joined is not None:
            self.heard.append(heard)
        if self.gold is None and (actor := step.world.state.agents.get(self._agent_id)) is not None:
            self.gold = actor.gold

    @staticmethod
    def _told(event: PrivateEvent, step: Stepped, place: OrderPlace) -> Told:
        payload = orjson.dumps(event.payload)
        return Told(step.tick, place, event.kind, event.trace_id, payload, step.ms_of(step.tick))


def _keep_whole_ticks(page: AgentPage, last_tick: int | None, is_over: Callable[[], bool]) -> None:
    """Cut off a tick of which more entries may follow: those of its inputs come after that of its step."""
    chunk = page.chunk
    if last_tick is None:
        if chunk.ended:
            chunk.last = chunk.first - 1
        return
    whole = min(chunk.last, last_tick if chunk.ended and is_over() else last_tick - 1)
    if whole < chunk.first and not chunk.ended:
        return  # a hole begins after this tick: there is no more of it
    chunk.last = whole
    chunk.deltas = [delta for delta in chunk.deltas if delta.tick <= whole]


def _is_over(catalog: Catalog, ms: int) -> bool:
    """Return whether any shard was recorded for some time after a moment: entries come in the order of commits."""
    return any(track.last_ms() > ms + OVER_MS for track in catalog.tracks().values())


def _tell(page: AgentPage, heard: list[_Heard]) -> None:
    """Put into the page what the agent was told while it was in the chunk, and end it where it left."""
    chunk, inside, came = page.chunk, page.present, _shown_from(page)
    for one in heard:
        if one.tick < came or one.tick > chunk.last:
            continue
        if one.joined and not inside:
            inside = page.seen = True
            chunk.deltas = [delta for delta in chunk.deltas if OrderPlace(delta.tick, DELTA) > one.place]
        if not inside or (one.joined and any(told.kind == "chunk_transition" for told in one.told)):
            continue  # of a crossing within a shard, the chunk that was left has all that its commit said
        page.told += one.told
        if one.joined is False:
            chunk.last = page.left = one.tick
            chunk.ended = False
            chunk.deltas = [delta for delta in chunk.deltas if OrderPlace(delta.tick, DELTA) < one.place]
            break
    page.seen = page.seen or page.present
    if not page.seen:
        chunk.deltas = []


def _shown_from(page: AgentPage) -> int:
    """Return the first tick of a page that can be shown: the one after its gap."""
    gap = page.chunk.gap
    return page.chunk.first if gap is None else gap.last + 1


def _shows(state: bytes, agent_id: str) -> bool:
    return agent_id.encode() in state and any(one["id"] == agent_id for one in orjson.loads(state)["agents"])

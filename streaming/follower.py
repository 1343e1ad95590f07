"""Following one agent from chunk to chunk: what is shown of its two streams, in which order.  No I/O.

An agent's own stream says what happened to it; the stream of the chunk where it is shows its surroundings.
``Follower`` merges them.  When the agent goes to another chunk it shows the transition, then that chunk's static,
then its first delta with the agent in it, and nothing of the old chunk any more (contract: "What the world shows").
The agent's events keep their order, each is shown once, and every one of them comes with a position to resume from.

The shell (``streaming/follow.py``) feeds ``agent_event`` and ``chunk_event``, and, whenever ``arriving_at`` names a
chunk that it has not read yet, reads it and calls ``arrived``.  ``take`` hands over what is to be sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from streaming.cursor import Position, position_event_id
from streaming.entry import (
    BEFORE_FIRST,
    INTERNAL_KINDS,
    Entry,
    Event,
    EventId,
    PrivateEvent,
    SharedEvent,
    StreamId,
    chunk_of,
)

#: Agent's events held back while its arrival in a chunk is awaited; beyond it they are shown without waiting.
MAX_HELD: Final = 64

MOVES: Final = INTERNAL_KINDS | {"chunk_transition"}

#: An event and the id under which it can be resumed from; None for what is not replayed.
Followed = tuple[Event, EventId | None]


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where an agent has gone: to ``chunk_id`` (None: out of the world), at ``tick``."""

    chunk_id: str | None
    tick: int


def move_of(event: PrivateEvent) -> Whereabouts | None:
    """Return where an agent's event takes it, None if it leaves it where it is."""
    if event.kind not in MOVES:
        return None
    fields = event.fields()
    tick = fields.get("tick")
    at = tick if isinstance(tick, int) else 0
    if event.kind == "agent_removed":
        return Whereabouts(None, at)
    to = fields.get("to_chunk_id" if event.kind == "chunk_transition" else "chunk_id")
    return Whereabouts(str(to), at)


def effective_moves(chunk_id: str | None, events: Iterable[PrivateEvent]) -> list[tuple[int, Whereabouts]]:
    """Return the moves among ``events`` that change what is shown of ``chunk_id``, with their indices.

    An agent that was taken out and placed again where it was has not moved; a transition always counts.
    """
    moves = [(index, event, move) for index, event in enumerate(events) if (move := move_of(event)) is not None]
    found: list[tuple[int, Whereabouts]] = []
    here = chunk_id
    for place, (index, event, move) in enumerate(moves):
        if move.chunk_id is None and place + 1 < len(moves):
            continue
        if event.kind == "chunk_transition" or move.chunk_id != here:
            found.append((index, move))
            here = move.chunk_id
    return found


def shows(delta: SharedEvent, agent_id: str) -> bool:
    """Return whether a delta has the agent among those that stand in the chunk."""
    if agent_id.encode() not in delta.payload:
        return False
    agents = orjson.loads(delta.payload).get("agents", ())
    return any(agent.get("id") == agent_id for agent in agents)


class Follower:
    """The merging of one agent's two streams into what a reader is shown.

    Args:
        position: what the reader has seen.  With ``at`` 0-0 in a chunk, the arrival there is still to be shown.
        challenges: show those of the stream.  Not to an agent: it is sent its own before they come into the stream, and
            could not answer those of its other sockets.
    """

    def __init__(self, agent_id: str, position: Position, *, challenges: bool = True) -> None:
        self.agent_id = agent_id
        self.chunk_id = position.chunk_id
        self.at: StreamId = position.at
        self.seq = position.agent_seq
        #: The agent's last move, as far as known: the tick from which on the chunk may show it.
        self.arrival_tick: int | None = None
        #: A chunk of which nothing is shown yet, and whether ``arrived`` was called for it.
        self.arriving_at = position.chunk_id if position.at == BEFORE_FIRST else None
        self.arrival_read = False
        #: Entries of the chunk were missed for good: the shell must resync.
        self.lost = False
        self._challenges = challenges
        self._waiting: deque[PrivateEvent] = deque()
        #: The delta that was shown as the present; of its chunk nothing older is shown after it.
        self._floor: SharedEvent | None = None
        #: While the present is waited for: the chunk's last entry, and the agent's, when the agent was found in it.
        self._present_due: tuple[StreamId, int] | None = None
        self._out: list[Followed] = []

    # -- what has been shown --

    @property
    def position(self) -> Position:
        """The place from which this reader resumes."""
        return Position(self.chunk_id, self.at, self.seq)

    @property
    def online(self) -> bool:
        """Whether the agent is in the world."""
        return self.chunk_id is not None

    def take(self) -> list[Followed]:
        """Hand over what is to be sent, in order, and forget it."""
        out, self._out = self._out, []
        return out

    # -- what arrives --

    def agent_event(self, event: PrivateEvent) -> None:
        """Take an event of the agent's stream, in order; known ones are ignored.

        One without a number is the gateway's own, of no stream: it comes after all that came before it.
        """
        if event.id != BEFORE_FIRST and event.id[0] <= self._newest():
            return
        self._waiting.append(event)
        self._advance()

    def agent_events(self, events: Iterable[PrivateEvent]) -> None:
        """Take several at once: each is shown in the light of the moves that follow it."""
        newest = self._newest()
        self._waiting.extend(event for event in events if event.id == BEFORE_FIRST or event.id[0] > newest)
        self._advance()

    def chunk_event(self, event: SharedEvent) -> None:
        """Take an entry of a chunk's stream; what is not of the present chunk, or known, is ignored."""
        if event.id <= self.at or self.chunk_id is None or chunk_of(event) != self.chunk_id:
            return
        if event.kind != "chunk_delta":
            return
        if self.arriving_at is not None:
            due = self._present_due
            if not self.arrival_read or (due is not None and event.id <= due[0]) or not shows(event, self.agent_id):
                return
            self._show_delta(event)
            self.arriving_at = None
            if due is not None:
                self._present_due, self._floor = None, event
            self._advance()
        elif event.prev > self.at and self.at != BEFORE_FIRST:
            self.lost = True
        else:
            self._show_delta(event)

    def at_once(self, event: Entry) -> Followed | tuple[()] | None:
        """Return what to send for an entry that comes next, to a reader who has been sent everything before it.

        Empty: it is not shown.  None: nothing has changed here, and the entry is for ``chunk_event`` or
        ``agent_event``: it moves the agent, is known already, does not follow the last one, or something else is to be
        shown first.
        """
        if self.arriving_at is not None or self._waiting or self._out or self.lost:
            return None
        if isinstance(event, SharedEvent):
            if event.kind != "chunk_delta" or not event.prev <= self.at < event.id or chunk_of(event) != self.chunk_id:
                return None
            self.at = event.id
        else:
            if event.id == BEFORE_FIRST:
                return event, None
            if event.kind in MOVES or event.id[0] <= self.seq:
                return None
            self.seq = event.id[0]
            if self._is_hidden(event):
                return ()
        return event, position_event_id(self.chunk_id, self.at, self.seq)

    def arrived(self, static: SharedEvent | None, deltas: Sequence[SharedEvent]) -> None:
        """Take the static of ``arriving_at`` and its entries since the agent came, oldest first.

        ``static`` None: the chunk is gone again, the agent too.
        """
        assert self.arriving_at is not None
        self.arrival_read = True
        if static is not None:
            self._out.append((static, None))
        for delta in self._since_arrival(deltas):
            self._show_delta(delta)
            self.arriving_at = None
        self._advance()

    def present(self, static: SharedEvent, latest: SharedEvent | None, seq: int) -> None:
        """Show the present state of the chunk, from which everything goes on.

        If the agent is not in ``latest``, that delta is from before it came: the first delta that has it is waited for,
        and all other events wait behind that one.  ``seq``: number of the agent's last event when it was found here.
        """
        self._out.append((static, None))
        self.lost = False
        self.at = BEFORE_FIRST
        if latest is not None and shows(latest, self.agent_id):
            self.arriving_at = None
            self._show_delta(latest)
            self._floor = latest
        else:
            self.arriving_at, self.arrival_read = self.chunk_id, True
            self._present_due = (BEFORE_FIRST if latest is None else latest.id, seq)

    def say(self, event: SharedEvent) -> None:
        """Send something of the gateway's own."""
        self._out.append((event, None))

    def held(self) -> list[PrivateEvent]:
        """Return events of the gateway's own that wait to be shown."""
        return [event for event in self._waiting if event.id == BEFORE_FIRST]

    # -- inside --

    def _newest(self) -> int:
        return next((event.id[0] for event in reversed(self._waiting) if event.id != BEFORE_FIRST), self.seq)

    def _since_arrival(self, deltas: Sequence[SharedEvent]) -> list[SharedEvent]:
        """Return the deltas of this visit.

        They go from the first of the last unbroken row that shows the agent to its next move.  A row is broken by the
        delta of its leaving, so an earlier visit is not taken for this one.

        A row is broken by the delta of its leaving, so an earlier visit is not taken for this one.
        """
        leaving = next((move.tick for _, move in effective_moves(self.chunk_id, self._waiting)), None)
        floor = self._floor
        if floor is not None and chunk_of(floor) == self.chunk_id and floor.id[0] >= (self.arrival_tick or 0):
            # A missed visit to the chunk that was shown first, as it is now: the tick must not go back.
            return [floor, *(delta for delta in deltas if delta.id > floor.id and leaving is None)]
        visible = [
            delta for delta in deltas if delta.kind == "chunk_delta" and (leaving is None or delta.id[0] <= leaving)
        ]
        last = next((i for i in reversed(range(len(visible))) if shows(visible[i], self.agent_id)), None)
        if last is None:
            return []
        if last < len(visible) - 1 and visible[last].id[0] < (self.arrival_tick or 0):
            return []  # it has left since, before this arrival
        first = last
        while first > 0 and shows(visible[first - 1], self.agent_id):
            first -= 1
        return visible[first:]

    def _show_delta(self, event: SharedEvent) -> None:
        self.at = event.id
        self._out.append((event, position_event_id(self.chunk_id, event.id, self.seq)))

    def _advance(self) -> None:
        """Show the waiting events of the agent, as far as nothing must come before them."""
        while self._waiting:
            moves = effective_moves(self.chunk_id, self._waiting)
            if self.arriving_at is not None:
                if not self.arrival_read or self._awaits_present():
                    return
                if not moves and len(self._waiting) <= MAX_HELD:
                    return  # the static and the delta come first
            first, move = moves[0] if moves else (len(self._waiting), None)
            for _ in range(first):
                self._show_event(self._waiting.popleft())
            if move is not None:
                self._go(self._waiting.popleft(), move)

    def _awaits_present(self) -> bool:
        """Return whether the present comes before all that waits: the agent has not gone on since it was found."""
        if self._present_due is None:
            return False
        since = [event for event in self._waiting if event.id[0] > self._present_due[1]]
        return len(since) <= MAX_HELD and not any(move_of(event) for event in since)

    def _show_event(self, event: PrivateEvent) -> None:
        if event.id == BEFORE_FIRST:
            self._out.append((event, None))
            return
        self.seq = event.id[0]
        if event.kind in INTERNAL_KINDS or self._is_hidden(event):
            return
        self._out.append((event, position_event_id(self.chunk_id, self.at, self.seq)))

    def _is_hidden(self, event: PrivateEvent) -> bool:
        """Return whether ``event`` is a challenge, and this reader is not shown those of the stream."""
        return not self._challenges and event.kind == "command_challenge"

    def _go(self, event: PrivateEvent, move: Whereabouts) -> None:
        self.chunk_id = move.chunk_id
        self.at = BEFORE_FIRST
        self.arrival_tick = move.tick
        self.arriving_at = move.chunk_id
        self.arrival_read = False
        self._present_due = None
        self.lost = False
        self._show_event(event)

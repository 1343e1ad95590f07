"""Event ids: a reader's place, as it is sent to it and comes back from it.

A spectator's is ``{chunk_id}:{tick}:{seq}``.  An owner's or an agent's holds both of its places,
``{chunk_id}:{tick}:{seq}:{agent_seq}``: that in the stream of the chunk where the agent is, and that in the agent's
own stream.  ``-`` stands for no chunk (the agent is not in the world), ``0:0`` for nothing of that chunk seen yet.

While an agent's past is played the numbers of its stream are not known; ids of that begin with ``~`` (``PlayedPlace``).

What comes back is hostile input.  Parsing is strict: ASCII digits, no sign, no leading zero, bounded length; what
was never issued is ``None``, and the reader is resynced.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from streaming.entry import BEFORE_FIRST, EventId, StreamId

#: Longest event id that is looked at, in characters.
MAX_EVENT_ID_CHARS: Final = 160

NOWHERE: Final = "-"

_NUMBER: Final = "(0|[1-9][0-9]{0,14})"
_CHUNK: Final = "([A-Za-z0-9_.\\-]{1,64})"
_CHUNK_CURSOR: Final = re.compile(f"{_CHUNK}:{_NUMBER}:{_NUMBER}", re.ASCII)
_POSITION: Final = re.compile(f"{_CHUNK}:{_NUMBER}:{_NUMBER}:{_NUMBER}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ChunkCursor:
    """A spectator's place: the last entry of ``chunk_id``'s stream that it has seen."""

    chunk_id: str
    at: StreamId

    def __str__(self) -> str:
        return f"{self.chunk_id}:{self.at[0]}:{self.at[1]}"

    @classmethod
    def parse(cls, text: str) -> ChunkCursor | None:
        """Read an event id; None for what no spectator was ever given."""
        match = _CHUNK_CURSOR.fullmatch(text) if len(text) <= MAX_EVENT_ID_CHARS else None
        if match is None or match[1] == NOWHERE:
            return None
        return cls(match[1], (int(match[2]), int(match[3])))


@dataclass(frozen=True, slots=True)
class Position:
    """A follower's place: in the stream of the chunk it shows (``None``: none), and in the agent's stream."""

    chunk_id: str | None
    at: StreamId
    agent_seq: int

    def __str__(self) -> str:
        return f"{self.chunk_id or NOWHERE}:{self.at[0]}:{self.at[1]}:{self.agent_seq}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """Read an event id; None for what no owner or agent was ever given."""
        match = _POSITION.fullmatch(text) if len(text) <= MAX_EVENT_ID_CHARS else None
        if match is None:
            return None
        at = (int(match[2]), int(match[3]))
        if match[1] == NOWHERE:
            return cls(None, BEFORE_FIRST, int(match[4])) if at == BEFORE_FIRST else None
        return cls(match[1], at, int(match[4]))


def position_event_id(chunk_id: str | None, at: StreamId, agent_seq: int) -> EventId:
    """Return the event id of a follower's place."""
    return EventId(f"{chunk_id or NOWHERE}:{at[0]}:{at[1]}:{agent_seq}")


@dataclass(frozen=True, slots=True)
class PlayedPlace:
    """A place in an agent's past that is played: ``~{chunk_id}:{tick}:{told}``.

    The last delta shown under an id of its own, and how many of the agent's events were shown after it.  ``whole``: no
    delta was shown yet, and ``tick`` is the one that playing began with (``~~`` before it).
    """

    chunk_id: str
    tick: int
    told: int
    whole: bool = False

    @property
    def event_id(self) -> EventId:
        """The event id of this place."""
        return EventId(f"{'~~' if self.whole else '~'}{self.chunk_id}:{self.tick}:{self.told}")

    @classmethod
    def parse(cls, text: str) -> PlayedPlace | None:
        """Read an event id; None for what no player of an agent's past was ever given."""
        rest = text.lstrip("~")
        marks = len(text) - len(rest)
        match = _CHUNK_CURSOR.fullmatch(rest) if len(text) <= MAX_EVENT_ID_CHARS and 1 <= marks <= 2 else None
        if match is None or match[1] == NOWHERE:
            return None
        return cls(match[1], int(match[2]), int(match[3]), marks == 2)

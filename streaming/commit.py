"""What one commit of a shard holds, written by ``Batch`` in the order in which ``commit.lua`` reads it.

The script is run by ``streaming.journal``, which says what it checks before it writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from streaming import keys
from streaming.lua import load

#: Upper bound of the archive stream; what the archiver has not read by then is lost to the event log (not to the game).
ARCHIVE_MAXLEN: Final = 200_000

#: Upper bound of the recording's stream, some 50 MB; what the recorder has not read by then is missing from it.
RECORDING_MAXLEN: Final = 100_000

#: How long after its deadline a command may still be committed.  Until then it is surely known if its gateway has
#: refused it (the mark stays for ten minutes).
REFUSAL_KNOWN_MS: Final = 300_000

COMMIT: Final = load(
    "streaming/commit.lua",
    ARCHIVE_MAXLEN=ARCHIVE_MAXLEN,
    RECORDING_MAXLEN=RECORDING_MAXLEN,
    REFUSAL_KNOWN_MS=REFUSAL_KNOWN_MS,
)


class AgentEvent(NamedTuple):
    """An event on its way into an agent's stream.  ``payload`` is JSON without raw line breaks, as orjson writes it."""

    kind: str
    ts_ms: int
    trace_id: str
    payload: bytes


@dataclass(slots=True)
class Prolonged:
    """The agents whose streams need not be prolonged again within the present hour."""

    _hour: int = 0
    _agents: set[str] = field(default_factory=set)

    def is_due(self, agent_id: str, ts_ms: int) -> bool:
        """Return whether what is written now is to prolong the stream, and take it for done."""
        hour = ts_ms // (keys.PROLONG_EVERY_S * 1000)
        if hour != self._hour:
            self._agents.clear()
            self._hour = hour
        if agent_id in self._agents:
            return False
        self._agents.add(agent_id)
        return True

    def forget(self) -> None:
        """Prolong all of them anew."""
        self._hour = 0
        self._agents.clear()


@dataclass(slots=True)
class Batch:
    """The operations of one commit, in order, as the script reads them."""

    tick: int = 0
    conditions: list[str] = field(default_factory=list)
    ops: list[str | bytes | int] = field(default_factory=list)
    #: The bytes of each entry of a chunk's stream, by chunk.
    chunk_bytes: list[tuple[str, int]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.ops)

    def chunk_entry(
        self, chunk_id: str, entry_id: str, prev: str, kind: str, ts_ms: int, trace_id: str, payload: bytes, minid: str
    ) -> None:
        """Append to a chunk's stream and publish.  ``entry_id`` must be above every earlier one of the stream."""
        message = f"{prev} {kind} {ts_ms} {trace_id}\n".encode() + payload
        self.ops += ("D", chunk_id, entry_id, minid, message)
        self.chunk_bytes.append((chunk_id, len(message)))

    def agent_events(self, agent_id: str, events: Sequence[AgentEvent], *, prolong: bool = True) -> None:
        """Append private events to an agent's stream, as one entry, and publish it.

        ``prolong``: the stream's life too.
        """
        last = "1" if prolong else ""
        self.ops += ("E", agent_id, len(events), last, _message(events))

    def agent_record(
        self,
        agent_id: str,
        chunk_id: str,
        *,
        here: bool,
        busy: str,
        record: bytes,
        events: Sequence[AgentEvent] = (),
        prolong: bool = True,
    ) -> None:
        """Write where an agent is, and its events as ``agent_events`` does.

        ``here``: it stands in the world; ``busy``: kind of its running command.
        """
        stands, last = "1" if here else "0", "1" if prolong else ""
        if events:
            self.ops += ("U", agent_id, chunk_id, stands, busy, record, len(events), last, _message(events))
        else:
            self.ops += ("R", agent_id, chunk_id, stands, busy, record)

    def chunk_state(self, chunk_id: str, state: bytes) -> None:
        """Write what a delta does not show of a chunk."""
        self.ops += ("S", chunk_id, state)

    def chunk_static(self, chunk_id: str, payload: bytes) -> None:
        """Write the chunk's ``chunk_static`` payload."""
        self.ops += ("T", chunk_id, payload)

    def member(self, chunk_id: str, agent_id: str, *, joined: bool) -> None:
        """Add an agent to the chunk's members, or take it out."""
        self.ops += ("+" if joined else "-", chunk_id, agent_id)

    def departure(self, chunk_id: str, cell: tuple[int, int], handoff_id: str, arrival: bytes) -> None:
        """Put an arrival into ``chunk_id``'s inbox, on condition that its cell is still reserved for ``handoff_id``."""
        self.conditions += ("P", handoff_id, chunk_id, f"{cell[0]},{cell[1]}")
        self.ops += ("X", chunk_id, handoff_id, arrival)

    def seated(self, chunk_id: str, cell: tuple[int, int], handoff_id: str) -> None:
        """Take an arrival out of the inbox, and its reservation away."""
        self.ops += ("Z", chunk_id, f"{cell[0]},{cell[1]}", handoff_id)

    def reserve(self, chunk_id: str, cell: tuple[int, int], handoff_id: str, ttl_ms: int) -> None:
        """Reserve a cell for ``ttl_ms``, by Redis' clock."""
        self.ops += ("V", chunk_id, f"{cell[0]},{cell[1]}", handoff_id, ttl_ms)

    def only_if_bound(self, agent_id: str, chunk_id: str) -> None:
        """Require that the agent's record still names ``chunk_id``: nobody has claimed a seat elsewhere for it."""
        self.conditions += ("A", agent_id, chunk_id, "")

    def only_if_not_refused(self, server_cmd_id: str, deadline_ms: int) -> None:
        """Require that no gateway has told the agent that this command was refused.

        A refusal is known for a while after the deadline; whoever commits later than that comes too late.
        """
        self.conditions += ("C", server_cmd_id, str(deadline_ms), "")

    def recorded(self, shard: int, position: str, entry: bytes) -> None:
        """Append what was done to the recording; ``position``: where the shard's recording has come to with it."""
        self.ops += ("J", shard, position, entry)

    def archive(self, payload: bytes) -> None:
        """Append a fact for the event log."""
        self.ops += ("G", payload)


def _message(events: Sequence[AgentEvent]) -> bytes:
    """Return the entry without its predecessor's number, which the script gives."""
    return b"\n".join(f"{kind} {ts_ms} {trace_id}\n".encode() + payload for kind, ts_ms, trace_id, payload in events)

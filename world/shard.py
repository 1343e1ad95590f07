"""``ShardWorld``: the whole of one shard's game behind three doors, ``apply``, ``step`` and ``take``.

Plain, synchronous and deterministic: the same calls give the same bytes.  It knows no clock: time is the
tick number that it is stepped to.  The runtime commits each ``Output`` before anybody sees anything of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import KeysView
from typing import Any, Final, cast, overload

from world import admission, arrivals, collection, crossing, links, loading, seating
from world.commands import rule_of
from world.creatures import wander
from world.ids import AgentId, ChunkId, Direction, Tick
from world.inputs import (
    Arrive,
    Close,
    Decision,
    Denied,
    Done,
    Drop,
    Dropped,
    Granted,
    Input,
    Join,
    Joined,
    Keep,
    Leave,
    Linked,
    Load,
    NoNeighbor,
    Refusal,
    Release,
    Reply,
    Reserve,
    Reserved,
    Submit,
    Unlinked,
)
from world.outputs import Output
from world.records import AgentRecord, ChunkRecord
from world.regrowth import regrow
from world.rules import Rules
from world.state import ShardState
from world.statics import static_payload

_RULES: Final[dict[type, Any]] = {
    Submit: admission.submit,
    Join: seating.join,
    Leave: seating.leave,
    Load: loading.load,
    Drop: loading.drop,
    Close: collection.close,
    Keep: collection.keep,
    Linked: links.linked,
    Unlinked: links.unlinked,
    NoNeighbor: links.no_neighbor,
    Reserve: arrivals.reserve,
    Release: arrivals.release,
    Arrive: arrivals.arrive,
    Granted: crossing.granted,
    Denied: crossing.denied,
}


class ShardWorld:
    """The game state of one shard.

    Args:
        quiet: Outputs have the chunks' events and the requests alone: no acks and results, no facts, no records but of
            who leaves.  What happens is the same; for who plays in it by ``state``, without anybody to tell.
    """

    def __init__(self, rules: Rules, world_seed: int, shard: int, *, quiet: bool = False) -> None:
        self.rules = rules
        #: Its number; nothing in the game depends on it.
        self.shard = shard
        self._state = ShardState(rules, world_seed, quiet=quiet)

    # -- the three doors --

    @overload
    def apply(self, order: Submit) -> Decision: ...
    @overload
    def apply(self, order: Join | Arrive) -> Joined | Refusal: ...
    @overload
    def apply(self, order: Leave) -> AgentRecord | Refusal: ...
    @overload
    def apply(self, order: Drop) -> Dropped | Refusal: ...
    @overload
    def apply(self, order: Reserve) -> Reserved | Refusal: ...
    @overload
    def apply(self, order: Release) -> Done: ...
    @overload
    def apply(
        self, order: Load | Close | Keep | Linked | Unlinked | NoNeighbor | Granted | Denied
    ) -> Done | Refusal: ...
    @overload
    def apply(self, order: Input) -> Reply: ...

    def apply(self, order: Input) -> Reply:
        """Take one input and decide about it at once; what follows from it is in the next ``take``.

        Answers per input: see ``world.inputs``.  What an input carries never makes it raise.
        """
        return cast("Reply", _RULES[type(order)](self._state, order))

    def step(self, tick: int) -> bool:
        """Move the world to ``tick``; numbers between the last one and this are skipped, not made up for.

        Returns:
            False when ``tick`` is not above the last one: nothing was done (a chunk loaded from a shard
            that is ahead raises the last one).

        Cost: O(running commands + inhabited chunks with creatures + chunks that changed).  The order in which
        things happen: docs/decisions/0002-command-order.md.
        """
        state = self._state
        if tick <= state.tick:
            return False
        state.tick = Tick(tick)
        regrow(state)
        for actor in list(state.runners.values()):
            running = actor.running
            if running is not None:
                rule_of(running).step(state, actor, running)
        wander(state)
        collection.find_idle(state)
        self._publish()
        return True

    def take(self) -> Output:
        """Hand over, and forget, everything that came of inputs and steps since the last call."""
        return self._state.take()

    def _publish(self) -> None:
        """Publish one delta for each chunk in which something changed."""
        changed, self._state.changed = self._state.changed, []
        for chunk in changed:
            self._state.publish(chunk)

    # -- looking in --

    @property
    def state(self) -> ShardState:
        """What the rules work on, to be looked at and never changed."""
        return self._state

    @property
    def asks(self) -> bool:
        """Whether the next ``take`` has requests."""
        return bool(self._state.out.requests)

    @property
    def tick(self) -> Tick:
        """The last tick stepped."""
        return self._state.tick

    @property
    def chunk_ids(self) -> list[ChunkId]:
        """The chunks held, in the order in which they came."""
        return list(self._state.chunks)

    @property
    def agent_ids(self) -> KeysView[AgentId]:
        """Who stands in this shard: a live view, in the order in which they came."""
        return self._state.agents.keys()

    def holds(self, chunk_id: ChunkId) -> bool:
        """Return whether the chunk is in this shard."""
        return chunk_id in self._state.chunks

    def neighbors(self, chunk_id: ChunkId) -> dict[Direction, ChunkId | None]:
        """Return a chunk's neighbours by side.

        Raises:
            KeyError: the chunk is not here.
        """
        return dict(self._state.chunks[chunk_id].neighbors)

    @property
    def population(self) -> int:
        """Agents in all chunks."""
        return len(self._state.agents)

    @property
    def busy_agents(self) -> int:
        """Agents with a running command."""
        return len(self._state.runners)

    @property
    def available_nodes(self) -> Counter[str]:
        """Resource nodes that can be harvested now, by type."""
        chunks = self._state.chunks.values()
        return Counter(n.spec.type for chunk in chunks for n in chunk.nodes.values() if n.state == "available")

    def population_of(self, chunk_id: ChunkId) -> int:
        """Return the number of agents in a chunk; 0 for one that is not here."""
        chunk = self._state.chunks.get(chunk_id)
        return len(chunk.members) if chunk else 0

    def agents(self, chunk_id: ChunkId) -> list[AgentRecord]:
        """Return the records of a chunk's agents by id; empty for one that is not here."""
        chunk = self._state.chunks.get(chunk_id)
        return [actor.to_record(self.tick) for actor in chunk.ordered] if chunk else []

    def chunk_of(self, agent_id: AgentId) -> ChunkId | None:
        """Return the chunk in which an agent stands; None when it is not here."""
        actor = self._state.agents.get(agent_id)
        return actor.chunk_id if actor else None

    def agent(self, agent_id: AgentId) -> AgentRecord | None:
        """Return an agent's present record; None when it is not here."""
        actor = self._state.agents.get(agent_id)
        return actor.to_record(self.tick) if actor else None

    def chunk(self, chunk_id: ChunkId) -> ChunkRecord:
        """Return a chunk's present record.

        Raises:
            KeyError: the chunk is not here.
        """
        return self._state.chunks[chunk_id].to_record(self.tick)

    def chunk_static(self, chunk_id: ChunkId) -> dict[str, Any]:
        """Return the chunk's ``chunk_static`` payload.

        Raises:
            KeyError: the chunk is not here.
        """
        return static_payload(self._state.chunks[chunk_id], self.tick, self.rules)

    def chunk_delta(self, chunk_id: ChunkId) -> dict[str, Any]:
        """Return the chunk's present state as a ``chunk_delta`` payload without events.

        Raises:
            KeyError: the chunk is not here.
        """
        return self._state.chunks[chunk_id].payload(self.tick, [])

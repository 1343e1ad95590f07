"""A whole world in one shard: what the cluster does in a live world, it does for itself.

It makes chunks where somebody wants to go, and removes those that have been empty for long enough; everything else is
``world.shard.ShardWorld``, as it runs in a live shard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from world.genesis import new_chunk
from world.ids import HALL, OPPOSITE, AgentId, ChunkId, Direction, ServerCmdId, chunk_name
from world.inputs import (
    Close,
    Decision,
    Done,
    Join,
    Joined,
    Keep,
    Linked,
    Load,
    NoNeighbor,
    Submit,
)
from world.moment import Moment
from world.outputs import CollectWanted, NeighborWanted, Output, Request
from world.recording import RecordedWorld, state_digest
from world.records import AgentRecord
from world.rules import Rules
from world.shard import ShardWorld

NO_MORE: Final = "no_more_chunks"


class WorldIsFull(ValueError):
    """There is no cell for one more agent to begin on."""


class OneWorld:
    """A world with its chunks and their graph.

    Args:
        seed: The world's, as of a live one.
        rules: The world's.
        chunks: How many there are at the start, linked where they have exits; ``chunk-0`` is the first.
        chunks_max: How many there may be; None: any number.
        heard: Whether agents are told acks and results, and records are kept; else only what changes in chunks is.
        sink: Takes the lines of a recording, which ``chunkcrawl replay`` runs again.
        moment: What the world begins with, in the place of ``seed``, ``rules`` and ``chunks``; not with a ``sink``.
    """

    def __init__(
        self,
        seed: int,
        rules: Rules,
        *,
        chunks: int = 1,
        chunks_max: int | None = None,
        heard: bool = True,
        sink: Callable[[str], object] | None = None,
        moment: Moment | None = None,
    ) -> None:
        self._chunks_max = chunks_max
        if moment is None:
            self.seed, self.rules = seed, rules
            self.shard = RecordedWorld(rules, seed, 0, sink) if sink else ShardWorld(rules, seed, 0, quiet=not heard)
            self._chunks_made = 0
            self._add_chunk(None, {})
            self._grow_to(chunks)
        else:
            self.seed, self.rules = moment.seed, moment.rules
            self.shard = moment.world(quiet=not heard)
            self._chunks_made = 1 + max(self.shard.chunk(one).number for one in self.shard.chunk_ids)
        #: What came of inputs since the last step, as the next one will tell it.
        self._waiting: list[Output] = []
        self._settle()

    # -- the three doors --

    def join(self, agent_id: str, chunk_id: ChunkId = HALL, near: tuple[int, int] | None = None) -> None:
        """Seat an agent that nobody knows, in a chunk or, where that is full, in the first that is not.

        Raises:
            WorldIsFull: all are.
        """
        for place in (chunk_id, *self.shard.chunk_ids):
            record = AgentRecord(AgentId(agent_id), place, 0, 0)
            if isinstance(self.shard.apply(Join(record, place, near)), Joined):
                return
        raise WorldIsFull(f"no place for {agent_id}: begin with more chunks, or raise rules.spawn_chunk_capacity")

    def submit(self, agent_id: str, cmd_id: str, cmd: object) -> Decision:
        """Give an agent a command, under an id that it has not had lately."""
        return self.shard.apply(Submit(AgentId(agent_id), ServerCmdId(cmd_id), cmd_id, cmd, cmd_id))

    def step(self) -> list[Output]:
        """Answer what commands have asked for, move the world by one tick, answer what that asked for.

        Returns:
            What came of it and of everything since the last step.
        """
        if self.shard.asks:
            self._settle()
        self.shard.step(self.shard.tick + 1)
        self._settle()
        outputs, self._waiting = self._waiting, []
        return outputs

    def state_digest(self) -> str:
        """Return the digest of its present state, the same as of a live shard with the same agents and chunks."""
        return state_digest(self.shard)

    def close(self) -> None:
        """End the recording, if there is one."""
        if isinstance(self.shard, RecordedWorld):
            self.shard.close()

    # -- the cluster's part --

    def _settle(self) -> None:
        """Take outputs and answer their requests until nothing more is asked."""
        while True:
            output = self.shard.take()
            self._waiting.append(output)
            if not output.requests:
                return
            for request in output.requests:
                self._answer(request)

    def _answer(self, request: Request) -> None:
        """Do what a request asks for; of the other two kinds there are none within one shard."""
        if isinstance(request, NeighborWanted):
            made = self._make_neighbor(request.chunk_id, request.direction)
            if not made:
                self.shard.apply(NoNeighbor(request.chunk_id, request.direction, NO_MORE))
        elif isinstance(request, CollectWanted) and self.shard.apply(Close(request.chunk_id)) != Done():
            self.shard.apply(Keep(request.chunk_id))

    def _make_neighbor(self, chunk_id: ChunkId, side: Direction) -> bool:
        if self._chunks_max is not None and len(self.shard.chunk_ids) >= self._chunks_max:
            return False
        self.shard.apply(Linked(chunk_id, side, self._add_chunk(OPPOSITE[side], {OPPOSITE[side]: chunk_id})))
        return True

    def _add_chunk(self, entry: Direction | None, neighbors: dict[Direction, ChunkId | None]) -> ChunkId:
        number = self._chunks_made
        self._chunks_made += 1
        self.shard.apply(Load(new_chunk(self.seed, number, entry, self.rules, self.shard.tick, neighbors), []))
        return chunk_name(number)

    def _grow_to(self, chunks: int) -> None:
        """Make neighbours at all exits, those of the chunks made first before the others', until there are so many."""
        for chunk_id in self._made_in_order():
            for side in self.shard.state.chunks[chunk_id].terrain.exits:
                if len(self.shard.chunk_ids) == chunks:
                    return
                if self.shard.state.chunks[chunk_id].neighbors[side] is None:
                    self._make_neighbor(chunk_id, side)

    def _made_in_order(self) -> Iterator[ChunkId]:
        number = 0
        while number < self._chunks_made:
            yield chunk_name(number)
            number += 1

"""A whole world at one tick, to go on from: key frames of its shards, and who and what was on the way between them.

The frames are exact, so what a shard was told after them gives the states that it had (``Moment.shard``).
``Moment.world`` is all of it in one shard, for environments and for new worlds made of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from world.ids import AgentId, ChunkId, Tick
from world.inputs import Arrive, Drop, Leave, Load
from world.key_frame import BadKeyFrame, freeze_chunk, freeze_shard, thaw
from world.recording import NotARecording, decode_input, encode_input
from world.rules import RULES_VERSION, Rules
from world.shard import ShardWorld

#: Version of the JSON form.
FORMAT: Final = 1

#: What ``freeze_shard`` gives, and what ``freeze_chunk`` gives of each chunk.
Frame = tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Moment:
    """A world right after a tick."""

    seed: int
    rules: Rules
    tick: Tick
    #: By shard; a shard's own tick may be lower: nothing has happened in it since.
    shards: Mapping[int, Frame]
    #: Agents that have left one shard and are not in another yet.
    travelling: tuple[Arrive, ...] = ()
    #: Chunks that one shard has given away and another has not loaded yet.
    handed: tuple[Load, ...] = ()
    #: Of agents and chunks that are in two shards, since these don't tick in step: in which of them they stay.
    agent_homes: Mapping[str, int] = field(default_factory=dict)
    chunk_homes: Mapping[str, int] = field(default_factory=dict)

    def shard(self, number: int) -> ShardWorld:
        """Return one shard exactly as it was.

        Raises:
            BadKeyFrame: its frame is not one of this release.
            KeyError: there is no such shard.
        """
        return thaw(self.rules, self.seed, number, *self.shards[number])

    def world(self, *, quiet: bool = False) -> ShardWorld:
        """Return everything in one shard, at the moment's tick, nobody on the way between shards any more.

        What was asked of others and not answered yet is asked anew.

        Raises:
            BadKeyFrame: frames are not of this release, or contradict each other.
        """
        frame: dict[str, Any] = {"tick": self.tick, "accepted": 0, "seated": []}
        frame |= {name: [] for name in _LISTS}
        chunks: dict[str, Mapping[str, Any]] = {}
        for number in sorted(self.shards):
            part = self._at_the_tick(number)
            frozen = freeze_shard(part)
            frame["accepted"] = max(frame["accepted"], frozen["accepted"])
            for name in _LISTS:
                frame[name] += frozen[name]
            for chunk_id in part.chunk_ids:
                if chunk_id in chunks:
                    raise BadKeyFrame(f"{chunk_id} is in two shards")
                chunks[chunk_id] = _asking_anew(freeze_chunk(part, chunk_id))
        world = thaw(self.rules, self.seed, 0, frame, chunks, quiet=quiet)
        for load in self.handed:
            world.apply(load)
        for arrival in self.travelling:
            world.apply(arrival)
        world.take()
        return world

    def _at_the_tick(self, number: int) -> ShardWorld:
        world = self.shard(number)
        for chunk_id, home in self.chunk_homes.items():
            if home != number:
                world.apply(Drop(ChunkId(chunk_id)))
        for agent_id, home in self.agent_homes.items():
            if home != number:
                world.apply(Leave(AgentId(agent_id)))
        for tick in range(world.tick + 1, self.tick + 1):
            world.step(tick)
        world.take()
        return world

    @property
    def chunk_ids(self) -> list[ChunkId]:
        """All chunks, by shard."""
        loaded = [ChunkId(one) for number in sorted(self.shards) for one in self.shards[number][0]["chunks"]]
        return [*dict.fromkeys(loaded), *(order.record.chunk_id for order in self.handed)]

    def only(self, chunk_ids: Collection[str]) -> Moment:
        """Return the moment with these chunks alone, and who stands in them; ways to others are not made yet."""
        kept = frozenset(chunk_ids)
        return replace(
            self,
            shards={number: _frame_of(frame, kept) for number, frame in self.shards.items()},
            travelling=tuple(one for one in self.travelling if one.chunk_id in kept),
            handed=tuple(_load_of(one, kept) for one in self.handed if one.record.chunk_id in kept),
        )

    # -- as JSON --

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "format": FORMAT,
            "rules_version": RULES_VERSION,
            "seed": self.seed,
            "rules": self.rules.to_json(),
            "tick": self.tick,
            "shards": [
                {"shard": number, "frame": frame, "chunks": {one: chunks[one] for one in frame["chunks"]}}
                for number, (frame, chunks) in sorted(self.shards.items())
            ],
            "travelling": [encode_input(one) for one in self.travelling],
            "handed": [encode_input(one) for one in self.handed],
            "agent_homes": dict(self.agent_homes),
            "chunk_homes": dict(self.chunk_homes),
        }

    @classmethod
    def from_json(cls, data: Any) -> Moment:
        """Read what ``to_json`` wrote.

        Raises:
            BadKeyFrame: it is something else, or was made by another version of the rules.
        """
        try:
            versions = data["format"], data["rules_version"]
        except (KeyError, TypeError) as error:
            raise BadKeyFrame(f"not a moment of a world: {type(error).__name__}: {error}") from None
        if versions != (FORMAT, RULES_VERSION):
            raise BadKeyFrame(
                f"it has format {versions[0]} and version {versions[1]} of the rules, this release has {FORMAT} and "
                f"{RULES_VERSION}: use the release that made it"
            )
        try:
            return cls(
                seed=int(data["seed"]),
                rules=Rules.from_json(data["rules"]),
                tick=Tick(int(data["tick"])),
                shards={int(one["shard"]): (one["frame"], one["chunks"]) for one in data["shards"]},
                travelling=tuple(_of_kind(Arrive, one) for one in data["travelling"]),
                handed=tuple(_of_kind(Load, one) for one in data["handed"]),
                agent_homes={str(name): int(shard) for name, shard in data["agent_homes"].items()},
                chunk_homes={str(name): int(shard) for name, shard in data["chunk_homes"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # NotARecording is among them
            raise BadKeyFrame(f"not a moment of a world: {type(error).__name__}: {error}") from None


#: The lists of a frame that name chunks.
_LISTS: Final = ("chunks", "inhabited", "changed")


def _of_kind(kind: type[Any], line: Mapping[str, Any]) -> Any:
    order = decode_input(line)
    if not isinstance(order, kind):
        raise NotARecording(f"{type(order).__name__} in the place of {kind.__name__}")
    return order


def _asking_anew(chunk: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chunk's frame in which nobody waits for an answer of another shard or of the graph."""
    crossings = {agent_id: {**one, "handoff": None} for agent_id, one in chunk["crossings"].items()}
    return {**chunk, "wanted": {}, "reserved": [], "crossings": crossings}


def _frame_of(frame: Frame, kept: frozenset[str]) -> Frame:
    shard, chunks = frame
    shard = {**shard, **{name: [one for one in shard[name] if one in kept] for name in _LISTS}}
    return shard, {one: _cut(chunks[one], kept) for one in shard["chunks"]}


def _cut(chunk: Mapping[str, Any], kept: frozenset[str]) -> dict[str, Any]:
    record = chunk["record"]
    neighbors = {side: other if other in kept else None for side, other in record["neighbors"].items()}
    return {**_asking_anew(chunk), "record": {**record, "neighbors": neighbors}}


def _load_of(order: Load, kept: frozenset[str]) -> Load:
    neighbors = {side: other if other in kept else None for side, other in order.record.neighbors.items()}
    return replace(order, record=replace(order.record, neighbors=neighbors))

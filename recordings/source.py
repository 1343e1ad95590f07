"""The shard's end of a recording: what goes into the entry of a commit.

It costs the tick what it must: the inputs are encoded once, a digest is made of chunks that changed, a key frame of
chunks that are inhabited or changed and of a tenth of the others.  A commit that would write nothing else writes no
entry either, so a world at rest is not recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from recordings.digests import chunk_digest
from recordings.entry import FIRST_CHAIN, Header, RecordedUpTo, chain_after, dump_body, encode_done, pack
from recordings.told_world import ToldWorld
from world.ids import ChunkId
from world.key_frame import freeze_chunk, freeze_shard, rest_mark
from world.outputs import Output

#: Key frames after which every chunk was in one, also those at rest.
ROUND: Final = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in ticks."""

    digest_ticks: int
    frame_ticks: int


@dataclass(frozen=True, slots=True)
class Message:
    """An entry on its way into the journal."""

    shard: int
    data: bytes
    #: Where the recording has come to with it.
    position: str


class Source:
    """The entries of one life of a shard's memory.  What it gives must be committed, or the life is over."""

    def __init__(self, header: Header, pace: Pace) -> None:
        self._header: Header | None = header
        self._shard, self._epoch = header.shard, header.epoch
        self._pace = pace
        self._n = 0
        self._chain = FIRST_CHAIN
        self._touched: dict[ChunkId, None] = {}
        self._digest_at = 0
        self._frame_at: int | None = None
        self._frames = 0
        #: The mark of each empty chunk when it was last in a frame.
        self._marks: dict[ChunkId, tuple[object, ...] | None] = {}

    def entry(self, world: ToldWorld, output: Output) -> Message | None:
        """Return the entry of everything done since the last one, ``output`` being what was just taken; None: nothing.

        Call it once for each commit that writes anything.
        """
        told, world.told = world.told, []
        if not told:
            return None
        tick = world.tick
        body: dict[str, Any] = {"n": self._n, "t": tick, "o": encode_done(told)}
        if self._header is not None:
            body["h"] = self._header.to_json()
            self._header = None
        if self._n:  # what is only loaded is what the inputs say
            self._touch(output)
        if tick >= self._digest_at:
            self._digest_at = tick - tick % self._pace.digest_ticks + self._pace.digest_ticks
            body["d"] = {one: chunk_digest(world, one) for one in self._touched if world.holds(one)}
            self._touched = {}
        data = dump_body(body)
        self._chain = chain_after(self._chain, data)
        position = RecordedUpTo(self._epoch, self._n, self._chain).text
        self._n += 1
        return Message(self._shard, pack(self._chain, data, self._frame(world, tick)), position)

    def _touch(self, output: Output) -> None:
        changed: Iterable[ChunkId] = [delta.chunk_id for delta in output.deltas]
        self._touched |= dict.fromkeys((*changed, *output.chunks, *(one.chunk_id for one in output.agents.values())))

    def _frame(self, world: ToldWorld, tick: int) -> bytes | None:
        """Return a key frame if one is due; the first follows some time after the beginning, which needs none."""
        if self._frame_at is None:
            self._frame_at = tick + self._pace.frame_ticks
        if tick < self._frame_at:
            return None
        self._frame_at = tick + self._pace.frame_ticks
        self._frames += 1
        chunks = {one: freeze_chunk(world, one) for one in world.chunk_ids if self._is_due(world, one)}
        self._marks = {one: rest_mark(world, one) for one in world.chunk_ids}
        return orjson.dumps({"shard": freeze_shard(world), "chunks": chunks})

    def _is_due(self, world: ToldWorld, chunk_id: ChunkId) -> bool:
        mark = rest_mark(world, chunk_id)
        if mark is None or self._marks.get(chunk_id) != mark:
            return True
        return world.state.chunks[chunk_id].number % ROUND == self._frames % ROUND

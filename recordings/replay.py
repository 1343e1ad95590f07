"""Running a recording again: the world that an entry leads to, and the way to a tick by the nearest key frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import orjson

from recordings.entry import BadRecording, Entry, Header, field_of, number_of, read_entry, texts_of
from recordings.segment import ENTRY, FRAME, BlockHead, Segment, records
from world.inputs import Input, Reply
from world.key_frame import BadKeyFrame, thaw
from world.outputs import Output
from world.shard import ShardWorld

#: Steps without a commit between them that are believed: two weeks at 10 Hz.
STEPS_MOST: Final = 12_096_000


def begin(header: Header) -> ShardWorld:
    """Return the empty world that a life begins with.  Raises ``BadRecording``."""
    return ShardWorld(header.rules_of(), header.seed, header.shard)


class InputWatch(Protocol):
    """Sees each input before and after it is applied."""

    def before(self, order: Input) -> None:
        """Look at an input that is about to be applied."""
        ...

    def after(self, order: Input, reply: Reply) -> None:
        """Look at one that was, and at its answer."""
        ...


def apply_entry(world: ShardWorld, entry: Entry, watch: InputWatch | None = None) -> Output:
    """Do what an entry says was done; return what came of it.

    Raises:
        BadRecording: something of it can't be read.
    """
    for operation in entry.operations():
        if not isinstance(operation, tuple):
            if watch is not None:
                watch.before(operation)
            reply = world.apply(operation)
            if watch is not None:
                watch.after(operation, reply)
            continue
        first, last = operation
        if last - first > STEPS_MOST:
            raise BadRecording(f"steps from {first} to {last}")
        for tick in range(first, last + 1):
            world.step(tick)
    return world.take()


def read_frame(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a frame's part for the shard and those of chunks.  Raises ``BadRecording``."""
    try:
        frame = orjson.loads(data)
        if not isinstance(frame, dict):
            raise BadRecording("no JSON object")
        shard, chunks = field_of(frame, "shard", dict), field_of(frame, "chunks", dict)
        number_of(shard, "tick")
        texts_of(shard, "chunks")
    except (orjson.JSONDecodeError, BadRecording) as error:
        raise BadRecording(f"a key frame that can't be read: {error}") from None
    return shard, chunks


def entries_of(data: bytes) -> Iterator[Entry]:
    """Yield the entries of a block's data.  Raises ``BadRecording``."""
    for kind, record in records(data):
        if kind == ENTRY:
            chain, _, body = record.partition(b"\n")
            yield read_entry(chain.decode(errors="replace"), body)


def frame_at(segment: Segment, block: BlockHead) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the whole key frame with which a block begins, put together from those before; None: not all is there.

    Raises:
        BadRecording: the segment is damaged.
    """
    if block.frame is None:
        return None
    shard, chunks = _first_frame(segment, block)
    missing = {one for one in shard["chunks"] if one not in chunks}
    for other in reversed(segment.blocks[: segment.blocks.index(block)]):
        if not missing:
            break
        if other.frame is not None and not missing.isdisjoint(other.frame):
            found = _first_frame(segment, other)[1]
            chunks |= {one: found[one] for one in missing & found.keys()}
            missing -= found.keys()
    return None if missing else (shard, chunks)


def _first_frame(segment: Segment, block: BlockHead) -> tuple[dict[str, Any], dict[str, Any]]:
    kind, data = next(records(segment.data(block)), (b"", b""))
    if kind != FRAME:
        raise BadRecording("a block without the key frame that its head names")
    return read_frame(data)


def thawed(header: Header, frame: tuple[Mapping[str, Any], Mapping[str, Any]], *, on_use: bool = False) -> ShardWorld:
    """Return the world of a whole key frame; ``on_use`` as ``thaw`` has it.  Raises ``BadRecording``."""
    try:
        return thaw(header.rules_of(), header.seed, header.shard, *frame, on_use=on_use)
    except BadKeyFrame as error:
        raise BadRecording(str(error)) from None


def seek(segment: Segment, tick: int, last: int | None = None) -> tuple[ShardWorld, int]:
    """Return the shard's world after the last entry whose tick is not above ``tick``, and that entry's number.

    ``last``: number of the last entry to be applied; None: all count.

    Raises:
        BadRecording: the segment is damaged, of another version, or has no key frame at or before ``tick``.
    """
    header = segment.head.header
    if (why := header.why_not_here()) is not None:
        raise BadRecording(why)
    world, at, n = _start(segment, tick, last)
    for block in segment.blocks[at:]:
        if block.ticks[0] > tick:
            break
        for entry in entries_of(segment.data(block)):
            if entry.tick > tick or (last is not None and entry.n > last):
                return world, n
            if entry.n > n:
                apply_entry(world, entry)
                n = entry.n
    return world, n


def _start(segment: Segment, tick: int, last: int | None) -> tuple[ShardWorld, int, int]:
    """Return the nearest world at or before ``tick``, the block to go on from, and the last entry's number in it."""
    header = segment.head.header
    for at in range(len(segment.blocks) - 1, -1, -1):
        block = segment.blocks[at]
        if block.frame is None or block.ticks[0] > tick or (last is not None and block.entries[0] > last + 1):
            continue
        frame = frame_at(segment, block)
        if frame is not None:
            return thawed(header, frame, on_use=True), at, block.entries[0] - 1
    if segment.head.first == 0:
        return begin(header), 0, -1
    raise BadRecording(f"no key frame at or before tick {tick} in this segment")

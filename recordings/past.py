"""The whole world at a moment of the past, out of the recordings of all its shards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, NoReturn

from config.errors import OperatorError
from recordings.digests import chunk_digest
from recordings.entry import BadRecording, Header
from recordings.lives import SegmentStart, by_shard, last_entries, of_newest_world, start_of
from recordings.names import SegmentName
from recordings.places import SegmentPlace
from recordings.replay import STEPS_MOST, apply_entry, begin, entries_of, frame_at, thawed
from recordings.segment import BlockHead, Segment, SegmentHead
from world.ids import AgentId, ChunkId, HandoffId, Tick
from world.inputs import Arrive, Drop, Dropped, Input, Join, Load, Reply
from world.key_frame import freeze_chunk, freeze_shard
from world.moment import Frame, Moment
from world.outputs import Departure
from world.shard import ShardWorld

#: How far shards may be apart on the disk while they are written, one after the other: what the recorder waits
#: (``cluster.recorder``: ``FLUSH_S``, ``GATHER_S``, ``BLOCK_MS``), and two seconds to write and to read.
APART_S: Final = 20
#: What a segment spans, at least, unless settings say otherwise.
SEGMENT_MS: Final = 600_000

#: So long before the moment shards are run again, to see who departs and what is handed over.
LOOK_BACK_TICKS: Final = 100
MS_PER_S: Final = 1_000

Progress = Callable[[str, int, int], object]


class NoSuchMoment(OperatorError):
    """The recordings don't reach that moment, or can't be run to it; the text says which there are."""

    reason = "no_such_moment"


@dataclass(frozen=True, slots=True)
class _Piece:
    """One segment and its index; without blocks: it is damaged, or nothing is in it yet."""

    name: SegmentName
    head: SegmentHead | None
    blocks: tuple[BlockHead, ...] = ()
    #: Why it can't be used; empty: it can.
    fault: str = ""
    #: Where it begins, as far as it can be read.
    start: SegmentStart | None = None
    #: Number of the last entry that counts, where a later life went on from it; None: all do.
    last: int | None = None

    @property
    def reaches_from(self) -> int | None:
        """The first tick that can be reached in it; None: none."""
        if self.head is not None and self.head.first == 0 and self.blocks:
            return self.blocks[0].ticks[0]
        return next((block.ticks[0] for block in self.blocks if block.frame is not None), None)


class Past:
    """What a place of recordings has of the newest world there: the moments that can be reached.

    Args:
        progress: Told what is done, how much of it, and how much there is.

    Raises:
        NoSuchMoment: there are no recordings, or none of this version.
        OSError: the place can't be read.
    """

    def __init__(self, place: SegmentPlace, progress: Progress = lambda what, done, of: None) -> None:
        self._place = place
        self._progress = progress
        names = by_shard(one.name for one in place.segments())
        pieces: dict[SegmentName, _Piece] = {}
        # Those that grow first and one after the other, so that shards are of about the same moment.
        known = sorted((name for lane in names.values() for name in lane), key=lambda name: name.finished)
        for done, name in enumerate(known):
            progress("reading indices", done, len(known))
            pieces[name] = _read(place, name)
        newest = of_newest_world(names, lambda name: pieces[name].start)
        self._lanes = {shard: _counting([pieces[name] for name in lane]) for shard, lane in newest.items()}
        self._usable = [piece for lane in self._lanes.values() for piece in lane if _is_usable(piece)]
        if not self._usable:
            fault = next((f": {piece.name}: {piece.fault}" for lane in self._lanes.values() for piece in lane), "")
            raise NoSuchMoment(f"there is no recording that can be run again (shard-*.ccrec){fault}")
        self._end_tick = max(piece.blocks[-1].ticks[1] for piece in self._usable)

    # -- which moments there are --

    @property
    def first_tick(self) -> int:
        """The first tick at which every shard can be reached."""
        firsts = []
        for lane in self._lanes.values():
            usable = [piece for piece in lane if _is_usable(piece)]
            # A shard that was added later was not there before: it keeps nobody from going further back.
            if usable and not (usable[0].head is not None and usable[0].head.first == 0 and _is_new(usable[0].head)):
                firsts.append(usable[0].reaches_from or 0)
        return max(firsts, default=min(piece.reaches_from or 0 for piece in self._usable))

    @property
    def last_tick(self) -> int:
        """The last tick that all shards have come to."""
        lanes = [usable for lane in self._lanes.values() if (usable := [one for one in lane if _is_usable(one)])]
        newest = max(lanes, key=lambda lane: lane[-1].blocks[-1].ticks[1])
        last = newest[-1].blocks[-1].ticks[1]
        if any(not piece.name.finished for lane in self._lanes.values() for piece in lane):
            assert newest[-1].head is not None
            last -= APART_S * newest[-1].head.header.rules_of().tick_hz
        elif _go_on_elsewhere(lanes):
            last = _earliest_end(lanes, newest)
        return max(self.first_tick, last)

    @property
    def in_words(self) -> str:
        """The moments as a part of a sentence."""
        first, last = self.first_tick, self.last_tick
        return f"from tick {first} ({self._time_of(first)}) to {last} ({self._time_of(last)})"

    def _time_of(self, tick: int) -> str:
        ms = max((_ms_at(one, tick) for one in self._usable if one.blocks[0].ticks[0] <= tick), default=0)
        return datetime.fromtimestamp(ms / MS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def tick_at(self, ms: int) -> int:
        """Return the last tick that was over at a Unix time in milliseconds.

        Raises:
            NoSuchMoment: the recordings begin after it, or end before it.
        """
        begun = [(block.ms[0], block, one) for one in self._usable for block in one.blocks if block.ms[0] <= ms]
        if not begun or ms > max(piece.blocks[-1].ms[1] for piece in self._usable):
            self._out_of_reach("that time")
        _, block, piece = max(begun, key=lambda one: one[0])
        assert piece.head is not None
        passed = (ms - block.ms[0]) * piece.head.header.rules_of().tick_hz // MS_PER_S
        return min(block.ticks[0] + passed, self._end_tick if ms >= block.ms[1] else block.ticks[1])

    def ticks_within(self, first_ms: int | None, last_ms: int | None) -> tuple[int | None, int | None]:
        """Return the ticks from one Unix time in milliseconds to another; None: from the beginning, or to the end.

        Raises:
            NoSuchMoment: the recordings have nothing between them.
        """
        begin = min(piece.blocks[0].ms[0] for piece in self._usable)
        end = max(piece.blocks[-1].ms[1] for piece in self._usable)
        if (first_ms is not None and first_ms > end) or (last_ms is not None and last_ms < begin):
            self._out_of_reach("that time")
        first = None if first_ms is None or first_ms <= begin else self.tick_at(first_ms)
        last = None if last_ms is None or last_ms >= end else self.tick_at(last_ms)
        return first, last

    def _out_of_reach(self, what: str) -> NoReturn:
        unused = next((f"; {one.name}: {one.fault}" for lane in self._lanes.values() for one in lane if one.fault), "")
        raise NoSuchMoment(f"the recordings don't reach {what}: they go {self.in_words}{unused}")

    # -- one of them --

    def moment(self, tick: int) -> Moment:
        """Return the world right after a tick.

        Raises:
            NoSuchMoment: it can't be reached; the text says why, and which can.
            OSError: the place can't be read.
        """
        if not self.first_tick <= tick <= self.last_tick:
            self._out_of_reach(f"tick {tick}")
        found: dict[int, tuple[_Piece, ShardWorld]] = {}
        between = _Between()
        for done, number in enumerate(sorted(self._lanes)):
            self._progress("running shards to the moment", done, len(self._lanes))
            piece = self._piece_at(self._lanes[number], tick)
            if piece is not None:
                try:
                    found[number] = piece, self._run(piece, tick, between)
                except (OSError, NoSuchMoment):
                    raise
                except Exception as error:  # what is damaged or was changed may raise anything in the rules
                    why = str(error) if isinstance(error, BadRecording) else f"running it again raises {error!r}"
                    raise NoSuchMoment(
                        f"{piece.name} can't be run to tick {tick}: {why}; `chunkcrawl verify` says more. The "
                        f"recordings go {self.in_words}"
                    ) from None
        heads = [piece.head for piece, _ in found.values() if piece.head is not None]
        if not heads:
            self._out_of_reach(f"tick {tick}")
        if len({head.header.seed for head in heads}) > 1:
            raise NoSuchMoment("recordings of several worlds lie there: give each a directory of its own")
        newest = max(heads, key=lambda head: head.began_ms)
        return between.moment(newest.header, tick, {number: world for number, (_, world) in found.items()})

    def _piece_at(self, lane: Sequence[_Piece], tick: int) -> _Piece | None:
        """Return the segment with the last entry up to a tick; None: the shard was not there yet."""
        at = max((n for n, piece in enumerate(lane) if piece.blocks and piece.blocks[0].ticks[0] <= tick), default=None)
        if at is None:
            return None
        piece, after = lane[at], lane[at + 1] if at + 1 < len(lane) else None
        if piece.fault:
            raise NoSuchMoment(f"{piece.name}: {piece.fault}")
        last = piece.blocks[-1]
        if after is not None and tick > last.ticks[1] and (lost := _lost_between(piece, after)):
            raise NoSuchMoment(f"tick {tick} of shard {piece.name.shard} can't be reached: {lost}")
        return piece

    def _run(self, piece: _Piece, tick: int, between: _Between) -> ShardWorld:
        """Run a shard to a tick, and note who and what is given and taken on the way.  Raises ``BadRecording``."""
        with self._place.open(piece.name) as file:
            segment = Segment(file)
            last = sys.maxsize if piece.last is None else piece.last
            world, at, n = _start(segment, tick, last)
            between.shard = piece.name.shard
            for block in segment.blocks[at:]:
                if block.ticks[0] > tick or block.entries[0] > last:
                    break
                for entry in entries_of(segment.data(block)):
                    if entry.tick > tick or entry.n > last:
                        break
                    if entry.n != n + 1:
                        raise BadRecording(f"entries are missing before tick {entry.tick}")
                    n = entry.n
                    between.tick = entry.tick
                    between.departures += apply_entry(world, entry, between).departures
                    for chunk_id, digest in entry.digests.items():
                        if world.holds(ChunkId(chunk_id)) and chunk_digest(world, ChunkId(chunk_id)) != digest:
                            raise BadRecording(f"{chunk_id} at tick {entry.tick} is not as it was recorded")
        if tick - world.tick > STEPS_MOST:
            raise BadRecording(f"nothing is recorded for {tick - world.tick} ticks")
        return world


def freeze(world: ShardWorld) -> Frame:
    """Return a shard's whole key frame."""
    return freeze_shard(world), {one: freeze_chunk(world, one) for one in world.chunk_ids}


@dataclass
class _Between:
    """What was given and taken while shards were run to the moment, one after the other."""

    shard: int = 0
    tick: int = 0
    departures: list[Departure] = field(default_factory=list)
    #: Handoffs that have arrived.
    arrived: set[HandoffId] = field(default_factory=set)
    #: When and where agents and chunks last came into a shard.
    agents_came: dict[str, tuple[int, int]] = field(default_factory=dict)
    chunks_came: dict[str, tuple[int, int]] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)

    def before(self, order: Input) -> None:
        """See ``InputWatch``."""
        now = self.tick, self.shard
        if isinstance(order, Arrive):
            self.arrived.add(order.handoff_id)
        if isinstance(order, (Arrive, Join)):
            _later(self.agents_came, order.record.agent_id, now)
        if isinstance(order, Load):
            _later(self.chunks_came, order.record.chunk_id, now)
            for agent in order.agents:
                _later(self.agents_came, agent.agent_id, now)

    def after(self, order: Input, reply: Reply) -> None:
        """See ``InputWatch``."""
        if isinstance(order, Drop) and isinstance(reply, Dropped):
            self.dropped.append(reply)

    def moment(self, header: Header, tick: int, worlds: Mapping[int, ShardWorld]) -> Moment:
        """Return the moment of shards that were run to it."""
        chunk_homes = self._homes(_places(worlds, lambda world: world.chunk_ids), self.chunks_came, worlds)
        standing = {
            agent.agent_id
            for number, world in worlds.items()
            for chunk_id in world.chunk_ids
            if chunk_homes.get(chunk_id, number) == number
            for agent in world.agents(chunk_id)
        }
        there = {chunk_id for world in worlds.values() for chunk_id in world.chunk_ids}
        last = {one.record.chunk_id: one for one in sorted(self.dropped, key=lambda one: one.record.tick)}
        handed = tuple(
            Load(one.record, [agent for agent in one.agents if agent.agent_id not in standing])
            for chunk_id, one in sorted(last.items())
            if chunk_id not in there
        )
        standing |= {agent.agent_id for one in handed for agent in one.agents}
        left = {
            one.record.agent_id: Arrive(one.handoff_id, one.record, one.to_chunk, one.x, one.y)
            for one in self.departures
            if one.handoff_id not in self.arrived and one.record.agent_id not in standing
        }
        return Moment(
            seed=header.seed,
            rules=header.rules_of(),
            tick=Tick(tick),
            shards={number: freeze(world) for number, world in worlds.items()},
            travelling=tuple(left.values()),
            handed=handed,
            agent_homes=self._homes(_places(worlds, lambda world: world.agent_ids), self.agents_came, worlds),
            chunk_homes=chunk_homes,
        )

    def _homes(
        self,
        places: Mapping[str, list[tuple[int, ChunkId]]],
        came: Mapping[str, tuple[int, int]],
        worlds: Mapping[int, ShardWorld],
    ) -> dict[str, int]:
        """Return, of what is in several shards, the one that it came into last, or that has shown its chunk last.

        A shard that gives a chunk away says so in its next entry only, which may be long after.
        """
        homes = {}
        for name, found in places.items():
            if len(found) > 1:
                known = came.get(name)
                shown = max(found, key=lambda one: worlds[one[0]].state.chunks[one[1]].shown_at)[0]
                homes[name] = known[1] if known is not None and known[1] in {one[0] for one in found} else shown
        return homes


def _places(
    worlds: Mapping[int, ShardWorld], names: Callable[[ShardWorld], Iterable[str]]
) -> dict[str, list[tuple[int, ChunkId]]]:
    """Return where agents or chunks are: shard and chunk."""
    found: dict[str, list[tuple[int, ChunkId]]] = {}
    for number, world in worlds.items():
        for name in names(world):
            chunk_id = world.chunk_of(AgentId(name)) or ChunkId(name)
            found.setdefault(name, []).append((number, chunk_id))
    return found


def _later(came: dict[str, tuple[int, int]], name: str, now: tuple[int, int]) -> None:
    came[name] = max(now, came.get(name, now))


def _read(place: SegmentPlace, name: SegmentName) -> _Piece:
    try:
        with place.open(name) as file:
            segment = Segment(file)
            start = start_of(segment)
            why = segment.head.header.why_not_here()
            if why is not None:
                return _Piece(name, None, (), why, start)
            segment.head.header.rules_of()
            return _Piece(name, segment.head, tuple(segment.blocks), start=start)
    except FileNotFoundError:
        return _Piece(name, None, (), "it was removed meanwhile: too old")
    except BadRecording as error:
        return _Piece(name, None, (), str(error))


def _counting(lane: Sequence[_Piece]) -> list[_Piece]:
    """Return a shard's segments without what was undone."""
    starts = {piece.name: piece.start for piece in lane}
    last = last_entries(list(starts), lambda name: starts[name])
    return [
        piece if piece.name not in last else _up_to(piece, last[piece.name])
        for piece in lane
        if piece.name.first <= last.get(piece.name, piece.name.first)
    ]


def _up_to(piece: _Piece, last: int) -> _Piece:
    return replace(piece, blocks=tuple(block for block in piece.blocks if block.entries[0] <= last), last=last)


def _is_usable(piece: _Piece) -> bool:
    return piece.reaches_from is not None


def _go_on_elsewhere(lanes: Sequence[Sequence[_Piece]]) -> bool:
    """Return whether a shard's last segment ended so that the next could begin, which is not here.

    The next begins with a key frame.  One that ended because all did has no entry with which one would have been due.
    """
    marks = [[mark for piece in lane for mark in _marks(piece)] for lane in lanes]
    between = [
        after - before
        for lane in marks
        for (epoch, before), (later_epoch, after) in pairwise(lane)
        if epoch == later_epoch and after > before
    ]
    if not between:
        return False
    frame_ticks = min(between)
    return any(
        lane[-1].blocks[-1].ticks[1] - found[-1][1] >= frame_ticks
        for lane, found in zip(lanes, marks, strict=True)
        if found and found[-1][0] == lane[-1].name.epoch
    )


def _marks(piece: _Piece) -> Iterator[tuple[int, int]]:
    """Yield epoch and tick of the beginning of a life, and of each key frame."""
    for at, block in enumerate(piece.blocks):
        if block.frame is not None or (at == 0 and piece.name.first == 0):
            yield piece.name.epoch, block.ticks[0]


def _earliest_end(lanes: Iterable[Sequence[_Piece]], newest: Sequence[_Piece]) -> int:
    """Return the tick of the shard that ends first, without those that ended longer before than a segment spans.

    What those have not ended they would have, but that they are at rest.
    """
    spans = max(piece.blocks[-1].ms[1] - piece.name.began_ms for piece in newest)
    since_ms = newest[-1].blocks[-1].ms[1] - max(SEGMENT_MS, spans)
    return min(last.ticks[1] for lane in lanes if (last := lane[-1].blocks[-1]).ms[1] >= since_ms)


def _is_new(head: SegmentHead) -> bool:
    return head.header.previous == ""


def _lost_between(piece: _Piece, after: _Piece) -> str:
    """Return what is missing between a segment and the next one; empty: nothing."""
    if after.fault:
        return f"{after.name}: {after.fault}"
    if after.head is None or piece.head is None or not after.blocks:
        return ""
    same_life = after.head.header.epoch == piece.head.header.epoch
    if same_life and after.head.first != piece.blocks[-1].entries[1] + 1:
        return f"entries are missing between {piece.name} and {after.name}"
    return ""


def _ms_at(piece: _Piece, tick: int) -> int:
    return max(
        block.ms[1] if block.ticks[1] <= tick else block.ms[0] for block in piece.blocks if block.ticks[0] <= tick
    )


def _start(segment: Segment, tick: int, last: int) -> tuple[ShardWorld, int, int]:
    """Return a world some way before a tick, the block to go on from, and the number of the last entry in it.

    ``last``: number of the last entry that counts.
    """
    header = segment.head.header
    fallback: tuple[ShardWorld, int, int] | None = None
    for at in range(len(segment.blocks) - 1, -1, -1):
        block = segment.blocks[at]
        if block.frame is None or block.ticks[0] > tick or block.entries[0] > last + 1:
            continue
        frame = frame_at(segment, block)
        if frame is not None:
            found = thawed(header, frame), at, block.entries[0] - 1
            if block.ticks[0] <= tick - LOOK_BACK_TICKS:
                return found
            fallback = found
    if segment.head.first == 0:
        return begin(header), 0, -1
    if fallback is None:
        raise BadRecording(f"no key frame at or before tick {tick} in this segment")
    return fallback

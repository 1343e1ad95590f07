"""Proof: a recording is run again and compared with everything that it says of itself.

Compared are checksums, the numbers of entries, the hash chain over what was done (through all segments and lives), the
order of ticks, the digest of every chunk at every digest, and every key frame, field by field.  What was changed by
somebody who made all of these anew is found against what watchers were told (``published``), which they can't change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from recordings.custody import Custody
from recordings.digests import PARTS, chunk_digest, one_line
from recordings.entry import FIRST_CHAIN, BadRecording, Entry, Header, RecordedUpTo, chain_after, read_entry
from recordings.names import SegmentName
from recordings.places import Kept, OpensSegments
from recordings.replay import apply_entry, begin, frame_at, read_frame, thawed
from recordings.segment import ENTRY, BlockHead, Segment, records
from world.ids import ChunkId
from world.inputs import Input, Load, Reply
from world.key_frame import difference, freeze_chunk
from world.shard import ShardWorld

#: Findings after which a lane is not looked at any further.
FINDINGS_MOST: Final = 100
NAMED_MOST: Final = 4


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that is not as it was."""

    shard: int
    #: The chunk, or those that it may be; empty: it can't be said.
    chunk: str
    tick: int | None
    #: What differs: ``checksum``, ``chain``, ``entries``, ``ticks``, a digest's part, a path in a key frame, ...
    field: str
    what: str
    segment: str = ""

    @property
    def line(self) -> str:
        """Return it as a line."""
        where = f"tick {self.tick}" if self.tick is not None else "no tick"
        return f"shard {self.shard}, {self.chunk or 'no chunk'}, {where}: {self.field}: {self.what} ({self.segment})"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be looked at: a chunk (None: all), and ticks from and to, both included (None: without end)."""

    chunk: str | None = None
    first_tick: int | None = None
    last_tick: int | None = None
    #: What watchers were told: (chunk, tick) -> the digest in one line.
    published: Mapping[tuple[str, int], str] = field(default_factory=dict)


@dataclass(slots=True)
class Proof:
    """What came of it."""

    findings: list[Mismatch] = field(default_factory=list)
    #: What a reader should know that is no fault: where it begins, what was undone, what is of another version.
    notes: list[str] = field(default_factory=list)
    #: Segments of other versions, which were not run.
    not_run: int = 0
    segments: int = 0
    entries: int = 0
    inputs: int = 0
    ticks: int = 0
    digests: int = 0
    frames: int = 0
    #: Agents and chunks that came into a shard, each compared with how it was given away.
    crossings: int = 0
    #: Of those published, the ones that were met.
    published: int = 0
    #: Where each shard's recording ends.
    ends: dict[int, RecordedUpTo] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether everything was as recorded."""
        return not self.findings


def verify(
    place: OpensSegments, wanted: Wanted | None = None, progress: Callable[[int, int], object] = lambda done, of: None
) -> Proof:
    """Run every shard's recording in a place again and compare.

    Args:
        progress: Told, before each segment and block, how many bytes are done and how many there are.

    Raises:
        OSError: the place can't be read.
    """
    verdict = Proof()
    kept = place.segments()
    total, done = sum(one.size for one in kept), 0
    custody = Custody()
    for shard in sorted({one.name.shard for one in kept}):
        lane = LaneCheck(shard, wanted or Wanted(), verdict, custody)
        for one in _of_interest([one for one in kept if one.name.shard == shard]):
            progress(done, total)

            def told(at: int, before: int = done) -> object:
                return progress(before + at, total)

            lane.segment(place, one.name, told)
            done += one.size
        lane.end()
    progress(total, total)
    _judge(custody, verdict)
    return verdict


def _judge(custody: Custody, verdict: Proof) -> None:
    """Say who and what came into a shard as nobody gave it."""
    if custody.partial:
        verdict.notes.append(f"what came from shard to shard was not compared: {custody.partial}")
        return
    verdict.crossings = len(custody)
    for taken in custody.wrong():
        finding = Mismatch(taken.shard, taken.chunk_id, taken.tick, taken.field, taken.text, taken.segment)
        verdict.findings.append(finding)


def _of_interest(kept: Sequence[Kept]) -> Iterable[Kept]:
    """Return each segment once: one that was renamed while the place was listed may be there twice."""
    found: dict[tuple[int, int, int], Kept] = {}
    for one in kept:
        key = (one.name.began_ms, one.name.epoch, one.name.first)
        if key not in found or one.name.finished:
            found[key] = one
    return found.values()


class LaneCheck:
    """The recording of one shard, segment by segment in order."""

    def __init__(self, shard: int, wanted: Wanted, verdict: Proof, custody: Custody) -> None:
        self._custody = custody
        self._shard = shard
        self._wanted = wanted
        self._verdict = verdict
        self._world: ShardWorld | None = None
        self._header: Header | None = None
        #: The last entry that was read; None before the first, and where it can't be said.
        self._last: RecordedUpTo | None = None
        self._tick = -1
        self._name = ""
        self._found = 0

    # -- segments --

    def segment(self, place: OpensSegments, name: SegmentName, progress: Callable[[int], object]) -> None:
        """Look at one segment; ``progress`` is told, before each block, how many bytes of it are done."""
        if self._found > FINDINGS_MOST:
            return
        self._name = str(name)
        self._verdict.segments += 1
        try:
            with place.open(name) as file:
                self._read(Segment(file), name, progress)
        except FileNotFoundError:
            self._verdict.notes.append(f"{name} was removed meanwhile: too old")
            self._lose("a segment was removed meanwhile")
        except BadRecording as error:
            self._find("", None, "segment", str(error))
            self._lose()
        except OSError:
            raise
        except Exception as error:  # whoever has made the file may have thought of something that nobody looks for
            self._find_odd(error)

    def end(self) -> None:
        """Say where the shard's recording ends."""
        self._end_life()
        if self._last is not None:
            self._verdict.ends[self._shard] = self._last
            self._verdict.notes.append(f"shard {self._shard} ends with tick {self._tick}, entry {self._last.text}")

    def _read(self, segment: Segment, name: SegmentName, progress: Callable[[int], object]) -> None:
        header = segment.head.header
        if header.shard != self._shard or header.epoch != name.epoch or segment.head.first != name.first:
            self._find("", None, "name", "the file's name and its head are of different segments")
        if not segment.finished and name.finished:
            self._find("", None, "index", "the file has lost its end")
        if not segment.finished:
            self._custody.partial = f"{name} is being written"
        if (why := header.why_not_here()) is not None:
            self._verdict.notes.append(f"{name} was not run: {why}")
            self._verdict.not_run += 1
            self._lose("some was made by another version")
            return
        if self._is_outside(segment):
            self._lose("not all of it was asked for")
            return
        self._join(segment)
        for block in segment.blocks:
            progress(block.at)
            self._block(segment, block)

    def _is_outside(self, segment: Segment) -> bool:
        """Return whether nothing in it is asked for: by its ticks, for its chunks are known to its frames alone."""
        if not segment.blocks:
            return True
        first, last = self._wanted.first_tick, self._wanted.last_tick
        if last is not None and segment.blocks[0].ticks[0] > last:
            return True
        return first is not None and max(block.ticks[1] for block in segment.blocks) < first

    def _join(self, segment: Segment) -> None:
        """Go on from the segment before, or from what this one begins with."""
        head, last = segment.head, self._last
        if self._header is not None and (head.header != self._header) and head.first > 0:
            self._lose()
            last = None
        self._header = head.header
        if head.first == 0:
            self._begin_life(head.header)
            return
        if last is not None and head.follows and (last.n + 1 != head.first or last.chain != head.chain):
            what = "entries" if last.n + 1 != head.first else "chain"
            self._find("", self._tick, what, f"{_entries(last.n + 1, head.first)} between two segments")
            self._lose()
        elif last is None and self._verdict.segments > 0 and self._world is None:
            self._verdict.notes.append(f"shard {self._shard} is looked at from {self._name} on, entry {head.first}")
            self._custody.partial = self._custody.partial or "what was before is not there"
        elif not head.follows and last is not None and last.n + 1 != head.first:
            self._find("", self._tick, "entries", f"{_entries(last.n + 1, head.first)}: never recorded")
            self._lose()
        if self._last is None:
            self._last = RecordedUpTo(head.header.epoch, head.first - 1, head.chain or "")

    def _begin_life(self, header: Header) -> None:
        """Compare what the life says it follows with what there was."""
        last, before = self._last, RecordedUpTo.read(header.previous)
        if last is not None and self._name and before != last:
            if before is None or (before.epoch, before.n) < (last.epoch, last.n):
                self._custody.partial = "some of it was undone, or is of another world"
                at = f"Redis came back without its end; what follows entry {header.previous} was undone"
                anew = f"{self._name} begins without anything before it: another world, or one that was rebuilt"
                self._verdict.notes.append(f"shard {self._shard}: {anew if before is None else at}")
            elif before.epoch == last.epoch:
                self._find("", self._tick, "entries", f"{_entries(last.n + 1, before.n + 1)} at the end of a life")
            else:
                self._find("", self._tick, "entries", f"a life is missing: epoch {before.epoch}")
        self._end_life()
        self._world = begin(header)
        self._last = RecordedUpTo(header.epoch, -1, FIRST_CHAIN)
        self._tick = -1

    def _end_life(self) -> None:
        if self._world is None:
            return
        try:
            self._custody.gives_all(self._world)
        except Exception as error:  # what is damaged in a world may show only when all of it is read
            self._find_odd(error)

    def _lose(self, why: str = "some of it is damaged") -> None:
        """Forget the state: it comes back with a whole key frame, or the next life."""
        self._custody.partial = self._custody.partial or why
        self._world = None
        self._last = None

    # -- for the replay --

    def before(self, order: Input) -> None:
        """Note who comes in."""
        if self._world is not None:
            self._custody.came(self._world, order, self._name)

    def after(self, order: Input, reply: Reply) -> None:
        """Note who goes."""
        self._custody.went(order, reply)

    # -- blocks and entries --

    def _block(self, segment: Segment, block: BlockHead) -> None:
        if self._wanted.last_tick is not None and block.ticks[0] > self._wanted.last_tick:
            return
        try:
            data = segment.data(block)
        except BadRecording as error:
            self._find(_named(block.frame or []), block.ticks[0], "checksum", f"{error}; up to tick {block.ticks[1]}")
            self._lose()
            return
        if self._world is None and block.frame is not None:
            self._thaw(segment, block)
        for kind, record in records(data):
            if self._found > FINDINGS_MOST:
                return
            if kind == ENTRY:
                chain, _, body = record.partition(b"\n")
                self._entry(chain.decode(errors="replace"), body)
            else:
                self._frame(record)

    def _thaw(self, segment: Segment, block: BlockHead) -> None:
        try:
            frame = frame_at(segment, block)
            if frame is not None:
                self._world = thawed(segment.head.header, frame)
                self._last = RecordedUpTo(segment.head.header.epoch, block.entries[0] - 1, "")
                self._tick = self._world.tick
        except BadRecording as error:
            self._find(_named(block.frame or []), block.ticks[0], "key frame", str(error))

    def _entry(self, chain: str, body: bytes) -> None:
        try:
            entry = read_entry(chain, body)
        except BadRecording as error:
            self._find("", self._tick, "entry", str(error))
            self._lose()
            return
        if self._last is None:
            return  # of what can't be run nothing is compared
        self._verdict.entries += 1
        self._place_in_order(entry)
        expected = chain_after(self._last.chain, body) if self._last.chain else chain
        if chain != expected:
            self._find(self._chunks_of(entry), entry.tick, "inputs", f"entry {entry.n} is not what was done (chain)")
        self._last = RecordedUpTo(self._last.epoch, entry.n, chain)
        if entry.tick < self._tick:
            self._find(self._chunks_of(entry), entry.tick, "ticks", f"tick {entry.tick} after tick {self._tick}")
        self._tick = entry.tick
        if entry.header is not None and entry.header != self._header:
            self._find("", entry.tick, "header", "the life's header is not the segment's")
        if self._world is not None:
            self._run(self._world, entry)

    def _place_in_order(self, entry: Entry) -> None:
        last = self._last
        assert last is not None
        if entry.n == last.n + 1:
            return
        again = entry.n <= last.n
        what = f"entry {entry.n} comes after entry {last.n}" if again else _entries(last.n + 1, entry.n)
        self._find(self._chunks_of(entry), entry.tick, "entries", what)

    def _run(self, world: ShardWorld, entry: Entry) -> None:
        before = world.tick
        try:
            self._custody.departed(apply_entry(world, entry, self))
        except BadRecording as error:
            self._find("", entry.tick, "inputs", str(error))
            self._world = None
            return
        except Exception as error:  # rules that were changed may raise anything
            self._find(self._chunks_of(entry), entry.tick, "rules", f"running it again raises {error!r}")
            self._world = None
            return
        self._verdict.inputs += sum(not isinstance(one[0], int) for one in entry.done)
        self._verdict.ticks += world.tick - max(before, 0)
        if world.tick != entry.tick:
            self._find(self._chunks_of(entry), entry.tick, "ticks", f"run again it is tick {world.tick}")
        for chunk_id, recorded in entry.digests.items():
            self._digest(world, ChunkId(chunk_id), entry.tick, recorded)

    def _digest(self, world: ShardWorld, chunk_id: ChunkId, tick: int, recorded: object) -> None:
        if not self._asked(chunk_id, tick):
            return
        self._verdict.digests += 1
        if not world.holds(chunk_id):
            self._find(chunk_id, tick, "chunk", "recorded, and not there when run again")
            return
        found = chunk_digest(world, chunk_id)
        if not isinstance(recorded, list) or len(recorded) != len(PARTS):
            self._find(chunk_id, tick, "digest", "not a digest")
            return
        for part, was, now in zip(PARTS, recorded, found, strict=True):
            if was != now:
                self._find(chunk_id, tick, part, f"digest {was} recorded, {now} when run again")
        told = self._wanted.published.get((chunk_id, tick))
        if told is not None:
            self._verdict.published += 1
            if told != one_line(found):
                self._find(chunk_id, tick, "published", f"watchers were told {told}, run again it is {one_line(found)}")

    def _frame(self, record: bytes) -> None:
        world = self._world
        try:
            shard, chunks = read_frame(record)
        except BadRecording as error:
            self._find("", self._tick, "key frame", str(error))
            return
        if world is None:
            return
        tick = shard["tick"]
        self._verdict.frames += 1
        if tick != world.tick:
            self._find("", tick, "key frame", f"its tick is {tick}, run again it is {world.tick}")
            return
        if sorted(shard["chunks"]) != sorted(world.chunk_ids):
            self._find("", tick, "key frame", "of other chunks than there are when run again")
        for chunk_id, frozen in chunks.items():
            if world.holds(ChunkId(chunk_id)) and self._asked(chunk_id, tick):
                self._compare(world, ChunkId(chunk_id), tick, frozen)

    def _compare(self, world: ShardWorld, chunk_id: ChunkId, tick: int, frozen: Any) -> None:
        found = difference(_without_tick(frozen), _without_tick(freeze_chunk(world, chunk_id)))
        if found is not None:
            path, was, now = found
            self._find(chunk_id, tick, path, f"{_short(was)} recorded, {_short(now)} when run again")

    # -- findings --

    def _find_odd(self, error: Exception) -> None:
        self._find("", None, "segment", f"reading it raises {_short(error)}")
        self._lose()

    def _asked(self, chunk_id: str, tick: int) -> bool:
        wanted = self._wanted
        if wanted.chunk not in (None, chunk_id):
            return False
        return (wanted.first_tick or 0) <= tick and (wanted.last_tick is None or tick <= wanted.last_tick)

    def _find(self, chunk: str, tick: int | None, what: str, text: str) -> None:
        self._found += 1
        if not chunk and self._world is not None:
            chunk = _named(self._world.chunk_ids)  # one of these: those that the shard has
        if self._found <= FINDINGS_MOST:
            self._verdict.findings.append(Mismatch(self._shard, chunk, tick, what, text, self._name))

    def _chunks_of(self, entry: Entry) -> str:
        """Return the chunks that an entry's inputs are about."""
        try:
            orders = [one for one in entry.operations() if not isinstance(one, tuple)]
        except BadRecording:
            return ""
        return _named(dict.fromkeys(one for order in orders if (one := self._chunk_of(order))))

    def _chunk_of(self, order: Input) -> str | None:
        if isinstance(order, Load):
            return order.record.chunk_id
        chunk_id: str | None = getattr(order, "chunk_id", None)
        agent_id = getattr(order, "agent_id", None)
        if chunk_id is None and agent_id is not None and self._world is not None:
            return self._world.chunk_of(agent_id)
        return chunk_id


def _without_tick(frozen: Any) -> Any:
    """Return a chunk's frame without its tick: one at rest is not written again."""
    if not isinstance(frozen, dict) or not isinstance(frozen.get("record"), dict):
        return frozen
    return {**frozen, "record": {**frozen["record"], "tick": 0}}


def _entries(first: int, beyond: int) -> str:
    last = beyond - 1
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"


def _named(chunks: Iterable[str]) -> str:
    names = [str(one) for one in chunks]  # in a damaged world it may be anything
    more = f" and {len(names) - NAMED_MOST} more" if len(names) > NAMED_MOST else ""
    return ", ".join(names[:NAMED_MOST]) + more


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

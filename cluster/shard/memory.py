"""What a shard holds in memory, which a reload replaces."""

from __future__ import annotations

from pathlib import Path

from cluster.shard.recording import Recording
from config.settings import default
from recordings.entry import Header
from recordings.source import Message, Pace, Source
from recordings.told_world import ToldRecordedWorld, ToldWorld
from world.outputs import Output
from world.recording import RecordedWorld
from world.rules import Rules
from world.shard import ShardWorld


class ShardMemory:
    """The world of a shard, with everything that was applied to it since it was last loaded.

    Args:
        tick: Number of the last committed tick; -1: there was none.
        record_dir: Where recordings of what the world is told go, one file per epoch and generation; empty: nowhere.
        pace: How often the lasting recording has digests and key frames; None: there is none.
    """

    def __init__(
        self,
        shard: int,
        rules: Rules,
        seed: int,
        *,
        tick: int = -1,
        record_dir: str = default("record_dir"),
        pace: Pace | None = None,
    ) -> None:
        self.shard = shard
        self.rules = rules
        self.seed = seed
        #: Number of the last tick that was run; never falls.
        self.tick = tick
        #: Rises with each reload: what was decided or read under an earlier one counts no more.
        self.generation = 0
        #: Empty until the chunks are loaded.  A reload puts another in its place, so nobody keeps it over an await.
        self.world = ShardWorld(rules, seed, shard)
        self._record_dir = record_dir
        self._recording: Recording | None = None
        self._pace = pace
        self._source: Source | None = None

    def outdate(self) -> None:
        """Let nothing count any more that was decided or read until now."""
        self.generation += 1

    def begin_anew(self, epoch: int, recorded: str = "") -> None:
        """Put an empty world in the place of the present one.

        ``recorded``: where the shard's lasting recording has come to; it goes on from there.
        """
        self.generation += 1
        self.close()
        self._source = None
        if self._pace is not None:
            header = Header(self.shard, epoch, self.seed, self.rules.to_json(), recorded)
            self._source = Source(header, self._pace)
        if not self._record_dir:
            kind = ShardWorld if self._source is None else ToldWorld
            self.world = kind(self.rules, self.seed, self.shard)
            return
        name = f"shard-{self.shard}-{epoch}-{self.generation}.jsonl"
        self._recording = Recording(Path(self._record_dir) / name)
        recorded_kind = RecordedWorld if self._source is None else ToldRecordedWorld
        world = recorded_kind(self.rules, self.seed, self.shard, self._recording.write)
        self._recording.closing = world.close
        self.world = world

    def entry(self, output: Output) -> Message | None:
        """Return what the commit of ``output``, just taken, adds to the lasting recording; None: nothing.

        It must be committed, or the world be loaded anew.
        """
        if self._source is None or not isinstance(self.world, ToldWorld):
            return None
        return self._source.entry(self.world, output)

    def close(self) -> None:
        """End the recording, if there is one; the world is not to be told anything after it."""
        if self._recording is not None:
            self._recording.close()
            self._recording = None

"""A recording made by the real source and writer from a play without servers, faster than real time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from recordings.entry import Header, RecordedUpTo
from recordings.lane import Given
from recordings.source import Pace, Source
from recordings.told_world import ToldWorld
from recordings.writer import RecordingWriter
from tests.world.harness import TinyCluster, is_empty
from tests.world.play import PLAY_RULES, Script
from world.outputs import Output
from world.shard import ShardWorld

PACE = Pace(digest_ticks=10, frame_ticks=40)


class SourcedWorld(ToldWorld):
    """A shard whose outputs are entries of a recording, as the runtime makes them."""

    def __init__(self, *args: Any, pace: Pace = PACE, previous: str = "", epoch: int = 1) -> None:
        super().__init__(*args)
        header = Header(self.shard, epoch, self.state.world_seed, self.rules.to_json(), previous)
        self.source = Source(header, pace)
        self.messages: list[tuple[int, str, bytes]] = []

    def take(self) -> Output:
        output = super().take()
        if not is_empty(output):
            message = self.source.entry(self, output)
            if message is not None:
                self.messages.append((self.tick, message.position, message.data))
        return output


class SourcedCluster(TinyCluster):
    """A ``TinyCluster`` of them."""

    pace = PACE

    def make_shard(self, number: int) -> SourcedWorld:
        return SourcedWorld(self.rules, self.seed, number, pace=self.pace)


def played(seed: int, shards: int, ticks: int) -> list[Given]:
    """What a played world's shards put into the stream, in order; a tick is 200 ms."""
    cluster = SourcedCluster(shards, PLAY_RULES, seed)
    script = Script(cluster, seed, hand_overs=shards > 1)
    for _ in range(ticks):
        script.turn()
    return list(given_of(cluster))


def given_of(cluster: TinyCluster) -> Iterator[Given]:
    """The entries of all shards by tick."""
    return given_by(cluster.shards)


def given_by(shards: Iterable[ShardWorld]) -> Iterator[Given]:
    """The entries of these shards by tick."""
    found = [
        (tick, shard.shard, position, data)
        for shard in shards
        if isinstance(shard, SourcedWorld)
        for tick, position, data in shard.messages
    ]
    found.sort(key=lambda one: one[0])
    for seq, (tick, shard, text, data) in enumerate(found):
        position = RecordedUpTo.read(text)
        assert position is not None
        yield Given(f"{1_000_000 + tick * 200}-{seq}", shard, position, data)


def write(directory: Path, given: list[Given], *, segment_s: int = 12, flush_every: int = 50) -> Path:
    """A directory with these entries, finished."""
    writer = RecordingWriter(directory, segment_s=segment_s)
    for at in range(0, len(given), flush_every):
        writer.add(given[at : at + flush_every])
        writer.flush()
    writer.close()
    return directory

"""What a recording holds, for those who know what it must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recordings.entry import RecordedUpTo
from recordings.replay import entries_of
from recordings.segment import Segment
from streaming import keys
from streaming.connect import as_text, connect


@dataclass(slots=True)
class Held:
    """How often each entry stands there, by shard, epoch and number, and each command, by its id."""

    entries: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)

    @property
    def entries_twice(self) -> list[tuple[int, int, int]]:
        """Entries that stand there more than once."""
        return sorted(entry for entry, count in self.entries.items() if count > 1)

    def not_once(self, commands: Iterable[str]) -> dict[str, int]:
        """Return those of some commands that don't stand there exactly once, and how often they do."""
        return {command: self.commands[command] for command in commands if self.commands[command] != 1}


def held(directory: Path) -> Held:
    """Read all whole segments of a directory."""
    found = Held()
    for path in sorted(directory.glob("*.ccrec")):
        with path.open("rb") as file:
            _count(Segment(file), found)
    return found


def _count(segment: Segment, found: Held) -> None:
    header = segment.head.header
    for block in segment.blocks:
        for entry in entries_of(segment.data(block)):
            found.entries[header.shard, header.epoch, entry.n] += 1
            found.commands.update(_commands(entry.done))


def _commands(done: list[list[object]]) -> Iterator[str]:
    for kind, fields in done:
        if kind == "Submit" and isinstance(fields, dict):
            yield fields["server_cmd_id"]


async def recorded_ends(redis_url: str, shards: int) -> dict[int, RecordedUpTo | None]:
    """Where each shard's recording must have come to: with its last commit."""
    redis = connect(redis_url)
    try:
        found = [await redis.hget(keys.shard(shard), "recorded") for shard in range(shards)]
    finally:
        await redis.aclose()
    return {shard: RecordedUpTo.read(as_text(text or "")) for shard, text in enumerate(found)}

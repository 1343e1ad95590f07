"""What a recording holds, for those who know what it must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from recordings.entry import RecordedUpTo
from recordings.replay import apply_entry, begin, entries_of
from recordings.segment import Segment
from streaming import keys
from streaming.connect import as_text, connect
from world.inputs import Decision, Input, Reply, Submit
from world.shard import ShardWorld


@dataclass(slots=True)
class Held:
    """How often each entry stands there, by shard, epoch and number, and each command that was taken, by its id."""

    entries: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)

    @property
    def entries_twice(self) -> list[tuple[int, int, int]]:
        """Entries that stand there more than once."""
        return sorted(entry for entry, count in self.entries.items() if count > 1)

    def not_once(self, commands: Iterable[str]) -> dict[str, int]:
        """Return those of some commands that were not taken exactly once, and how often they were."""
        return {command: self.commands[command] for command in commands if self.commands[command] != 1}

    # -- for the replay --

    def before(self, order: Input) -> None:
        """See ``InputWatch``."""

    def after(self, order: Input, reply: Reply) -> None:
        """Count a command that was taken: shards that its agent has left, and calls repeated, take nothing."""
        if isinstance(order, Submit) and isinstance(reply, Decision) and reply.accepted and not reply.duplicate:
            self.commands[order.server_cmd_id] += 1


def held(directory: Path) -> Held:
    """Run all whole segments of a directory again; every life is there from its beginning."""
    found = Held()
    worlds: dict[int, ShardWorld] = {}
    for path in sorted(directory.glob("*.ccrec")):
        with path.open("rb") as file:
            segment = Segment(file)
            header = segment.head.header
            if segment.head.first == 0:
                worlds[header.shard] = begin(header)
            for block in segment.blocks:
                for entry in entries_of(segment.data(block)):
                    found.entries[header.shard, header.epoch, entry.n] += 1
                    apply_entry(worlds[header.shard], entry, found)
    return found


async def recorded_ends(redis_url: str, shards: int) -> dict[int, RecordedUpTo | None]:
    """Where each shard's recording must have come to: with its last commit."""
    redis = connect(redis_url)
    try:
        found = [await redis.hget(keys.shard(shard), "recorded") for shard in range(shards)]
    finally:
        await redis.aclose()
    return {shard: RecordedUpTo.read(as_text(text or "")) for shard, text in enumerate(found)}

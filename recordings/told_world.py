"""A shard's world that remembers what it was told since somebody last asked."""

from __future__ import annotations

from typing import Any, TypeAlias

from world.inputs import Input
from world.recording import RecordedWorld
from world.shard import ShardWorld

#: Steps from one tick to another, without gaps.
Steps: TypeAlias = list[int]


class ToldWorld(ShardWorld):
    """A ``ShardWorld`` that keeps inputs and steps in order.  Whoever commits takes them away: ``told`` is theirs."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        #: What was done since it was last emptied.
        self.told: list[Input | Steps] = []

    # One implementation serves all of the base's overloads.
    def apply(self, order: Any) -> Any:
        """As ``ShardWorld.apply``."""
        self.told.append(order)
        return super().apply(order)

    def step(self, tick: int) -> bool:
        """As ``ShardWorld.step``."""
        stepped = super().step(tick)
        if stepped:
            last = self.told[-1] if self.told else None
            if type(last) is list and last[1] == tick - 1:
                last[1] = tick
            else:
                self.told.append([tick, tick])
        return stepped


class ToldRecordedWorld(ToldWorld, RecordedWorld):
    """One that also writes its lines for ``chunkcrawl replay``."""

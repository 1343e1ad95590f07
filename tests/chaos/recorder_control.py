"""The recorder of a scene in a ``recorder_tree``: where it ends itself, what it says, how far it has come."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from cluster.actor_options import archiver_name
from cluster.peers import ShardUnavailable
from cluster.ray_clients import WorldActor
from recordings.lane import is_after
from streaming import keys
from streaming.connect import as_text
from tests.chaos.scene import CALL_S, Scene
from tests.cluster.worlds import until

#: How long anything may take on a machine that does much else.
LIMIT_S = 180.0


class RecorderControl:
    """Gives orders to the recorder of a scene.

    Args:
        orders: The directory that the tree was made with.
    """

    def __init__(self, stage: Scene, orders: Path) -> None:
        self._stage = stage
        self._orders = orders

    async def describe(self) -> dict[str, Any] | None:
        """What the recorder's process says; None: there is none now."""
        try:
            found: dict[str, Any] = await self._stage.actors.call(archiver_name(0), CALL_S, WorldActor.describe)
        except ShardUnavailable:
            return None
        return found

    async def pid(self, other_than: int | None = None) -> int:
        """The process that records, once it answers and is another."""

        async def answers() -> int | None:
            described = await self.describe()
            return described["pid"] if described is not None and described["pid"] != other_than else None

        found: int = await until(answers, "the recorder answers", LIMIT_S)
        return found

    def arm(self, point: str) -> None:
        """Let it end itself there."""
        (self._orders / "armed" / point).touch()

    async def ended_at(self, point: str) -> int:
        """Wait until it has ended itself there; which process that was."""

        async def ended() -> str | None:
            file = self._orders / "ended" / point
            return file.read_text() if file.exists() else None

        return int(await until(ended, f"the recorder ends itself: {point}", LIMIT_S))

    async def stop_at_its_start(self) -> None:
        """Kill it; wait until the next waits before it looks into its directory."""
        pid = await self.pid()
        self.hold()
        os.kill(pid, signal.SIGKILL)
        await self.held()

    def hold(self) -> None:
        """Let the next one wait before it looks into its directory."""
        (self._orders / "held").unlink(missing_ok=True)
        (self._orders / "hold").touch()

    async def held(self) -> None:
        """Wait until it waits there."""

        async def waits() -> bool:
            return (self._orders / "held").exists()

        await until(waits, "the next recorder has started", LIMIT_S)

    def go_on(self) -> None:
        """Let it go on."""
        (self._orders / "hold").unlink()

    async def caught_up(self) -> None:
        """Wait until all that is in the journal now is on the disk and taken out."""
        newest = await self._stage.redis.xrevrange(keys.RECORDING_STREAM, count=1)

        async def taken_out() -> bool:
            oldest = await self._stage.redis.xrange(keys.RECORDING_STREAM, count=1)
            return not newest or not oldest or is_after(as_text(oldest[0][0]), as_text(newest[0][0]))

        await until(taken_out, "the recorder has caught up", LIMIT_S)

    async def says(self, name: str, wanted: bool) -> Any:
        """Wait until what it says under a name is something, or nothing; what it says then."""

        async def said() -> dict[str, Any] | None:
            described = await self.describe()
            return described if described is not None and bool(described[name]) == wanted else None

        return (await until(said, f"{name} is {'something' if wanted else 'nothing'}", LIMIT_S))[name]

    async def tick(self) -> int:
        """The tick that the first shard has committed."""
        return int(await self._stage.redis.hget(keys.shard(0), "tick") or 0)

    async def ticks_pass(self, ticks: int) -> None:
        """Wait until the first shard has committed so many more."""
        wanted = await self.tick() + ticks

        async def passed() -> bool:
            return await self.tick() >= wanted

        await until(passed, f"{ticks} ticks have passed", LIMIT_S)

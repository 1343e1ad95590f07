"""The recorder ends its own process at each of the named points, while agents play; prints one JSON line.

Usage: python -m tests.chaos.recorder_killed_scenario ORDERS OUT AGENTS POINT...

Whole segments go to another place, ``OUT/there``; before the oldest are cut, all are kept in ``OUT/saved``.  Run it
from a ``recorder_tree`` that was made with ``ORDERS``.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from recordings.places import Directory, Several, place_of
from recordings.verify import verify
from streaming.digests import read_digests
from tests.chaos.recorded import recorded_ends
from tests.chaos.recorder_control import RecorderControl
from tests.chaos.scene import Scene, scene, scratch, services_in

SHARDS: Final = 2
PLAY_S: Final = 2.0
#: Points that only the beginning of a life of a shard's memory comes to.
OF_A_LIFE: Final = {"a life begins", "its header is told"}
#: Points that a recorder comes to after another has left it something open.
OF_THE_NEXT: Final = {
    "before mending",
    "the torn end cut off",
    "half an index in mending",
    "mended",
    "mended and named",
}
OF_CUTTING: Final = {"before cutting", "cut"}


class Rounds:
    """What was killed, and what came of it."""

    def __init__(self, stage: Scene, orders: Path, out: Path) -> None:
        self._stage = stage
        self._recorder = RecorderControl(stage, orders)
        self._out = out
        self.ended: list[dict[str, Any]] = []

    async def kill(self, point: str) -> None:
        """Have the recorder end itself at a point; see that the next goes on, and that nothing is wrong by then."""
        if point in OF_CUTTING:
            await self._save()
        before = await self._recorder.pid()
        self._recorder.arm(point)
        if point in OF_THE_NEXT:
            self._recorder.arm("on the disk")
            before = await self._recorder.ended_at("on the disk")
        if point in OF_A_LIFE:
            await self._stage.kill_actor(f"shard-{self._stage.rng.randrange(SHARDS)}")
        ended = await self._recorder.ended_at(point)
        after = await self._recorder.pid(other_than=ended)
        await self._recorder.caught_up()
        await asyncio.sleep(PLAY_S)
        findings = await asyncio.to_thread(self._findings)
        self.ended.append(
            {"point": point, "before": before, "ended": ended, "after": after, "findings": findings},
        )

    def _findings(self) -> list[str]:
        # Here first: what was half sent is whole here.
        places = Several([Directory(self._out / "here"), place_of(str(self._out / "there"))])
        return [finding.line for finding in verify(places).findings]

    async def _save(self) -> None:
        for place in ("here", "there"):
            await asyncio.to_thread(_copy_segments, self._out / place, self._out / "saved")

    async def missing(self) -> Any:
        """What the last recorder says is missing."""
        described = await self._recorder.describe()
        return described and described["recording_missing"]


def _copy_segments(directory: Path, to: Path) -> None:
    to.mkdir(exist_ok=True)
    for path in directory.glob("*.ccrec"):
        try:
            shutil.copyfile(path, to / path.name)
        except FileNotFoundError:
            continue  # sent and removed meanwhile


async def told_to_watchers(stage: Scene) -> list[dict[str, Any]]:
    """The digests that watchers are told, as events."""
    lines = []
    for chunk in await stage.chunks():
        told = await read_digests(stage.redis, chunk)
        lines += [{"chunk_id": chunk, **one.to_json()} for one in told]
    return lines


async def scenario(orders: Path, out: Path, agents: int, points: list[str]) -> dict[str, Any]:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    (out / "there").mkdir(parents=True)
    settings = {
        "recordings_dir": str(out / "here"),
        "recordings_url": f"file://{out / 'there'}",
        # So that segments end, and every chunk is in a key frame again, within seconds.
        "recording_frame_ticks": 10,
        "recording_digest_ticks": 10,
        "tick_hz": 10,
    }
    with scratch() as directory:
        services = services_in(directory)
        try:
            async with scene(services, seed, shards=SHARDS, gateways=1, **settings) as stage:
                rounds = Rounds(stage, orders, out)
                async with stage.playing(agents):
                    for point in points:
                        await rounds.kill(point)
                missing = await rounds.missing()
                (out / "told.jsonl").write_bytes(
                    b"\n".join(orjson.dumps(line) for line in await told_to_watchers(stage))
                )
                ledger, findings = stage.ledger, await stage.findings()
                url = stage.deployment.settings.redis_url
            ends = await recorded_ends(url, SHARDS)
        finally:
            services.stop()
    return {
        "seed": seed,
        "rounds": rounds.ended,
        "missing": missing,
        "accepted": sorted(ledger.accepted),
        "unsettled": ledger.unsettled,
        "holes": ledger.holes,
        "findings": findings,
        "ends": {str(shard): end.text if end is not None else None for shard, end in ends.items()},
        "log": stage.log,
    }


def main(orders: str, out: str, agents: str, *points: str) -> None:
    print(orjson.dumps(asyncio.run(scenario(Path(orders), Path(out), int(agents), list(points)))).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])

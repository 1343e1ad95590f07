"""What befalls the recorder while agents play: away for too long, a full disk, damaged files; prints one JSON line.

Usage: python -m tests.chaos.recorder_trouble_scenario ORDERS DIR TROUBLE

``DIR`` takes the recordings.  ``TROUBLE`` is one of ``TROUBLES``.  Run it from a ``recorder_tree`` that was made with
``ORDERS``; ``full`` wants a small file system at ``DIR``, ``away`` a short journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import orjson

from recordings.entry import BadRecording
from recordings.places import Directory
from recordings.segment import Segment
from recordings.verify import Wanted, verify
from streaming import keys
from tests.chaos.recorded import held, recorded_ends
from tests.chaos.recorder_control import LIMIT_S, RecorderControl
from tests.chaos.scene import Scene, scene, scratch, services_in
from tests.cluster.worlds import until

SHARDS: Final = 2
AGENTS: Final = 8
PLAY_S: Final = 5.0
FRAME_TICKS: Final = 10
#: Twice the key frames after which each chunk was in one: what is recorded by then can be run again.
WHOLE_AGAIN_TICKS: Final = 2 * 10 * FRAME_TICKS
BLOCK_BYTES: Final = 4_096
#: Entries that a recorder which is stopped may have been sent already.
ON_THE_WAY: Final = 20


class Trouble:
    """One scene, and what is done to its recorder."""

    def __init__(self, stage: Scene, orders: Path, directory: Path) -> None:
        self._stage = stage
        self._recorder = RecorderControl(stage, orders)
        self._directory = directory
        #: What was seen on the way.
        self.seen: dict[str, Any] = {}

    async def away(self) -> None:
        """Let it stand still until the journal has cut off what it had not read."""
        await asyncio.sleep(PLAY_S)
        await self._recorder.caught_up()
        pid = await self._recorder.pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            before, began = len(self._stage.ledger.accepted), await self._added()

            async def cut_off() -> bool:
                added = await self._added() - began
                return bool(added > await self._stage.redis.xlen(keys.RECORDING_STREAM) + ON_THE_WAY)

            await until(cut_off, "the journal has cut off what was not read", LIMIT_S)
            await asyncio.sleep(PLAY_S)
            self.seen["accepted_meanwhile"] = len(self._stage.ledger.accepted) - before
        finally:
            os.kill(pid, signal.SIGCONT)
        self.seen["missing"] = await self._recorder.says("recording_missing", True)
        await self._see_it_whole_again()

    async def _added(self) -> int:
        return int((await self._stage.redis.xinfo_stream(keys.RECORDING_STREAM))["entries-added"])

    async def full(self) -> None:
        """Fill its disk, let it wait for a while, and make room again."""
        await asyncio.sleep(PLAY_S)
        await self._recorder.caught_up()
        before_it, filler = await self._recorder.pid(), self._directory / "filler"
        fill(filler)
        self.seen["trouble"] = await self._recorder.says("recording_trouble", True)
        before = len(self._stage.ledger.accepted)
        # Longer than it takes to give up a file, to open the directory again, and to fail at that.
        for _ in range(4):
            fill(filler)
            await asyncio.sleep(PLAY_S)
        self.seen["accepted_meanwhile"] = len(self._stage.ledger.accepted) - before
        self.seen["waiting"] = await self._recorder.says("recording_waiting", True)
        filler.unlink()
        await self._recorder.says("recording_trouble", False)
        await self._recorder.caught_up()
        self.seen["same_process"] = await self._recorder.pid() == before_it

    async def torn(self) -> None:
        """Put something behind the end of an open file."""
        await self._damage(lambda path: path.write_bytes(path.read_bytes() + random.Random(1).randbytes(1_000)))

    async def flipped(self) -> None:
        """Flip a bit in the middle of an open file."""

        def flip(path: Path) -> object:
            with path.open("rb") as file:
                beyond = Segment(file).blocks[2].at
            data = bytearray(path.read_bytes())
            data[beyond - 10] ^= 1
            return path.write_bytes(data)

        await self._damage(flip)

    async def _damage(self, change: Callable[[Path], object]) -> None:
        path = None
        while path is None:
            await until(self._open_file, "a file with some blocks", LIMIT_S)
            await self._recorder.stop_at_its_start()
            path = await self._open_file()
            if path is None:
                self._recorder.go_on()  # it was finished a moment before
        change(path)
        self.seen["damaged"] = path.with_suffix(".ccrec").name
        self._recorder.go_on()
        await self._see_it_whole_again()

    async def index(self) -> None:
        """Damage the index of the newest file, which is whole: the recorder can't read in it where it had come to."""
        self._recorder.hold()
        self._recorder.arm("after the name")
        await self._recorder.ended_at("after the name")
        await self._recorder.held()
        open_now = {one.name.shard for one in Directory(self._directory).segments() if not one.name.finished}
        whole = [one.name for one in Directory(self._directory).segments() if one.name.shard not in open_now]
        path = self._directory / str(whole[-1])
        data = bytearray(path.read_bytes())
        data[-40] ^= 1
        path.write_bytes(data)
        self.seen["damaged"] = path.name
        self._recorder.go_on()
        await self._see_it_whole_again()

    async def _open_file(self) -> Path | None:
        """An open file of which some blocks lie on the disk."""
        for kept in Directory(self._directory).segments():
            path = self._directory / str(kept.name)
            # One that began a moment ago may have no head yet; one that ended has another name.
            with contextlib.suppress(BadRecording, FileNotFoundError):
                if not kept.name.finished:
                    with path.open("rb") as file:
                        if len(Segment(file).blocks) > 3:
                            return path
        return None

    async def _see_it_whole_again(self) -> None:
        await self._recorder.caught_up()
        await self._recorder.ticks_pass(WHOLE_AGAIN_TICKS)
        await self._recorder.caught_up()
        self.seen["whole_from"] = await self._recorder.tick()
        await self._recorder.ticks_pass(WHOLE_AGAIN_TICKS)


TROUBLES: Final[dict[str, Callable[[Trouble], Awaitable[None]]]] = {
    "away": Trouble.away,
    "full": Trouble.full,
    "torn": Trouble.torn,
    "flipped": Trouble.flipped,
    "index": Trouble.index,
}


def fill(path: Path) -> None:
    """Write until the disk is full."""
    try:
        with path.open("ab", buffering=0) as file:
            while True:
                file.write(b"\0" * BLOCK_BYTES)
    except OSError:
        return


async def scenario(orders: Path, directory: Path, trouble: str) -> dict[str, Any]:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    settings = {
        "recordings_dir": str(directory),
        "recording_frame_ticks": FRAME_TICKS,
        "recording_digest_ticks": 10,
        "tick_hz": 10,
    }
    with scratch() as data:
        services = services_in(data)
        try:
            async with scene(services, seed, shards=SHARDS, gateways=1, **settings) as stage:
                done = Trouble(stage, orders, directory)
                async with stage.playing(AGENTS):
                    await TROUBLES[trouble](done)
                findings, ledger = await stage.findings(), stage.ledger
                url = stage.deployment.settings.redis_url
            ends = await recorded_ends(url, SHARDS)
        finally:
            services.stop()
    verdict = verify(Directory(directory))
    late = verify(Directory(directory), Wanted(first_tick=done.seen.get("whole_from")))
    return {
        "seed": seed,
        "seen": done.seen,
        "accepted": len(ledger.accepted),
        "unsettled": ledger.unsettled,
        "findings": findings,
        "ends": verdict.ends == ends,
        "recorded": [{name: getattr(one, name) for name in ("field", "what", "segment")} for one in verdict.findings],
        "late": [{name: getattr(one, name) for name in ("field", "what", "segment")} for one in late.findings],
        "late_digests": late.digests,
        "late_frames": late.frames,
        "not_once": held(directory).not_once(ledger.accepted) if not verdict.findings else None,
    }


def main(orders: str, directory: str, trouble: str) -> None:
    print(orjson.dumps(asyncio.run(scenario(Path(orders), Path(directory), trouble))).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])

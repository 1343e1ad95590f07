"""A fork of a world that runs is started beside it and played differently by others: both recordings verify."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis

from chunkcrawl import Agent
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import Wanderer
from embedded.children import free_port
from operations.fork import FORK_FILE, read_fork
from recordings.past import NoSuchMoment, Past
from recordings.places import place_of
from recordings.verify import verify
from streaming import keys
from tests.cli.test_fork import COMMAND, invoke, new_key
from tests.cluster.started import Started
from tests.cluster.worlds import until
from world.ids import AgentId
from world.shard import ShardWorld

AGENTS = [f"ada-{number}" for number in range(6)]
#: Of them others play so many in the fork; the rest stand there.
TAKEN = 3
#: How long the original is played before the fork is made, and both after it.
PLAYED_TICKS = 150
LIMIT_S = 180.0
#: So that a moment can be reached, and files end, within seconds.
SOON = {"CHUNKCRAWL_RECORDING_FRAME_TICKS": "25", "CHUNKCRAWL_RECORDING_SEGMENT_S": "10"}

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(900)]


@contextlib.asynccontextmanager
async def up(directory: Path, shards: int) -> AsyncIterator[str]:
    """A world as people start it; its address."""
    port = free_port()
    words = ["up", "--no-demo", "--shards", str(shards), "--port", str(port), "--data", str(directory)]
    run = Started([COMMAND, *words], cwd=directory.parent, environment=SOON)
    try:
        await asyncio.to_thread(run.read_until, "Ctrl-C")
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGTERM)
        code = await asyncio.to_thread(run.end)
    assert code == 0, run.output


@contextlib.asynccontextmanager
async def played(base: str, number: int, agents: Sequence[str]) -> AsyncIterator[None]:
    """Agents of an account of that world's wander about while the block runs."""
    key = await new_key(base, number)
    async with contextlib.AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = []
        for name in agents:
            agent = await stack.enter_async_context(Agent.connect(base, agent_id=name, api_key=key))
            tasks.append(
                group.create_task(drive(agent, Wanderer(cross=0.3, chat=0.1), random.Random(f"{number} {name}")))
            )
        yield
        for task in tasks:
            task.cancel()


async def reaches(directory: Path, tick: int) -> None:
    """Wait until a world has come so far."""
    url = json.loads((directory / "services.json").read_text())["redis_url"]
    redis = Redis.from_url(url)

    async def there() -> bool:
        return int(await redis.hget(keys.shard(0), "tick") or 0) >= tick

    try:
        await until(there, f"the world in {directory} comes to tick {tick}", LIMIT_S)
    finally:
        await redis.aclose()


async def recorded_to(directory: Path) -> int:
    """Wait until some time can be reached in a recording that is being written; its last tick."""

    async def last() -> int | None:
        try:
            past = await asyncio.to_thread(lambda: Past(place_of(str(directory / "recordings"))))
        except NoSuchMoment:
            return None
        return past.last_tick if past.last_tick >= PLAYED_TICKS else None

    found: int = await until(last, "the recording has come so far", LIMIT_S)
    return found


def standing(world: ShardWorld, names: Sequence[str]) -> list[tuple[object, ...] | None]:
    found = [world.agent(AgentId(name)) for name in names]
    return [None if one is None else (one.chunk_id, one.x, one.y, one.gold) for one in found]


async def test_a_fork_is_played_differently_beside_the_original_and_both_verify(tmp_path: Path) -> None:
    original, forked = tmp_path / "original", tmp_path / "fork"
    async with up(original, shards=2) as base, played(base, 1, AGENTS):
        tick = await recorded_to(original)
        code, _, err = invoke("--at", str(tick), "--from", str(original / "recordings"), str(forked))
        assert code == 0, err
        there = read_fork(forked / FORK_FILE).world()
        taken = [name for name in AGENTS if there.agent(AgentId(name)) is not None][:TAKEN]
        assert len(taken) == TAKEN
        async with up(forked, shards=1) as other, played(other, 2, taken):
            await reaches(forked, tick + PLAYED_TICKS)
            await reaches(original, tick + PLAYED_TICKS)
    then = tick + PLAYED_TICKS // 2
    worlds = []
    for directory in (original, forked):
        place = place_of(str(directory / "recordings"))
        proof = verify(place)
        print(directory.name, *proof.notes, f"{proof.inputs} inputs, {proof.digests} digests", sep="\n  ")
        assert [finding.line for finding in proof.findings] == []
        assert min(proof.inputs, proof.digests, proof.frames) > 0
        worlds.append(Past(place).moment(then).world())
    # Of one beginning, and not the same any more.
    assert standing(worlds[0], taken) != standing(worlds[1], taken)
    assert standing(Past(place_of(str(original / "recordings"))).moment(tick).world(), AGENTS) == standing(
        there, AGENTS
    )

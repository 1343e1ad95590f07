"""A crowd on one of two shards, before and after the world has balanced itself.

Usage: python tests/bench/bench_balance.py [--agents 300] [--crowd 200] [--seconds 30] [--json]

300 agents play over the wire, 200 of them in three chunks of shard 0, the others in one more of shard 0 and in those of
shard 1; both shards are pinned.  Then the pins are taken away.  Printed are, of both shards before and after: agents,
share of a core (of the process), p99 of the ticks and of how late they began; how long it took from unpinning to the
last move, how long each chunk stood still; what the agents saw in each of these times; and whether anything was
refused, lost or doubled.

Wants a quiet machine: both shards, the gateway, the servers and the agents are all on it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import uvloop
from redis.asyncio import Redis

from cluster import deploy
from cluster.balance.moves import MoveRecord
from cluster.graph import chunk_owners
from cluster.load_reports import take_loads
from cluster.messages import ShardLoad
from cluster.move_log import read_moves
from cluster.pins import pin, unpin
from cluster.ray_clients import NamedActors, WorldActor, connected_shards, shard_name
from config.settings import Settings
from embedded.children import free_port
from embedded.services import EmbeddedServices, ServiceUrls
from loadtest.behaviour import BEHAVIOURS, stroll
from loadtest.figures import Figures, figures_of
from loadtest.generator import generate
from loadtest.mailbox import Orders
from loadtest.measures import Sample
from loadtest.plan import Plan, Share
from loadtest.totals import Totals
from migrations.run import upgrade
from operations.fsck import agents_in_world, check, read_dump
from streaming.connect import connect

CALL_S = 10.0
CROWDED = 3
SHARDS = (0, 1)
#: The world is taken for balanced when nothing has moved for so long.
CALM_S = 45.0
BALANCED_WITHIN_S = 240.0
#: Refusals and failures that are the game's: somebody is in the way.
OF_THE_GAME = ("refused_unreachable", "failed_blocked", "refused_share", "failed_share")
TROUBLE = ("timeouts", "unanswered", "disconnects", "resyncs", "errors", "unusable", "given_up")


# -- the agents: a process of their own --


class Script:
    """A mailbox for one generator, told by a file in which part of the run it is."""

    PARTS = ("before", "between", "after")

    def __init__(self, control: Path) -> None:
        self._control = control
        self._orders = Orders()
        self._ready = False
        self.whole = Totals(1)
        self.parts = {part: Totals(1) for part in self.PARTS}

    async def begin(self, task: int) -> None:
        """See ``MailboxApi``: nobody else is waited for."""

    async def report(self, sample: Sample) -> Orders:
        """See ``MailboxApi``."""
        part = self._control.read_text()
        everything = Orders(measure_from=0)
        self.whole.add(sample, everything)
        if part in self.parts:
            self.parts[part].add(sample, everything)
        if sample.phase == "ready" and not self._ready:
            self._ready = True
            print("ready", flush=True)
        if part == "stop" and self._orders.stop_at is None:
            self._orders = replace(self._orders, stop_at=sample.second + 1)
        if sample.phase == "drained":
            self._orders = replace(self._orders, leave=True)
        return self._orders


def play(base: str, agents: int, think_s: float, control: Path) -> None:
    """Play until the file says ``stop``; print the figures of each part, and of the whole, as JSON."""
    BEHAVIOURS["crowd"] = stroll  # as the others do, but nobody leaves its chunk
    plan = Plan(
        base=base,
        agents=agents,
        spectators=0,
        duration_s=0,
        scenario="crowd",
        seed=1,
        run_id=secrets.token_hex(3),
        ramp_s=0.0,
        side_by_side=16,
        think_s=think_s,
    )
    script = Script(control)
    uvloop.run(generate(plan, Share(0, 1, 0, agents, 0), script))
    totals = script.parts | {"whole": script.whole}
    print(json.dumps({name: figures_of(one, generators_failed=0) for name, one in totals.items()}), flush=True)


@dataclass
class Players:
    """The process of the agents."""

    process: asyncio.subprocess.Process
    control: Path

    @classmethod
    async def start(cls, base: str, agents: int, think_s: float, control: Path) -> Players:
        """Let all of them join."""
        words = ("--play", base, "--agents", str(agents), "--think", str(think_s), "--control", str(control))
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, *words, stdout=asyncio.subprocess.PIPE, limit=2**20
        )
        made = cls(process, control)
        assert await made.line() == "ready"
        return made

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    def now(self, part: str) -> None:
        """Say in which part of the run it is."""
        self.control.write_text(part)

    async def stop(self) -> dict[str, Figures]:
        """Let everybody end what they do, and leave."""
        self.now("stop")
        found: dict[str, Figures] = json.loads(await self.line())
        await self.process.wait()
        return found


# -- the world --


@dataclass
class World:
    """A world whose shards are asked directly."""

    settings: Settings
    redis: Redis
    actors: NamedActors

    async def loads(self) -> dict[int, ShardLoad]:
        """What each shard says it carries."""
        names = [shard_name(shard) for shard in SHARDS]
        described = await asyncio.gather(*(self.actors.call(name, CALL_S, WorldActor.describe) for name in names))
        return take_loads(dict(zip(names, described, strict=True)))

    async def crowd_one_shard(self) -> None:
        """Bring the first three chunks, which are the full ones, and one more to shard 0, all others to shard 1."""
        shards = connected_shards(self.actors)
        for chunk_id, owner in (await chunk_owners(self.redis)).items():
            to_shard = int(int(chunk_id.removeprefix("chunk-")) > CROWDED)
            if owner != to_shard:
                await shards.shard(owner, timeout_s=CALL_S).give(chunk_id, to_shard)

    async def balanced(self) -> list[MoveRecord]:
        """Wait until nothing has moved for a while; returns what has moved meanwhile."""
        began = last = time.monotonic()
        seen = len(await read_moves(self.redis))
        count = seen
        while time.monotonic() - last < CALM_S and time.monotonic() - began < BALANCED_WITHIN_S:
            await asyncio.sleep(0.5)
            now = len(await read_moves(self.redis))
            if now != count:
                count, last = now, time.monotonic()
        return (await read_moves(self.redis))[: count - seen]


async def look(world: World, players: Players, part: str, seconds: float) -> dict[int, dict[str, float]]:
    """Figures of both shards over so many seconds."""
    players.now(part)
    before = await world.loads()
    cpu = await cpu_seconds(world)
    await asyncio.sleep(seconds)
    after, used = await world.loads(), await cpu_seconds(world)
    return {
        shard: {
            "agents": after[shard].agents,
            "chunks": after[shard].chunks,
            "cpu": round((used[shard] - cpu[shard]) / seconds, 3),
            "timed_us": sum(chunk.cost_us for chunk in after[shard].costliest) + after[shard].rest_us,
            "tick_p99_ms": after[shard].tick_p99_ms,
            "lag_p99_ms": after[shard].lag_p99_ms,
            "ticks_skipped": after[shard].ticks_skipped - before[shard].ticks_skipped,
        }
        for shard in SHARDS
    }


async def cpu_seconds(world: World) -> dict[int, float]:
    """CPU seconds of each shard's process since it began."""
    found = {}
    for shard in SHARDS:
        pid = (await world.actors.call(shard_name(shard), CALL_S, WorldActor.describe))["pid"]
        used = psutil.Process(pid).cpu_times()
        found[shard] = used.user + used.system
    return found


async def measure(urls: ServiceUrls, given: argparse.Namespace, control: Path) -> dict[str, Any]:
    await upgrade(urls.database_url)
    settings = Settings(
        environment="test",
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        port=free_port(),
        shards=len(SHARDS),
        demo=False,
        drain_s=2,
        log_level="warning",
        spawn_chunk_capacity=-(-given.crowd // CROWDED),
    )
    deployment = await deploy.start(settings)
    redis = connect(settings.redis_url)
    world = World(settings, redis, NamedActors(settings.ray_namespace))
    try:
        for shard in SHARDS:
            await pin(redis, shard_name(shard))
        players = await Players.start(f"http://127.0.0.1:{settings.port}", given.agents, given.think, control)
        await world.crowd_one_shard()
        await asyncio.sleep(given.settle)
        found: dict[str, Any] = {"before": await look(world, players, "before", given.seconds)}
        players.now("between")
        began_ms = time.time() * 1000
        for shard in SHARDS:
            await unpin(redis, shard_name(shard))
        moves = await world.balanced()
        found["moves"] = [move.to_json() for move in reversed(moves)]
        found["took_s"] = round((max(move.at_ms for move in moves) - began_ms) / 1000, 1) if moves else None
        found["after"] = await look(world, players, "after", given.seconds)
        found["agents"] = await players.stop()
        dump = await read_dump(redis, await agents_in_world(redis))
        found["findings"] = [str(problem) for problem in check(dump)]
        return found
    finally:
        await deployment.stop()
        await redis.aclose()


def tell(found: dict[str, Any]) -> None:
    """Print it for people."""
    for part in ("before", "after"):
        for shard, one in found[part].items():
            print(
                f"{part:6} shard-{shard}: {one['agents']} agents in {one['chunks']} chunks, "
                f"{one['cpu'] * 100:.1f} % of a core, {one['timed_us'] / 1000:.1f} ms/s timed, "
                f"ticks p99 {one['tick_p99_ms']:.1f} ms, "
                f"late p99 {one['lag_p99_ms']:.1f} ms, {one['ticks_skipped']} skipped"
            )
        cpus = [one["cpu"] for one in found[part].values()]
        agents = found["agents"][part]
        print(
            f"{part:6} busiest / mean {max(cpus) / (sum(cpus) / len(cpus)):.2f}; agents: {agents['acks_per_s']:.0f} "
            f"commands/s, round trip p50 {agents['rtt_p50_ms']:.1f} p99 {agents['rtt_p99_ms']:.1f} ms, "
            f"gap between deltas p99 {agents['tick_gap_p99_ms']:.0f} ms"
        )
    for move in found["moves"]:
        print(
            f"moved  {move['chunk_id']} shard-{move['from_shard']} -> shard-{move['to_shard']}, stood still "
            f"{move['pause_ms']} ms ({move['why']}: {move['words']})"
        )
    print(f"from unpinning to the last move: {found['took_s']} s")
    whole = found["agents"]["whole"]
    refused = {
        name: count
        for name, count in whole.items()
        if count and name.startswith(("refused_", "failed_")) and name not in OF_THE_GAME
    }
    trouble = {name: whole[name] for name in TROUBLE if whole[name]}
    print(f"refused or failed but by the game's rules: {refused or 'nothing'}; trouble: {trouble or 'none'}")
    print(f"lost results: {whole['results_missing']:.0f}, doubled: {whole['results_twice']:.0f}")
    print(f"fsck: {found['findings'] or 'nothing wrong'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=300)
    parser.add_argument("--crowd", type=int, default=200, help="how many of them are in three chunks of one shard")
    parser.add_argument("--think", type=float, default=0.2, help="mean pause between two commands, seconds")
    parser.add_argument("--settle", type=float, default=15.0, help="seconds to wait before anything is measured")
    parser.add_argument("--seconds", type=float, default=30.0, help="seconds that are measured before and after")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--play", metavar="BASE", help=argparse.SUPPRESS)
    parser.add_argument("--control", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.play:
        play(given.play, given.agents, given.think, given.control)
        return
    with tempfile.TemporaryDirectory(prefix="ccbench-") as data, EmbeddedServices(Path(data)) as urls:
        control = Path(data) / "part"
        control.write_text("ramp")
        found = asyncio.run(measure(urls, given, control))
    if given.json:
        print(json.dumps(found))
    else:
        tell(found)


if __name__ == "__main__":
    main()

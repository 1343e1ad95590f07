"""A whole world under fire: real servers, Ray, gateways, agents of the SDK, and somebody who breaks things."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from chunkcrawl import Agent, Api
from chunkcrawl.bots.driver import AFTER_REFUSAL_S, act, drive
from chunkcrawl.bots.rules import Bot, GoldSeeker, Move, Wanderer
from chunkcrawl.errors import ChunkcrawlError, CommandDropped, CommandFailed, CommandRefused, OutcomeUnknown
from cluster import deploy
from cluster.actor_options import archiver_name
from cluster.configs import rules_of
from cluster.deploy import Deployment
from cluster.graph import chunk_names, entry_side
from cluster.peers import ShardUnavailable
from cluster.ray_clients import COORDINATOR, NamedActors, WorldActor
from config.settings import Settings
from embedded.children import free_port
from embedded.services import EmbeddedServices
from migrations.run import upgrade
from streaming import keys
from streaming.connect import as_text, connect
from streaming.entry import Entry
from tests.cluster.worlds import until, whole
from tests.streaming.writer import events_in
from world.terrain import make_terrain

CALL_S = 15.0
SETTLE_S = 60.0
FREEZE_S = 3.0
#: Share of the actions of a hurrying agent that its bot decides.
THINK = 0.05


@dataclass(slots=True)
class Ledger:
    """What the agents' streams have said, by command."""

    accepted: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    numbers: dict[str, int] = field(default_factory=dict)
    holes: list[str] = field(default_factory=list)

    def note(self, agent_id: str, event: Entry) -> None:
        """Count one event of an agent's stream; its numbers must be dense."""
        before, number = self.numbers.get(agent_id), event.id[0]
        if before is not None and number != before + 1:
            self.holes.append(f"{agent_id}: {number} after {before}")
        self.numbers[agent_id] = number
        payload = orjson.loads(event.payload)
        if event.kind == "command_ack" and payload["accepted"]:
            self.accepted[payload["server_cmd_id"]] += 1
        elif event.kind == "command_result":
            self.results[payload["server_cmd_id"]] += 1

    @property
    def unsettled(self) -> list[str]:
        """Accepted commands without exactly one ack and one result, and results of nothing."""
        ids = self.accepted.keys() | self.results.keys()
        return sorted(one for one in ids if (self.accepted[one], self.results[one]) != (1, 1))


async def hurry(agent: Agent, bot: Bot, rng: random.Random) -> None:
    """Play one step after the other without a pause, which makes as many commands as ticks allow."""
    while True:
        if not await agent.wait_until(lambda view: view.ready and view.me is not None, CALL_S):
            continue
        x, y = agent.view.position or (0, 0)
        near = [cell for cell in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)) if agent.view.is_free(*cell)]
        think = not near or rng.random() < THINK
        try:
            await act(agent, bot.decide(agent.view, rng) if think else Move(*rng.choice(near)))
        except (CommandRefused, CommandFailed, CommandDropped, OutcomeUnknown):
            await asyncio.sleep(rng.uniform(*AFTER_REFUSAL_S))


class Scene:
    """Everything of one run."""

    def __init__(self, services: EmbeddedServices, deployment: Deployment, redis: Redis, rng: random.Random) -> None:
        self.services = services
        self.deployment = deployment
        self.redis: Any = redis
        self.rng = rng
        self.seed = deployment.settings.world_seed
        self.ledger = Ledger()
        self.log: list[str] = []
        self.base = f"http://127.0.0.1:{deployment.settings.port}"
        self.actors = NamedActors(deployment.settings.ray_namespace)
        self.agents: list[Agent] = []
        self._began = time.monotonic()

    # -- playing --

    async def play(self, count: int, duration_s: float, hit_every_s: float) -> None:
        """Let ``count`` agents play for ``duration_s`` while something is hit every ``hit_every_s`` seconds."""
        async with self.playing(count):
            end = time.monotonic() + duration_s
            while time.monotonic() + hit_every_s < end:
                await asyncio.sleep(hit_every_s)
                await self._hit()
            await asyncio.sleep(max(0.0, end - time.monotonic()))

    @contextlib.asynccontextmanager
    async def playing(self, count: int, *, hurrying: bool = False) -> AsyncIterator[None]:
        """Let ``count`` agents play while the block runs; then wait until all that was accepted has its result.

        Args:
            hurrying: they play like ``hurry``.
        """
        async with Api(self.base) as api:
            account = await api.signup("chaos@example.com", "password-of-chaos")
            key = (await api.create_key(account.account_id, auth=account.account_token)).api_key
            reading = asyncio.create_task(self.read_streams())
            players = [asyncio.create_task(self._player(api, key, number, hurrying)) for number in range(count)]
            yield
            await until(self.ready, "the world is ready again", SETTLE_S)
            for player in players:
                player.cancel()
            outcomes = await asyncio.gather(*players, return_exceptions=True)
            self.log += [repr(one) for one in outcomes if not isinstance(one, asyncio.CancelledError)]
            await until(self.settled, "every accepted command has its result", SETTLE_S)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _player(self, api: Api, key: str, number: int, hurrying: bool) -> None:
        rng = random.Random(self.rng.random())
        bot: Bot = GoldSeeker() if number % 3 == 0 else Wanderer(cross=0.4, chat=0.05)
        play = hurry if hurrying else drive
        while True:
            agent = Agent.connect(self.base, agent_id=f"chaos-{number}", api_key=key, api=api, rng=rng)
            try:
                async with agent:
                    await play(agent, bot, rng)
            except ChunkcrawlError as error:
                self._say(f"chaos-{number} starts again: {error!r}")
                await asyncio.sleep(rng.uniform(0.5, 1.5))

    async def settled(self) -> bool:
        """Every accepted command has its one result."""
        return not self.ledger.unsettled and bool(self.ledger.accepted)

    async def ready(self) -> bool:
        """Some gateway says that the world can serve."""
        async with httpx.AsyncClient(timeout=3) as http:
            try:
                return (await http.get(f"{self.base}/readyz")).status_code == 200
            except httpx.HTTPError:
                return False

    async def read_streams(self) -> None:
        """Follow every agent's stream from its beginning, over lost connections."""
        while True:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._read_once()
            await asyncio.sleep(0.2)

    async def _read_once(self) -> None:
        found = {as_text(key).removeprefix(keys.AGENT_STREAM_PREFIX) for key in await self.redis.keys("stream:agent:*")}
        pipe = self.redis.pipeline(transaction=False)
        names = sorted(found)
        for name in names:
            pipe.xrange(keys.agent_stream(name), min=f"({self.ledger.numbers.get(name, 0)}-0", count=500)
        for name, entries in zip(names, await pipe.execute(), strict=True):
            for event in events_in(keys.agent_stream(name), entries):
                self.ledger.note(name, event)

    # -- breaking --

    async def _hit(self) -> None:
        kinds: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("shard", self._kill_shard),
            ("shard", self._kill_shard),
            ("gateway", self._kill_gateway),
            ("coordinator", self._kill_coordinator),
            ("recorder", self._kill_recorder),
            ("freeze", self._freeze_valkey),
            ("valkey", self._kill_valkey),
        ]
        name, hit = self.rng.choice(kinds)
        self._say(f"hits {name}")
        try:
            await hit()
        except (ShardUnavailable, ProcessLookupError) as error:
            self._say(f"missed: {error!r}")

    async def owner(self, chunk_id: str) -> int:
        """The shard that owns a chunk."""
        return int(await self.redis.hget(keys.chunk(chunk_id), "shard"))

    async def kill_actor(self, name: str) -> None:
        """SIGKILL for an actor's process."""
        described = await self.actors.call(name, CALL_S, WorldActor.describe)
        os.kill(described["pid"], signal.SIGKILL)
        self._say(f"killed {name}")

    async def _kill_shard(self) -> None:
        await self.kill_actor(f"shard-{self.rng.randrange(self.deployment.settings.shards)}")

    async def _kill_gateway(self) -> None:
        await self.kill_actor(f"gateway-{self.rng.randrange(self.deployment.settings.gateways)}")

    async def _kill_coordinator(self) -> None:
        await self.kill_actor(COORDINATOR)

    async def _kill_recorder(self) -> None:
        await self.kill_actor(archiver_name(0))

    async def _freeze_valkey(self) -> None:
        await self.freeze_valkey(FREEZE_S)

    async def freeze_valkey(self, seconds: float) -> None:
        """Let Valkey stand still."""
        pid = self._valkey().pid
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    async def _kill_valkey(self) -> None:
        await self.kill_valkey(lambda: None)

    async def kill_valkey(self, meanwhile: Callable[[], None]) -> None:
        """SIGKILL for Valkey; ``meanwhile`` may do something to its files before it is started again."""
        valkey = self._valkey()
        valkey.kill()
        await asyncio.sleep(0.5)
        meanwhile()
        # In this thread: the server ends with the thread that started it.
        self.services.revive()

    def _valkey(self) -> psutil.Process:
        """The scene's own server; other tests of this process may have one too."""
        port = urlsplit(self.deployment.settings.redis_url).port
        servers = [child for child in psutil.Process().children() if child.name() == "valkey-server"]
        return next(one for one in servers if port in {line.laddr.port for line in one.net_connections("tcp")})

    def _say(self, line: str) -> None:
        self.log.append(f"{time.monotonic() - self._began:6.1f} {line}")

    # -- looking --

    async def findings(self) -> list[str]:
        """What the checker finds in the settled world."""
        names: set[str] = set()
        for chunk in await self.chunks():
            names.update(as_text(name) for name in await self.redis.smembers(keys.members(chunk)))
        return [str(finding) for finding in await whole(self.redis, sorted(names))]

    async def gold(self) -> tuple[int, int]:
        """(gold that the chunks were made with, gold in nodes and with agents now); nothing regenerates here."""
        rules = rules_of(self.deployment.settings)
        seed = self.deployment.settings.world_seed
        made = there = 0
        for chunk in await self.chunks():
            fields = await self.redis.hgetall(keys.chunk(chunk))
            terrain = make_terrain(seed, int(fields[b"number"]), entry_side(fields[b"entry"]), rules)
            made += sum(node.max_remaining for node in terrain.nodes)
            state = orjson.loads(fields[b"state"]) if b"state" in fields else {}
            nodes = state.get("nodes") or [{"remaining": node.max_remaining} for node in terrain.nodes]
            there += sum(node["remaining"] for node in nodes)
        async for key in self.redis.scan_iter("agent:*"):
            record = await self.redis.hget(as_text(key), "rec")
            there += orjson.loads(record)["gold"] if record else 0
        return made, there

    async def chunks(self) -> list[str]:
        """All chunks of the world."""
        return list(await chunk_names(self.redis))


@contextlib.asynccontextmanager
async def scene(
    services: EmbeddedServices, seed: int, *, shards: int, gateways: int, **other_settings: Any
) -> AsyncIterator[Scene]:
    """A running world; ``services`` must have been started in this thread."""
    urls = services.start()
    await upgrade(urls.database_url)
    settings = Settings(
        environment="test",
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        port=free_port(),
        shards=shards,
        gateways=gateways,
        world_seed=seed,
        regen_ticks=0,
        collect_idle_s=3_600,
        demo=False,
        drain_s=1,
        log_level="warning",
        data_dir=str(services.data_dir),
        recording_segment_s=10,
        **other_settings,
    )
    deployment = await deploy.start(settings)
    redis = connect(settings.redis_url)
    try:
        yield Scene(services, deployment, redis, random.Random(seed))
    finally:
        await redis.aclose()
        await deployment.stop()


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A short directory for the servers' data."""
    return tempfile.TemporaryDirectory(prefix="ccchaos-")


def services_in(directory: str) -> EmbeddedServices:
    """Servers with their append-only file on, as in production."""
    return EmbeddedServices(Path(directory))


def describe(found: dict[str, Any]) -> str:
    """A report of a run."""
    return "\n".join(f"{name}: {value}" for name, value in found.items())

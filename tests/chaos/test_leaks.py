"""Thousands who come and leave early at a real gateway: afterwards it is as it was (pitfall B04).

Spectators who reset the connection at any moment of the handshake, readers who leave after the first event, owners
whose agent crosses chunks meanwhile, and three rounds of two thousand agents.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import picows
import pytest

from chunkcrawl import Agent, Api
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import Wanderer
from chunkcrawl.errors import ChunkcrawlError
from chunkcrawl.transport.http import NO_LIMIT, Session, bearer, websocket_url
from streaming.connect import POOL_SIZE
from tests.chaos.scene import Scene, scene, scratch, services_in
from tests.cluster.worlds import until

TIMES = 1_000
AGENTS = 2_000
ROUNDS = 3
IDLE_S = 5.0
AT_ONCE = 20
SLACK = 5  # tasks, files and connections that may come and go by themselves
# Connections to Valkey, once made, are kept: in a pool each of the gateway, two shards, coordinator and archiver.
GATEWAY_POOL = POOL_SIZE
ALL_POOLS = GATEWAY_POOL + 4 * POOL_SIZE
# The test's own HTTP clients keep connections between two requests for longer than it looks.
KEPT_ALIVE = NO_LIMIT.max_keepalive_connections or 0
GROWTH = 1.10

SPECTATE = "/v1/spectate/{}?chunk_id=chunk-0"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@dataclass(frozen=True)
class Held:
    """What a gateway holds."""

    connections: int
    tasks: int
    files: int
    redis_clients: int
    redis_channels: int
    memory: int


async def held(stage: Scene) -> Held:
    """Read it off the metrics page and Valkey."""
    async with httpx.AsyncClient(base_url=stage.base, timeout=10) as http:
        page = (await http.get("/metrics")).text

    def figure(name: str) -> int:
        found = re.findall(rf"^{name}\{{[^}}]*gateway-0[^}}]*\}} (\S+)$", page, re.MULTILINE)
        assert found, f"no {name} on the page"
        return int(sum(map(float, found)))

    connections = re.findall(r"^connections\{[^}]*\} (\S+)$", page, re.MULTILINE)
    return Held(
        int(sum(map(float, connections))),
        figure("process_asyncio_tasks"),
        figure("process_open_fds"),
        len(await stage.redis.client_list()),
        len(await stage.redis.pubsub_channels()),
        figure("process_resident_memory_bytes"),
    )


async def settled_as(stage: Scene, before: Held) -> Held:
    """Wait until the gateway holds what it held before; memory apart."""
    last: list[Held] = []

    async def back() -> bool:
        now = await held(stage)
        last[:] = [now]
        pairs = [
            (now.tasks, before.tasks),
            (now.files, before.files + GATEWAY_POOL + KEPT_ALIVE),
            (now.redis_clients, before.redis_clients + ALL_POOLS),
            (now.redis_channels, before.redis_channels),
        ]
        return now.connections == 0 and all(new <= old + SLACK for new, old in pairs)

    try:
        await until(back, "as before")
    except AssertionError:
        raise AssertionError(f"before: {before}, now: {last[0]}") from None
    return last[0]


async def many(times: int, once: Callable[[int], Awaitable[None]]) -> None:
    """Run ``once`` so many times, a few at a time."""
    numbers = iter(range(times))

    async def worker() -> None:
        for number in numbers:
            await once(number)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def reset_early(stage: Scene, token: str, path: str, delay_s: float, *, upgrade: bool) -> None:
    """Ask for a stream or socket and reset the connection at once or a moment later."""
    _, writer = await asyncio.open_connection("127.0.0.1", stage.deployment.settings.port)
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    headers = f"Host: x\r\nAuthorization: Bearer {token}\r\n" + (UPGRADE if upgrade else "")
    writer.write(f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode())
    await asyncio.sleep(delay_s)
    writer.transport.abort()


async def read_one_event(http: httpx.AsyncClient, path: str, token: str) -> None:
    """Open an event stream, read its first event and leave."""
    async with http.stream("GET", path, headers=bearer(token)) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                assert line == "event: session_ready"
                return
    raise AssertionError("no event")


class Deaf(picows.WSListener):
    """An agent that hears nothing of what it is told, and answers pings."""


async def agents_round(stage: Scene, sessions: dict[str, Session]) -> None:
    """All of them connect, idle, and close."""
    open_: list[picows.WSTransport] = []

    async def connect(agent_id: str, session: Session) -> None:
        url = websocket_url(stage.base, "/v1/agent/ws", {"agent_id": agent_id})
        headers = bearer(session.session_token)
        transport, _ = await picows.ws_connect(Deaf, url, extra_headers=headers, enable_auto_pong=True)
        open_.append(transport)

    pairs = list(sessions.items())
    await many(len(pairs), lambda number: connect(*pairs[number]))
    assert (await held(stage)).connections == len(pairs)
    await asyncio.sleep(IDLE_S)
    assert (await held(stage)).connections == len(pairs), "nobody was cut off"
    for transport in open_:
        transport.disconnect()


@asynccontextmanager
async def crossing(stage: Scene, api: Api, key: str, agent_id: str) -> AsyncIterator[None]:
    """An agent that walks from chunk to chunk meanwhile."""
    async with Agent.connect(stage.base, agent_id=agent_id, api_key=key, api=api) as agent:
        playing = asyncio.create_task(drive(agent, Wanderer(cross=1.0), random.Random(stage.seed)))
        yield
        playing.cancel()
        with suppress(asyncio.CancelledError, ChunkcrawlError):
            await playing


async def watchers(stage: Scene, api: Api, key: str, rng: random.Random) -> None:
    """Parts (a), (b) and (c) of the scenario."""
    spectator = (await api.open_session(key, "spectator")).session_token
    owner = (await api.open_session(key, "owner_spectator", "walker")).session_token
    own = "/v1/owner/{}?agent_id=walker"
    for token, paths in ((spectator, SPECTATE), (owner, own)):
        for kind in ("stream", "ws"):

            async def reset(
                _: int, token: str = token, path: str = paths.format(kind), ws: bool = kind == "ws"
            ) -> None:
                await reset_early(stage, token, path, rng.uniform(0, 0.03), upgrade=ws)

            await many(TIMES, reset)
    async with httpx.AsyncClient(
        base_url=stage.base, timeout=20, limits=httpx.Limits(max_keepalive_connections=0)
    ) as http:
        for token, paths in ((spectator, SPECTATE), (owner, own)):
            path = paths.format("stream")

            async def read(_: int, token: str = token, path: str = path) -> None:
                await read_one_event(http, path, token)

            await many(TIMES, read)


async def run() -> list[Held]:
    rng = random.Random(4)
    with scratch() as directory:
        services = services_in(directory)
        try:
            async with scene(services, 4, shards=2, gateways=1) as stage, Api(stage.base) as api:
                account = await api.signup("leaks@example.com", "password-of-leaks")
                key = (await api.create_key(account.account_id, auth=account.account_token)).api_key
                async with crossing(stage, api, key, "walker"):
                    pass  # what is made on first use is there
                before = await held(stage)
                async with crossing(stage, api, key, "walker"):
                    await watchers(stage, api, key, rng)
                found = [before, await settled_as(stage, before)]
                names = [f"idler-{number}" for number in range(AGENTS)]
                sessions: dict[str, Session] = {}

                async def open_session(number: int) -> None:
                    sessions[names[number]] = await api.open_session(key, "agent", names[number])

                await many(AGENTS, open_session)
                for _ in range(ROUNDS):
                    await agents_round(stage, sessions)
                    found.append(await settled_as(stage, before))
                async with crossing(stage, api, key, "walker"):
                    pass  # the next one comes in
                return found
        finally:
            services.stop()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whoever_comes_and_goes_leaves_nothing() -> None:
    before, after_watchers, *rounds = asyncio.run(run())
    print(before, after_watchers, *rounds, sep="\n")
    assert rounds[-1].memory <= rounds[0].memory * GROWTH

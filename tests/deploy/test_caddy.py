"""Event streams and sockets through the Caddy of compose, in front of a world that runs."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import websockets

from chunkcrawl import Agent
from chunkcrawl.embedded import EmbeddedWorld
from chunkcrawl.errors import ChunkcrawlError
from embedded.children import free_port
from tests.deploy.conftest import METRICS_TOKEN

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
SPECTATOR = {"Authorization": "Bearer test-spectator-token"}
#: What a delta may take from its tick to the reader (docs/protocol.md has 5 ticks a second).
LATE_MOST_S = 0.4


@dataclass
class Front:
    """Where Caddy listens."""

    base: str
    metrics: str

    @property
    def ws_base(self) -> str:
        return self.base.replace("http://", "ws://")


@pytest.fixture(scope="module")
def front(world: EmbeddedWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Caddy with deploy/Caddyfile, the names in it set as compose sets them, but for this machine alone."""
    gateway = urlsplit(world.base)
    site, metrics, home = free_port(), free_port(), tmp_path_factory.mktemp("caddy")
    environment = os.environ | {
        "CHUNKCRAWL_SITE": f"http://127.0.0.1:{site}",
        "CHUNKCRAWL_METRICS": f"127.0.0.1:{metrics}",
        "CHUNKCRAWL_GATEWAY": str(gateway.hostname),
        "CHUNKCRAWL_GATEWAY_PORT": str(gateway.port),
        "XDG_DATA_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
    }
    config = home / "Caddyfile"
    own = (ROOT / "deploy" / "Caddyfile").read_text()
    assert own.count("admin off\n") == 1
    config.write_text(own.replace("admin off\n", "admin off\n\tdefault_bind 127.0.0.1\n"))
    caddy = os.environ.get("CADDY", str(Path(sys.executable).with_name("caddy")))
    argv = [caddy, "run", "--config", str(config), "--adapter", "caddyfile"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
    found = Front(f"http://127.0.0.1:{site}", f"http://127.0.0.1:{metrics}")
    try:
        wait_for(f"{found.base}/readyz", process, home / "log")
        yield found
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@asynccontextmanager
async def events(
    url: str, **headers: str
) -> AsyncIterator[tuple[httpx.Response, AsyncIterator[tuple[dict[str, str], float]]]]:
    """An SSE stream: the response, and blocks as they come with the moment (Unix time) of their arrival."""
    async with (
        httpx.AsyncClient(timeout=httpx.Timeout(10, read=30)) as http,
        http.stream("GET", url, headers=SPECTATOR | {"Accept-Encoding": "gzip, br"} | headers) as response,
    ):

        async def blocks() -> AsyncIterator[tuple[dict[str, str], float]]:
            block: dict[str, str] = {}
            async for line in response.aiter_lines():
                if not line:
                    if "data" in block:
                        yield block, time.time()
                    block = {}
                    continue
                name, _, value = line.partition(": ")
                block[name] = value

        yield response, blocks()


@asynccontextmanager
async def walker(front: Front, world: EmbeddedWorld, agent_id: str) -> AsyncIterator[Agent]:
    """An agent that walks to and fro in chunk-0, through Caddy like everybody."""
    async with Agent.connect(front.base, agent_id=agent_id, api_key=world.key) as me:

        async def pace() -> None:
            for step in itertools.count():
                with suppress(ChunkcrawlError):  # others stand in the hall too
                    await me.move_to(16 + step % 18, 33 if step % 2 else 17)
                await asyncio.sleep(0.05)

        task = asyncio.create_task(pace())
        try:
            yield me
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def lateness(event: dict[str, Any], arrived: float) -> float:
    sent: float = event["server_ts_ms"] / 1000
    return arrived - sent


async def test_a_stream_is_neither_held_back_nor_compressed(front: Front, world: EmbeddedWorld) -> None:
    """Pitfall B05."""
    asked = time.time()
    async with events(f"{front.base}/v1/spectate/stream?chunk_id=chunk-0") as (response, blocks):
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in response.headers
        assert response.headers["x-accel-buffering"] == "no"
        assert "no-cache" in response.headers["cache-control"]
        kinds, late = [], []
        async with walker(front, world, "caddy-sse"):
            async for block, arrived in blocks:
                kinds.append(block["event"])
                if block["event"] == "session_ready":
                    assert arrived - asked < 5
                if block["event"] == "chunk_delta" and len(kinds) > 4:
                    late.append(lateness(json.loads(block["data"]), arrived))
                if len(late) == 40:
                    break
    assert kinds[:2] == ["session_ready", "chunk_static"]
    # One that holds events back until a buffer is full makes all of them late, not one.
    assert statistics.median(late) < LATE_MOST_S, late


async def test_a_reader_resumes_through_it_where_it_was(front: Front, world: EmbeddedWorld) -> None:
    url = f"{front.base}/v1/spectate/stream?chunk_id=chunk-0"
    async with walker(front, world, "caddy-resume"):
        async with events(url) as (_, blocks):
            seen = [block["id"] async for block in with_id(blocks, 6)]
        async with events(url, **{"Last-Event-ID": seen[-3]}) as (_, blocks):
            again = [block["id"] async for block in with_id(blocks, 3)]
    assert again[:2] == seen[-2:]


async def with_id(blocks: AsyncIterator[tuple[dict[str, str], float]], count: int) -> AsyncIterator[dict[str, str]]:
    """The first ``count`` that can be resumed from."""
    async for block, _ in blocks:
        if "id" in block:
            yield block
            count -= 1
        if not count:
            return


async def test_an_agent_plays_through_it(front: Front, world: EmbeddedWorld) -> None:
    async with Agent.connect(front.base, agent_id="caddy-agent", api_key=world.key) as me:
        reached = []
        for x in range(16, 34):
            with suppress(ChunkcrawlError):
                await me.move_to(x, 28)
                assert me.position == (x, 28)
                reached.append(x)
        assert len(reached) > 5


async def test_a_spectators_socket_is_not_held_back(front: Front, world: EmbeddedWorld) -> None:
    url = f"{front.ws_base}/v1/spectate/ws?chunk_id=chunk-0"
    async with websockets.connect(url, additional_headers=SPECTATOR) as socket_, walker(front, world, "caddy-ws"):
        late: list[float] = []
        while len(late) < 40:
            message = json.loads(await asyncio.wait_for(socket_.recv(), 20))
            if message["type"] == "chunk_delta":
                late.append(lateness(message, time.time()))
    # The first ones are of the present state.
    assert statistics.median(late) < LATE_MOST_S, late


async def test_a_refused_handshake_says_why(front: Front) -> None:
    url = f"{front.ws_base}/v1/agent/ws?agent_id=nobody"
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(url, additional_headers={"Authorization": "Bearer sess_none"}):
            pass
    assert refused.value.response.status_code == 401


async def test_metrics_stay_inside_and_want_their_token(front: Front) -> None:
    async with httpx.AsyncClient() as http:
        for path in ("/metrics", "/metrics/", "/metrics/x", "//metrics", "/%6detrics"):
            answer = await http.get(front.base + path)
            assert answer.status_code == 404, path
            assert "challenge_issued_total" not in answer.text
        assert (await http.get(f"{front.metrics}/metrics")).status_code == 401
        token = {"Authorization": f"Bearer {METRICS_TOKEN}"}
        page = await http.get(f"{front.metrics}/metrics", headers=token)
        assert page.status_code == 200
        assert "\nmetrics_gathered 1\n" in page.text
        assert (await http.get(f"{front.metrics}/readyz")).status_code == 404
        assert (await http.get(f"{front.metrics}/healthz")).status_code == 200

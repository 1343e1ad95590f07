"""A world in this process with two gateways over it, and an account with a key, for models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from cluster.local import LocalWorld
from cluster.shard.config import ShardConfig
from config.settings import Settings
from streaming.connect import connect
from tests.api.gates import Gate, running
from tests.api.people import keyed, signed_up

mcp = pytest.importorskip("mcp")
httpx2 = pytest.importorskip("httpx2")


@pytest.fixture
async def settings(fresh_postgres_url: str, valkey_url: str) -> Settings:
    return Settings(environment="test", database_url=fresh_postgres_url, redis_url=valkey_url)


@pytest.fixture
async def gates(settings: Settings, redis: Redis, valkey_url: str) -> AsyncIterator[list[Gate]]:
    """Two gateways; the world's time goes ten times as fast."""
    client = connect(valkey_url)
    async with LocalWorld(client, shards=2, config=ShardConfig(tick_hz=50.0)) as world, AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(settings, world.router)) for _ in range(2)]
    await client.aclose()


@pytest.fixture
async def key(gates: list[Gate]) -> str:
    return await new_key(gates[0])


async def new_key(gate: Gate) -> str:
    async with httpx.AsyncClient(base_url=gate.base) as http:
        found: str = (await keyed(http, await signed_up(http)))["api_key"]
    return found


class Line:
    """Where a model's requests go; ``to`` may change between two of them, as behind a balancer."""

    def __init__(self, gate: Gate) -> None:
        self.to = gate


class _Balanced(httpx2.AsyncBaseTransport):  # type: ignore[name-defined,misc]
    def __init__(self, line: Line) -> None:
        self._line = line
        self._inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: Any) -> Any:
        request.url = request.url.copy_with(port=self._line.to.port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def model(line: Line, key: str, mode: str = "legacy") -> AsyncIterator[Any]:
    """A client of the MCP SDK, as a model's host has one."""
    from mcp.client.streamable_http import streamable_http_client

    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=_Balanced(line), headers=headers, timeout=60) as http:
        transport = streamable_http_client(f"{line.to.base}/mcp", http_client=http)
        async with mcp.Client(transport, mode=mode) as client:
            yield client


async def told(client: Any, tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """Text and fields of a tool's answer."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    return result.content[0].text, result.structured_content

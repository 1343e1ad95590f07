"""The tools for language models, called as a model's host would: over the MCP SDK's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from client import Agent
from client.hints import HINTS
from client.toolbox import Toolbox
from tests.client.builders import delta
from tests.client.fake_server import FakeServer, Speaker

mcp = pytest.importorskip("mcp")


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().running() as running:
        yield running


def agent(server: FakeServer, retries: int = 0) -> Agent:
    return Agent.connect(server.base, agent_id="scout", api_key="dcw_good", api=server.api(), retries=retries)


async def call(host: object, tool: str, **arguments: object) -> tuple[str, bool]:
    result = await host.call_tool(tool, arguments)  # type: ignore[attr-defined]
    return result.content[0].text, bool(result.is_error)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_model_looks_walks_and_talks(server: FakeServer, mode: str) -> None:
    from client.mcp import create_server

    async with agent(server) as me, mcp.Client(create_server(me), mode=mode) as host:
        tools = {tool.name for tool in (await host.list_tools()).tools}
        assert tools == {"observe", "move_to", "say", "harvest", "wait_for_events"}
        assert (await call(host, "observe"))[0].startswith("You are scout at 1,1 in chunk-0")
        assert await call(host, "move_to", x=3, y=3) == ("You are at 3,3 in chunk-0.", False)
        assert await call(host, "say", text="hello") == ("Said in chunk-0.", False)
    assert [cmd["type"] for cmd in server.commands] == ["move_to", "say"]


async def test_refusals_come_as_text_with_the_remedy(server: FakeServer) -> None:
    from client.mcp import create_server

    async with agent(server) as me, mcp.Client(create_server(me)) as host:
        server.faults = ["block", "mute"]
        text, is_error = await call(host, "move_to", x=3, y=3)
        assert text == f"blocked: {HINTS['blocked']} Blocked at 3,3 by other."
        assert not is_error
        text, _ = await call(host, "say", text="hello")
        assert text == f"rate_limited: {HINTS['rate_limited']} Try again in 600000 ms."


async def test_wrong_arguments_are_refused_before_they_reach_the_world(server: FakeServer) -> None:
    from client.mcp import create_server

    async with agent(server) as me, mcp.Client(create_server(me)) as host:
        for tool, arguments in (
            ("move_to", {"x": "east", "y": 1}),
            ("observe", {"budget_tokens": 100_000}),
            ("wait_for_events", {"seconds": 3600}),
            ("say", {}),
        ):
            assert (await call(host, tool, **arguments))[1]
    assert server.commands == []


async def test_a_harvest_that_lasts_is_left_running_and_the_next_command_goes_through(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.toolbox.HARVEST_WAIT_S", 0.2)
    async with agent(server) as me, Toolbox(me) as tools:
        assert (await tools.harvest("g-1")).startswith("Still harvesting g-1")
        assert await tools.move_to(2, 2) == "You are at 2,2 in chunk-0."


async def test_news_are_told_once_and_without_control_characters(server: FakeServer) -> None:
    async with agent(server) as me, Toolbox(me) as tools:
        assert await tools.wait_for_events(0.0) == "Nothing happened in 0 s."
        said = {"type": "chat", "from": "bob", "text": "hi\x1b[2J\nthere" + "x" * 500}
        came = {"type": "agent_joined", "agent_id": "bob"}
        frame = delta(server.tick + 1, ("scout", 1, 1), events=[came, said, {"type": "new_thing"}])
        waiting = asyncio.create_task(tools.wait_for_events(5.0))
        await asyncio.sleep(0)
        await Speaker(server, server.sockets[0], "ch_1", "jti_1").say("chunk_delta", frame)
        news = await waiting
        assert news.splitlines()[0] == "bob came."
        assert news.splitlines()[1].startswith("Heard bob: hi [2J there")
        assert len(news) < 300
        assert await tools.wait_for_events(0.0) == "Nothing happened in 0 s."
        assert "Heard: bob" in await tools.observe()


async def test_a_lost_agent_is_told_as_text(server: FakeServer) -> None:
    async with agent(server) as me, Toolbox(me) as tools:
        await server.sockets[0].close(4001)
        assert (await tools.move_to(2, 2)).startswith("taken_over: Another client plays")

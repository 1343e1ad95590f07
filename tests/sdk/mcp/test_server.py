"""The tools for language models, called as a model's host would: over the MCP SDK's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import pytest

from chunkcrawl import Agent
from chunkcrawl.mcp.hints import HINTS
from chunkcrawl.mcp.toolbox import TOOLS, Toolbox
from tests.sdk.builders import delta
from tests.sdk.fake_server import FakeServer, Speaker

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
    from chunkcrawl.mcp.server import create_server

    async with agent(server) as me, mcp.Client(create_server(me), mode=mode) as host:
        tools = {tool.name for tool in (await host.list_tools()).tools}
        assert tools == TOOLS
        assert (await call(host, "observe"))[0].startswith("You are scout at 1,1 in chunk-0")
        assert await call(host, "move_to", x=3, y=3) == ("You are at 3,3 in chunk-0.", False)
        assert await call(host, "say", text="hello") == ("Said in chunk-0.", False)
    assert [cmd["type"] for cmd in server.commands] == ["move_to", "say"]


async def test_refusals_come_as_text_with_the_remedy(server: FakeServer) -> None:
    from chunkcrawl.mcp.server import create_server

    async with agent(server) as me, mcp.Client(create_server(me)) as host:
        server.faults = ["block", "mute"]
        text, is_error = await call(host, "move_to", x=3, y=3)
        assert text == f"blocked: {HINTS['blocked']} Blocked at 3,3 by other."
        assert not is_error
        text, _ = await call(host, "say", text="hello")
        assert text == f"muted: {HINTS['muted']} Try again in 600000 ms."


async def test_banned_words_are_called_that_with_what_they_cost(server: FakeServer) -> None:
    server.faults = ["ban", "ban"]
    async with agent(server) as me, Toolbox(me) as tools:
        texts = [await tools.say("badword") for _ in range(2)]
    assert texts[0] == f"banned_words: {HINTS['banned_words']} Mind: 1 more such message mutes this agent."
    assert texts[1].endswith("Mind: this agent is muted now, for 600 s.")


async def test_what_is_in_the_way_is_named(server: FakeServer) -> None:
    async with agent(server) as me, Toolbox(me) as tools:
        server.faults = ["occupied", "unreachable"]
        text = await tools.move_to(3, 3)
        assert text == f"unreachable: bob stands on 3,3. {HINTS['unreachable']}"
        assert (await tools.move_to(4, 4)).startswith("unreachable: 4,4 is a wall. "), "of a server that says nothing"


async def test_wrong_arguments_are_refused_before_they_reach_the_world(server: FakeServer) -> None:
    from chunkcrawl.mcp.server import create_server

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
    monkeypatch.setattr("chunkcrawl.mcp.toolbox.COMMAND_WAIT_S", 0.4)
    async with agent(server) as me, Toolbox(me) as tools:
        assert (await tools.harvest("g-1")).startswith("still_running: Waited for 0.4 s; the harvest of g-1")
        assert await tools.move_to(2, 2) == "You are at 2,2 in chunk-0."
        server.harvest_ends.set()
        async with asyncio.timeout(5):
            while "The harvest of g-1 has reached its end, and took 4." not in (
                news := await tools.wait_for_events(1.0)
            ):
                assert "Nothing" not in news


async def test_harvests_side_by_side_answer_both(server: FakeServer) -> None:
    """The second one ends the first, as in the world; neither call may be left without an answer."""
    async with agent(server) as me, Toolbox(me) as tools:
        first = asyncio.create_task(tools.harvest("g-1"))
        await me.wait_until(lambda _: bool(server.commands), 5)
        second = asyncio.create_task(tools.harvest("g-2"))
        await me.wait_until(lambda _: len(server.commands) == 2, 5)
        server.harvest_ends.set()
        async with asyncio.timeout(5):
            texts = await asyncio.gather(first, second)
    assert [text.split(" ")[0] for text in texts] == ["g-1", "g-2"]


async def test_a_cancelled_call_is_not_carried_out_later(server: FakeServer) -> None:
    from chunkcrawl.mcp.server import create_server

    server.faults = ["silent"]
    async with agent(server) as me, mcp.Client(create_server(me)) as host:
        walk = asyncio.create_task(call(host, "move_to", x=3, y=3))
        await me.wait_until(lambda _: not server.faults, 5)
        walk.cancel()
        await asyncio.gather(walk, return_exceptions=True)
        assert (await call(host, "say", text="hello"))[0] == "Said in chunk-0."
    assert [cmd["type"] for cmd in server.commands] == ["say"]


@pytest.mark.parametrize(("stands", "stays"), [((1, 1), (1, 1)), ((0, 2), (1, 2))], ids=["inside", "on an exit"])
async def test_a_cancelled_harvest_lets_the_agent_stand_still(
    server: FakeServer, stands: tuple[int, int], stays: tuple[int, int]
) -> None:
    from chunkcrawl.mcp.server import create_server

    server.cell = stands
    async with agent(server) as me, mcp.Client(create_server(me)) as host:
        dig = asyncio.create_task(call(host, "harvest", node_id="g-1"))
        await me.wait_until(lambda _: bool(server.commands), 5)
        dig.cancel()
        await asyncio.gather(dig, return_exceptions=True)
        assert await me.wait_until(lambda _: len(server.commands) == 2, 5)
    assert server.commands[1] == {"type": "move_to", "x": stays[0], "y": stays[1]}


async def test_answers_come_once_and_the_version_is_told(server: FakeServer) -> None:
    from chunkcrawl.mcp.server import create_server

    async with agent(server) as me, mcp.Client(create_server(me), mode="legacy") as host:
        result = await host.call_tool("observe", {})
        assert len(result.content) == 1
        assert result.structured_content == {"ok": True, "reason": "ok", "chunk_id": "chunk-0", "x": 1, "y": 1}
        assert result.content[0].text not in str(result.structured_content), "the text comes once"
        assert host.server_info.version == version("chunkcrawl")


async def test_two_clients_share_the_news_and_one_that_leaves_takes_nothing_along(server: FakeServer) -> None:
    from chunkcrawl.mcp.server import create_server

    async with agent(server) as me:
        shared = create_server(me)
        async with mcp.Client(shared) as staying:
            async with mcp.Client(shared) as leaving:
                await call(leaving, "observe")
            await Speaker(server, server.sockets[0], "ch_1", "jti_1").say("chunk_delta", said_by_bob(server, "hi"))
            assert "Heard bob: hi" in (await call(staying, "wait_for_events", seconds=5))[0]


async def test_talk_is_not_lost_among_the_many_lines_of_harvests(server: FakeServer) -> None:
    async with agent(server) as me, Toolbox(me) as tools:
        line = Speaker(server, server.sockets[0], "ch_1", "jti_1")
        await line.say("chunk_delta", said_by_bob(server, "is anybody here?"))
        for number in range(300):
            server.tick += 1
            took = {"type": "resource_harvest", "node_id": f"n-{number % 3}", "by": "eve", "amount": 1}
            mine = {"type": "resource_harvest", "node_id": "n-9", "by": "scout", "amount": 1}
            await line.say("chunk_delta", delta(server.tick, ("scout", 1, 1), events=[took, mine]))
        assert await me.wait_until(lambda view: view.tick == server.tick, 10)
        lines = (await tools.wait_for_events(5.0)).splitlines()
    assert lines[0] == "Heard bob: is anybody here?"
    assert sorted(lines[1:]) == ["You took 300 gold from n-9.", *(f"eve took 100 gold from n-{n}." for n in range(3))]


# -- what is old is called so --


async def test_a_view_that_another_client_has_taken_over_says_so_first(server: FakeServer) -> None:
    async with agent(server) as me, Toolbox(me) as tools:
        waiting = asyncio.create_task(tools.wait_for_events(30.0))
        await asyncio.sleep(0)
        await server.sockets[0].close(4001)
        async with asyncio.timeout(5):
            texts = [await waiting, await tools.observe(), await tools.wait_for_events(30.0), await tools.say("hello")]
        assert texts[1].splitlines()[1].startswith("You are scout at 1,1")
    assert all(text.removeprefix("taken_over: ").startswith("STALE: another client plays this agent") for text in texts)
    assert server.commands == []


async def test_a_view_of_a_server_that_is_away_says_so_and_commands_name_their_bound(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chunkcrawl.mcp.toolbox.COMMAND_WAIT_S", 0.3)
    async with agent(server) as me, Toolbox(me) as tools:
        server.refuse_sockets = [503] * 1_000
        server.sockets[0].transport.abort()
        await me.wait_until(lambda _: not me.connected, 0.2)
        away = "STALE: the world's server is away for 0 s; you see what was then."
        assert (await tools.observe()).startswith(away)
        assert (await tools.wait_for_events(0.1)).startswith(away)
        text = await tools.move_to(2, 2)
        assert text.startswith("server_unreachable: Waited for 0.3 s. STALE: the world's server is away")
        assert text.endswith("Nothing was done, and nothing will be.")
        server.refuse_sockets.clear()
        assert "connection to the world's server is back" in await tools.wait_for_events(10.0)
        assert (await tools.observe()).startswith("You are scout")
    assert server.commands == []


async def test_a_server_that_hangs_is_noticed(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chunkcrawl.mcp.toolbox.SILENT_S", 0.1)
    async with agent(server) as me, Toolbox(me) as tools:
        await asyncio.sleep(0.2)
        assert (await tools.observe()).startswith("STALE: the world's server says nothing for 0 s")


def said_by_bob(server: FakeServer, text: str) -> dict[str, Any]:
    server.tick += 1
    said = {"type": "chat", "from": "bob", "text": text}
    return delta(server.tick, ("scout", 1, 1), events=[said])


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
        assert (await tools.move_to(2, 2)).startswith("taken_over: STALE: another client plays")


async def test_how_to_play_is_a_resource_and_a_prompt_that_name_every_tool(server: FakeServer) -> None:
    from pathlib import Path

    from chunkcrawl.mcp.server import create_server

    async with agent(server) as me, mcp.Client(create_server(me)) as host:
        text = (await host.read_resource("chunkcrawl://skill")).contents[0].text
        assert text.startswith("# Playing Chunkcrawl")
        assert [tool for tool in TOOLS if f"`{tool}(" not in text] == []
        assert text in (await host.get_prompt("play")).messages[0].content.text
        for tool in (await host.list_tools()).tools:
            assert tool.annotations is not None
            assert tool.output_schema["required"] == ["ok", "reason"]
    root = Path(__file__).parents[3]
    same = (root / "docs/SKILL.md").read_text() == (root / "sdk/chunkcrawl/mcp/SKILL.md").read_text()
    assert same, "cp docs/SKILL.md sdk/chunkcrawl/mcp/SKILL.md"

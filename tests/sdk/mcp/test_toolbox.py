"""The tools themselves: answers in words and in fields, reasons, notes, journeys and how they are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chunkcrawl import Agent
from chunkcrawl.mcp.answer import Answer
from chunkcrawl.mcp.hints import HINTS
from chunkcrawl.mcp.toolbox import Toolbox
from tests.sdk.builders import delta
from tests.sdk.fake_server import FakeServer, Speaker


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().running() as running:
        yield running


@pytest.fixture
async def tools(server: FakeServer) -> AsyncIterator[Toolbox]:
    playing = Agent.connect(server.base, agent_id="scout", api_key="dcw_good", api=server.api(), retries=0)
    async with playing as agent, Toolbox(agent) as toolbox:
        yield toolbox


def test_an_answer_is_a_text_with_fields_and_without_what_is_not_known() -> None:
    answer = Answer("hello", {"ok": True, "gold": None})
    assert (answer, answer.fields) == ("hello", {"ok": True})
    assert (answer.after("you"), answer.after("you").fields) == ("hello you", {"ok": True})
    assert answer.after("") is answer


async def test_an_answer_says_where_and_whether_it_did_what_was_asked(server: FakeServer, tools: Toolbox) -> None:
    assert (await tools.move_to(3, 3)).fields == {"ok": True, "reason": "ok", "chunk_id": "chunk-0", "x": 3, "y": 3}
    server.faults = ["block"]
    blocked = await tools.move_to(2, 2)
    assert (blocked.fields["ok"], blocked.fields["reason"]) == (False, "blocked")
    server.harvest_ends.set()
    assert (await tools.harvest("g-1")).fields["amount"] == 4
    await server.sockets[0].close(4001)
    stale = await tools.wait_for_events(30)
    assert stale.startswith("STALE: another client plays this agent")
    assert stale.fields["stale"]


async def test_a_reason_is_told_before_the_action_and_a_refused_one_does_not_hold_it_up(
    server: FakeServer, tools: Toolbox
) -> None:
    assert (await tools.call("move_to", {"x": 3, "y": 3, "reason": "gold there"})) == "You are at 3,3 in chunk-0."
    told = await tools.call("say", {"text": "hello", "reason": "a bad word"})
    assert told == "Said in chunk-0. (Your reason was not shown: banned_words.)"
    await tools.call("observe", {})
    assert server.thoughts == [("move_to", "gold there")]
    assert [cmd["type"] for cmd in server.commands] == ["move_to", "say"]
    assert all("reason" not in cmd for cmd in server.commands), "the signed command stays what it is"


async def test_what_is_no_tool_is_not_called(tools: Toolbox) -> None:
    for name in ("_think", "agent", "call", "no_such"):
        with pytest.raises(KeyError):
            await tools.call(name, {})
    with pytest.raises(TypeError):
        await tools.call("observe", {"reason": "looking needs none"})


async def test_notes_are_kept_read_and_forgotten(server: FakeServer, tools: Toolbox) -> None:
    assert await tools.recall() == "No notes."
    assert await tools.remember("plan", "north") == "Kept as plan."
    await tools.remember("home", "chunk-0")
    assert await tools.recall() == "plan: north\nhome: chunk-0"
    assert await tools.recall("home") == "home: chunk-0"
    full = await tools.remember("third", "x")
    assert (full, full.fields["reason"]) == (f"notes_full: {HINTS['notes_full']}", "notes_full")
    assert await tools.forget("plan") == "Forgot plan."
    assert (await tools.forget("plan")).fields["reason"] == "note_not_found"


async def test_a_gift_is_told(server: FakeServer, tools: Toolbox) -> None:
    assert (await tools.give("bob", 2)).startswith("Gave 2 to bob.")
    assert server.commands == [{"type": "give", "agent_id": "bob", "amount": 2}]


async def test_go_to_walks_in_steps_and_says_what_helps_when_there_is_no_way(
    server: FakeServer, tools: Toolbox
) -> None:
    arrived = await tools.go_to("chunk-0", 3, 3)
    assert arrived.startswith("Arrived at chunk-0:3,3. You carry 0 gold.")
    assert (arrived.fields["ok"], arrived.fields["reason"]) == (True, "arrived")
    nowhere = await tools.go_to("chunk-9", 3, 3)
    assert "Go to a chunk that map lists, or explore." in nowhere
    assert (nowhere.fields["reason"], nowhere.fields["why"]) == ("no_way", "unknown_chunk")


async def gold_in_sight(server: FakeServer, tools: Toolbox, **more: Any) -> None:
    """Chunk-0 has a node beside (1, 1)."""
    node = {"node_id": "g-1", "type": "gold", "x": 0, "y": 1, "max_remaining": 9, "harvest_ticks_per_unit": 5}
    from tests.sdk.builders import static

    line = Speaker(server, server.sockets[-1], "ch_1", "jti_1")
    await line.say("chunk_static", static(resource_nodes=[node]))
    server.tick += 1
    there = [{"node_id": "g-1", "remaining": 9, "state": "available", "version": 1}]
    await line.say("chunk_delta", delta(server.tick, ("scout", 1, 1), resources=there))
    assert await tools.agent.wait_until(lambda view: "g-1" in view.gold, 5)


async def test_a_cancelled_journey_ends_its_harvest(server: FakeServer, tools: Toolbox) -> None:
    await gold_in_sight(server, tools)
    digging = asyncio.create_task(tools.harvest_until(100))
    assert await tools.agent.wait_until(lambda _: bool(server.commands), 10)
    assert await tools.say("hello") == "busy: harvest_until is under way; wait for its answer or cancel it."
    assert (await tools.explore()).fields["reason"] == "busy"
    assert (await tools.observe(60)).startswith("You are scout")
    digging.cancel()
    await asyncio.gather(digging, return_exceptions=True)
    assert await tools.agent.wait_until(lambda _: len(server.commands) == 2, 10)
    assert server.commands == [{"type": "harvest", "node_id": "g-1"}, {"type": "move_to", "x": 1, "y": 1}]
    assert await tools.say("hello") == "Said in chunk-0."


async def test_a_long_tool_reports_how_far_it_is_and_its_time_has_a_bound(
    server: FakeServer, tools: Toolbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chunkcrawl.mcp.toolbox.PROGRESS_EVERY_S", 0.2)
    monkeypatch.setattr("chunkcrawl.mcp.toolbox.STAND_STILL_WAIT_S", 0.2)
    reports: list[tuple[float, float | None, str]] = []

    async def progress(done: float, total: float | None, text: str) -> None:
        reports.append((done, total, text))

    await gold_in_sight(server, tools)
    text = await tools.call("harvest_until", {"amount": 5, "seconds": 1.0, "explore": False}, progress)
    assert text.startswith("The time was up at chunk-0:1,1.")
    assert "Call it again to go on." in text
    assert text.fields["reason"] == "timed_out"
    assert [done for done, _, _ in reports] == sorted({done for done, _, _ in reports})
    assert reports[0] == (0.2, 1.0, "You are at 1,1 in chunk-0. You carry 0 gold.")


async def test_the_map_is_told(server: FakeServer, tools: Toolbox) -> None:
    await gold_in_sight(server, tools)
    told = await tools.map()
    assert told == "chunk-0 (here): doors W to unexplored; gold g-1 at 0,1 9 left."
    assert told.fields["chunks"] == 1

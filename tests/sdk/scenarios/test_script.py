"""Scenario files: what is refused and where, and what running them says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from chunkcrawl.scenarios.run import ScenarioFailed, run_scenario
from chunkcrawl.scenarios.script import ScenarioError, parse_scenario
from tests.sdk.fake_server import FakeServer

HEAD = "name: n\nagents: [scout]\nsteps:\n"


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().running() as running:
        yield running


async def run(server: FakeServer, *steps: str) -> list[str]:
    seen: list[str] = []
    script = parse_scenario(HEAD + "".join(f"  - {step}\n" for step in steps))
    await run_scenario(script, server.api(), "dcw_good", on_step=lambda place, step: seen.append(f"{place} {step}"))
    return seen


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "object"),
        ("[", "YAML|parsing"),
        ("name: n\nagents: []\nsteps: [{wait_s: 1}]", "agents"),
        ("name: n\nagents: [a, a]\nsteps: [{wait_s: 1}]", "twice"),
        ("name: n\nagents: ['a|b']\nsteps: [{wait_s: 1}]", "agents"),
        (HEAD + "  - {agent: scout}", r"steps\[1\]: one of .*found nothing"),
        (HEAD + "  - {agent: scout, say: hi, harvest: g}", r"steps\[1\].*found say, harvest"),
        (HEAD + "  - {agent: nobody, say: hi}", r"steps\[1\]: there is no agent 'nobody'"),
        (HEAD + "  - {say: hi}", r"steps\[1\]: say needs an agent"),
        (HEAD + "  - {agent: scout, wait_s: 1}", r"steps\[1\]: wait_s takes no agent"),
        (HEAD + "  - {agent: scout, jump: 3}", "jump"),
        (HEAD + "  - {agent: scout, move_to: [1]}", "move_to"),
        (HEAD + "  - {agent: scout, move_to: [1, x]}", "move_to"),
        (HEAD + "  - {agent: scout, leave: UP}", "leave"),
        (HEAD + "  - {agent: scout, expect: {colour: red}}", "colour"),
        (HEAD + "  - {wait_s: -1}", "wait_s"),
        (HEAD + "  - {wait_s: 1, ends: blocked}", "no end"),
        (HEAD + "  - together: [{wait_s: 1}, {agent: scout}]", r"steps\[1\]\.together\[2\]"),
    ],
)
def test_what_is_no_scenario_is_refused_with_the_place(text: str, problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        parse_scenario(text)


async def test_steps_run_in_order(server: FakeServer) -> None:
    seen = await run(
        server,
        "{agent: scout, move_to: [3, 3]}",
        "{agent: scout, expect: {at: [3, 3], chunk: chunk-0, alone: true}}",
        "{agent: scout, say: hello}",
        "together: [{agent: scout, move_to: [1, 2]}, {wait_s: 0}]",
        "{agent: scout, expect: {x: 1, y: 2, chunk_not: chunk-9}}",
    )
    assert [cmd["type"] for cmd in server.commands] == ["move_to", "say", "move_to"]
    assert seen[0] == "1 scout move_to [3,3]"
    assert len(seen) == 5


async def test_a_command_must_end_as_expected(server: FakeServer) -> None:
    server.faults = ["block"]
    await run(server, "{agent: scout, move_to: [3, 3], ends: blocked}")
    with pytest.raises(ScenarioFailed, match=r"step 2: scout move_to \[2,2\]: ended completed, not blocked"):
        await run(server, "{wait_s: 0}", "{agent: scout, move_to: [2, 2], ends: blocked}")


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("{at: [3, 3]}", "it is at 1,1"),
        ("{chunk: chunk-7}", "it is in chunk-0"),
        ("{chunk_not: chunk-0}", "it is in chunk-0"),
        ("{gold_min: 1}", "it has 0 gold"),
        ("{sees: [miner], alone: false}", "it does not see miner; it sees"),
    ],
)
async def test_what_does_not_hold_is_named(server: FakeServer, wanted: str, problem: str) -> None:
    with pytest.raises(ScenarioFailed, match=problem):
        await run(server, f"{{agent: scout, expect: {wanted}, within_s: 0.1}}")


async def test_the_first_failure_within_together_has_its_place(server: FakeServer) -> None:
    with pytest.raises(ScenarioFailed) as caught:
        await run(server, "together: [{wait_s: 0}, {agent: scout, hear: never, within_s: 0.1}]")
    assert caught.value.step == "1.2"


async def test_a_command_without_end_is_not_waited_for_for_ever(server: FakeServer) -> None:
    with pytest.raises(ScenarioFailed, match=r"not over after 0.2 s"):
        await run(server, "{agent: scout, harvest: g-1, within_s: 0.2}")


async def test_a_connection_can_be_cut(server: FakeServer) -> None:
    await run(server, "{agent: scout, reconnect: true}", "{agent: scout, move_to: [3, 3]}")
    assert len(server.sockets) == 2


async def test_a_bot_plays_for_its_time(server: FakeServer) -> None:
    await run(server, "{agent: scout, bot: wander, for_s: 0.5}")
    assert server.commands

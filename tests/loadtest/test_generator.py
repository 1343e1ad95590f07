"""A generator in a whole world of this process: what it counts is what the world counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from chunkcrawl.bots.rules import Action
from chunkcrawl.errors import InvalidSession
from chunkcrawl.transport.http import Api
from cluster.local import LocalWorld
from loadtest import generator as generator_module
from loadtest import player
from loadtest.behaviour import BEHAVIOURS
from loadtest.figures import Figures, figures_of
from loadtest.generator import GeneratorDefect, generate
from loadtest.mailbox import Mailbox, Orders
from loadtest.plan import Plan, shares
from loadtest.server_counts import ServerCounts, counts_of
from loadtest.server_page import ServerPage
from loadtest.totals import Totals
from tests.api.gates import Gate
from tests.loadtest.makers import plan

DEADLINE_S = 60.0
SECOND_S = 0.25


@pytest.fixture(autouse=True)
def short_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generators report four times a second, so that the tests are short."""
    monkeypatch.setattr(generator_module, "SAMPLE_S", SECOND_S)


class Conductor:
    """The driver's part, by hand."""

    def __init__(self, board: Mailbox, totals: Totals, running: list[asyncio.Task[None]]) -> None:
        self.board, self.totals, self.running = board, totals, running
        self.orders = Orders()

    async def until(self, condition: Callable[[Totals], bool]) -> None:
        """Add samples up until ``condition`` holds; a generator that failed raises."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition(self.totals):
                await self.take()
                for task in self.running:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.05)

    async def take(self) -> None:
        for one in await self.board.take():
            self.totals.add(one, self.orders)

    async def order(self, **changes: Any) -> None:
        self.orders = replace(self.orders, **changes)
        await self.board.order(self.orders)

    async def measure(self, seconds: int) -> None:
        """Everybody in, so many seconds measured, everything over."""
        await self.until(lambda totals: totals.all_in("ready"))
        first = self.totals.second + 2
        await self.order(measure_from=first, stop_at=first + seconds)
        await self.until(lambda totals: totals.all_in("drained"))

    async def leave(self) -> Figures:
        await self.order(leave=True)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*self.running)
        await self.take()
        return figures_of(self.totals, generators_failed=0)


@asynccontextmanager
async def generators(wanted: Plan, tasks: int = 1) -> AsyncIterator[Conductor]:
    """They run, and end in any case."""
    board = Mailbox(tasks)
    running = [asyncio.create_task(generate(wanted, share, board)) for share in shares(wanted, tasks)]
    try:
        yield Conductor(board, Totals(tasks), running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def servers(world: LocalWorld) -> ServerCounts:
    return counts_of(ServerPage((await world.metrics()).decode()))


async def servers_later(world: LocalWorld, wanted: ServerCounts) -> ServerCounts:
    """The server's counts, once they are these (its page is cached), or as they are after a while."""
    for _ in range(100):
        if await servers(world) == wanted:
            break
        await asyncio.sleep(0.05)
    return await servers(world)


def added(before: ServerCounts, totals: Totals) -> ServerCounts:
    counts = totals.whole.counts
    ours: ServerCounts = {name: counts[name] for name in ("acks", "results", "refusals")}
    ours |= {"agents": totals.agents, "spectators": totals.spectators}
    return {name: before[name] + value for name, value in ours.items()}


async def test_counts_are_the_servers(gate: Gate, local_world: LocalWorld) -> None:
    before = await servers(local_world)
    wanted = plan(base=gate.base, agents=12, spectators=4, ramp_s=0.5, think_s=0.2)
    async with generators(wanted, tasks=2) as conductor:
        await conductor.measure(8)
        ours = added(before, conductor.totals)
        assert await servers_later(local_world, ours) == ours
        found = await conductor.leave()
    assert conductor.totals.whole.counts["acks"] >= 12
    assert (found["agents"], found["agents_min"], found["spectators"]) == (12, 12, 4)
    assert found["results_missing"] == found["results_twice"] == found["given_up"] == found["disconnects"] == 0
    assert found["unusable"] == 0
    assert found["rtt_p50_ms"] is not None
    counts = conductor.totals.measured.counts
    assert counts["spectator_deliveries"] > 0
    assert counts["deliveries"] == counts["agent_deliveries"] + counts["spectator_deliveries"]
    await gate.idle()


async def test_lines_that_are_cut_lose_nothing(
    gate: Gate, local_world: LocalWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player, "CUT_EVERY_S", 0.7)
    before = await servers(local_world)
    wanted = plan(base=gate.base, agents=8, spectators=0, ramp_s=0.0, think_s=0.1, scenario="reconnect")
    async with generators(wanted) as conductor:
        await conductor.measure(12)
        ours = added(before, conductor.totals)
        assert await servers_later(local_world, ours) == ours
        found = await conductor.leave()
    assert (found["cuts"] or 0) > 4
    assert found["resume_p50_ms"] is not None
    assert conductor.totals.whole.counts["resumes"] == conductor.totals.whole.counts["cuts"]
    assert found["results_missing"] == found["results_twice"] == found["disconnects"] == 0


LONG = pytest.mark.slow


@pytest.mark.parametrize(
    "scenario",
    ["cross", "harvest", pytest.param("crowd", marks=LONG), pytest.param("slow-reader", marks=LONG)],
)
async def test_every_scenario_plays(scenario: str, gate: Gate) -> None:
    wanted = plan(base=gate.base, agents=6, spectators=2, ramp_s=0.0, think_s=0.1, scenario=scenario)
    async with generators(wanted) as conductor:
        await conductor.measure(6)
        found = await conductor.leave()
    assert (found["acks_per_s"] or 0) > 0
    assert found["results_missing"] == found["unusable"] == found["errors"] == 0


async def test_stopping_while_they_join(gate: Gate) -> None:
    async with generators(plan(base=gate.base, agents=50, ramp_s=60.0)) as conductor:
        await conductor.until(lambda totals: totals.agents > 0)
        await conductor.order(stop_at=conductor.totals.second)
        await conductor.until(lambda totals: totals.all_in("drained"))
        found = await conductor.leave()
    assert conductor.totals.whole.counts["joins"] < 50
    assert found["measured_s"] == 0
    await gate.idle()


async def test_side_by_side_only_so_many_are_on_their_way(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way: list[int] = []
    original = player.SimulatedAgent.run

    async def run(agent: player.SimulatedAgent) -> None:
        group = agent._group
        under_way.append(len(under_way) + 1 - group.joined - group.given_up)
        await original(agent)

    monkeypatch.setattr(player.SimulatedAgent, "run", run)
    async with generators(plan(base=gate.base, agents=12, spectators=0, ramp_s=0.0, side_by_side=3)) as conductor:
        await conductor.measure(1)
        found = await conductor.leave()
    assert len(under_way) == 12
    assert max(under_way) == 3
    assert (found["joins_per_s"] or 0) > 0
    await gate.idle()


async def test_those_who_are_refused_give_up(gate: Gate) -> None:
    wanted = plan(base=gate.base, agents=3, spectators=2, ramp_s=0.0, api_key="dcw_nobodys")
    async with generators(wanted) as conductor:
        await conductor.measure(1)
        found = await conductor.leave()
    assert found["given_up"] == 5
    assert conductor.totals.whole.of_group("join_failed") == {"invalid_api_key": 5}


async def test_a_given_key_is_used_and_kept(gate: Gate) -> None:
    async with Api(gate.base) as api:
        account = await api.signup("owner@example.com", "long enough")
        key = await api.create_key(account.account_id, auth=account.account_token)
        async with generators(plan(base=gate.base, agents=2, spectators=0, ramp_s=0.0, api_key=key.api_key)) as one:
            await one.measure(1)
            await one.leave()
        assert len(await api.agents(auth=account.account_token)) == 2
        assert (await api.open_session(key.api_key, "spectator")).session_token


async def test_an_account_of_its_own_leaves_no_key_behind(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[generator_module.LoadAccount] = []
    original = generator_module._account

    async def account(*arguments: Any) -> generator_module.LoadAccount:
        made.append(await original(*arguments))
        return made[-1]

    monkeypatch.setattr(generator_module, "_account", account)
    async with generators(plan(base=gate.base, agents=1, spectators=1, ramp_s=0.0)) as conductor:
        await conductor.measure(1)
        await conductor.leave()
    async with Api(gate.base) as api:
        with pytest.raises(InvalidSession):
            await api.open_session(made[0].api_key, "spectator")


async def test_a_fault_of_ours_ends_the_run(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Action:
        raise ZeroDivisionError("oh")

    monkeypatch.setitem(BEHAVIOURS, "wander", broken)
    async with generators(plan(base=gate.base, agents=1, spectators=0, ramp_s=0.0)) as conductor:
        with pytest.raises(GeneratorDefect, match="ZeroDivisionError"):
            await conductor.measure(5)
    await gate.idle()

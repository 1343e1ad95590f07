"""Running a scenario against a server: one agent per name, the steps in order, the first that goes wrong ends it."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from chunkcrawl.agent import Agent
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import make_bot
from chunkcrawl.errors import ChunkcrawlError, CommandFailed, CommandRefused
from chunkcrawl.scenarios.script import Expectation, Scenario, Step
from chunkcrawl.transport.http import Api
from chunkcrawl.transport.stream_queue import EventQueue
from chunkcrawl.wire.messages import ChunkDelta, Direction

__all__ = ["ScenarioFailed", "run_scenario"]

HEARD_MAX: Final = 1_000
POLL_S: Final = 0.05


class ScenarioFailed(ChunkcrawlError):
    """A step did not end as it must.

    Attributes:
        step: Its place, counted from 1, for instance ``3`` or ``3.1`` within ``together``.
    """

    reason = "scenario_failed"

    def __init__(self, step: str, text: str) -> None:
        super().__init__(f"step {step}: {text}")
        self.step = step


class _Actor:
    """One agent of the scenario and what it has heard so far."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.events: EventQueue = agent.events(limit=HEARD_MAX)
        self.heard: deque[str] = deque(maxlen=HEARD_MAX)

    async def listen(self) -> None:
        """Collect chat until cancelled or the agent is closed."""
        async for event in self.events:
            if isinstance(event, ChunkDelta):
                said = (one for one in event.events if one.get("type") == "chat")
                self.heard.extend(str(one.get("text")) for one in said)


class _Run:
    def __init__(self, scenario: Scenario, actors: dict[str, _Actor], suffix: str) -> None:
        self.actors, self.suffix = actors, suffix
        self.names = set(scenario.agents)
        self.rng = random.Random(scenario.seed)

    async def step(self, step: Step, place: str) -> None:
        """Carry out one step.

        Raises:
            ScenarioFailed: It did not end as it must.
        """
        if step.together is not None:
            numbered = enumerate(step.together, 1)
            try:
                async with asyncio.TaskGroup() as group:
                    for number, inner in numbered:
                        group.create_task(self.step(inner, f"{place}.{number}"))
            except* ChunkcrawlError as several:
                raise _first(several) from None
        elif step.wait_s is not None:
            await asyncio.sleep(step.wait_s)
        else:
            assert step.agent is not None
            actor = self.actors[step.agent]
            try:
                async with asyncio.timeout(None if step.action in ("bot", "expect", "hear") else step.within_s):
                    await self._act(step, place, actor)
            except TimeoutError:
                raise ScenarioFailed(place, f"{step}: not over after {step.within_s:g} s") from None

    async def _act(self, step: Step, place: str, actor: _Actor) -> None:
        if step.expect is not None:
            await self._until(lambda: self._unmet(step.expect, actor), step, place)
        elif step.hear is not None:
            heard = step.hear
            await self._until(lambda: [] if heard in actor.heard else [f"heard {list(actor.heard)[-5:]}"], step, place)
        elif step.bot is not None:
            own = random.Random(self.rng.random())
            driving = asyncio.ensure_future(drive(actor.agent, make_bot(step.bot), own))
            try:
                await asyncio.wait({driving}, timeout=step.for_s)
                if driving.done():
                    driving.result()
            finally:
                driving.cancel()
                await asyncio.gather(driving, return_exceptions=True)
        elif step.reconnect:
            before = actor.agent.connections
            actor.agent.drop_connection()
            await actor.agent.wait_until(lambda view: actor.agent.connections > before and view.ready)
        else:
            end = await _ending(step, actor.agent)
            if end != step.ends:
                raise ScenarioFailed(place, f"{step}: ended {end}, not {step.ends}")

    async def _until(self, problems: Callable[[], list[str]], step: Step, place: str) -> None:
        try:
            async with asyncio.timeout(step.within_s):
                while problems():
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise ScenarioFailed(place, f"{step}: {'; '.join(problems())}") from None

    def _unmet(self, wanted: Expectation | None, actor: _Actor) -> list[str]:
        """Return why the expectation does not hold, empty when it does."""
        assert wanted is not None
        view = actor.agent.view
        if not view.ready or view.position is None:
            return ["it is not in the world"]
        x, y = view.position
        gold = view.inventory_gold or 0
        absent = [name for name in wanted.sees if self._full_name(name) not in view.others]
        checks = (
            (wanted.at in (None, (x, y)) and wanted.x in (None, x) and wanted.y in (None, y), f"it is at {x},{y}"),
            (wanted.chunk in (None, view.chunk_id), f"it is in {view.chunk_id}"),
            (wanted.chunk_not is None or wanted.chunk_not != view.chunk_id, f"it is in {view.chunk_id}"),
            (wanted.gold in (None, gold) and gold >= (wanted.gold_min or 0), f"it has {gold} gold"),
            (not absent, f"it does not see {', '.join(absent)}"),
            (wanted.alone in (None, not view.others), f"it sees {sorted(view.others)}"),
        )
        return [text for holds, text in checks if not holds]

    def _full_name(self, name: str) -> str:
        return f"{name}{self.suffix}" if name in self.names else name


async def run_scenario(
    scenario: Scenario,
    api: Api,
    api_key: str,
    *,
    suffix: str = "",
    on_step: Callable[[str, Step], None] = lambda place, step: None,
) -> None:
    """Run all steps; every agent of the scenario is in the world from the first to the last.

    Args:
        scenario: From ``parse_scenario``.
        api: The server.
        api_key: Of the account that the agents belong to.
        suffix: Put behind every agent's name, so that runs do not meet each other's agents.
        on_step: Told of each step before it begins.

    Raises:
        ScenarioFailed: The first step that did not end as it must.
        ChunkcrawlError: The server can't be reached, or refuses an agent.
    """
    async with AsyncExitStack() as stack:
        actors: dict[str, _Actor] = {}
        for name in scenario.agents:
            agent = Agent.connect(api.base, agent_id=f"{name}{suffix}", api_key=api_key, api=api)
            actors[name] = _Actor(await stack.enter_async_context(agent))
        run = _Run(scenario, actors, suffix)
        listening = [asyncio.ensure_future(actor.listen()) for actor in actors.values()]
        try:
            for number, step in enumerate(scenario.steps, 1):
                on_step(str(number), step)
                await run.step(step, str(number))
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)


async def _ending(step: Step, agent: Agent) -> str:
    """Return how a command ended: ``completed``, or the reason of its refusal or failure."""
    try:
        if step.move_to is not None:
            await agent.move_to(*step.move_to)
        elif step.leave is not None:
            await agent.move_to(*_way_out(agent, step.leave))
        elif step.say is not None:
            await agent.say(step.say)
        elif step.harvest == "nearest":
            found = agent.view.nearest_gold()
            if found is None:
                return "no_gold_in_reach"
            if found[1] != agent.position:
                await agent.move_to(*found[1])
            await agent.harvest(found[0])
        else:
            await agent.harvest(step.harvest or "")
    except (CommandRefused, CommandFailed) as error:
        return error.reason
    return "completed"


def _way_out(agent: Agent, side: Direction) -> tuple[int, int]:
    """Return the nearest free exit cell of a side, else any cell of that side for the server to refuse."""
    cells = agent.view.exits().get(side, [])
    steps = agent.view.reachable()
    if not cells:
        return {"N": (25, 49), "E": (49, 25), "S": (25, 0), "W": (0, 25)}[side]
    return min(cells, key=lambda cell: (steps.get(cell, 10_000), cell))


def _first(several: BaseExceptionGroup[ChunkcrawlError]) -> ChunkcrawlError:
    first = several.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first

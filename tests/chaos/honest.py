"""Agents that play by the rules while something happens to their gateway, and what they notice of it."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType

from chunkcrawl import Agent
from chunkcrawl.errors import CommandFailed, CommandRefused
from chunkcrawl.view.paths import is_boundary

#: A command is answered within it, whatever happens; far beyond what anybody should wait.
COMMAND_S = 30.0
FAR_MOST = 2
PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Figures:
    """What a group of agents noticed in a while."""

    acks_ms: list[float]
    sent: int
    answered: int
    reconnects: int

    @property
    def median_ms(self) -> float:
        return statistics.median(self.acks_ms)

    @property
    def p99_ms(self) -> float:
        return sorted(self.acks_ms)[int(len(self.acks_ms) * 0.99)]

    def __str__(self) -> str:
        return (
            f"{self.answered}/{self.sent} commands, {self.reconnects} reconnects, request to ack "
            f"p50 {self.median_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, most {max(self.acks_ms):.1f} ms"
        )


@dataclass(slots=True)
class Honest:
    """A group of connected agents.  ``async with``; then ``play`` as often as one likes."""

    connect: Callable[[int], Agent]
    count: int
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    agents: list[Agent] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _acks_ms: list[float] = field(default_factory=list)
    _sent: int = 0
    _answered: int = 0

    async def __aenter__(self) -> Honest:
        for number in range(self.count):
            self.agents.append(await self._stack.enter_async_context(self.connect(number)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def play(self, meanwhile: Awaitable[object]) -> Figures:
        """Walk to and fro until ``meanwhile`` is over.  Whatever a command ends with is an answer; none is an error."""
        self._acks_ms, self._sent, self._answered = [], 0, 0
        connections = sum(agent.connections for agent in self.agents)
        over = asyncio.Event()
        playing = [asyncio.create_task(self._walk(agent, over)) for agent in self.agents]
        try:
            await meanwhile
        finally:
            over.set()
            await asyncio.gather(*playing)
        reconnects = sum(agent.connections for agent in self.agents) - connections
        return Figures(self._acks_ms, self._sent, self._answered, reconnects)

    async def _walk(self, agent: Agent, over: asyncio.Event) -> None:
        while not over.is_set():
            near = [
                cell
                for cell, far in agent.view.reachable().items()
                if 0 < far <= FAR_MOST and not is_boundary(agent.view.grid, *cell)
            ]
            if near:
                self._sent += 1
                try:
                    await agent.move_to(*self.rng.choice(near), timeout_s=COMMAND_S)
                except (CommandFailed, CommandRefused):
                    pass  # somebody stood there
                else:
                    assert agent.ack_s is not None
                    self._acks_ms.append(agent.ack_s * 1000)
                self._answered += 1
            await asyncio.sleep(self.rng.uniform(0, PAUSE_S))

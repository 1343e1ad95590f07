"""Five tools that are enough to play: for language models, over MCP (``client.mcp``) or any other tool interface.

Every tool answers with a short text and never raises for what the world refuses: the text says what happened and what
would help.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType

from client.agent import Agent
from client.errors import ChunkcrawlError
from client.hints import hint_for
from client.messages import ChunkDelta, ChunkTransition, Event, WorldEvent
from client.observe import observe
from client.protocol import Completed

__all__ = ["WAIT_MAX_S", "Toolbox"]

WAIT_MAX_S = 30.0
HARVEST_WAIT_S = 20.0
NEWS_MAX = 100
NEWS_SHOWN = 20
TEXT_MAX_CHARS = 220
EVENTS_LIMIT = 512


class Toolbox:
    """The tools of one agent, which must be connected. Use it as an async context manager."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._heard: deque[str] = deque(maxlen=NEWS_MAX)
        self._news: deque[str] = deque(maxlen=NEWS_MAX)
        self._new = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._harvest: asyncio.Task[str] | None = None

    async def __aenter__(self) -> Toolbox:
        self._listening = asyncio.get_running_loop().create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for task in (self._listening, self._harvest) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- tools --------------------------------------------------------------------------------------------------------

    async def observe(self, budget_tokens: int = 600) -> str:
        """Where you are and what is around you, in at most ``budget_tokens`` tokens."""
        return observe(self.agent.mirror, list(self._heard), budget_tokens=budget_tokens)

    async def move_to(self, x: int, y: int) -> str:
        """Walk to a cell of the present chunk; an exit cell leads into the next chunk. Waits for the arrival."""
        before = self.agent.chunk_id
        return await self._told(self.agent.move_to(x, y), lambda: self._arrival(before))

    async def say(self, text: str) -> str:
        """Say one line, 1..200 characters, to everybody in the chunk."""
        return await self._told(self.agent.say(text), lambda: f"Said in {self.agent.chunk_id}.")

    async def harvest(self, node_id: str) -> str:
        """Take gold from a node that you stand beside. Goes on until it is empty; any other command ends it."""
        if self._harvest is not None and not self._harvest.done():
            self._harvest.cancel()
        work = self._told(self.agent.harvest(node_id), lambda: f"{node_id} is empty now. {self._gold()}")
        self._harvest = asyncio.get_running_loop().create_task(work)
        done, _ = await asyncio.wait({self._harvest}, timeout=HARVEST_WAIT_S)
        if done:
            return self._harvest.result()
        return f"Still harvesting {node_id}; it goes on until you give another command. {self._gold()}"

    async def wait_for_events(self, seconds: float = 5.0) -> str:
        """Wait until something happens, at most ``seconds`` (0..30), and tell what happened since the last call."""
        seconds = min(max(seconds, 0.0), WAIT_MAX_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._news:
                    self._new.clear()
                    await self._new.wait()
        news = list(self._news)
        self._news.clear()
        if not news:
            return f"Nothing happened in {seconds:g} s."
        left_out = [f"... {len(news) - NEWS_SHOWN} earlier ones left out"] if len(news) > NEWS_SHOWN else []
        return "\n".join(left_out + news[-NEWS_SHOWN:])

    # -- private ------------------------------------------------------------------------------------------------------

    async def _told(self, work: Awaitable[Completed], success: Callable[[], str]) -> str:
        try:
            await work
        except ChunkcrawlError as error:
            return f"{error.reason}: {hint_for(error, self.agent.mirror) or error}"
        return success()

    def _arrival(self, before: str | None) -> str:
        position = self.agent.position or ("?", "?")
        moved = f" You have left {before}." if self.agent.chunk_id != before else ""
        return f"You are at {position[0]},{position[1]} in {self.agent.chunk_id}.{moved}"

    def _gold(self) -> str:
        return f"You carry {self.agent.mirror.inventory_gold or 0} gold."

    async def _listen(self) -> None:
        with contextlib.suppress(ChunkcrawlError):
            async for event in self.agent.events(limit=EVENTS_LIMIT):
                for line in self._lines(event):
                    self._news.append(line)
                    self._new.set()

    def _lines(self, event: Event) -> list[str]:
        if isinstance(event, ChunkTransition):
            return [f"You went from {event.from_chunk_id} to {event.to_chunk_id}."]
        if not isinstance(event, ChunkDelta):
            return []
        return [line for happened in event.events if (line := self._line(happened))]

    def _line(self, happened: WorldEvent) -> str | None:
        def field(name: str) -> str:
            text = str(happened.get(name))[:TEXT_MAX_CHARS]
            return "".join(letter if letter.isprintable() else " " for letter in text)

        match happened.get("type"):
            case "chat":
                line = f"{field('from')}: {field('text')}"
                self._heard.append(line)
                return f"Heard {line}"
            case "agent_joined":
                return f"{field('agent_id')} came."
            case "agent_left":
                return f"{field('agent_id')} left."
            case "resource_harvest":
                return f"{field('by')} took {field('amount')} from {field('node_id')}."
            case "resource_given":
                return f"{field('from')} gave {field('amount')} gold to {field('to')}."
            case "resource_depleted":
                return f"{field('node_id')} is empty."
            case "resource_regenerated":
                return f"{field('node_id')} has gold again."
            case _:
                return None

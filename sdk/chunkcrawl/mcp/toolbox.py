"""Five tools that are enough to play: for language models, over MCP (``mcp.server``) or any other tool interface.

Every tool answers with a short text within 30 s and never raises for what the world refuses: the text says what
happened and what would help.  What is old is called so in the first line.  A tool call that is cancelled leaves nothing
behind: its command is not sent later, and a harvest that had begun is ended.  Only a walk can't be stopped once the
world has accepted it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final

from chunkcrawl.agent import Agent
from chunkcrawl.errors import ChunkcrawlError, CommandDropped, ServerUnreachable, StillRunning, TakenOver
from chunkcrawl.mcp.hints import code_of, hint_for
from chunkcrawl.mcp.news import News, Weight
from chunkcrawl.mcp.observe import observe
from chunkcrawl.view.paths import Point
from chunkcrawl.view.plain import plain
from chunkcrawl.wire.messages import (
    ChunkDelta,
    ChunkTransition,
    CommandResult,
    Event,
    ResyncRequired,
    SessionReady,
    WorldEvent,
)
from chunkcrawl.wire.protocol import Completed

__all__ = ["COMMAND_WAIT_S", "WAIT_MAX_S", "Toolbox"]

WAIT_MAX_S: Final = 30.0
#: How long a tool waits for its command: less than the 60 s after which many hosts give a call up.
COMMAND_WAIT_S: Final = 30.0

STAND_STILL_WAIT_S: Final = 5.0
#: How long a connection that is back may take to show the agent.
ARRIVAL_WAIT_S: Final = 2.0

#: A silence that means trouble: a connection is asked for a sign of life after 12 s.
SILENT_S: Final = 16.0

HEARD_MAX: Final = 100
RUNNING_MAX: Final = 8
TEXT_MAX_CHARS: Final = 220
EVENTS_LIMIT: Final = 512


class Toolbox:
    """The tools of one agent, which must be connected.  Use it as an async context manager; several may share it."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._heard: deque[str] = deque(maxlen=HEARD_MAX)
        self._news = News()
        self._new = asyncio.Event()
        self._running: OrderedDict[str, str] = OrderedDict()
        self._users = 0
        self._listening: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Toolbox:
        self._users += 1
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0:
            tasks = [task for task in (self._listening, self._stopping) if task is not None]
            self._listening = self._stopping = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- tools --

    async def observe(self, budget_tokens: int = 600) -> str:
        """Return where you are and what is around you, in at most ``budget_tokens``; an old view says so first."""
        await self._arrived()
        return observe(self.agent.view, list(self._heard), budget_tokens=budget_tokens, notice=self._stale())

    async def move_to(self, x: int, y: int) -> str:
        """Walk to a cell of the present chunk; an exit cell leads into the next chunk.  Waits for the arrival."""
        before = self.agent.chunk_id
        walk = self.agent.move_to(x, y, timeout_s=COMMAND_WAIT_S)
        return await self._told(f"the walk to {x},{y}", walk, lambda _: self._arrival(before), (x, y))

    async def say(self, text: str) -> str:
        """Say one line, 1..200 characters, to everybody in the chunk."""
        told = self.agent.say(text, timeout_s=COMMAND_WAIT_S)
        return await self._told("the message", told, lambda _: f"Said in {self.agent.chunk_id}.")

    async def harvest(self, node_id: str) -> str:
        """Take gold from a node that you stand beside.  Goes on until it is empty; any other command ends it."""

        def success(completed: Completed) -> str:
            took = "" if completed.amount is None else f"You took {completed.amount}. "
            return f"{node_id} is empty now. {took}{self._gold()}"

        try:
            digging = self.agent.harvest(node_id, timeout_s=COMMAND_WAIT_S)
            return await self._told(f"the harvest of {node_id}", digging, success)
        except asyncio.CancelledError:
            self._stopping = asyncio.get_running_loop().create_task(self._stand_still())
            raise

    async def wait_for_events(self, seconds: float = 5.0) -> str:
        """Wait until something happens, at most ``seconds`` (0..30), and tell what happened since the last call."""
        seconds = min(max(seconds, 0.0), WAIT_MAX_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._news and self.agent.ended is None:
                    self._new.clear()
                    await self._new.wait()
        await self._arrived()
        stale = self._stale()
        lines = self._news.take() or ([] if self.agent.ended else [f"Nothing happened in {seconds:g} s."])
        return "\n".join(([stale] if stale else []) + lines)

    # -- private: commands --

    async def _arrived(self) -> None:
        """Wait a moment for a connection that has just come back to show where the agent is."""
        if self.agent.connected and not self.agent.view.ready:
            with contextlib.suppress(ChunkcrawlError):
                await self.agent.wait_until(lambda view: view.ready and view.me is not None, ARRIVAL_WAIT_S)

    async def _told(
        self, what: str, work: Awaitable[Completed], success: Callable[[Completed], str], target: Point | None = None
    ) -> str:
        if self._stopping is not None:
            # Any command ends a harvest; a late stop must not end the one that comes now.
            self._stopping.cancel()
        try:
            return success(await work)
        except StillRunning as running:
            self._running[running.client_cmd_id] = what
            while len(self._running) > RUNNING_MAX:
                self._running.popitem(last=False)
            return self._still(what)
        except ChunkcrawlError as error:
            if self.agent.ended is not None:
                return f"{error.reason}: {self._stale()}"
            if isinstance(error, CommandDropped | ServerUnreachable):
                why = self._stale() or "Another command of this agent took too long."
                return f"{error.reason}: Waited for {COMMAND_WAIT_S:g} s. {why} Nothing was done, and nothing will be."
            return f"{code_of(error)}: {hint_for(error, self.agent.view, target) or error}"

    def _still(self, what: str) -> str:
        if what.startswith("the harvest"):
            until, state = "until you give another command", self._gold()
        else:
            until, state = "and other commands are busy until it has ended", self._place()
        waited = f"Waited for {COMMAND_WAIT_S:g} s"
        return f"still_running: {waited}; {what} goes on {until}. {state} wait_for_events will tell of its end."

    async def _stand_still(self) -> None:
        """End a harvest whose caller has gone, once the world shows it: by a move to the agent's own cell.

        On an exit that would lead out of the chunk: there it takes a step inwards.
        """

        def harvesting(_: object) -> bool:
            return self.agent.me is not None and self.agent.me.activity_state == "harvesting"

        with contextlib.suppress(ChunkcrawlError):
            if await self.agent.wait_until(harvesting, STAND_STILL_WAIT_S) and self.agent.position is not None:
                cell = self.agent.view.next_free(*self.agent.position)
                if cell is not None:
                    await self.agent.move_to(*cell, timeout_s=STAND_STILL_WAIT_S)

    def _place(self) -> str:
        x, y = self.agent.position or ("?", "?")
        return f"You are at {x},{y} in {self.agent.chunk_id}."

    def _arrival(self, before: str | None) -> str:
        moved = f" You have left {before}." if self.agent.chunk_id != before else ""
        return f"{self._place()}{moved}"

    def _gold(self) -> str:
        return f"You carry {self.agent.view.inventory_gold or 0} gold."

    def _stale(self) -> str:
        """Return why the view is not the present, and what to do; empty when it is the present."""
        agent = self.agent
        since = f"for {agent.away_s:.0f} s" if agent.away_s is not None else ""
        if isinstance(agent.ended, TakenOver):
            return (
                f"STALE: another client plays this agent {since}; you only see the past. Stop, and say so: to play on, "
                "that client must end and this server be started anew."
            )
        if agent.ended is not None:
            return f"STALE: the connection has ended for good ({agent.ended.reason}); this server must be started anew."
        if agent.away_s is not None:
            return f"STALE: the world's server is away {since}; you see what was then. It is tried again: wait."
        if agent.silent_s > SILENT_S:
            return f"STALE: the world's server says nothing for {agent.silent_s:.0f} s; you see what was then. Wait."
        return ""

    # -- private: news --

    async def _listen(self) -> None:
        try:
            async for event in self.agent.events(limit=EVENTS_LIMIT):
                self._hear(event)
                if self._news:
                    self._new.set()
        except ChunkcrawlError:
            pass  # what ended it is told by _stale
        self._new.set()

    def _hear(self, event: Event) -> None:
        if isinstance(event, ChunkTransition):
            self._news.add(f"You went from {event.from_chunk_id} to {event.to_chunk_id}.", Weight.OWN)
        elif isinstance(event, SessionReady):
            self._news.add("The connection to the world's server is back.", Weight.OWN)
        elif isinstance(event, ResyncRequired):
            self._news.add("What happened meanwhile is lost; observe.", Weight.OWN)
        elif isinstance(event, CommandResult):
            self._ended(event)
        elif isinstance(event, ChunkDelta):
            for happened in event.events:
                self._happened(happened)

    def _ended(self, result: CommandResult) -> None:
        what = self._running.pop(result.client_cmd_id, None)
        if what is not None:
            how = "has reached its end" if result.status == "completed" else f"failed: {result.reason or 'unknown'}"
            took = "" if result.amount is None else f", and took {result.amount}"
            self._news.add(f"{what[0].upper()}{what[1:]} {how}{took}.", Weight.OWN)

    def _happened(self, happened: WorldEvent) -> None:
        def field(name: str) -> str:
            return plain(happened.get(name), TEXT_MAX_CHARS)

        match happened.get("type"):
            case "chat":
                line = f"{field('from')}: {field('text')}"
                self._heard.append(line)
                self._news.add(f"Heard {line}", Weight.TALK)
            case "agent_joined" | "agent_left" if happened.get("agent_id") == self.agent.agent_id:
                pass  # what became of the connection is told already
            case "agent_joined":
                self._news.add(f"{field('agent_id')} came.", Weight.THING)
            case "agent_left":
                self._news.add(f"{field('agent_id')} left.", Weight.THING)
            case "resource_harvest":
                amount = happened.get("amount")
                who = "You" if happened.get("by") == self.agent.agent_id else field("by")
                self._news.took(who, field("node_id"), amount if isinstance(amount, int) else 0)
            case "resource_given":
                giver = "You" if happened.get("from") == self.agent.agent_id else field("from")
                taker, weight = field("to"), Weight.THING
                if happened.get("to") == self.agent.agent_id:
                    taker, weight = "you", Weight.TALK
                self._news.add(f"{giver} gave {field('amount')} gold to {taker}.", weight)
            case "resource_depleted":
                self._news.add(f"{field('node_id')} is empty.", Weight.THING)
            case "resource_regenerated":
                self._news.add(f"{field('node_id')} has gold again.", Weight.THING)
            case "neighbor_linked":
                self._news.add(f"A new chunk lies {field('dir')} of here: {field('chunk_id')}.", Weight.THING)
            case "neighbor_unlinked":
                self._news.add(f"The chunk {field('dir')} of here is gone: nobody was there.", Weight.THING)

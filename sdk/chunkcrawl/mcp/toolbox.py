"""The tools to play with, for language models: over MCP (``mcp.tools``) or any other tool interface.

Every tool answers with a short text within a bounded time and never raises for what the world refuses: the text says
what happened and what would help.  What is old is called so in the first line.  A tool call that is cancelled leaves
nothing behind: its command is not sent later, and a harvest that had begun is ended.  Only a walk can't be stopped once
the world has accepted it; those of ``go_to``, ``explore`` and ``harvest_until`` are short.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Protocol

from chunkcrawl.agent import Agent
from chunkcrawl.errors import ApiError, ChunkcrawlError, CommandDropped, ServerUnreachable, StillRunning, TakenOver
from chunkcrawl.journeys.journey import Journey
from chunkcrawl.journeys.outcomes import Harvested, NoWay, Outcome, TimedOut
from chunkcrawl.mcp.answer import Answer
from chunkcrawl.mcp.happenings import Happenings
from chunkcrawl.mcp.hints import code_of, hint_for, hint_for_outcome
from chunkcrawl.mcp.map_text import map_text
from chunkcrawl.mcp.observe import observe
from chunkcrawl.view.paths import Point
from chunkcrawl.wire.protocol import Completed

__all__ = ["ACTIONS", "COMMAND_WAIT_S", "JOURNEY_WAIT_S", "TOOLS", "WAIT_MAX_S", "ToolProgress", "Toolbox"]

WAIT_MAX_S: Final = 30.0
#: How long a tool waits for its command: less than the 60 s after which many hosts give a call up.
COMMAND_WAIT_S: Final = 30.0
#: How long a journey may take, unless it is said, and at most.
JOURNEY_WAIT_S: Final = 45.0
JOURNEY_MAX_S: Final = 120.0
#: Cells of a walk of a journey: at 0.2 s each it stands soon after it was cancelled.
STRIDE: Final = 8
PROGRESS_EVERY_S: Final = 2.0
THINK_WAIT_S: Final = 3.0

STAND_STILL_WAIT_S: Final = 5.0
#: How long a connection that is back may take to show the agent.
ARRIVAL_WAIT_S: Final = 2.0

#: A silence that means trouble: a connection is asked for a sign of life after 12 s.
SILENT_S: Final = 16.0

MEANWHILE_MAX: Final = 4

#: What changes something in the world, and takes a ``reason``.
ACTIONS: Final = frozenset({"go_to", "explore", "harvest_until", "move_to", "harvest", "say", "give"})
TOOLS: Final = ACTIONS | {"observe", "map", "wait_for_events", "remember", "recall", "forget"}


class ToolProgress(Protocol):
    """Is told how far a long tool has come."""

    async def __call__(self, done: float, total: float | None, text: str) -> None:
        """Report ``done`` of ``total``, and in words."""


class Toolbox:
    """The tools of one agent, which must be connected.  Use it as an async context manager; several may share it.

    Args:
        agent: Who.
        again: What has to be done to play on once the agent has ended.
    """

    def __init__(self, agent: Agent, *, again: str = "this server must be started anew") -> None:
        self.agent = agent
        self._again = again
        self._happenings = Happenings(agent)
        self._users = 0
        self._listening: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._journey = ""

    async def __aenter__(self) -> Toolbox:
        self._users += 1
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._happenings.listen())
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

    async def call(self, tool: str, arguments: dict[str, Any], progress: ToolProgress | None = None) -> Answer:
        """Call a tool of ``TOOLS`` by name, with the ``reason`` that goes before it.

        Raises:
            TypeError: Other arguments than the tool's.
            KeyError: There is no such tool.
        """
        if tool not in TOOLS:
            raise KeyError(tool)
        given = dict(arguments)
        unsaid = ""
        if tool in ACTIONS:
            unsaid = await self._think(given.pop("reason", None), tool)
        if tool in ("go_to", "explore", "harvest_until"):
            given["progress"] = progress
        answer: Answer = await getattr(self, tool)(**given)
        return answer.after(unsaid)

    # -- looking --

    async def observe(self, budget_tokens: int = 600) -> Answer:
        """Return where you are and what is around you, in at most ``budget_tokens``; an old view says so first."""
        await self._arrived()
        heard = list(self._happenings.heard)
        return self._answer(observe(self.agent.view, heard, budget_tokens=budget_tokens, notice=self._stale()))

    async def map(self, budget_tokens: int = 400) -> Answer:
        """Return the chunks that are known, with their doors and gold, the nearest first."""
        await self._arrived()
        agent, notice = self.agent, self._stale()
        now_ms = max((chunk.seen_ms for chunk in agent.map.chunks.values()), default=0)
        text = map_text(agent.map, agent.chunk_id, now_ms, budget_tokens=budget_tokens, notice=notice)
        return self._answer(text, chunks=sum(chunk.entered and not chunk.gone for chunk in agent.map.chunks.values()))

    async def wait_for_events(self, seconds: float = 5.0) -> Answer:
        """Wait until something happens, at most ``seconds`` (0..30), and tell what happened since the last call."""
        seconds = min(max(seconds, 0.0), WAIT_MAX_S)
        news, new = self._happenings.news, self._happenings.new
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not news and self.agent.ended is None:
                    new.clear()
                    await new.wait()
        await self._arrived()
        stale = self._stale()
        lines = news.take() or ([] if self.agent.ended else [f"Nothing happened in {seconds:g} s."])
        return self._answer("\n".join(([stale] if stale else []) + lines))

    # -- commands --

    async def move_to(self, x: int, y: int) -> Answer:
        """Walk to a cell of the present chunk; an exit cell leads into the next chunk.  Waits for the arrival."""
        before = self.agent.chunk_id
        walk = self.agent.move_to(x, y, timeout_s=COMMAND_WAIT_S)
        return await self._told(f"the walk to {x},{y}", walk, lambda _: self._arrival(before), (x, y))

    async def say(self, text: str) -> Answer:
        """Say one line, 1..200 characters, to everybody in the chunk."""
        told = self.agent.say(text, timeout_s=COMMAND_WAIT_S)
        return await self._told("the message", told, lambda _: f"Said in {self.agent.chunk_id}.")

    async def give(self, agent_id: str, amount: int) -> Answer:
        """Give gold to an agent that stands beside you."""
        gift = self.agent.give(agent_id, amount, timeout_s=COMMAND_WAIT_S)
        return await self._told("the gift", gift, lambda _: f"Gave {amount} to {agent_id}. {self._gold()}")

    async def harvest(self, node_id: str) -> Answer:
        """Take gold from a node that you stand beside.  Goes on until it is empty; any other command ends it."""

        def success(completed: Completed) -> str:
            took = "" if completed.amount is None else f"You took {completed.amount}. "
            return f"{node_id} is empty now. {took}{self._gold()}"

        try:
            digging = self.agent.harvest(node_id, timeout_s=COMMAND_WAIT_S)
            return await self._told(f"the harvest of {node_id}", digging, success)
        except asyncio.CancelledError:
            self._stop_later()
            raise

    # -- whole intentions --

    async def go_to(
        self, chunk_id: str, x: int, y: int, seconds: float = JOURNEY_WAIT_S, progress: ToolProgress | None = None
    ) -> Answer:
        """Go to a cell of any chunk of the map, round whoever stands in the way."""
        journey = Journey(self.agent, stride=STRIDE)
        work = journey.go_to(chunk_id, x, y, _bounded(seconds))
        return await self._gone("go_to", journey, work, _bounded(seconds), progress)

    async def explore(
        self, chunks: int = 1, seconds: float = JOURNEY_WAIT_S, progress: ToolProgress | None = None
    ) -> Answer:
        """Enter so many chunks for the first time."""
        journey = Journey(self.agent, stride=STRIDE)
        work = journey.explore(chunks, _bounded(seconds))
        return await self._gone("explore", journey, work, _bounded(seconds), progress)

    async def harvest_until(
        self,
        amount: int,
        explore: bool = True,
        seconds: float = JOURNEY_WAIT_S,
        progress: ToolProgress | None = None,
    ) -> Answer:
        """Take at least ``amount`` of gold, node after node, in further chunks too."""
        journey = Journey(self.agent, stride=STRIDE)
        work = journey.harvest(amount, _bounded(seconds), explore=explore)
        return await self._gone("harvest_until", journey, work, _bounded(seconds), progress)

    # -- notes --

    async def remember(self, name: str, text: str) -> Answer:
        """Keep a note, over the one of that name."""
        return await self._kept(self.agent.remember(name, text), lambda _: f"Kept as {name}.")

    async def forget(self, name: str) -> Answer:
        """Delete a note."""
        return await self._kept(self.agent.forget(name), lambda _: f"Forgot {name}.")

    async def recall(self, name: str | None = None) -> Answer:
        """Return all notes, or one."""
        try:
            async with asyncio.timeout(COMMAND_WAIT_S):
                notes = [note for note in await self.agent.recall() if name in (None, note.name)]
        except (ChunkcrawlError, TimeoutError) as error:
            return self._not_kept(error)
        text = "\n".join(f"{note.name}: {note.text}" for note in notes)
        return self._answer(text or ("No notes." if name is None else f"No note {name}."), notes=len(notes))

    # -- private: answers --

    def _answer(self, text: str, reason: str = "ok", *, ok: bool = True, **more: Any) -> Answer:
        agent = self.agent
        x, y = agent.position or (None, None)
        place = {"chunk_id": agent.chunk_id, "x": x, "y": y, "gold": agent.view.inventory_gold}
        return Answer(text, {"ok": ok, "reason": reason, "stale": bool(self._stale()) or None} | place | more)

    def _refused(self, error: ChunkcrawlError, target: Point | None = None) -> Answer:
        if self.agent.ended is not None:
            return self._answer(f"{error.reason}: {self._stale()}", error.reason, ok=False)
        if isinstance(error, CommandDropped | ServerUnreachable):
            why = self._stale() or "Another command of this agent took too long."
            text = f"{error.reason}: Waited for {COMMAND_WAIT_S:g} s. {why} Nothing was done, and nothing will be."
            return self._answer(text, error.reason, ok=False)
        code = code_of(error)
        return self._answer(f"{code}: {hint_for(error, self.agent.view, target) or error}", code, ok=False)

    async def _arrived(self) -> None:
        """Wait a moment for a connection that has just come back to show where the agent is."""
        if self.agent.connected and not self.agent.view.ready:
            with contextlib.suppress(ChunkcrawlError):
                await self.agent.wait_until(lambda view: view.ready and view.me is not None, ARRIVAL_WAIT_S)

    async def _think(self, reason: str | None, doing: str) -> str:
        """Tell the owner why; return what the model has to know if that is not shown."""
        if not reason or self.agent.ended is not None:
            return ""
        try:
            async with asyncio.timeout(THINK_WAIT_S):
                await self.agent.think(reason, doing=doing)
        except (ChunkcrawlError, TimeoutError) as error:
            code = error.reason if isinstance(error, ChunkcrawlError) else "server_unreachable"
            return f"(Your reason was not shown: {code}.)"
        return ""

    async def _kept(self, work: Awaitable[Any], success: Callable[[Any], str]) -> Answer:
        try:
            async with asyncio.timeout(COMMAND_WAIT_S):
                return self._answer(success(await work))
        except (ChunkcrawlError, TimeoutError) as error:
            return self._not_kept(error)

    def _not_kept(self, error: ChunkcrawlError | TimeoutError) -> Answer:
        if isinstance(error, ApiError):
            return self._refused(error)
        stale = self._stale() or "The world's server did not answer; try again."
        return self._answer(f"server_unreachable: {stale}", "server_unreachable", ok=False)

    # -- private: commands --

    async def _told(
        self, what: str, work: Awaitable[Completed], success: Callable[[Completed], str], target: Point | None = None
    ) -> Answer:
        if self._journey:
            asyncio.ensure_future(work).cancel()
            return self._busy()
        if self._stopping is not None:
            # Any command ends a harvest; a late stop must not end the one that comes now.
            self._stopping.cancel()
        try:
            completed = await work
            return self._answer(success(completed), amount=completed.amount)
        except StillRunning as running:
            self._happenings.goes_on(running.client_cmd_id, what)
            return self._answer(self._still(what), running.reason, ok=False)
        except ChunkcrawlError as error:
            return self._refused(error, target)

    def _busy(self) -> Answer:
        return self._answer(f"busy: {self._journey} is under way; wait for its answer or cancel it.", "busy", ok=False)

    def _still(self, what: str) -> str:
        if what.startswith("the harvest"):
            until, state = "until you give another command", self._gold()
        else:
            until, state = "and other commands are busy until it has ended", self._place()
        waited = f"Waited for {COMMAND_WAIT_S:g} s"
        return f"still_running: {waited}; {what} goes on {until}. {state} wait_for_events will tell of its end."

    # -- private: whole intentions --

    async def _gone(
        self, tool: str, journey: Journey, work: Awaitable[Outcome], seconds: float, progress: ToolProgress | None
    ) -> Answer:
        """Wait for a journey, and tell how it ended; cancelled, the agent stands still soon after."""
        travelling = asyncio.ensure_future(work)
        if self._journey:
            travelling.cancel()
            return self._busy()
        if self._stopping is not None:
            self._stopping.cancel()
        self._journey = tool
        telling = asyncio.ensure_future(self._tell_progress(journey, seconds, progress))
        try:
            outcome = await travelling
            if isinstance(outcome, Harvested | TimedOut) and self._harvesting():
                await self._stand_still()
        except asyncio.CancelledError:
            self._stop_later()
            raise
        except ChunkcrawlError as error:
            return self._refused(error)
        finally:
            self._journey = ""
            for task in (travelling, telling):
                task.cancel()
            await asyncio.gather(travelling, telling, return_exceptions=True)
        return self._ended(outcome, journey)

    def _ended(self, outcome: Outcome, journey: Journey) -> Answer:
        stale = self._stale()
        head = f"{stale}\n" if stale else ""
        parts = [str(outcome)[0].upper() + str(outcome)[1:] + "."]
        if isinstance(outcome, TimedOut):
            parts += [f"Took {outcome.amount}."] if outcome.amount else []
            parts += [f"Found {', '.join(outcome.found)}."] if outcome.found else []
        parts += [self._gold(), hint_for_outcome(outcome)]
        news = self._happenings.news
        meanwhile = news.take(MEANWHILE_MAX) if news else []
        more = f"\nMeanwhile: {' '.join(meanwhile)}" if meanwhile else ""
        why = outcome.why if isinstance(outcome, NoWay) else None
        return self._answer(
            head + " ".join(part for part in parts if part) + more,
            outcome.reason,
            ok=outcome.ok,
            why=why,
            amount=journey.taken or None,
            found=list(journey.found) or None,
        )

    async def _tell_progress(self, journey: Journey, seconds: float, progress: ToolProgress | None) -> None:
        """Tell every few seconds how much of the time is spent, and in words how far it has come."""
        spent_s = 0.0
        while progress is not None:
            await asyncio.sleep(PROGRESS_EVERY_S)
            spent_s += PROGRESS_EVERY_S
            found = f" Found {', '.join(journey.found)}." if journey.found else ""
            await progress(spent_s, seconds, f"{self._place()} {self._gold()}{found}")

    # -- private: standing still --

    def _harvesting(self) -> bool:
        return self.agent.me is not None and self.agent.me.activity_state == "harvesting"

    def _stop_later(self) -> None:
        if self._users:
            self._stopping = asyncio.get_running_loop().create_task(self._stand_still())

    async def _stand_still(self) -> None:
        """End a harvest whose caller has gone, once the world shows it: by a move to the agent's own cell.

        On an exit that would lead out of the chunk: there it takes a step inwards.
        """
        with contextlib.suppress(ChunkcrawlError):
            harvesting = await self.agent.wait_until(lambda _: self._harvesting(), STAND_STILL_WAIT_S)
            if harvesting and self.agent.position is not None:
                cell = self.agent.view.next_free(*self.agent.position)
                if cell is not None:
                    await self.agent.move_to(*cell, timeout_s=STAND_STILL_WAIT_S)

    # -- private: words --

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
                f"that client must end and {self._again}."
            )
        if agent.ended is not None:
            return f"STALE: the connection has ended for good ({agent.ended.reason}); {self._again}."
        if agent.away_s is not None:
            return f"STALE: the world's server is away {since}; you see what was then. It is tried again: wait."
        if agent.silent_s > SILENT_S:
            return f"STALE: the world's server says nothing for {agent.silent_s:.0f} s; you see what was then. Wait."
        return ""


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), JOURNEY_MAX_S)

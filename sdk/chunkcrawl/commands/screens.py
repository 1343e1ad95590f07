"""Playing and watching in a terminal: the loops behind ``chunkcrawl play`` and ``chunkcrawl watch``."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, nullcontext
from typing import Any, Final

import msgspec
from rich.console import Console, RenderableType
from rich.live import Live

from chunkcrawl.agent import Agent
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import BotName, make_bot
from chunkcrawl.commands.keyboard import DIRECTIONS, raw_keys
from chunkcrawl.errors import CommandDropped, CommandFailed, CommandRefused, OutcomeUnknown
from chunkcrawl.view.command_log import CommandLog
from chunkcrawl.view.drawing import chat_lines, facts, names_of, screen
from chunkcrawl.view.plain import plain
from chunkcrawl.view.signs import Signs
from chunkcrawl.view.world_view import WorldView
from chunkcrawl.watcher import Watcher
from chunkcrawl.wire.messages import Event

__all__ = ["Player", "as_json_line", "away_words", "play", "show_json", "watch"]

FRAMES_PER_S: Final = 8
FACTS_EVERY_S: Final = 1.0
LINES_KEPT: Final = 50
LINE_MAX_CHARS: Final = 500
CHAT_MAX_CHARS: Final = 200
HELP: Final = "arrows/wasd/hjkl walk   g harvest   t say   q quit"


class Screen:
    """The screen and what it shows besides the view.  Without a terminal to draw on: lines, as things happen.

    Args:
        view: What is drawn; its agent's commands are shown, if it has an agent.
        status: Gives the line at the bottom.
        console: Where to draw.
    """

    def __init__(self, view: WorldView, status: Callable[[], str], *, console: Console | None = None) -> None:
        self.view, self.status = view, status
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.commands = CommandLog()
        self.console = console or Console()
        self._signs = Signs()

    def note(self, event: Event) -> None:
        """Keep the event's lines."""
        lines = chat_lines(event)
        self.lines.extend(lines)
        command = self.commands.feed(event)
        if not self.console.is_terminal:
            for line in [*lines, *([command] if command is not None else [])]:
                self._print(line)

    async def run(self) -> None:
        """Draw until cancelled."""
        if not self.console.is_terminal:
            return await self._print_facts()
        with Live(console=self.console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(self._drawn(), refresh=True)
                await asyncio.sleep(1 / FRAMES_PER_S)

    def _drawn(self) -> RenderableType:
        commands = [command.line for command in self.commands.newest_last]
        return screen(
            self.view,
            list(self.lines),
            self.status(),
            (self.console.width, self.console.height),
            signs=self._signs.of(names_of(self.view)),
            commands=commands if self.view.agent_id is not None else None,
        )

    async def _print_facts(self) -> None:
        last = ""
        while True:
            if self.view.grid and (now := facts(self.view)) != last:
                last = now
                self._print(now)
            await asyncio.sleep(FACTS_EVERY_S)

    def _print(self, line: str) -> None:
        self.console.print(plain(line, LINE_MAX_CHARS), markup=False, highlight=False, soft_wrap=True)


class Player:
    """What keys make an agent do.  At most one step is waiting at a time: the newest key wins."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.over = asyncio.Event()
        self.status = HELP
        self.draft: str | None = None
        self._wish: tuple[str, Any] | None = None
        self._wished = asyncio.Event()

    def press(self, key: str) -> None:
        """Take a key."""
        if self.draft is not None:
            self._type(key)
        elif key in DIRECTIONS:
            self._want("step", DIRECTIONS[key])
        elif key == "g":
            self._want("harvest", None)
        elif key in ("t", "enter"):
            self.draft = ""
        elif key in ("q", "end"):
            self.over.set()

    def _type(self, key: str) -> None:
        assert self.draft is not None
        if key == "enter":
            if self.draft:
                self._want("say", self.draft)
            self.draft = None
        elif key == "escape":
            self.draft = None
        elif key == "backspace":
            self.draft = self.draft[:-1]
        elif len(key) == 1:
            self.draft = (self.draft + key)[:CHAT_MAX_CHARS]

    def _want(self, kind: str, what: Any) -> None:
        self._wish = (kind, what)
        self._wished.set()

    def status_line(self) -> str:
        """Return the line at the bottom."""
        if self.draft is not None:
            return f"say: {self.draft}_"
        return self.status if self.agent.connected else "reconnecting ..."

    async def run(self) -> None:
        """Do what was wished, one after the other, until cancelled.

        Raises:
            ChunkcrawlError: The connection has ended for good.
        """
        harvesting: set[asyncio.Task[None]] = set()
        try:
            while True:
                await self._wished.wait()
                self._wished.clear()
                if self._wish is None:
                    continue
                (kind, what), self._wish = self._wish, None
                work = asyncio.get_running_loop().create_task(self._do(kind, what))
                harvesting.add(work)
                if kind == "harvest":
                    # A harvest lasts; the next key interrupts it, as the world allows.
                    await asyncio.wait({work}, timeout=0)
                else:
                    await asyncio.wait({work})
                for over in [task for task in harvesting if task.done()]:
                    harvesting.remove(over)
                    over.result()
        finally:
            for task in harvesting:
                task.cancel()
            await asyncio.gather(*harvesting, return_exceptions=True)

    async def _do(self, kind: str, what: Any) -> None:
        try:
            if kind == "say":
                await self.agent.say(what)
            elif kind == "harvest":
                await self._harvest()
            elif self.agent.position is not None:
                x, y = self.agent.position
                await self.agent.move_to(x + what[0], y + what[1])
            self.status = HELP
        except (CommandRefused, CommandFailed, CommandDropped, OutcomeUnknown) as refused:
            self.status = str(refused)

    async def _harvest(self) -> None:
        found = self.agent.view.nearest_gold()
        if found is None:
            self.status = "no gold to reach here"
            return
        node, cell = found
        if cell != self.agent.position:
            await self.agent.move_to(*cell)
        self.status = f"harvesting {node.node_id}"
        await self.agent.harvest(node)


async def play(agent: Agent, *, bot: BotName | None, seed: int | None, as_json: bool, keys: bool) -> None:
    """Play an agent that is to be connected, until ``q``, cancellation or the end of its connection.

    Args:
        agent: From ``Agent.connect``, not entered yet.
        bot: Who decides; None for the keys.
        seed: Of the bot's decisions.
        as_json: Print events as lines in place of the screen.
        keys: Whether stdin is a terminal to read keys from.
    """
    async with agent:
        events = agent.events()
        player = Player(agent)
        screen = Screen(agent.view, player.status_line)
        with raw_keys(player.press) if keys else nullcontext():
            work = [_print_all(events) if as_json else _note_all(events, screen)]
            work += [drive(agent, make_bot(bot), random.Random(seed))] if bot else []
            work += [player.run()] if keys else []
            work += [] if as_json else [screen.run()]
            await _first_of([*work, player.over.wait()])


async def watch(watcher: Watcher) -> None:
    """Show a stream as a screen until it ends or is cancelled."""
    screen = Screen(watcher.view, lambda: away_words(watcher) or "watching; Ctrl-C to leave")

    async def follow() -> None:
        async with aclosing(watcher.events()) as events:
            async for event in events:
                screen.note(event)

    async with watcher:
        await _first_of([follow(), screen.run(), *([] if screen.console.is_terminal else [_tell_away(watcher)])])


async def show_json(watcher: Watcher) -> None:
    """Print a stream's events as lines until it ends or is cancelled."""
    async with watcher, aclosing(watcher.events()) as events:
        await _first_of([_print_all(events), _tell_away(watcher)])


def away_words(watcher: Watcher) -> str:
    """Say that the server is gone, why, and when it is tried again; empty while there is a connection."""
    if watcher.connected:
        return ""
    if not watcher.connections:
        gone = "no answer from the server yet"
    else:
        gone = "the server is gone" if watcher.problem is not None else "the server has ended the stream"
    why = f" ({watcher.problem.reason})" if watcher.problem is not None else ""
    if watcher.next_try_at is None:
        return f"{gone}{why}; trying now"
    wait_s = max(0.0, watcher.next_try_at - asyncio.get_running_loop().time())
    return f"{gone}{why}; next try in {wait_s:.0f} s"


async def _tell_away(watcher: Watcher) -> None:
    """Say on stderr, where there is no screen, that the server is gone, before each try, and when it is back."""
    told: float | None = None
    while True:
        if watcher.next_try_at is not None and watcher.next_try_at != told:
            told = watcher.next_try_at
            print(plain(away_words(watcher), LINE_MAX_CHARS), file=sys.stderr, flush=True)
        elif watcher.connected and told is not None:
            told = None
            print("the server is back", file=sys.stderr, flush=True)
        await asyncio.sleep(1 / FRAMES_PER_S)


def as_json_line(event: Event) -> str:
    """Return an event as a line: the flat form, with ``type``, ``event_id`` if it has one, and its fields."""
    fields: dict[str, Any] = {"type": event.type}
    if event.event_id:
        fields["event_id"] = event.event_id
    if event.trace_id:
        fields |= {"trace_id": event.trace_id, "server_ts_ms": event.server_ts_ms}
    own = msgspec.json.decode(event.raw)
    # ASCII only: a line of output stays a line whatever strangers say.
    return json.dumps(fields | (own if isinstance(own, dict) else {"payload": own}), separators=(",", ":"))


# -- private --


async def _print_all(events: AsyncIterator[Event]) -> None:
    async for event in events:
        print(as_json_line(event), file=sys.stdout, flush=True)


async def _note_all(events: AsyncIterator[Event], screen: Screen) -> None:
    async for event in events:
        screen.note(event)


async def _first_of(work: list[Any]) -> None:
    """Run all until the first ends; its error is ours, the others are cancelled."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

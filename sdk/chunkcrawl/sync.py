"""The same agent without asyncio, for notebooks and scripts.

    from chunkcrawl.sync import Agent

    with Agent.connect(base, agent_id="scout-1", api_key=key) as me:
        me.move_to(25, 30)
        print(me.explore(3))
        for event in me.events():
            print(event.type)

Every method of ``chunkcrawl.Agent`` is there under its name and waits for its end; what it raises is the same.  All
agents of a process share one background thread with one event loop.  Ctrl-C while one waits cancels what it waits for.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, TypeVar

from chunkcrawl import agent as asynchronous
from chunkcrawl.agent import EVENTS_LIMIT, JOURNEY_TIMEOUT_S, Exploring, Following, Going, Harvesting
from chunkcrawl.transport.callbacks import Callback
from chunkcrawl.transport.connection import AWAY_TIMEOUT_S
from chunkcrawl.transport.conversation import COMMAND_TIMEOUT_S
from chunkcrawl.transport.history import HistoryEntry
from chunkcrawl.transport.writings import Note, Thought
from chunkcrawl.view.paths import Point
from chunkcrawl.view.world_map import WorldMap
from chunkcrawl.view.world_view import GoldNode, WorldView
from chunkcrawl.wire.messages import AgentView, Event
from chunkcrawl.wire.protocol import Completed

__all__ = ["Agent"]

_Result = TypeVar("_Result")


class _Loop:
    """One event loop in a daemon thread, started when it is first used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run ``work`` in the loop and wait for its end; an interrupt cancels it first."""
        future: Future[_Result] = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            # A fork takes the loop along, but not the thread that runs it.
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=self._loop.run_forever, name="chunkcrawl", daemon=True).start()
            return self._loop


_LOOP: Final = _Loop()


class Agent:
    """An agent whose methods wait.  Make it with ``Agent.connect`` and use it in a ``with`` block.

    Attributes:
        agent_id, view, map: As those of ``chunkcrawl.Agent``; they change while nothing is called, too.
    """

    def __init__(self, make: Callable[[], asynchronous.Agent]) -> None:
        """Use ``Agent.connect`` instead."""

        async def made() -> asynchronous.Agent:
            return make()

        self._agent = _LOOP.run(made())

    @classmethod
    def connect(
        cls,
        base: str,
        *,
        agent_id: str,
        api_key: str | None = None,
        retries: int = 5,
        open_timeout_s: float = 15.0,
        command_timeout_s: float | None = COMMAND_TIMEOUT_S,
        away_timeout_s: float | None = AWAY_TIMEOUT_S,
        map_file: str | os.PathLike[str] | None = None,
    ) -> Agent:
        """Return an agent that connects when it is entered (``with``); see ``chunkcrawl.Agent.connect``."""
        return cls(
            lambda: asynchronous.Agent.connect(
                base,
                agent_id=agent_id,
                api_key=api_key,
                retries=retries,
                open_timeout_s=open_timeout_s,
                command_timeout_s=command_timeout_s,
                away_timeout_s=away_timeout_s,
                map_file=map_file,
            )
        )

    def __enter__(self) -> Agent:
        _LOOP.run(self._agent.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave; the agent stays in the world for the server's grace time."""
        _LOOP.run(self._agent.close())

    # -- acting --

    def move_to(self, x: int, y: int, *, timeout_s: float | None = None) -> Completed:
        """Walk to a cell of the present chunk; see ``chunkcrawl.Agent.move_to``."""
        return _LOOP.run(self._agent.move_to(x, y, timeout_s=timeout_s))

    def say(self, text: str, *, timeout_s: float | None = None) -> Completed:
        """Say something to the chunk; see ``chunkcrawl.Agent.say``."""
        return _LOOP.run(self._agent.say(text, timeout_s=timeout_s))

    def harvest(self, node: str | GoldNode, *, timeout_s: float | None = None) -> Completed:
        """Take gold from a node until it is empty; see ``chunkcrawl.Agent.harvest``."""
        return _LOOP.run(self._agent.harvest(node, timeout_s=timeout_s))

    def give(self, agent_id: str, amount: int, *, timeout_s: float | None = None) -> Completed:
        """Give gold to an agent that stands beside this one; see ``chunkcrawl.Agent.give``."""
        return _LOOP.run(self._agent.give(agent_id, amount, timeout_s=timeout_s))

    def command(self, cmd: Mapping[str, Any], *, timeout_s: float | None = None) -> Completed:
        """Carry out any command; see ``chunkcrawl.Agent.command``."""
        return _LOOP.run(self._agent.command(cmd, timeout_s=timeout_s))

    # -- whole intentions --

    def go_to(self, chunk_id: str, x: int, y: int, *, timeout_s: float | None = JOURNEY_TIMEOUT_S) -> Going:
        """Go to a cell of any known chunk; see ``chunkcrawl.Agent.go_to``."""
        return _LOOP.run(self._agent.go_to(chunk_id, x, y, timeout_s=timeout_s))

    def explore(self, chunks: int = 1, *, timeout_s: float | None = JOURNEY_TIMEOUT_S) -> Exploring:
        """Enter so many chunks for the first time; see ``chunkcrawl.Agent.explore``."""
        return _LOOP.run(self._agent.explore(chunks, timeout_s=timeout_s))

    def harvest_nearest(
        self, amount: int | None = None, *, explore: bool = False, timeout_s: float | None = JOURNEY_TIMEOUT_S
    ) -> Harvesting:
        """Take gold from the nearest nodes; see ``chunkcrawl.Agent.harvest_nearest``."""
        return _LOOP.run(self._agent.harvest_nearest(amount, explore=explore, timeout_s=timeout_s))

    def follow(self, agent_id: str, *, distance: int = 2, timeout_s: float | None = JOURNEY_TIMEOUT_S) -> Following:
        """Stay near another agent; see ``chunkcrawl.Agent.follow``."""
        return _LOOP.run(self._agent.follow(agent_id, distance=distance, timeout_s=timeout_s))

    # -- looking --

    def events(self, limit: int = EVENTS_LIMIT) -> Iterator[Event]:
        """Return every event from now on; ``next`` waits for one.  See ``chunkcrawl.Agent.events``."""

        async def begun() -> AsyncIterator[Event]:
            return aiter(self._agent.events(limit))

        return _waiting(_LOOP.run(begun()))

    def on(self, what: str | type[Event], callback: Callback) -> Callable[[], None]:
        """Have a function called for every such event, in the background thread; see ``chunkcrawl.Agent.on``."""

        async def work() -> Callable[[], None]:
            return self._agent.on(what, callback)

        return _LOOP.run(work())

    def wait_until(self, condition: Callable[[WorldView], bool], timeout_s: float | None = COMMAND_TIMEOUT_S) -> bool:
        """Wait until ``condition(view)`` holds; False when the time was up."""
        return _LOOP.run(self._agent.wait_until(condition, timeout_s))

    def think(self, text: str, *, doing: str | None = None) -> Thought:
        """Tell what the agent thinks; see ``chunkcrawl.Agent.think``."""
        return _LOOP.run(self._agent.think(text, doing=doing))

    def remember(self, name: str, text: str) -> Note:
        """Keep a note; see ``chunkcrawl.Agent.remember``."""
        return _LOOP.run(self._agent.remember(name, text))

    def recall(self) -> list[Note]:
        """Return all notes of the agent."""
        return _LOOP.run(self._agent.recall())

    def forget(self, name: str) -> None:
        """Delete a note."""
        _LOOP.run(self._agent.forget(name))

    def history(
        self,
        *,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        kinds: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[HistoryEntry]:
        """Return what this agent did and was given, newest first; see ``chunkcrawl.Agent.history``."""

        async def work() -> list[HistoryEntry]:
            return [one async for one in self._agent.history(since=since, until=until, kinds=kinds, limit=limit)]

        return _LOOP.run(work())

    @property
    def agent_id(self) -> str:
        """The agent."""
        return self._agent.agent_id

    @property
    def view(self) -> WorldView:
        """What is known of its chunk."""
        return self._agent.view

    @property
    def map(self) -> WorldMap:
        """What is known of every chunk it has been in."""
        return self._agent.map

    @property
    def me(self) -> AgentView | None:
        """The agent as everybody sees it, None while it is not in the world."""
        return self._agent.me

    @property
    def position(self) -> Point | None:
        """The agent's cell ``(x, y)``."""
        return self._agent.position

    @property
    def chunk_id(self) -> str | None:
        """The present chunk."""
        return self._agent.chunk_id


def _waiting(events: AsyncIterator[Event]) -> Iterator[Event]:
    async def step() -> Event:
        return await anext(events)

    while True:
        try:
            yield _LOOP.run(step())
        except StopAsyncIteration:
            return

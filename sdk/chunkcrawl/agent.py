"""``Agent``: play one agent of the world from asyncio code.

    async with Agent.connect("http://127.0.0.1:8000", agent_id="scout-1", api_key=key) as me:
        await me.move_to(25, 30)
        await me.say("hello")

A shell around ``Conversation`` (commands), ``AgentConnection`` (the socket) and ``WorldView`` (what is known).  Safe
for concurrent use from tasks of one event loop; not from other threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import os
import random
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeAlias
from weakref import WeakSet

from chunkcrawl.errors import AgentClosed, ChunkcrawlError, ProtocolViolation, ServerUnreachable
from chunkcrawl.journeys.journey import Journey
from chunkcrawl.journeys.outcomes import (
    Arrived,
    Explored,
    Harvested,
    LostSight,
    NoGold,
    NoWay,
    StillFollowing,
    TimedOut,
)
from chunkcrawl.transport.callbacks import Callback, Callbacks
from chunkcrawl.transport.connection import AWAY_TIMEOUT_S, AgentConnection, OpenSocket
from chunkcrawl.transport.conversation import COMMAND_TIMEOUT_S, Conversation
from chunkcrawl.transport.history import HistoryEntry, read_history
from chunkcrawl.transport.http import Api, Session
from chunkcrawl.transport.sessions import SessionKeeper
from chunkcrawl.transport.shared_api import SharedApi
from chunkcrawl.transport.stream_queue import EventQueue
from chunkcrawl.transport.writings import Note, Thought, forget_note, read_notes, think, write_note
from chunkcrawl.view.paths import Point
from chunkcrawl.view.world_map import WorldMap, write_whole
from chunkcrawl.view.world_view import GoldNode, WorldView
from chunkcrawl.wire.messages import AgentView, ChunkDelta, ChunkStatic, Event
from chunkcrawl.wire.protocol import AgentProtocol, Completed

__all__ = ["Agent"]

log = logging.getLogger("chunkcrawl.client")

#: How long a result waits for the delta of its tick, which travels in another stream and may be a moment behind.
VIEW_WAIT_S: Final = 1.0

END_SESSION_TIMEOUT_S: Final = 0.7
EVENTS_LIMIT: Final = 256
#: How long a journey may take unless it is said.
JOURNEY_TIMEOUT_S: Final = 300.0

Going: TypeAlias = Arrived | NoWay | TimedOut
Exploring: TypeAlias = Explored | NoWay | TimedOut
Harvesting: TypeAlias = Harvested | NoGold | NoWay | TimedOut
Following: TypeAlias = StillFollowing | LostSight


class Agent:
    """One agent in the world.  Make it with ``Agent.connect`` and use it as an async context manager.

    One command is in flight at a time: calls from several tasks take turns.  A harvest alone can be interrupted, as in
    the world: it lets the next command pass once it has been accepted, and then raises ``Interrupted``.

    Cancelling a call before its challenge was answered means that nothing happens; later, the command goes on in the
    world without you, and the next one waits until it is over.

    No call waits for ever: a command has ``command_timeout_s``, or its own ``timeout_s``; a connection that stays away
    for ``away_timeout_s`` is the end of the agent, and whoever waits for it gets ``ServerUnreachable``; while there is
    one, an event comes within 30 s, if only a heartbeat.

    Attributes:
        agent_id: The agent.
        view: What is known of its chunk, kept up to date by every event.
        map: What is known of every chunk it has been in; see ``map_file`` of ``connect``.
    """

    def __init__(
        self,
        api: Api,
        agent_id: str,
        sessions: SessionKeeper,
        *,
        retries: int,
        rng: random.Random,
        shared: SharedApi | None = None,
        command_timeout_s: float | None = COMMAND_TIMEOUT_S,
        away_timeout_s: float | None = AWAY_TIMEOUT_S,
        open_socket: OpenSocket | None = None,
    ) -> None:
        """Use ``Agent.connect`` instead; this is for those who bring their own sessions."""
        self.agent_id = agent_id
        self.view = WorldView(agent_id)
        self.map = WorldMap()
        self._map_file: Path | None = None
        self._saving: asyncio.Task[None] | None = None
        self.open_timeout_s = 15.0
        self._api = api
        self._shared = shared or SharedApi.own(api)
        self._entered = False
        self._sessions = sessions
        self._retries = retries
        self._command_timeout_s = command_timeout_s
        self._end: ChunkcrawlError | None = None
        protocol = AgentProtocol(agent_id, id_prefix=secrets.token_hex(4))
        self._conversation = Conversation(
            protocol, send=self._send, on_event=self._happened, is_active=self._is_active, rng=rng
        )
        self._connection = AgentConnection(
            api.base,
            agent_id,
            sessions,
            on_open=self._conversation.opened,
            on_frame=self._conversation.frame,
            on_lost=self._conversation.lost,
            last_event_id=lambda: protocol.last_event_id,
            rng=rng,
            away_timeout_s=away_timeout_s,
            open_socket=open_socket,
        )
        self._queues: WeakSet[EventQueue] = WeakSet()
        self._callbacks = Callbacks()
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @classmethod
    def connect(
        cls,
        base: str,
        *,
        agent_id: str,
        api_key: str | None = None,
        session: Session | None = None,
        api: Api | None = None,
        retries: int = 5,
        open_timeout_s: float = 15.0,
        command_timeout_s: float | None = COMMAND_TIMEOUT_S,
        away_timeout_s: float | None = AWAY_TIMEOUT_S,
        map_file: str | os.PathLike[str] | None = None,
        rng: random.Random | None = None,
        open_socket: OpenSocket | None = None,
    ) -> Agent:
        """Return an agent that connects when it is entered (``async with``), and from then on stays connected.

        Args:
            base: The server, for instance ``http://127.0.0.1:8000``.
            agent_id: 1..128 of ``A-Z a-z 0-9 _ . -``; it belongs to the account that first plays it.
            api_key: Opens sessions, now and whenever one has died.
            session: A session of role ``agent`` in place of ``api_key``; it can't be replaced when it ends.
            api: An HTTP client of one's own; it is left open.  None: one that all agents of this event loop share.
            retries: Further tries of a command after ``busy``, ``rate_limited`` or ``expired_challenge``; 0 for none.
            open_timeout_s: How long entering may take, tries included.
            command_timeout_s: How long a command may take from call to end, unless it is given a ``timeout_s``: its
                turn, a connection that is away and all tries included.  None: as long as the agent lasts.
            away_timeout_s: How long a lost connection is tried again before the agent is over.  None: for ever.
            map_file: Where ``map`` is kept from one time to the next: read now if it is there, and written whenever a
                chunk is entered and at the end.  A file for each agent.  None: the map lasts as long as the agent.
            rng: Where the jitter comes from.
            open_socket: Opens the socket in place of the library, for an agent in the server's own process.

        Raises:
            MapUnreadable, OSError: ``map_file`` can't be read.

        Entering raises ``ServerUnreachable`` when nobody answered in time, and an ``ApiError`` when the server refuses
        the key, the session or the agent.
        """
        rng = rng or random.Random()
        shared = SharedApi.of(base) if api is None else SharedApi.own(api)
        sessions = SessionKeeper.of_role(shared.api, "agent", agent_id, api_key=api_key, session=session, rng=rng)
        agent = cls(
            shared.api,
            agent_id,
            sessions,
            retries=retries,
            rng=rng,
            shared=shared,
            command_timeout_s=command_timeout_s,
            away_timeout_s=away_timeout_s,
            open_socket=open_socket,
        )
        agent.open_timeout_s = open_timeout_s
        if map_file is not None:
            agent.map, agent._map_file = WorldMap.load(map_file), Path(map_file)
        return agent

    # -- coming and going --

    async def __aenter__(self) -> Agent:
        self._shared.enter()
        self._entered = True
        self._running = asyncio.get_running_loop().create_task(self._run(), name=f"agent {self.agent_id}")
        try:
            if not await self.wait_until(lambda view: view.ready and view.me is not None, self.open_timeout_s):
                raise self._connection.last_problem or ServerUnreachable(
                    f"not in the world after {self.open_timeout_s:g} s"
                )
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave: the socket closes, the session ends.  The agent stays in the world for the server's grace time."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        self._finish(AgentClosed("this agent was closed"))
        await self._callbacks.close()
        if self._saving is not None:
            await asyncio.gather(self._saving, return_exceptions=True)
        if self._map_file is not None and self.map.chunks:
            try:
                self.map.save(self._map_file)
            except OSError as error:
                log.warning("the map could not be written: %s", error)
        with contextlib.suppress(ChunkcrawlError, TimeoutError):
            await asyncio.wait_for(self._sessions.end(), END_SESSION_TIMEOUT_S)
        if self._entered:
            self._entered = False
            await self._shared.leave()

    async def _run(self) -> None:
        try:
            await self._connection.run()
        except ChunkcrawlError as error:
            self._finish(error)
        except Exception as error:
            # A bug of ours must reach whoever waits for this agent, not vanish with a background task.
            self._finish(ProtocolViolation(f"{type(error).__name__}: {error}", reason="client_error"))
            raise

    def _finish(self, error: ChunkcrawlError) -> None:
        self._end = self._end or error
        self._conversation.finish(error)
        for queue in self._queues:
            queue.end(None if type(error) is AgentClosed else error)
        self._changed.set()

    def drop_connection(self) -> None:
        """Cut the present connection as a network failure would, to try what happens then; it reconnects by itself."""
        self._connection.abort()

    # -- acting --

    async def move_to(self, x: int, y: int, *, timeout_s: float | None = None) -> Completed:
        """Walk to a cell of the present chunk, one cell a tick (0.2 s); a boundary cell leads into the next chunk.

        Args:
            x: 0..49, west to east.
            y: 0..49, south to north.
            timeout_s: See ``command``.

        Returns:
            When it has arrived; the view shows it there, or in the next chunk.

        Raises:
            OutOfBounds, Unreachable: Refused at once.
            Blocked: Somebody stood in the way; the agent is where it was then.
            ChunkcrawlError: See ``command``.
        """
        completed = await self.command({"type": "move_to", "x": x, "y": y}, timeout_s=timeout_s)
        ended = completed.ended_tick if completed.ended_tick is not None else -1
        await self.wait_until(lambda view: view.ready and view.tick >= ended, VIEW_WAIT_S)
        return completed

    async def say(self, text: str, *, timeout_s: float | None = None) -> Completed:
        """Say something to the chunk: one line, 1..200 characters, one message per 2 s.

        Raises:
            InvalidCommand: Empty or too long after control characters were removed.
            BannedWords: Not said; ``strikes_left`` more mute the agent.
            Muted: The agent may not talk for ``retry_after_ms``.
            RateLimited: Too fast still after all tries.
            ChunkcrawlError: See ``command``.
        """
        return await self.command({"type": "say", "text": text}, timeout_s=timeout_s)

    async def harvest(self, node: str | GoldNode, *, timeout_s: float | None = None) -> Completed:
        """Take gold from a node within one step until it is empty or another command is given.

        Returns:
            When this agent took the last unit (``reason`` is ``node_depleted``).

        Raises:
            NodeNotFound, TooFar, Depleted: Refused at once.
            RanDry: Somebody else took the last unit.
            Interrupted: This agent's next command was accepted.
            ChunkcrawlError: See ``command``.
        """
        node_id = node.node_id if isinstance(node, GoldNode) else node
        return await self.command({"type": "harvest", "node_id": node_id}, timeout_s=timeout_s)

    async def give(self, agent_id: str, amount: int, *, timeout_s: float | None = None) -> Completed:
        """Give gold to an agent of the same chunk that stands beside this one; it has it at once.

        Raises:
            AgentNotFound, TooFar, Insufficient: Refused at once, nothing was given.
            ChunkcrawlError: See ``command``.
        """
        return await self.command({"type": "give", "agent_id": agent_id, "amount": amount}, timeout_s=timeout_s)

    async def command(self, cmd: Mapping[str, Any], *, timeout_s: float | None = None) -> Completed:
        """Carry out any command and wait for its end, over lost connections too.

        Args:
            cmd: For instance ``{"type": "say", "text": "hello"}``.
            timeout_s: How long to wait at most, in all; None for the agent's ``command_timeout_s``.

        Raises:
            CommandRefused, CommandFailed: With the server's reason; ``busy``, ``rate_limited`` and
                ``expired_challenge`` only after ``retries`` further tries.
            OutcomeUnknown: The connection or the server's history was lost and nothing more was heard of the command.
            StillRunning: Accepted, but not over in time; it goes on.
            CommandDropped: Not decided in time; nothing has happened, and nothing will.
            TakenOver: A newer connection plays this agent.
            ServerUnreachable: No connection in time; the command was not sent, and will not be.
            AgentClosed, ApiError: There is no connection, and there won't be.
        """
        hold = cmd.get("type") != "harvest"
        bound_s = self._command_timeout_s if timeout_s is None else timeout_s
        return await self._conversation.perform(cmd, retries=self._retries, hold=hold, timeout_s=bound_s)

    async def think(self, text: str, *, doing: str | None = None) -> Thought:
        """Tell the agent's owner what it thinks; it becomes part of the history, and costs no time in the world.

        Args:
            text: One line, 1..280 characters.
            doing: What it is the reason for, in one word, as ``go_to``.

        Raises:
            ApiError: ``banned_words``, which counts against the agent; ``muted``; ``rate_limited``.
            ServerUnreachable: As every call of ``Api``.
        """
        return await think(self._api, self.agent_id, await self._token(), text, doing)

    async def remember(self, name: str, text: str) -> Note:
        """Keep a note for later, over the one of that name; 64 of 500 characters at most.

        Raises:
            ApiError: ``notes_full``; ``rate_limited``.  ``ServerUnreachable``.
        """
        return await write_note(self._api, self.agent_id, await self._token(), name, text)

    async def recall(self) -> list[Note]:
        """Return all notes of the agent, written last first.  Raises ``ApiError``, ``ServerUnreachable``."""
        return await read_notes(self._api, self.agent_id, await self._token())

    async def forget(self, name: str) -> None:
        """Delete a note.  Raises ``ApiError``: ``note_not_found``; ``ServerUnreachable``."""
        await forget_note(self._api, self.agent_id, await self._token(), name)

    # -- whole intentions --

    async def go_to(self, chunk_id: str, x: int, y: int, *, timeout_s: float | None = JOURNEY_TIMEOUT_S) -> Going:
        """Go to a cell of any chunk to which ``map`` knows a way, round whoever stands in it.

        Returns:
            ``Arrived``; ``NoWay`` (``why`` says why); ``TimedOut``.

        Raises:
            AgentClosed, ApiError: There is no connection any more.  So do all journeys.
        """
        return await Journey(self).go_to(chunk_id, x, y, timeout_s)

    async def explore(self, chunks: int = 1, *, timeout_s: float | None = JOURNEY_TIMEOUT_S) -> Exploring:
        """Enter so many chunks for the first time, by the nearest doors that nobody was seen to pass.

        Returns:
            ``Explored`` (``found`` names them); ``NoWay``; ``TimedOut`` with those it came to.
        """
        return await Journey(self).explore(chunks, timeout_s)

    async def harvest_nearest(
        self, amount: int | None = None, *, explore: bool = False, timeout_s: float | None = JOURNEY_TIMEOUT_S
    ) -> Harvesting:
        """Take gold from the nearest nodes, here and in chunks where the map knows some.

        Args:
            amount: At least so much, node after node; None: what the nearest node gives.
            explore: Look for more in chunks that were never entered, when none is known.
            timeout_s: How long at most.

        Returns:
            ``Harvested`` with the amount; ``NoGold``, ``NoWay`` or ``TimedOut``, with what was taken up to then.
        """
        return await Journey(self).harvest(amount, timeout_s, explore=explore)

    async def follow(
        self, agent_id: str, *, distance: int = 2, timeout_s: float | None = JOURNEY_TIMEOUT_S
    ) -> Following:
        """Stay within ``distance`` steps of another agent, through doors too.

        Returns:
            ``StillFollowing`` when the time was up; ``LostSight`` when it is out of sight for good.
        """
        return await Journey(self).follow(agent_id, distance, timeout_s)

    # -- looking --

    def events(self, limit: int = EVENTS_LIMIT) -> EventQueue:
        """Return every event from now on, as an async iterator; see ``EventQueue`` for what happens at ``limit``.

        It ends when the agent is closed, and raises what ended it otherwise, for instance ``TakenOver``.  While the
        connection is away nothing comes, for ``away_timeout_s`` at most; ``asyncio.timeout`` around a step loses
        nothing.
        """
        queue = EventQueue(limit)
        self._queues.add(queue)
        return queue

    def on(self, what: str | type[Event], callback: Callback) -> Callable[[], None]:
        """Have a function called for every such event from now on; returns one that ends that.

        Args:
            what: A class of event (``ChunkDelta``; ``Event`` for all), an event's name (``chunk_transition``), or that
                of something that happens in the chunk (``chat``, ``agent_joined``, ``agent_left``, ``blocked``, ...).
            callback: Gets the event, or what happened as a dictionary.  The view has taken the event in by then.  A
                coroutine function runs beside the connection, so it may give commands; a plain one must be quick.
                What it raises is logged.
        """
        return self._callbacks.add(what, callback)

    async def wait_until(
        self, condition: Callable[[WorldView], bool], timeout_s: float | None = COMMAND_TIMEOUT_S
    ) -> bool:
        """Wait until ``condition(view)`` holds; it is asked after every event.  False when the time was up.

        ``timeout_s`` None waits for as long as the agent lasts.

        Raises:
            AgentClosed, ApiError: There is no connection any more.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition(self.view):
                    self._conversation.check_open()
                    self._changed.clear()
                    await self._changed.wait()
        return condition(self.view)

    async def history(
        self,
        *,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        kinds: Sequence[str] = (),
        limit: int | None = None,
    ) -> AsyncGenerator[HistoryEntry, None]:
        """Yield what this agent did and was given, newest first; a second or so behind the game, kept for days.

        Args:
            since, until: From when on, and before when; without a zone they are UTC.
            kinds: Only these of ``join``, ``leave``, ``result``, ``crossing``, ``harvest``, ``give``, ``chat``.
            limit: At most so many; None: all that is kept.

        Raises:
            ApiError, ServerUnreachable: As every call of ``Api``.
        """
        token = await self._token()
        pages = read_history(self._api, self.agent_id, token, since=since, until=until, kinds=kinds, limit=limit)
        async with contextlib.aclosing(pages):
            async for entry in pages:
                yield entry

    @property
    def api(self) -> Api:
        """The HTTP client that it uses."""
        return self._api

    @property
    def me(self) -> AgentView | None:
        """The agent as everybody sees it, None while it is not in the world."""
        return self.view.me

    @property
    def position(self) -> Point | None:
        """The agent's cell ``(x, y)``."""
        return self.view.position

    @property
    def others(self) -> dict[str, AgentView]:
        """Everybody else in the chunk by id."""
        return self.view.others

    @property
    def grid(self) -> list[list[int]]:
        """The chunk's terrain, ``grid[y][x]``: 0 floor, 1 wall."""
        return self.view.grid

    @property
    def gold(self) -> dict[str, GoldNode]:
        """The chunk's gold nodes by id."""
        return self.view.gold

    @property
    def chunk_id(self) -> str | None:
        """The present chunk."""
        return self.view.chunk_id

    @property
    def connected(self) -> bool:
        """Whether commands can be sent right now; while not, they wait."""
        return self._conversation.connected

    @property
    def ended(self) -> ChunkcrawlError | None:
        """What ended the agent for good, for instance ``TakenOver``; None while it plays."""
        return self._end

    @property
    def away_s(self) -> float | None:
        """Seconds since the connection was lost, None while there is one: so old is what the view shows."""
        since = self._connection.away_since_s
        return None if since is None else asyncio.get_running_loop().time() - since

    @property
    def silent_s(self) -> float:
        """Seconds since the server was heard on the present connection; above some 15 something is wrong with it."""
        return self._connection.silent_s

    @property
    def problem(self) -> ChunkcrawlError | None:
        """Why the last try to connect failed, None while there is a connection."""
        return self._connection.last_problem

    @property
    def connections(self) -> int:
        """How many connections there have been; every one above the first is a reconnect."""
        return self._connection.connections

    @property
    def ack_s(self) -> float | None:
        """Seconds from the last accepted command's request to its ack, proof of work included."""
        return self._conversation.ack_s

    # -- private --

    async def _token(self) -> str:
        return (await self._sessions.current()).session_token

    async def _send(self, frame: str) -> None:
        await self._connection.send(frame)

    def _is_active(self) -> bool:
        return self.me is not None and self.me.activity_state != "idle"

    def _happened(self, event: Event) -> None:
        before = self.view.chunk_id
        self.view.feed(event)
        if isinstance(event, ChunkStatic | ChunkDelta):
            self.map.note(self.view, event.server_ts_ms)
        elif self.view.chunk_id != before:
            self._save_map()
        for queue in self._queues:
            queue.put(event)
        self._callbacks.call(event)
        self._changed.set()

    def _save_map(self) -> None:
        """Begin to write the map, unless that is going on; what this misses is written the next time, or at the end."""
        if self._map_file is None or (self._saving is not None and not self._saving.done()):
            return
        work = asyncio.to_thread(write_whole, self._map_file, self.map.to_bytes())
        self._saving = asyncio.get_running_loop().create_task(work, name=f"map of {self.agent_id}")
        self._saving.add_done_callback(_report)


def _report(saving: asyncio.Task[None]) -> None:
    if not saving.cancelled() and (error := saving.exception()) is not None:
        log.warning("the map could not be written: %s", error)

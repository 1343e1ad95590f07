"""The view of one owner or agent, from its first event to the end, without any transport.

The shell around ``streaming.follower.Follower``: it subscribes, reads and resumes.  Nothing is dropped on the way; a
reader that falls behind is closed (``streaming.subscriber_queue.Overflowed``) and replays when it comes back.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from redis.asyncio import Redis

from streaming import keys
from streaming.agent_record import StoredAgent, read_agent
from streaming.arrival import read_arrival
from streaming.cursor import Position
from streaming.entry import BEFORE_FIRST, PrivateEvent, SharedEvent, StreamId, notice
from streaming.follower import Followed, Follower, Whereabouts, effective_moves, move_of, shows
from streaming.gap_detector import Item, Resync
from streaming.hub import Hub, Subscription
from streaming.lua import CommandExecutor
from streaming.replay import Unreplayable, replay
from streaming.shared_clock import now_ms
from streaming.snapshot import Snapshots
from streaming.subscriber_queue import SubscriberQueue
from streaming.watch import resync_required


class Follow:
    """One reader's view of ``agent_id``.

    Args:
        hello: fields of ``session_ready``; ``chunk_id``, ``agent_online`` and ``inventory`` are added.
        queue: its queue, with policy ``overflow_close``.
        trace_id: of the connection; what is said to this reader alone bears it.
        last_event_id: what the reader handed back, if anything.
        since: without that, the number of the last agent's event that the reader is known to have.  None: all.
        present_first: show the present state before what was missed, as the contract wants it for agents.
        challenges: see ``Follower``.
        records: reads the agent's record; None: ``redis``.
    """

    def __init__(
        self,
        hub: Hub,
        redis: Redis,
        snapshots: Snapshots,
        agent_id: str,
        queue: SubscriberQueue,
        trace_id: str,
        hello: dict[str, object],
        *,
        last_event_id: str | None = None,
        since: int | None = None,
        present_first: bool = False,
        challenges: bool = True,
        records: CommandExecutor | None = None,
    ) -> None:
        self._hub = hub
        self._redis = redis
        self._records: CommandExecutor = redis if records is None else records
        self._snapshots = snapshots
        self._trace_id = trace_id
        self._hello = hello
        self._last_event_id = last_event_id
        self._since = since
        self._present_first = present_first
        self._challenges = challenges
        self._agent_key = keys.agent_stream(agent_id)
        self._own: Subscription | None = None
        self._around: Subscription | None = None
        self._around_key: str | None = None
        self.agent_id = agent_id
        self.queue = queue
        self.follower = Follower(agent_id, Position(None, BEFORE_FIRST, 0), challenges=challenges)

    async def events(self, *, stay: bool = True) -> AsyncGenerator[list[Followed], None]:
        """Yield what to send, a list at a time, for ever (``stay``) or as far as there is any.  Use ``aclosing``.

        Raises:
            Overflowed, Closed: see ``streaming.subscriber_queue``.
            HubUnavailable, RedisError: Redis is away; the reader should come back.
        """
        self._own = self._hub.subscribe(self._agent_key, self.queue.put)
        try:
            await self._own.ready()
            async for followed in self._beginning():
                yield followed
                del followed  # not kept while the reader lives
            while stay:
                yield await self._live()
        finally:
            self._own.close()
            self._leave_chunk()

    def at_once(self, item: Item) -> Followed | tuple[()] | None:
        """See ``Follower.at_once``."""
        return None if isinstance(item, Resync) else self.follower.at_once(item)

    # -- the beginning --

    async def _beginning(self) -> AsyncIterator[list[Followed]]:
        position = Position.parse(self._last_event_id) if self._last_event_id is not None else None
        since = position.agent_seq if position is not None else self._since
        record = await read_agent(self._records, self.agent_id, since)
        useless = (self._last_event_id is not None and position is None) or record.missed is None
        yield [(self._ready(record), None)]
        if position is not None and not useless and not self._present_first:
            try:
                async for followed in self._resume(position, record):
                    yield followed
                return
            except Unreplayable:
                useless = True
        elif position is not None and not useless and await self._agent_resumes(position, record):
            async for followed in self._settled():
                yield followed
            return
        start = since if since is not None and record.missed is not None else record.seq
        async for followed in self._afresh(record, start, "unknown_event_id" if useless else None):
            yield followed

    def _ready(self, record: StoredAgent) -> SharedEvent:
        fields = {
            **self._hello,
            "chunk_id": record.chunk_id,
            "agent_online": record.chunk_id is not None,
            "inventory": None if record.gold is None else {"gold": record.gold},
        }
        return notice("session_ready", fields, now_ms(), self._trace_id)

    async def _afresh(self, record: StoredAgent, since: int, reason: str | None) -> AsyncIterator[list[Followed]]:
        """Yield the present state, then the agent's events after ``since`` that are at hand."""
        missed = [event for event in record.missed or () if event.id[0] > since]
        self._begin(Position(record.chunk_id, BEFORE_FIRST, since))
        if record.chunk_id is not None:
            await self._show_present(record.chunk_id, reason, record.seq)
        elif reason is not None:
            self.follower.say(resync_required(None, reason, self._trace_id))
        self.follower.agent_events(missed)
        async for followed in self._settled():
            yield followed

    async def _resume(self, position: Position, record: StoredAgent) -> AsyncIterator[list[Followed]]:
        """Go on exactly where the reader was, over all the moves that it has missed.

        Raises:
            Unreplayable: the chunk's stream no longer holds what followed; nothing has been yielded yet.
        """
        missed = record.missed or []
        moves = effective_moves(position.chunk_id, missed)
        shown_until, move = moves[0] if moves else (len(missed), None)
        self._begin(position, record.last_seen)
        if position.chunk_id is not None and position.at != BEFORE_FIRST:
            # The agent's own events first ("results first"), then its surroundings up to its move.
            self.follower.agent_events(missed[:shown_until])
            begun = False
            try:
                async for page in self._surroundings(position.chunk_id, position.at, move):
                    for entry in page:
                        self.follower.chunk_event(entry)
                    begun = True
                    yield self.follower.take()
            except Unreplayable:
                if not begun:
                    raise
                yield await self._start_over(Resync(keys.chunk_stream(position.chunk_id)))
                return
            missed = missed[shown_until:]
        self.follower.agent_events(missed)
        async for followed in self._settled():
            yield followed

    async def _surroundings(
        self, chunk_id: str, since: StreamId, move: Whereabouts | None
    ) -> AsyncIterator[list[SharedEvent]]:
        """Yield the chunk's entries after ``since``, up to the tick of ``move``, or without one for ever."""
        upto: StreamId | None = (move.tick, 2**53) if move is not None else None
        if move is None:
            await self._enter_chunk(chunk_id)
        async for page in replay(self._redis, keys.chunk_stream(chunk_id), since, upto):
            yield [entry for entry in page if isinstance(entry, SharedEvent)]

    async def _agent_resumes(self, position: Position, record: StoredAgent) -> bool:
        """Resume an agent that still is where it was: static, its first missed delta, its own events, the others.

        False: it can't be done exactly, and nothing has been shown.
        """
        missed = record.missed or []
        chunk_id = position.chunk_id
        if chunk_id is None or position.at == BEFORE_FIRST or any(move_of(event) for event in missed):
            return False
        try:
            entries = [e async for page in self._surroundings(chunk_id, position.at, None) for e in page]
            snapshot = await self._snapshots.get(chunk_id, entries[-1].id if entries else position.at)
            if snapshot is not None and not entries and snapshot.at != position.at:
                entries = [e async for page in self._surroundings(chunk_id, position.at, None) for e in page]
        except Unreplayable:
            snapshot = None
        # Nothing missed: the last delta once more, under the id that the agent has seen already.
        first = entries[0] if entries else snapshot.latest if snapshot is not None else None
        if snapshot is None or first is None or not shows(first, self.agent_id):
            self._leave_chunk()
            return False
        self._begin(position)
        self.follower.present(snapshot.static, first, record.seq)
        self.follower.agent_events(missed)
        for entry in entries[1:]:
            self.follower.chunk_event(entry)
        return True

    def _begin(self, position: Position, last_seen: PrivateEvent | None = None) -> None:
        held = self.follower.held()
        self.follower = Follower(self.agent_id, position, challenges=self._challenges)
        self.follower.agent_events(held)
        if last_seen is not None:
            tick = last_seen.fields().get("tick")
            self.follower.arrival_tick = tick if isinstance(tick, int) else None

    # -- living --

    async def _live(self) -> list[Followed]:
        items = await self.queue.take() or []
        follower = self.follower
        was_online = follower.online
        out: list[Followed] = []
        for item in items:
            if isinstance(item, SharedEvent):
                # One of no stream the gateway has for everybody.
                (follower.chunk_event if item.key else follower.say)(item)
            elif isinstance(item, PrivateEvent):
                follower.agent_event(item)
                if follower.arriving_at is not None and not follower.arrival_read:
                    out += [entry async for some in self._settled() for entry in some]
            elif item.key in (self._agent_key, self._around_key):
                out += follower.take()
                out += await self._start_over(item)
                follower = self.follower
        if follower.lost:
            out += follower.take()
            out += await self._start_over(Resync(self._around_key or ""))
            follower = self.follower
        if was_online and not follower.online:
            self._leave_chunk()
        if self.queue.heartbeat_due or was_online != follower.online:
            if self.queue.heartbeat_due and not follower.online:
                out += follower.take()
                out += await self._look_again()
                follower = self.follower
            self.queue.heartbeat_due = False
            follower.say(self._heartbeat())
        return out + follower.take()

    async def _look_again(self) -> list[Followed]:
        """Look whether an agent that is away has come after all, should its stream not have said so."""
        record = await read_agent(self._records, self.agent_id)
        if record.chunk_id is None or record.seq != self.follower.seq:
            return []
        self._begin(Position(record.chunk_id, BEFORE_FIRST, record.seq))
        return [entry async for some in self._settled() for entry in some]

    def _heartbeat(self) -> SharedEvent:
        follower = self.follower
        fields: dict[str, object] = {
            "agent_id": self.agent_id,
            "chunk_id": follower.chunk_id,
            "tick": follower.at[0],
            "agent_online": follower.online,
        }
        return notice("heartbeat", fields, now_ms(), self._trace_id)

    async def _start_over(self, lost: Resync) -> list[Followed]:
        """Say that entries are gone for good and show the present; the agent's own events go on where they were."""
        since = None if lost.key == self._agent_key else self.follower.seq
        record = await read_agent(self._records, self.agent_id, since)
        start = record.seq if since is None or record.missed is None else since
        return [entry async for some in self._afresh(record, start, "history_lost") for entry in some]

    async def _settled(self) -> AsyncIterator[list[Followed]]:
        """Read every chunk that the follower has come to, until it waits for nothing but live entries."""
        yield self.follower.take()
        while (chunk_id := self.follower.arriving_at) is not None and not self.follower.arrival_read:
            await self._enter_chunk(chunk_id)
            static, deltas = await read_arrival(self._redis, chunk_id, self.follower.arrival_tick)
            self.follower.arrived(static, deltas)
            yield self.follower.take()
        if not self.follower.online:
            self._leave_chunk()

    # -- the chunk around the agent --

    async def _enter_chunk(self, chunk_id: str) -> None:
        key = keys.chunk_stream(chunk_id)
        if self._around_key != key:
            self._leave_chunk()
            self._around_key = key
            self._around = self._hub.subscribe(key, self.queue.put)
        if self._around is not None:
            await self._around.ready()

    def _leave_chunk(self) -> None:
        around, self._around = self._around, None
        key, self._around_key = self._around_key, None
        if around is not None:
            around.close()
        if key is not None:
            self.queue.unsubscribed(key)

    async def _show_present(self, chunk_id: str, reason: str | None, seq: int) -> None:
        await self._enter_chunk(chunk_id)
        head = self._around.head if self._around is not None else None
        snapshot = await self._snapshots.get(chunk_id, head)
        if reason is not None:
            self.follower.say(resync_required(chunk_id, reason, self._trace_id))
        if snapshot is not None:
            self.follower.present(snapshot.static, snapshot.latest, seq)

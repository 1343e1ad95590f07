"""Every long-lived connection of this gateway: heartbeats, stalled readers, revocation, draining.

One small entry per connection and one timer for all of them.  A connection takes its slot and gives it back in the
task that serves it, so nothing is left behind by a client that goes away early.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Protocol

import structlog
from redis.exceptions import RedisError

from api.sockets import stream_metrics
from streaming import keys
from streaming.cancellable import end
from streaming.entry import SharedEvent
from streaming.hub import Hub, Subscription
from streaming.subscriber_queue import SubscriberQueue

log = structlog.get_logger(__name__)

Kind = Literal["agent_ws", "owner_sse", "owner_ws", "spectator_sse", "spectator_ws", "operator_sse"]

#: WebSocket close codes; ``docs/protocol.md`` and ``docs/decisions/0024-connections.md``.
CLOSE_NORMAL: Final = 1000
CLOSE_GONE: Final = 1001
CLOSE_FAILED: Final = 1011
CLOSE_POLICY: Final = 1008
CLOSE_RESTART: Final = 1012
CLOSE_TRY_LATER: Final = 1013
CLOSE_TAKEN_OVER: Final = 4001
CLOSE_TOO_SLOW: Final = 4002

TICK_S: Final = 1.0
#: How long a connection that was told to close may take before it is cut off.
CUT_OFF_AFTER_S: Final = 1.5
#: Sessions are not looked up more often than this, whatever the time in which a revocation has to show.
SWEEP_LEAST_S: Final = TICK_S / 2


class Alive(Protocol):
    """The part of ``api.accounts.auth.Authenticator`` that the sweep uses."""

    async def still_alive(self, jtis: list[str]) -> set[str]:
        """Return those of ``jtis`` whose sessions live now."""


class Who(Protocol):
    """Whose connection it is: a session, or an operator who calls."""

    @property
    def jti(self) -> str:
        """What says whether it may go on (``Alive``)."""

    @property
    def key_id(self) -> str | None:
        """The API key behind it."""

    @property
    def account_id(self) -> str:
        """Of whom."""

    @property
    def agent_id(self) -> str | None:
        """As whom."""


class Connection:
    """One connection's slot.  ``async with`` it in the task that serves the connection.

    ``close`` asks it to end; the reader finds that in its queue.  If it does not, because it is stuck sending to a
    peer that does not read, its task is cancelled and the ``with`` block ends as if it had returned.
    """

    __slots__ = (
        "_cut_off",
        "_registry",
        "_stalled",
        "_task",
        "_timer",
        "account_id",
        "agent_id",
        "jti",
        "key_id",
        "kind",
        "opened_at",
        "queue",
    )

    def __init__(self, registry: Connections, kind: Kind, who: Who, queue: SubscriberQueue) -> None:
        self._registry = registry
        self.kind: Kind = kind
        self.jti = who.jti
        self.key_id = who.key_id
        self.account_id = who.account_id
        self.agent_id = who.agent_id
        self.queue = queue
        self.opened_at = time.monotonic()
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._cut_off = False
        self._stalled = 0

    async def __aenter__(self) -> Connection:
        self._task = asyncio.current_task()
        self.queue.on_overflow = self._too_slow
        self._registry._add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._registry._remove(self)
        self.queue.on_overflow = None
        if self._timer is not None:
            self._timer.cancel()
        task, self._task = self._task, None
        if self._cut_off and task is not None and kind is not None and issubclass(kind, asyncio.CancelledError):
            task.uncancel()
            return True
        return False

    @property
    def open_s(self) -> float:
        """For how many seconds it has been open."""
        return time.monotonic() - self.opened_at

    def close(self, code: int, reason: str) -> None:
        """End the connection soon; ``reason`` is for the client, ``code`` for sockets."""
        self.queue.close(code, reason)
        if self._timer is None and self._task is not None:
            self._timer = asyncio.get_running_loop().call_later(CUT_OFF_AFTER_S, self.cut_off)

    def cut_off(self) -> None:
        """End it now."""
        if self._task is not None and not self._task.done() and not self._cut_off:
            self._cut_off = True
            self._task.cancel()

    def _too_slow(self) -> None:
        stream_metrics.CONSUMERS_DROPPED.labels(self.kind, "queue_full").inc()
        self.close(CLOSE_TOO_SLOW, "too_slow")

    def beat(self) -> None:
        """Give a heartbeat, which is due.  Two that were not even taken: the peer does not read."""
        if self.queue.beat():
            self._stalled = 0
            return
        self._stalled += 1
        if self._stalled >= 2:
            stream_metrics.CONSUMERS_DROPPED.labels(self.kind, "stalled").inc()
            self.close(CLOSE_TOO_SLOW, "too_slow")


class Connections:
    """The registry of a gateway.

    Args:
        hub: brings ``ctl:sessions``.
        alive: which sessions live.
        heartbeat_s: seconds between two heartbeats of a connection.
        revoke_within_s: seconds in which everything of a revoked session is closed, even when the message was lost
            and the peer has to be cut off.
    """

    def __init__(self, hub: Hub, alive: Alive, heartbeat_s: float = 15.0, revoke_within_s: float = 5.0) -> None:
        self._hub = hub
        self._alive = alive
        self._sweep_every_s = max(SWEEP_LEAST_S, revoke_within_s - CUT_OFF_AFTER_S)
        #: Connections by the second in which their heartbeat is due.
        self._wheel: list[dict[Connection, None]] = [{} for _ in range(max(1, round(heartbeat_s / TICK_S)))]
        self._slot_of: dict[Connection, int] = {}
        self._by_jti: defaultdict[str, set[Connection]] = defaultdict(set)
        self._next_slot = 0
        self._sweep_due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._control: Subscription | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False
        #: Says of an account and an agent whether they are banned.
        self.bars: Callable[[str, str | None], bool] = lambda account_id, agent_id: False

    def __len__(self) -> int:
        return len(self._slot_of)

    # -- start and stop --

    def start(self) -> None:
        """Begin to beat and to watch sessions; needs a running loop."""
        self._control = self._hub.listen(keys.SESSIONS_CHANNEL, self._heard)
        self._tasks = [
            asyncio.create_task(self._beat(), name="connections-beat"),
            asyncio.create_task(self._sweep(), name="connections-sweep"),
        ]

    async def close(self) -> None:
        """Cut off what is left and stop."""
        for connection in list(self._slot_of):
            connection.cut_off()
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await self._empty.wait()
        if self._control is not None:
            self._control.close()
        await end(*self._tasks)

    async def drain(self, window_s: float) -> None:
        """Send everybody away, spread over ``window_s``, so that no storm comes back; return when all have gone.

        New ones are refused from now on.  What has not gone a little after the window is cut off.
        """
        self.draining = True
        leaving = list(self._slot_of)
        began = time.monotonic()
        for number, connection in enumerate(leaving):
            due = began + window_s * number / len(leaving)
            if (wait := due - time.monotonic()) > TICK_S / 20:
                await asyncio.sleep(wait)
            connection.close(CLOSE_RESTART, "draining")
        try:
            async with asyncio.timeout(2 * CUT_OFF_AFTER_S):
                await self._empty.wait()
        except TimeoutError:
            log.warning("connections_left_after_drain", count=len(self))

    # -- slots --

    @property
    def waiting(self) -> int:
        """How many events wait for their readers."""
        return sum(len(connection.queue) for connection in self._slot_of)

    def open(self, kind: Kind, who: Who, queue: SubscriberQueue) -> Connection:
        """Return a slot for a connection that is about to be served."""
        return Connection(self, kind, who, queue)

    def close_jti(self, jti: str) -> None:
        """Close everything of a session."""
        for connection in list(self._by_jti.get(jti, ())):
            connection.close(CLOSE_POLICY, "invalid_session")

    def close_key(self, key_id: str) -> None:
        """Close everything of the sessions that were opened with a key."""
        for connection in list(self._slot_of):
            if connection.key_id == key_id:
                connection.close(CLOSE_POLICY, "invalid_session")

    def close_barred(self, bars: Callable[[str, str | None], bool]) -> None:
        """Close everything of whom ``bars``, given account and agent, says that they are banned."""
        for connection in list(self._slot_of):
            if bars(connection.account_id, connection.agent_id):
                connection.close(CLOSE_POLICY, "banned")

    def close_agent(self, agent_id: str) -> None:
        """Close whatever plays or follows an agent; it may come back at once."""
        for connection in self.of_agent(agent_id):
            connection.close(CLOSE_POLICY, "disconnected")

    def of_agent(self, agent_id: str) -> list[Connection]:
        """Return the connections that play or follow an agent."""
        return [connection for connection in self._slot_of if connection.agent_id == agent_id]

    def tell(self, event: SharedEvent) -> None:
        """Give an event to everybody but operators, who have their own."""
        for connection in list(self._slot_of):
            if connection.kind != "operator_sse":
                connection.queue.put(event)

    def _add(self, connection: Connection) -> None:
        slot = self._next_slot = (self._next_slot + 1) % len(self._wheel)
        self._wheel[slot][connection] = None
        self._slot_of[connection] = slot
        self._by_jti[connection.jti].add(connection)
        self._empty.clear()
        if self.bars(connection.account_id, connection.agent_id):  # banned since it was let in
            connection.close(CLOSE_POLICY, "banned")
        stream_metrics.CONNECTIONS.labels(connection.kind).inc()

    def _remove(self, connection: Connection) -> None:
        slot = self._slot_of.pop(connection, None)
        if slot is None:
            return
        del self._wheel[slot][connection]
        mine = self._by_jti[connection.jti]
        mine.discard(connection)
        if not mine:
            del self._by_jti[connection.jti]
        if not self._slot_of:
            self._empty.set()
        stream_metrics.CONNECTIONS.labels(connection.kind).dec()

    # -- watching --

    def _heard(self, message: bytes | None) -> None:
        what, _, which = (message or b"").decode("ascii", "replace").partition(" ")
        if what == "jti":
            self.close_jti(which)
        elif what == "key":
            self.close_key(which)
        else:
            self._sweep_due.set()  # messages may have been lost

    async def _beat(self) -> None:
        hand = 0
        due = time.monotonic()
        while True:
            due += TICK_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            for connection in list(self._wheel[hand]):
                connection.beat()
            hand = (hand + 1) % len(self._wheel)

    async def _sweep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._sweep_every_s):
                    await self._sweep_due.wait()
            except TimeoutError:
                pass
            self._sweep_due.clear()
            jtis = list(self._by_jti)
            if not jtis:
                continue
            try:
                alive = await self._alive.still_alive(jtis)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("session_sweep_failed", error=repr(error))
                continue
            for jti in jtis:
                if jti not in alive:
                    self.close_jti(jti)

"""Which socket an agent plays on, that it is present, and how far it has got: ``conn:``, ``presence``, ``agentpos:``.

An agent has one seat over all gateways, taken by its newest socket.  Whatever a socket does at its end it does by its
own channel id: the late end of a replaced one touches nothing (pitfall B01).  See docs/decisions/0025-agent-socket.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Final

import structlog
from redis.exceptions import RedisError

from api.accounts.auth import RedisCalls
from api.sockets import stream_metrics
from api.sockets.connections import CLOSE_TAKEN_OVER, Connection
from streaming import keys
from streaming.cancellable import end
from streaming.entry import Event, PrivateEvent
from streaming.keys import AGENT_STREAM_TTL_S
from streaming.lua import load

log = structlog.get_logger(__name__)

TICK_S: Final = 1.0
#: The seats of this gateway are renewed this often, each in its turn, with presence, which lasts this much longer than
#: the grace time, and with how far the agent has got: an agent whose gateway dies is told again what came since.
REFRESH_EVERY_TICKS: Final = 10
#: How late a tick may come: beyond it this process or the machine has slept, and presence may have run out meanwhile.
SLEPT_S: Final = 5.0
PRESENCE_MARGIN_MS: Final = 15_000
#: ``conn:`` of a gateway that died goes away by itself.
SEAT_TTL_S: Final = 90
SEATS_AT_ONCE: Final = 250

HOLD: Final = load("api/sockets/hold_agent.lua")
TAKE: Final = load("api/sockets/take_seat.lua")
REFRESH: Final = load("api/sockets/refresh_seats.lua")
LEAVE: Final = load("api/sockets/leave_seat.lua")


class Seat:
    """One socket's claim to its agent, and what of the agent's stream has surely arrived there.

    ``sent`` is the number of the last event sent, ``confirmed`` that of the last one that the peer must have had: it
    answered a later ping, or a challenge.
    """

    def __init__(self, agent_id: str, channel_id: str, connection: Connection) -> None:
        self.agent_id = agent_id
        self.channel_id = channel_id
        self.connection = connection
        self.sent = 0
        self.confirmed = 0
        self.stored = 0
        #: Which tick of those in which all are renewed is its own.
        self.turn = 0
        #: Looks at the socket's pings; see ``note_pings``.
        self.look: Callable[[], None] | None = None
        self._taken = False
        self._check_due = False
        self._last_challenge: tuple[int, bytes] = (0, b"")
        self._pings = 0
        self._sent_before_ping = 0
        self._sent_when_looked = 0

    def begin(self, position: int) -> None:
        """Note that the agent had seen its events up to ``position``."""
        self.sent = self.confirmed = self.stored = position
        self._sent_before_ping = self._sent_when_looked = position

    # -- the seat --

    def heard(self, message: bytes | None) -> None:
        """Take a message of ``ctl:agent:``; until it tells our own takeover it is about sockets before us."""
        if message is None:
            self._check_due = True
            return
        what, _, channel_id = message.decode("ascii", "replace").partition(" ")
        if what != "takeover":
            return
        if channel_id == self.channel_id:
            self._taken = True
        elif self._taken:
            self.replaced()

    def replaced(self) -> None:
        """Note that a newer socket has the agent."""
        if self.connection.queue.closed is None:
            stream_metrics.TAKEOVERS.inc()
        self.connection.close(CLOSE_TAKEN_OVER, "taken_over")

    def take_check(self) -> bool:
        """Return whether a takeover may have been missed since the last call."""
        due, self._check_due = self._check_due, False
        return due

    def confirm_seat(self) -> None:
        """Note that the seat is ours, as Redis says."""
        self._taken = True

    # -- how far the agent has got --

    def note_sent(self, events: list[Event], seq: int) -> None:
        """Note that events were sent; the agent's last one had number ``seq``."""
        for event in events:
            if event.kind == "command_challenge":
                self._last_challenge = (self.sent, event.payload)
            elif isinstance(event, PrivateEvent):
                self.sent = max(self.sent, event.id[0])
        self.sent = max(self.sent, seq)

    def note_answer(self, server_cmd_id: str) -> None:
        """Note that the agent answered a challenge, so it has all that was sent up to it."""
        number, payload = self._last_challenge
        if number > self.confirmed and f'"server_cmd_id":"{server_cmd_id}"'.encode() in payload:
            self.confirmed = number

    def note_pings(self, pings: int, pongs: int) -> None:
        """Note how many pings have gone out and were answered; called about once a second.

        What had been sent when the ping had not yet gone out has arrived when it is answered.
        """
        if pings > self._pings:
            self._pings = pings
            self._sent_before_ping = self._sent_when_looked
        if pongs >= self._pings > 0:
            self.confirmed = max(self.confirmed, self._sent_before_ping)
        self._sent_when_looked = self.sent


class Seats:
    """The seats of this gateway's agents.

    Args:
        grace_s: how long an agent may stand in the world without a connection.
    """

    def __init__(self, redis: RedisCalls, grace_s: float) -> None:
        self._redis = redis
        self._grace_ms = int(grace_s * 1000)
        self._seats: dict[str, Seat] = {}
        self._next_turn = 0
        self._leaving: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many seats are held or just being given back."""
        return len(self._seats) + len(self._leaving)

    def start(self) -> None:
        """Begin to renew presence; needs a running loop."""
        self._task = asyncio.create_task(self._run(), name="agent-seats")

    async def close(self) -> None:
        """Stop, once those who left have been noted."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=TICK_S)
        await end(*self._leaving)
        if self._task is not None:
            await end(self._task)

    async def hold(self, agent_id: str) -> None:
        """Let the agent be present while it is being seated.  Raises ``RedisError``."""
        await self._redis.run(HOLD(id=agent_id, presence_ms=self._grace_ms))

    async def take(self, seat: Seat) -> None:
        """Make ``seat`` the agent's, on every gateway, and learn how far the agent has got.  Raises ``RedisError``."""
        call = TAKE(
            id=seat.agent_id,
            channel=seat.channel_id,
            presence_ms=self._grace_ms + PRESENCE_MARGIN_MS,
            seat_s=SEAT_TTL_S,
            position_s=AGENT_STREAM_TTL_S,
        )
        seat.turn = self._next_turn
        self._next_turn = (self._next_turn + 1) % REFRESH_EVERY_TICKS
        # From here on it is ours to leave again, whether or not the answer arrives.
        self._seats[seat.channel_id] = seat
        seat.begin(int(await self._redis.run(call)))

    def leave(self, seat: Seat, *, clean: bool) -> None:
        """Give the seat back, its socket having ended; ``clean``: by the agent's own close, so all sent was read."""
        if self._seats.pop(seat.channel_id, None) is None:
            return
        position = seat.sent if clean else seat.confirmed
        self._start(self._leave(seat, position))

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work, name="agent-seat-leave")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave(self, seat: Seat, position: int) -> None:
        call = LEAVE(
            id=seat.agent_id,
            channel=seat.channel_id,
            grace_ms=self._grace_ms,
            position_s=AGENT_STREAM_TTL_S,
            position=position,
        )
        try:
            await self._redis.run(call)
        except (RedisError, OSError, TimeoutError) as error:
            # Its presence and its seat run out by themselves.
            log.info("agent_seat_not_left", agent_id=seat.agent_id, error=repr(error))

    async def _run(self) -> None:
        tick, woke = 0, time.time()
        while True:
            await asyncio.sleep(TICK_S)
            tick += 1
            before, woke = woke, time.time()  # by the wall: a suspended machine's other clock stands still
            everybody = woke - before > TICK_S + SLEPT_S
            for seat in self._seats.values():
                if seat.look is not None:
                    seat.look()
            turn = tick % REFRESH_EVERY_TICKS
            due = [seat for seat in self._seats.values() if seat.take_check() or everybody or seat.turn == turn]
            for start in range(0, len(due), SEATS_AT_ONCE):
                try:
                    await self._refresh(due[start : start + SEATS_AT_ONCE])
                except (RedisError, OSError, TimeoutError) as error:
                    log.info("agent_seats_not_refreshed", error=repr(error))

    async def _refresh(self, seats: list[Seat]) -> None:
        positions = [seat.confirmed for seat in seats]
        call = REFRESH(
            presence_ms=self._grace_ms + PRESENCE_MARGIN_MS,
            seat_s=SEAT_TTL_S,
            position_s=AGENT_STREAM_TTL_S,
            seats=[
                (seat.agent_id, seat.channel_id, position if position > seat.stored else "")
                for seat, position in zip(seats, positions, strict=True)
            ],
        )
        lost = {channel.decode() for channel in await self._redis.run(call)}
        for seat, position in zip(seats, positions, strict=True):
            if seat.channel_id in lost:
                seat.replaced()
            else:
                seat.confirm_seat()
                seat.stored = max(seat.stored, position)


def control_channel(seat: Seat) -> str:
    """Return where takeovers of the seat's agent are told."""
    return keys.agent_control(seat.agent_id)

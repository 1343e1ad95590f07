"""Which connections a gateway keeps: who is in stays, whoever only waits makes room for others.

A connection is *in* while it is an accepted WebSocket or an event stream: somebody has shown a session for it.  All
others *wait*: they receive a request, work on its answer, or idle between two requests.  Those who are in are never
closed for somebody else's sake.  Those who wait have a deadline for what they do, may not be too many, in all and from
one address, and when they are, the one that has idled or received for longest makes room.

A new connection of an address that keeps breaking bounds (``api.sockets.slow_addresses``) is *held* first: nothing of
it is read for ``HELD_S``; then they go on one after the other, ``GO_ON_EVERY_S`` apart.  Half of the places of those
who wait may be held, whatever their addresses; when one more comes, the one that has been held for longest goes on, and
from then on counts for its address.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from api import metrics
from api.limits.client_address import address_bucket, is_trusted
from api.sockets.slow_addresses import SlowAddresses
from config.networks import Networks

__all__ = ["Admission", "AdmissionRules", "Slot"]

log = structlog.get_logger(__name__)

SWEEP_S: Final = 0.5
#: How long a request must be under way before it may be cut off for a new one.
MAKES_ROOM_AFTER_S: Final = 0.25
#: How long a connection of a slow address is held.
HELD_S: Final = 2.0
#: Of those held for long enough one goes on each time: many came at once, and would be answered in one burst.
GO_ON_EVERY_S: Final = 0.005
#: Of the places of those who wait.
HELD_SHARE: Final = 1 / 2
#: Reasons that say nothing against the address whose connection is closed.
HARMLESS: Final = frozenset({"address_full", "gateway_full", "full", "overloaded", "answer_timeout", "silent"})
#: One line for each reason in this time, however many connections it met.
LOG_EVERY_S: Final = 10.0

#: The share of all connections that is kept for those who wait, so that who is in can still renew a session.
WAITING_SHARE: Final = 1 / 4
WAITING_MOST: Final = 2_048
#: The share of all places that one address may have with sockets and streams.
ADDRESS_SHARE: Final = 1 / 2


class Peer(Protocol):
    """A connection, as its protocol object shows it."""

    def expire(self) -> None:
        """Close: its deadline has passed."""

    def make_room(self) -> None:
        """Close: another connection needs the place."""

    def go_on(self) -> None:
        """Read: it has been held for long enough."""


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """How many, and how long.

    ``connections``: in all.  ``address_waiting``: of one address that wait.  ``receive_s``: for a whole request to
    arrive, from the connection or its first byte on.  ``answer_s``: for its answer to be made and read.
    """

    connections: int
    address_waiting: int
    receive_s: float
    answer_s: float

    @property
    def waiting(self) -> int:
        """Connections that may wait."""
        return max(1, min(WAITING_MOST, int(self.connections * WAITING_SHARE)))

    @property
    def held(self) -> int:
        """Return how many connections may be held."""
        return max(1, int(self.waiting * HELD_SHARE))

    @property
    def entered(self) -> int:
        """Connections that may be in."""
        return max(1, self.connections - self.waiting)

    @property
    def address_entered(self) -> int:
        """Connections of one address that may be in."""
        return max(1, int(self.entered * ADDRESS_SHARE))


class Slot:
    """One connection's place.  Its protocol says what it does: ``receive``, ``answer``, ``idle``, ``enter``."""

    __slots__ = ("_admission", "address", "deadline", "peer", "phase", "since", "trusted")

    def __init__(self, admission: Admission, peer: Peer, address: str, *, trusted: bool) -> None:
        self._admission = admission
        self.peer = peer
        self.address = address
        self.trusted = trusted
        self.phase: _Phase = admission.receiving
        self.since = self.deadline = 0.0

    def receive(self) -> None:
        """Note that a request begins to arrive; its deadline runs from now on."""
        self._admission._move(self, self._admission.receiving)

    def answer(self) -> None:
        """Note that it has arrived whole."""
        self._admission._move(self, self._admission.answering)

    def idle(self) -> None:
        """Note that it is answered."""
        self._admission._move(self, self._admission.idling)

    @property
    def held(self) -> bool:
        """Return whether nothing of it is to be read before its peer's ``go_on``."""
        return self.phase is self._admission.held

    @property
    def may_enter(self) -> bool:
        """Whether there is room for one more socket or stream from this address."""
        return self._admission._may_enter(self)

    def enter(self) -> None:
        """Note a session: from now on the connection has no deadline and is never closed for others."""
        self._admission._move(self, self._admission.inside)

    def leave(self) -> None:
        """Note that the connection is gone."""
        self._admission._leave(self)


class _Phase(dict[Slot, None]):
    """The connections that do the same, oldest first; all have the same time for it."""

    def __init__(self, most_s: float) -> None:
        super().__init__()
        self.most_s = most_s


class Admission:
    """The places of one gateway.

    Args:
        rules: how many and how long.
        trusted: proxies, behind whose addresses stand many people: the bounds for one address are not for them.
        clock: seconds that only rise; a test's own.
    """

    def __init__(
        self, rules: AdmissionRules, trusted: Networks = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rules = rules
        self._trusted = trusted
        self._clock = clock
        self.held = _Phase(HELD_S)
        self.receiving = _Phase(rules.receive_s)
        self.answering = _Phase(rules.answer_s)
        self.idling = _Phase(float("inf"))  # the server itself ends them (keep-alive)
        self.inside = _Phase(float("inf"))
        self._slow = SlowAddresses()
        self._waiting_of: dict[str, dict[Slot, None]] = {}
        self._inside_of: dict[str, int] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._letting_go_on: asyncio.TimerHandle | None = None
        self._said: dict[str, tuple[float, int]] = {}

    def __len__(self) -> int:
        """Return the number of connections."""
        return self.waiting + len(self.inside)

    @property
    def waiting(self) -> int:
        """Connections that are neither sockets nor streams."""
        return len(self.held) + len(self.receiving) + len(self.answering) + len(self.idling)

    def admit(self, peer: Peer, host: str | None) -> Slot | None:
        """Return a place for a new connection from ``host``; None when there is none and nobody can make room.

        Somebody else's connection may be closed for it.
        """
        address = address_bucket(host or "")
        slot = Slot(self, peer, address, trusted=is_trusted(host, self._trusted))
        if not slot.trusted and self._slow.is_slow(address, self._clock()):
            slot.phase = self.held
            if len(self.held) >= self.rules.held:
                self._let_go_on(next(iter(self.held)))
        elif not self._has_share(slot):
            return None
        if (self.waiting >= self.rules.waiting or len(self) >= self.rules.connections) and not self._make_room(
            "gateway_full", self.idling, self.receiving
        ):
            return None
        self._add(slot)
        self._start_sweeping()
        if slot.held:
            self._plan_going_on()
        return slot

    def refused(self, reason: str, address: str) -> None:
        """Count a connection that was closed for ``reason``, and say so in the log, sparsely.

        ``address`` is a slot's; a reason that is not harmless counts against it.
        """
        metrics.CONNECTIONS_REFUSED.labels(reason).inc()
        if reason not in HARMLESS:
            self._slow.note_broken(address, self._clock())
        said_at, count = self._said.get(reason, (-LOG_EVERY_S, 0))
        now = self._clock()
        if now - said_at < LOG_EVERY_S:
            self._said[reason] = (said_at, count + 1)
            return
        self._said[reason] = (now, 0)
        log.warning("connections_refused", reason=reason, count=count + 1, last_address=address, open=len(self))

    def broken_off(self, address: str) -> None:
        """Count a connection that ``address`` has closed in the middle of a request."""
        self._slow.note_broken(address, self._clock())

    def let_one_go_on(self) -> None:
        """Read the connection that has been held for longest, if it has been for long enough."""
        if self.held and (slot := next(iter(self.held))).deadline <= self._clock():
            self._let_go_on(slot)

    def sweep(self) -> None:
        """Close whoever is past the deadline."""
        now = self._clock()
        for phase in (self.receiving, self.answering):
            late = []
            for slot in phase:
                if slot.deadline > now:
                    break
                late.append(slot)
            for slot in late:
                # Its own end takes it out; until then it is not told again.
                slot.deadline = now + phase.most_s
                del phase[slot]
                phase[slot] = None
                slot.peer.expire()

    # -- for slots --

    def _move(self, slot: Slot, phase: _Phase) -> None:
        if slot not in slot.phase:
            return  # it has left
        inside = slot.phase is self.inside or phase is self.inside
        if inside:
            self._remove(slot)
        else:
            del slot.phase[slot]
        slot.phase = phase
        if inside:
            self._add(slot)
        else:
            self._put(slot)

    def _may_enter(self, slot: Slot) -> bool:
        if len(self.inside) >= self.rules.entered:
            return False
        return slot.trusted or self._inside_of.get(slot.address, 0) < self.rules.address_entered

    def _leave(self, slot: Slot) -> None:
        if slot in slot.phase:
            self._remove(slot)

    # -- book-keeping --

    def _put(self, slot: Slot) -> None:
        slot.since = self._clock()
        slot.deadline = slot.since + slot.phase.most_s
        slot.phase[slot] = None

    def _add(self, slot: Slot) -> None:
        self._put(slot)
        if slot.phase is self.inside:
            self._inside_of[slot.address] = self._inside_of.get(slot.address, 0) + 1
        elif slot.phase is not self.held:
            self._waiting_of.setdefault(slot.address, {})[slot] = None

    def _remove(self, slot: Slot) -> None:
        del slot.phase[slot]
        if slot.phase is self.inside:
            self._inside_of[slot.address] -= 1
            if not self._inside_of[slot.address]:
                del self._inside_of[slot.address]
        elif slot.phase is not self.held:
            mine = self._waiting_of[slot.address]
            del mine[slot]
            if not mine:
                del self._waiting_of[slot.address]

    def _has_share(self, slot: Slot) -> bool:
        mine = self._waiting_of.get(slot.address, {})
        if slot.trusted or len(mine) < self.rules.address_waiting:
            return True
        closed = self._make_room("address_full", mine)
        if closed is None or closed.phase is not self.idling:  # a crowd of idle ones is no attack
            self._slow.note_broken(slot.address, self._clock())
        return closed is not None

    def _let_go_on(self, slot: Slot) -> None:
        del self.held[slot]
        slot.phase = self.receiving
        if self._has_share(slot):
            self._add(slot)
            slot.peer.go_on()
        else:
            self.refused("full", slot.address)
            slot.peer.make_room()

    def _plan_going_on(self) -> None:
        if self._letting_go_on is None and self.held:
            after_s = max(GO_ON_EVERY_S, next(iter(self.held)).deadline - self._clock())
            self._letting_go_on = asyncio.get_running_loop().call_later(after_s, self._go_on_on_time)

    def _go_on_on_time(self) -> None:
        self._letting_go_on = None
        self.let_one_go_on()
        self._plan_going_on()

    def _make_room(self, reason: str, *among: dict[Slot, None]) -> Slot | None:
        came_before = self._clock() - MAKES_ROOM_AFTER_S
        for slots in among:
            for slot in slots:
                if slot.phase is self.idling or (slot.phase is self.receiving and slot.since <= came_before):
                    self._remove(slot)
                    self.refused(reason, slot.address)
                    slot.peer.make_room()
                    return slot
                if slots is self.receiving:
                    break  # the others came later
        return None

    def _start_sweeping(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep_on)

    def _sweep_on(self) -> None:
        self._sweeping = None
        self.sweep()
        if self.waiting:
            self._start_sweeping()

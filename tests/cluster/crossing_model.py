"""The crossing between shards as small state machines, for exploring every interleaving (``test_crossing_model``).

Each step here is what the code does between two awaits, or one script in Redis.  Which code a step stands for:

| step | code |
| --- | --- |
| ``ask`` | ``world.crossing._ask`` by ``approach`` or ``_wait``; ``Departures.ask`` |
| ``reserve`` | ``Arrivals.reserve`` up to its flush: ``world.arrivals.reserve`` and ``Batch.reserve`` |
| ``hear`` | ``Departures._tell``: ``world.crossing.granted`` or ``denied`` |
| ``tick`` | ``Arrivals.seat``, then ``world.crossing.cross`` of who waits: gone, blocked or still waiting |
| ``commit`` | ``Commits._commit`` with the commit script, and ``ShardRuntime._committed`` |
| ``late commit`` | the commit script runs for a sender that has died or has given this commit up |
| ``refused`` | ``Commits._commit`` gets ``cond``: ``reload`` begins |
| ``sweep``, ``release`` | ``Arrivals._expire`` by time, or because the source gave up: the script ``EXPIRE`` |
| ``freed`` | ``Arrivals._expire`` hears of it |
| ``load`` | ``Journal.acquire`` or ``Journal.renew``, then ``ChunkLoader.load_owned`` and ``Reservations.recover`` |

What disturbs them, each at any moment:

| disturbance | is |
| --- | --- |
| ``kill`` | a process ends; the commit it was about to send, or had sent, is lost or runs late: until the next lease |
| ``time out`` | a call's answer is lost; the request may still come to its target |
| ``lose`` | a request or a release is lost |
| ``repeat`` | the core asks again while a call is under way, so another call follows it |
| ``expire`` | a reservation's deadline passes on Redis' clock |
| ``old look`` | what ``Arrivals.seat`` read in the inbox is seated after it was committed as seated |
| ``cap`` | ``world.crossing._wait`` gives up |

Sending a commit and its running are one step: what is applied in memory in between does not look at Redis, so it may
as well come after.  The running and its answer are one, too: a death in between is a ``kill`` whose commit runs late.
There are no counters of epochs and numbers: what an earlier epoch or number sends is answered ``fenced`` or ``dup``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.cluster.crossing_state import (
    ABSENT,
    DEAD,
    DENIED,
    ENDED,
    GRANTED,
    IDLE,
    IN_INBOX,
    MEMBER_HERE,
    MEMBER_THERE,
    NO_ANSWER,
    NO_RESERVATION,
    RELOADING,
    SAYS_NO,
    SAYS_OK,
    SENT,
    TAKEN,
    UP,
    WAITING,
    Agent,
    Op,
    Seat,
    Shard,
    State,
    put,
    with_agent,
    with_seat,
    with_shard,
)


class Route(NamedTuple):
    """How an agent wants to cross.  ``door``: the cell that it passes through, where somebody may have arrived."""

    source: int
    target: int
    cell: int
    door: int | None = None


Step = tuple[str, State]

#: What can be left out of the protocol; each must be found by the exploration.
MUTATIONS = (
    "frees without a look at the inbox",  # EXPIRE deletes the reservation though the arrival is there
    "frees in memory only",  # EXPIRE says "free" and leaves the reservation in the journal
    "a look frees what was reserved anew",  # the answer of EXPIRE is taken for a reservation renewed meanwhile
    "looks before the commit",  # EXPIRE runs before the commit of the reservation
    "reserves a taken cell",  # the target does not look who stands there or was reserved it
    "the source sets no condition",  # a departure's commit does not ask for the reservation
    "anybody's reservation counts",  # it asks for a reservation, but not whose it is
    "goes without the inbox",  # a departure's commit leaves the arrival to another one
    "goes without a result",  # a departure's commit leaves the result to another one
    "seats and leaves the arrival",  # the target's commit does not take the arrival out of the inbox
    "a refused commit is forgotten",  # memory goes on as if it had been committed
    "a refused commit may run later",  # a copy of it, still under way, finds the reservation renewed
    "an old epoch may write",  # commits are not fenced
    "no numbers",  # a commit sent again runs again
    "loads no reservations",  # a new epoch of the target takes reserved cells for free
)


class Broken(Exception):
    """A state that must never be."""


class Model:
    """The protocol for two agents.  ``mutations``: what is left out of it, see ``MUTATIONS``."""

    def __init__(self, routes: tuple[Route, ...], mutations: frozenset[str] = frozenset()) -> None:
        self.routes = routes
        self.mutations = mutations
        self.count = len(routes)
        self.shards = 1 + max(max(route.source, route.target) for route in routes)
        self.cells = 1 + max(route.cell for route in routes)

    def start(self) -> State:
        """Both agents stand before their last step, their commands accepted and committed."""
        return State(
            (Agent(),) * self.count, (Seat(),) * self.count, (Shard(),) * self.shards, (NO_RESERVATION,) * self.cells
        )

    # -- what may happen next --

    def steps(self, state: State) -> Iterator[Step]:
        """What goes on by itself."""
        for h in range(self.count):
            yield from self._source_steps(state, h)
            yield from self._target_steps(state, h)
        for i, shard in enumerate(state.shards):
            yield from self._shard_steps(state, i, shard)

    def waits(self, state: State) -> Iterator[Step]:
        """What time does when nothing else goes on."""
        for cell, reservation in enumerate(state.reservations):
            if reservation[1]:
                yield (
                    f"expire cell {cell}",
                    state._replace(reservations=put(state.reservations, cell, (reservation[0], False))),
                )

    def disturbances(self, state: State) -> Iterator[Step]:
        """What may come between."""
        yield from self.waits(state)
        for i, shard in enumerate(state.shards):
            if shard.epoch != DEAD:
                yield f"kill {i}", self._kill(state, i)
        for h, agent in enumerate(state.agents):
            up = state.shards[self.routes[h].source].epoch == UP
            if agent.call != IDLE:
                yield f"time out {h}", self._end_call(state, h)
                if agent.memory == WAITING and not agent.queued and up:
                    yield f"repeat {h}", with_agent(state, h, queued=True, asks=2)
            if agent.stray:
                yield f"lose request {h}", with_agent(state, h, stray=False)
            if agent.releasing:
                yield f"lose release {h}", with_agent(state, h, releasing=False)
            if agent.memory == WAITING and agent.heard == NO_ANSWER and up:
                yield f"cap {h}", self._end(state, h)
            if state.seats[h].reserved and agent.places == MEMBER_HERE:
                yield f"old look {h}", self._seat(state, h)

    # -- the source's side --

    def _source_steps(self, state: State, h: int) -> Iterator[Step]:
        agent, route = state.agents[h], self.routes[h]
        if state.shards[route.source].epoch != UP:
            return
        if agent.memory == WAITING and agent.heard == NO_ANSWER and agent.call == IDLE:
            yield f"ask {h}", with_agent(state, h, call=SENT, asks=min(2, agent.asks + 1))
        if agent.call in (SAYS_OK, SAYS_NO):
            yield f"hear {h}", self._hear(state, h)

    def _hear(self, state: State, h: int) -> State:
        agent = state.agents[h]
        if agent.memory == WAITING:
            state = with_agent(state, h, heard=GRANTED if agent.call == SAYS_OK else DENIED)
        return self._next_call(state, h)

    def _next_call(self, state: State, h: int) -> State:
        """What was asked for again meanwhile goes out when the call is over, whatever has become of the agent."""
        queued = state.agents[h].queued
        return with_agent(state, h, call=SENT if queued else IDLE, queued=False)

    def _end(self, state: State, h: int) -> State:
        """``state.blocked`` after ``give_up_handoff``."""
        agent = state.agents[h]
        release = agent.asks > (1 if agent.heard == DENIED else 0)
        state = with_agent(state, h, memory=ENDED, asks=0, heard=NO_ANSWER)
        return self._apply(state, self.routes[h].source, ("end", h, int(release)))

    # -- the target's side --

    def _target_steps(self, state: State, h: int) -> Iterator[Step]:
        agent, seat, route = state.agents[h], state.seats[h], self.routes[h]
        if state.shards[route.target].epoch != UP:
            return
        if agent.call == SENT:
            yield f"reserve {h}", self._reserve(with_agent(state, h, call=TAKEN), h, wanted=True)
        if agent.stray:
            yield f"reserve stray {h}", self._reserve(with_agent(state, h, stray=False), h, wanted=False)
        if agent.releasing and self._is_committed(state, h):
            yield f"release {h}", self._sweep(with_agent(state, h, releasing=False), h, given_up=True)
        if seat.reserved and not seat.looking and self._is_committed(state, h):
            yield f"sweep {h}", self._sweep(state, h, given_up=False)
        if seat.looking:
            yield f"freed {h}", with_seat(state, h, reserved=False, looking=False)

    def _reserve(self, state: State, h: int, *, wanted: bool) -> State:
        route = self.routes[h]
        taken = not state.seats[h].seated and self._in_the_way(state, h)
        if taken and "reserves a taken cell" not in self.mutations:
            return self._apply(state, route.target, ("answer", h, 0)) if wanted else state
        stays = state.seats[h].looking and "a look frees what was reserved anew" in self.mutations
        state = with_seat(state, h, reserved=True, looking=stays)
        state = self._apply(state, route.target, ("reservation", h, 0))
        return self._apply(state, route.target, ("answer", h, 1)) if wanted else state

    def _in_the_way(self, state: State, h: int) -> bool:
        cell = self.routes[h].cell
        return any(
            seat.stands or (seat.reserved and other != h)
            for other, seat in enumerate(state.seats)
            if self.routes[other].cell == cell
        )

    def _is_committed(self, state: State, h: int) -> bool:
        """``Arrivals._expire`` flushes first, so that its look finds the reservation in the journal."""
        pending = state.shards[self.routes[h].target].pending
        return ("reservation", h, 0) not in pending or "looks before the commit" in self.mutations

    def _sweep(self, state: State, h: int, *, given_up: bool) -> State:
        """The script ``EXPIRE``; only "free" matters."""
        if not state.seats[h].reserved:
            return state
        cell, mutations = self.routes[h].cell, self.mutations
        if state.agents[h].places & IN_INBOX and "frees without a look at the inbox" not in mutations:
            return state
        reservation = state.reservations[cell]
        if reservation[0] == h:
            if reservation[1] and not given_up:
                return state
            if "frees in memory only" not in mutations:
                state = state._replace(reservations=put(state.reservations, cell, NO_RESERVATION))
        return with_seat(state, h, looking=True)

    # -- ticks and commits --

    def _shard_steps(self, state: State, i: int, shard: Shard) -> Iterator[Step]:
        if shard.late:
            ran = self._run(state, shard.late)
            if ran is not None:
                yield f"late commit of {i}", with_shard(ran, i, late=())
        if shard.epoch != UP:
            yield f"load {i}", self._load(state, i)
            return
        ticked = self._tick(state, i)
        if ticked is not state:
            yield f"tick {i}", ticked
        if shard.pending:
            ran = self._run(state, shard.pending)
            if ran is None:
                yield f"refused {i}", self._refused(state, i, shard)
            else:
                yield f"commit {i}", self._attend(with_shard(ran, i, pending=()), shard.pending)
                if "no numbers" in self.mutations:
                    yield f"commit {i}, its answer lost", ran

    def _tick(self, state: State, i: int) -> State:
        for h, route in enumerate(self.routes):
            if route.target == i and state.seats[h].reserved and state.agents[h].places & IN_INBOX:
                state = self._seat(state, h)
        for h, route in enumerate(self.routes):
            agent = state.agents[h]
            if route.source != i or agent.memory != WAITING:
                continue
            if self._door_taken(state, route) or agent.heard == DENIED:
                state = self._end(state, h)
            elif agent.heard == GRANTED:
                state = with_agent(state, h, memory=ABSENT, asks=0, heard=NO_ANSWER)
                state = self._apply(state, i, ("go", h, 0))
        return state

    def _door_taken(self, state: State, route: Route) -> bool:
        return route.door is not None and any(
            seat.stands and self.routes[h].cell == route.door for h, seat in enumerate(state.seats)
        )

    def _seat(self, state: State, h: int) -> State:
        seat, route = state.seats[h], self.routes[h]
        if not seat.stands:
            others = (o for o, other in enumerate(state.seats) if other.stands and self.routes[o].cell == route.cell)
            if any(others):
                raise Broken(f"agent {h} arrives on a cell where somebody stands")
        state = with_seat(state, h, reserved=False, looking=False, seated=True, stands=True)
        return self._apply(state, route.target, ("seat", h, 0))

    def _apply(self, state: State, i: int, op: Op) -> State:
        """Add to the next commit.  Saying the same again changes nothing; each agent's operations keep their order."""
        others = [other for other in state.shards[i].pending if other != op]
        return with_shard(state, i, pending=tuple(sorted([*others, op], key=lambda each: each[1])))

    def _run(self, state: State, ops: tuple[Op, ...]) -> State | None:
        """The commit script, its lease and its number being good; None when a condition does not hold."""
        for kind, h, _ in ops:
            if kind == "go" and not self._still_reserved(state, h):
                return None
        for op in ops:
            state = self._write(state, op)
        return state

    def _still_reserved(self, state: State, h: int) -> bool:
        if "the source sets no condition" in self.mutations:
            return True
        reservation = state.reservations[self.routes[h].cell]
        return reservation[1] and (reservation[0] == h or "anybody's reservation counts" in self.mutations)

    def _write(self, state: State, op: Op) -> State:
        kind, h, _ = op
        agent, cell, mutations = state.agents[h], self.routes[h].cell, self.mutations
        if kind == "reservation":
            return state._replace(reservations=put(state.reservations, cell, (h, True)))
        if kind == "go":
            places = agent.places & ~MEMBER_THERE
            if "goes without the inbox" not in mutations:
                places |= IN_INBOX
            results = agent.results if "goes without a result" in mutations else agent.results + 1
            return with_agent(state, h, places=places, running=False, results=results)
        if kind == "end":
            return with_agent(state, h, running=False, results=agent.results + 1)
        if kind == "seat":
            reservation = state.reservations[cell]
            places = agent.places | MEMBER_HERE
            if "seats and leaves the arrival" not in mutations:
                places &= ~IN_INBOX
            if reservation[0] == h:
                state = state._replace(reservations=put(state.reservations, cell, NO_RESERVATION))
            return with_agent(state, h, places=places)
        return state

    def _attend(self, state: State, ops: tuple[Op, ...]) -> State:
        """What goes out once the commit is known to stand."""
        for kind, h, flag in ops:
            if kind == "answer" and state.agents[h].call == TAKEN:
                state = with_agent(state, h, call=SAYS_OK if flag else SAYS_NO)
            elif kind == "end" and flag:
                state = with_agent(state, h, releasing=True)
        return state

    # -- epochs --

    def _refused(self, state: State, i: int, shard: Shard) -> State:
        if "a refused commit is forgotten" in self.mutations:
            return with_shard(state, i, pending=())
        return with_shard(self._forget(state, i), i, epoch=RELOADING, late=shard.pending)

    def _kill(self, state: State, i: int) -> State:
        shard = state.shards[i]
        return with_shard(self._forget(state, i), i, epoch=DEAD, late=shard.pending or shard.late)

    def _forget(self, state: State, i: int) -> State:
        """The memory goes, and with it whoever waits for an answer from it or in it."""
        for h, route in enumerate(self.routes):
            if route.source == i:
                state = self._end_call(with_agent(state, h, queued=False), h)
                state = with_agent(state, h, memory=ABSENT, asks=0, heard=NO_ANSWER)
            if route.target == i:
                if state.agents[h].call in (SENT, TAKEN):
                    state = self._end_call(state, h)
                state = state._replace(seats=put(state.seats, h, Seat()))
        return with_shard(state, i, pending=())

    def _end_call(self, state: State, h: int) -> State:
        """The source waits no more; the request may still come to its target, whose answer then is for nobody."""
        agent, target = state.agents[h], self.routes[h].target
        if agent.call == SENT and state.shards[target].epoch != DEAD:
            state = with_agent(state, h, stray=True)
        if agent.call == TAKEN:
            pending = tuple(op for op in state.shards[target].pending if op[:2] != ("answer", h))
            state = with_shard(state, target, pending=pending)
        return self._next_call(state, h)

    def _load(self, state: State, i: int) -> State:
        """A new lease, which ends all that an earlier one may still send; then the memory as the journal has it."""
        shard, mutations = state.shards[i], self.mutations
        lease = {DEAD: "an old epoch may write", RELOADING: "a refused commit may run later"}
        late = shard.late if lease[shard.epoch] in mutations else ()
        for h, route in enumerate(self.routes):
            agent, reservation = state.agents[h], state.reservations[route.cell]
            if route.source == i and agent.places & MEMBER_THERE:
                state = with_agent(state, h, memory=WAITING if agent.running else ENDED)
            if route.target == i:
                stands = bool(agent.places & MEMBER_HERE)
                reserved = reservation[0] == h and "loads no reservations" not in mutations
                state = state._replace(seats=put(state.seats, h, Seat(reserved=reserved, stands=stands)))
        return with_shard(state, i, epoch=UP, late=late)

    # -- what must hold --

    def check(self, state: State) -> None:
        """In every state.

        Raises:
            Broken: the text says how.
        """
        at_cell: dict[int, int] = {}
        for h, agent in enumerate(state.agents):
            if agent.places not in (MEMBER_THERE, IN_INBOX, MEMBER_HERE):
                raise Broken(f"agent {h} is not in one place: {agent.places:03b}")
            if agent.results > 1:
                raise Broken(f"agent {h} has {agent.results} results")
            if agent.memory != ABSENT and state.seats[h].stands:
                raise Broken(f"agent {h} is in the memory of two shards")
            if agent.places != MEMBER_THERE:
                cell = self.routes[h].cell
                if cell in at_cell:
                    raise Broken(f"agents {at_cell[cell]} and {h} have one cell")
                at_cell[cell] = h

    def check_end(self, state: State) -> None:
        """When nothing goes on by itself any more.

        Raises:
            Broken: the text says how.
        """
        for h, agent in enumerate(state.agents):
            if agent.results != 1 or agent.running:
                raise Broken(f"agent {h} has {agent.results} results in the end")
            if agent.places & IN_INBOX:
                raise Broken(f"agent {h} stays in the inbox")
            if agent.memory == ABSENT and not state.seats[h].stands:
                raise Broken(f"agent {h} is in no shard's memory")
            if state.seats[h].stands != (agent.places == MEMBER_HERE):
                raise Broken(f"agent {h} is in the memory of the wrong shard")
            if state.seats[h].reserved:
                raise Broken(f"a cell stays reserved to {h} in memory")
        if any(reservation != NO_RESERVATION for reservation in state.reservations):
            raise Broken("a reservation stays in the journal")

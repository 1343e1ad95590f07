"""The state of ``crossing_model``, as values that can be compared and hashed."""

from __future__ import annotations

from typing import Any, NamedTuple

# Where the journal has an agent; more than one bit, or none, is what must never be.
MEMBER_THERE, IN_INBOX, MEMBER_HERE = 1, 2, 4  # member of the source chunk, on the way, member of the target chunk

# What a source's memory has of an agent.
ABSENT, WAITING, ENDED = 0, 1, 2
NO_ANSWER, GRANTED, DENIED = 0, 1, 2

# A call for a cell, as the source sees it.
IDLE, SENT, TAKEN, SAYS_OK, SAYS_NO = 0, 1, 2, 3, 4

DEAD, RELOADING, UP = 0, 1, 2

#: ("reservation", h, 0), ("answer", h, 1 yes | 0 no), ("go", h, 0), ("end", h, 1 with release | 0), ("seat", h, 0).
Op = tuple[str, int, int]


class Agent(NamedTuple):
    """One agent, its one accepted command and its one handoff: the journal's side, the network, the source's memory."""

    places: int = MEMBER_THERE
    running: bool = True
    results: int = 0
    call: int = IDLE
    queued: bool = False  # asked again while a call is under way
    stray: bool = False  # a request whose sender does not wait any more
    releasing: bool = False  # a message to the target that nobody will come
    memory: int = WAITING
    asks: int = 0  # 2: twice or more
    heard: int = NO_ANSWER


class Seat(NamedTuple):
    """The target's memory of one handoff."""

    reserved: bool = False
    looking: bool = False  # the script has answered "free" for this reservation
    seated: bool = False
    stands: bool = False  # the agent is in the memory


class Shard(NamedTuple):
    """A shard's epoch and its commits."""

    epoch: int = UP
    pending: tuple[Op, ...] = ()
    late: tuple[Op, ...] = ()  # a commit that may still run, though nobody waits for its answer


Reservation = tuple[int, bool]
NO_RESERVATION: Reservation = (-1, False)


class State(NamedTuple):
    """Everything.  ``reservations``: by cell, (handoff, not yet run out) as the journal has it."""

    agents: tuple[Agent, ...]
    seats: tuple[Seat, ...]
    shards: tuple[Shard, ...]
    reservations: tuple[Reservation, ...]


def put(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    """The tuple with one value changed."""
    return (*values[:index], value, *values[index + 1 :])


def with_agent(state: State, h: int, **changes: Any) -> State:
    """The state with fields of one agent changed."""
    return state._replace(agents=put(state.agents, h, state.agents[h]._replace(**changes)))


def with_seat(state: State, h: int, **changes: Any) -> State:
    """The state with fields of one handoff at its target changed."""
    return state._replace(seats=put(state.seats, h, state.seats[h]._replace(**changes)))


def with_shard(state: State, i: int, **changes: Any) -> State:
    """The state with fields of one shard changed."""
    return state._replace(shards=put(state.shards, i, state.shards[i]._replace(**changes)))

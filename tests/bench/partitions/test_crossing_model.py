"""Every interleaving of one crossing between partitions: messages lost, late and repeated, processes killed.

Each step is one script in one slot, or what a shard does between two of them.  A kill takes the source's grant; what
else a process has in memory stands in its slot too.  Time is not modelled: an intent may be taken back at any moment,
as if its time were over, and a go that comes too late is a go that does not come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import pytest

ATTEMPTS = 3

#: What can be left out of the protocol; each must be found.
MUTATIONS = (
    "frees without asking the source",
    "frees without a look into the inbox",
    "any intent will do",  # the go does not ask for the granted attempt's
    "a look frees what was reserved anew",
    "deliveries have no numbers",
    "goes without an intent",
)


class State(NamedTuple):
    # the source's slot
    here: bool = True
    intent: int = 0
    outbox: bool = False
    # the source's memory
    asked: int = 0
    granted: int = 0
    # under way; what is sent may come at any time, or never
    questions: frozenset[int] = frozenset()
    answers: frozenset[int] = frozenset()
    gone: bool = False  # from then on a delivery may come, any number of times
    # the target's slot
    reserved: int = 0
    inbox: bool = False
    taken: bool = False
    seated: bool = False
    # the target's memory: the source has said that nobody comes by this attempt
    free: int = 0
    #: Another agent stands on the cell.
    other: bool = False


def steps(state: State, left_out: str) -> Iterator[State]:
    yield from source_steps(state, left_out)
    yield from target_steps(state, left_out)
    if state.gone and (not state.taken or left_out == "deliveries have no numbers"):
        yield state._replace(inbox=True, taken=True)


def source_steps(state: State, left_out: str) -> Iterator[State]:
    if state.here and state.asked < ATTEMPTS:
        attempt = state.asked + 1
        yield state._replace(intent=attempt, asked=attempt, questions=state.questions | {attempt})
    for attempt in state.answers:
        yield state._replace(granted=attempt, answers=state.answers - {attempt})
    if state.granted:
        yield state._replace(granted=0)  # killed
        stands = state.intent == state.granted
        if left_out == "any intent will do":
            stands = state.intent != 0
        if state.here and (stands or left_out == "goes without an intent"):
            yield state._replace(here=False, intent=0, outbox=True, granted=0, gone=True)
    if state.outbox and state.taken:
        yield state._replace(outbox=False)


def target_steps(state: State, left_out: str) -> Iterator[State]:
    for attempt in state.questions:
        heard = state._replace(questions=state.questions - {attempt})
        if not state.other and not state.seated and not state.inbox and state.reserved <= attempt:
            yield heard._replace(reserved=attempt, answers=state.answers | {attempt})
        yield heard
    if state.reserved and not state.free:
        yield from withdraw(state, left_out)
    if state.free:
        frees = state.free == state.reserved or left_out == "a look frees what was reserved anew"
        if frees and (not state.inbox or left_out == "frees without a look into the inbox"):
            yield state._replace(reserved=0, free=0)
        else:
            yield state._replace(free=0)
    if not state.reserved and not state.seated and not state.other:
        yield state._replace(other=True)
    if state.inbox:
        yield state._replace(inbox=False, seated=True, reserved=0)


def withdraw(state: State, left_out: str) -> Iterator[State]:
    if left_out == "frees without asking the source":
        yield state._replace(free=state.reserved)
    elif state.intent <= state.reserved and (state.intent or not state.outbox):  # else alive, or gone
        yield state._replace(intent=0, free=state.reserved)


def fault(state: State) -> str | None:
    on_the_way = (state.outbox and not state.taken) or state.inbox
    if state.here + (state.outbox and not state.taken) + state.inbox + state.seated != 1:
        return "the agent is not in one place"
    if (on_the_way or state.seated) and state.other:
        return "two have one cell"
    if on_the_way and not state.reserved:
        return "nobody keeps the cell of an agent that has left"
    return None


def explore(left_out: str = "") -> tuple[int, str | None]:
    """How many states there are, and the first fault."""
    known, todo = {State()}, deque([State()])
    while todo:
        state = todo.popleft()
        if found := fault(state):
            return len(known), found
        for following in steps(state, left_out):
            if following not in known:
                known.add(following)
                todo.append(following)
    return len(known), None


def test_no_interleaving_loses_or_doubles_an_agent_or_a_cell() -> None:
    states, found = explore()
    assert found is None
    assert states > 500


@pytest.mark.parametrize("left_out", MUTATIONS)
def test_what_is_left_out_is_found_out(left_out: str) -> None:
    assert explore(left_out)[1] is not None


def test_whoever_has_left_can_always_be_seated() -> None:
    def all_states() -> Iterator[State]:
        known, todo = {State()}, deque([State()])
        while todo:
            state = todo.popleft()
            yield state
            fresh = set(steps(state, "")) - known
            known |= fresh
            todo += fresh

    for state in all_states():
        if state.outbox and not state.taken:
            assert any(following.inbox for following in steps(state, ""))
        if state.inbox:
            assert any(following.seated for following in steps(state, ""))

"""Walks through every state of ``crossing_model`` that some interleaving leads to, and tells the way to a broken one.

States are taken in layers: all that goes on by itself after at most n disturbances, then all that one more disturbance
makes of them.  Of two states that differ only in which agent is called 0 one is looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from tests.cluster.crossing_model import Broken, Model, Route, Step
from tests.cluster.crossing_state import Op, Shard, State


class Scenario(NamedTuple):
    """Two agents; ``shards`` and ``cells`` say which becomes which when the agents change names."""

    routes: tuple[Route, ...]
    shards: tuple[int, ...]
    cells: tuple[int, ...]


class Explored(NamedTuple):
    """How much there was to see.  ``ends``: states in which nothing goes on by itself."""

    states: int
    steps: int
    ends: int


class Found(Exception):
    """A state that must never be, and the shortest way there that was found."""

    def __init__(self, what: str, way: list[str]) -> None:
        super().__init__(f"{what}\n" + "\n".join(f"  {number:2} {step}" for number, step in enumerate(way, 1)))
        self.what = what
        self.way = way


class Explorer:
    """One exploration; ``run`` once."""

    def __init__(self, scenario: Scenario, *, mutations: Iterable[str] = (), symmetric: bool = True) -> None:
        self._scenario = scenario
        self._model = Model(scenario.routes, frozenset(mutations))
        self._symmetric = symmetric and len(scenario.routes) == 2
        self._numbers: dict[State, int] = {}
        self._states: list[State] = []
        self._from: list[int] = []
        self._before: list[list[int]] = []
        self._ends: list[int] = []
        self._steps = 0

    @property
    def states(self) -> list[State]:
        """Every state that was reached."""
        return self._states

    def run(self, disturbances: int) -> Explored:
        """Explore with at most so many disturbances.

        Raises:
            Found: a state breaks what must hold, or never comes to an end by itself.
        """
        self._add(-1, self._model.start())
        begin = 0
        for left in range(disturbances, -1, -1):
            number = begin
            while number < len(self._states):
                self._go_on(number)
                number += 1
            if left:
                layer, begin = range(begin, len(self._states)), len(self._states)
                for number in layer:
                    self._disturb(number)
        self._all_must_end()
        return Explored(len(self._states), self._steps, len(self._ends))

    def _go_on(self, number: int) -> None:
        """Take every step from a state; time passes only when nothing else goes on."""
        state, moved = self._states[number], False
        try:
            for steps in (self._model.steps, self._model.waits):
                for _, following in steps(state):
                    self._steps += 1
                    if following != state:
                        moved = True
                        self._before[self._add(number, following)].append(number)
                if moved:
                    return
            self._ends.append(number)
            self._model.check_end(state)
        except Broken as broken:
            raise Found(str(broken), self._way(number)) from None

    def _disturb(self, number: int) -> None:
        try:
            for _, following in self._model.disturbances(self._states[number]):
                self._steps += 1
                self._add(number, following)
        except Broken as broken:
            raise Found(str(broken), self._way(number)) from None

    def _add(self, before: int, state: State) -> int:
        number = self._numbers.get(state)
        if number is None and self._symmetric:
            number = self._numbers.get(self.swap(state))
        if number is None:
            number = self._numbers[state] = len(self._states)
            self._states.append(state)
            self._from.append(before)
            self._before.append([])
            try:
                self._model.check(state)
            except Broken as broken:
                raise Found(str(broken), self._way(number)) from None
        return number

    def _all_must_end(self) -> None:
        """From wherever disturbances have led, there is a way to an end without any."""
        todo, known = deque(self._ends), set(self._ends)
        while todo:
            for before in self._before[todo.popleft()]:
                if before not in known:
                    known.add(before)
                    todo.append(before)
        if len(known) < len(self._states):
            first = next(number for number in range(len(self._states)) if number not in known)
            raise Found("from here nothing comes to an end", self._way(first))

    # -- names --

    def swap(self, state: State) -> State:
        """The same state with the agents' names changed."""
        _, shards, cells = self._scenario
        return State(
            state.agents[::-1],
            state.seats[::-1],
            tuple(_renamed(state.shards[i]) for i in shards),
            tuple(
                (1 - h, alive) if h >= 0 else (h, alive) for h, alive in (state.reservations[cell] for cell in cells)
            ),
        )

    def _way(self, number: int) -> list[str]:
        """The steps from the start to a state.  What is kept are states up to names, so they are walked anew."""
        numbers = [number]
        while self._from[numbers[-1]] >= 0:
            numbers.append(self._from[numbers[-1]])
        state, way = self._model.start(), []
        for wanted in (self._states[number] for number in numbers[-2::-1]):
            for name, following in self._all_steps(state):
                if following == wanted or (self._symmetric and self.swap(following) == wanted):
                    state = following
                    way.append(name)
                    break
        return way

    def _all_steps(self, state: State) -> Iterator[Step]:
        yield from self._model.steps(state)
        yield from self._model.disturbances(state)


def _renamed(shard: Shard) -> Shard:
    if not shard.pending and not shard.late:
        return shard
    return Shard(shard.epoch, _renamed_ops(shard.pending), _renamed_ops(shard.late))


@lru_cache(maxsize=4_096)
def _renamed_ops(ops: tuple[Op, ...]) -> tuple[Op, ...]:
    return tuple(sorted(((kind, 1 - h, flag) for kind, h, flag in ops), key=lambda op: op[1]))

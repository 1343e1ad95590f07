"""``Journey``: one whole intention of an agent, command after command, planned anew whenever something is in the way.

Each of its calls may be cancelled, has a time limit, and returns an ``Outcome``; what it raises is what ends an agent.
A walk that is under way when a call is cancelled goes on to its end, since the world knows no stopping: ``stride``
makes walks of so many cells, so that the end is near.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from chunkcrawl.errors import (
    Busy,
    CommandDropped,
    CommandFailed,
    Depleted,
    ExpiredChallenge,
    NodeNotFound,
    OutcomeUnknown,
    RateLimited,
    TooFar,
    Unreachable,
)
from chunkcrawl.journeys.outcomes import (
    Arrived,
    Explored,
    Harvested,
    LostSight,
    NoGold,
    NoWay,
    Outcome,
    StillFollowing,
    TimedOut,
)
from chunkcrawl.view.paths import Point, is_boundary, is_floor, manhattan
from chunkcrawl.view.world_map import WorldMap
from chunkcrawl.view.world_view import GoldNode, WorldView
from chunkcrawl.wire.messages import Direction
from chunkcrawl.wire.protocol import Completed

__all__ = ["Journey", "Walker"]

#: How often in a row something may stand in the way of one step of a journey before it counts as no way.
HINDRANCES_MAX: Final = 20
PAUSE_S: Final = (0.2, 1.0)
VIEW_TIMEOUT_S: Final = 60.0
#: Out of sight for so long, somebody who is followed is lost.
SIGHT_S: Final = 1.0

#: What goes better when it is planned anew; everything else is a mistake of ours or the end of the agent.
WORTH_ANOTHER_TRY: Final = (
    *(CommandFailed, CommandDropped, OutcomeUnknown),
    *(Unreachable, Depleted, TooFar, NodeNotFound, Busy, RateLimited, ExpiredChallenge),
)
#: Somebody who is followed walks on: walks towards where it stood are no longer than this.
FOLLOW_STRIDE: Final = 4
#: Whoever was seen last within so many cells of a door went through it.
DOOR_REACH: Final = 2

_End = TypeVar("_End", bound=Outcome)


class Walker(Protocol):
    """The part of an ``Agent`` that a journey uses."""

    view: WorldView
    map: WorldMap

    def move_to(self, x: int, y: int) -> Awaitable[Completed]:
        """Walk."""

    def harvest(self, node: str | GoldNode) -> Awaitable[Completed]:
        """Dig."""

    def wait_until(self, condition: Callable[[WorldView], bool], timeout_s: float | None = ...) -> Awaitable[bool]:
        """Wait."""


class Hindered(Exception):
    """Something stood in the way; it may be tried again."""


class Ended(Exception):
    """The journey can't go on.  ``outcome``: why."""

    def __init__(self, outcome: NoWay) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


class Journey:
    """What an agent is about to do; make one for each.

    Args:
        agent: Who.
        stride: Cells of a walk at most; None: as far as it goes.  A small one ends soon when it is cancelled.
        rng: Where pauses come from.
    """

    def __init__(self, agent: Walker, *, stride: int | None = None, rng: random.Random | None = None) -> None:
        self._agent = agent
        self._stride = stride
        self._rng = rng or random.Random()
        self._found: list[str] = []
        self._hindrances = 0
        self._start_gold: int | None = None

    @property
    def found(self) -> tuple[str, ...]:
        """The chunks that were entered for the first time up to now."""
        return tuple(self._found)

    @property
    def taken(self) -> int:
        """How much gold was taken up to now."""
        return self._taken()

    # -- whole intentions --

    async def go_to(self, chunk_id: str, x: int, y: int, timeout_s: float | None) -> Arrived | NoWay | TimedOut:
        """Go to a cell of any chunk that the map knows a way to; see ``Agent.go_to``."""

        async def work() -> Arrived | NoWay:
            while True:
                view = await self._ready()
                if view.chunk_id != chunk_id:
                    await self._tried(lambda: self._towards(chunk_id))
                elif view.position == (x, y):
                    return Arrived(*self._place())
                else:
                    await self._tried(lambda: self._to_cell(x, y))

        return await self._within(timeout_s, work)

    async def explore(self, chunks: int, timeout_s: float | None) -> Explored | NoWay | TimedOut:
        """Enter chunks for the first time; see ``Agent.explore``."""

        async def work() -> Explored | NoWay:
            await self._ready()
            while len(self._found) < chunks:
                await self._tried(self._through_unknown_door)
            return Explored(*self._place(), tuple(self._found))

        return await self._within(timeout_s, work)

    async def harvest(
        self, amount: int | None, timeout_s: float | None, *, explore: bool
    ) -> Harvested | NoGold | NoWay | TimedOut:
        """Take gold, node after node; see ``Agent.harvest_nearest``."""

        async def work() -> Harvested | NoGold | NoWay:
            view = await self._ready()
            self._start_gold = view.inventory_gold or 0
            while self._taken() == 0 if amount is None else self._taken() < amount:
                if self._agent.view.nearest_gold() is not None:
                    await self._tried(lambda: self._dig(amount))
                elif not await self._towards_gold(explore=explore):
                    return NoGold(*self._place(), self._taken())
            return Harvested(*self._place(), self._taken())

        return await self._within(timeout_s, work)

    async def follow(self, agent_id: str, distance: int, timeout_s: float | None) -> StillFollowing | LostSight:
        """Stay beside another agent, through doors too; see ``Agent.follow``."""

        async def work() -> LostSight:
            seen: Point | None = None
            while True:
                there = (await self._ready()).others.get(agent_id)
                if there is None and seen is not None and await self._after(agent_id, seen):
                    there = self._agent.view.others.get(agent_id)
                if there is None:
                    return LostSight(*self._place(), agent_id)
                seen = there.x, there.y
                await self._closer(seen, distance)

        try:
            async with asyncio.timeout(timeout_s):
                return await work()
        except TimeoutError:
            if agent_id in self._agent.view.others:
                return StillFollowing(*self._place(), agent_id)
            return LostSight(*self._place(), agent_id)

    # -- one step of them --

    async def _towards(self, goal: str) -> None:
        """Pass the next door on the way to a chunk."""
        here = self._agent.view.chunk_id or ""
        known = self._agent.map.chunks.get(goal)
        if known is not None and known.gone:
            text = f"{goal} was collected, as empty chunks are, and nobody gets there any more"
            raise Ended(NoWay(*self._place(), "chunk_gone", text))
        way = self._agent.map.route(here, goal)
        if way is None:
            raise Ended(NoWay(*self._place(), "unknown_chunk", f"the map knows no way from {here} to {goal}"))
        await self._through(way[0])

    async def _through(self, side: Direction) -> None:
        """Leave the chunk on a side, by the nearest free cell of its door."""
        view = self._agent.view
        cells = view.exits().get(side, [])
        if not cells:
            raise Ended(NoWay(*self._place(), "closed", f"{view.chunk_id} has no door on its side {side}"))
        steps = view.reachable()
        free = sorted((steps[cell], cell) for cell in cells if cell in steps and cell != view.position)
        # Whoever has just come in by this very door stands on it, and must step inside before it can be left by it.
        # Somebody may stand behind the nearest one: the next try takes another.
        cell = (
            free[self._hindrances % len(free)][1]
            if free
            else view.next_free(*view.position)
            if view.position in cells
            else None
        )
        if cell is None:
            raise Hindered
        await self._walk(*cell)

    async def _to_cell(self, x: int, y: int) -> None:
        """Walk to a cell of this chunk."""
        view = self._agent.view
        if not is_floor(view.grid, x, y):
            raise Ended(NoWay(*self._place(), "wall", f"{x},{y} of {view.chunk_id} is no floor"))
        if is_boundary(view.grid, x, y):
            text = f"{x},{y} is on the boundary: whoever steps on it leaves {view.chunk_id}"
            raise Ended(NoWay(*self._place(), "boundary", text))
        if (x, y) not in view.reachable():
            raise Hindered
        await self._walk(x, y)

    async def _through_unknown_door(self) -> None:
        """Get one door nearer to a chunk that was never entered, or into it."""
        agent = self._agent
        here = agent.view.chunk_id or ""
        entered = {chunk_id for chunk_id, chunk in agent.map.chunks.items() if chunk.entered}
        door = next(agent.map.unknown_doors(here), None)
        if door is None:
            raise Ended(NoWay(*self._place(), "closed", "every door that the map knows of leads to a chunk it knows"))
        way, side = door
        await self._through(way[0] if way else side)
        await self._ready()
        now = agent.view.chunk_id
        if now is not None and now not in entered and now not in self._found:
            self._found.append(now)

    async def _dig(self, amount: int | None) -> None:
        """Walk to the nearest gold of this chunk and take what is wanted of it."""
        found = self._agent.view.nearest_gold()
        if found is None:
            return  # somebody took what there was: whoever asked looks elsewhere
        node, cell = found
        if cell != self._agent.view.position:
            await self._walk(*cell)
            return
        digging = asyncio.ensure_future(self._harvested(node))
        enough = asyncio.ensure_future(self._enough(amount))
        try:
            await asyncio.wait({digging, enough}, return_when=asyncio.FIRST_COMPLETED)
            if digging.done():
                digging.result()
        finally:
            for task in (digging, enough):
                task.cancel()
            await asyncio.gather(digging, enough, return_exceptions=True)

    async def _harvested(self, node: GoldNode) -> None:
        before = self._taken()
        await self._command(self._agent.harvest(node))
        # The inventory is told of beside the result.
        await self._agent.wait_until(lambda _: self._taken() > before, SIGHT_S)

    async def _enough(self, amount: int | None) -> None:
        if amount is None:
            await asyncio.Event().wait()
        await self._agent.wait_until(lambda _: self._taken() >= (amount or 0), None)

    async def _towards_gold(self, *, explore: bool) -> bool:
        """Get one door nearer to a chunk in which gold was left, else into a new one; False: there is neither."""
        agent = self._agent
        here = agent.view.chunk_id or ""
        way = next((way for way, _ in agent.map.gold_chunks(here) if way), None)
        if way is not None:
            await self._tried(lambda: self._through(way[0]))
        elif explore:
            await self._tried(self._through_unknown_door)
        else:
            return False
        await self._ready()
        return True

    async def _closer(self, to: Point, distance: int) -> None:
        view = self._agent.view
        position = view.position
        if position is None or manhattan(position, to) <= distance:
            tick = view.tick
            await self._agent.wait_until(lambda now: now.tick > tick, SIGHT_S)
            return
        cell = view.next_free(*to)
        if cell is None or cell == position:
            await asyncio.sleep(self._rng.uniform(*PAUSE_S))
            return
        way = view.path_to(*cell) or [cell]
        step = way[min(len(way), FOLLOW_STRIDE) - 1]
        try:
            await self._walk(*(cell if is_boundary(view.grid, *step) else step))
        except Hindered:
            await asyncio.sleep(PAUSE_S[0])

    async def _after(self, agent_id: str, last: Point) -> bool:
        """Go through the door beside which somebody was seen last; False when there was none."""
        view = self._agent.view
        doors = [(manhattan(cell, last), side) for side, cells in view.exits().items() for cell in cells]
        far, side = min(doors, default=(99, "N"))
        if far > DOOR_REACH:
            return False
        before = view.chunk_id
        for _ in range(HINDRANCES_MAX):
            try:
                await self._through(side)
            except Hindered:
                await asyncio.sleep(self._rng.uniform(*PAUSE_S))
            view = await self._ready()
            if view.chunk_id != before:
                return await self._agent.wait_until(lambda now: agent_id in now.others, SIGHT_S)
        return False

    # -- what all share --

    async def _walk(self, x: int, y: int) -> None:
        """Walk to a cell, or ``stride`` cells towards it."""
        view = self._agent.view
        way = view.path_to(x, y)
        if way and self._stride is not None and len(way) > self._stride:
            x, y = way[self._stride - 1]
        await self._command(self._agent.move_to(x, y))

    async def _command(self, command: Awaitable[Completed]) -> None:
        """Carry a command out; what may go better at another try is ``Hindered``."""
        try:
            await command
        except WORTH_ANOTHER_TRY as error:
            raise Hindered from error

    async def _tried(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take one step of the journey, again and again while something is in the way."""
        for self._hindrances in range(HINDRANCES_MAX):
            try:
                await step()
            except Hindered:
                await asyncio.sleep(self._rng.uniform(*PAUSE_S))
                await self._ready()
            else:
                self._hindrances = 0
                return
        self._hindrances = 0
        text = f"others stood in the way {HINDRANCES_MAX} times in a row"
        raise Ended(NoWay(*self._place(), "crowded", text))

    async def _ready(self) -> WorldView:
        """Wait until the present chunk is known."""
        while not await self._agent.wait_until(lambda view: view.ready and view.me is not None, VIEW_TIMEOUT_S):
            pass
        return self._agent.view

    async def _within(self, timeout_s: float | None, work: Callable[[], Awaitable[_End]]) -> _End | NoWay | TimedOut:
        try:
            async with asyncio.timeout(timeout_s):
                return await work()
        except TimeoutError:
            return TimedOut(*self._place(), tuple(self._found), self._taken())
        except Ended as end:
            return end.outcome

    def _taken(self) -> int:
        if self._start_gold is None:
            return 0
        return max(0, (self._agent.view.inventory_gold or 0) - self._start_gold)

    def _place(self) -> tuple[str | None, int, int]:
        x, y = self._agent.view.position or (-1, -1)
        return self._agent.view.chunk_id, x, y

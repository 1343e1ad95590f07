"""Gateways are made, drained and taken away; those on drained nodes go once others serve."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cluster.gateway_count import GatewayCount, free_numbers, gateway_loads
from config.settings import Settings

SERVES = {"started": True, "draining": False, "connections": 1, "cpu": 0.1}


class Actors:
    """``WorldActors`` that only counts."""

    def __init__(self, *numbers: int) -> None:
        self.there = set(numbers)

    def numbers(self, prefix: str) -> list[int]:
        assert prefix == "gateway-"
        return sorted(self.there)

    async def ensure(self, name: str, actor_class: type, options: dict[str, Any], arguments: tuple[Any, ...]) -> None:
        assert options["name"] == name
        self.there.add(arguments[0])


class Nodes:
    """``DrainedNodes`` of which some are drained."""

    usable = 1
    avoid: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.on_drained: set[str] = set()

    def left_on(self, names: set[str]) -> list[str]:
        return sorted(self.on_drained & names)


class Case:
    """A count of two gateways at least, and what it has ended."""

    def __init__(self, *numbers: int) -> None:
        self.actors, self.nodes = Actors(*numbers), Nodes()
        self.ended: list[str] = []
        self.may_end = asyncio.Event()
        nodes: Any = self.nodes
        actors: Any = self.actors
        self.count = GatewayCount(Settings(gateways=2, gateways_max=3), actors, nodes, self._end)

    async def _end(self, name: str, timeout_s: float) -> None:
        await self.may_end.wait()
        self.ended.append(name)
        self.actors.there.discard(int(name.removeprefix("gateway-")))

    async def until_ended(self) -> None:
        self.may_end.set()
        async with asyncio.timeout(10):
            while self.count.leaving:
                await asyncio.sleep(0)


async def test_there_are_made_as_many_as_there_should_be() -> None:
    case = Case(1)
    await case.count.reconcile()
    assert case.actors.there == {0, 1}
    assert not case.count.leaving


async def test_one_on_a_drained_node_goes_when_the_others_serve() -> None:
    case = Case(0, 1)
    case.nodes.on_drained = {"gateway-0"}
    await case.count.reconcile()
    assert (case.actors.there, case.count.leaving) == ({0, 1, 2}, False), "there is no other that serves"
    case.count.heard({"gateway-1": SERVES, "gateway-2": SERVES})
    await case.count.reconcile()
    assert case.count.leaving
    await case.count.reconcile()
    await case.until_ended()
    assert case.ended == ["gateway-0"]
    assert case.actors.there == {1, 2}


async def test_one_that_was_told_to_drain_by_a_coordinator_before_this_is_ended() -> None:
    case = Case(0, 1, 2)
    case.count.heard({"gateway-0": SERVES, "gateway-1": SERVES, "gateway-2": SERVES | {"draining": True}})
    await case.count.reconcile()
    await case.until_ended()
    assert case.ended == ["gateway-2"]


@pytest.mark.parametrize(("taken", "count", "free"), [([], 2, [0, 1]), ([0, 2], 2, [1, 3]), ([0], 0, []), ([], -1, [])])
def test_the_lowest_numbers_are_taken(taken: list[int], count: int, free: list[int]) -> None:
    assert free_numbers(taken, count) == free


def test_only_those_that_take_connections_count() -> None:
    found = gateway_loads(
        {
            "gateway-0": SERVES,
            "gateway-1": {"error": "no answer"},
            "gateway-2": SERVES | {"draining": True},
            "shard-0": {},
        }
    )
    assert found.keys() == {"gateway-0"}

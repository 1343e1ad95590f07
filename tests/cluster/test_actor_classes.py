"""The classes that Ray knows stay as they are; what is behind them may get other methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from cluster import actor_classes
from cluster.actor_classes import (
    ArchiverActor,
    CoordinatorActor,
    CoordinatorMoverActor,
    GatewayActor,
    ShardActor,
    first_answer,
)
from cluster.messages import ForeignVersion
from cluster.peers import WorldReloaded

ACTORS = (ArchiverActor, CoordinatorActor, CoordinatorMoverActor, GatewayActor, ShardActor)


class Inside:
    """What an actor may have inside."""

    def __init__(self, number: int) -> None:
        self.number = number

    async def ready(self) -> int:
        return self.number

    async def add(self, more: int, *, twice: bool = False) -> int:
        return self.number + more * (2 if twice else 1)

    async def reload(self) -> None:
        raise WorldReloaded

    async def _hidden(self) -> int:
        return 0


class Sample(actor_classes._RayActor):
    module, name = __name__, "Inside"


@pytest.mark.parametrize("actor", ACTORS)
def test_what_ray_knows_of_an_actor_is_what_it_has_always_known(actor: type) -> None:
    """A process of another release that lacks one of these, private ones too, can't look the actor up (0047)."""
    assert {name for name, _ in inspect.getmembers(actor, inspect.isfunction)} == {"__init__", "call"}
    assert (actor.__module__, actor.__mro__[1].__qualname__) == ("cluster.actor_classes", "_RayActor")
    assert parameters(actor) == ["*args"]
    assert parameters(actor.call) == ["self", "method", "*args", "**kwargs"]  # type: ignore[attr-defined]


def parameters(called: Callable[..., Any]) -> list[str]:
    """What it takes, but for what Ray adds where it has run in this process."""
    taken = inspect.signature(called).parameters.values()
    return [str(one.replace(annotation=inspect.Parameter.empty)) for one in taken if one.name != "_ray_trace_ctx"]


def test_their_names_stay() -> None:
    assert [actor.__name__ for actor in ACTORS] == [
        *("ArchiverActor", "CoordinatorActor", "CoordinatorMoverActor", "GatewayActor", "ShardActor"),
    ]


@pytest.mark.parametrize("actor", ACTORS)
def test_each_has_something_inside(actor: type[actor_classes._RayActor]) -> None:
    assert inspect.isclass(getattr(import_module(actor.module), actor.name))


async def test_a_call_comes_through_with_its_arguments() -> None:
    actor = Sample(7)
    assert await actor.call("add", 1) == 8
    assert await actor.call("add", 1, twice=True) == 9


@pytest.mark.parametrize("name", ["weather", "_hidden", "__init__", "__class__"])
async def test_a_call_that_is_not_known_is_refused(name: str) -> None:
    with pytest.raises(ForeignVersion, match=f"Inside has no call {name}"):
        await Sample(7).call(name)


async def test_what_a_call_raises_comes_through() -> None:
    with pytest.raises(WorldReloaded):
        await Sample(7).call("reload")


async def test_the_first_answer_is_that_of_ready() -> None:
    asked = []

    class Handle:
        class call:
            @staticmethod
            async def remote(*args: Any) -> None:
                asked.append(args)

    await first_answer(Handle)
    assert asked == [("ready",)]

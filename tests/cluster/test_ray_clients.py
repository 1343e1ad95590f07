"""Calls by a method: its name reaches the actor, its answer comes back, and Ray's errors are ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, GetTimeoutError

from cluster.archiver_actor import ChunkArchiver
from cluster.coordinator import Coordinator
from cluster.gateway_actor import Gateway
from cluster.messages import ForeignVersion
from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.ray_clients import CoordinatorCalls, NamedActors, ReportingActor, WorldActor, introduced
from cluster.shard_actor import ChunkShard
from cluster.shard_calls import ShardEndpoint


def every_actor_is_what_callers_take_it_for(
    shard: ChunkShard, gateway: Gateway, archiver: ChunkArchiver, coordinator: Coordinator
) -> tuple[ReportingActor, ReportingActor, WorldActor, CoordinatorCalls]:
    """For mypy, which is all that has to read it."""
    return shard, gateway, archiver, coordinator


class Handle:
    """An actor's handle: what is called is noted and answered, or fails, or never ends."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.called: list[tuple[object, ...]] = []

    def __getattr__(self, method: str) -> Any:
        handle = self

        class Method:
            async def remote(self, *args: object) -> Any:
                handle.called.append((method, *args))
                if isinstance(handle.answer, BaseException):
                    raise handle.answer
                if handle.answer is ...:
                    await asyncio.Event().wait()
                return handle.answer

        return Method()


def actors_with(handle: Handle) -> NamedActors:
    actors = NamedActors()
    actors._handles["shard-0"] = handle  # type: ignore[assignment]
    return actors


async def test_a_method_is_called_by_its_name_with_its_arguments() -> None:
    handle = Handle(0.5)
    assert await actors_with(handle).call("shard-0", 1.0, ShardEndpoint.give, "chunk-0", 1) == 0.5
    assert handle.called == [("call", "give", "chunk-0", 1)]


@pytest.mark.parametrize("error", [ActorDiedError(), GetTimeoutError("late")])
async def test_errors_of_ray_are_an_unavailable_shard(error: Exception) -> None:
    with pytest.raises(ShardUnavailable, match="shard-0"):
        await actors_with(Handle(error)).call("shard-0", 1.0, WorldActor.describe)


async def test_errors_of_the_method_come_through() -> None:
    with pytest.raises(WorldReloaded):
        await actors_with(Handle(WorldReloaded())).call("shard-0", 1.0, ShardEndpoint.load, ["chunk-0"])


async def test_a_call_without_an_answer_ends_and_says_which_it_was() -> None:
    with pytest.raises(ShardUnavailable, match="no answer to stop"):
        await actors_with(Handle(...)).call("shard-0", 0.01, WorldActor.stop)


async def test_a_call_that_an_actor_of_another_release_lacks_is_refused_by_it() -> None:
    with pytest.raises(ForeignVersion):
        await introduced(actors_with(Handle(ForeignVersion("no call address"))), 0, "node", 1.0)


async def test_a_shard_of_ours_is_asked_where_it_listens() -> None:
    handle = Handle(b"address")
    assert await introduced(actors_with(handle), 0, "node", 1.0) == b"address"
    assert handle.called == [("call", "address", "node")]

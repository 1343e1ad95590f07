"""Calls to actors by name, with every wait bounded and Ray's errors turned into ours."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorDiedError, RayActorError, RayError

from cluster.metrics_report import Report
from cluster.peers import ShardUnavailable
from cluster.release import RELEASE
from cluster.shard_calls import CarryingClient
from cluster.shard_socket import IntroducedShard, SocketShardClient
from streaming.shared_clock import SHARED

P = ParamSpec("P")
T = TypeVar("T")

NAMESPACE: Final = "chunkcrawl"
COORDINATOR: Final = "coordinator"
COORDINATOR_MOVER: Final = "coordinator-mover"
FIND_TIMEOUT_S: Final = 2.0
METRICS_TIMEOUT_S: Final = 2.0
LOOPBACK: Final = "127.0.0.1"


def shard_name(shard: int) -> str:
    """Return the name of the actor of a shard."""
    return f"shard-{shard}"


def gateway_name(gateway: int) -> str:
    """Return the name of the actor of a gateway."""
    return f"gateway-{gateway}"


def here() -> dict[str, Any]:
    """Return where this actor runs: release, process, Ray node, how far that machine's clock is ahead if known."""
    skew_s = SHARED.skew_s()
    return {
        **RELEASE.describe(),
        "pid": os.getpid(),
        "node": ray.get_runtime_context().get_node_id(),
        "clock_ahead_s": None if skew_s is None else round(skew_s, 3),
    }


class WorldActor(Protocol):
    """What the coordinator asks of every actor that it has made, and operators of the coordinator too."""

    async def describe(self) -> dict[str, Any]:
        """Return figures for status, and where the actor runs."""
        ...

    async def stop(self) -> None:
        """End its work in order; the actor is to be killed after it."""
        ...


class ReportingActor(WorldActor, Protocol):
    """A shard, a gateway or an archiver."""

    async def metrics(self) -> Report:
        """Return what this process counts and measures."""
        ...


class CoordinatorCalls(Protocol):
    """The coordinator, besides ``WorldActor.describe``."""

    async def metrics(self) -> bytes:
        """Return the metrics page of the whole cluster."""
        ...

    async def drain(self) -> None:
        """Stop gateways, then shards, then the archiver, each after its last work; they may be killed afterwards."""
        ...


class NamedActors:
    """Handles of our actors, kept while they live; looking one up is a trip to the GCS."""

    def __init__(self, namespace: str = NAMESPACE) -> None:
        self._namespace = namespace
        self._handles: dict[str, ActorHandle[Any]] = {}

    async def call(
        self,
        name: str,
        timeout_s: float,
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call the actor ``name``, and wait ``timeout_s`` seconds at most.

        ``method`` is a method of a class or protocol that says what the actor's is like: ``WorldActor.describe``.

        Raises:
            ShardUnavailable: no such actor, no answer in time, or it died meanwhile.
            ForeignVersion: it is of a release that has no such method.
            Exception: whatever the method raised.
        """
        try:
            async with asyncio.timeout(timeout_s):
                handle = self._handles.get(name) or await self._find(name)
                actor: Any = handle
                answer: T = await actor.call.remote(method.__name__, *args, **kwargs)
                return answer
        except ActorDiedError as error:
            self._handles.pop(name, None)
            raise ShardUnavailable(f"{name} has died") from error
        except (RayActorError, TimeoutError) as error:
            raise ShardUnavailable(f"{name} gave no answer to {method.__name__}: {type(error).__name__}") from error
        except RayError as error:
            if isinstance(error, ray.exceptions.RayTaskError):
                raise
            raise ShardUnavailable(f"{name}: {type(error).__name__}") from error

    def forget(self, name: str) -> None:
        """Drop the handle of an actor that is to be looked up anew."""
        self._handles.pop(name, None)

    async def _find(self, name: str) -> ActorHandle[Any]:
        try:
            async with asyncio.timeout(FIND_TIMEOUT_S):
                handle = await asyncio.to_thread(ray.get_actor, name, self._namespace)
        except ValueError as error:
            raise ShardUnavailable(f"there is no actor {name}") from error
        self._handles[name] = handle
        return handle


class RayShardClient(CarryingClient):
    """``ShardClient`` over the shards' actors."""

    def __init__(self, actors: NamedActors) -> None:
        super().__init__()
        self._actors = actors

    async def call(
        self,
        shard: int,
        timeout_s: float,
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """See ``cluster.shard_calls.Carrier``."""
        return await self._actors.call(shard_name(shard), timeout_s, method, *args, **kwargs)


def connected_shards(actors: NamedActors) -> SocketShardClient:
    """Return a ``ShardClient`` over sockets, which the shards' actors tell of; for callers that are actors too."""
    node = ray.get_runtime_context().get_node_id()

    async def introduce(shard: int, timeout_s: float) -> bytes:
        return await introduced(actors, shard, node, timeout_s)

    return SocketShardClient(RayShardClient(actors), introduce)


async def introduced(actors: NamedActors, shard: int, node: str, timeout_s: float) -> bytes:
    """Return where a shard listens for callers on ``node`` (``IntroducedShard.address``).

    Raises:
        ForeignVersion, ShardUnavailable: see ``NamedActors.call``.
    """
    return await actors.call(shard_name(shard), timeout_s, IntroducedShard.address, node)


def host_for(node: str) -> str:
    """Return the address of this machine that a caller on a Ray node reaches."""
    same = node == ray.get_runtime_context().get_node_id()
    return LOOPBACK if same else str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


class RayClusterClient:
    """``ClusterClient`` over the coordinator, which knows all actors."""

    def __init__(self, actors: NamedActors) -> None:
        self._actors = actors

    async def metrics(self) -> bytes:
        """See ``ClusterClient.metrics``."""
        return await self._actors.call(COORDINATOR, METRICS_TIMEOUT_S, CoordinatorCalls.metrics)

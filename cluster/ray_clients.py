"""Calls to actors by name, with every wait bounded and Ray's errors turned into ours."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorDiedError, RayActorError, RayError

from cluster.peers import ShardUnavailable
from streaming.shared_clock import SHARED

NAMESPACE = "chunkcrawl"
COORDINATOR = "coordinator"
FIND_TIMEOUT_S = 2.0
METRICS_TIMEOUT_S = 2.0


def shard_name(shard: int) -> str:
    """Name of the actor of a shard."""
    return f"shard-{shard}"


def gateway_name(gateway: int) -> str:
    """Name of the actor of a gateway."""
    return f"gateway-{gateway}"


def here() -> dict[str, Any]:
    """Where this actor runs: process and Ray node, and how far that machine's clock is ahead, where it is known."""
    skew_s = SHARED.skew_s()
    return {
        "pid": os.getpid(),
        "node": ray.get_runtime_context().get_node_id(),
        "clock_ahead_s": None if skew_s is None else round(skew_s, 3),
    }


class NamedActors:
    """Handles of our actors, kept while they live; looking one up is a trip to the GCS."""

    def __init__(self, namespace: str = NAMESPACE) -> None:
        self._namespace = namespace
        self._handles: dict[str, ActorHandle[Any]] = {}

    async def call(self, name: str, method: str, *args: Any, timeout_s: float) -> Any:
        """Call ``method`` of the actor ``name``.

        Raises:
            ShardUnavailable: no such actor, no answer in time, or it died meanwhile.
            Exception: whatever the method raised.
        """
        try:
            async with asyncio.timeout(timeout_s):
                handle = self._handles.get(name) or await self._find(name)
                return await getattr(handle, method).remote(*args)
        except ActorDiedError as error:
            self._handles.pop(name, None)
            raise ShardUnavailable(f"{name} has died") from error
        except (RayActorError, TimeoutError) as error:
            raise ShardUnavailable(f"{name} gave no answer to {method}: {type(error).__name__}") from error
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


class RayShardClient:
    """``ShardClient`` over the shards' actors."""

    def __init__(self, actors: NamedActors) -> None:
        self._actors = actors

    async def call(self, shard: int, method: str, *args: Any, timeout_s: float) -> Any:
        """See ``ShardClient.call``."""
        return await self._actors.call(shard_name(shard), method, *args, timeout_s=timeout_s)


class RayClusterClient:
    """``ClusterClient`` over the coordinator, which knows all actors."""

    def __init__(self, actors: NamedActors) -> None:
        self._actors = actors

    async def metrics(self) -> bytes:
        """See ``ClusterClient.metrics``."""
        page: bytes = await self._actors.call(COORDINATOR, "metrics", timeout_s=METRICS_TIMEOUT_S)
        return page

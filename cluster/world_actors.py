"""The actors of a world as the coordinator holds them: found, made, asked, ended.

They are detached actors of their own, so they outlive a coordinator that dies; the next one takes them up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import ray
import structlog
from ray.actor import ActorHandle

from cluster.actor_classes import first_answer
from cluster.peers import ShardUnavailable
from cluster.ray_clients import COORDINATOR_MOVER, NamedActors, WorldActor

log = structlog.get_logger(__name__)

UP_TIMEOUT_S: Final = 20.0
DESCRIBE_TIMEOUT_S: Final = 2.0
#: What the next coordinator takes up.
TAKEN_UP: Final = ("shard-", "gateway-")


class WorldActors:
    """Handles of shards, gateways and archivers by name."""

    def __init__(self, actors: NamedActors, namespace: str) -> None:
        self._actors = actors
        self._namespace = namespace
        self._handles: dict[str, ActorHandle[Any]] = {}

    def names(self) -> list[str]:
        """Return the names of those there are."""
        return sorted(self._handles)

    def numbers(self, prefix: str) -> list[int]:
        """Return the numbers of those whose names begin so."""
        return sorted(int(name.removeprefix(prefix)) for name in self._handles if name.startswith(prefix))

    async def ensure(self, name: str, actor_class: type, options: dict[str, Any], arguments: tuple[Any, ...]) -> None:
        """Make the actor if it is not there."""
        if name not in self._handles:
            self._handles[name] = await asyncio.to_thread(make_actor, actor_class, options, arguments)

    async def end(self, name: str, timeout_s: float, last: Callable[[str], Awaitable[None]]) -> None:
        """Let an actor finish its work, call ``last`` with its name, and take it away for good."""
        with contextlib.suppress(ShardUnavailable):
            await self._actors.call(name, timeout_s, WorldActor.stop)
        await last(name)
        ray.kill(self._handles.pop(name), no_restart=True)
        self._actors.forget(name)
        log.info("actor_retired", actor=name)

    async def match_running(self, *, mover_is_done: bool) -> None:
        """Take up actors that a former coordinator has made; drop those that Ray knows no more, to be made anew.

        Args:
            mover_is_done: the coordinator's mover is of no more use, and is ended.
        """
        named = await asyncio.to_thread(ray.util.list_named_actors, True)
        there = {actor["name"] for actor in named if actor["namespace"] == self._namespace}
        for name in [name for name in self._handles if name not in there]:
            log.warning("actor_missing", actor=name)
            del self._handles[name]
            self._actors.forget(name)
        for name in sorted(there - self._handles.keys()):
            with contextlib.suppress(ValueError):  # it has died since
                if name == COORDINATOR_MOVER and mover_is_done:
                    ray.kill(await self._find(name), no_restart=True)
                elif name.startswith(TAKEN_UP):
                    self._handles[name] = await self._find(name)

    async def _find(self, name: str) -> ActorHandle[Any]:
        found: ActorHandle[Any] = await asyncio.to_thread(ray.get_actor, name, self._namespace)
        return found

    async def all_up(self) -> bool:
        """Wait a while for every actor's first answer; return whether they have come."""
        try:
            async with asyncio.timeout(UP_TIMEOUT_S):
                await asyncio.gather(*(first_answer(handle) for handle in self._handles.values()))
        except (TimeoutError, ray.exceptions.RayError) as error:
            log.info("actors_awaited", error=repr(error))
            return False
        return True

    async def describe(self) -> dict[str, dict[str, Any]]:
        """Return every actor's own description by name; an error text for one that does not answer."""
        names = self.names()
        found = await asyncio.gather(*(self._describe_one(name) for name in names))
        return dict(zip(names, found, strict=True))

    async def _describe_one(self, name: str) -> dict[str, Any]:
        try:
            return await self._actors.call(name, DESCRIBE_TIMEOUT_S, WorldActor.describe)
        except ShardUnavailable as error:
            return {"error": str(error)}

    async def stop(self, prefix: str, timeout_s: float) -> None:
        """Let all whose names begin so finish their work; they may be killed afterwards."""
        names: Collection[str] = [name for name in self.names() if name.startswith(prefix)]
        stops = [self._actors.call(name, timeout_s, WorldActor.stop) for name in names]
        for outcome in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(outcome, BaseException):
                log.warning("stop_unanswered", error=repr(outcome))


def make_actor(actor_class: type, options: dict[str, Any], arguments: tuple[Any, ...]) -> ActorHandle[Any]:
    """Make an actor, or return the one of that name.  Blocks."""
    actor: Any = ray.remote(actor_class)
    handle: ActorHandle[Any] = actor.options(**options).remote(*arguments)
    return handle

"""As many gateways as there should be, none of them on a drained node: a part of the coordinator's passes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection
from itertools import islice
from typing import Any, Final

from cluster.actor_classes import GatewayActor
from cluster.actor_options import gateway_options
from cluster.drain.drained_nodes import DrainedNodes
from cluster.gateway_policy import GatewayLoad, GatewayPolicy
from cluster.ray_clients import gateway_name
from cluster.world_actors import WorldActors
from config.settings import Settings

STOP_MARGIN_S: Final = 5.0


class GatewayCount:
    """``heard`` what gateways say, then ``reconcile``.

    Args:
        end: Lets an actor finish its work within so many seconds, and takes it away.
    """

    def __init__(
        self,
        settings: Settings,
        actors: WorldActors,
        nodes: DrainedNodes,
        end: Callable[[str, float], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._actors = actors
        self._nodes = nodes
        self._end = end
        self._policy = GatewayPolicy(settings.gateways, settings.gateways_max)
        self._loads: dict[str, GatewayLoad] = {}
        #: Gateways that drain, maybe since a coordinator before this one has told them to.
        self._half_ended: set[str] = set()
        #: Gateways that are being ended.
        self._leaving: dict[int, asyncio.Task[None]] = {}

    @property
    def leaving(self) -> bool:
        """Whether some are being ended."""
        return bool(self._leaving)

    def heard(self, actors: dict[str, Any]) -> None:
        """Note what gateways carry, and which of them drain, by the actors' descriptions."""
        self._loads = gateway_loads(actors)
        self._half_ended = {name for name, actor in actors.items() if actor.get("draining")}

    async def reconcile(self) -> None:
        """Have as many as there should be, drained nodes not counted; those there end once others serve."""
        names = {number: gateway_name(number) for number in self._actors.numbers("gateway-")}
        ours = {name for number, name in names.items() if number not in self._leaving}
        going = {*self._nodes.left_on(ours), *self._half_ended & ours}
        staying = [number for number, name in names.items() if number not in self._leaving and name not in going]
        loads = [self._loads[names[number]] for number in staying if names[number] in self._loads]
        wanted = self._policy.wanted(len(staying), self._nodes.usable, loads)
        for gateway in free_numbers(names, wanted - len(staying)):
            options = gateway_options(self._settings, gateway, self._nodes.avoid)
            await self._actors.ensure(gateway_name(gateway), GatewayActor, options, (gateway, self._settings))
        too_many = sorted(staying)[wanted:]
        if len(loads) >= wanted:
            too_many += [number for number, name in names.items() if name in going]
        for gateway in too_many:
            self._leaving[gateway] = asyncio.create_task(self._drain(gateway))

    async def _drain(self, gateway: int) -> None:
        """Drain a gateway that is one too many: its clients leave spread over a window, and resume on the others."""
        name = gateway_name(gateway)
        try:
            await self._end(name, self._settings.drain_s + STOP_MARGIN_S)
            self._half_ended.discard(name)
        finally:
            self._leaving.pop(gateway, None)


def gateway_loads(actors: dict[str, Any]) -> dict[str, GatewayLoad]:
    """Return what the gateways carry that have answered and take connections."""
    return {
        name: GatewayLoad(actor["connections"], actor["cpu"])
        for name, actor in actors.items()
        if name.startswith("gateway-") and actor.get("started") and not actor.get("draining")
    }


def free_numbers(taken: Collection[int], count: int) -> list[int]:
    """Return the ``count`` lowest numbers that are not taken."""
    return list(islice((number for number in itertools.count() if number not in taken), max(0, count)))

"""``CoordinatorMover``: an actor that makes the coordinator anew on a node that is not drained.

An actor can't be moved, and the coordinator can't make its successor, which bears its name, while it is there.  So it
makes this one, elsewhere, which ends it and makes the next.  The next one ends the mover.  Killed at any point, it is
started again by Ray and begins from the front: what is done already is passed over.

| killed | leaves |
| --- | --- |
| before the old coordinator has ended | two of which the mover does nothing yet; the old one goes on |
| after that, before there is another | the world without coordinator, which nobody notices for some seconds |
| after that | a mover that finds nothing to do, until the new coordinator ends it |
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

import structlog

from cluster.actor_classes import first_answer
from cluster.actor_loop import run_or_exit
from cluster.actor_options import coordinator_options
from cluster.coordinator_actor import POLL_S, end_coordinator, find_coordinator, make_coordinator
from cluster.peers import ShardUnavailable
from cluster.ray_clients import COORDINATOR, COORDINATOR_MOVER, NamedActors, WorldActor
from config.logs import configure_logging
from config.settings import Settings

log = structlog.get_logger(__name__)

CALL_TIMEOUT_S: Final = 5.0


class CoordinatorMover:
    """Ends the coordinator where it is on one of the nodes ``avoid``, and makes it anew elsewhere."""

    def __init__(self, settings: Settings, avoid: Collection[str]) -> None:
        configure_logging(settings, actor=COORDINATOR_MOVER)
        self._settings = settings
        self._avoid = frozenset(avoid)
        self._loop = run_or_exit(COORDINATOR_MOVER, self._run())

    async def _run(self) -> None:
        while (place := await self._place()) in self._avoid:
            await asyncio.to_thread(end_coordinator, self._settings.ray_namespace)
            log.info("coordinator_ended", node=place)
        options = coordinator_options(self._settings, self._avoid)
        made = await asyncio.to_thread(make_coordinator, options, self._settings)
        await first_answer(made)

    async def _place(self) -> str | None:
        """Return the node of the coordinator; None: there is none."""
        while True:
            try:
                described = await NamedActors(self._settings.ray_namespace).call(
                    COORDINATOR, CALL_TIMEOUT_S, WorldActor.describe
                )
                return str(described["node"])
            except ShardUnavailable as error:
                if await asyncio.to_thread(find_coordinator, self._settings.ray_namespace) is None:
                    return None
                log.info("coordinator_silent", error=str(error))
                await asyncio.sleep(POLL_S)

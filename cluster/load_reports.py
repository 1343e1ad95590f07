"""What shards carry, as the coordinator hears it: a packed ``ShardLoad`` in each shard's description of itself."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import structlog

from cluster.messages import SHARD_LOAD, ForeignVersion, ShardLoad

log = structlog.get_logger(__name__)

#: Where it stands in a description.
LOAD: Final = "load"


def take_loads(actors: dict[str, Any]) -> dict[int, ShardLoad]:
    """Take the loads out of the actors' descriptions (``Coordinator.describe``); return them by number of the shard.

    A shard that does not answer is missing, and so is one of another release, whose report is not understood.
    """
    loads = {}
    for name, actor in actors.items():
        packed = actor.pop(LOAD, None)
        if packed is None:
            continue
        try:
            load = SHARD_LOAD.unpack(packed)
        except (ForeignVersion, msgspec.DecodeError) as error:
            log.info("load_not_understood", actor=name, error=str(error))
        else:
            loads[load.shard] = load
    return loads

"""The coordinator's actor: making it, finding it, ending it.  All of them block."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import ray
from ray.actor import ActorHandle

from cluster.actor_classes import CoordinatorActor
from cluster.ray_clients import COORDINATOR
from config.settings import Settings

POLL_S: Final = 0.1


def find_coordinator(namespace: str) -> ActorHandle[Any] | None:
    """Return the coordinator, None when there is none."""
    try:
        found: ActorHandle[Any] = ray.get_actor(COORDINATOR, namespace)
    except ValueError:
        return None
    return found


def make_coordinator(options: Mapping[str, Any], settings: Settings) -> ActorHandle[Any]:
    """Make the coordinator, or return the one that is there."""
    actor: Any = ray.remote(CoordinatorActor)
    made: ActorHandle[Any] = actor.options(**options).remote(settings)
    return made


def end_coordinator(namespace: str) -> None:
    """Take the coordinator away for good, and return once its name is free.

    It holds nothing that can't be read again, so it may be ended at any moment.
    """
    while (found := find_coordinator(namespace)) is not None:
        ray.kill(found, no_restart=True)
        time.sleep(POLL_S)

"""The classes by which Ray knows our actors.  They stay as they are from one release to the next.

Ray hands whoever looks an actor up its class, every method by name, private ones too: a process whose own code lacks
one of them can't look that actor up.  And an actor that is called by a method it lacks ends its process.  So these have
one method, ``call``, and what it leads to may grow: a call that is not known there is refused like a message of a
version that is not (``ForeignVersion``), and the actor goes on.

What an actor is made with and what it is called with keep their order; a new argument comes last and has a default.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Final

from cluster.messages import ForeignVersion

__all__ = [
    "ArchiverActor",
    "CoordinatorActor",
    "CoordinatorMoverActor",
    "GatewayActor",
    "ShardActor",
    "first_answer",
]

READY: Final = "ready"


class _RayActor:
    #: Where what does the work is: imported where the actor runs, so of the release that runs there.
    module: ClassVar[str]
    name: ClassVar[str]

    def __init__(self, *args: Any) -> None:
        # Ray runs this again after a restart, and nothing else.
        self._inside: Any = getattr(import_module(self.module), self.name)(*args)

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a public method of what is inside.

        Raises:
            ForeignVersion: it has none of that name.
            Exception: whatever the method raises.
        """
        called = None if method.startswith("_") else getattr(self._inside, method, None)
        if called is None:
            raise ForeignVersion(f"{self.name} has no call {method}: it is of another release")
        return await called(*args, **kwargs)


class ShardActor(_RayActor):
    """A shard."""

    module, name = "cluster.shard_actor", "ChunkShard"


class GatewayActor(_RayActor):
    """A gateway."""

    module, name = "cluster.gateway_actor", "Gateway"


class ArchiverActor(_RayActor):
    """An archiver."""

    module, name = "cluster.archiver_actor", "ChunkArchiver"


class CoordinatorActor(_RayActor):
    """The coordinator."""

    module, name = "cluster.coordinator", "Coordinator"


class CoordinatorMoverActor(_RayActor):
    """What makes the coordinator anew elsewhere."""

    module, name = "cluster.drain.coordinator_mover", "CoordinatorMover"


async def first_answer(handle: Any) -> None:
    """Wait until the actor of this handle is up.

    Raises:
        RayError: it can't come up.
    """
    await handle.call.remote(READY)

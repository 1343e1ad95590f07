"""What the gateway asks of the world, as seen from its side.

``cluster`` implements it over Ray actors; tests use a local one.  Nothing here knows where a shard runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from config.errors import TryAgain


class WorldUnavailable(TryAgain):
    """No shard answered in time.  Whether the call had an effect is unknown; it may be repeated as it is."""

    reason = "unavailable"


class WorldFull(TryAgain):
    """No chunk has a free cell for one more agent."""

    reason = "world_full"


@dataclass(frozen=True, slots=True)
class JoinOutcome:
    """Where an agent stands after ``World.join``; ``resumed``: it was in the world already."""

    chunk_id: str
    resumed: bool


@dataclass(frozen=True, slots=True)
class SubmittedCommand:
    """A command whose challenge was answered and consumed.

    ``cmd`` is exactly the object that was hashed.  ``deadline_ms`` is when the gateway gives up on it and may tell the
    agent ``busy``: a shard must not accept it later than that, by ``streaming.shared_clock``.  0: no deadline.

    ``challenge`` is what the agent was sent, as JSON, and ``issued_ms`` when: it goes into the agent's stream with the
    decision, before the ``command_ack``.  Empty: there was none, or the stream has it.
    """

    agent_id: str
    server_cmd_id: str
    client_cmd_id: str
    cmd: object
    trace_id: str
    deadline_ms: int = 0
    challenge: bytes = b""
    issued_ms: int = 0


@dataclass(frozen=True, slots=True)
class ShardAnswer:
    """What the shard decided.  By then the ``command_ack`` stands in the agent's stream."""

    accepted: bool
    reason: str | None = None
    started_tick: int | None = None
    retry_after_ms: int | None = None


class World(Protocol):
    """The world behind the gateway.  Every method bounds its own time."""

    async def join(self, agent_id: str, account_id: str, trace_id: str) -> JoinOutcome:
        """Put the agent into the world, or find it there.

        Raises:
            WorldUnavailable: may be tried again.
            WorldFull: no room.
        """
        ...

    async def submit(self, command: SubmittedCommand) -> ShardAnswer:
        """Submit a command and return once the decision is committed.  Submitting twice is harmless.

        Raises:
            WorldUnavailable: unknown whether it was decided; submit it again.
        """
        ...

    def submit_at_once(self, command: SubmittedCommand, decided: Callable[[bool | None], None]) -> bool:
        """Submit a command in this turn of the loop, without a task to wait in; False: nothing was done.

        ``decided`` is told later, once, whether it was accepted; None: unknown whether it was decided; submit it.  It
        must not raise.
        """
        ...

    async def problems(self) -> list[str]:
        """Return why the world can't serve now, one short reason each; empty means ready."""
        ...

    async def metrics(self) -> bytes:
        """Return metrics of the whole cluster, shards and all gateways, in Prometheus text form.

        Raises:
            WorldUnavailable: they could not be gathered.
        """
        ...

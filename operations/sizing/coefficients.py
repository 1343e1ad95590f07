"""What single parts were measured to cost: ``coefficients.json``, which ``make costs`` writes anew."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

__all__ = ["FILE", "ROLES", "Coefficients", "RoleCost", "load_coefficients"]

FILE: Final = Path(__file__).with_name("coefficients.json")

#: The parts of a world, as `make bench-cost` tells its processes apart.
ROLES: Final = ("gateways", "shards", "valkey", "postgres", "archiver", "coordinator", "others")


@dataclass(frozen=True, slots=True)
class RoleCost:
    """What the processes of one role use.

    Commands share work where they meet, in a lane (a gateway, a shard's commits, an archiver): of ``r`` a second in a
    lane each costs ``command_us + shared_us / sqrt(r)``.  Beyond ``shared_upto`` it costs what it costs there, for what
    was not measured is not hoped for.
    """

    #: In the measured world, all its processes of this role together.
    idle_cores: float
    shared_us: float
    command_us: float
    #: For the gateways a delta delivered, for the others a delta of which one agent is the reader.
    message_us: float
    shared_upto: float

    def played_cores(self, commands_per_s: float, messages_per_s: float, lanes: int) -> float:
        """Return the cores beyond those of the idle world."""
        us = messages_per_s * self.message_us
        if commands_per_s > 0:
            rate = min(commands_per_s / lanes, self.shared_upto)
            us += commands_per_s * (self.command_us + self.shared_us / math.sqrt(rate))
        return us / 1e6


@dataclass(frozen=True, slots=True)
class Coefficients:
    """All that the model knows of this version.  Times are CPU; wall clock is ``archiver_facts_per_s`` alone."""

    #: Where, when and of what it was measured, in words.
    measured: str
    roles: dict[str, RoleCost]
    #: Of the measured world: shards, and all actors.
    shards: int
    actors: int

    # -- what agents do --
    tick_hz: float
    commands_per_agent_s: float
    agents_per_chunk: float
    facts_per_command: float
    entries_per_command: float
    crossings_per_command: float

    # -- what the measured world, with one gateway and two shards, does not show --
    #: Of a gateway, for a message that it gets from Valkey, whoever reads it there.
    hub_message_us: float
    #: Of Valkey, for another gateway that a message goes to.
    valkey_copy_us: float
    #: Of Valkey, for a commit beside what it holds, and for a delta in it.
    valkey_commit_us: float
    valkey_delta_us: float
    #: Of the coordinator and of Ray's processes, for each actor and second.
    coordinator_actor_us: float
    others_actor_us: float
    #: Facts that one archiver brings into PostgreSQL in a second when it has nothing else to do.
    archiver_facts_per_s: float

    # -- bytes --
    #: Of a delta where there are ``agents_per_chunk``.
    message_bytes: float
    entry_bytes: float
    gateway_mb: float
    gateway_agent_kb: float
    gateway_spectator_kb: float
    shard_mb: float
    shard_agent_kb: float
    valkey_mb: float
    valkey_agent_kb: float
    postgres_mb: float
    others_mb: float

    # -- journals in partitions (the prototype; docs/decisions/0029-partitioned-journals.md) --
    #: A commit there against the same one now.
    partition_commit_factor: float
    #: Of Valkey for a crossing between shards now; of the two nodes for one between partitions.
    crossing_us: float
    crossing_source_us: float
    crossing_target_us: float

    def to_json(self) -> dict[str, Any]:
        """Return what ``from_json`` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Coefficients:
        """Return the coefficients of a file.

        Raises:
            ValueError: a field is missing, unknown or no number.
        """
        names = {field.name for field in fields(cls)}
        if found.keys() != names or set(found["roles"]) != set(ROLES):
            odd = sorted((found.keys() ^ names) | (set(found.get("roles", ())) ^ set(ROLES)))
            raise ValueError(f"coefficients: {', '.join(odd)} missing or unknown; `make costs` writes them anew")
        numbers = {name: value for name, value in found.items() if name not in ("measured", "roles")}
        roles = {name: RoleCost(**cost) for name, cost in found["roles"].items()}
        if bad := [name for name, value in numbers.items() if not isinstance(value, int | float) or value < 0]:
            raise ValueError(f"coefficients: {', '.join(bad)} must be numbers from 0 on")
        return cls(measured=str(found["measured"]), roles=roles, **numbers)


def load_coefficients(path: Path = FILE) -> Coefficients:
    """Read the coefficients that this version was shipped with.

    Raises:
        ValueError: the file is no such thing.
        OSError: it can't be read.
    """
    return Coefficients.from_json(json.loads(path.read_text()))

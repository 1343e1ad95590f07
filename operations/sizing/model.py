"""What a world takes: processes, cores, memory and bytes a second, for so many agents and spectators.  Pure.

Each part costs what it did in the measured world (one gateway, two shards, one Valkey), by commands and by deltas, and
besides what grows in another way: a chunk's delta goes to every gateway that has a reader of the chunk, each shard
commits once a tick, and whoever looks after actors has more of them.  See docs/scaling.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from operations.sizing.coefficients import Coefficients

__all__ = ["GATEWAY_TARGET", "SHARD_TARGET", "VALKEY_TARGET", "Demand", "Estimate", "Part", "estimate"]

#: How much of its core a process may use; above that, what waits for it grows faster than what it does.
GATEWAY_TARGET: Final = 0.6
SHARD_TARGET: Final = 0.6
VALKEY_TARGET: Final = 0.7
#: Partitions that a shard owns, so that a load can be spread by giving one away.
PARTITIONS_PER_SHARD: Final = 4
#: Cores of a machine, to count machines.
NODE_CORES: Final = 16
#: The share of a machine's cores that is to be used.
NODE_TARGET: Final = 0.7
#: Actors that Ray's own release tests bring up at once (``test_many_actors``: 64 nodes with 156 each).
RAY_ACTORS: Final = 9_984
#: What Valkey keeps: ticks of a chunk, and entries of an agent's stream.
WINDOW_TICKS: Final = 300
AGENT_ENTRIES: Final = 512
#: Rounds after which a number of processes must have settled; each adds at least one.
ROUNDS_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Demand:
    """What is to be served.  None: as it was in the measured world."""

    agents: int
    spectators: int = 0
    commands_per_agent_s: float | None = None
    agents_per_chunk: float | None = None
    #: The journals lie in partitions on a Valkey Cluster, which is designed and not built.
    partitioned: bool = False


@dataclass(frozen=True, slots=True)
class Rates:
    """What happens in a second."""

    commands: float
    #: Deltas delivered to agents, and to spectators.
    agent_messages: float
    spectator_messages: float
    chunks: float
    #: Deltas written, one for each chunk and tick.
    deltas: float
    #: How long one is.
    delta_bytes: float
    facts: float
    crossings: float


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of process."""

    processes: int
    cores: float
    memory_mb: float
    #: How much of what it can do the busiest of them does; above 1 it can't.
    fullness: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a demand takes."""

    rates: Rates
    parts: dict[str, Part]
    #: Bytes a second: to clients, from Valkey to gateways, from shards to Valkey.
    clients_bytes: float
    valkey_out_bytes: float
    valkey_in_bytes: float

    @property
    def cores(self) -> float:
        """Cores of all parts."""
        return sum(part.cores for part in self.parts.values())

    @property
    def memory_mb(self) -> float:
        """Memory of all parts."""
        return sum(part.memory_mb for part in self.parts.values())

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        parts = {
            name: {
                "processes": part.processes,
                "cores": round(part.cores, 3),
                "memory_mb": round(part.memory_mb),
                "fullness": round(part.fullness, 3),
            }
            for name, part in self.parts.items()
        }
        rates = {name: round(getattr(self.rates, name), 1) for name in Rates.__slots__ if name != "delta_bytes"}
        traffic = {
            "clients": round(self.clients_bytes),
            "valkey_out": round(self.valkey_out_bytes),
            "valkey_in": round(self.valkey_in_bytes),
        }
        return {
            "rates_per_s": rates,
            "parts": parts,
            "cores": round(self.cores, 3),
            "memory_mb": round(self.memory_mb),
            "bytes_per_s": traffic,
        }


def estimate(
    demand: Demand, known: Coefficients, *, gateways: int | None = None, shards: int | None = None
) -> Estimate:
    """Return what a demand takes.

    Args:
        gateways: how many there are; None: as many as it takes.
        shards: the same.
    """
    rates = rates_of(demand, known)
    gateways = gateways or _settled(lambda count: _gateway_cores(demand, rates, known, count), GATEWAY_TARGET)
    shards = shards or _settled(lambda count: _shard_cores(rates, known, count), SHARD_TARGET)
    copies = copies_per_s(demand, rates, gateways)
    nodes, valkey_cores = _valkey(demand, rates, known, shards, copies)
    parts = {
        "gateways": Part(
            gateways,
            cores := _gateway_cores(demand, rates, known, gateways),
            gateways * known.gateway_mb
            + (demand.agents * known.gateway_agent_kb + demand.spectators * known.gateway_spectator_kb) / 1e3,
            cores / gateways / GATEWAY_TARGET,
        ),
        "shards": Part(
            shards,
            cores := _shard_cores(rates, known, shards),
            shards * known.shard_mb + demand.agents * known.shard_agent_kb / 1e3,
            cores / shards / SHARD_TARGET,
        ),
        "valkey": Part(
            nodes,
            valkey_cores,
            nodes * known.valkey_mb + _valkey_data_mb(demand, rates, known),
            valkey_cores / nodes / VALKEY_TARGET,
        ),
    }
    parts |= _lasting(rates, known, archivers=nodes)
    parts |= _cluster(parts, known)
    # Entries of agents' streams and facts go in, and each goes out once.
    small = (rates.commands * known.entries_per_command + rates.facts) * known.entry_bytes
    out, into = copies * rates.delta_bytes + small, rates.deltas * rates.delta_bytes + small
    clients = (rates.agent_messages + rates.spectator_messages) * rates.delta_bytes
    return Estimate(rates, parts, clients, out, into)


def rates_of(demand: Demand, known: Coefficients) -> Rates:
    """Return what happens in a second."""
    each = known.commands_per_agent_s if demand.commands_per_agent_s is None else demand.commands_per_agent_s
    per_chunk = known.agents_per_chunk if demand.agents_per_chunk is None else demand.agents_per_chunk
    commands, chunks = demand.agents * each, max(1.0, demand.agents / per_chunk)
    return Rates(
        commands=commands,
        agent_messages=demand.agents * known.tick_hz,
        spectator_messages=demand.spectators * known.tick_hz,
        chunks=chunks,
        deltas=chunks * known.tick_hz,
        # An agent mostly stands in one of the fuller chunks, so what it is shown grows less than the average chunk.
        delta_bytes=known.message_bytes * math.sqrt(per_chunk / known.agents_per_chunk),
        facts=commands * known.facts_per_command,
        crossings=commands * known.crossings_per_command,
    )


def copies_per_s(demand: Demand, rates: Rates, gateways: int) -> float:
    """Return how many messages with a delta leave Valkey: one for each gateway where a chunk has a reader.

    Readers come to gateways by chance, so of g gateways r readers miss ``(1 - 1/g)**r``.
    """
    readers = (demand.agents + demand.spectators) / rates.chunks
    reached: float = 1 - (1 - 1 / gateways) ** readers
    return rates.deltas * gateways * reached


# -- gateways and shards --


def _settled(cores_of: Callable[[int], float], target: float) -> int:
    """Return how many processes are needed; each that is added has a cost of its own, so more of them use more."""
    count = 1
    for _ in range(ROUNDS_MOST):
        needed = math.ceil(cores_of(count) / target)
        if needed <= count:
            break
        count = needed
    return count


def _gateway_cores(demand: Demand, rates: Rates, known: Coefficients, gateways: int) -> float:
    cost = known.roles["gateways"]
    played = cost.played_cores(rates.commands, rates.agent_messages + rates.spectator_messages, gateways)
    again = max(0.0, copies_per_s(demand, rates, gateways) - rates.deltas) * known.hub_message_us / 1e6
    return gateways * cost.idle_cores + played + again


def _shard_cores(rates: Rates, known: Coefficients, shards: int) -> float:
    cost = known.roles["shards"]
    return shards * cost.idle_cores / known.shards + cost.played_cores(rates.commands, rates.agent_messages, shards)


# -- Valkey --


def _valkey(demand: Demand, rates: Rates, known: Coefficients, shards: int, copies: float) -> tuple[int, float]:
    """Return how many nodes there are, and their cores."""
    cost = known.roles["valkey"]
    # The measured world's deltas are in what an agent's cost there; others come with emptier chunks.
    others = rates.deltas - rates.agent_messages / known.agents_per_chunk
    committers = shards * PARTITIONS_PER_SHARD if demand.partitioned else shards
    played = cost.played_cores(rates.commands, rates.agent_messages, committers)
    played = max(0.0, played + others * known.valkey_delta_us / 1e6)
    spread = max(0.0, copies - rates.deltas) * known.valkey_copy_us / 1e6
    ticks = max(0, committers - known.shards) * known.tick_hz * known.valkey_commit_us / 1e6
    if not demand.partitioned:
        return 1, cost.idle_cores + played + spread + ticks
    across = known.crossing_source_us + known.crossing_target_us - known.crossing_us / known.shards
    moving = rates.crossings * max(0.0, across) / 1e6
    cores = (played + ticks) * known.partition_commit_factor + spread + moving
    nodes = max(3, math.ceil(cores / (VALKEY_TARGET - cost.idle_cores)))
    return nodes, cores + nodes * cost.idle_cores


def _valkey_data_mb(demand: Demand, rates: Rates, known: Coefficients) -> float:
    chunks = rates.chunks * WINDOW_TICKS * rates.delta_bytes
    agents = demand.agents * (known.valkey_agent_kb * 1e3 + AGENT_ENTRIES * known.entry_bytes)
    return (chunks + agents) / 1e6


# -- the rest --


def _lasting(rates: Rates, known: Coefficients, archivers: int) -> dict[str, Part]:
    """Return the archivers, one for each Valkey, and PostgreSQL."""
    cost = known.roles["archiver"]
    facts = rates.facts / archivers / known.archiver_facts_per_s
    archiving = archivers * cost.idle_cores + cost.played_cores(rates.commands, rates.agent_messages, archivers)
    postgres = known.roles["postgres"]
    database = postgres.idle_cores + postgres.played_cores(rates.commands, rates.agent_messages, archivers)
    return {
        "archiver": Part(archivers, archiving, archivers * known.shard_mb, facts),
        "postgres": Part(1, database, known.postgres_mb, database / (NODE_CORES * NODE_TARGET)),
    }


def _cluster(parts: dict[str, Part], known: Coefficients) -> dict[str, Part]:
    """Return the coordinator, and Ray's own processes."""
    actors = 1 + sum(parts[name].processes for name in ("gateways", "shards", "archiver"))
    more = max(0, actors - known.actors)
    coordinator = known.roles["coordinator"].idle_cores + more * known.coordinator_actor_us / 1e6
    nodes = max(1, math.ceil(sum(part.cores for part in parts.values()) / (NODE_CORES * NODE_TARGET)))
    ray = nodes * known.roles["others"].idle_cores + more * known.others_actor_us / 1e6
    return {
        "coordinator": Part(1, coordinator, known.shard_mb, coordinator / VALKEY_TARGET),
        "ray": Part(nodes, ray, nodes * known.others_mb, actors / RAY_ACTORS),
    }

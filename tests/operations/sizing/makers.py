"""Coefficients in round figures."""

from __future__ import annotations

from typing import Any

from operations.sizing.coefficients import Coefficients, RoleCost

ROLES = {
    "gateways": RoleCost(0.02, 0, 400, 20, 100),
    "shards": RoleCost(0.04, 0, 300, 10, 100),
    "valkey": RoleCost(0.01, 0, 100, 4, 100),
    "postgres": RoleCost(0.001, 0, 30, 0, 100),
    "archiver": RoleCost(0.01, 0, 50, 0, 100),
    "coordinator": RoleCost(0.01, 0, 0, 0, 100),
    "others": RoleCost(0.05, 0, 5, 0, 100),
}


def coefficients(**changes: Any) -> Coefficients:
    """A world of 20 agents a chunk, each with half a command a second."""
    usual: dict[str, Any] = {
        "measured": "never",
        "roles": ROLES,
        "shards": 2,
        "actors": 5,
        "tick_hz": 5.0,
        "commands_per_agent_s": 0.5,
        "agents_per_chunk": 20.0,
        "facts_per_command": 1.2,
        "entries_per_command": 3.0,
        "crossings_per_command": 0.05,
        "hub_message_us": 6.0,
        "valkey_copy_us": 2.0,
        "valkey_commit_us": 20.0,
        "valkey_delta_us": 8.0,
        "coordinator_actor_us": 300.0,
        "others_actor_us": 100.0,
        "archiver_facts_per_s": 20_000.0,
        "message_bytes": 4_000.0,
        "entry_bytes": 400.0,
        "gateway_mb": 150.0,
        "gateway_agent_kb": 60.0,
        "gateway_spectator_kb": 32.0,
        "shard_mb": 120.0,
        "shard_agent_kb": 10.0,
        "valkey_mb": 10.0,
        "valkey_agent_kb": 2.0,
        "postgres_mb": 80.0,
        "others_mb": 500.0,
        "partition_commit_factor": 1.1,
        "crossing_us": 150.0,
        "crossing_source_us": 120.0,
        "crossing_target_us": 90.0,
    }
    return Coefficients(**{**usual, **changes})

"""How what was measured becomes coefficients, and how a world is held against them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from operations.sizing.coefficients import ROLES
from tests.bench.cost.coefficients import MORE_SHARDS, SHARDS, coefficients
from tests.bench.cost.pages import Measured, checked
from tests.bench.cost.processes import ROLES as MEASURED_ROLES
from tests.bench.cost.runs import Run

KINDS = ("nothing", "one_command", "ten_commands", "a_result", "a_tick", "a_full_tick")
FOUND: dict[str, Any] = {
    "cluster": {
        "commits": {"single": dict.fromkeys(KINDS, 20.0) | {"a_tick": 60.0}, "partition": dict.fromkeys(KINDS, 30.0)},
        "crossing_us": 200.0,
        "crossing_source_us": 120.0,
        "crossing_target_us": 140.0,
        "copy_us": 4.0,
    },
    "readers": {"message_us": 7.0, "delivery_us": 9.0, "idle_kb": 30.0},
    "facts_per_s": 20_000.4,
}


def run(agents: int, commands: float) -> Run:
    """Each command takes 1 ms of every role, each delta 10 us."""
    cores = dict.fromkeys(ROLES, 0.01 + commands * 1e-3 + agents * 5 * 10e-6)
    return Run(
        agents=agents,
        think_s=1.0,
        joined=agents,
        joins_per_s=50.0,
        commands_per_s=commands,
        messages_per_s=agents * 5.0,
        bytes_per_message=4_000.0,
        rtt_p50_ms=5.0,
        rtt_p99_ms=20.0,
        idle=dict.fromkeys(ROLES, 0.01),
        cores=cores,
        valkey={},
        client={},
        chunks=agents / 20,
        facts_per_s=commands * 1.1,
        crossings_per_command=0.02,
        entry_bytes=300.0,
        idle_mb=dict.fromkeys(ROLES, 100.0),
        memory_mb=dict.fromkeys(ROLES, 100.0 + agents * 0.05),
        valkey_out_bytes_per_s=agents / 20 * 5 * 4_000.0 + commands * (2 + 1.1) * 300,
    )


RUNS = [run(*one) for one in ((100, 60.0), (100, 20.0), (400, 200.0), (400, 70.0))]
IDLE = [dict.fromkeys(ROLES, 0.01), dict.fromkeys(ROLES, 0.01 + (MORE_SHARDS - SHARDS) * 1e-3)]


def test_the_model_knows_the_roles_that_are_measured() -> None:
    assert MEASURED_ROLES == ROLES


def test_what_was_put_in_comes_out() -> None:
    known = coefficients(RUNS, IDLE, FOUND, "in a test")
    for cost in known.roles.values():
        assert (cost.idle_cores, cost.command_us, cost.message_us) == pytest.approx((0.01, 1_000, 10), rel=0.01)
    assert (known.coordinator_actor_us, known.facts_per_command) == pytest.approx((1_000, 1.1))
    assert known.gateway_agent_kb == pytest.approx(50)
    assert known.valkey_delta_us == (60 - 20) / 5
    assert known.partition_commit_factor == 6 * 30 / (5 * 20 + 60)
    assert known.archiver_facts_per_s == 20_000


def test_a_world_is_held_against_what_its_size_and_commands_cost() -> None:
    known = coefficients(RUNS, IDLE, FOUND, "in a test")
    world = run(300, 120.0)
    rows = {row.name: row for row in checked(Measured.of(world), known)}
    # Of the coordinator and Ray's processes the model has what they use at rest.
    assert {name for name, row in rows.items() if abs(row.deviation) > 0.02} == {"all cores", "coordinator", "others"}
    half = {role: cores / 2 for role, cores in world.cores.items()}
    off = {row.name: row for row in checked(replace(Measured.of(world), cores=half), known)}
    assert off["gateways"].deviation == pytest.approx(1, abs=0.05)

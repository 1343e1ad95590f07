"""The rule that names the bottleneck, on made-up servers."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.bottleneck import Bottleneck, MeasuredLoad, name_bottleneck
from loadtest.server_side import measured_load
from tests.loadtest.server_pages import readings

IDLE = {"gateway-0": 0.2, "shard-0": 0.1, "shard-1": 0.1, "coordinator": 0.01, "archiver-0": 0.02}


def named(load: MeasuredLoad | None, saturated: int = 0, why_not: str = "") -> Bottleneck:
    return name_bottleneck(load, why_not=why_not, saturated=saturated, generators=2)


def found(cores: dict[str, float], **even: Any) -> Bottleneck:
    return named(measured_load(readings(30, IDLE | cores, **even), 4, 26))


def test_with_time_to_spare_it_is_nobody() -> None:
    bottleneck = found({}, servers={"redis": 0.1, "postgresql": 0.2}, waits={"shard-0": 0.01})
    assert (bottleneck.where, bottleneck.name) == ("nothing", "")
    assert "the busiest process, gateway-0, used 20% of a processor" in bottleneck.reasons
    assert any("of 200 ms" in reason for reason in bottleneck.reasons)


def test_saturated_generators_come_before_all() -> None:
    load = measured_load(readings(30, IDLE | {"shard-1": 0.99}), 4, 26)
    bottleneck = named(load, saturated=1)
    assert bottleneck.where == "generators"
    assert "1 of 2" in bottleneck.text


@pytest.mark.parametrize(
    ("cores", "servers", "name", "remedy"),
    [
        ({"shard-1": 0.97}, {}, "shard-1", "chunkcrawl scale"),
        ({"gateway-0": 0.9, "shard-0": 0.88}, {}, "gateway-0", "CHUNKCRAWL_GATEWAYS"),
        ({}, {"redis": 0.93}, "Valkey", "fewer or smaller commits"),
    ],
)
def test_a_process_of_one_thread_whose_processor_is_full(
    cores: dict[str, float], servers: dict[str, float], name: str, remedy: str
) -> None:
    bottleneck = found(cores, servers=servers)
    assert (bottleneck.where, bottleneck.name) == ("process", name)
    assert any(remedy in reason for reason in bottleneck.reasons)


def test_postgresql_may_use_more_than_one() -> None:
    assert found({}, servers={"postgresql": 1.7}).where == "nothing"


def test_a_machine_whose_processors_are_all_taken() -> None:
    bottleneck = found({"shard-0": 0.7, "gateway-0": 0.6}, waits={"shard-0": 0.25, "coordinator": 0.9})
    assert bottleneck.where == "machine"
    assert "shard-0 was ready and had to wait for a processor 25% of the time" in bottleneck.reasons
    assert "shard-0 0.70, gateway-0 0.60" in bottleneck.reasons[1]


def test_one_that_hardly_works_says_nothing_about_the_machine() -> None:
    assert found({}, waits={"coordinator": 0.9}).where == "nothing"


def test_ticks_that_wait_for_their_commit() -> None:
    bottleneck = found({}, servers={"redis": 0.1}, tick_s=0.19, commit_s=0.15)
    assert (bottleneck.where, bottleneck.name) == ("commit", "Valkey")
    assert any("a commit takes 150.0" in reason for reason in bottleneck.reasons)


def test_ticks_that_are_long_by_themselves() -> None:
    assert found({}, tick_s=0.19, commit_s=0.004).where == "shards"


def test_a_queue_that_grows() -> None:
    bottleneck = found({}, queue={"archive_entries_waiting": (0, 900)})
    assert (bottleneck.where, bottleneck.name) == ("queue", "for the event log")
    assert bottleneck.text.startswith("The archiver, or PostgreSQL")
    assert found({}, queue={"commands_waiting": (300, 320)}).where == "nothing", "long, but not growing"
    assert found({}, queue={"commands_waiting": (0, 30)}).where == "nothing", "growing, but short"


def test_without_the_servers_figures_nothing_is_claimed() -> None:
    bottleneck = named(None, why_not="/metrics wants a token")
    assert (bottleneck.where, bottleneck.text) == ("unknown", "Not known: /metrics wants a token.")
    assert named(measured_load(readings(2, IDLE), 1, 2), why_not="").where == "unknown"

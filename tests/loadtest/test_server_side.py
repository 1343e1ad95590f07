"""The server's side of a report."""

from __future__ import annotations

from loadtest.server_side import measured_load, server_side
from tests.loadtest.server_pages import readings


def test_columns_are_of_one_length_and_by_kind() -> None:
    read = readings(
        20,
        {"gateway-0": 0.2, "shard-0": 0.3, "shard-1": 0.1},
        servers={"redis": 0.25},
        queue={"commands_waiting": (0, 10), "archive_entries_waiting": (5, 5)},
    )
    side = server_side(read, measured_load(read, 4, 16), "")
    assert side["second"] == [float(second) for second in range(2, 21, 2)]
    columns = [*side["cores"].values(), *side["queues"].values(), *(side[f"{name}_ms"] for name in ("tick_p99",))]
    assert {len(column) for column in columns} == {10}
    assert {kind: values[0] for kind, values in side["cores"].items()} == {"gateway": 0.2, "shard": 0.4, "Valkey": 0.25}
    assert side["missing"] == ["coordinator", "archiver", "PostgreSQL"]
    assert side["queues"]["for the event log"] == [5.0] * 10
    assert side["tick_mean_ms"] == [10.0] * 10
    assert [one["name"] for one in side["processes"]] == ["shard-0", "Valkey", "gateway-0", "shard-1"]


def test_without_readings_there_is_the_reason() -> None:
    side = server_side([], None, "/metrics wants a token")
    assert (side["why_not"], side["second"], side["cores"], side["processes"]) == ("/metrics wants a token", [], {}, [])
    assert side["missing"] == []


def test_only_the_measured_seconds_count_for_the_means() -> None:
    slow, fast = readings(10, {"shard-0": 0.1}), readings(40, {"shard-0": 0.9})
    load = measured_load([*slow[:3], *fast[10:]], 20, 40)
    assert load is not None
    assert round(load.cores["shard-0"], 3) == 0.9
    assert measured_load(slow, 100, 200) is None

"""What the coordinator hears of the shards' loads."""

from __future__ import annotations

from typing import Any

from cluster.load_reports import take_loads
from cluster.messages import SHARD_LOAD, ShardLoad

LOAD = ShardLoad(1, 60.0, 0.5, 20.0, 2.0, 0, 3, 64, [], 0)


def test_loads_are_taken_out_of_what_is_told_of_actors_and_the_rest_stays() -> None:
    packed = SHARD_LOAD.pack(LOAD)
    actors: dict[str, Any] = {
        "shard-0": {"error": "no answer"},
        "shard-1": {"tick": 7, "load": packed},
        "gateway-0": {"connections": 1},
    }
    assert take_loads(actors) == {1: LOAD}
    assert actors == {"shard-0": {"error": "no answer"}, "shard-1": {"tick": 7}, "gateway-0": {"connections": 1}}


def test_a_report_of_another_release_or_a_damaged_one_is_as_if_the_shard_had_said_nothing() -> None:
    packed = SHARD_LOAD.pack(LOAD)
    actors = {
        "shard-0": {"load": bytes((packed[0] + 1,)) + packed[1:]},
        "shard-1": {"load": packed[:-3]},
        "shard-2": {"load": packed[:1] + b"\x01"},
    }
    assert take_loads(actors) == {}
    assert actors == {"shard-0": {}, "shard-1": {}, "shard-2": {}}

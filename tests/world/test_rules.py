"""The numbers of the game."""

from __future__ import annotations

from typing import Any

import pytest

from world.rules import Rules, WorldRules


def test_defaults_are_the_contracts() -> None:
    rules = Rules()
    assert (rules.tick_hz, rules.tick_ms) == (5, 200)
    assert rules.collect_idle_ticks == 60 * rules.tick_hz
    assert (rules.spawn_chunk_capacity, rules.chat_max_chars) == (64, 200)


def test_json_round_trip() -> None:
    rules = Rules(harvest_ticks_per_unit=3, demo=False)
    assert Rules.from_json(rules.to_json()) == rules


def test_in_a_world_its_rules_go_before_and_the_others_stay() -> None:
    kept = WorldRules(tick_hz=10, gold_nodes_max=9)
    rules = Rules(tick_hz=4, regen_ticks=7, demo=False).in_world(kept)
    assert rules == Rules(tick_hz=10, gold_nodes_max=9, regen_ticks=7, demo=False)
    assert rules.of_world == kept


@pytest.mark.parametrize(
    "wrong",
    [
        {"tick_hz": 0},
        {"harvest_ticks_per_unit": -1},
        {"collect_idle_ticks": 1.5},
        {"gold_nodes_min": 7, "gold_nodes_max": 6},
        {"gold_per_node_min": 3, "gold_per_node_max": 2},
        {"recent_commands": "8"},
    ],
)
def test_impossible_numbers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rules(**wrong)

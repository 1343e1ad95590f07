"""Actors are kept off drained nodes, and asked of Ray as ever where there are none."""

from __future__ import annotations

import pytest
from ray._private.label_utils import validate_fallback_strategy, validate_label_selector

from cluster.actor_options import (
    NODE_ID_LABEL,
    archiver_options,
    coordinator_options,
    gateway_options,
    on_node,
    shard_options,
)
from config.settings import Settings

IDS = ["b" * 56, "a" * 56]


@pytest.mark.parametrize("options", [shard_options, gateway_options, archiver_options])
def test_an_actor_avoids_nodes_in_a_form_that_ray_reads(options: object) -> None:
    assert callable(options)
    selector = options(Settings(), 0, IDS)["label_selector"]
    # Ray passes over a blank in what is excluded without a word.
    assert selector == {NODE_ID_LABEL: f"!in({'a' * 56},{'b' * 56})"}
    assert validate_label_selector(selector) is None
    fallback = options(Settings(), 0, IDS)["fallback_strategy"]
    assert validate_fallback_strategy(fallback) is None, "where no other node is left"
    kept_off = ("label_selector", "fallback_strategy")
    assert options(Settings(), 0) == {
        name: value for name, value in options(Settings(), 0, IDS).items() if name not in kept_off
    }


@pytest.mark.parametrize("avoid", [(), IDS])
def test_an_actor_may_begin_on_a_node_and_go_elsewhere_later(avoid: list[str]) -> None:
    options = shard_options(Settings(), 0, avoid)
    there = on_node(options, "c" * 56)
    strategy = there.pop("scheduling_strategy")
    assert (strategy.node_id, strategy.soft) == ("c" * 56, True)
    assert there == {name: value for name, value in shard_options(Settings(), 0).items() if name in there}


def test_the_coordinator_too() -> None:
    assert "label_selector" in coordinator_options(Settings(), IDS)
    assert "label_selector" not in coordinator_options(Settings())

"""Actors are kept off drained nodes, and asked of Ray as ever where there are none."""

from __future__ import annotations

import pytest
from ray._private.label_utils import validate_label_selector

from cluster.actor_options import NODE_ID_LABEL, archiver_options, coordinator_options, gateway_options, shard_options
from config.settings import Settings

IDS = ["b" * 56, "a" * 56]


@pytest.mark.parametrize("options", [shard_options, gateway_options, archiver_options])
def test_an_actor_avoids_nodes_in_a_form_that_ray_reads(options: object) -> None:
    assert callable(options)
    selector = options(Settings(), 0, IDS)["label_selector"]
    # Ray passes over a blank in what is excluded without a word.
    assert selector == {NODE_ID_LABEL: f"!in({'a' * 56},{'b' * 56})"}
    assert validate_label_selector(selector) is None
    assert options(Settings(), 0) == {
        name: value for name, value in options(Settings(), 0, IDS).items() if name != "label_selector"
    }


def test_the_coordinator_too() -> None:
    assert "label_selector" in coordinator_options(Settings(), IDS)
    assert "label_selector" not in coordinator_options(Settings())

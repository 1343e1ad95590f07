"""The number of gateways follows nodes and load, within bounds, and does not swing."""

from __future__ import annotations

import pytest

from cluster.gateway_policy import (
    CONNECTIONS_MARK,
    CPU_MARK,
    GROW_AFTER_PASSES,
    SHRINK_AFTER_PASSES,
    GatewayLoad,
    GatewayPolicy,
)

QUIET = GatewayLoad(0, 0.0)
CROWDED = GatewayLoad(CONNECTIONS_MARK + 1, 0.1)
HOT = GatewayLoad(10, CPU_MARK + 0.1)


@pytest.mark.parametrize(
    ("least", "most", "nodes", "wanted"), [(1, 1, 1, 1), (1, 8, 3, 3), (2, 8, 1, 2), (1, 2, 5, 2), (4, 1, 1, 4)]
)
def test_one_per_node_within_bounds(least: int, most: int, nodes: int, wanted: int) -> None:
    assert GatewayPolicy(least, most).wanted(0, nodes, []) == wanted


@pytest.mark.parametrize("load", [CROWDED, HOT])
def test_a_load_that_stays_brings_one_more_and_a_moment_of_it_does_not(load: GatewayLoad) -> None:
    policy = GatewayPolicy(1, 3)
    for _ in range(GROW_AFTER_PASSES - 1):
        assert policy.wanted(1, 1, [load]) == 1
    assert policy.wanted(1, 1, [QUIET]) == 1
    assert [policy.wanted(1, 1, [load]) for _ in range(GROW_AFTER_PASSES)][-1] == 2


def test_never_above_the_most() -> None:
    policy = GatewayPolicy(1, 2)
    assert {policy.wanted(2, 1, [CROWDED, CROWDED]) for _ in range(20)} == {2}


def test_quiet_gateways_go_after_a_while_down_to_one_per_node() -> None:
    policy = GatewayPolicy(1, 5)
    passes = [policy.wanted(3, 2, [QUIET] * 3) for _ in range(SHRINK_AFTER_PASSES)]
    assert passes == [3] * (SHRINK_AFTER_PASSES - 1) + [2]
    assert {policy.wanted(2, 2, [QUIET] * 2) for _ in range(2 * SHRINK_AFTER_PASSES)} == {2}


def test_none_goes_that_the_others_would_miss() -> None:
    policy = GatewayPolicy(1, 5)
    half = GatewayLoad(CONNECTIONS_MARK // 2, 0.3)
    assert {policy.wanted(2, 1, [half] * 2) for _ in range(2 * SHRINK_AFTER_PASSES)} == {2}


def test_nothing_changes_while_one_does_not_answer() -> None:
    policy = GatewayPolicy(1, 5)
    assert {policy.wanted(2, 1, [HOT]) for _ in range(2 * SHRINK_AFTER_PASSES)} == {2}

"""Worlds for the tests of the rules."""

from __future__ import annotations

import pytest

from tests.world.harness import TinyCluster


@pytest.fixture
def world() -> TinyCluster:
    """One shard with an empty ``chunk-0``, without creatures."""
    return TinyCluster()


@pytest.fixture(params=[1, 2], ids=["one-shard", "two-shards"])
def cluster(request: pytest.FixtureRequest) -> TinyCluster:
    """The same world on one shard and on two: neighbouring chunks are local, or the other's."""
    return TinyCluster(shards=request.param)

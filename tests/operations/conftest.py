"""The stage of the shards' tests, for the checks of what they leave in Redis."""

from tests.cluster.conftest import stage

__all__ = ["stage"]

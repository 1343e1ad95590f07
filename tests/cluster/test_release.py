"""A process says of which release it is, and those who don't are of an old one."""

from __future__ import annotations

import inspect

import pytest

from cluster.archiver_actor import ChunkArchiver
from cluster.coordinator import Coordinator
from cluster.gateway_actor import Gateway
from cluster.messages import VERSION
from cluster.release import RELEASE, release_of
from cluster.shard_actor import ChunkShard
from cluster.stored_format import FORMAT

EVERY = {"describe", "ready", "stop"}
SHARD = {"submit", "join", "reserve", "release", "refresh", "give", "load", "health", "address"}


def test_what_a_process_says_is_understood() -> None:
    assert release_of({"pid": 1, **RELEASE.describe()}) == RELEASE
    assert (RELEASE.messages, RELEASE.format) == (VERSION, FORMAT)


def test_one_that_says_nothing_is_another_release() -> None:
    assert release_of({"pid": 1}) != RELEASE
    assert release_of({"pid": 1}).format == 1


@pytest.mark.parametrize(
    ("actor", "methods"),
    [
        (ChunkShard, EVERY | SHARD | {"metrics"}),
        (Gateway, EVERY | {"metrics"}),
        (ChunkArchiver, EVERY | {"metrics"}),
        (Coordinator, {"ready", "describe", "metrics", "drain"}),
    ],
)
def test_an_actor_that_gets_a_method_can_not_be_mixed_with_the_release_before(actor: type, methods: set[str]) -> None:
    """An older process can't look it up any more (decisions/0047): change the list, and say so in the changelog."""
    public = {name for name, _ in inspect.getmembers(actor, inspect.isfunction) if not name.startswith("_")}
    assert public == methods

"""What the agents and spectators of a generator share."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest

from chunkcrawl.errors import Forbidden, NotReady, ServerUnreachable
from chunkcrawl.transport.backoff import Backoff
from chunkcrawl.transport.http import Api
from loadtest import group as group_module
from loadtest.group import JOIN_TRIES, AgentGroup, some_chunk
from tests.loadtest.makers import plan
from tests.sdk.builders import event, static


@pytest.fixture
def group() -> AgentGroup:
    return AgentGroup(plan(), cast(Api, None), "dcw_1")


def waiting() -> Backoff:
    return Backoff(random.Random(1), base_s=0.0)


async def test_one_who_never_got_in_gives_up_after_some_tries(group: AgentGroup) -> None:
    backoff = waiting()
    tries = 1
    while await group.pause(NotReady(503, "unavailable"), backoff, joined=False):
        tries += 1
    assert tries == JOIN_TRIES + 1
    assert (group.given_up, group.settled.is_set()) == (1, True)
    assert group.measures.counts["join_failed:unavailable"] == tries


async def test_one_who_was_in_comes_back_again_and_again(group: AgentGroup) -> None:
    backoff = waiting()
    for _ in range(3 * JOIN_TRIES):
        assert await group.pause(ServerUnreachable("away"), backoff, joined=True)
    assert group.given_up == 0
    assert group.measures.of_group("reconnect_failed") == {"server_unreachable": 3 * JOIN_TRIES}


async def test_what_waiting_does_not_mend_is_given_up_at_once(group: AgentGroup) -> None:
    assert not await group.pause(Forbidden(403, "invalid_scope"), waiting(), joined=False)
    assert group.given_up == 1


def test_a_terrain_is_kept_once_and_not_without_end(group: AgentGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    one, same = (event("chunk_static", **static()) for _ in range(2))
    assert group.shared(one) is one
    assert group.shared(same) is one
    other: Any = event("chunk_closed", chunk_id="chunk-0", tick=1)
    assert group.shared(other) is other
    monkeypatch.setattr(group_module, "STATICS_MAX", 1)
    group.shared(event("chunk_static", **static("chunk-1")))
    assert group.shared(same) is same


def test_the_first_fault_of_ours_is_kept(group: AgentGroup) -> None:
    first = RuntimeError("first")
    group.fail(first)
    group.fail(RuntimeError("second"))
    assert group.defect is first


def test_a_chunk_to_watch_is_likelier_the_more_are_in_it() -> None:
    rng = random.Random(1)
    assert some_chunk({}, rng) == "demo"
    places = {f"a-{n}": "chunk-0" if n else "chunk-1" for n in range(10)}
    chosen = [some_chunk(places, rng) for _ in range(500)]
    assert 400 < chosen.count("chunk-0") < 490

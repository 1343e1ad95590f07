"""What shards say, as the planner sees it, and what a move would change."""

from __future__ import annotations

import pytest

from cluster.balance.picture import CHUNK_US, OVERHEAD_MOST, REMOTE_EXTRA_US, YOUNG_S, Picture, picture_of
from cluster.messages import ChunkLoad, ShardLoad
from world.ids import ChunkId

A, B, C = ChunkId("chunk-0"), ChunkId("chunk-1"), ChunkId("chunk-2")


def chunk(name: ChunkId, cost_us: int, **crossings: float) -> ChunkLoad:
    ways = {ChunkId(to.replace("_", "-")): rate for to, rate in crossings.items()}
    return ChunkLoad(name, 0, cost_us, 0, 0.0, ways)


def report(shard: int, cpu: float, *chunks: ChunkLoad, rest_us: int = 0, age_s: float = 60.0) -> ShardLoad:
    return ShardLoad(shard, age_s, cpu, 0.0, 0.0, 0, len(chunks), 0, list(chunks), rest_us)


def test_what_a_process_uses_is_put_down_to_its_chunks_as_they_were_timed() -> None:
    picture = picture_of({A: 0, B: 0}, 1, [report(0, 0.4, chunk(A, 150_000), chunk(B, 30_000), rest_us=20_000)])
    assert picture.loads == {0: 400_000}
    assert picture.cost(A) == pytest.approx(300_000 + CHUNK_US)
    assert picture.cost(B) == pytest.approx(60_000 + CHUNK_US)


def test_of_an_idle_process_little_is_its_chunks() -> None:
    picture = picture_of({A: 0}, 1, [report(0, 0.02, chunk(A, 1_000))])
    assert picture.cost(A) == pytest.approx(1_000 * OVERHEAD_MOST + CHUNK_US)
    assert picture_of({A: 0}, 1, [report(0, 0.02)]).cost(A) == CHUNK_US


def test_a_shard_that_has_just_begun_has_said_nothing_yet() -> None:
    picture = picture_of({A: 0}, 1, [report(0, 0.9, chunk(A, 900_000), age_s=YOUNG_S - 1)])
    assert (picture.loads, picture.costs) == ({}, {})


def test_a_chunk_is_the_one_of_who_owns_it_now() -> None:
    picture = picture_of({A: 1}, 2, [report(0, 0.5, chunk(A, 100_000)), report(1, 0.1, chunk(A, 20_000))])
    assert picture.cost(A) == pytest.approx(20_000 * OVERHEAD_MOST + CHUNK_US)


def test_crossings_are_those_of_both_directions() -> None:
    reports = [report(0, 0.1, chunk(A, 1_000, chunk_1=2.0)), report(1, 0.1, chunk(B, 1_000, chunk_0=3.0, chunk_2=1.0))]
    picture = picture_of({A: 0, B: 1}, 2, reports)
    assert picture.traffic[A] == {B: 5.0}
    assert picture.traffic[B] == {A: 5.0, C: 1.0}


def test_a_move_takes_its_cost_along_and_changes_what_its_crossings_cost() -> None:
    owners = {A: 0, B: 0, C: 1}
    traffic = {A: {B: 4.0, C: 10.0}, B: {A: 4.0}, C: {A: 10.0}}
    picture = Picture(owners, 2, {0: 500_000, 1: 100_000}, {A: 50_000, B: 50_000, C: 50_000}, traffic)
    less, more = 10 * REMOTE_EXTRA_US, 4 * REMOTE_EXTRA_US
    assert picture.after(A, 1) == (450_000 + more - less, 150_000 + more - less)
    assert picture.saved(A, 1) == 2 * (less - more)
    picture.move(A, 1)
    assert picture.owners[A] == 1
    assert picture.loads == {0: 450_000 + more - less, 1: 150_000 + more - less}


def test_a_crossing_to_a_third_shard_goes_along() -> None:
    picture = Picture({A: 0, C: 2}, 3, {0: 9_000, 1: 0}, {A: 1_000}, {A: {C: 1.0}, C: {A: 1.0}})
    assert picture.after(A, 1) == (8_000 - REMOTE_EXTRA_US, 1_000 + REMOTE_EXTRA_US)
    assert picture.saved(A, 1) == 0

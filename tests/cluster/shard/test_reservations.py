"""What memory knows of reserved cells."""

from __future__ import annotations

import time

from cluster.shard.reservations import LOOK_MARGIN_S, Reservations
from tests.cluster.shard.parts import memory_with_hall
from tests.cluster.shard.stage import DOOR
from world.ids import HALL, AgentId, HandoffId
from world.inputs import Join, Joined, Reserve, Reserved
from world.records import AgentRecord


def test_a_reservation_is_renewed_by_another_one() -> None:
    reservations = Reservations(memory_with_hall())
    reservations.keep("ho-1", HALL, 0, 24, 10.0)
    first = reservations.get("ho-1", HALL)
    reservations.keep("ho-1", HALL, 0, 24, 10.0)
    assert len(reservations) == 1
    assert reservations.get("ho-1", HALL) is not first


def test_redis_is_asked_after_the_time_and_not_before() -> None:
    reservations, before = Reservations(memory_with_hall()), time.monotonic()
    reservations.keep("ho-1", HALL, 0, 24, 10.0)
    [kept] = reservations
    assert before + 10.0 + LOOK_MARGIN_S <= kept.look_at <= time.monotonic() + 10.0 + LOOK_MARGIN_S


def test_a_chunk_that_leaves_takes_its_own_along() -> None:
    reservations = Reservations(memory_with_hall())
    for chunk_id in ("chunk-0", "chunk-1"):
        reservations.keep("ho-1", chunk_id, 0, 24, 10.0)
    reservations.drop_chunk("chunk-1")
    assert [kept.chunk_id for kept in reservations] == ["chunk-0"]
    reservations.forget()
    assert len(reservations) == 0


def test_those_of_redis_are_taken_up_by_memory_and_looked_at_at_once() -> None:
    memory = memory_with_hall()
    reservations = Reservations(memory)
    x, y = DOOR
    reservations.recover(HALL, {f"{x},{y}".encode(): b"ho-1 1764487729123"})
    [kept] = reservations
    assert (kept.handoff_id, kept.chunk_id, kept.x, kept.y) == ("ho-1", HALL, x, y)
    assert kept.look_at <= time.monotonic() + LOOK_MARGIN_S
    other = memory.world.apply(Reserve(HandoffId("ho-2"), AgentId("b"), HALL, x, y))
    assert isinstance(other, Reserved)
    assert not other.ok
    assert other.blocker is not None
    joined = memory.world.apply(Join(AgentRecord(AgentId("c"), HALL, x, y), HALL, DOOR))
    assert isinstance(joined, Joined)
    assert (joined.x, joined.y) != DOOR

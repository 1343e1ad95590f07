"""Which seats are renewed when, and what is written of them; the rest is asked through real sockets."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.accounts.auth import RedisCalls
from api.sockets import seats as module
from api.sockets.connections import Connection
from api.sockets.seats import REFRESH_EVERY_TICKS, Seat, Seats
from streaming import keys
from streaming.batch import RedisBatch
from streaming.lua import Call

TICK_S = 0.01


class Calls:
    """What Redis was asked; nobody else has a seat."""

    def __init__(self) -> None:
        #: (agent, position) of each renewal, by script call.
        self.renewed: list[list[tuple[str, object]]] = []

    async def run(self, call: Call) -> Any:
        if call.script.name != "refresh_seats":
            return b"0"
        seats = call.args[3:]
        self.renewed.append([(str(seats[at]), seats[at + 2]) for at in range(0, len(seats), 3)])
        return []


async def seated(count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Seats, list[Seat], Calls]:
    monkeypatch.setattr(module, "TICK_S", TICK_S)
    calls = Calls()
    seats = Seats(cast("RedisCalls", calls), grace_s=30.0)
    taken = [Seat(f"a-{n}", f"ch-{n}", cast("Connection", SimpleNamespace())) for n in range(count)]
    for seat in taken:
        await seats.take(seat)
    return seats, taken, calls


async def until_renewed(calls: Calls, times: int) -> None:
    async with asyncio.timeout(10.0):
        while len(calls.renewed) < times:
            await asyncio.sleep(TICK_S)


async def test_each_seat_is_renewed_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    seats, _, calls = await seated(2 * REFRESH_EVERY_TICKS, monkeypatch)
    seats.start()
    await until_renewed(calls, 2 * REFRESH_EVERY_TICKS)
    await seats.close()
    rounds = calls.renewed[: 2 * REFRESH_EVERY_TICKS]
    assert {len(some) for some in rounds} == {2}
    assert set(Counter(agent for some in rounds for agent, _ in some).values()) == {2}


async def test_how_far_an_agent_has_got_is_no_reason_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written in the seat's turn, once, and again only when the agent has got further."""
    seats, [seat], calls = await seated(1, monkeypatch)
    seats.start()
    seat.confirmed = 7
    await until_renewed(calls, 2)
    seat.confirmed = 9
    await until_renewed(calls, 3)
    await seats.close()
    assert calls.renewed[:3] == [[("a-0", 7)], [("a-0", "")], [("a-0", 9)]]


async def test_a_takeover_that_may_have_been_missed_is_looked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seats, [seat], calls = await seated(1, monkeypatch)
    seat.turn = REFRESH_EVERY_TICKS  # never
    seat.heard(None)
    seats.start()
    await until_renewed(calls, 1)
    await asyncio.sleep(5 * TICK_S)
    await seats.close()
    assert calls.renewed == [[("a-0", "")]]


async def test_after_a_sleep_all_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLEPT_S", -1.0)
    seats, _, calls = await seated(3, monkeypatch)
    seats.start()
    await until_renewed(calls, 2)
    await seats.close()
    assert [len(some) for some in calls.renewed[:2]] == [3, 3]


async def test_what_a_renewal_writes(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seats that are ours or nobody's, one command for the presence of them all; of another's seat nothing."""
    monkeypatch.setattr(module, "TICK_S", TICK_S)
    monkeypatch.setattr(module, "SLEPT_S", -1.0)  # all of them, each time
    batch = RedisBatch(redis)
    seats = Seats(batch, grace_s=30.0)
    replaced: list[str] = []
    taken = []
    for n in range(3):
        connection = SimpleNamespace(
            queue=SimpleNamespace(closed=None), close=lambda *_, name=f"a-{n}": replaced.append(name)
        )
        taken.append(Seat(f"a-{n}", f"ch-{n}", cast("Connection", connection)))
        await seats.take(taken[-1])
    await redis.expire(keys.connection("a-0"), 5)
    await redis.delete(keys.connection("a-1"), keys.PRESENCE)
    await redis.set(keys.connection("a-2"), "ch-new")
    for seat in taken:
        seat.confirmed = 4
    await redis.config_resetstat()
    seats.start()
    async with asyncio.timeout(10.0):
        while not replaced:
            await asyncio.sleep(TICK_S)
    await seats.close()
    stats = await redis.info("commandstats")
    await batch.close()
    assert set(replaced) == {"a-2"}
    assert await redis.mget([keys.connection(f"a-{n}") for n in range(3)]) == [b"ch-0", b"ch-1", b"ch-new"]
    assert await redis.ttl(keys.connection("a-0")) > 60
    assert await redis.mget([keys.agent_position(f"a-{n}") for n in range(3)]) == [b"4", b"4", b"0"]
    assert set(await redis.zrange(keys.PRESENCE, 0, -1)) == {b"a-0", b"a-1"}
    scripts = sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))
    assert stats["cmdstat_zadd"]["calls"] <= scripts

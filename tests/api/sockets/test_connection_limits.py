"""Who stays and who makes room, by a clock that the test turns."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from api.sockets import connection_limits
from api.sockets.connection_limits import Admission, AdmissionRules, Slot
from api.sockets.slow_addresses import BROKEN_MOST
from config.networks import parse_networks
from tests.api.support import FakeClock

RULES = AdmissionRules(connections=40, address_waiting=4, receive_s=10, answer_s=60)


@dataclass
class Fake:
    """A connection that notes what it is told."""

    told: list[str] = field(default_factory=list)

    def expire(self) -> None:
        self.told.append("expire")

    def make_room(self) -> None:
        self.told.append("make_room")

    def go_on(self) -> None:
        self.told.append("go_on")


class Door:
    """An admission, and what was admitted."""

    def __init__(self, rules: AdmissionRules = RULES, trusted: tuple[str, ...] = ()) -> None:
        self.clock = FakeClock(0)
        self.admission = Admission(rules, parse_networks(trusted), lambda: self.clock.now_ms / 1000)

    def come(self, host: str) -> tuple[Fake, Slot | None]:
        peer = Fake()
        return peer, self.admission.admit(peer, host)

    def come_slowly(self, host: str, count: int) -> list[Fake]:
        """A second apart; ``{}`` in ``host`` is the number."""
        peers = []
        for number in range(count):
            peers.append(self.come(host.format(number))[0])
            self.clock.advance(1_000)
        return peers

    def slow(self, host: str) -> None:
        """Break so many bounds that new connections are held."""
        for _ in range(BROKEN_MOST):
            self.admission.refused("headers_too_large", host)

    def come_in(self, host: str) -> tuple[Fake, Slot]:
        peer, slot = self.come(host)
        assert slot is not None
        assert slot.may_enter
        slot.answer()
        slot.enter()
        return peer, slot


@pytest.fixture
async def door() -> Door:
    return Door()


def test_the_shares_leave_room_for_those_who_wait() -> None:
    assert (RULES.waiting, RULES.entered, RULES.address_entered) == (10, 30, 15)
    many = AdmissionRules(connections=100_000, address_waiting=4, receive_s=10, answer_s=60)
    assert (many.waiting, many.entered) == (2_048, 97_952)


async def test_an_address_that_has_its_share_loses_its_oldest(door: Door) -> None:
    beside, _ = door.come("10.0.0.2")
    peers = door.come_slowly("10.0.0.1", 5)
    assert [peer.told for peer in peers] == [["make_room"], [], [], [], []]
    assert beside.told == []


async def test_who_has_just_come_has_time_to_ask_and_the_newest_is_refused(door: Door) -> None:
    peers = [door.come("10.0.0.1") for _ in range(5)]
    assert [peer.told for peer, _ in peers] == [[]] * 5
    assert [slot is None for _, slot in peers] == [False] * 4 + [True]
    door.clock.advance(300)
    assert door.come("10.0.0.1")[1] is not None
    assert peers[0][0].told == ["make_room"]


async def test_one_ipv6_customer_is_one_address(door: Door) -> None:
    peers = door.come_slowly("2001:db8::{}", 5)
    assert peers[0].told == ["make_room"]


async def test_a_trusted_proxy_has_no_share() -> None:
    door = Door(trusted=("10.0.0.0/8",))
    peers = door.come_slowly("10.0.0.1", 10)
    assert not any(peer.told for peer in peers)


async def test_a_full_gateway_drops_who_idles_then_who_receives_and_never_who_is_in(door: Door) -> None:
    inside = [door.come_in(f"10.1.0.{number}")[0] for number in range(20)]
    receiving = [door.come(f"10.2.0.{number}") for number in range(9)]
    idle, slot = door.come("10.3.0.1")
    assert slot is not None
    slot.answer()
    slot.idle()
    door.clock.advance(300)
    assert door.come("10.4.0.1")[1] is not None
    assert idle.told == ["make_room"]
    assert door.come("10.4.0.2")[1] is not None
    assert [peer.told for peer, _ in receiving[:2]] == [["make_room"], []]
    assert not any(peer.told for peer in inside)


async def test_when_all_are_being_answered_the_newest_is_refused(door: Door) -> None:
    for number in range(10):
        _, slot = door.come(f"10.0.0.{number}")
        assert slot is not None
        slot.answer()
    assert door.come("10.0.1.1")[1] is None
    assert door.admission.waiting == 10


async def test_one_address_can_not_take_all_the_places_inside(door: Door) -> None:
    for _ in range(15):
        door.come_in("10.0.0.1")
    _, slot = door.come("10.0.0.1")
    assert slot is not None
    assert not slot.may_enter
    last = [door.come_in(f"10.0.1.{number}")[1] for number in range(15)][-1]
    _, nobody = door.come("10.0.2.1")
    assert nobody is not None
    assert not nobody.may_enter, "room is kept for those who wait"
    last.leave()
    assert nobody.may_enter


async def test_deadlines_are_of_the_whole_request_and_begin_anew_with_the_next(door: Door) -> None:
    slow, _ = door.come("10.0.0.1")
    asked, slot = door.come("10.0.0.2")
    assert slot is not None
    door.clock.advance(9_000)
    slot.answer()
    door.clock.advance(2_000)
    door.admission.sweep()
    assert (slow.told, asked.told) == (["expire"], [])
    door.admission.sweep()
    assert slow.told == ["expire"], "told once; again when it has not gone by then"
    door.clock.advance(59_000)
    door.admission.sweep()
    assert (slow.told, asked.told) == (["expire", "expire"], ["expire"])


async def test_who_idles_or_is_in_has_no_deadline(door: Door) -> None:
    inside, _ = door.come_in("10.0.0.1")
    idle, slot = door.come("10.0.0.2")
    assert slot is not None
    slot.answer()
    slot.idle()
    door.clock.advance(10**9)
    door.admission.sweep()
    assert (inside.told, idle.told) == ([], [])


async def test_a_stream_that_ends_waits_again(door: Door) -> None:
    _, slot = door.come_in("10.0.0.1")
    slot.idle()
    assert (door.admission.waiting, len(door.admission)) == (1, 1)
    slot.leave()
    slot.leave()
    slot.idle()
    assert len(door.admission) == 0


async def test_a_flood_is_a_line_and_not_thousands(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(1_000):
        door.admission.refused("headers_too_large", "10.0.0.1")
    door.clock.advance(11_000)
    door.admission.refused("headers_too_large", "10.0.0.1")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "count=1000" in lines[1]


async def test_a_new_connection_of_a_slow_address_is_held_for_two_seconds(door: Door) -> None:
    before, old = door.come("10.0.0.1")
    door.slow("10.0.0.1")
    peer, slot = door.come("10.0.0.1")
    beside = door.come("10.0.0.2")[1]
    assert [one is not None and one.held for one in (old, slot, beside)] == [False, True, False]
    door.clock.advance(1_900)
    door.admission.let_one_go_on()
    assert peer.told == []
    door.clock.advance(100)
    door.admission.let_one_go_on()
    assert (before.told, peer.told) == ([], ["go_on"])
    assert slot is not None
    assert not slot.held
    door.clock.advance(10_000)
    door.admission.sweep()
    assert peer.told == ["go_on", "expire"], "its time to send a request runs from when it goes on"


async def test_half_of_those_who_wait_are_held_and_one_more_lets_the_oldest_go_on(door: Door) -> None:
    peers = []
    for number in range(3):
        door.slow(f"10.0.0.{number}")
        peers += [door.come(f"10.0.0.{number}")[0] for _ in range(2)]
    assert len(door.admission.held) == 5
    assert [peer.told for peer in peers] == [["go_on"], [], [], [], [], []]


async def test_a_held_one_counts_for_its_address_from_when_it_goes_on(door: Door) -> None:
    before = [door.come("10.0.0.1")[0] for _ in range(4)]
    door.slow("10.0.0.1")
    held = [door.come("10.0.0.1")[0] for _ in range(5)]
    assert not any(peer.told for peer in (*before, *held))
    door.clock.advance(2_000)
    door.admission.let_one_go_on()
    assert [peer.told for peer in held] == [["go_on"], [], [], [], []], "not all at once"
    for _ in held[1:]:
        door.admission.let_one_go_on()
    assert [peer.told for peer in before] == [["make_room"]] * 4
    assert [peer.told for peer in held] == [["go_on"]] * 4 + [["make_room"]], "the others have just begun to be read"
    assert door.admission.waiting == 4


async def test_whoever_is_held_goes_on_in_time_though_nobody_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "HELD_S", 0.02)
    admission = Admission(RULES)
    for _ in range(BROKEN_MOST):
        admission.refused("headers_too_large", "10.0.0.1")
    peers = [Fake(), Fake()]
    for peer in peers:
        admission.admit(peer, "10.0.0.1")
        await asyncio.sleep(0.005)
    async with asyncio.timeout(5):
        while not all(peer.told for peer in peers):
            await asyncio.sleep(0.005)
    assert [peer.told for peer in peers] == [["go_on"], ["go_on"]]


async def test_neither_a_trusted_proxy_nor_who_is_in_is_ever_held() -> None:
    door = Door(trusted=("10.0.0.0/8",))
    door.slow("10.0.0.1")
    _, slot = door.come("10.0.0.1")
    assert slot is not None
    assert not slot.held
    inside, entered = door.come_in("192.0.2.1")
    door.slow("192.0.2.1")
    door.clock.advance(60_000)
    door.admission.sweep()
    assert (inside.told, entered.held) == ([], False)


async def test_a_crowd_of_idle_connections_slows_nobody(door: Door) -> None:
    for _ in range(4 + 2 * BROKEN_MOST):
        _, slot = door.come("10.0.0.1")
        assert slot is not None
        assert not slot.held
        slot.answer()
        slot.idle()


@pytest.mark.parametrize("reason", ["address_full", "gateway_full", "full", "overloaded", "answer_timeout", "silent"])
async def test_what_others_have_done_slows_no_address(door: Door, reason: str) -> None:
    for _ in range(100):
        door.admission.refused(reason, "10.0.0.1")
    _, slot = door.come("10.0.0.1")
    assert slot is not None
    assert not slot.held


async def test_to_be_refused_for_ones_own_flood_and_to_break_off_do(door: Door) -> None:
    for _ in range(4 + BROKEN_MOST):
        door.come("10.0.0.1")
    for _ in range(BROKEN_MOST):
        door.admission.broken_off("10.0.0.2")
    door.clock.advance(300)
    for host in ("10.0.0.1", "10.0.0.2"):
        slot = door.come(host)[1]
        assert slot is not None
        assert slot.held


async def test_a_held_connection_that_ends_leaves_nothing(door: Door) -> None:
    door.slow("10.0.0.1")
    _, slot = door.come("10.0.0.1")
    assert slot is not None
    slot.leave()
    slot.leave()
    assert (len(door.admission), len(door.admission.held)) == (0, 0)
    door.clock.advance(60_000)
    door.admission.sweep()

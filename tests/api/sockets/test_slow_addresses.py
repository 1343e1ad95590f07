from __future__ import annotations

import pytest

from api.sockets import slow_addresses
from api.sockets.slow_addresses import BROKEN_MOST, SLOW_S, SlowAddresses


@pytest.fixture
def addresses() -> SlowAddresses:
    return SlowAddresses()


def break_at(addresses: SlowAddresses, *times: float, address: str = "10.0.0.1") -> None:
    for now in times:
        addresses.note_broken(address, now)


def test_so_many_within_a_second_make_an_address_slow_and_no_other(addresses: SlowAddresses) -> None:
    break_at(addresses, *[0.5] * (BROKEN_MOST - 1))
    assert not addresses.is_slow("10.0.0.1", 0.5)
    break_at(addresses, 0.6)
    assert addresses.is_slow("10.0.0.1", 0.6)
    assert not addresses.is_slow("10.0.0.2", 0.6)


def test_as_many_over_a_longer_time_do_not(addresses: SlowAddresses) -> None:
    break_at(addresses, *[0.2 * number for number in range(10 * BROKEN_MOST)])
    assert not addresses.is_slow("10.0.0.1", 0.2 * 10 * BROKEN_MOST)


def test_it_stays_slow_until_it_has_broken_none_for_long(addresses: SlowAddresses) -> None:
    break_at(addresses, *[0.0] * BROKEN_MOST)
    break_at(addresses, SLOW_S - 1)
    assert addresses.is_slow("10.0.0.1", 2 * SLOW_S - 1.1)
    assert not addresses.is_slow("10.0.0.1", 2 * SLOW_S - 1)
    break_at(addresses, 2 * SLOW_S)
    assert not addresses.is_slow("10.0.0.1", 2 * SLOW_S), "one alone does not begin it again"


def test_of_too_many_the_one_that_has_broken_none_for_longest_is_forgotten(
    addresses: SlowAddresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_addresses, "ADDRESSES_MOST", 2)
    break_at(addresses, *[0.0] * BROKEN_MOST)
    break_at(addresses, *[0.1] * BROKEN_MOST, address="10.0.0.2")
    break_at(addresses, 0.2)
    break_at(addresses, 0.3, address="10.0.0.3")
    assert len(addresses) == 2
    assert addresses.is_slow("10.0.0.1", 0.3)
    assert not addresses.is_slow("10.0.0.2", 0.3)

"""The client's address: only trusted proxies are believed, and only the part that they wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.limits.client_address import UNKNOWN, address_bucket, client_address
from config.networks import parse_networks

TRUSTED = parse_networks(["10.0.0.1", "10.1.0.0/16", "fd00::/8"])
STRANGER = "203.0.113.9"
LONG = ", ".join(["198.51.100.1"] * 800)  # 11 kB


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # nobody is believed who is no trusted proxy
        (STRANGER, [], STRANGER),
        (STRANGER, ["198.51.100.7"], STRANGER),
        (STRANGER, ["10.0.0.1"], STRANGER),
        (STRANGER, [LONG], STRANGER),
        ("10.0.0.2", ["198.51.100.7"], "10.0.0.2"),
        # one proxy: what it wrote itself is the last entry
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 2.2.2.2,198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [LONG + ", 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["x" * 10_000 + ", 198.51.100.7"], "198.51.100.7"),
        # several proxies
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ("fd00::1", ["198.51.100.7, 10.0.0.1, 10.1.9.9"], "198.51.100.7"),
        ("10.0.0.1", ["10.1.0.1, 10.1.0.2"], "10.1.0.1"),
        # a proxy that says nothing, or nothing usable, is the client itself
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, "], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, nonsense, 10.1.0.2"], "10.1.0.2"),
        ("10.0.0.1", ["x" * 10_000], "10.0.0.1"),
        ("10.0.0.1", ["999.1.1.1"], "10.0.0.1"),
        # ways to write an address
        ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ['"[2001:db8::7]"'], "2001:db8::7"),
        ("10.0.0.1", ["2001:DB8:0::7"], "2001:db8::7"),
        ("10.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:203.0.113.9", ["198.51.100.7"], STRANGER),
        # no address at all
        (None, ["198.51.100.7"], UNKNOWN),
        ("", [], UNKNOWN),
        ("testclient", ["198.51.100.7"], UNKNOWN),
    ],
)
def test_the_client_is_the_first_hop_from_the_right_that_is_no_trusted_proxy(
    peer: str | None, forwarded: list[str], client: str
) -> None:
    assert client_address(peer, forwarded, TRUSTED) == client


def test_a_chain_longer_than_any_is_not_followed_to_its_end() -> None:
    chain = ", ".join(["198.51.100.7"] + ["10.1.0.1"] * 16)
    assert client_address("10.0.0.1", [chain], TRUSTED) == "10.1.0.1"


def test_an_entry_that_is_cut_in_the_middle_does_not_count() -> None:
    """1,024 characters are read; of ``1198.51.100.7`` the rest would be somebody else's address."""
    tail = "," + ",".join(["10.1.0.100"] * 8)
    padding = " " * (1_024 - len(tail) - len("98.51.100.7"))
    assert client_address("10.0.0.1", ["198.51.100.7" + padding + tail], TRUSTED) == "10.1.0.100"


@given(st.lists(st.text(max_size=40), max_size=6), st.sampled_from([STRANGER, "10.0.0.1", "2001:db8::1"]))
def test_no_header_raises_or_makes_something_that_is_no_address(forwarded: list[str], peer: str) -> None:
    found = client_address(peer, forwarded, TRUSTED)
    assert address_bucket(found) != UNKNOWN
    if peer != "10.0.0.1":
        assert found == peer


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        (STRANGER, STRANGER),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_an_ipv6_network_shares_one_bucket(address: str, bucket: str) -> None:
    assert address_bucket(address) == bucket

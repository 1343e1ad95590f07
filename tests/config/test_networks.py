"""Addresses and networks as settings write them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from config.networks import parse_networks


def test_addresses_and_networks_of_both_kinds() -> None:
    written = ["10.0.0.1", "10.1.0.0/16", "fd00::/8"]
    assert parse_networks(written) == tuple(ip_network(text) for text in written)
    assert parse_networks([]) == ()


@pytest.mark.parametrize("value", ["10.0.0.1/8", "10.0.0.256", "caddy", "*", "", "10.0.0.0/33"])
def test_what_is_no_network_is_pointed_at(value: str) -> None:
    with pytest.raises(ValueError, match="number 2 is neither"):
        parse_networks(["10.0.0.1", value])

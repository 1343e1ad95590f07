"""Addresses and networks as settings write them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

__all__ = ["Networks", "parse_networks"]

Networks = tuple[IPv4Network | IPv6Network, ...]


def parse_networks(values: Iterable[str]) -> Networks:
    """Return addresses and networks in CIDR form.

    Raises:
        ValueError: one is neither; the text says which.
    """
    networks = []
    for number, value in enumerate(values, start=1):
        try:
            networks.append(ip_network(value))
        except ValueError:
            raise ValueError(f"must be addresses or networks such as 10.0.0.0/8; number {number} is neither") from None
    return tuple(networks)

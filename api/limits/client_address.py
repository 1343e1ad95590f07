"""The client's address, which limits count by, found through proxies that the operator trusts.

Pure.  A client writes what it likes into its headers, so ``X-Forwarded-For`` counts only when the peer of the TCP
connection is a trusted proxy, and then from its right end, which trusted proxies wrote: the first address that is no
trusted proxy is the client.  ``Forwarded`` and ``X-Real-IP`` are never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from config.networks import Networks

__all__ = ["UNKNOWN", "address_bucket", "client_address", "is_trusted"]

Address = IPv4Address | IPv6Address

#: What a peer without an address counts as (a Unix socket): all of them share one limit.
UNKNOWN: Final = "unknown"

#: How much of a long header is read, from its right end; no chain of proxies is longer.
HEADER_READ_CHARS: Final = 1_024
HOPS_MAX: Final = 16

#: An IPv6 customer is given a /64 at least; a single address of it would be a limit to walk around.
IPV6_BUCKET_BITS: Final = 64


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Networks) -> str:
    """Return the client's address in its normal form, or ``UNKNOWN``.

    Args:
        peer: address of the TCP connection's other end; None when it has none.
        forwarded: the values of all ``X-Forwarded-For`` headers, in their order.
        trusted: whose word counts.

    A hop that is no address ends the search at the proxy that reported it: the limit then falls on the proxy, and
    nobody gets a fresh one by writing nonsense.
    """
    nearest = _parse(peer or "")
    if nearest is None:
        return UNKNOWN
    if forwarded and _is_trusted(nearest, trusted):
        for hop in _hops(forwarded):
            address = _parse(hop)
            if address is None:
                break
            nearest = address
            if not _is_trusted(address, trusted):
                break
    return str(nearest)


def address_bucket(address: str) -> str:
    """Return what shares one limit with ``address``: the address itself, or its /64 network."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, IPV6_BUCKET_BITS), strict=False))
    return UNKNOWN if parsed is None else str(parsed)


def is_trusted(peer: str | None, trusted: Networks) -> bool:
    """Return whether the connection's other end is one of the trusted proxies."""
    address = _parse(peer or "") if trusted else None
    return address is not None and _is_trusted(address, trusted)


def _hops(forwarded: Sequence[str]) -> list[str]:
    """Return the hops, nearest first; an entry that is cut by ``HEADER_READ_CHARS`` is left out."""
    text = ",".join(forwarded)
    read = text[-HEADER_READ_CHARS:]
    hops = read.split(",")
    if len(read) < len(text):
        hops = hops[1:]
    return hops[::-1][:HOPS_MAX]


def _parse(text: str) -> Address | None:
    """Read an address as proxies write it: with a port, in brackets, mapped into IPv6, with a zone."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_trusted(address: Address, trusted: Networks) -> bool:
    return any(address.version == network.version and address in network for network in trusted)

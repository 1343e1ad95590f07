"""The check of calls that need no secret: only programs and pages of this machine and named origins may make them.

The dev routes and the fixed token are for whoever can reach the server, and a browser reaches it for every page that it
shows.  A page of somebody else gives itself away by its ``Origin``; one whose name was made to lead to this machine
(DNS rebinding) is of the server's own origin to the browser, and gives itself away by its ``Host``.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from api.errors import ApiError
from config.settings import Settings

__all__ = ["LocalOnly", "is_loopback"]

#: To listen there is to listen everywhere; nobody is called so.
ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})


class LocalOnly:
    """What ``settings`` take for local: loopback, the address that gateways listen on, and the origins for CORS."""

    def __init__(self, settings: Settings) -> None:
        self._origins = frozenset(settings.allowed_origins)
        hosts = {_host_of(origin) for origin in settings.allowed_origins} | {settings.host}
        self._hosts = frozenset(host for host in hosts if host) - ANY_ADDRESS

    def check(self, connection: HTTPConnection) -> None:
        """Raise ``ApiError`` (``not_local``) unless the request was made to this machine, and by no foreign page."""
        headers = connection.headers
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._knows_host(_host_of(f"//{hosts[0]}")):
            raise ApiError("not_local")
        if not all(self._knows_origin(origin) for origin in headers.getlist("origin")):
            raise ApiError("not_local")

    def _knows_origin(self, origin: str) -> bool:
        if origin in self._origins:
            return True
        return origin.startswith(("http://", "https://")) and self._knows_host(_host_of(origin))

    def check_origin(self, connection: HTTPConnection) -> None:
        """Raise ``ApiError`` (``not_local``) for a request that a foreign page has made, whatever it was made to."""
        if not all(self._knows_origin(origin) for origin in connection.headers.getlist("origin")):
            raise ApiError("not_local")

    def _knows_host(self, host: str | None) -> bool:
        return host is not None and (host in self._hosts or is_loopback(host))


def _host_of(url: str) -> str | None:
    """Return host of a URL in lower case, without port and brackets; None when there is none."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return None
    return host.removesuffix(".") if host else None


def is_loopback(host: str) -> bool:
    """Return whether ``host``, a name or an address, is this machine to itself."""
    if host == "localhost" or host.endswith(".localhost"):  # never asked of a name server (RFC 6761)
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback

"""Which proxy a connection takes: never one to this machine itself, else the one that the environment names.

The HTTP library and the socket library each have rules of their own; here is one for both.  The variables are the usual
``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``, in either case of letters.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import urllib.request
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpx

from chunkcrawl.errors import ServerUnreachable, UnusableProxy

__all__ = ["Proxy", "blocking_http_client", "http_client", "is_loopback", "over", "proxy_for", "unreachable"]

SOCKS_PACKAGES: Final = {"httpx": "socksio", "websockets": "python_socks"}


@dataclass(frozen=True, slots=True)
class Proxy:
    """``url`` may hold a password; ``shown`` names the proxy and its variable without it."""

    url: str = field(repr=False)
    shown: str


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is this machine itself: localhost and names below it, 127.0.0.0/8, ::1."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def proxy_for(base: str) -> Proxy | None:
    """Return the proxy on the way to the server at ``base``; None for a direct connection.

    Raises:
        UnusableProxy: The environment names a proxy that can't be used; the text says what to do.
    """
    parts = urlsplit(base)
    host = parts.hostname or ""
    if not host or is_loopback(host) or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    named = urllib.request.getproxies()
    for scheme in (parts.scheme, "all"):
        if named.get(scheme):
            return _checked(named[scheme], f"{scheme}_proxy", host)
    return None


def http_client(proxy: Proxy | None, *, limits: httpx.Limits | None = None, timeout: float) -> httpx.AsyncClient:
    """Return an HTTP client that goes over ``proxy``; for None it goes directly, whatever the environment says."""
    # A transport that is handed in keeps the library from looking for proxies by itself.
    transport = httpx.AsyncHTTPTransport(limits=limits or httpx.Limits(), proxy=proxy.url if proxy else None)
    return httpx.AsyncClient(transport=transport, timeout=timeout)


def blocking_http_client(proxy: Proxy | None, *, timeout: float) -> httpx.Client:
    """Return the same as ``http_client``, for code without an event loop."""
    return httpx.Client(transport=httpx.HTTPTransport(proxy=proxy.url if proxy else None), timeout=timeout)


def unreachable(where: str, error: Exception, proxy: Proxy | None = None) -> ServerUnreachable:
    """Return the error for a connection that failed: what, why, and over which proxy if it was one."""
    why = f"{type(error).__name__} {error}".rstrip()
    return ServerUnreachable(f"{where}: {why}{over(proxy)}")


def over(proxy: Proxy | None) -> str:
    """Return the words that name the proxy in an error; empty without one."""
    return f" (over the proxy {proxy.shown}; no_proxy makes exceptions)" if proxy else ""


# -- private --


def _checked(url: str, variable: str, host: str) -> Proxy:
    """Return the proxy, if it can be used.  Nothing of ``url`` but scheme, host and port is ever shown."""
    url = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError("no host")
        port = f":{parts.port}" if parts.port else ""
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        shown = f"{parts.scheme}://{name}{port} of {variable}"
    except ValueError:
        raise UnusableProxy(
            f"{variable} names no usable proxy: it must be like http://proxy:3128; "
            f"to connect without one: no_proxy={host}"
        ) from None
    if parts.scheme in ("socks5", "socks5h"):
        missing = [name for name in SOCKS_PACKAGES.values() if importlib.util.find_spec(name) is None]
        if missing:
            packages = " ".join(name.replace("_", "-") for name in missing)
            raise UnusableProxy(
                f"the proxy {shown} needs packages that are missing: pip install {packages}; "
                f"or name an http:// proxy; to connect without one: no_proxy={host}"
            )
    elif parts.scheme not in ("http", "https"):
        raise UnusableProxy(
            f"the proxy {shown} is of no kind that can be used: http, https, socks5, socks5h; "
            f"to connect without one: no_proxy={host}"
        )
    return Proxy(url, shown)

"""Redis URLs as hosters and other tools write them: one server, over TCP, TLS or a Unix socket.

``normal_form`` is asked once, when settings are read.  What the library takes from a URL beyond the place of the server
would go before our own settings of its connections, so only what is named here is let through.  No text of an error
holds anything of the URL, since a password may stand wherever somebody forgot to write a character as ``%..``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from config.errors import ServerError
from config.world_url import WORLD_PARAMETER, split_world

__all__ = ["BadRedisUrl", "normal_form"]

#: Valkey's own names are the same thing.
SCHEMES: Final[Mapping[str, str]] = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
}
FOR_TLS: Final = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"}
)
ANYWHERE: Final = frozenset({"client_name", "db", WORLD_PARAMETER})
CERT_REQS: Final = ("none", "optional", "required")
ONE_SERVER: Final = "must name one server (Sentinel and Cluster are not supported): the primary, at a fixed address"
WRITE_AS: Final = "in user and password write / ? # as %2F %3F %23"
PORT_MAX: Final = 65535
_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^:\[\]@]*)(?::([0-9]{1,5})?)?")


class BadRedisUrl(ServerError, ValueError):
    """A URL that can't be used; the text says why in one line, without anything secret."""

    reason = "bad_redis_url"


def normal_form(text: str) -> str:
    """Return ``text`` in the form that is kept, which the library reads as we do.

    Raises:
        ValueError: It can't be used here (``BadRedisUrl``), or names no world as it must (``split_world``).
    """
    scheme, separator, rest = text.strip().partition("://")
    if "sentinel" in scheme or "cluster" in scheme:
        raise BadRedisUrl(ONE_SERVER)
    if not separator or scheme not in SCHEMES:
        raise BadRedisUrl("must begin with redis://, rediss:// or unix://")
    kind = SCHEMES[scheme]
    end = re.search("[/?#]", rest)
    authority, tail = (rest, "") if end is None else (rest[: end.start()], rest[end.start() :])
    path, _, query = tail.partition("?")
    account, at, address = authority.rpartition("@")
    if "#" in tail or (kind != "unix" and "@" in path):
        raise BadRedisUrl(WRITE_AS)
    if "," in address:
        raise BadRedisUrl(ONE_SERVER)
    place = _socket(address, path) if kind == "unix" else _server(address, path)
    return f"{kind}://{_account(account)}{at}{place}{_query(kind, query)}"


# -- parts --


def _account(account: str) -> str:
    """Return user and password, written anew: a ``%`` that begins no code is itself, as people write it."""
    try:
        return ":".join(quote(unquote(part, errors="strict"), safe="") for part in account.split(":", 1))
    except UnicodeDecodeError:
        raise BadRedisUrl("what it has as %.. must be UTF-8; write % as %25") from None


def _server(address: str, path: str) -> str:
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match[1] or 1) <= PORT_MAX:
        raise BadRedisUrl(f"must have host:port behind the last @, the port 1 to 65535; {WRITE_AS}")
    database = path.removeprefix("/")
    if database and not (database.isascii() and database.isdigit()):
        raise BadRedisUrl("must end with the number of a database, like redis://host:6379/0")
    return f"{address}/{database}" if database else address


def _socket(address: str, path: str) -> str:
    if address or len(path) < 2:
        raise BadRedisUrl("must have the path of a socket, like unix:///run/redis.sock")
    return path


def _query(kind: str, query: str) -> str:
    allowed = ANYWHERE | (FOR_TLS if kind == "rediss" else frozenset())
    found = dict(parse_qsl(query, keep_blank_values=True))
    if WORLD_PARAMETER in found:
        split_world(f"{kind}://?{query}")
    if not found.keys() <= allowed:
        tls = "" if kind == "rediss" else "; for TLS it begins with rediss://"
        raise BadRedisUrl(f"has a parameter that is not supported; supported are {', '.join(sorted(allowed))}{tls}")
    database = found.get("db", "0")
    if not (database.isascii() and database.isdigit()):
        raise BadRedisUrl("db must be the number of a database")
    if found.get("ssl_cert_reqs", CERT_REQS[0]) not in CERT_REQS:
        raise BadRedisUrl(f"ssl_cert_reqs must be one of {', '.join(CERT_REQS)}")
    return f"?{urlencode(found, quote_via=quote)}" if found else ""

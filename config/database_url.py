"""Database URLs as hosters and other tools write them, in the one form that all of ours understand.

``normal_form`` is asked once, when settings are read; the driver (``connect_arguments``) and PostgreSQL's own programs
(``libpq_words``) are then given the same server, account and parameters.  No text of an error holds anything of the URL
but names that are known here, since a password may stand wherever somebody forgot to write a character as ``%..``.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from config.errors import ServerError

__all__ = ["BadDatabaseUrl", "DatabaseUrl", "normal_form", "parse"]

SCHEME: Final = "postgresql+asyncpg"
SCHEMES: Final = (SCHEME, "postgresql", "postgres")

#: Parameters that the driver and PostgreSQL's programs both take, with the variable that these read them from.
LIBPQ_VARIABLES: Final[Mapping[str, str]] = {
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "options": "PGOPTIONS",
    "sslcert": "PGSSLCERT",
    "sslcrl": "PGSSLCRL",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
VALUES: Final[Mapping[str, frozenset[str]]] = {
    "sslmode": frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}),
    "sslnegotiation": frozenset({"postgres", "direct"}),
    # The world writes: with any other of libpq's values it would be led to a server that refuses that.
    "target_session_attrs": frozenset({"any", "read-write", "primary"}),
}
#: Parameters that stand for a part of the URL.
PARTS: Final = ("host", "port", "user", "password", "dbname")
#: They change nothing that matters here, or only how fast a dead connection is found.
WITHOUT_EFFECT: Final = frozenset(
    {"fallback_application_name", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval"}
    | {"sslcompression", "sslsni", "tcp_user_timeout"}
)
#: Left out unless they are to be enforced, which the driver can't do.
UNLESS_REQUIRED: Final = frozenset({"channel_binding", "gssencmode"})
POOLER: Final = "a pooler that hands a connection to many at once breaks its locks; name the server itself"
NOT_SUPPORTED: Final[Mapping[str, str]] = {
    "pgbouncer": POOLER,
    "prepared_statement_cache_size": POOLER,
    "currentSchema": "tables lie in the schema public",
    "schema": "tables lie in the schema public",
    **dict.fromkeys(("connection_limit", "gsslib", "hostaddr", "krbsrvname", "load_balance_hosts"), "leave it out"),
    **dict.fromkeys(("passfile", "pool_timeout", "require_auth", "service", "sslpassword"), "leave it out"),
}
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::(?P<port>[0-9]*))?")
WRITE_AS: Final = "in user and password write / ? # as %2F %3F %23"
PORT_MAX: Final = 65535


class BadDatabaseUrl(ServerError, ValueError):
    """A URL that can't be used; the text says why in one line, without anything secret."""

    reason = "bad_database_url"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts, decoded.  ``hosts``: name, address or socket directory, each with a port or None."""

    user: str
    password: str | None = field(repr=False)
    hosts: tuple[tuple[str, int | None], ...]
    database: str
    parameters: Mapping[str, str]

    def __str__(self) -> str:
        """Return the normal form.  It holds the password."""
        word = "" if self.password is None else f":{quote(self.password, safe='')}"
        account = f"{quote(self.user, safe='')}{word}@" if self.user or word else ""
        places = ",".join(_written(host) + (f":{port}" if port else "") for host, port in self.hosts)
        query = f"?{urlencode(self.parameters, quote_via=quote)}" if self.parameters else ""
        return f"{SCHEME}://{account}{places}/{quote(self.database, safe='')}{query}"

    def connect_arguments(self, *, timeout_s: float, session: Mapping[str, str]) -> dict[str, Any]:
        """Return what the driver is called with.

        Args:
            timeout_s: For connecting, unless the URL has ``connect_timeout``.
            session: Parameters of the database session; the URL's ``application_name`` goes before ours.
        """
        left = dict(self.parameters)
        limit_s = int(left.pop("connect_timeout", "0"))
        name = left.pop("application_name", None)
        known: dict[str, Any] = {
            "user": self.user or None,
            "password": self.password,
            "database": self.database or None,
        }
        arguments = {key: value for key, value in known.items() if value is not None}
        if any(host for host, _ in self.hosts):
            arguments["host"] = [host for host, _ in self.hosts]
            arguments["port"] = [port or 5432 for _, port in self.hosts]
        if left.get("sslrootcert") == "system":
            del left["sslrootcert"], left["sslmode"]
            arguments["ssl"] = ssl.create_default_context()
        if left:
            arguments["dsn"] = f"postgresql://?{urlencode(left)}"
        return arguments | {
            "timeout": float(limit_s or timeout_s),
            "server_settings": dict(session) | ({"application_name": name} if name else {}),
        }

    def libpq_words(self) -> tuple[list[str], dict[str, str]]:
        """Return arguments and variables for PostgreSQL's programs; the password is in a variable only."""
        words = [f"--dbname={self.database}"] if self.database else []
        if any(host for host, _ in self.hosts):
            words.append(f"--host={','.join(host for host, _ in self.hosts)}")
        if any(port for _, port in self.hosts):
            words.append(f"--port={','.join(str(port or '') for _, port in self.hosts)}")
        words += [f"--username={self.user}"] if self.user else []
        variables = {LIBPQ_VARIABLES[name]: value for name, value in self.parameters.items()}
        return words, variables | ({} if self.password is None else {"PGPASSWORD": self.password})


def normal_form(text: str) -> str:
    """Return ``text`` in the form that is kept.  Raises ``BadDatabaseUrl``."""
    return str(parse(text))


def parse(text: str) -> DatabaseUrl:
    """Return the parts of a URL.

    Raises:
        BadDatabaseUrl: It can't be used here.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme not in SCHEMES:
        raise BadDatabaseUrl("must begin with postgresql://, postgres:// or postgresql+asyncpg://")
    end = re.search("[/?#]", rest)
    authority, tail = (rest, "") if end is None else (rest[: end.start()], rest[end.start() :])
    path, _, query = tail.partition("?")
    account, _, places = authority.rpartition("@")
    if "#" in tail or "@" in path:
        raise BadDatabaseUrl(WRITE_AS)
    user, colon, password = account.partition(":")
    given = {"user": _decoded(user), "dbname": _decoded(path.removeprefix("/"))}
    given |= {"password": _decoded(password)} if colon else {}
    hosts = tuple(_place(place) for place in places.split(",")) if places else ()
    parameters = _parameters(query, given)
    if hosts and (given.get("host") or given.get("port")):
        raise BadDatabaseUrl("names its host twice, before the path and as a parameter")
    hosts = hosts or _named_hosts(given.get("host", ""), given.get("port", ""))
    return DatabaseUrl(given["user"], given.get("password"), hosts, given["dbname"], parameters)


# -- parts --


def _decoded(part: str) -> str:
    """Decode a part of a URL; a ``%`` that begins no code is itself, as people write it into passwords."""
    try:
        decoded = unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise BadDatabaseUrl("what it has as %.. must be UTF-8; write % as %25") from None
    if "\0" in decoded:
        raise BadDatabaseUrl("must hold no NUL")
    return decoded


def _named_hosts(names: str, ports: str) -> tuple[tuple[str, int | None], ...]:
    """Return the hosts given as parameters; without any, the one place that is left to the driver."""
    hosts, numbers = names.split(","), ports.split(",")
    numbers = numbers * len(hosts) if len(numbers) == 1 else numbers
    if len(hosts) != len(numbers):
        raise BadDatabaseUrl("needs one port, or one for each host")
    return tuple((host, _port(number)) for host, number in zip(hosts, numbers, strict=True))


def _place(place: str) -> tuple[str, int | None]:
    match = _HOST.fullmatch(place)
    if match is None:
        raise BadDatabaseUrl(f"must have host:port behind the last @; {WRITE_AS}")
    return _decoded(match["host"].strip("[]")), _port(match["port"] or "")


def _port(digits: str) -> int | None:
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) <= PORT_MAX):
        raise BadDatabaseUrl("must have a port of 1 to 65535")
    return int(digits)


def _parameters(query: str, given: dict[str, str]) -> dict[str, str]:
    """Return the parameters that are kept, and put those that stand for a part of the URL into ``given``."""
    kept: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in PARTS:
            if given.get(name):
                raise BadDatabaseUrl(f"gives {name} twice, in its place and as a parameter")
            given[name] = value
        elif name == "ssl":
            kept["sslmode"] = _checked("sslmode", "require" if value in ("true", "1") else value)
        elif name in LIBPQ_VARIABLES:
            kept[name] = _checked(name, value)
        elif name in UNLESS_REQUIRED:
            if value == "require":
                raise BadDatabaseUrl(f"{name}=require is not supported: leave it out, or use sslmode=verify-full")
        elif name in NOT_SUPPORTED:
            raise BadDatabaseUrl(f"the parameter {name} is not supported: {NOT_SUPPORTED[name]}")
        elif name not in WITHOUT_EFFECT:
            raise BadDatabaseUrl(f"has a parameter that is not supported; supported are {', '.join(LIBPQ_VARIABLES)}")
    if kept.get("sslrootcert") == "system" and kept.get("sslmode", "verify-full") != "verify-full":
        raise BadDatabaseUrl("sslrootcert=system needs sslmode=verify-full")
    if kept.get("sslrootcert") == "system":
        kept["sslmode"] = "verify-full"
    return kept


def _checked(name: str, value: str) -> str:
    if not value or "\0" in value:
        raise BadDatabaseUrl(f"{name} must have a value")
    if name in VALUES and value not in VALUES[name]:
        raise BadDatabaseUrl(f"{name} must be one of {', '.join(sorted(VALUES[name]))}")
    if name == "connect_timeout" and not (value.isascii() and value.isdigit() and len(value) <= 4):
        raise BadDatabaseUrl("connect_timeout must be whole seconds, 0 for ours")
    if name == "options" and "search_path" in value.lower():
        raise BadDatabaseUrl("options must not set search_path: tables lie in the schema public")
    return value


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")

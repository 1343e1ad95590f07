"""Variables that begin as ours do but are no settings: a slip in a name leaves a setting at its default, unseen."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["OTHERS", "PREFIX", "unknown_names"]

PREFIX: Final = "CHUNKCRAWL_"
#: No settings of the server, but read: by clients, by tests, and by what stands around the server in compose.yaml.
OTHERS: Final = frozenset(
    PREFIX + name
    for name in (
        *("API_KEY", "BASE", "CONFIG_DIR", "OPERATOR_TOKEN", "PASSWORD", "SECRETS_DIR", "TEST_BASE"),
        *("DATA", "GATEWAY", "GATEWAY_PORT", "GRAFANA_PORT", "HTTP_PORT", "HTTPS_PORT", "METRICS", "SITE"),
    )
)
NEAR: Final = 0.6
#: What Kubernetes puts into every container about services whose name begins with ours.
_OF_KUBERNETES: Final = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)")
_ADDRESS_OF_KUBERNETES: Final = re.compile(r"(tcp|udp|sctp)://.*")


def unknown_names(environment: Mapping[str, str], settings: Iterable[str]) -> list[str]:
    """Return a line for each variable that nobody reads, with the nearest name.

    Args:
        environment: Names and values; values are looked at only to know Kubernetes' own.
        settings: Fields of the settings.
    """
    known = {f"{PREFIX}{name.upper()}" for name in settings} | OTHERS
    found = [name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known]
    return [_line(name, known) for name in sorted(found) if not _is_of_kubernetes(name, environment[name])]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the words that name the nearest of ``known``, or where all of them stand."""
    # Without what all have in common, which would make any two of them alike.
    own = {one[len(PREFIX) :]: one for one in sorted(known)}
    near = difflib.get_close_matches(name[len(PREFIX) :], own, n=1, cutoff=NEAR)
    return f"the nearest is {own[near[0]]}" if near else "README.md lists all"


def _line(name: str, known: Iterable[str]) -> str:
    return f"{name}: there is no such variable; {nearest(name.upper(), known)}"


def _is_of_kubernetes(name: str, value: str) -> bool:
    return _OF_KUBERNETES.fullmatch(name) is not None or (
        name.endswith("_PORT") and _ADDRESS_OF_KUBERNETES.fullmatch(value) is not None
    )

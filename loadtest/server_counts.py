"""What the server itself counted, where its metrics page may be read: a check of the generators' own counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadtest.server_page import ServerPage

__all__ = ["Comparison", "ServerCounts", "compare", "counts_of"]

#: Which samples of the metrics page are summed to what.
_SOURCES: Final[dict[str, tuple[tuple[str, dict[str, str]], ...]]] = {
    "acks": (("commands_decided_total", {"accepted": "true"}),),
    "results": (("command_completed_total", {}), ("command_failed_total", {})),
    "refusals": (
        ("commands_decided_total", {"accepted": "false"}),
        ("commands_refused_total", {}),
        ("commands_undecided_total", {}),
        ("challenge_answer_invalid_total", {}),
    ),
    "agents": (("agent_connections", {}),),
    "spectators": (("spectator_connections", {}),),
}

ServerCounts = dict[str, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One count, here and there.  Others who play at the same time are in the server's, not in ours."""

    name: str
    ours: float
    servers: float


def counts_of(page: ServerPage) -> ServerCounts:
    """Return the counts on a page."""
    return {name: sum(page.total(source, **labels) for source, labels in sources) for name, sources in _SOURCES.items()}


def compare(before: ServerCounts, after: ServerCounts, ours: dict[str, float]) -> list[Comparison]:
    """Return the difference of two readings beside our own counts."""
    return [Comparison(name, ours[name], after[name] - before[name]) for name in _SOURCES if name in ours]

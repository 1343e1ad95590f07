"""What the server itself counted, where its metrics page may be read: a check of the generators' own counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from chunkcrawl.transport.http import bearer
from chunkcrawl.transport.proxies import http_client

__all__ = ["Comparison", "ServerCounts", "compare", "parse_counts", "read_counts"]

TIMEOUT_S: Final = 10.0

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


async def read_counts(base: str, token: str | None) -> ServerCounts | None:
    """Return the server's present counts; None where it has no such page or does not show it to us."""
    headers = bearer(token) if token else {}
    try:
        async with http_client(None, timeout=TIMEOUT_S) as http:
            answer = await http.get(f"{base}/metrics", headers=headers)
            return parse_counts(answer.text) if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None


def parse_counts(page: str) -> ServerCounts | None:
    """Read a metrics page; None when it is another server's, without these counts.

    Raises:
        ValueError: It is no metrics page.
    """
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    found: ServerCounts = {}
    for name, sources in _SOURCES.items():
        values = [
            sample.value
            for source, labels in sources
            for sample in samples
            if sample.name == source and labels.items() <= sample.labels.items()
        ]
        # A counter with labels is not there before its first count.
        found[name] = sum(values)
    return found if any(sample.name == "agent_connections" for sample in samples) else None


def compare(before: ServerCounts, after: ServerCounts, ours: dict[str, float]) -> list[Comparison]:
    """Return the difference of two readings beside our own counts."""
    return [Comparison(name, ours[name], after[name] - before[name]) for name in _SOURCES if name in ours]

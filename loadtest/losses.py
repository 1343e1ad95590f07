"""Whether anything was lost or doubled: accepted commands against results, and what happened against the event log.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from loadtest.server_page import ServerPage
from loadtest.totals import Totals

__all__ = [
    "EventLogCounts",
    "event_log_counters",
    "event_log_counts",
    "event_log_part",
    "event_log_text",
    "is_lost",
    "losses_text",
]

#: The server's counters, by their place in ``EventLogCounts``; what waits is a gauge.
_COUNTERS: Final = {
    "facts": "archive_facts_total",
    "written": "archive_events_total",
    "waiting": "archive_entries_waiting",
    "lost": "archive_events_lost_total",
    "refused": "archive_events_refused_total",
    "undone": "archive_events_undone_total",
    "restarts": "actor_restarts_total",
}


@dataclass(frozen=True, slots=True)
class EventLogCounts:
    """What the server counted from before the run to its end."""

    #: Facts in the commits of all shards.
    facts: int
    #: Of them (and of what waited before), those that reached the event log.
    written: int
    #: How many more of them wait than before.
    waiting: int
    lost: int
    refused: int
    undone: int
    #: Processes that began anew meanwhile: what one counted after it was last asked is not in the sums.
    restarts: int = 0

    @property
    def unexplained(self) -> int:
        """Facts that are neither written nor waiting, refused or known to be lost; below 0: written twice."""
        return self.facts - self.written - self.waiting - self.lost - self.refused

    @property
    def is_settled(self) -> bool:
        """Whether no more waits than before, and each fact is accounted for."""
        return (not self.unexplained or self.restarts > 0) and self.waiting <= 0


def event_log_counters(page: ServerPage) -> dict[str, float] | None:
    """Return the counters as they stand; None for a server that does not have them."""
    if not page.has("archive_facts_total") or not page.has("archive_events_total"):
        return None
    return {part: page.total(name) for part, name in _COUNTERS.items()}


def event_log_counts(before: Mapping[str, float], after: Mapping[str, float]) -> EventLogCounts:
    """Return the difference of two readings."""
    return EventLogCounts(**{part: round(after[part] - before[part]) for part in _COUNTERS})


def losses_text(totals: Totals, *, interrupted: bool) -> str:
    """Say in words whether each accepted command had its one result, the ramp included."""
    acks, twice = totals.whole.counts["acks"], totals.whole.counts["results_twice"]
    missing = acks - totals.whole.counts["results"]
    if not acks:
        return "No command was accepted, so none could be lost."
    if not missing and not twice:
        return f"Nothing lost: each of {acks:,} accepted commands had exactly one result."
    if interrupted and missing > 0 and not twice:
        return (
            f"Nothing known to be lost: {missing:,} of {acks:,} accepted commands still ran when this was interrupted."
        )
    parts = [f"{missing:,} of {acks:,} accepted commands had no result"] if missing > 0 else []
    parts += [f"{-missing:,} results came for commands whose ack never did"] if missing < 0 else []
    parts += [f"{twice:,} had two"] if twice else []
    return f"LOST: {', '.join(parts)}."


def event_log_text(counts: EventLogCounts | None) -> str:
    """Say in words whether what happened is in the event log, once; empty where the server could not be asked."""
    if counts is None:
        return ""
    gone = {
        "cut off before it was read": counts.lost,
        "refused by PostgreSQL": counts.refused,
        "taken out again: Redis came back without them": counts.undone,
    }
    if not counts.restarts:
        gone |= {"not to be found": counts.unexplained, "written twice": -counts.unexplained}
    parts = [f"{number:,} {words}" for words, number in gone.items() if number > 0]
    if parts:
        return f"LOST in the event log, of {counts.facts:,} facts: {', '.join(parts)}."
    if counts.unexplained:
        return (
            f"Event log: not judged. {counts.restarts:,} processes began anew, and what each counted last is lost: "
            f"{counts.facts:,} facts were counted, {counts.written:,} written."
        )
    if counts.waiting > 0:
        return (
            f"Event log: of {counts.facts:,} facts {counts.waiting:,} still wait to be written, the others are there."
        )
    return f"Event log: each of {counts.facts:,} facts is in it, once."


def is_lost(text: str) -> bool:
    """Return whether one of the texts above tells of a loss."""
    return text.startswith("LOST")


def event_log_part(counts: EventLogCounts | None) -> dict[str, Any] | None:
    """Return the part ``event_log`` of a report."""
    return None if counts is None else asdict(counts) | {"unexplained": counts.unexplained}

"""Which of PostgreSQL's errors say that it can't serve now, so that the same may work in a moment.

By SQLSTATE (PostgreSQL's documentation, appendix "Error Codes"), for the driver raises them all alike.
"""

from __future__ import annotations

from typing import Final

__all__ = ["is_away"]

#: Whole classes: connection failures, wrong credentials (being changed), no resources (connections, disk, memory).
AWAY_CLASSES: Final = frozenset({"08", "28", "53"})
AWAY_CODES: Final = frozenset(
    {
        "25006",  # only reads: a standby that has not taken over yet
        "3D000",  # no such database: one that is being restored
        "40001",  # not serializable
        "40P01",  # deadlock
        "55P03",  # a lock was not to be had in time
        "57014",  # cancelled, by a time limit or an operator
        "57P01",  # stopping
        "57P02",  # crashed
        "57P03",  # starting, or in recovery
        "57P04",  # the database was dropped
        "57P05",  # the session was idle for too long
        "58030",  # the disk fails
    }
)


def is_away(error: BaseException | None) -> bool:
    """Return whether a driver's error says so."""
    code = getattr(error, "sqlstate", None)
    return isinstance(code, str) and (code in AWAY_CODES or code[:2] in AWAY_CLASSES)

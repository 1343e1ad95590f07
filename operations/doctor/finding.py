"""What a check yields: nothing, findings, or the reason why it could not be made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from config.errors import ServerError
from config.settings import Settings

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``reason`` says what is and why it matters, ``remedy`` what to do; neither holds a secret."""

    reason: str
    remedy: str
    severity: Severity = "error"


class Skipped(ServerError):
    """The check needs something that is not there; another check says so."""

    reason = "skipped"


@dataclass(slots=True)
class Installation:
    """What is looked at.  ``base_url``: where a gateway answers."""

    settings: Settings
    base_url: str
    backup_most_h: float = 26.0
    #: Filled by the checks of the stores, for those that come after: what the coordinator last wrote, Redis' INFO.
    status: dict[str, Any] | None = None
    redis_info: dict[str, Any] | None = None
    database_ok: bool = False


#: Yields findings; raises ``Skipped``.
Check = Callable[[Installation], Awaitable[Iterator[Finding]]]


@dataclass(slots=True)
class Result:
    """One check: its name, what it found, and why it was not made if it was not."""

    check: str
    findings: list[Finding] = field(default_factory=list)
    skipped: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "check": self.check,
            "state": "skipped" if self.skipped else "found" if self.findings else "ok",
            "skipped": self.skipped or None,
            "findings": [
                {"severity": one.severity, "reason": one.reason, "remedy": one.remedy} for one in self.findings
            ],
        }

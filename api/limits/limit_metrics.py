"""What limits and moderation count.  Classes are the handful of docs/decisions/0042-rate-limits.md."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from api.metrics import REGISTRY

#: Every limit there is; each is a class of its own in the counters, from the start.
CLASSES: Final = (
    *("command_agent", "command_account", "cooldown", "chat", "mute"),
    *("signup", "login_address", "login_account", "session_failure_address", "session_failure_account", "session"),
    "operator_token_address",
)

RATE_LIMITED: Final = Counter("rate_limited_total", "What a limit refused, by limit.", ["class"], registry=REGISTRY)
RATE_LIMIT_UNAVAILABLE: Final = Counter(
    "rate_limit_unavailable_total", "Refused because Redis could not be asked.", ["class"], registry=REGISTRY
)
MODERATION_REFUSED: Final = Counter("moderation_refused_total", "Messages refused for banned words.", registry=REGISTRY)
MODERATION_MUTES: Final = Counter("moderation_mutes_total", "Agents muted for their strikes.", registry=REGISTRY)

for _name in CLASSES:
    RATE_LIMITED.labels(_name)

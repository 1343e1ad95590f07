"""How many commands this gateway has seen decided and refused, as plain numbers, for the coordinator's hour."""

from __future__ import annotations

from prometheus_client import Counter

from api import metrics

__all__ = ["commands_decided", "commands_refused"]


def commands_decided() -> int:
    """Return how many commands a shard has accepted since this gateway began."""
    return int(_by_label(metrics.COMMANDS_DECIDED, "accepted").get("true", 0))


def commands_refused() -> dict[str, int]:
    """Return how many were refused since then, by reason; ``by_shard``: for what the shard found."""
    refused = {reason: int(count) for reason, count in _by_label(metrics.COMMANDS_REFUSED, "reason").items()}
    by_shard = int(_by_label(metrics.COMMANDS_DECIDED, "accepted").get("false", 0))
    return {**refused, "by_shard": by_shard} if by_shard else refused


def _by_label(counter: Counter, label: str) -> dict[str, float]:
    samples = [sample for one in counter.collect() for sample in one.samples if sample.name.endswith("_total")]
    return {sample.labels[label]: sample.value for sample in samples}

"""Figures without labels as Prometheus families, from what an actor says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

__all__ = ["Figure", "described_families"]

#: (name, help, field of the description); without a value the family is left out.
Figure = tuple[str, str, str]


def described_families(
    described: Mapping[str, Any], gauges: Sequence[Figure], counters: Sequence[Figure]
) -> Iterator[Metric]:
    """Yield gauges and counters; counters (``..._total``) begin again with the actor's process."""
    for name, text, field in gauges:
        if described.get(field) is not None:
            yield GaugeMetricFamily(name, text, value=float(described[field]))
    for name, text, field in counters:
        if described.get(field) is not None:
            yield CounterMetricFamily(name, text, value=float(described[field]))

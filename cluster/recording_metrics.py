"""The recorder's figures as Prometheus families, from what ``ChunkArchiver.describe`` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

#: (name, help, field of the description); without a value the family is left out.
GAUGES: Final = (
    ("recording_lag_seconds", "Age of the oldest entry that is in no recording yet.", "recording_lag_s"),
    ("recording_entries_waiting", "Entries in Redis that are in no recording yet.", "recording_waiting"),
    ("recording_bytes", "Bytes of recordings kept.", "recording_bytes"),
)
COUNTERS: Final = (
    ("recording_entries", "Entries written to recordings.", "recorded"),
    ("recording_entries_missing", "Entries cut off before they were read, or unreadable.", "recording_missing"),
)


def recording_families(described: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield gauges and counters without labels; counters (``..._total``) begin again with the recorder's process."""
    for name, text, field in GAUGES:
        if described.get(field) is not None:
            yield GaugeMetricFamily(name, text, value=float(described[field]))
    for name, text, field in COUNTERS:
        if described.get(field) is not None:
            yield CounterMetricFamily(name, text, value=float(described[field]))

"""The recorder's figures as Prometheus families, from what ``Recorder.describe`` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import Metric

from cluster.described_metrics import described_families

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
    """Return the figures' families; counters begin again with the recorder's process."""
    return described_families(described, GAUGES, COUNTERS)

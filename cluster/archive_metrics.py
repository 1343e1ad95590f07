"""The archiver's figures as Prometheus families, from what ``ChunkArchiver.describe`` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import Metric

from cluster.described_metrics import described_families

GAUGES: Final = (
    ("archive_lag_seconds", "Age of the oldest fact that is not in the event log yet.", "archive_lag_s"),
    ("archive_entries_waiting", "Facts that wait for the event log.", "archive_waiting"),
    ("snapshot_age_seconds", "Since the last look at all chunks.", "snapshot_age_s"),
    ("backup_age_seconds", "Since the last backup.", "backup_age_s"),
)
COUNTERS: Final = (
    ("archive_events", "Facts written to the event log.", "archived"),
    ("archive_events_lost", "Facts cut off before they were read: the archiver was away for too long.", "archive_lost"),
    ("archive_events_refused", "Facts that PostgreSQL would not take.", "archive_refused"),
    ("archive_events_undone", "Facts taken out again: Redis came back without them.", "archive_undone"),
    ("snapshots_taken", "Snapshots of chunks written.", "snapshots"),
)


def archive_families(described: Mapping[str, Any]) -> Iterator[Metric]:
    """Return the figures' families; counters begin again with the archiver's process."""
    return described_families(described, GAUGES, COUNTERS)

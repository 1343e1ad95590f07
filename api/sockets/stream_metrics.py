"""What a gateway counts about its long-lived connections and the hub behind them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.metrics import REGISTRY
from streaming.entry import Event
from streaming.hub import Hub
from streaming.shared_clock import now_ms

CONNECTIONS: Final = Gauge("connections", "Open event streams and sockets.", ["kind"], registry=REGISTRY)
CONSUMERS_DROPPED: Final = Counter(
    "consumers_dropped_total", "Readers closed because they did not keep up.", ["kind", "why"], registry=REGISTRY
)
RESYNCS: Final = Counter("resyncs_total", "Readers that were told resync_required.", ["kind"], registry=REGISTRY)
TAKEOVERS: Final = Counter("agent_takeovers_total", "Agent sockets replaced by a newer one.", registry=REGISTRY)
BAD_FRAMES: Final = Counter("bad_frames_total", "Messages of agents that were no frame.", ["reason"], registry=REGISTRY)

DELIVERY_MS: Final = Histogram(
    "delivery_ms",
    "From the time in an event's envelope, taken just before its commit, to its hand-over to a socket; sampled.",
    buckets=(2, 5, 10, 20, 50, 100, 150, 200, 300, 400, 1_000, 5_000),
    registry=REGISTRY,
)

#: The connections of one audience, over whichever transport.
AUDIENCES: Final = {
    "agent_connections": ("agent_ws",),
    "owner_stream_connections": ("owner_sse", "owner_ws"),
    "spectator_connections": ("spectator_sse", "spectator_ws"),
}
#: An event older than this when it is handed over was replayed.
REPLAY_MS: Final = 10_000
#: One of how many batches handed to sockets is timed.
DELIVERY_SAMPLE: Final = 32

_deliveries = itertools.count(1)


def delivered(batch: Sequence[tuple[Event, object]]) -> None:
    """Count a batch handed to a socket.  What a new reader is shown first is not timed: it is late by nature."""
    if next(_deliveries) % DELIVERY_SAMPLE or not batch:
        return
    first = batch[0][0]
    late_ms = now_ms() - first.ts_ms
    # A notice of ours (it has no stream) stands before what a new reader is shown.
    if first.key and 0 <= late_ms < REPLAY_MS:
        DELIVERY_MS.observe(late_ms)


class AudienceCollector(Collector):
    """``CONNECTIONS`` by audience."""

    def collect(self) -> Iterable[Metric]:
        """Yield the family."""
        open_now = {sample.labels["kind"]: sample.value for one in CONNECTIONS.collect() for sample in one.samples}
        for name, kinds in AUDIENCES.items():
            value = sum(open_now.get(kind, 0.0) for kind in kinds)
            yield GaugeMetricFamily(name, f"Open connections of kind {', '.join(kinds)}.", value=value)


REGISTRY.register(AudienceCollector())


class HubCollector(Collector):
    """The hub's own counters, read when the page is asked for."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        hub = self._hub
        yield GaugeMetricFamily("hub_channels", "Channels followed.", value=hub.channel_count)
        yield GaugeMetricFamily("hub_subscribers", "Subscriptions of readers.", value=hub.subscriber_count)
        yield CounterMetricFamily("hub_messages", "Messages received.", value=hub.messages)
        yield CounterMetricFamily("hub_deliveries", "Entries handed to readers.", value=hub.deliveries)
        yield CounterMetricFamily("hub_gaps", "Gaps found and filled from the stream.", value=hub.gaps)
        yield CounterMetricFamily("hub_resyncs", "Gaps that the stream no longer had.", value=hub.resyncs)
        yield CounterMetricFamily("hub_reconnects", "Pub/Sub connections lost.", value=hub.reconnects)
        yield CounterMetricFamily("hub_bad_entries", "Stream entries that were no event.", value=hub.bad_entries)


def watch_hub(hub: Hub) -> Collector:
    """Show ``hub`` on the metrics page until ``unwatch``."""
    collector = HubCollector(hub)
    REGISTRY.register(collector)
    return collector


def unwatch(collector: Collector) -> None:
    """Take a collector off the metrics page."""
    REGISTRY.unregister(collector)

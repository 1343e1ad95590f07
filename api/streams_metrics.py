"""What a gateway counts about its long-lived connections and the hub behind them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.metrics import REGISTRY
from streaming.hub import Hub

CONNECTIONS: Final = Gauge("connections", "Open event streams and sockets.", ["kind"], registry=REGISTRY)
CONSUMERS_DROPPED: Final = Counter(
    "consumers_dropped_total", "Readers closed because they did not keep up.", ["kind", "why"], registry=REGISTRY
)
RESYNCS: Final = Counter("resyncs_total", "Readers that were told resync_required.", ["kind"], registry=REGISTRY)
TAKEOVERS: Final = Counter("agent_takeovers_total", "Agent sockets replaced by a newer one.", registry=REGISTRY)
BAD_FRAMES: Final = Counter("bad_frames_total", "Messages of agents that were no frame.", ["reason"], registry=REGISTRY)


class HubCollector(Collector):
    """The hub's own counters, read when the page is asked for."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterable[Metric]:
        hub = self._hub
        yield GaugeMetricFamily("hub_channels", "Channels followed.", value=hub.channel_count)
        yield GaugeMetricFamily("hub_subscribers", "Subscriptions of readers.", value=hub.subscriber_count)
        yield CounterMetricFamily("hub_messages", "Messages received.", value=hub.messages)
        yield CounterMetricFamily("hub_deliveries", "Entries handed to readers.", value=hub.deliveries)
        yield CounterMetricFamily("hub_holes", "Holes found and filled from the stream.", value=hub.holes)
        yield CounterMetricFamily("hub_resyncs", "Holes that the stream no longer had.", value=hub.resyncs)
        yield CounterMetricFamily("hub_reconnects", "Pub/Sub connections lost.", value=hub.reconnects)
        yield CounterMetricFamily("hub_bad_entries", "Stream entries that were no event.", value=hub.bad_entries)


def watch_hub(hub: Hub) -> Collector:
    """Show ``hub`` on the metrics page until ``unwatch``."""
    collector = HubCollector(hub)
    REGISTRY.register(collector)
    return collector


def unwatch(collector: Collector) -> None:
    REGISTRY.unregister(collector)

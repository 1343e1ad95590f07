"""The server's own metrics page, where it may be read: its samples by name, and why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from chunkcrawl.transport.http import bearer
from chunkcrawl.transport.proxies import http_client
from config.errors import OperatorError

__all__ = ["MetricsPages", "NoPage", "ServerPage"]

TIMEOUT_S: Final = 5.0
#: A page of 64 shards and as many gateways has some 200 kB.
PAGE_MOST_BYTES: Final = 8_000_000
#: What every page of ours has.
OURS: Final = "agent_connections"


class NoPage(OperatorError, RuntimeError):
    """The server's metrics can't be read; the text says why, and what would help."""

    reason = "no_metrics"


class ServerPage:
    """One page, read.  Sums are 0 for what is not on it: a counter with labels is not there before its first count."""

    def __init__(self, text: str) -> None:
        """Read the page.

        Raises:
            NoPage: It is none of ours, or without the cluster's figures.
        """
        self._samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        except (ValueError, KeyError, IndexError) as error:
            raise NoPage("what it answers at /metrics is no metrics page") from error
        if OURS not in self._samples:
            raise NoPage("its page at /metrics has none of the figures that are looked for")

    def has(self, name: str) -> bool:
        """Return whether there is any sample of that name."""
        return name in self._samples

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels."""
        return sum(value for found, value in self._samples.get(name, ()) if labels.items() <= found.items())

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return values by one label."""
        return {found.get(label, ""): value for found, value in self._samples.get(name, ())}


class MetricsPages:
    """Reads the page again and again over one connection.  Use it as an async context manager."""

    def __init__(self, base: str, token: str | None) -> None:
        self._url, self._token = f"{base}/metrics", token
        # Directly, as the generators do: a proxy may not reach what is asked here.
        self._http = http_client(None, timeout=TIMEOUT_S)

    async def __aenter__(self) -> MetricsPages:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def read(self) -> ServerPage:
        """Return the page as it is now.

        Raises:
            NoPage: It can't be read.
        """
        try:
            answer = await self._http.get(self._url, headers=bearer(self._token) if self._token else {})
        except httpx.HTTPError as error:
            raise NoPage(f"/metrics gave no answer ({type(error).__name__})") from error
        if answer.status_code in (401, 403):
            raise NoPage(
                "/metrics wants a token: give it as CHUNKCRAWL_METRICS_TOKEN"
                if not self._token
                else "/metrics does not take this CHUNKCRAWL_METRICS_TOKEN"
            )
        if answer.status_code != 200:
            raise NoPage(f"/metrics answers {answer.status_code}")
        if len(answer.content) > PAGE_MOST_BYTES:
            raise NoPage(f"its page at /metrics has more than {PAGE_MOST_BYTES:,} bytes")
        return ServerPage(answer.text)

"""A world as an operator runs it, for the tests of this folder that need one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from chunkcrawl.embedded import EmbeddedWorld
from tests.deploy.span_receiver import SpanReceiver

METRICS_TOKEN = "metrics-token-for-tests-0123456789"


@pytest.fixture(scope="session")
def spans() -> Iterator[SpanReceiver]:
    """Where the world sends its traces."""
    with SpanReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def world(spans: SpanReceiver) -> Iterator[EmbeddedWorld]:
    """``chunkcrawl up`` with two gateways, at debug level, each command traced; shared."""
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": spans.base,
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "CHUNKCRAWL_GATEWAYS": "2",
        "CHUNKCRAWL_LOG_LEVEL": "debug",
        "CHUNKCRAWL_METRICS_TOKEN": METRICS_TOKEN,
        "CHUNKCRAWL_DRAIN_S": "2",
    }
    saved = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("CHUNKCRAWL_")}
    try:
        with EmbeddedWorld(settings=settings) as running:
            yield running
    finally:
        os.environ.update(saved)

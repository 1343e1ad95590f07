"""What is traced, under which ids, and what it costs where nothing is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, TraceIdRatioBased

from config import traces
from config.traces import Tracing, export_rest, ids_of, tracing_of

ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


class Kept(SpanExporter):
    """Keeps what it is given; waits for ``open`` before."""

    def __init__(self, *, open_now: bool = True) -> None:
        self.spans: list[ReadableSpan] = []
        self.open = threading.Event()
        if open_now:
            self.open.set()

    def export(self, spans: Any) -> SpanExportResult:
        self.open.wait(10)
        self.spans += spans
        return SpanExportResult.SUCCESS


def tracing(processor: Any, sampler: Any = ALWAYS_ON, secret: str = "pepper", now_ns: int = 5) -> Tracing:
    return Tracing("shard-0", secret, sampler, processor, lambda: now_ns)


def test_a_trace_is_found_by_the_id_that_the_contract_has() -> None:
    assert ids_of("00c0ffee00c0ffee", "cmd_1")[0] == 0x00C0FFEE00C0FFEE
    assert ids_of("0af7651916cd43dd8448eb211c80319c", "cmd_1")[0] == 0x0AF7651916CD43DD8448EB211C80319C
    for odd in ("my-trace:7", "0" * 16, "0" * 32, "ABCDEF0123456789", "x"):
        trace, span = ids_of(odd, "cmd_1")
        assert 0 < trace < 2**128
        assert 0 < span < 2**64
    assert ids_of("same", "cmd_1")[0] == ids_of("same", "cmd_2")[0]
    assert ids_of("same", "cmd_1")[1] != ids_of("same", "cmd_2")[1], "two commands of one trace are two spans"


def test_all_processes_sample_alike_and_clients_cannot_choose() -> None:
    gateway, shard = (tracing(None, TraceIdRatioBased(0.1)) for _ in range(2))
    other_world = tracing(None, TraceIdRatioBased(0.1), secret="another pepper")
    ids = [f"cmd_{number:024x}" for number in range(5_000)]
    sampled = {one for one in ids if gateway.samples(one)}
    assert sampled == {one for one in ids if shard.samples(one)}
    assert 400 < len(sampled) < 600
    assert sampled != {one for one in ids if other_world.samples(one)}


def test_spans_have_their_times_and_the_command_above_them() -> None:
    kept = Kept()
    processor = BatchSpanProcessor(kept)
    made = tracing(processor)
    made.span("00c0ffee00c0ffee", "cmd_1", "shard.decide", 100, 200, {"chunkcrawl.shard": 3})
    made.span("00c0ffee00c0ffee", "cmd_1", "command say", 300, 250, whole=True)
    made.close()
    part, whole = kept.spans
    assert part.context is not None
    assert part.parent is not None
    assert whole.context is not None
    assert (part.name, part.start_time, part.end_time) == ("shard.decide", 100, 200)
    assert part.context.trace_id == whole.context.trace_id == 0x00C0FFEE00C0FFEE
    assert part.parent.span_id == whole.context.span_id
    assert whole.parent is None
    assert whole.start_time == 250, "never before its own end, whatever clocks do"
    assert dict(part.attributes or {}) == {
        "chunkcrawl.trace_id": "00c0ffee00c0ffee",
        "chunkcrawl.server_cmd_id": "cmd_1",
        "chunkcrawl.shard": 3,
    }
    assert part.resource.attributes["service.name"] == "chunkcrawl"
    assert part.resource.attributes["service.instance.id"] == "shard-0"


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_SERVICE_NAME", "mine"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine")]
)
def test_the_service_may_be_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    kept = Kept()
    made = tracing(BatchSpanProcessor(kept))
    made.span("t", "c", "n", 1, 2)
    made.close()
    assert kept.spans[0].resource.attributes["service.name"] == "mine"


async def test_a_receiver_that_stands_still_costs_old_spans_and_no_waiting() -> None:
    kept = Kept(open_now=False)
    made = tracing(BatchSpanProcessor(kept, max_queue_size=64, max_export_batch_size=16, schedule_delay_millis=20))
    for number in range(1_000):
        made.span("t", "c", "n", number, number)
    kept.open.set()
    await export_rest(made)
    assert len(kept.spans) <= 64 + 16, "the queue, and what was on its way"
    assert max(span.end_time or 0 for span in kept.spans) == 999


async def test_a_process_that_stops_does_not_wait_for_the_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "REST_S", 0.05)
    kept = Kept(open_now=False)
    made = tracing(BatchSpanProcessor(kept, schedule_delay_millis=20))
    made.span("t", "c", "n", 1, 2)
    await asyncio.wait_for(export_rest(made), 5)
    kept.open.set()
    await export_rest(None)


# -- what the variables ask for --


def asked() -> Tracing | None:
    return tracing_of("shard-0", "pepper", lambda: 0)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {ENDPOINT: ""},
        {ENDPOINT: "http://127.0.0.1:1/v1/traces", "OTEL_SDK_DISABLED": "true"},
        {ENDPOINT: "http://127.0.0.1:1/v1/traces", "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: "http://127.0.0.1:1/v1/traces", "OTEL_TRACES_SAMPLER_ARG": "many"},
        {ENDPOINT: "http://127.0.0.1:1/v1/traces", "OTEL_TRACES_SAMPLER_ARG": "7"},
        {ENDPOINT: "http://127.0.0.1:1/v1/traces", "OTEL_BSP_MAX_QUEUE_SIZE": "-1"},
    ],
)
def test_nothing_asked_for_or_nothing_usable_is_no_tracing(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert asked() is None


@pytest.mark.parametrize(
    ("sampler", "argument", "share"),
    [
        (None, None, 0.01),
        (None, "0.5", 0.5),
        ("traceidratio", "0.2", 0.2),
        ("always_off", None, 0.0),
        ("always_on", None, 1.0),
    ],
)
def test_the_standard_variables_say_how_many(
    sampler: str | None, argument: str | None, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    for name, value in (("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)):
        if value is not None:
            monkeypatch.setenv(name, value)
    made = asked()
    assert made is not None
    sampled = sum(made.samples(f"cmd_{number}") for number in range(4_000))
    assert abs(sampled / 4_000 - share) < 0.03
    made.close()


def test_without_the_extra_it_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1/v1/traces")
    monkeypatch.setattr(traces, "EXTRA", "no_such_package.at_all")
    assert asked() is None
    assert ".[otel]" in capsys.readouterr().out


def test_where_nothing_is_asked_for_nothing_is_imported() -> None:
    script = (
        "import sys, cluster.gateway_actor, cluster.shard_actor\n"
        "from config.traces import tracing_of\n"
        "assert tracing_of('gateway-0', 'x', lambda: 0) is None\n"
        # redis-py takes in the metrics of an SDK that is installed.
        "ours = ('opentelemetry.sdk.trace', 'opentelemetry.exporter')\n"
        "print([name for name in sys.modules if name.startswith(ours)])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"

"""Sampled traces of commands over OTLP, with the extra ``otel`` and the standard variables of OpenTelemetry.

Spans are made after the fact from times that are at hand, and exported by a thread of their own from a bounded queue
that drops.  Where nothing is set up ``tracing_of`` returns None, and nothing of OpenTelemetry is imported.

Every process decides by itself whether a command is sampled, and knows the ids of trace and command without being told:
both follow from what the command bears.  See docs/decisions/0046-traces.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.sampling import Sampler

__all__ = ["Tracing", "export_rest", "ids_of", "tracing_of"]

log = structlog.get_logger(__name__)

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
#: The share of commands that are traced, unless the standard variables say otherwise.
RATIO: Final = 0.01
SERVICE: Final = "chunkcrawl"
#: How long a process that stops may take to export what is left.
REST_S: Final = 2.0
EXTRA: Final = "opentelemetry.exporter.otlp.proto.http"

_HEX_ID: Final = re.compile(r"(?:[0-9a-f]{16}|[0-9a-f]{32})")


def ids_of(trace_id: str, server_cmd_id: str) -> tuple[int, int]:
    """Return the id of the trace and that of the span that stands for the whole command.

    A ``trace_id`` of 16 or 32 hexadecimal digits is the trace's own, so that it is found by it; of any other the digest
    is.
    """
    number = int(trace_id, 16) if _HEX_ID.fullmatch(trace_id) else 0
    trace = number or int.from_bytes(hashlib.blake2b(trace_id.encode(), digest_size=16).digest(), "big")
    span = int.from_bytes(hashlib.blake2b(f"{trace_id}|{server_cmd_id}".encode(), digest_size=8).digest(), "big")
    return trace, span or 1


class Tracing:
    """Makes the spans of one process.

    Args:
        actor: The process' name, ``shard-0``.
        secret: What decides with a command's id whether it is sampled, so that clients can't choose.
        now_ns: Nanoseconds of Unix time, by the clock that all processes share.
    """

    def __init__(
        self, actor: str, secret: str, sampler: Sampler, processor: SpanProcessor, now_ns: Callable[[], int]
    ) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self.now_ns = now_ns
        self._sampled = Decision.RECORD_AND_SAMPLE
        self._key = hashlib.blake2b(secret.encode(), digest_size=32).digest()
        self._sampler = sampler
        self._processor = processor
        found = Resource.create({"service.instance.id": actor})
        named = _is_named(os.environ)
        self._resource = found if named else found.merge(Resource({"service.name": SERVICE}))
        self._scope = InstrumentationScope("chunkcrawl")

    def samples(self, server_cmd_id: str) -> bool:
        """Return whether a command is traced; every process of a world says the same."""
        digest = hashlib.blake2b(server_cmd_id.encode(), digest_size=16, key=self._key).digest()
        result = self._sampler.should_sample(None, int.from_bytes(digest, "big"), "command")
        return bool(result.decision == self._sampled)

    def span(
        self,
        trace_id: str,
        server_cmd_id: str,
        name: str,
        began_ns: int,
        ended_ns: int,
        attributes: Mapping[str, str | int] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        """Export a span that is over.

        Args:
            whole: It is that of the whole command; all others are below it.
        """
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

        trace, command = ids_of(trace_id, server_cmd_id)
        flags = TraceFlags(TraceFlags.SAMPLED)
        above = SpanContext(trace, command, is_remote=True, trace_flags=flags)
        own = above if whole else SpanContext(trace, _random_id(), is_remote=False, trace_flags=flags)
        about = {"chunkcrawl.trace_id": trace_id, "chunkcrawl.server_cmd_id": server_cmd_id}
        self._processor.on_end(
            ReadableSpan(
                name,
                context=own,
                parent=None if whole else above,
                resource=self._resource,
                attributes={**about, **(attributes or {})},
                kind=SpanKind.SERVER if whole else SpanKind.INTERNAL,
                start_time=min(began_ns, ended_ns),
                end_time=ended_ns,
                instrumentation_scope=self._scope,
            )
        )

    def close(self) -> None:
        """Export what is left, within the exporter's own time limit."""
        self._processor.shutdown()


async def export_rest(tracing: Tracing | None) -> None:
    """Export what is left, for a short while, in a thread of its own; nothing without ``tracing``."""
    if tracing is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_S):
                await asyncio.to_thread(tracing.close)


def _random_id() -> int:
    return int.from_bytes(os.urandom(8), "big") or 1


def tracing_of(actor: str, secret: str, now_ns: Callable[[], int]) -> Tracing | None:
    """Return what the standard variables ask for; None if they ask for nothing, or the extra is not installed."""
    environment = os.environ
    asked = any(environment.get(name) for name in ENDPOINTS)
    off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if not asked or off or environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() != "otlp":
        return None
    if _missing():
        log.warning("traces_not_exported", reason="the extra is not installed: pip install '.[otel]'")
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    try:
        processor = BatchSpanProcessor(OTLPSpanExporter())
        tracing = Tracing(actor, secret, _sampler(), processor, now_ns)
    except Exception as error:  # whatever is wrong with a variable, the world goes on without traces
        log.warning("traces_not_exported", reason=f"{type(error).__name__}: {error}")
        return None
    log.info("traces_exported", sampler=tracing._sampler.get_description())
    return tracing


def _is_named(environment: Mapping[str, str]) -> bool:
    """Return whether the standard variables name the service."""
    return bool(environment.get("OTEL_SERVICE_NAME")) or "service.name=" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )


def _missing() -> bool:
    try:
        return find_spec(EXTRA) is None
    except ModuleNotFoundError:
        return True


def _sampler() -> Sampler:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    if os.environ.get("OTEL_TRACES_SAMPLER"):
        return TracerProvider(shutdown_on_exit=False).sampler  # reads the variables
    return TraceIdRatioBased(float(os.environ.get("OTEL_TRACES_SAMPLER_ARG") or RATIO))

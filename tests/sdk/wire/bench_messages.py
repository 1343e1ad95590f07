"""What reading a delta of 50 agents costs: msgspec as used, against pydantic and plain orjson.

python -m tests.sdk.wire.bench_messages
"""

from __future__ import annotations

import timeit
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter

from chunkcrawl.wire.codec import decode_ws
from tests.sdk.builders import delta, frame


class AgentModel(BaseModel):
    """The agent of a delta, for pydantic."""

    id: str
    x: int
    y: int
    activity_state: str = "idle"
    name: str | None = None


class DeltaModel(BaseModel):
    """A delta, for pydantic."""

    chunk_id: str
    tick: int
    agents: list[AgentModel] = []
    npcs: list[dict[str, Any]] = []
    resources: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []


class EnvelopeModel(BaseModel):
    """The envelope, for pydantic."""

    type: str
    trace_id: str | None = None
    server_ts_ms: int | None = None
    event_id: str | None = None
    payload: DeltaModel


def main() -> None:
    """Print microseconds per message, the best of five rounds."""
    agents = [(f"agent-{number:04d}", number % 50, number // 2) for number in range(50)]
    text = frame("chunk_delta", delta(123456, *agents), "chunk-0:123456:0:77").encode()
    adapter = TypeAdapter(EnvelopeModel)
    print(f"{len(text)} bytes")
    for name, read in (("msgspec", decode_ws), ("pydantic", adapter.validate_json), ("orjson", orjson.loads)):
        rounds = timeit.repeat(lambda read=read: read(text), number=2_000, repeat=5)  # type: ignore[misc]
        print(f"{name}: {min(rounds) / 2_000 * 1e6:.1f} us")


if __name__ == "__main__":
    main()

"""Metrics pages of a made-up server, for the tests of load testing."""

from __future__ import annotations

from loadtest.server_page import ServerPage
from loadtest.server_reading import Reading, reading_of

BOUNDS = ("0.01", "0.05", "0.1", "0.2", "0.5", "+Inf")


def page_text(
    at: float,
    cpu: dict[str, float],
    *,
    servers: dict[str, float] | None = None,
    waits: dict[str, float] | None = None,
    ticks: list[float] | None = None,
    commits: list[float] | None = None,
    queues: dict[str, float] | None = None,
    shards: int = 2,
) -> str:
    """A page: processor seconds by actor and server, all ticks and commits so far in seconds, gauges by name."""
    lines = ["agent_connections 5", f"metrics_gathered_at_seconds {at}"]
    lines += [f'process_cpu_seconds_total{{actor="{name}"}} {value}' for name, value in cpu.items()]
    lines += [f'server_cpu_seconds{{server="{name}"}} {value}' for name, value in (servers or {}).items()]
    lines += [f'event_loop_wait_seconds_total{{actor="{name}"}} {value}' for name, value in (waits or {}).items()]
    lines += [f'shard_tick{{shard="{number}"}} 7' for number in range(shards)]
    for name, values in (("tick_seconds", ticks or []), ("commit_seconds", commits or [])):
        lines += [f'{name}_bucket{{le="{bound}"}} {sum(value <= float(bound) for value in values)}' for bound in BOUNDS]
        lines += [f"{name}_sum {sum(values)}", f"{name}_count {len(values)}"]
    lines += [f"ticks_total {len(ticks or [])}", "tick_skipped_total 0"]
    lines += [f"{name} {value}" for name, value in (queues or {}).items()]
    return "\n".join(lines) + "\n"


def readings(
    seconds: int,
    cores: dict[str, float],
    *,
    servers: dict[str, float] | None = None,
    waits: dict[str, float] | None = None,
    tick_s: float = 0.01,
    commit_s: float = 0.002,
    queue: dict[str, tuple[float, float]] | None = None,
    every: int = 2,
) -> list[Reading]:
    """What is read of a server under an even load: 5 ticks a second in each of two shards.

    Args:
        cores: Processors used by actor; ``servers`` and ``waits`` likewise.
        queue: Gauges by name, from a length to another.
    """
    found = []
    for second in range(0, seconds + 1, every):
        text = page_text(
            1_000_000.0 + second,
            {name: 100 + share * second for name, share in cores.items()},
            servers={name: 50 + share * second for name, share in (servers or {}).items()},
            waits={name: share * second for name, share in (waits or {}).items()},
            ticks=[tick_s] * (10 * second),
            commits=[commit_s] * (20 * second),
            queues={name: first + (last - first) * second / seconds for name, (first, last) in (queue or {}).items()},
        )
        found.append(reading_of(ServerPage(text), float(second), float(second)))
    return found

"""How a generator itself is doing: lateness of its event loop, processor time, memory; and what to conclude from it."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Literal, TypeAlias

import psutil

from loadtest.histogram import Histogram
from loadtest.measures import Sample

__all__ = ["BUSY_CPU", "LATE_S", "SelfWatch", "Verdict", "judge"]

PROBE_S: Final = 0.05
#: The share of one processor from which on a generator is busy; an event loop cannot use more than one.
BUSY_CPU: Final = 0.85

#: How late a loop may be in 1 % of all cases before that adds to what it measures; a tenth of a tick.
LATE_S: Final = 0.02

#: free: the figures are the server's. saturated: it used its whole processor. starved: it had to wait for one.
Verdict: TypeAlias = Literal["free", "saturated", "starved", "unknown"]


class SelfWatch:
    """Probes the event loop it runs in.  ``into`` is where lateness is recorded; set it anew for each sample."""

    def __init__(self, into: Histogram) -> None:
        self.into = into
        self._process = psutil.Process()
        self._cpu_s = time.process_time()
        psutil.cpu_percent()  # the first call only starts the measuring
        self._handle: asyncio.TimerHandle | None = None
        self._due_at = 0.0

    def start(self) -> None:
        """Begin to probe."""
        self._due_at = time.perf_counter() + PROBE_S
        self._handle = asyncio.get_running_loop().call_later(PROBE_S, self._probe)

    def stop(self) -> None:
        """End it."""
        if self._handle is not None:
            self._handle.cancel()

    def _probe(self) -> None:
        self.into.record(time.perf_counter() - self._due_at)
        self.start()

    def fill(self, sample: Sample) -> None:
        """Write processor time since the last sample and memory into one."""
        now_s = time.process_time()
        sample.cpu_s, self._cpu_s = now_s - self._cpu_s, now_s
        sample.machine_cpu = psutil.cpu_percent() / 100
        sample.memory_bytes = self._process.memory_info().rss


def judge(cpu_share: float, lag_p99_s: float | None) -> Verdict:
    """Return whether a generator was itself the bottleneck.

    Args:
        cpu_share: Processor time over time, 1 is one processor.
        lag_p99_s: Lateness of its event loop, None when it was not probed.
    """
    if lag_p99_s is None:
        return "unknown"
    if cpu_share >= BUSY_CPU:
        return "saturated"
    return "starved" if lag_p99_s > LATE_S else "free"

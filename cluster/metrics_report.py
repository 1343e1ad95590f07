"""What one process tells about itself when metrics are gathered."""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from api.exposition import Family, family

#: Names this incarnation of the process: after a restart its counters begin at 0 again.
INCARNATION: Final = secrets.token_hex(8)

_STARTED_AT: Final = time.time()
_PAGE_BYTES: Final = resource.getpagesize()


@dataclass(slots=True)
class DurationWindow:
    """A duration: its count and sum since the start of this incarnation, and the newest values, in milliseconds."""

    name: str
    help: str
    count: int
    total_ms: float
    recent_ms: list[float]


@dataclass(slots=True)
class Report:
    """``process``: the actor's name, ``shard-0``; ``families`` and ``windows``: its own figures alone."""

    process: str
    incarnation: str
    families: list[Family] = field(default_factory=list)
    windows: list[DurationWindow] = field(default_factory=list)


def process_families(actor: str) -> list[Family]:
    """Return CPU, memory, open files, tasks and age of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = [
        family(
            "process_cpu_seconds_total",
            "counter",
            "CPU time of an actor's process.",
            [({"actor": actor}, round(used.ru_utime + used.ru_stime, 3))],
        ),
        family(
            "process_start_time_seconds",
            "gauge",
            "When an actor's process came up, in Unix time.",
            [({"actor": actor}, round(_STARTED_AT, 3))],
        ),
    ]
    with suppress(OSError, ValueError, IndexError):  # Linux alone
        # This is called in the event loop's own thread.
        schedule = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text().split()
        name, help_ = "event_loop_wait_seconds_total", "Time that an actor's event loop had to wait for a processor."
        figures.append(family(name, "counter", help_, [({"actor": actor}, round(int(schedule[1]) / 1e9, 3))]))
    with suppress(RuntimeError):  # outside its event loop
        name, help_ = "process_asyncio_tasks", "Tasks of an actor's event loop."
        figures.append(family(name, "gauge", help_, [({"actor": actor}, len(asyncio.all_tasks()))]))
    with suppress(OSError):  # no /proc on some systems
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        name, help_ = "process_resident_memory_bytes", "Memory of an actor's process."
        figures.append(family(name, "gauge", help_, [({"actor": actor}, pages * _PAGE_BYTES)]))
        name, help_ = "process_open_fds", "Open files and sockets of an actor's process."
        figures.append(family(name, "gauge", help_, [({"actor": actor}, len(os.listdir("/proc/self/fd")))]))
    return figures

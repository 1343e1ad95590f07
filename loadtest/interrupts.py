"""Interrupts of a load test (Ctrl-C, SIGTERM, a terminal that closes), counted instead of obeyed at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from chunkcrawl.commands.interrupts import heeded_signals, print_no_more_where_nobody_reads

__all__ = ["Interrupts"]


class Interrupts:
    """How often somebody wanted it to end: the first time with a report of what there is, the second time at once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.count = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Count signals while the block runs; needs a running event loop."""
        loop = asyncio.get_running_loop()
        numbers = heeded_signals()
        for number in numbers:
            loop.add_signal_handler(number, self.note, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def note(self, number: signal.Signals = signal.SIGINT) -> None:
        """Count one; a terminal that closes may say so again, and means the same."""
        print_no_more_where_nobody_reads()
        if self.count and number == signal.SIGHUP:
            return
        self.count += 1
        self._say("Stopping; again to leave at once ..." if self.count == 1 else "Leaving ...")

"""Interrupts are counted, and what comes of them is said."""

from __future__ import annotations

import asyncio
import os
import signal

from loadtest.interrupts import Interrupts


async def test_signals_are_counted_while_it_listens() -> None:
    said: list[str] = []
    interrupts = Interrupts(said.append)
    with interrupts.listening():
        for number in (signal.SIGTERM, signal.SIGINT):
            before = interrupts.count
            os.kill(os.getpid(), number)
            async with asyncio.timeout(5):
                while interrupts.count == before:
                    await asyncio.sleep(0)
    assert said == ["Stopping; again to leave at once ...", "Leaving ..."]


def test_a_terminal_that_closes_says_so_twice_and_means_it_once() -> None:
    interrupts = Interrupts(lambda _: None)
    interrupts.note(signal.SIGHUP)
    interrupts.note(signal.SIGHUP)
    assert interrupts.count == 1

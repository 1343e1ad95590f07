"""What is shown while a run goes on."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from loadtest.mailbox import Orders
from loadtest.screen import LINE_EVERY_S, LoadScreen
from loadtest.totals import Totals
from tests.loadtest.makers import plan, sample


def shown(orders: Orders, *, terminal: bool, seconds: int = 1) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=terminal, color_system=None)
    totals = Totals(1)
    with LoadScreen(console, plan()) as screen:
        for second in range(seconds):
            counts: dict[str, Any] = {"acks": 7, "refused__busy": 2}
            totals.add(sample(0, second, agents=3, running=4, rtt_s=(0.02,), **counts), orders)
            screen.show(totals, orders)
    return out.getvalue()


def test_a_terminal_sees_a_table() -> None:
    text = shown(Orders(), terminal=True)
    assert "Joining: 3 of 15" in text
    assert "round trip p50/p99" in text
    assert "20/20 ms" in text


def test_without_a_terminal_there_is_a_line_now_and_then() -> None:
    lines = shown(Orders(0, 100), terminal=False, seconds=2 * LINE_EVERY_S).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Measuring: 1 of 10 s: agents 3, spectators 0, acks 7/s")
    assert "busy 2/s" in lines[0]


def test_the_end_says_what_is_waited_for() -> None:
    assert "Waiting for 4 commands that still run" in shown(Orders(0, 0), terminal=False)

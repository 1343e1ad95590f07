"""What is shown while a run goes on: a table that keeps changing, or a line now and then where there is no terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.histogram import Histogram
from loadtest.mailbox import Orders
from loadtest.plan import Plan
from loadtest.totals import Totals

__all__ = ["LoadScreen"]

LINE_EVERY_S: Final = 5
BAR_WIDTH: Final = 40


class LoadScreen:
    """Shows a run.  Use it as a context manager."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        #: The plan of the present run.
        self.plan = plan
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._line_at = 0

    def __enter__(self) -> LoadScreen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def show(self, totals: Totals, orders: Orders) -> None:
        """Show the present state."""
        stage, done = self._stage(totals, orders)
        if self._live is not None:
            bar = ProgressBar(total=1.0, completed=done, width=BAR_WIDTH)
            self._live.update(Group(Text(stage), bar, self._table(totals)), refresh=True)
        elif totals.second >= self._line_at:
            self._line_at = totals.second + LINE_EVERY_S
            cells = [f"{name} {value}" for name, value in self._cells(totals).items()]
            self.say(f"{stage}: {', '.join(cells)}")

    def _stage(self, totals: Totals, orders: Orders) -> tuple[str, float]:
        """Return what the run is doing, and how much of that is done."""
        plan, second = self.plan, totals.second
        if orders.stop_at is not None and second >= orders.stop_at:
            return f"Waiting for {totals.running} commands that still run", 1.0
        if orders.measure_from is None:
            wanted = plan.agents + plan.spectators
            there = totals.agents + totals.spectators
            return f"Joining: {there} of {wanted}", there / wanted
        passed = min(max(0, second - orders.measure_from + 1), plan.duration_s)
        return f"Measuring: {passed} of {plan.duration_s} s", passed / plan.duration_s

    def _table(self, totals: Totals) -> Table:
        table = Table.grid(padding=(0, 3))
        for name, value in self._cells(totals).items():
            table.add_row(name, Text(value, justify="right"))
        return table

    def _cells(self, totals: Totals) -> dict[str, str]:
        recent, seconds = totals.recent()
        per_s = 1 / seconds if seconds else 0.0
        refused = ", ".join(f"{reason} {count * per_s:.0f}/s" for reason, count in recent.of_group("refused").items())
        return {
            "agents": str(totals.agents),
            "spectators": str(totals.spectators),
            "acks": f"{recent.counts['acks'] * per_s:.0f}/s",
            "round trip p50/p99": _pair_ms(recent.times["rtt"]),
            "deliveries": f"{recent.counts['deliveries'] * per_s:.0f}/s",
            "tick gap p50/p99": _pair_ms(recent.times["tick_gap"]),
            "refused": refused or "none",
            "generators late p99": _late_ms(recent.times["lag"]),
        }


def _pair_ms(histogram: Histogram) -> str:
    middle, high = histogram.quantile(0.5), histogram.quantile(0.99)
    return "-" if middle is None or high is None else f"{middle * 1000:.0f}/{high * 1000:.0f} ms"


def _late_ms(histogram: Histogram) -> str:
    late = histogram.quantile(0.99)
    return "-" if late is None else f"{late * 1000:.1f} ms"

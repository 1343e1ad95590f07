"""The report's plots as inline SVG, by pygal.

Why pygal: pure Python, 0.1 MB, imported in 50 ms; a plot is 5 kB of SVG that takes its colours from the page's own
style sheet, dark mode included. matplotlib would bring 60 MB into every image for a few static plots, plotly 4 MB of
script into every report.  What pygal adds for its own tooltips, a script among it, is taken out: a page without scripts
shows everywhere, also where a CI server forbids them in what it keeps.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final, TypedDict, Unpack

import pygal

# pygal puts a finder for its map plugins before all later imports; of a kind that Python 3.11 warns of each time.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]

__all__ = ["COLOURS", "HALF", "WIDE", "PlotOptions", "plot"]

#: How many series can be told apart; the page's style sheet has as many.
COLOURS: Final = 7

WIDE, HALF = (920, 250), (450, 210)
LABEL_WIDTH: Final = 75
#: How far apart labels of numbers are at least, as a part of the axis.
LABELS_APART: Final = 0.08
STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_EXTRAS: Final = re.compile(r"<defs>.*?</defs>|<!--.*?-->|<title>Pygal</title>", re.DOTALL)


class PlotOptions(TypedDict, total=False):
    """How a plot is drawn."""

    #: Behind the numbers of the y axis.
    unit: str
    #: Areas, each series on top of those that follow.
    stacked: bool
    #: Width and height in pixels at full size; ``WIDE`` by default.
    size: tuple[int, int]
    #: Values of an earlier run for some of the series, drawn as broken lines in their colours.
    earlier: Mapping[str, Sequence[float | None]]
    #: Where the time axis ends, None for at the last point.
    until: float | None
    #: Whether ``seconds`` are seconds, as by default; else they are shown as plain numbers.
    over_time: bool


def plot(
    title: str,
    seconds: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    **options: Unpack[PlotOptions],
) -> str:
    """Return one plot over time, without a legend: that is the page's.

    Args:
        title: For those who can't see it.
        seconds: Where the points are, rising.
        series: Values by name; None leaves a gap.  The n-th has the page's n-th colour.
        options: See ``PlotOptions``.
    """
    unit, stacked, size = options.get("unit", ""), options.get("stacked", False), options.get("size", WIDE)
    over_time, until = options.get("over_time", True), options.get("until")
    chart = pygal.XY(
        css=[],
        js=[],
        classes=("plot", "stacked" if stacked else "lines"),
        width=size[0],
        height=size[1],
        margin=6,
        spacing=8,
        show_legend=False,
        show_dots=False,
        fill=stacked,
        show_x_guides=False,
        include_x_axis=True,
        allow_interruptions=True,
        max_scale=5,
        min_scale=3,
        disable_xml_declaration=True,
        value_formatter=lambda value: _number(value) + unit,
        x_value_formatter=_clock if over_time else _number,
        no_data_text="",
    )
    end = until if until is not None else max(seconds, default=0.0)
    if over_time and end > 0:
        chart.xrange = (0, end)
    chart.x_labels = _times(end, size[0] // LABEL_WIDTH) if over_time else _apart(seconds)
    for name, values in (_on_top(series) if stacked else series).items():
        chart.add(name, list(zip(seconds, values, strict=True)))
    then = {name: values for name, values in options.get("earlier", {}).items() if name in series}
    for name, values in then.items():
        chart.add(f"{name} then", list(zip(seconds, values, strict=True)))
    svg = _EXTRAS.sub("", chart.render(is_unicode=True))
    for place, name in enumerate(then, len(series)):
        svg = svg.replace(f"color-{place}", f"color-{list(series).index(name)} then")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)


def _on_top(series: Mapping[str, Sequence[float | None]]) -> dict[str, list[float | None]]:
    """Return each series added to all that follow it, so that what is drawn later covers what lies under it."""
    summed: dict[str, list[float | None]] = {}
    below: list[float] | None = None
    for name, values in reversed(list(series.items())):
        own = [value or 0.0 for value in values]
        below = own if below is None else [low + value for low, value in zip(below, own, strict=True)]
        summed[name] = list(below)
    return dict(reversed(list(summed.items())))


def _times(end: float, most: int) -> list[int]:
    step = next((one for one in STEPS_S if end / one <= most), STEPS_S[-1])
    return list(range(0, int(end) + 1, step))


def _apart(places: Sequence[float]) -> list[float]:
    """Return places for labels that do not cover each other: the last one, and what is far enough before the next."""
    found: list[float] = []
    for place in sorted(set(places), reverse=True):
        if not found or found[-1] - place >= max(places) * LABELS_APART:
            found.append(place)
    return found[::-1]


def _clock(second: float) -> str:
    whole = int(second)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole // 60 % 60:02} h"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

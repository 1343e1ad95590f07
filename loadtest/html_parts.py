"""Parts of the report's page: figures with their plots, tables, notes, and numbers for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Unpack

from loadtest.plots import COLOURS, WIDE, PlotOptions, plot

__all__ = ["end_of", "figure", "largest", "note", "number", "table"]


def end_of(series: Mapping[str, Any]) -> float | None:
    """Return where the time axis of all plots ends: after the last second of the clients; None without one."""
    return series["second"][-1] + series["step_s"] if series["second"] else None


def note(kind: str, text: str, reasons: Sequence[str] = ()) -> str:
    """Return a coloured line; ``kind`` is good, warn, bad or plain."""
    more = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    listed = f"<ul>{more}</ul>" if more else ""
    return f'<div class="note {kind}">{escape(text)}{listed}</div>'


def figure(
    title: str,
    seconds: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    **options: Unpack[PlotOptions],
) -> str:
    """Return a plot with its title and legend; see ``plot`` for the arguments."""
    earlier = options.get("earlier", {})
    keys = "".join(_key(f"k{place}", name) for place, name in enumerate(series))
    keys += "".join(_key(f"k{place} then", f"{name} then") for place, name in enumerate(series) if name in earlier)
    if not any(value is not None for values in series.values() for value in values):
        return (
            f'<figure><figcaption><strong>{escape(title)}</strong><span class="key">none</span></figcaption></figure>'
        )
    kind = ' class="wide"' if options.get("size", WIDE) == WIDE else ""
    svg = plot(title, seconds, series, **options)
    return f"<figure{kind}><figcaption><strong>{escape(title)}</strong>{keys}</figcaption>{svg}</figure>"


def _key(classes: str, words: str) -> str:
    return f'<span class="key"><i class="{classes}"></i>{escape(words)}</span>'


def largest(series: Mapping[str, Sequence[float | None]]) -> dict[str, Sequence[float | None]]:
    """Return the largest series in their order, as many as there are colours; the rest is left out."""
    by_size = sorted(series, key=lambda name: -sum(value or 0.0 for value in series[name]))
    return {name: values for name, values in series.items() if name in by_size[:COLOURS]}


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], classes: Sequence[str] = ()) -> str:
    """Return a table; all columns but the first stand right.  ``classes`` are of the rows, for as many as there are."""
    head = "".join(f'<th scope="col"{_right(place)}>{escape(text)}</th>' for place, text in enumerate(heads))
    body = "".join(
        f"<tr{_class(classes, row_number)}>"
        + "".join(f"<td{_right(place)}>{number(value)}</td>" for place, value in enumerate(row))
        + "</tr>"
        for row_number, row in enumerate(rows)
    )
    top = f"<thead><tr>{head}</tr></thead>" if heads else ""
    return f'<div class="table"><table>{top}<tbody>{body}</tbody></table></div>'


def number(value: Any) -> str:
    """Return a number for people, or text, escaped."""
    if value is None:
        return "–"
    if isinstance(value, int | float):
        return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.1f}"
    return escape(str(value))


def _class(classes: Sequence[str], place: int) -> str:
    return f' class="{classes[place]}"' if place < len(classes) and classes[place] else ""


def _right(place: int) -> str:
    return ' class="n"' if place else ""

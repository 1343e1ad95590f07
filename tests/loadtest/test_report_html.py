"""The page: whole in itself, and safe whatever a server calls things."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from loadtest.plots import COLOURS, plot
from loadtest.report import Facts, build
from loadtest.report_html import render
from loadtest.totals import Totals
from tests.loadtest.makers import plan
from tests.loadtest.test_report import report

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Tags(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(page: str) -> Tags:
    found = Tags()
    found.feed(page)
    assert found.open == []
    return found


def test_the_page_needs_nothing_else() -> None:
    found = tags(render(report()))
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(found.seen)
    assert not [value for name, value in found.attributes if name in ("src", "href", "xlink:href", "srcset", "action")]
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "url(" not in render(report())
    assert "@import" not in render(report())


def test_every_plot_is_there_with_a_name() -> None:
    page = render(report())
    assert page.count("<svg") == 8
    labels = re.findall(r'aria-label="([^"]+)"', page)
    assert labels[:4] == ["Round trips", "Deliveries per second", "Tick gaps", "Refusals per second"]


def test_what_comes_from_outside_stays_text() -> None:
    evil = "<script>alert(1)</script>\"'&"
    made: dict[str, Any] = report()
    made["base"] = made["verdict"] = evil
    made["refused"] = made["closed"] = {evil: 1}
    made["series"]["refused_per_s"] = {evil: [1.0] * 10}
    made["generator_failures"] = [evil]
    page = render(made)
    assert "script" not in tags(page).seen
    assert "&lt;script&gt;" in page


def test_an_empty_run_has_a_page() -> None:
    page = render(build(plan(), Totals(1), Facts("now", None, interrupted=True), []))
    assert "interrupted" in page
    assert "Nothing of it was measured." in page
    tags(page)


def test_limits_are_marked() -> None:
    assert ">failed<" in render(report(("rtt_p99_ms>5",)))
    assert ">passed<" in render(report(("rtt_p99_ms>500",)))


def test_stacked_series_lie_on_each_other() -> None:
    svg = plot("x", [0, 1, 2], {"a": [1.0, 1.0, None], "b": [2.0, 2.0, 2.0]}, stacked=True)
    lines = re.findall(r'<path d="M([^"]+)" class="line reactive"', svg)
    assert len(lines) == 2
    heights = [[float(pair.split()[1]) for pair in re.findall(r"[\d.]+ [\d.]+", line)] for line in lines]
    assert min(heights[0]) < min(heights[1]), "a is drawn first, and above b"


def test_a_plot_has_no_script_and_no_style_of_its_own() -> None:
    svg = plot("a & b", list(range(600)), {f"s{n}": [float(n)] * 600 for n in range(COLOURS)})
    assert "<script" not in svg
    assert "<style" not in svg
    assert 'aria-label="a &amp; b"' in svg
    assert len(svg) < 150_000

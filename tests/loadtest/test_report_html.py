"""The page: whole in itself, and safe whatever a server calls things."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from loadtest.earlier import compared
from loadtest.plots import COLOURS, plot
from loadtest.report import Facts, build
from loadtest.report_html import render
from loadtest.totals import Totals
from tests.loadtest.makers import plan
from tests.loadtest.server_pages import readings
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
    assert page.count("<svg") == 7, "no tick gap was measured"
    labels = re.findall(r'aria-label="([^"]+)"', page)
    assert labels[:3] == ["Round trips", "Deliveries per second", "Refusals per second"]


def whole_report() -> dict[str, Any]:
    """With everything that a report may have."""
    cores = {"shard-0": 0.3, "gateway-0": 0.2}
    made = report(readings=readings(10, cores, servers={"redis": 0.1}, queue={"commands_waiting": (0, 9)}))
    made["compared"] = compared(made, report())
    figures = {"rtt_p99_ms": 20.0}
    runs = [
        {"agents": agents, "held": held, "why": "", "figures": figures, "bottleneck": "None"}
        for agents, held in ((50, True), (100, False), (75, None))
    ]
    made["search"] = {
        "condition": "rtt_p99_ms<100",
        "agents": 50,
        "fails_at": 100,
        "reason": "because",
        "stopped": False,
        "runs": runs,
    }
    return made


def test_the_servers_side_stands_over_the_same_time() -> None:
    page = render(whole_report())
    tags(page)
    labels = re.findall(r'aria-label="([^"]+)"', page)
    assert {"Processors used", "Ticks and commits", "Waiting"} <= set(labels)
    assert "Not known of coordinator and archiver and PostgreSQL." in page
    client, server = (
        re.findall(r">(\d+ s)</text>", plot_of(page, name)) for name in ("Round trips", "Processors used")
    )
    assert client == server != []


def plot_of(page: str, name: str) -> str:
    return page.partition(f'aria-label="{name}"')[2].partition("</svg>")[0]


def test_without_the_servers_side_it_says_why() -> None:
    page = render(report(server_trouble="/metrics wants a token"))
    assert "Not shown: /metrics wants a token." in page
    assert "Bottleneck: Not known" in page


def test_an_earlier_run_and_a_search_have_their_places() -> None:
    page = render(whole_report())
    assert "Beside an earlier run" in page
    assert plot_of(page, "Round trips").count("color-1 then") > 0, "in the colour of its series"
    assert "50 agents carried: rtt_p99_ms&lt;100" in page
    assert ">not decided<" in page
    assert "then" not in plot_of(render(report()), "Round trips")


def test_what_comes_from_outside_stays_text() -> None:
    evil = "<script>alert(1)</script>\"'&"
    made: dict[str, Any] = report()
    made["base"] = made["verdict"] = evil
    made["refused"] = made["closed"] = {evil: 1}
    made["series"]["refused_per_s"] = {evil: [1.0] * 10}
    made["generator_failures"] = [evil]
    made["compared"] = compared(made, report() | {"run_id": evil, "started_at": evil})
    made["compared"]["asked_otherwise"] = {evil: [evil, evil]}
    made["compared"]["cores"] = [{"name": evil, "then": 1.0, "now": None}]
    made["server_side"]["why_not"] = made["event_log_text"] = made["bottleneck"]["text"] = evil
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


def test_numbers_on_the_axis_do_not_cover_each_other() -> None:
    svg = plot("x", [50, 100, 400, 412, 800, 800], {"a": [1.0] * 6}, over_time=False)
    shown = re.findall(r">(\d+)</text>", svg)
    assert "800" in shown
    assert len({"400", "412"} & set(shown)) == 1


def test_a_plot_has_no_script_and_no_style_of_its_own() -> None:
    svg = plot("a & b", list(range(600)), {f"s{n}": [float(n)] * 600 for n in range(COLOURS)})
    assert "<script" not in svg
    assert "<style" not in svg
    assert 'aria-label="a &amp; b"' in svg
    assert len(svg) < 150_000

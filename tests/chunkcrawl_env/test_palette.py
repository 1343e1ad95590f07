"""The colours are the page's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chunkcrawl_env.palette import AGENTS, TOKENS, Theme, agent_colour, rgb

WEB = Path(__file__).parents[2] / "web" / "watch"


@pytest.mark.parametrize(("theme", "begin"), [("light", ":root {"), ("dark", ':root[data-theme="dark"] {')])
def test_tokens(theme: Theme, begin: str) -> None:
    block = (WEB / "css" / "tokens.css").read_text().partition(begin)[2].partition("}")[0]
    page = dict(re.findall(r"--map-([\w-]+): (#[0-9a-f]{6});", block))
    assert {name: page.get(name) for name in TOKENS[theme]} == TOKENS[theme]


def test_colours_of_agents() -> None:
    page = (WEB / "js" / "state" / "looks.js").read_text()
    assert tuple(re.findall(r'fill: "(#[0-9a-f]{6})"', page)) == AGENTS


def test_an_agents_colour_is_that_of_the_page() -> None:
    """As looks.js was seen to say; in a browser ``tests/browser/test_agent_looks.py`` asks it."""
    colours = {"demo-player": 7, "agent_0": 0, "agent_1": 2, "company_11": 6, "x": 1}
    assert {name: AGENTS.index("#{:02x}{:02x}{:02x}".format(*agent_colour(name))) for name in colours} == colours
    assert rgb("#0a0b0c") == (10, 11, 12)

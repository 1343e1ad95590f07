"""The text that a language model sees: what is in it, in what order, and that it keeps to its budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkcrawl.mcp.observe import BUDGET_MIN_TOKENS, CHARS_PER_TOKEN, observe
from chunkcrawl.view.world_view import WorldView
from tests.sdk.builders import delta, event, static

GOLD = [
    {"node_id": "g-near", "type": "gold", "x": 4, "y": 3, "max_remaining": 5},
    {"node_id": "g-none", "type": "gold", "x": 4, "y": 1, "max_remaining": 5},
]


def crowded(others: int = 3) -> WorldView:
    view = WorldView("me")
    view.feed(event("chunk_static", **static(resource_nodes=GOLD, neighbors={"W": "chunk-4"})))
    seats = [("me", 1, 1)] + [(f"other-{number:03d}", 2 + number % 2, 1 + number % 3) for number in range(others)]
    spent = [{"node_id": "g-none", "remaining": 0, "state": "depleted", "version": 1}]
    npcs = [{"id": "n-1", "x": 1, "y": 3, "kind": "slime"}]
    view.feed(event("chunk_delta", **delta(7, *seats, resources=spent, npcs=npcs)))
    view.feed(event("agent_private_delta", agent_id="me", tick=7, inventory={"gold": 2}))
    return view


def test_it_says_where_what_and_how_to_get_there() -> None:
    text = observe(crowded(1), ["bob: hi"])
    assert text.startswith("You are me at 1,1 in chunk-0, idle, carrying 2 gold. Tick 7.")
    assert "Exit W to chunk-4: move_to 0,2 (2 steps)" in text
    assert "Gold g-near: stand at 3,3, 5 left" in text
    assert "g-none" not in text
    assert "Agent other-000 at 2,1, idle" in text
    assert "Creature slime at 1,3" in text
    assert "Heard: bob: hi" in text
    assert "Map, north up, top left cell 0,4" in text
    assert "#@" in text


def test_gold_and_exits_that_somebody_bars_are_told_with_who_it_is() -> None:
    view = WorldView("me")
    view.feed(event("chunk_static", **static(resource_nodes=GOLD)))
    view.feed(event("chunk_delta", **delta(7, ("me", 1, 1), ("bob", 3, 3), ("eve", 1, 2))))
    text = observe(view)
    assert "Gold g-near: 5 left, not reachable now, bob stands on 3,3" in text
    assert text.index("Gold g-none: stand at 3,1") < text.index("Gold g-near")
    assert "Exit W to unexplored: not reachable now, no free way leads there: eve stands in it at 1,2" in text
    view.feed(event("chunk_delta", **delta(8, ("me", 2, 2), ("bob", 3, 3), ("eve", 0, 2))))
    assert "Exit W to unexplored: not reachable now, eve stands on 0,2" in observe(view)


def test_a_neighbour_that_is_gone_is_told() -> None:
    view = crowded()
    view.feed(event("chunk_delta", **delta(8, ("me", 1, 1), events=[{"type": "neighbor_unlinked", "dir": "W"}])))
    assert "Exit W to unexplored (chunk-4 was there and is gone): move_to 0,2" in observe(view)


def test_a_notice_comes_before_all_else_even_out_of_the_world() -> None:
    for view in (crowded(), WorldView("me")):
        text = observe(view, budget_tokens=0, notice="STALE: x" * 10)
        assert text.startswith("STALE: x")
        assert len(text) <= BUDGET_MIN_TOKENS * CHARS_PER_TOKEN


@given(st.integers(-5, 3000), st.integers(0, 200), st.lists(st.text(max_size=200), max_size=30))
def test_the_budget_holds_and_the_place_is_always_told(budget: int, others: int, heard: list[str]) -> None:
    text = observe(crowded(others), heard, budget_tokens=budget)
    assert len(text) <= max(budget, BUDGET_MIN_TOKENS) * CHARS_PER_TOKEN
    assert text.startswith("You are me at 1,1")


def test_many_agents_are_summed_up() -> None:
    assert "... and 38 more agents" in observe(crowded(50), budget_tokens=2000)


@pytest.mark.parametrize("known", [False, True])
def test_out_of_the_world_it_says_so(known: bool) -> None:
    view = WorldView("me")
    if known:
        view.feed(event("chunk_static", **static()))
        view.feed(event("chunk_delta", **delta(1, ("other", 1, 1))))
    assert "not in the world" in observe(view)

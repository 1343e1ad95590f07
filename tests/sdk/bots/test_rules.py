"""The bots' rules: repeatable, legal, and going where they should."""

from __future__ import annotations

import random

import pytest

from chunkcrawl.bots.rules import BOTS, Action, GoldSeeker, Harvest, Move, Rest, Say, Wanderer, make_bot
from chunkcrawl.view.paths import is_boundary
from chunkcrawl.view.world_view import WorldView
from tests.sdk.builders import HALL, delta, event, static

GOLD = {"node_id": "g-1", "type": "gold", "x": 4, "y": 3, "max_remaining": 5}
OPEN = ["...#...", ".......", ".......", ".......", ".......", ".......", "...#..."]


def view_of(
    *agents: tuple[str, int, int],
    tiles: list[str] | None = None,
    chunk_id: str = "chunk-0",
    neighbors: dict[str, str | None] | None = None,
    nodes: list[dict[str, object]] | None = None,
) -> WorldView:
    view = WorldView("me")
    more = {"resource_nodes": nodes or []} | ({"neighbors": neighbors} if neighbors else {})
    view.feed(event("chunk_static", **static(chunk_id, tiles or HALL, **more)))
    view.feed(event("chunk_delta", **delta(1, *(agents or (("me", 1, 1),)), chunk_id=chunk_id)))
    return view


def decisions(name: str, seed: int, view: WorldView, count: int = 200) -> list[Action]:
    bot, rng = make_bot(name), random.Random(seed)  # type: ignore[arg-type]
    return [bot.decide(view, rng) for _ in range(count)]


@pytest.mark.parametrize("name", sorted(BOTS))
def test_the_same_seed_decides_the_same_whatever_the_order_of_the_crowd(name: str) -> None:
    crowd = [("me", 3, 3), ("b", 1, 2), ("c", 5, 5), ("d", 2, 4)]
    one, other = view_of(*crowd, tiles=OPEN), view_of(*reversed(crowd), tiles=OPEN)
    assert decisions(name, 7, one) == decisions(name, 7, other)
    assert decisions(name, 7, one) != decisions(name, 8, one)


@pytest.mark.parametrize("name", sorted(BOTS))
def test_every_move_can_be_made(name: str) -> None:
    view = view_of(("me", 3, 3), ("b", 1, 2), ("c", 5, 5), tiles=OPEN)
    reachable = view.reachable()
    moves = [action for action in decisions(name, 1, view) if isinstance(action, Move)]
    assert len(moves) > 50
    assert all((move.x, move.y) in reachable and (move.x, move.y) != (3, 3) for move in moves)


def test_a_wanderer_strolls_talks_and_crosses_in_its_shares() -> None:
    view = view_of(("me", 3, 3), tiles=OPEN)
    actions = decisions("wander", 3, view, 2000)
    crossings = [act for act in actions if isinstance(act, Move) and is_boundary(view.grid, act.x, act.y)]
    assert 60 < sum(isinstance(action, Say) for action in actions) < 200
    assert 120 < len(crossings) < 300


def test_a_wanderer_that_is_away_finds_the_way_back() -> None:
    bot, rng = Wanderer(chat=0.0, cross=0.3, home="chunk-0"), random.Random(1)
    away = view_of(
        ("me", 3, 3), tiles=OPEN, chunk_id="chunk-5", neighbors={"N": None, "E": "chunk-0", "S": "chunk-9", "W": None}
    )
    actions = [bot.decide(away, rng) for _ in range(1000)]
    sides = [act.x for act in actions if isinstance(act, Move) and is_boundary(away.grid, act.x, act.y)]
    assert sides.count(6) > 500, "the east leads home"


def test_a_wanderer_that_is_walled_in_rests() -> None:
    walled = view_of(("me", 1, 1), ("b", 1, 2), ("c", 2, 1))
    assert decisions("wander", 1, walled, 5) == [Rest(1.0)] * 5


def test_a_seeker_walks_to_gold_and_takes_it() -> None:
    assert GoldSeeker().decide(view_of(nodes=[GOLD]), random.Random(1)) == Move(3, 3)
    assert GoldSeeker().decide(view_of(("me", 3, 3), nodes=[GOLD]), random.Random(1)) == Harvest("g-1")


def test_a_seeker_without_gold_looks_elsewhere() -> None:
    actions = decisions("gold", 1, view_of(tiles=HALL))
    assert Move(0, 2) in actions


def test_there_is_no_bot_of_another_name() -> None:
    with pytest.raises(KeyError):
        make_bot("clever")  # type: ignore[arg-type]

"""The local view: what it shows after which events, and the ways it finds."""

from __future__ import annotations

from typing import Any

import pytest

from chunkcrawl.view.world_view import WorldView
from chunkcrawl.wire.codec import decode_ws
from tests.sdk.builders import delta, event, frame, static

GOLD = {"node_id": "g-1", "type": "gold", "x": 4, "y": 3, "max_remaining": 5}


def opened(tick: int = 1, *agents: tuple[str, int, int], **more: Any) -> WorldView:
    view = WorldView("me")
    view.feed(event("session_ready", channel_id="c", chunk_id="chunk-0"))
    view.feed(event("chunk_static", **static(**more)))
    view.feed(event("chunk_delta", **delta(tick, *(agents or (("me", 1, 1),)))))
    return view


def transition(to: str = "chunk-1", tick: int = 5, source: str = "chunk-0") -> Any:
    fields = {"agent_id": "me", "from_chunk_id": source, "to_chunk_id": to, "tick": tick}
    return decode_ws(frame("chunk_transition", fields | {"from": {"x": 0, "y": 2}, "to": {"x": 4, "y": 2}}))


def test_it_is_ready_once_terrain_and_a_delta_are_there() -> None:
    view = WorldView("me")
    ready = [view.ready]
    for opening in (event("chunk_static", **static()), event("chunk_delta", **delta(1, ("me", 1, 1)))):
        view.feed(opening)
        ready.append(view.ready)
    assert ready == [False, False, True]
    assert view.position == (1, 1)


def test_me_and_others_are_apart() -> None:
    view = opened(1, ("me", 1, 1), ("other", 2, 2))
    assert set(view.others) == {"other"}
    assert view.taken == {(2, 2)}
    assert view.is_free(1, 1)
    assert not view.is_free(2, 2)
    assert not view.is_free(0, 0)
    assert not view.is_free(-1, 2)
    assert not view.is_free(50, 2)


def test_deltas_replace_state_and_old_ones_change_nothing() -> None:
    view = opened(5, ("me", 1, 1), ("other", 2, 2))
    view.feed(event("chunk_delta", **delta(6, ("me", 1, 2))))
    assert (view.position, view.others, view.tick) == ((1, 2), {}, 6)
    view.feed(event("chunk_delta", **delta(4, ("me", 3, 3))))
    view.feed(event("chunk_delta", **delta(9, ("me", 3, 3), chunk_id="elsewhere")))
    assert (view.position, view.tick) == ((1, 2), 6)


def test_after_a_new_session_a_lower_tick_is_the_present() -> None:
    view = opened(500)
    view.feed(event("session_ready", channel_id="c2"))
    view.feed(event("chunk_static", **static()))
    view.feed(event("chunk_delta", **delta(3, ("me", 2, 2))))
    assert (view.position, view.tick) == ((2, 2), 3)


def test_a_transition_leads_into_the_next_chunk() -> None:
    view = opened(4)
    view.feed(transition())
    assert (view.chunk_id, view.position, view.ready, view.grid) == ("chunk-1", (4, 2), False, [])
    view.feed(event("chunk_delta", **delta(6, ("me", 1, 1))))
    assert view.chunk_id == "chunk-1"
    assert view.position == (4, 2)
    view.feed(event("chunk_static", **static("chunk-1")))
    view.feed(event("chunk_delta", **delta(5, ("me", 4, 2), chunk_id="chunk-1")))
    assert view.ready


@pytest.mark.parametrize("missed", [transition("chunk-0", 3, "chunk-9"), transition("chunk-9", 2, "chunk-0")])
def test_a_transition_that_was_missed_does_not_lead_back(missed: Any) -> None:
    view = opened(4)
    view.feed(missed)
    assert (view.chunk_id, view.ready) == ("chunk-0", True)


def test_coming_back_finds_the_known_terrain() -> None:
    view = opened(4)
    view.feed(transition())
    view.feed(event("chunk_static", **static("chunk-1")))
    view.feed(event("chunk_delta", **delta(5, ("me", 4, 2), chunk_id="chunk-1")))
    view.feed(transition("chunk-0", 8, "chunk-1"))
    assert view.grid == static()["grid"]


def test_the_transition_of_another_agent_is_not_ours() -> None:
    view = WorldView("somebody")
    view.feed(event("chunk_static", **static()))
    view.feed(transition())
    assert view.chunk_id == "chunk-0"


def test_neighbours_come_and_go_with_the_deltas() -> None:
    view = opened(1)
    linked = [{"type": "neighbor_linked", "dir": "W", "chunk_id": "chunk-7"}]
    view.feed(event("chunk_delta", **delta(2, events=linked)))
    assert view.neighbors["W"] == "chunk-7"
    view.feed(event("chunk_delta", **delta(3, events=[{"type": "neighbor_unlinked", "dir": "W"}])))
    assert (view.neighbors, view.lost_neighbors) == (static()["neighbors"], {"W": "chunk-7"})
    linked = [{"type": "neighbor_linked", "dir": "W", "chunk_id": "chunk-9"}]
    view.feed(event("chunk_delta", **delta(4, events=linked)))
    assert (view.neighbors["W"], view.lost_neighbors) == ("chunk-9", {})


def test_a_neighbour_that_went_while_nobody_looked_is_known_as_gone() -> None:
    """The agent comes back from elsewhere; what it remembers of the neighbour must not come back with it."""
    view = opened(1, neighbors={"W": "chunk-1", "N": "chunk-5"})
    view.feed(transition("chunk-1", 3))
    view.feed(event("chunk_static", **static("chunk-1")))
    view.feed(event("chunk_delta", **delta(4, ("me", 4, 2), chunk_id="chunk-1")))
    view.feed(transition("chunk-0", 8, "chunk-1"))
    view.feed(event("chunk_static", **static(neighbors={"W": None, "N": "chunk-5"})))
    view.feed(event("chunk_delta", **delta(9, ("me", 1, 1))))
    assert (view.neighbors["W"], view.lost_neighbors) == (None, {"W": "chunk-1"})
    view.feed(transition("chunk-1", 12))
    assert view.grid == [], "ids are never given out again: old terrain under one is no terrain"


def test_what_is_in_the_way_is_named() -> None:
    view = opened(1, ("me", 1, 1), ("other", 2, 2))
    assert view.obstacle(3, 3) == ""
    assert view.obstacle(2, 2) == "other stands on 2,2"
    assert view.obstacle(4, 4) == "4,4 is a wall"
    assert view.obstacle(9, 9) == "", "no cell at all"
    shut = opened(1, ("me", 1, 1), ("bob", 1, 2), ("eve", 2, 1))
    assert shut.obstacle(3, 3).startswith("no free way leads there: ")
    assert WorldView("me").obstacle(1, 1) == ""


def test_gold_joins_what_is_fixed_with_what_changes() -> None:
    view = opened(1, resource_nodes=[GOLD])
    assert view.gold["g-1"].remaining == 5
    state = {"node_id": "g-1", "remaining": 0, "state": "regenerating", "version": 3}
    view.feed(event("chunk_delta", **delta(2, ("me", 1, 1), resources=[state])))
    assert (view.gold["g-1"].remaining, view.gold["g-1"].available) == (0, False)
    assert view.nearest_gold() is None


def test_the_inventory_is_ones_own() -> None:
    view = opened(1)
    view.feed(event("agent_private_delta", agent_id="me", tick=1, inventory={"gold": 3}))
    view.feed(event("agent_private_delta", agent_id="other", tick=2, inventory={"gold": 9}))
    assert view.inventory_gold == 3


def test_the_inventory_is_known_from_the_start() -> None:
    view = WorldView("me")
    assert view.inventory_gold is None
    view.feed(event("session_ready", agent_id="me", inventory=None))
    assert view.inventory_gold is None
    view.feed(event("session_ready", agent_id="me", inventory={"gold": 4}))
    assert view.inventory_gold == 4


def test_nearest_gold_names_the_cell_to_stand_on() -> None:
    view = opened(1, resource_nodes=[GOLD])
    found = view.nearest_gold()
    assert found is not None
    node, cell = found
    assert (node.node_id, cell) == ("g-1", (3, 3))
    crowded = opened(1, ("me", 1, 1), ("other", 3, 3), resource_nodes=[GOLD])
    assert crowded.nearest_gold() is None


def test_ways_lead_around_others_and_never_through_an_exit() -> None:
    view = opened(1, ("me", 1, 1), ("other", 1, 2))
    assert view.path_to(1, 3) == [(2, 1), (2, 2), (2, 3), (1, 3)]
    assert view.distance(0, 2) is None
    assert view.next_free(1, 2) == (1, 1)
    assert view.exits() == {"W": [(0, 2)]}


def test_nothing_is_reachable_before_anything_is_known() -> None:
    view = WorldView("me")
    assert (view.reachable(), view.path_to(1, 1), view.exits(), view.nearest_gold()) == ({}, None, {}, None)


def test_a_closed_chunk_is_empty() -> None:
    view = opened(1)
    view.feed(event("chunk_closed", chunk_id="other-chunk"))
    assert view.agents
    view.feed(event("chunk_closed", chunk_id="chunk-0"))
    assert (view.agents, view.gone) == ({}, True)


def test_unknown_events_change_nothing() -> None:
    view = opened(3)
    view.feed(event("weather", rain=True))
    view.feed(event("chunk_delta", chunk_id="chunk-0", tick="soon"))
    assert (view.tick, view.position) == (3, (1, 1))

"""What a language model is told to do about a refusal: something for every reason that it can meet."""

from __future__ import annotations

from typing import Any

import pytest

from chunkcrawl import errors
from chunkcrawl.mcp.hints import HINTS, code_of, hint_for
from chunkcrawl.view.world_view import WorldView
from tests.docs.asyncapi import SCHEMAS
from tests.sdk.builders import delta, event, static

GOLD = {"node_id": "g-1", "type": "gold", "x": 4, "y": 3, "max_remaining": 5}
REASONS: list[str] = SCHEMAS["CommandAck"]["properties"]["reason"]["enum"]


@pytest.fixture
def view() -> WorldView:
    found = WorldView("me")
    found.feed(event("chunk_static", **static(resource_nodes=[GOLD])))
    resources = [{"node_id": "g-1", "remaining": 5, "state": "available", "version": 1}]
    found.feed(event("chunk_delta", **delta(4, ("me", 1, 1), resources=resources)))
    return found


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_the_contract_has_a_remedy(view: WorldView, reason: str) -> None:
    assert HINTS[reason] in hint_for(errors.refusal(reason), view)


def test_a_code_goes_before_the_reason_where_it_has_a_remedy_of_its_own() -> None:
    assert code_of(errors.refusal("rate_limited", code="muted")) == "muted"
    assert code_of(errors.refusal("auth_failed", code="bad_signature")) == "auth_failed"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.refusal("busy", 400), "Try again in 400 ms."),
        (errors.refusal("too_far"), "Nearest with gold: g-1, stand at"),
        (errors.failure("blocked", 7, (3, 4), {"id": "bob", "x": 3, "y": 4}), "Blocked at 3,4 by bob."),
        (errors.refusal("invalid_cmd", code="banned_words", strikes_left=1, muted_ms=600_000), "Mind: "),
    ],
)
def test_what_is_known_is_filled_in(view: WorldView, error: Any, says: str) -> None:
    assert says in hint_for(error, view)


def test_of_an_unknown_reason_nothing_is_made_up(view: WorldView) -> None:
    assert hint_for(errors.refusal("tea_time"), view) == ""

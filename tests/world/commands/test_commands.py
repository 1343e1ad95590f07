"""Reading untrusted commands.  Pitfall B30."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from world.commands import RULES, parse_command
from world.commands.give import Give
from world.commands.harvest import Harvest
from world.commands.move_to import MoveTo
from world.commands.say import Say
from world.inputs import Refusal
from world.rules import Rules

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
HUGE = 10**5_000


@pytest.mark.parametrize(
    ("cmd", "command"),
    [
        ({"type": "move_to", "x": 0, "y": 49}, MoveTo(0, 49)),
        ({"y": 3, "x": 2, "type": "move_to"}, MoveTo(2, 3)),
        ({"type": "harvest", "node_id": "chunk-1-node-0"}, Harvest("chunk-1-node-0")),  # type: ignore[arg-type]
        ({"type": "say", "text": "h\u00e9llo\n"}, Say("h\u00e9llo")),
        ({"type": "give", "agent_id": "bob", "amount": 1}, Give("bob", 1)),  # type: ignore[arg-type]
        ({"type": "give", "agent_id": "b" * 128, "amount": 10**9}, Give("b" * 128, 10**9)),  # type: ignore[arg-type]
    ],
)
def test_commands(cmd: object, command: object) -> None:
    assert parse_command(cmd) == command


@pytest.mark.parametrize(
    "cmd",
    [
        None,
        [],
        "move_to",
        7,
        True,
        {},
        {"type": None},
        {"type": 42},
        {"type": ["move_to"]},
        {"type": "__class__"},
        {"type": "nope", "x": 1, "y": 1},
        {"type": "MOVE_TO", "x": 1, "y": 1},
        {"type": "move_to"},
        {"type": "move_to", "x": 1},
        {"type": "move_to", "x": True, "y": 1},
        {"type": "move_to", "x": 1.0, "y": 1},
        {"type": "move_to", "x": 1.5, "y": 1},
        {"type": "move_to", "x": -0.0, "y": 1},
        {"type": "move_to", "x": float("nan"), "y": 1},
        {"type": "move_to", "x": float("inf"), "y": 1},
        {"type": "move_to", "x": "3", "y": 1},
        {"type": "move_to", "x": None, "y": 1},
        {"type": "move_to", "x": [1], "y": 1},
        {"type": "move_to", "x": 2**53, "y": 1},
        {"type": "move_to", "x": 2**63, "y": 1},
        {"type": "move_to", "x": 1, "y": -HUGE},
        {"type": "move_to", "x": 1, "y": 1, "speed": 9},
        {"type": "move_to", "x": 1, "z": 1},
        {"type": "harvest"},
        {"type": "harvest", "node_id": ""},
        {"type": "harvest", "node_id": 3},
        {"type": "harvest", "node_id": None},
        {"type": "harvest", "node_id": "n" * 161},
        {"type": "harvest", "node_id": "chunk-0-node-0\n"},
        {"type": "harvest", "node_id": "\ud800"},
        {"type": "harvest", "node_id": "chunk-0-node-0", "x": 1},
        {"type": "say"},
        {"type": "say", "text": ""},
        {"type": "say", "text": " \t\n"},
        {"type": "say", "text": "x" * 201},
        {"type": "say", "text": "\ud800"},
        {"type": "say", "text": 5},
        {"type": "say", "text": ["hi"]},
        {"type": "say", "text": "hi", "to": "all"},
        {"type": "give", "agent_id": "bob"},
        {"type": "give", "agent_id": "bob", "amount": 0},
        {"type": "give", "agent_id": "bob", "amount": -1},
        {"type": "give", "agent_id": "bob", "amount": 10**9 + 1},
        {"type": "give", "agent_id": "bob", "amount": 1.0},
        {"type": "give", "agent_id": "bob", "amount": True},
        {"type": "give", "agent_id": "bob", "amount": "1"},
        {"type": "give", "agent_id": "", "amount": 1},
        {"type": "give", "agent_id": "b" * 129, "amount": 1},
        {"type": "give", "agent_id": "b\n", "amount": 1},
        {"type": "give", "agent_id": 7, "amount": 1},
        {"type": "give", "agent_id": "bob", "amount": 1, "type_": "gold"},
    ],
    ids=lambda cmd: repr(cmd)[:60] if not isinstance(cmd, dict) or cmd.get("y") != -HUGE else "a 5,000 digit number",
)
def test_invalid(cmd: Any) -> None:
    assert parse_command(cmd) == Refusal("invalid_cmd")


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (50, 0), (0, 50), (10**9, 1), (1, -(2**53) + 1)])
def test_off_the_grid(x: int, y: int) -> None:
    """Well-formed numbers off the grid have a code of their own."""
    assert parse_command({"type": "move_to", "x": x, "y": y}) == Refusal("out_of_bounds")


def test_length_counts_after_normalising() -> None:
    """200 characters in code points; what is removed or composed does not count."""
    assert parse_command({"type": "say", "text": "\n" + "x" * 200 + "\x00"}) == Say("x" * 200)
    assert parse_command({"type": "say", "text": "e\u0301" * 200}) == Say("\u00e9" * 200)
    assert parse_command({"type": "say", "text": "xx"}, Rules(chat_max_chars=1)) == Refusal("invalid_cmd")


@given(anything)
def test_never_raises(cmd: object) -> None:
    assert isinstance(parse_command(cmd), Refusal)


@given(
    st.sampled_from(sorted(RULES)),
    st.dictionaries(st.sampled_from(["x", "y", "node_id", "text", "agent_id", "amount"]), anything),
)
def test_never_raises_on_near_misses(kind: str, fields: dict[str, object]) -> None:
    command = parse_command({"type": kind, **fields})
    assert isinstance(command, (Refusal, MoveTo, Harvest, Say, Give))

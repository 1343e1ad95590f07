"""Deciding about commands: once each, one at a time for an agent, never raising.  Pitfalls B12, B30."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world.harness import TinyCluster, is_empty, refused
from world.ids import AgentId, ServerCmdId
from world.inputs import Decision, Submit

NAN = float("nan")


def test_busy_says_for_how_long(world: TinyCluster) -> None:
    """The second command does not disturb the first; the hint is the rest of the walk."""
    world.join("a", 20, 25)
    world.move("a", 26, 25)
    world.run(2)
    decision = world.move("a", 20, 25)
    assert (decision.reason, decision.retry_after_ms) == ("busy", 4 * 200)
    ack = world.told("a", "command_ack")[-1]
    assert (ack["accepted"], ack["reason"], ack["retry_after_ms"]) == (False, "busy", 800)
    world.run_until_idle()
    assert world.place("a")[1:] == (26, 25)
    assert world.ending("a") == ("completed", None)
    assert world.move("a", 20, 25).accepted


def test_one_ack_each(world: TinyCluster) -> None:
    """Submitting the same id again tells what was decided and does nothing, while it runs and after."""
    world.join("a", 20, 25)
    first = world.submit("a", {"type": "move_to", "x": 22, "y": 25}, "same")
    again = world.submit("a", {"type": "move_to", "x": 20, "y": 21}, "same")
    assert (again.accepted, again.duplicate, again.started_tick) == (True, True, first.started_tick)
    world.run_until_idle()
    assert world.submit("a", {"type": "move_to", "x": 20, "y": 25}, "same").duplicate
    assert len(world.told("a", "command_ack")) == len(world.results("a")) == 1
    assert world.place("a")[1:] == (22, 25)


def test_a_refusal_is_decided_once_too(world: TinyCluster) -> None:
    world.join("a", 20, 25)
    world.submit("a", {"type": "move_to", "x": 0, "y": 0}, "same")
    again = world.submit("a", {"type": "move_to", "x": 21, "y": 25}, "same")
    assert (again.accepted, again.duplicate, again.reason) == (False, True, "unreachable")
    assert len(world.told("a", "command_ack")) == 1


def test_the_memory_of_ids_is_bounded_and_kept(world: TinyCluster) -> None:
    """The last eight ids are in the record, oldest first, and known after a leave and a join."""
    world.join("a", 20, 25)
    for number in range(10):
        world.submit("a", {}, f"id-{number}")
    assert list(world.records[AgentId("a")].recent) == [f"id-{number}" for number in range(2, 10)]
    world.leave("a")
    world.join("a", 20, 25)
    again = world.submit("a", {"type": "move_to", "x": 21, "y": 25}, "id-9")
    assert (again.duplicate, again.accepted, again.reason) == (True, False, None)
    assert not world.submit("a", {"type": "move_to", "x": 21, "y": 25}, "id-1").duplicate


def test_an_agent_that_is_elsewhere(world: TinyCluster) -> None:
    decision = world.shards[0].apply(Submit(AgentId("nobody"), ServerCmdId("x"), "c", {"type": "say", "text": "hi"}))
    assert decision == Decision(accepted=False, moved=True)
    assert is_empty(world.shards[0].take())


@pytest.mark.parametrize(
    ("cmd", "reason"),
    [
        (None, "invalid_cmd"),
        ([{"type": "move_to"}], "invalid_cmd"),
        ({"type": "move_to", "x": True, "y": 25}, "invalid_cmd"),
        ({"type": "move_to", "x": 21.0, "y": 25}, "invalid_cmd"),
        ({"type": "move_to", "x": NAN, "y": 25}, "invalid_cmd"),
        ({"type": "move_to", "x": 2**64, "y": 25}, "invalid_cmd"),
        ({"type": "move_to", "x": 21, "y": 25, "z": 0}, "invalid_cmd"),
        ({"type": "move_to", "x": 21}, "invalid_cmd"),
        ({"type": "fly"}, "invalid_cmd"),
        ({"type": "say", "text": "\ud800"}, "invalid_cmd"),
        ({"type": "move_to", "x": 50, "y": 25}, "out_of_bounds"),
        ({"type": "move_to", "x": 1, "y": 1}, "unreachable"),
        ({"type": "harvest", "node_id": "chunk-9-node-0"}, "node_not_found"),
        ({"type": "harvest", "node_id": "chunk-0-node-0"}, "too_far"),
    ],
)
def test_bad_commands_never_get_into_the_step(world: TinyCluster, cmd: Any, reason: str) -> None:
    """The listed reason in one ack; the world goes on, and so does the agent."""
    world.join("a", 20, 25)
    assert refused(world.submit("a", cmd)) == reason
    world.run()
    assert len(world.told("a", "command_ack")) == 1
    assert not world.results("a")
    assert world.move("a", 21, 25).accepted


@pytest.mark.parametrize("stop", ["done", "blocked", "left", "interrupted", "no-neighbor", "no-answer", "refused"])
def test_never_busy_for_ever(world: TinyCluster, stop: str) -> None:
    """Pitfall B12: after every ending the next command is taken and done."""
    world.join("a", 47, 24)
    if stop == "done":
        world.move("a", 46, 24)
    elif stop == "blocked":
        world.move("a", 40, 24)
        world.join("late", 44, 24)
    elif stop == "left":
        world.move("a", 40, 24)
        world.leave("a")
        world.join("a", 47, 24)
    elif stop == "interrupted":
        world.submit("a", {"type": "say", "text": "hi"})
    elif stop == "no-neighbor":
        world.makes_neighbors = False
        world.move("a", 49, 24)
    elif stop == "no-answer":
        world.answers = False
        world.move("a", 49, 24)
    else:
        world.move("a", 0, 0)
    world.run_until_idle()
    x, y = world.place("a")[1:]
    assert world.submit("a", {"type": "move_to", "x": x, "y": y + 1}, "next").accepted
    world.run_until_idle()
    assert world.place("a")[1:] == (x, y + 1)
    assert world.results("a")[-1]["server_cmd_id"] == "next"
    assert world.shards[0].busy_agents == 0

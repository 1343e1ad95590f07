"""What an owner is told of commands."""

from __future__ import annotations

from typing import Any

import pytest

from chunkcrawl.view.command_log import KEPT, CommandLog, described
from chunkcrawl.wire.messages import Event
from tests.sdk.builders import event


def challenge(cmd_id: str) -> Event:
    fields: dict[str, Any] = {
        "client_cmd_id": f"c-{cmd_id}",
        "nonce": "n",
        "expires_at": 1,
        "difficulty": 2,
        "channel_id": "ch",
    }
    return event("command_challenge", server_cmd_id=cmd_id, **fields)


def ack(cmd_id: str, cmd: Any = None, **more: Any) -> Event:
    fields: dict[str, Any] = {"accepted": True, "started_tick": 7} if "accepted" not in more else {}
    return event("command_ack", server_cmd_id=cmd_id, client_cmd_id=f"c-{cmd_id}", echo=cmd, **fields, **more)


def result(cmd_id: str, status: str = "completed", **more: Any) -> Event:
    return event("command_result", server_cmd_id=cmd_id, client_cmd_id=f"c-{cmd_id}", status=status, **more)


def test_a_command_is_told_from_its_challenge_to_its_end() -> None:
    log = CommandLog()
    move = {"type": "move_to", "x": 3, "y": 4}
    told = [log.feed(one) for one in (challenge("cmd-1"), ack("cmd-1", move), result("cmd-1", ended_tick=9))]
    assert told == [
        "command cmd-1: challenge, difficulty 2",
        "command cmd-1: move_to 3,4 accepted at tick 7",
        "command cmd-1: move_to 3,4 completed, 2 ticks",
    ]
    assert [command.line for command in log.newest_last] == ["move_to 3,4  completed, 2 ticks"]


def test_refusals_and_failures_say_why() -> None:
    log = CommandLog()
    muted = {"accepted": False, "reason": "rate_limited", "code": "muted", "retry_after_ms": 3000}
    log.feed(ack("a", {"type": "say", "text": "hi"}, **muted))
    log.feed(event("command_ack", server_cmd_id="", client_cmd_id="x", accepted=False, reason="busy"))
    log.feed(ack("b", {"type": "harvest", "node_id": "n-1"}))
    log.feed(result("b", reason="node_depleted", amount=5, ended_tick=17))
    log.feed(ack("c", {"type": "move_to", "x": 1, "y": 2}))
    log.feed(result("c", "failed", reason="blocked", blocker={"id": "bob"}, blocked_at={"x": 1, "y": 1}))
    log.feed(result("unseen"))
    assert [command.line for command in log.newest_last] == [
        'say "hi"  refused, rate_limited (muted), again in 3000 ms',
        "command  refused, busy",
        "harvest n-1  completed, node_depleted, 5 gold, 10 ticks",
        "move_to 1,2  failed, blocked by bob, at 1,1",
        "command  completed",
    ]


@pytest.mark.parametrize("echo", [None, 5, [], {}, {"type": 3}, {"type": "fly", "far": True}, {"type": "move_to"}])
def test_commands_of_any_shape_are_described(echo: Any) -> None:
    log = CommandLog()
    assert "accepted" in str(log.feed(ack("a", echo)))
    assert described({"type": "give", "agent_id": "bob", "amount": 3}) == "give 3 gold to bob"


def test_nothing_in_a_command_is_obeyed_by_a_terminal() -> None:
    log = CommandLog()
    line = log.feed(ack("__proto__\x1b[2J", {"type": "say", "text": "\x1b]0;x\x07\n[bold]"}))
    assert line is not None
    assert line.isprintable()
    assert log.newest_last[0].line.isprintable()


def test_only_the_newest_are_kept_and_other_events_are_none() -> None:
    log = CommandLog()
    for number in range(3 * KEPT):
        log.feed(challenge(f"cmd-{number}"))
    assert len(log.newest_last) == KEPT
    assert log.feed(event("heartbeat")) is None

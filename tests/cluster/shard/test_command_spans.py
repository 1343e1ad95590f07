"""A shard's spans: decisions and results of commands that are sampled."""

from __future__ import annotations

from typing import Any

from cluster.messages import ShardCommand, pack_cmd
from cluster.shard.command_spans import CommandSpans
from world.ids import AgentId, ServerCmdId
from world.inputs import Decision
from world.outputs import PrivateEvent


class Recording:
    """Stands for ``Tracing``; every second id is sampled."""

    def __init__(self) -> None:
        self.at = 100
        self.made: list[tuple[str, str, str, int, int, dict[str, Any]]] = []

    def now_ns(self) -> int:
        return self.at

    def samples(self, server_cmd_id: str) -> bool:
        return int(server_cmd_id[-1]) % 2 == 0

    def span(self, trace_id: str, id_: str, name: str, began: int, ended: int, about: dict[str, Any]) -> None:
        self.made.append((trace_id, id_, name, began, ended, about))


def command(number: int) -> ShardCommand:
    return ShardCommand(AgentId("a"), ServerCmdId(f"cmd_{number}"), "c", pack_cmd({}), f"trace-{number}")


def result(number: int) -> PrivateEvent:
    payload = {"server_cmd_id": f"cmd_{number}", "ended_tick": 7}
    return PrivateEvent(AgentId("a"), "command_result", payload, f"trace-{number}")


def spans() -> tuple[CommandSpans, Recording]:
    recording = Recording()
    return CommandSpans(recording, 3), recording  # type: ignore[arg-type]


def test_decisions_of_sampled_commands_and_their_commit() -> None:
    made, recording = spans()
    moved, accepted = Decision(accepted=False, reason="busy", moved=True), Decision(accepted=True)
    made.decided([command(1), command(2), command(4)], [accepted, accepted, moved], 60, 70)
    shard = {"chunkcrawl.shard": 3}
    assert recording.made == [
        ("trace-2", "cmd_2", "shard.decide", 60, 70, shard),
        ("trace-2", "cmd_2", "shard.commit", 70, 100, shard | {"chunkcrawl.of": "decision"}),
    ]


def test_results_with_the_tick_in_which_they_came() -> None:
    made, recording = spans()
    recording.at = 50
    made.stepped(20)
    recording.at = 90
    ack = PrivateEvent(AgentId("a"), "command_ack", {"server_cmd_id": "cmd_2"}, "trace-2")
    made.committed([ack, result(1), result(2)], 60)
    shard = {"chunkcrawl.shard": 3}
    assert recording.made == [
        ("trace-2", "cmd_2", "shard.step", 30, 50, shard | {"chunkcrawl.tick": 7}),
        ("trace-2", "cmd_2", "shard.commit", 60, 90, shard | {"chunkcrawl.of": "result"}),
    ]


def test_a_commit_between_two_ticks_has_no_step() -> None:
    made, recording = spans()
    made.stepped(20)
    made.committed([], 60)
    made.committed([result(2)], 70)
    assert [one[2] for one in recording.made] == ["shard.commit"]

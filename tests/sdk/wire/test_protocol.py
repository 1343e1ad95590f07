"""The conversation without sockets: orders of ack and result, repeats after a resume, lost lines."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest

from chunkcrawl.errors import Blocked, Busy, ChunkcrawlError, CommandFailed, Unreachable
from chunkcrawl.wire import signing
from chunkcrawl.wire.messages import ChunkDelta, CommandResult, Event
from chunkcrawl.wire.protocol import (
    Accepted,
    AgentProtocol,
    Completed,
    NeedProof,
    Output,
    Send,
    SessionKeys,
    Settled,
    Show,
    Stage,
)
from tests.sdk.builders import delta, frame, static

KEYS = SessionKeys("jti_1", "secret")
MOVE = {"type": "move_to", "x": 3, "y": 4}
BOB = {"id": "bob", "x": 3, "y": 4}


def ready_protocol(channel: str = "ch_1") -> AgentProtocol:
    protocol = AgentProtocol("scout", id_prefix="p")
    connect(protocol, channel)
    return protocol


def connect(protocol: AgentProtocol, channel: str) -> None:
    protocol.connected(KEYS)
    protocol.receive(frame("session_ready", {"role": "agent", "channel_id": channel, "chunk_id": "chunk-0"}))
    protocol.take()


def challenge(client_cmd_id: str, channel: str = "ch_1", **more: Any) -> str:
    fields = {
        "client_cmd_id": client_cmd_id,
        "server_cmd_id": f"s-{client_cmd_id}",
        "nonce": "n",
        "expires_at": 1234,
        "difficulty": 1,
        "channel_id": channel,
    }
    return frame("command_challenge", fields | more)


def ack(client_cmd_id: str, event_id: str | None = None, **more: Any) -> str:
    fields = {
        "client_cmd_id": client_cmd_id,
        "server_cmd_id": f"s-{client_cmd_id}",
        "accepted": True,
        "started_tick": 5,
    }
    return frame("command_ack", fields | more, event_id)


def result(client_cmd_id: str, event_id: str | None = None, status: str = "completed", **more: Any) -> str:
    fields = {"client_cmd_id": client_cmd_id, "server_cmd_id": f"s-{client_cmd_id}", "status": status, "ended_tick": 9}
    return frame("command_result", fields | more, event_id)


def sent(outputs: list[Output]) -> list[dict[str, Any]]:
    return [json.loads(output.frame) for output in outputs if isinstance(output, Send)]


def shown(outputs: list[Output]) -> list[Event]:
    return [output.event for output in outputs if isinstance(output, Show)]


def settled(outputs: list[Output]) -> list[Settled]:
    return [output for output in outputs if isinstance(output, Settled)]


def accept(protocol: AgentProtocol) -> str:
    """Bring one command to ACCEPTED and return its id."""
    name = protocol.request(MOVE)
    protocol.receive(challenge(name))
    protocol.prove(f"s-{name}", "0")
    protocol.receive(ack(name, event_id=f"ack-{name}"))
    protocol.take()
    return name


def test_the_whole_way_of_a_command() -> None:
    protocol = ready_protocol()
    name = protocol.request(MOVE)
    assert sent(protocol.take()) == [{"type": "command_req", "payload": {"client_cmd_id": name, "cmd": MOVE}}]

    protocol.receive(challenge(name))
    need = next(output for output in protocol.take() if isinstance(output, NeedProof))
    assert (need.server_cmd_id, need.difficulty, need.cmd_hash) == (f"s-{name}", 1, signing.command_hash(MOVE))

    proof = signing.solve(need.nonce, need.cmd_hash, need.difficulty)
    assert proof is not None
    protocol.prove(need.server_cmd_id, proof)
    (answer,) = sent(protocol.take())
    text = f"v1|jti_1|ch_1|scout|s-{name}|{name}|{need.cmd_hash}|n|1234|1"
    assert answer["payload"]["sig"] == signing.sign("secret", text)
    work = f"n|{need.cmd_hash}|{answer['payload']['proof']['proof_nonce']}"
    assert hashlib.sha256(work.encode()).hexdigest().startswith("0")

    protocol.receive(ack(name))
    assert [output for output in protocol.take() if isinstance(output, Accepted)] == [Accepted(name, 5)]
    protocol.receive(result(name))
    assert settled(protocol.take()) == [Settled(name, Completed(name, None, 9))]
    assert protocol.stage(name) is None


def test_a_result_before_its_ack_settles_and_the_late_ack_changes_nothing() -> None:
    protocol = ready_protocol()
    name = protocol.request(MOVE)
    protocol.receive(challenge(name))
    protocol.prove(f"s-{name}", "0")
    protocol.receive(result(name))
    protocol.receive(ack(name))
    outputs = protocol.take()
    assert [type(output.outcome) for output in settled(outputs)] == [Completed]
    assert not [output for output in outputs if isinstance(output, Accepted)]


def test_a_refusal_carries_its_reason_and_when_to_come_back() -> None:
    protocol = ready_protocol()
    name = protocol.request(MOVE)
    protocol.receive(ack(name, accepted=False, reason="busy", retry_after_ms=700))
    (end,) = settled(protocol.take())
    assert isinstance(end.outcome, Busy)
    assert end.outcome.retry_after_ms == 700


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"detail": "wall", "blocked_at": {"x": 3, "y": 4}, "blocker": None}, "3,4 is a wall"),
        ({"detail": "occupied", "blocked_at": {"x": 3, "y": 4}, "blocker": BOB}, "bob stands on 3,4"),
        ({"detail": "no_way", "blocked_at": {"x": 3, "y": 4}, "blocker": BOB}, "no free way .* bob .* at 3,4"),
        ({"detail": "no_way"}, "no way leads there"),
        ({}, "a wall, somebody on it, or no path"),
    ],
)
def test_an_unreachable_cell_comes_with_what_is_in_the_way(fields: dict[str, Any], text: str) -> None:
    protocol = ready_protocol()
    name = protocol.request(MOVE)
    protocol.receive(ack(name, accepted=False, reason="unreachable", **fields))
    (end,) = settled(protocol.take())
    assert isinstance(end.outcome, Unreachable)
    assert end.outcome.detail == fields.get("detail")
    assert re.search(text, str(end.outcome))


def test_a_challenge_that_is_not_known_any_more_settles_its_command() -> None:
    protocol = ready_protocol()
    name = protocol.request(MOVE)
    protocol.receive(challenge(name))
    protocol.prove(f"s-{name}", "0")
    gone = {"client_cmd_id": None, "accepted": False, "reason": "expired_challenge", "code": "unknown_challenge"}
    protocol.receive(frame("command_ack", gone | {"server_cmd_id": "s-other"}))
    assert settled(protocol.take()) == []
    protocol.receive(frame("command_ack", gone | {"server_cmd_id": f"s-{name}"}))
    (end,) = settled(protocol.take())
    assert isinstance(end.outcome, ChunkcrawlError)
    assert end.outcome.reason == "expired_challenge"


def test_a_blocked_move_says_where_and_by_whom() -> None:
    protocol = ready_protocol()
    name = accept(protocol)
    blocker = {"id": "other", "x": 3, "y": 4}
    protocol.receive(result(name, status="failed", reason="blocked", blocked_at={"x": 3, "y": 4}, blocker=blocker))
    (end,) = settled(protocol.take())
    assert isinstance(end.outcome, Blocked)
    assert (end.outcome.blocked_at, end.outcome.blocker["id"], end.outcome.ended_tick) == ((3, 4), "other", 9)


def test_a_reason_that_is_not_known_yet_is_still_a_failure() -> None:
    protocol = ready_protocol()
    name = accept(protocol)
    protocol.receive(result(name, status="failed", reason="eaten_by_a_grue"))
    (end,) = settled(protocol.take())
    assert type(end.outcome) is CommandFailed
    assert end.outcome.reason == "eaten_by_a_grue"


@pytest.mark.parametrize("stage", [Stage.REQUESTED, Stage.CHALLENGED])
def test_a_line_lost_before_the_answer_means_that_nothing_happened(stage: Stage) -> None:
    protocol = ready_protocol()
    name = protocol.request(MOVE)
    if stage is Stage.CHALLENGED:
        protocol.receive(challenge(name))
    protocol.take()
    protocol.disconnected()
    assert settled(protocol.take()) == [Settled(name, "retry")]


@pytest.mark.parametrize("stage", [Stage.ANSWERED, Stage.ACCEPTED])
def test_a_line_lost_after_the_answer_waits_for_what_the_server_says(stage: Stage) -> None:
    protocol = ready_protocol()
    name = protocol.request(MOVE)
    protocol.receive(challenge(name))
    protocol.prove(f"s-{name}", "0")
    if stage is Stage.ACCEPTED:
        protocol.receive(ack(name, event_id="e-1"))
    protocol.take()
    protocol.disconnected()
    assert settled(protocol.take()) == []
    assert protocol.stage(name) is stage

    connect(protocol, "ch_2")
    protocol.receive(ack(name, event_id="e-1"))
    protocol.receive(result(name, event_id="e-2"))
    assert [type(output.outcome) for output in settled(protocol.take())] == [Completed]


def test_what_a_resumed_stream_repeats_is_shown_once() -> None:
    protocol = ready_protocol()
    name = accept(protocol)
    protocol.receive(result(name, event_id="r-1"))
    first = protocol.take()
    protocol.disconnected()
    connect(protocol, "ch_2")
    for again in (ack(name, event_id=f"ack-{name}"), result(name, event_id="r-1")):
        protocol.receive(again)
    assert [type(event) for event in shown(first)] == [CommandResult]
    assert protocol.take() == []
    assert protocol.last_event_id == "r-1"


def test_a_challenge_of_an_earlier_connection_is_not_answered() -> None:
    """Its channel is part of the signature, so the answer could only be a wrong one."""
    protocol = ready_protocol()
    name = protocol.request(MOVE)
    protocol.receive(challenge(name, channel="ch_0"))
    assert not [output for output in protocol.take() if isinstance(output, NeedProof)]
    assert protocol.stage(name) is Stage.REQUESTED


def test_a_challenge_that_comes_twice_is_answered_once() -> None:
    protocol = ready_protocol()
    name = protocol.request(MOVE)
    protocol.receive(challenge(name))
    protocol.receive(challenge(name))
    protocol.prove(f"s-{name}", "0")
    protocol.prove(f"s-{name}", "0")
    assert [message["type"] for message in sent(protocol.take())] == ["command_req", "command_answer"]


def test_a_forgotten_command_gets_no_answer() -> None:
    protocol = ready_protocol()
    name = protocol.request(MOVE)
    protocol.forget(name)
    protocol.receive(challenge(name))
    outputs = protocol.take()
    assert [message["type"] for message in sent(outputs)] == ["command_req"]
    assert not [output for output in outputs if isinstance(output, NeedProof)]


def test_commands_of_another_client_are_shown_but_not_ours() -> None:
    protocol = ready_protocol()
    protocol.receive(ack("somebody-else"))
    protocol.receive(result("somebody-else"))
    outputs = protocol.take()
    assert settled(outputs) == []
    assert len(shown(outputs)) == 2


def test_ids_differ_between_commands_and_keep_to_the_alphabet() -> None:
    protocol = ready_protocol()
    assert [protocol.request(MOVE), protocol.request(MOVE)] == ["p-1", "p-2"]


@pytest.mark.parametrize("rubbish", ["", "nonsense", b"\xff\xfe", "[]", '{"type":7}', '{"payload":{}}', "[" * 50_000])
def test_frames_that_are_no_messages_are_counted_and_nothing_else(rubbish: str | bytes) -> None:
    protocol = ready_protocol()
    protocol.receive(rubbish)
    assert protocol.take() == []
    assert protocol.unusable_frames == 1


def test_an_old_delta_is_a_repeat_but_the_opening_state_never_is() -> None:
    protocol = ready_protocol()
    protocol.receive(frame("chunk_static", static()))
    protocol.receive(frame("chunk_delta", delta(7, ("scout", 1, 1))))
    protocol.receive(frame("chunk_delta", delta(7, ("scout", 1, 1))))
    assert [type(event) for event in shown(protocol.take())].count(ChunkDelta) == 1
    protocol.disconnected()
    connect(protocol, "ch_2")
    protocol.receive(frame("chunk_static", static()))
    protocol.receive(frame("chunk_delta", delta(7, ("scout", 1, 1))))
    assert [type(event) for event in shown(protocol.take())].count(ChunkDelta) == 1


def test_an_error_frees_a_request_that_waits_and_leaves_one_that_was_answered() -> None:
    protocol = ready_protocol()
    running = accept(protocol)
    waiting = protocol.request(MOVE)
    protocol.receive(frame("error", {"reason": "unavailable", "retry_after_ms": 1000}))
    assert settled(protocol.take()) == [Settled(waiting, "retry")]
    assert protocol.stage(running) is Stage.ACCEPTED


def test_secrets_are_not_in_representations() -> None:
    assert "secret" not in repr(KEYS)

"""The spans of one command in its gateway."""

from __future__ import annotations

import json
from typing import Any

from api.challenge.challenge import Challenge
from api.challenge.command_trace import CommandTrace
from api.challenge.handshake import Handshake

MS = 1_000_000


class Recording:
    """Stands for ``Tracing``: keeps spans, and has a clock that is set by hand."""

    def __init__(self, *, samples: bool = True) -> None:
        self.at = 1_000 * MS
        self.made: list[tuple[str, int, int, dict[str, Any], bool]] = []
        self._samples = samples

    def now_ns(self) -> int:
        return self.at

    def samples(self, server_cmd_id: str) -> bool:
        return self._samples

    def span(
        self, trace_id: str, id_: str, name: str, began: int, ended: int, about: dict[str, Any], *, whole: bool
    ) -> None:
        assert (trace_id, id_) == ("trace", "cmd_1")
        self.made.append((name, began // MS, ended // MS, about, whole))

    @property
    def times(self) -> list[tuple[str, int, int]]:
        return [(name, began, ended) for name, began, ended, _, _ in self.made]


def challenge() -> Challenge:
    return Challenge(
        server_cmd_id="cmd_1",
        client_cmd_id="c1",
        agent_id="a",
        session_jti="jti_1",
        channel_id="ch_1",
        cmd_json="{}",
        cmd_hash="",
        nonce="n",
        issued_ms=1_001,
        expires_at=2,
        difficulty=2,
        trace_id="trace",
        state="ISSUED",
    )


def begun(recording: Recording) -> CommandTrace:
    recording.at = 1_001 * MS
    trace = CommandTrace.begin(recording, challenge(), "move_to", 1_000 * MS)  # type: ignore[arg-type]
    assert trace is not None
    return trace


def event(server_cmd_id: str = "cmd_1", **fields: Any) -> bytes:
    return json.dumps({"server_cmd_id": server_cmd_id} | fields, separators=(",", ":")).encode()


def answered(recording: Recording) -> CommandTrace:
    trace = begun(recording)
    recording.at = 1_010 * MS
    trace.heard()
    recording.at = 1_011 * MS
    trace.submitted()
    return trace


def test_a_command_from_its_request_to_its_result() -> None:
    recording = Recording()
    trace = answered(recording)
    recording.at = 1_020 * MS
    trace.saw("command_ack", event(accepted=True), 1_016)
    recording.at = 1_021 * MS
    trace.decided("cmd_1", accepted=True)
    trace.saw("agent_private_delta", b"{}", 1_100)
    trace.saw("command_result", event("cmd_0"), 1_100)
    recording.at = 1_420 * MS
    trace.saw("command_result", event(status="completed"), 1_416)
    assert recording.times == [
        ("gateway.receive", 1_000, 1_001),
        ("challenge", 1_001, 1_010),
        ("gateway.answer", 1_010, 1_011),
        ("gateway.deliver", 1_016, 1_020),
        ("gateway.submit", 1_011, 1_021),
        ("gateway.deliver", 1_416, 1_420),
        ("run", 1_016, 1_416),
        ("command move_to", 1_000, 1_420),
    ]
    assert [whole for *_, whole in recording.made] == [False] * 7 + [True]
    assert recording.made[1][3] == {
        "chunkcrawl.agent_id": "a",
        "chunkcrawl.command": "move_to",
        "chunkcrawl.difficulty": 2,
    }


def test_a_refusal_ends_it() -> None:
    recording = Recording()
    trace = answered(recording)
    trace.saw("command_ack", event(accepted=False, reason="unreachable"), 1_012)
    assert recording.times[-1][0] == "command move_to"
    trace.saw("command_result", event(), 1_500)
    trace.end()
    assert len([one for one in recording.made if one[4]]) == 1, "once"


def test_one_that_is_not_sampled_makes_nothing() -> None:
    recording = Recording(samples=False)
    assert CommandTrace.begin(recording, challenge(), "say", 0) is None  # type: ignore[arg-type]
    assert recording.made == []


def test_one_that_is_never_answered_ends_with_the_next_command() -> None:
    recording = Recording()

    class Kept(Handshake):
        def __init__(self) -> None:
            self.trace = None

    handshake = Kept()
    handshake.follow(begun(recording))
    recording.at = 6_000 * MS
    handshake.follow(None)
    assert recording.times == [("gateway.receive", 1_000, 1_001), ("command move_to", 1_000, 6_000)]
    assert handshake.trace is None

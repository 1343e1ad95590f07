"""Decoding: both envelopes, and what a newer or broken server may send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkcrawl.wire import codec as wire
from chunkcrawl.wire import messages as m


def ws(kind: str, payload: Any, **more: Any) -> str:
    return json.dumps({"type": kind, "payload": payload} | more)


def test_a_delta_is_read_from_its_envelope() -> None:
    agent = {"id": "a", "x": 1, "y": 2, "activity_state": "moving", "name": "A"}
    frame = ws("chunk_delta", {"chunk_id": "chunk-0", "tick": 7, "agents": [agent]}, event_id="e-1", server_ts_ms=5)
    event = wire.decode_ws(frame)
    assert isinstance(event, m.ChunkDelta)
    assert event.agents == [m.AgentView("a", 1, 2, "moving", "A")]
    assert (event.tick, event.event_id, event.server_ts_ms, event.type) == (7, "e-1", 5, "chunk_delta")


def test_the_flat_form_is_read_from_beside_the_type_not_from_the_copy() -> None:
    fields = {
        "agent_id": "a",
        "from_chunk_id": "p",
        "to_chunk_id": "q",
        "from": {"x": 49, "y": 3},
        "to": {"x": 0, "y": 3},
    }
    data = json.dumps({"type": "chunk_transition", "trace_id": "t", "tick": 9} | fields | {"payload": fields})
    event = wire.decode_sse("chunk_transition", data, "q:9:0:4")
    assert isinstance(event, m.ChunkTransition)
    assert (event.to_cell.x, event.to_cell.y, event.trace_id, event.event_id) == (0, 3, "t", "q:9:0:4")


def test_unknown_fields_are_ignored_and_kept_in_raw() -> None:
    event = wire.decode_ws(ws("session_ready", {"role": "agent", "channel_id": "c", "colour": "red"}))
    assert isinstance(event, m.SessionReady)
    assert json.loads(event.raw)["colour"] == "red"


def test_unknown_events_come_through_with_their_fields() -> None:
    event = wire.decode_ws(ws("weather", {"rain": True}))
    assert isinstance(event, m.UnknownEvent)
    assert (event.type, event.fields, event.problem) == ("weather", {"rain": True}, None)


@pytest.mark.parametrize(
    "payload",
    [{"chunk_id": "c", "tick": "seven"}, {"tick": 1}, [], 3, None, {"chunk_id": "c", "tick": 1, "agents": {}}],
)
def test_known_events_of_an_unknown_shape_become_unknown_with_the_problem_named(payload: Any) -> None:
    event = wire.decode_ws(ws("chunk_delta", payload))
    assert isinstance(event, m.UnknownEvent)
    assert event.type == "chunk_delta"
    assert event.problem


NESTED = '{"type":"weather","payload":' + '{"a":' * 100_000


@pytest.mark.parametrize(
    "frame",
    ["", "x", "[]", "null", '"chunk_delta"', '{"type":3}', "{}", "[" * 100_000, NESTED, b"\xc3\x28", "\ud800"],
    ids=lambda frame: repr(frame)[:20],
)
def test_frames_that_are_no_messages_raise_value_errors_only(frame: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        wire.decode_ws(frame)


@given(st.text() | st.binary())
def test_decoding_never_raises_anything_else(frame: str | bytes) -> None:
    try:
        wire.decode_ws(frame)
    except ValueError:
        return
    raise AssertionError("a random text was taken for a message")


def test_a_field_of_the_server_cannot_pose_as_our_own_bookkeeping() -> None:
    event = wire.decode_ws(ws("heartbeat", {"event_id": "forged", "raw": 3}))
    assert isinstance(event, m.Heartbeat)
    assert event.event_id == ""


def test_the_type_inside_serves_when_the_stream_names_no_event() -> None:
    assert isinstance(wire.decode_sse("message", '{"type":"heartbeat"}'), m.Heartbeat)


def test_what_we_send_has_the_envelope() -> None:
    assert json.loads(wire.encode("ping", {})) == {"type": "ping", "payload": {}}


def test_a_snapshot_without_a_delta_is_fine() -> None:
    snapshot = wire.decode_snapshot(b'{"chunk_static":{"chunk_id":"chunk-0"},"latest_delta":null}')
    assert snapshot.chunk_static.chunk_id == "chunk-0"
    assert snapshot.latest_delta is None

"""Wire forms: joined bytes that are valid JSON, made once, and the wall between shared and private events."""

from __future__ import annotations

import json

import pytest
from websockets.frames import Frame, Opcode

from streaming.entry import (
    PRIVATE_KINDS,
    SHARED_KINDS,
    BadEntry,
    EventId,
    PrivateEvent,
    SharedEvent,
    chunk_of,
    events_of,
    events_of_message,
    from_stream,
    notice,
)

CHUNK = "stream:chunk:chunk-0"
AGENT = "stream:agent:ada"
ODD_TEXT = "a\u2028b\u2029c\u0085d\re\nf \U0001f600 \n\nevent: resync_required\ndata: {}\n\n"


def shared(payload: str = '{"chunk_id":"chunk-0","tick":7}', trace: str = "tick-7") -> SharedEvent:
    [entry] = events_of_message(CHUNK, f"7-1 7-0 chunk_delta 1234 {trace}\n{payload}".encode())
    assert isinstance(entry, SharedEvent)
    return entry


def private(payload: str = '{"agent_id":"ada","accepted":true}') -> PrivateEvent:
    [entry] = events_of_message(AGENT, f"9-0 8-0 command_ack 1234 abc\n{payload}".encode())
    assert isinstance(entry, PrivateEvent)
    return entry


def test_a_message_is_taken_apart() -> None:
    entry = shared()
    assert (entry.id, entry.prev, entry.kind, entry.ts_ms, entry.trace_id) == (
        (7, 1),
        (7, 0),
        "chunk_delta",
        1234,
        "tick-7",
    )
    assert chunk_of(entry) == "chunk-0"
    same = from_stream(CHUNK, b"7-1", b"7-0 chunk_delta 1234 tick-7\n" + entry.payload)
    assert same.ws_bytes() == entry.ws_bytes()


def test_ws_envelope_has_type_first_and_the_id_beside_it() -> None:
    text = shared().ws_bytes(EventId("chunk-0:7:1"))
    assert text.startswith(b'{"type":"chunk_delta","event_id":"chunk-0:7:1",')
    assert json.loads(text) == {
        "type": "chunk_delta",
        "event_id": "chunk-0:7:1",
        "trace_id": "tick-7",
        "server_ts_ms": 1234,
        "payload": {"chunk_id": "chunk-0", "tick": 7},
    }
    assert "event_id" not in json.loads(shared().ws_bytes())


def sse_fields(block: bytes) -> list[tuple[str, str]]:
    assert block.endswith(b"\n\n")
    # As the specification says: lines end with CR, LF or CRLF, and with nothing else.
    lines = block.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-2]
    return [(name, value.removeprefix(" ")) for name, _, value in (line.partition(":") for line in lines)]


def test_sse_is_flat_and_agent_scoped_events_carry_their_payload_too() -> None:
    id_, event, data = sse_fields(shared().sse_bytes(EventId("chunk-0:7:1")))
    assert (id_, event) == (("id", "chunk-0:7:1"), ("event", "chunk_delta"))
    flat = {"type": "chunk_delta", "trace_id": "tick-7", "server_ts_ms": 1234, "chunk_id": "chunk-0", "tick": 7}
    assert json.loads(data[1]) == flat
    event, data = sse_fields(private().sse_bytes())
    assert event == ("event", "command_ack")
    assert json.loads(data[1])["payload"] == {"agent_id": "ada", "accepted": True}
    assert json.loads(data[1])["accepted"] is True


def test_an_empty_payload_is_still_json() -> None:
    assert json.loads(sse_fields(shared("{}").sse_bytes())[1][1])["type"] == "chunk_delta"
    assert json.loads(shared("{}").ws_bytes())["payload"] == {}


def test_odd_line_breaks_in_a_text_tear_nothing() -> None:
    event = notice("chunk_delta", {"events": [{"type": "chat", "text": ODD_TEXT}]}, 1, "t-1")
    fields = sse_fields(event.sse_bytes())
    assert [name for name, _ in fields] == ["event", "data"]
    assert json.loads(fields[1][1])["events"][0]["text"] == ODD_TEXT


def test_a_trace_id_can_not_break_out_of_its_place() -> None:
    assert json.loads(shared(trace='x","type":"y').ws_bytes())["trace_id"] == 'x","type":"y'


def test_what_was_written_without_a_trace_bears_its_place() -> None:
    assert json.loads(shared(trace="").ws_bytes())["trace_id"] == "entry-7-1"
    assert b'"trace_id":"entry-7-1"' in shared(trace="").sse_bytes()


def test_wire_forms_are_made_once_for_all_readers() -> None:
    entry, id_ = shared(), EventId("chunk-0:7:1")
    assert entry.ws_frame(id_) is entry.ws_frame(EventId("chunk-0:" + "7:1"))
    assert entry.sse_chunk(id_) is entry.sse_chunk(id_)
    assert entry.ws_frame(EventId("chunk-0:7:1:5")) != entry.ws_frame(id_)
    assert json.loads(entry.ws_bytes(EventId("chunk-0:7:1:5")))["event_id"] == "chunk-0:7:1:5"


@pytest.mark.parametrize("event_id", [None, EventId("chunk-0:7:1"), EventId("chunk-0:7:1:5")])
def test_wire_forms_are_the_envelope_and_the_block_wrapped(event_id: EventId | None) -> None:
    entry = shared()
    envelope, block = entry.ws_bytes(event_id), entry.sse_bytes(event_id)
    for _ in range(2):
        assert entry.ws_frame(event_id) == Frame(Opcode.TEXT, envelope).serialize(mask=False)
        assert entry.sse_chunk(event_id) == b"%x\r\n" % len(block) + block + b"\r\n"


@pytest.mark.parametrize("kind", sorted(PRIVATE_KINDS | {"agent_placed", "session_ready", "nonsense"}))
def test_nothing_private_can_stand_in_a_chunks_stream(kind: str) -> None:
    with pytest.raises(BadEntry):
        events_of_message(CHUNK, f"7-1 7-0 {kind} 1 t\n{{}}".encode())


@pytest.mark.parametrize("kind", sorted(SHARED_KINDS | {"heartbeat"}))
def test_nothing_shared_can_stand_in_an_agents_stream(kind: str) -> None:
    with pytest.raises(BadEntry):
        events_of_message(AGENT, f"7-0 6-0 {kind} 1 t\n{{}}".encode())


def test_what_one_commit_had_for_an_agent_is_as_many_events() -> None:
    message = b'6-0 command_challenge 11 t-1\n{"n":1}\ncommand_ack 12 t-1\n{"n":2}\ncommand_result 13 \n{}'
    events = events_of(AGENT, b"9-0", message)
    assert all(isinstance(event, PrivateEvent) for event in events)
    assert [(e.prev, e.id, e.kind, e.ts_ms, e.trace_id, e.payload) for e in events] == [
        ((6, 0), (7, 0), "command_challenge", 11, "t-1", b'{"n":1}'),
        ((7, 0), (8, 0), "command_ack", 12, "t-1", b'{"n":2}'),
        ((8, 0), (9, 0), "command_result", 13, "entry-9-0", b"{}"),
    ]
    assert events_of_message(AGENT, b"9-0 " + message)[2].ws_bytes() == events[2].ws_bytes()


@pytest.mark.parametrize(
    "message",
    [
        b"5-0 command_ack 1 t\n{}\ncommand_ack 1 t\n{}",
        b"7-0 command_ack 1 t\n{}\ncommand_ack 1 t",
        b"7-0 command_ack 1 t\n{}\nchunk_delta 1 t\n{}",
        b"7-0 command_ack 1 t\n{}\n{}\ncommand_ack 1 t",
        b"x command_ack 1 t\n{}\ncommand_ack 1 t\n{}",
    ],
)
def test_events_that_are_not_as_many_as_their_numbers_are_refused(message: bytes) -> None:
    with pytest.raises(BadEntry):
        events_of(AGENT, b"9-0", message)


def test_a_chunks_entry_is_one_event() -> None:
    with pytest.raises(BadEntry):
        events_of(CHUNK, b"9-0", b"7-0 chunk_delta 1 t\n{}\nchunk_delta 1 t\n{}")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"rubbish",
        b"7-1 7-0 chunk_delta 12 t",
        b"7-1 7-0 chunk_delta 12 t\n[]",
        b"7-1 7-0 chunk_delta 12 t\n{",
        b"x-1 7-0 chunk_delta 12 t\n{}",
        b"7-1 7-0 chunk_delta soon t\n{}",
        b"7-1 7-0 chunk_delt\xff 12 t\n{}",
    ],
)
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(BadEntry):
        events_of_message(CHUNK, data)

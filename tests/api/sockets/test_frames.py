from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ids import TraceId
from api.sockets import frames
from api.sockets.frames import (
    BAD_CLIENT_CMD_ID,
    BAD_JSON,
    BAD_SHAPE,
    BAD_UTF8,
    MAX_FRAME_BYTES,
    TOO_LARGE,
    UNKNOWN_TYPE,
    CommandAnswer,
    CommandReq,
    FrameError,
    Ping,
    parse_frame,
)


def req(cmd: str = '{"type":"say","text":"x"}', client_cmd_id: str = '"c-1"') -> str:
    return '{"type":"command_req","payload":{"client_cmd_id":' + client_cmd_id + ',"cmd":' + cmd + "}}"


def said(payload: str) -> str:
    """A ``command_answer``."""
    return '{"type":"command_answer","payload":' + payload + "}"


def parsed_req(text: str | bytes) -> CommandReq:
    frame = parse_frame(text)
    assert isinstance(frame, CommandReq)
    return frame


def fault(cmd: str) -> str | None:
    return parsed_req(req(cmd)).cmd_fault


# -- what is read --


def test_a_request_is_read_from_text_and_from_bytes() -> None:
    cmd = '{"type":"say","text":"h\u00e9"}'
    text = '{"type":"command_req","trace_id":"t:1","payload":{"client_cmd_id":"c-1","cmd":' + cmd + "}}"
    frame = parsed_req(text)
    assert frame == parse_frame(text.encode())
    assert (frame.client_cmd_id, frame.cmd, frame.trace_id) == ("c-1", {"type": "say", "text": "h\u00e9"}, "t:1")


def test_an_answer_is_read_with_its_proof_as_object_or_bare_string() -> None:
    for proof in ('{"proof_nonce":"42","pow_hash":"00"}', '"42"'):
        frame = parse_frame(said('{"server_cmd_id":"s","sig":"x","proof":' + proof + "}"))
        assert isinstance(frame, CommandAnswer)
        assert (frame.server_cmd_id, frame.sig, frame.proof_nonce) == ("s", "x", "42")


@pytest.mark.parametrize("proof", ["", ',"proof":null', ',"proof":{}', ',"proof":{"proof_nonce":null}'])
def test_an_answer_may_lack_a_proof(proof: str) -> None:
    frame = parse_frame(said('{"server_cmd_id":"s","sig":"x"' + proof + "}"))
    assert isinstance(frame, CommandAnswer)
    assert frame.proof_nonce is None


def test_a_ping_needs_no_payload() -> None:
    assert isinstance(parse_frame('{"type":"ping"}'), Ping)
    assert isinstance(parse_frame('{"type":"ping","payload":{"n":1},"server_ts_ms":1.5}'), Ping)


@pytest.mark.parametrize("trace", ['"a b"', '""', '"%s"' % ("x" * 65), '"a\\nb"', "7", "null", '{"a":1}', '"\u00e9"'])
def test_an_unusable_trace_id_is_replaced(trace: str) -> None:
    frame = parse_frame('{"type":"ping","trace_id":' + trace + "}")
    assert isinstance(frame, Ping)
    assert len(frame.trace_id) == 16
    assert json.dumps(frame.trace_id) != trace


# -- hostile and sloppy messages (pitfall B30) --


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("", BAD_JSON, id="empty"),
        pytest.param("   ", BAD_JSON, id="blank"),
        pytest.param("null", BAD_SHAPE, id="null"),
        pytest.param("[]", BAD_SHAPE, id="list"),
        pytest.param('"x"', BAD_SHAPE, id="string"),
        pytest.param("1", BAD_SHAPE, id="number"),
        pytest.param("true", BAD_SHAPE, id="true"),
        pytest.param("{}", BAD_SHAPE, id="no type"),
        pytest.param('{"type":42}', BAD_SHAPE, id="type is a number"),
        pytest.param('{"type":{"a":1}}', BAD_SHAPE, id="type is an object"),
        pytest.param('{"type":null}', BAD_SHAPE, id="type is null"),
        pytest.param('{"type":"nope"}', UNKNOWN_TYPE, id="unknown type"),
        pytest.param('{"type":"__class__"}', UNKNOWN_TYPE, id="dunder"),
        pytest.param('{"type":"command_ack","payload":{}}', UNKNOWN_TYPE, id="server's ack"),
        pytest.param('{"type":"command_result","payload":{}}', UNKNOWN_TYPE, id="server's result"),
        pytest.param('{"type":"command_req"}', BAD_SHAPE, id="no payload"),
        pytest.param('{"type":"command_req","payload":[]}', BAD_SHAPE, id="payload is a list"),
        pytest.param('{"type":"ping"}{"type":"ping"}', BAD_JSON, id="two messages"),
        pytest.param('{"type":"ping"} x', BAD_JSON, id="trailing rubbish"),
        pytest.param('\ufeff{"type":"ping"}', BAD_JSON, id="BOM"),
        pytest.param("{'type':'ping'}", BAD_JSON, id="single quotes"),
        pytest.param('{"type":"ping",}', BAD_JSON, id="trailing comma"),
        pytest.param('{"type":"pi\nng"}', BAD_JSON, id="raw newline in a string"),
        pytest.param('{"type":"ping","type":"ping"}', BAD_JSON, id="duplicate key outside the command"),
        pytest.param("[" * 16_000, BAD_JSON, id="16,000 brackets"),
        pytest.param('{"a":' * 3_000, BAD_JSON, id="3,000 braces"),
        pytest.param("[" * 100_000, TOO_LARGE, id="100,000 brackets"),
        pytest.param("\ud800", BAD_JSON, id="lone surrogate as text"),
        pytest.param(b"\xc3\x28", BAD_UTF8, id="invalid UTF-8"),
        pytest.param(b'\xef\xbb\xbf{"type":"ping"}', BAD_JSON, id="BOM in bytes"),
        pytest.param(b"\xff" * 20_000, TOO_LARGE, id="too many bytes"),
    ],
)
def test_what_is_no_frame_has_its_reason(message: str | bytes, expected: FrameError) -> None:
    assert parse_frame(message) == expected


def test_the_limit_counts_bytes_of_utf8() -> None:
    frame = '{"type":"ping","x":"%s"}'
    room = MAX_FRAME_BYTES - len(frame % "")
    assert isinstance(parse_frame(frame % ("a" * room)), Ping)
    assert parse_frame(frame % ("a" * (room + 1))) == TOO_LARGE
    assert isinstance(parse_frame(frame % ("\u00e9" * (room // 2))), Ping)
    assert parse_frame(frame % ("\u00e9" * (room // 2 + 1))) == TOO_LARGE


@pytest.mark.parametrize("bad", ['""', '"%s"' % ("c" * 65), '"a|b"', '"a b"', '"c\\n"', '"\u00e9"', "1", "null", "[]"])
def test_a_client_cmd_id_that_could_hide_a_separator_is_refused(bad: str) -> None:
    assert parse_frame(req(client_cmd_id=bad)) == BAD_CLIENT_CMD_ID


def test_a_client_cmd_id_may_have_all_of_its_alphabet() -> None:
    assert parsed_req(req(client_cmd_id='"Az09_.:-"')).client_cmd_id == "Az09_.:-"
    assert parse_frame('{"type":"command_req","payload":{"cmd":{}}}') == BAD_CLIENT_CMD_ID


@pytest.mark.parametrize(
    "payload",
    [
        "{}",
        '{"server_cmd_id":"s"}',
        '{"sig":"x"}',
        '{"server_cmd_id":1,"sig":"x"}',
        '{"server_cmd_id":"a|b","sig":"x"}',
        '{"server_cmd_id":"s","sig":1}',
        '{"server_cmd_id":"s","sig":"%s"}' % ("x" * 257),
        '{"server_cmd_id":"s","sig":"x","proof":1}',
        '{"server_cmd_id":"s","sig":"x","proof":[]}',
        '{"server_cmd_id":"s","sig":"x","proof":{"proof_nonce":1}}',
        '{"server_cmd_id":"s","sig":"x","proof":"%s"}' % ("9" * 129),
        '{"server_cmd_id":"s","sig":"x","sig":"y"}',
    ],
)
def test_an_answer_of_the_wrong_shape_is_refused(payload: str) -> None:
    assert parse_frame(said(payload)) == BAD_SHAPE


# faults inside the command do not hide which command it was


@pytest.mark.parametrize(
    ("cmd", "expected"),
    [
        ('{"type":"say","text":"a","text":"b"}', "duplicate_key"),
        ('{"a":{"b":1,"b":1}}', "duplicate_key"),
        ('{"x":NaN}', "number_not_finite"),
        ('{"x":[Infinity]}', "number_not_finite"),
        ('{"x":-Infinity}', "number_not_finite"),
        ('{"x":1e400}', "number_not_finite"),
        ('{"x":9007199254740992}', "number_too_big"),
        ('{"x":-9007199254740992}', "number_too_big"),
        ('{"x":%s}' % ("1" * 5_000), "number_too_big"),
        ('{"text":"\\ud800"}', "lone_surrogate"),
        ('{"text":"\\uDFFF"}', "lone_surrogate"),
        ('{"\\uD800":1}', "lone_surrogate"),
        ('{"a":[["\\ud83d"]]}', "lone_surrogate"),
        ('{"a":{"b":{"c":{"d":1}}}}', None),
        ('{"a":{"b":{"c":{"d":{}}}}}', "too_deep"),
        ("[[[[[]]]]]", "too_deep"),
        ('{"x":9007199254740991,"y":-9007199254740991}', None),
        ('{"text":"\\ud83d\\ude00"}', None),
        ('{"x":1.5}', None),
        ("null", None),
        ("7", None),
    ],
)
def test_a_fault_in_the_command_is_named_with_the_frame_intact(cmd: str, expected: str | None) -> None:
    frame = parsed_req(req(cmd))
    assert frame.client_cmd_id == "c-1"
    assert frame.cmd_fault == expected


def test_a_request_without_a_command_is_left_to_the_rules_of_commands() -> None:
    frame = parsed_req('{"type":"command_req","payload":{"client_cmd_id":"c"}}')
    assert frame.cmd is None


@given(st.text(max_size=400) | st.binary(max_size=400))
def test_no_message_raises(message: str | bytes) -> None:
    frame = parse_frame(message)
    assert isinstance(frame, FrameError | Ping | CommandReq | CommandAnswer)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    )
)
def test_any_command_data_is_read_or_faulted(cmd: Any) -> None:
    frame = parsed_req(req(json.dumps(cmd)))
    assert frame.cmd_fault is not None or json.loads(json.dumps(frame.cmd)) == json.loads(json.dumps(cmd))


JSON_DATA: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**54), 2**54)
    | st.floats()
    | st.text()
    | st.text('":,{}\\\ud800', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab:"', max_size=2), inner, max_size=3),
    max_leaves=12,
)


@given(JSON_DATA, st.booleans(), st.lists(st.tuples(st.integers(0, 400), st.sampled_from('"{}[]:,1a\\ ')), max_size=3))
def test_what_is_read_fast_is_what_is_read_strictly(data: Any, ascii_: bool, typos: list[tuple[int, str]]) -> None:
    text = json.dumps({"type": "command_req", "payload": {"client_cmd_id": "c-1", "cmd": data}}, ensure_ascii=ascii_)
    text = text.replace("{", '{"a": null, ', 1) if len(text) % 2 else text
    for place, typo in typos:
        place %= len(text) + 1
        text = text[:place] + typo + text[place:]
    with patch.object(frames, "_read_plain", return_value=None):
        strictly = parse_frame(text)
    fast = parse_frame(text)
    if isinstance(strictly, CommandReq | CommandAnswer | Ping) and isinstance(fast, CommandReq | CommandAnswer | Ping):
        strictly, fast = replace(strictly, trace_id=TraceId("t")), replace(fast, trace_id=TraceId("t"))
    assert repr(fast) == repr(strictly)


def test_names_that_come_twice_are_seen_wherever_colons_are() -> None:
    for cmd in ('{"a":1,"a":2}', '{"a" :1,"a" : 2}', '{"a":":","a":2}', '{"a":1,"\\u0061":2}', '[{"a":1,"a":2},":"]'):
        assert parsed_req(req(cmd)).cmd_fault == "duplicate_key"

"""Entries: what can't be read is said, and nothing else is raised."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from recordings.entry import (
    FIRST_CHAIN,
    BadRecording,
    Header,
    RecordedUpTo,
    chain_after,
    pack,
    read_entry,
    unpack,
)
from world.rules import Rules


def test_packed_and_unpacked() -> None:
    chain = chain_after(FIRST_CHAIN, b"{}")
    assert unpack(pack(chain, b"{}", None)) == (chain, b"{}", None)
    assert unpack(pack(chain, b"{}", b"[1]")) == (chain, b"{}", b"[1]")
    assert chain_after(chain, b"{}") != chain != chain_after(FIRST_CHAIN, b"{} ")


@pytest.mark.parametrize("message", [b"", b"x", b"x\n{}", FIRST_CHAIN.encode(), FIRST_CHAIN.encode() + b"\n"])
def test_no_entry(message: bytes) -> None:
    with pytest.raises(BadRecording):
        unpack(message)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"1", b"{}", b'{"n":0,"t":0}', b'{"n":"0","t":0,"o":[]}', b'{"n":0,"t":0,"o":[],"h":{}}', b"\xff"],
)
def test_no_body(body: bytes) -> None:
    with pytest.raises(BadRecording):
        read_entry(FIRST_CHAIN, body)


@pytest.mark.parametrize(
    "done", [1, [], [1], ["Nope", {}], ["Leave", {}], ["Submit", {"cmd_text": "{"}], [1, "x"], ["Load", {"record": 1}]]
)
def test_no_input(done: Any) -> None:
    entry = read_entry(FIRST_CHAIN, orjson.dumps({"n": 0, "t": 0, "o": [done]}))
    with pytest.raises(BadRecording):
        entry.operations()


def test_where_a_recording_has_come_to() -> None:
    here = RecordedUpTo(3, 14, "ab")
    assert RecordedUpTo.read(here.text) == here
    for other in ("", "3", "3 14", "x 14 ab", "3 -1 ab", "3 14 ab c"):
        assert RecordedUpTo.read(other) is None


def test_a_header_says_why_it_is_not_run_here() -> None:
    header = Header(0, 1, 5, Rules().to_json())
    assert Header.from_json(orjson.loads(orjson.dumps(header.to_json()))) == header
    assert header.why_not_here() is None
    assert "version 9 of the rules" in (Header(0, 1, 5, {}, rules_version=9).why_not_here() or "")
    assert "format is 9" in (Header(0, 1, 5, {}, format=9).why_not_here() or "")
    with pytest.raises(BadRecording):
        Header(0, 1, 5, {"no_such_rule": 1}).rules_of()
    with pytest.raises(BadRecording):
        Header.from_json({"shard": 0})

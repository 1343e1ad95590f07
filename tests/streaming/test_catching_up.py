"""What was missed, by time: nothing is lost or doubled, whatever happened, and ids lead on from each event."""

from __future__ import annotations

import pytest

from streaming.catching_up import by_time
from streaming.cursor import Position
from streaming.entry import Event, SharedEvent
from streaming.follower import Followed
from tests.streaming.writer import agent_event, delta


def private(n: int, ts_ms: int, kind: str = "command_ack", **fields: object) -> Event:
    event = agent_event("ada", n, kind, **fields)
    event.ts_ms = ts_ms
    return event


def seen(chunk: str, tick: int) -> Event:
    return delta(chunk, (tick, 0), (tick - 1, 0), ("ada",), ts_ms=tick * 200)


def names(events: list[Followed]) -> list[str]:
    return [f"{event.kind}@{event.ts_ms}" for event, _ in events]


def test_events_among_the_deltas_of_their_time() -> None:
    missed = [(one, None) for one in (private(4, 400), private(5, 500), seen("a", 1), seen("a", 2), seen("a", 3))]
    found = by_time(missed, Position("a", (0, 7), 3))
    assert names(found) == [
        *("chunk_delta@200", "command_ack@400", "chunk_delta@400", "command_ack@500", "chunk_delta@600")
    ]
    assert [event_id for _, event_id in found] == ["a:1:0:3", "a:1:0:4", "a:2:0:4", "a:2:0:5", "a:3:0:5"]


@pytest.mark.parametrize("with_transition", [True, False])
def test_a_change_of_the_chunk_keeps_its_order(with_transition: bool) -> None:
    static = SharedEvent("chunk_static", b'{"chunk_id":"b"}', 9_999, "t")
    move = [private(5, 400, "chunk_transition", from_chunk_id="a", to_chunk_id="b")] if with_transition else []
    parts = [private(4, 200), seen("a", 2), *move, static, seen("b", 2), seen("b", 4), private(6, 400), private(7, 700)]
    found = by_time([(one, None) for one in parts], Position("a", (1, 0), 3))
    kinds = [event.kind for event, _ in found]
    assert kinds[:2] == ["command_ack", "chunk_delta"]
    at = kinds.index("chunk_static")
    assert kinds[at - 1 : at] == (["chunk_transition"] if with_transition else ["chunk_delta"])
    assert names(found)[at + 1 :] == ["chunk_delta@400", "command_ack@400", "command_ack@700", "chunk_delta@800"]
    assert [event_id for _, event_id in found][at + 1 :] == [
        *(f"b:2:0:{5 if with_transition else 4}", "b:2:0:6", "b:2:0:7", "b:4:0:7")
    ]
    if with_transition:
        assert found[at - 1][1] == "b:0:0:5"


def test_nothing_of_no_stream_has_an_id() -> None:
    said = SharedEvent("heartbeat", b"{}", 5, "t")
    assert by_time([(said, None)], Position(None, (0, 0), 3)) == [(said, None)]

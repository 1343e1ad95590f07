"""Event ids that come back: strict, bounded, and only what was ever given out."""

from __future__ import annotations

import pytest

from streaming.cursor import ChunkCursor, PlayedPlace, Position, position_event_id

USELESS = [
    "",
    "abc",
    "chunk-0",
    "chunk-0:5",
    "chunk-0:1_000:0",
    "chunk-0:+5:0",
    "chunk-0:-1:0",
    "chunk-0: 5:0",
    "chunk-0:5:0 ",
    "chunk-0:5:0\n",
    "chunk-0:05:0",
    "chunk-0:\uff11\uff10:0",
    "chunk-0:\u0661:0",
    "chunk-0:1e3:0",
    "chunk-0:5.0:0",
    "chunk-0:99999999999999999999:0",
    "chunk-0:5:0:",
    ":5:0",
    "-:0:0",
    "chunk 0:5:0",
    "chunk-0\u2028:5:0",
    "c" * 65 + ":5:0",
    "x" * 10_000,
    "chunk-0:" + "9" * 10_000 + ":0",
    "chunk-0:5:0\x00",
]


@pytest.mark.parametrize("text", USELESS)
def test_what_was_never_given_to_a_spectator_is_useless(text: str) -> None:
    assert ChunkCursor.parse(text) is None


@pytest.mark.parametrize("text", [*USELESS, "chunk-0:5:0", "-:5:0:1", "-:0:1:1", "chunk-0:5:0:01", "chunk-0:5:0:1:2"])
def test_what_was_never_given_to_a_follower_is_useless(text: str) -> None:
    assert Position.parse(text) is None


@pytest.mark.parametrize("cursor", [ChunkCursor("chunk-0", (0, 0)), ChunkCursor("chunk-17", (999_999_999_999_999, 12))])
def test_a_spectators_id_comes_back_whole(cursor: ChunkCursor) -> None:
    assert ChunkCursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "position", [Position("chunk-0", (5, 2), 17), Position(None, (0, 0), 3), Position("chunk-9", (0, 0), 0)]
)
def test_a_followers_id_comes_back_whole(position: Position) -> None:
    assert Position.parse(str(position)) == position
    assert position_event_id(position.chunk_id, position.at, position.agent_seq) == str(position)


def test_the_two_kinds_are_not_taken_for_each_other() -> None:
    assert ChunkCursor.parse("chunk-0:5:0:7") is None
    assert Position.parse("chunk-0:5:0") is None


@pytest.mark.parametrize("whole", [False, True])
def test_a_place_that_is_played_is_read_back(whole: bool) -> None:
    place = PlayedPlace("chunk-0", 17, 3, whole)
    assert PlayedPlace.parse(place.event_id) == place
    assert Position.parse(place.event_id) is None
    assert ChunkCursor.parse(place.event_id) is None


@pytest.mark.parametrize(
    "text",
    ["", "~", "~~~chunk-0:1:2", "chunk-0:1:2", "~-:1:2", "~chunk-0:1", "~chunk-0:01:2", "~chunk-0:1:2:3", "~" * 200],
)
def test_what_was_never_a_played_place(text: str) -> None:
    assert PlayedPlace.parse(text) is None

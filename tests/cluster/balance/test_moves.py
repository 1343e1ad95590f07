"""A move in words, and as it is kept."""

from __future__ import annotations

import pytest

from cluster.balance.moves import WHYS, ChunkMove, MoveRecord
from world.ids import ChunkId


@pytest.mark.parametrize("why", WHYS)
def test_words_say_why(why: str) -> None:
    move = ChunkMove(ChunkId("chunk-7"), 0, 1, why, 620_000, 110_000, 205_000)  # type: ignore[arg-type]
    words = move.in_words()
    expected = {
        "load": "chunks of shard-0 cost 62.0 %, those of shard-1 11.0 % of a core; this one 20.5 %",
        "traffic": "agents cross between it and chunks of shard-1; the chunk costs 20.5 % of a core",
        "leaving": "shard-0 is to be empty",
        "hash": "balancing is off, and its name belongs to shard-1",
    }
    assert words == expected[why]


def test_a_record_is_read_as_it_was_written_and_what_is_none_is_refused() -> None:
    record = MoveRecord(1_000, "chunk-7", 0, 1, "load", "because", "moved", 1.5)
    kept = record.to_json()
    assert MoveRecord.from_json(kept | {"of a newer version": 1}) == record
    with pytest.raises(KeyError):
        MoveRecord.from_json({"at_ms": 1})
    with pytest.raises(TypeError):
        MoveRecord.from_json(None)  # type: ignore[arg-type]

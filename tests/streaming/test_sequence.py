"""The order of a stream, without any server: holes, echoes, rewritten histories."""

from __future__ import annotations

import random

from streaming.entry import Entry
from streaming.sequence import MAX_HELD, Item, Resync, Sequence
from tests.streaming.writer import delta

KEY = "stream:chunk:chunk-0"


def history(length: int, first: int = 1) -> list[Entry]:
    return [delta("chunk-0", (tick, 0), (tick - 1, 0)) for tick in range(first, first + length)]


def started(head: tuple[int, int] | None = (0, 0)) -> Sequence:
    sequence = Sequence(KEY)
    assert sequence.started(head) == []
    return sequence


def ticks(items: list[Item]) -> list[int]:
    return [item.id[0] for item in items if not isinstance(item, Resync)]


def test_what_arrives_before_the_head_is_known_waits_for_it() -> None:
    sequence, entries = Sequence(KEY), history(4)
    for entry in entries:
        assert not sequence.receive(entry)
    assert ticks(sequence.started((2, 0))) == [3, 4]
    assert sequence.last == (4, 0)
    assert sequence.ready


def test_an_empty_stream_takes_its_first_entry_whatever_came_before() -> None:
    sequence = started(None)
    assert sequence.receive(delta("chunk-0", (9, 0), (8, 0)))
    assert sequence.last == (9, 0)


def test_a_hole_holds_back_what_is_newer() -> None:
    sequence, entries = started(), history(6)
    assert sequence.receive(entries[0])
    assert not sequence.receive(entries[3])
    assert not sequence.ready
    assert not sequence.receive(entries[4])
    assert ticks(sequence.filled(entries[0:4], (4, 0))) == [2, 3, 4, 5]
    assert sequence.receive(entries[5])


def test_echoes_of_a_filled_hole_are_dropped() -> None:
    sequence, entries = started(), history(5)
    assert sequence.receive(entries[0])
    assert not sequence.receive(entries[2])
    assert ticks(sequence.filled(entries[0:4], (4, 0))) == [2, 3, 4]
    assert not sequence.receive(entries[3])  # was under way when the stream was read
    assert not sequence.ready  # it might have been a rewritten history; the stream says that it was not
    assert sequence.filled(entries[3:4], (4, 0)) == []
    assert sequence.receive(entries[4])


def test_a_page_of_a_longer_hole_leaves_it_open() -> None:
    sequence, entries = started(), history(6)
    assert sequence.receive(entries[0])
    assert not sequence.receive(entries[5])
    assert ticks(sequence.filled(entries[0:3], (6, 0))) == [2, 3]
    assert not sequence.ready
    assert ticks(sequence.filled(entries[2:6], (6, 0))) == [4, 5, 6]
    assert sequence.ready


def test_a_trimmed_hole_is_a_resync() -> None:
    sequence, entries = started(), history(6)
    assert sequence.receive(entries[0])
    assert not sequence.receive(entries[5])
    assert sequence.filled(entries[3:6], (6, 0)) == [Resync(KEY)]
    assert sequence.last == (6, 0)


def test_a_stream_that_is_gone_or_went_back_is_a_resync() -> None:
    for head in (None, (2, 0)):
        sequence, entries = started(), history(4)
        for entry in entries:
            assert sequence.receive(entry)
        sequence.suspend()
        assert sequence.filled([], head) == [Resync(KEY)]
        assert sequence.last == head


def test_the_same_id_with_another_content_is_a_resync() -> None:
    sequence, entries = started(), history(3)
    for entry in entries:
        assert sequence.receive(entry)
    sequence.suspend()
    other = delta("chunk-0", (3, 0), (2, 0), ("somebody-else",))
    assert sequence.filled([other, delta("chunk-0", (4, 0), (3, 0))], (4, 0)) == [Resync(KEY)]


def test_nothing_missed_is_nothing_passed_on() -> None:
    sequence, entries = started(), history(3)
    for entry in entries:
        sequence.receive(entry)
    sequence.suspend()
    assert sequence.filled(entries[2:], (3, 0)) == []
    assert sequence.ready


def test_holding_back_is_bounded_and_still_complete() -> None:
    sequence, entries = started(), history(MAX_HELD + 100)
    for entry in entries[1:]:
        assert not sequence.receive(entry)
    seen = ticks(sequence.filled(entries[:10], (10, 0)))
    assert not sequence.ready  # what fell out is a hole of its own
    seen += ticks(sequence.filled(entries[9:], entries[-1].id))
    assert seen == [entry.id[0] for entry in entries]


def test_random_losses_and_fills_give_each_entry_once_in_order() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        sequence, entries, seen = started(), history(60), []
        for index, entry in enumerate(entries):
            if rng.random() < 0.7 and sequence.receive(entry):
                seen.append(entry.id[0])
            if rng.random() < 0.05:
                sequence.suspend()
            if not sequence.ready and rng.random() < 0.4:
                upto = entries[: index + 1]
                known = sequence.last or (0, 0)
                page = [e for e in upto if e.id >= known][: rng.choice((3, 100))]
                seen += ticks(sequence.filled(page, upto[-1].id))
        sequence.suspend()
        while not sequence.ready:
            seen += ticks(sequence.filled([e for e in entries if e.id >= (sequence.last or (0, 0))], entries[-1].id))
        assert seen == list(range(1, 61)), f"seed {seed}"

"""The order of a stream, without any server: detector, echoes, rewritten histories."""

from __future__ import annotations

import random

from streaming.entry import Entry
from streaming.gap_detector import MAX_HELD, GapDetector, Item, Resync
from tests.streaming.writer import delta

KEY = "stream:chunk:chunk-0"


def history(length: int, first: int = 1) -> list[Entry]:
    return [delta("chunk-0", (tick, 0), (tick - 1, 0)) for tick in range(first, first + length)]


def started(head: tuple[int, int] | None = (0, 0)) -> GapDetector:
    detector = GapDetector(KEY)
    assert detector.started(head) == []
    return detector


def ticks(items: list[Item]) -> list[int]:
    return [item.id[0] for item in items if not isinstance(item, Resync)]


def test_what_arrives_before_the_head_is_known_waits_for_it() -> None:
    detector, entries = GapDetector(KEY), history(4)
    for entry in entries:
        assert not detector.receive(entry)
    assert ticks(detector.started((2, 0))) == [3, 4]
    assert detector.last == (4, 0)
    assert detector.ready


def test_an_empty_stream_takes_its_first_entry_whatever_came_before() -> None:
    detector = started(None)
    assert detector.receive(delta("chunk-0", (9, 0), (8, 0)))
    assert detector.last == (9, 0)


def test_a_hole_holds_back_what_is_newer() -> None:
    detector, entries = started(), history(6)
    assert detector.receive(entries[0])
    assert not detector.receive(entries[3])
    assert not detector.ready
    assert not detector.receive(entries[4])
    assert ticks(detector.filled(entries[0:4], (4, 0))) == [2, 3, 4, 5]
    assert detector.receive(entries[5])


def test_echoes_of_a_filled_hole_are_dropped() -> None:
    detector, entries = started(), history(5)
    assert detector.receive(entries[0])
    assert not detector.receive(entries[2])
    assert ticks(detector.filled(entries[0:4], (4, 0))) == [2, 3, 4]
    assert not detector.receive(entries[3])  # was under way when the stream was read
    assert not detector.ready  # it might have been a rewritten history; the stream says that it was not
    assert detector.filled(entries[3:4], (4, 0)) == []
    assert detector.receive(entries[4])


def test_a_page_of_a_longer_hole_leaves_it_open() -> None:
    detector, entries = started(), history(6)
    assert detector.receive(entries[0])
    assert not detector.receive(entries[5])
    assert ticks(detector.filled(entries[0:3], (6, 0))) == [2, 3]
    assert not detector.ready
    assert ticks(detector.filled(entries[2:6], (6, 0))) == [4, 5, 6]
    assert detector.ready


def test_a_trimmed_hole_is_a_resync() -> None:
    detector, entries = started(), history(6)
    assert detector.receive(entries[0])
    assert not detector.receive(entries[5])
    assert detector.filled(entries[3:6], (6, 0)) == [Resync(KEY)]
    assert detector.last == (6, 0)


def test_a_stream_that_is_gone_or_went_back_is_a_resync() -> None:
    for head in (None, (2, 0)):
        detector, entries = started(), history(4)
        for entry in entries:
            assert detector.receive(entry)
        detector.suspend()
        assert detector.filled([], head) == [Resync(KEY)]
        assert detector.last == head


def test_the_same_id_with_another_content_is_a_resync() -> None:
    detector, entries = started(), history(3)
    for entry in entries:
        assert detector.receive(entry)
    detector.suspend()
    other = delta("chunk-0", (3, 0), (2, 0), ("somebody-else",))
    assert detector.filled([other, delta("chunk-0", (4, 0), (3, 0))], (4, 0)) == [Resync(KEY)]


def test_nothing_missed_is_nothing_passed_on() -> None:
    detector, entries = started(), history(3)
    for entry in entries:
        detector.receive(entry)
    detector.suspend()
    assert detector.filled(entries[2:], (3, 0)) == []
    assert detector.ready


def test_holding_back_is_bounded_and_still_complete() -> None:
    detector, entries = started(), history(MAX_HELD + 100)
    for entry in entries[1:]:
        assert not detector.receive(entry)
    seen = ticks(detector.filled(entries[:10], (10, 0)))
    assert not detector.ready  # what fell out is a gap of its own
    seen += ticks(detector.filled(entries[9:], entries[-1].id))
    assert seen == [entry.id[0] for entry in entries]


def test_random_losses_and_fills_give_each_entry_once_in_order() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        detector, entries, seen = started(), history(60), []
        for index, entry in enumerate(entries):
            if rng.random() < 0.7 and detector.receive(entry):
                seen.append(entry.id[0])
            if rng.random() < 0.05:
                detector.suspend()
            if not detector.ready and rng.random() < 0.4:
                upto = entries[: index + 1]
                known = detector.last or (0, 0)
                page = [e for e in upto if e.id >= known][: rng.choice((3, 100))]
                seen += ticks(detector.filled(page, upto[-1].id))
        detector.suspend()
        while not detector.ready:
            seen += ticks(detector.filled([e for e in entries if e.id >= (detector.last or (0, 0))], entries[-1].id))
        assert seen == list(range(1, 61)), f"seed {seed}"

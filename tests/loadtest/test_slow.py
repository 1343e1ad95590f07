"""Readers that do not keep up."""

from __future__ import annotations

import random

from loadtest.slow import PAUSED_S, READING_S, Slowness


class Connection:
    def __init__(self) -> None:
        self.told: list[bool] = []

    def pause(self, paused: bool) -> None:
        self.told.append(paused)


def test_pauses_and_reads_in_turn() -> None:
    slow, connection = Slowness(random.Random(1)), Connection()
    paused_s = reading_s = 0
    for second in range(600):
        slow.apply(connection, float(second), going=True)
        paused_s += slow.paused
        reading_s += not slow.paused
    assert connection.told[:4] == [True, False, True, False]
    assert paused_s > 5 * reading_s
    turns = len(connection.told) // 2
    assert 600 / (PAUSED_S[1] + READING_S + 2) <= turns <= 600 / PAUSED_S[0]


def test_a_new_connection_is_read_at_first() -> None:
    slow, older = Slowness(random.Random(1)), Connection()
    for second in range(7):
        slow.apply(older, float(second), going=True)
    assert slow.paused
    slow.apply(Connection(), 7.0, going=True)
    assert not slow.paused


def test_it_is_known_since_when_it_reads() -> None:
    slow, connection = Slowness(random.Random(1)), Connection()
    second = 0
    while connection.told[-1:] != [False]:
        second += 1
        slow.apply(connection, float(second), going=True)
    assert slow.reading_since == second


def test_in_the_end_everything_is_read() -> None:
    slow, connection = Slowness(random.Random(1)), Connection()
    for second in range(7):
        slow.apply(connection, float(second), going=True)
    for second in range(7, 200):
        slow.apply(connection, float(second), going=False)
    assert connection.told == [True, False]

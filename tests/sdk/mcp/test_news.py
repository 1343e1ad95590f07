"""What is told of what happened: sums, order, and what gives way when there is too much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chunkcrawl.mcp.news import KEPT, News, Weight


def test_what_one_takes_from_a_node_is_one_line() -> None:
    news = News()
    for _ in range(5):
        news.took("bob", "n-1", 1)
        news.took("eve", "n-1", 2)
    assert news.take() == ["bob took 5 gold from n-1.", "eve took 10 gold from n-1."]
    assert news.take() == []


def test_what_repeats_is_counted() -> None:
    news = News()
    for _ in range(3):
        news.add("bob came.", Weight.THING)
    assert news.take() == ["bob came. (3 times)"]


def test_talk_outlasts_routine_and_stays_in_order() -> None:
    news = News()
    news.add("Heard bob: hi", Weight.TALK)
    for number in range(KEPT + 50):
        news.took(f"miner-{number}", "n-1", 1)
    news.add("Heard bob: anybody?", Weight.TALK)
    lines = news.take(3)
    assert lines[0] == f"... {KEPT + 49} less important lines left out"
    assert (lines[1], lines[3]) == ("Heard bob: hi", "Heard bob: anybody?")


def test_ones_own_outlasts_a_flood_of_talk() -> None:
    news = News()
    news.add("The walk to 3,3 has reached its end.", Weight.OWN)
    for number in range(1_000):
        news.add(f"Heard bob: {number}", Weight.TALK)
    assert news.take(2)[1:] == ["The walk to 3,3 has reached its end.", "Heard bob: 999"]


@given(st.lists(st.tuples(st.text(max_size=5), st.sampled_from(Weight)), max_size=300), st.integers(1, 30))
def test_the_bound_holds_and_nothing_goes_uncounted(lines: list[tuple[str, Weight]], shown: int) -> None:
    news = News()
    for line, weight in lines:
        news.add(line, weight)
        news.took(line, "{x}", 0)
    told = news.take(shown)
    assert len(told) <= shown + 1
    assert not news

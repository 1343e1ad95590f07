"""Text of strangers for a terminal: obeyed by none, as wide as there is room, and told apart."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from chunkcrawl.view.plain import plain, short_names, shortened


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\nb", "a\u202eb", "a\x07b", "\ud800"])
def test_nothing_in_it_is_obeyed(text: str) -> None:
    assert plain(text).isprintable()


def test_it_has_an_end_and_takes_anything() -> None:
    assert len(plain("x" * 1_000)) == 100
    assert plain(["a\n"], most=3) == "['a"


@pytest.mark.parametrize("width", [1, 4, 5, 12, 30])
@pytest.mark.parametrize("text", ["agent-0000-0001", "\u6f22" * 20, "ab"])
def test_a_name_fits_and_keeps_its_end(text: str, width: int) -> None:
    short = shortened(text, width)
    assert cell_len(short) <= width
    assert short == text if cell_len(text) <= width else "…" in short


def test_the_tail_is_kept_where_ids_differ() -> None:
    assert shortened("agent-0000-0001", 10).endswith("0001")


@pytest.mark.parametrize("width", [6, 9, 14])
def test_names_that_differ_are_told_apart(width: int) -> None:
    names = {f"id-{n}": f"the-same-long-beginning-{n:02}-and-the-same-long-end" for n in range(12)}
    short = short_names(names, width)
    assert short.keys() == names.keys()
    assert len(set(short.values())) == len(names)
    assert all(cell_len(name) <= width for name in short.values())


def test_names_that_are_alike_get_numbers_by_id() -> None:
    short = short_names({"b": "bob", "a": "bob", "c": "carl"}, 8)
    assert (short["a"][-2:], short["b"][-2:], short["c"]) == ("#1", "#2", "carl")

"""docs/pitfalls.md explains every number of a pitfall that code and tests name, and no others."""

from __future__ import annotations

import re

import pytest

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "pitfalls.md").read_text()
ROWS = re.findall(r"^\| (B\d\d) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)

_NUMBER = re.compile(r"\bB\d\d\b")
_NAMED = re.compile(r"\b[Pp]itfalls? (B\d\d(?:, B\d\d)*)")


def named() -> dict[str, set[str]]:
    """The numbers in each Python file, but those in this one."""
    files = [path for folder in ROOT.iterdir() if folder.name[0] != "." for path in folder.rglob("*.py")]
    found = {str(path.relative_to(ROOT)): set(_NUMBER.findall(path.read_text())) for path in files}
    return {file: numbers for file, numbers in found.items() if numbers and file != "tests/docs/test_pitfalls.py"}


def test_each_row_says_both() -> None:
    numbers = [number for number, _, _ in ROWS]
    assert numbers == sorted(set(numbers))
    assert len(ROWS) == len(re.findall(r"^\| B", PAGE, re.MULTILINE))


def test_what_is_named_is_explained_and_nothing_else() -> None:
    assert set().union(*named().values()) == {number for number, _, _ in ROWS}


@pytest.mark.parametrize("file", named())
def test_a_number_is_called_a_pitfall_where_it_is_named(file: str) -> None:
    """Or the reader can't know where to look it up."""
    called = {number for numbers in _NAMED.findall((ROOT / file).read_text()) for number in numbers.split(", ")}
    assert called == named()[file]

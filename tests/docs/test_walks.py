"""docs/walks.md against the code: each file and function is there, and each step is called by one above it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import takewhile

import pytest

from tests.docs.blocks import ROOT

PAGE = ROOT / "docs" / "walks.md"

_STEP = re.compile(r"(\d+)\. \[`([^`]+)`\]\(\.\./([^)]+)\)(?: `([\w.]+)`)?: \S")


@dataclass(frozen=True)
class Step:
    """A line of a walk.  ``is_first``: of what another process or loop does."""

    walk: str
    number: int
    file: str
    link: str
    function: str | None
    is_first: bool

    def __str__(self) -> str:
        return f"{self.walk} {self.number}"

    @property
    def name(self) -> str:
        """By which whoever calls it names it: a class by its own name, a script by the name it was loaded under."""
        if self.function is None:
            return scripts()[self.file]
        *owner, last = self.function.split(".")
        return owner[-1] if last == "__init__" else last


@cache
def scripts() -> dict[str, str]:
    """The names that Lua files are loaded under, by file."""
    pattern = re.compile(r'^(\w+)(?:: \w+)? = load\(\s*"([^"]+)"', re.MULTILINE)
    rooms = ("api", "cluster", "operations", "streaming")
    texts = (path.read_text() for room in rooms for path in (ROOT / room).rglob("*.py"))
    return {file: name for text in texts for name, file in pattern.findall(text)}


def steps() -> Iterator[Step]:
    for section in PAGE.read_text().split("\n## ")[1:]:
        walk, *lines = section.splitlines()
        is_first = True
        for line in lines:
            if line and line[0].isdigit():
                found = _STEP.match(line)
                assert found, line
                yield Step(walk, int(found[1]), found[2], found[3], found[4], is_first)
            is_first = (bool(line) and not line[0].isdigit()) or (is_first and not line)


STEPS = list(steps())


@cache
def functions(file: str) -> dict[str, ast.AST]:
    """Functions and methods of a file by their qualified names."""
    found: dict[str, ast.AST] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[prefix + child.name] = child
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse((ROOT / file).read_text()), "")
    return found


def names(node: ast.AST) -> set[str]:
    """What is named anywhere in a piece of code."""
    return {
        word
        for part in ast.walk(node)
        for word in (getattr(part, "id", None), getattr(part, "attr", None))
        if isinstance(word, str)
    }


@cache
def named_by(file: str, function: str | None) -> frozenset[str]:
    """What a step's function names, and its file outside of functions (tables of functions)."""
    if function is None or function not in functions(file):
        return frozenset()
    tree = ast.parse((ROOT / file).read_text())
    outside = [
        node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    within = [
        functions(file)[function],
        *(node for node in outside if not isinstance(node, ast.Import | ast.ImportFrom)),
    ]
    return frozenset(name for node in within for name in names(node))


def test_there_are_five_walks_with_every_step_in_order() -> None:
    walks = list(dict.fromkeys(step.walk for step in STEPS))
    assert walks == ["A command", "A delta", "A crossing", "A recovery", "`chunkcrawl up`"]
    for walk in walks:
        numbers = [step.number for step in STEPS if step.walk == walk]
        assert numbers == list(range(1, len(numbers) + 1))
        section = PAGE.read_text().partition(f"\n## {walk}\n")[2].partition("\n## ")[0]
        assert "**commit point**" in section


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_is_there(step: Step) -> None:
    assert step.file == step.link
    assert (ROOT / step.file).is_file()
    if step.file.endswith(".py"):
        assert step.function in functions(step.file)


@pytest.mark.parametrize("step", [step for step in STEPS if not step.is_first], ids=str)
def test_a_step_is_called_by_one_above_it(step: Step) -> None:
    above = takewhile(lambda other: other != step, (other for other in STEPS if other.walk == step.walk))
    named = any(step.name in named_by(other.file, other.function) for other in above)
    assert named, f"no step above names {step.name}"

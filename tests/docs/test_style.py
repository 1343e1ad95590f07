"""One style of writing: what ruff's rules do not say about docstrings, comments and constants."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from tests.docs.blocks import ROOT

CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]+$")
SENTENCE_END = re.compile(r"(?<![.\s])[.!?][`\"')]* (?=[`\"'(]*[A-Z]|``)")
ABBREVIATION = re.compile(r"\b(e\.g|i\.e|vs|etc|cf)\.$")
BANNER = re.compile(r"# -- [^-].* --$")
# Classes of one name that are one thing at two ends: server and SDK, world and stream, row and value.
NAMED_ALIKE = {
    *(
        "Account",
        "Agent",
        "ApiError",
        "ApiKey",
        "Challenge",
        "ChunkDelta",
        "ChunkSnapshot",
        "Event",
        "Harvest",
        "KeyInfo",
    ),
    *("KeyInfo", "NodeSpec", "Note", "PrivateEvent", "Say", "Session", "Thought"),
}
# What somebody else shows to people: help pages of commands, descriptions of MCP tools.
SHOWN = ("cli/", "sdk/chunkcrawl/commands/", "sdk/chunkcrawl/mcp/tools.py", "cluster/hosted/server.py")

Docstring = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def sources() -> dict[str, str]:
    names = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    return {name: (ROOT / name).read_text() for name in names if not name.startswith("migrations/versions")}


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(text) for name, text in sources().items()}


def docstrings() -> Iterator[tuple[str, int, str]]:
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if not isinstance(node, Docstring) or (text := ast.get_docstring(node, clean=False)) is None:
                continue
            for number, line in enumerate(text.split("\n"), start=node.body[0].lineno):
                yield name, number, line


@cache
def comments() -> list[tuple[str, int, str, bool]]:
    """Every comment with its place, and whether the line is its own and empty ones are around it."""
    found = []
    for name, text in sources().items():
        lines = text.split("\n")
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                row = token.start[0]
                around = lines[row - 2 : row - 1] + lines[row : row + 1]
                alone = token.line.strip() == token.string and not any(line.strip() for line in around)
                found.append((name, row, token.string, alone))
    return found


def test_two_spaces_between_sentences_of_a_docstring() -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, number, line in docstrings()
        if not name.startswith(SHOWN)
        for match in SENTENCE_END.finditer(line)
        if not ABBREVIATION.search(line[: match.end() - 1])
    ]
    assert found == []


def test_attributes_are_described_above_them() -> None:
    found = [
        f"{name}:{after.lineno}: say it above the attribute, after `#:`"
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(body := getattr(node, "body", None), list)
        for before, after in pairwise(body)
        if isinstance(before, ast.Assign | ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and isinstance(after.value.value, str)
    ]
    # Authors of agents read the SDK's classes with `help()`, which shows no comment.
    found += [
        f"{name}:{number}: say it above each attribute, after `#:`"
        for name, number, line in docstrings()
        if line.strip() == "Attributes:" and not name.startswith("sdk/")
    ]
    assert found == []


def test_banners_have_one_form() -> None:
    rules = [f"{name}:{row}: {text}" for name, row, text, _ in comments() if re.match(r"# ?--", text)]
    other = [line for line in rules if not BANNER.search(line)]
    other += [
        f"{name}:{row}: {text}"
        for name, row, text, alone in comments()
        if alone and re.fullmatch(r"# [a-z`][^.#]{0,50}", text) and not text.startswith("# --")
    ]
    assert other == []


def test_constants_are_final() -> None:
    found = []
    for name, tree in trees().items():
        if name.startswith(("tests/", "migrations/")):
            continue
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                target, kind = node.targets[0].id, None
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                target, kind = node.target.id, ast.unparse(node.annotation)
            else:
                continue
            if CONSTANT.fullmatch(target) and not (kind or "").startswith(("Final", "TypeAlias")):
                found.append(f"{name}:{node.lineno}: {target}")
    assert found == []


def test_no_two_classes_of_different_meaning_share_a_name() -> None:
    names = Counter(
        node.name
        for name, tree in trees().items()
        if not name.startswith("tests/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in names.items() if count > 1} == NAMED_ALIKE

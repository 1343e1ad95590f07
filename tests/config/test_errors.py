"""Every error of the server descends from one root and has a code of its own."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from config.errors import OperatorError, ServerError, TryAgain
from tests.docs.blocks import ROOT

ROOMS = ("api", "cli", "cluster", "config", "embedded", "loadtest", "migrations", "operations", "store", "streaming")
OUTSIDE = {"Exception", "HTTPException", "LookupError", "OSError", "RedisError", "RuntimeError", "ValueError"}
BRANCHES = {"ServerError", "TryAgain", "OperatorError"}


def _errors() -> dict[str, tuple[Path, ast.ClassDef]]:
    """Return the public classes of the rooms that are exceptions, by name."""
    classes = {
        node.name: (path, node)
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    errors = set(OUTSIDE)
    while True:
        more = {name for name, (_, node) in classes.items() if errors & _bases(node)} - errors
        if not more:
            break
        errors |= more
    return {name: classes[name] for name in errors - OUTSIDE if not name.startswith("_")}


def _bases(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(base).rpartition(".")[2] for base in node.bases}


def _reason(node: ast.ClassDef) -> str | None:
    for line in node.body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "reason":
            return str(ast.literal_eval(line.value))
    return None


def test_one_tree() -> None:
    errors = _errors()
    assert len(errors) > 30
    tree = set(BRANCHES)
    while more := {name for name, (_, node) in errors.items() if tree & _bases(node)} - tree:
        tree |= more
    assert sorted(set(errors) - tree) == []


def test_each_has_a_code_of_its_own() -> None:
    # Reasons of an ``ApiError`` are the wire contract's, given to each one as it is made.
    leaves = {name: node for name, (_, node) in _errors().items() if name not in {*BRANCHES, "ApiError", "KeyRefused"}}
    reasons = {name: _reason(node) for name, node in leaves.items()}
    assert [name for name, reason in reasons.items() if not re.fullmatch("[a-z_]+", reason or "")] == []
    assert [reason for reason, count in Counter(reasons.values()).items() if count > 1] == []


@pytest.mark.parametrize("branch", [TryAgain, OperatorError])
def test_branches(branch: type[ServerError]) -> None:
    assert issubclass(branch, ServerError)
    assert branch.reason != ServerError.reason

"""No two modules import each other, however far round, imports for the type checker included.

Those would start all the same, but who reads one of them has to read them all.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
ROOMS: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]

Imports = dict[str, set[str]]


def imports_of(*packages: str) -> Imports:
    """Every module with those that it imports anywhere in it, in functions and under ``TYPE_CHECKING`` too."""
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=False, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def circles(imports: Imports) -> list[list[str]]:
    """Modules that reach each other, each circle sorted."""
    reached = {module: _reached(imports, module) for module in imports}
    found = {tuple(sorted(m for m in reached[module] if module in reached[m])) for module in imports}
    return sorted(list(circle) for circle in found if circle)


def _reached(imports: Imports, start: str) -> set[str]:
    """What ``start`` imports, directly or by others; itself only if it is in a circle."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = imports.get(waiting.pop(), set()) - found
        found |= new
        waiting.extend(new)
    return found


def test_there_are_no_circles_of_imports() -> None:
    imports = imports_of(*ROOMS)
    assert len(imports) > 300
    assert circles(imports) == []


@pytest.mark.parametrize("where", ["", "if TYPE_CHECKING:\n    ", "def later():\n    "])
def test_a_circle_is_found_wherever_its_imports_stand(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "round"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, other in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")):
        text = f"from typing import TYPE_CHECKING\n{where}from round import {other}\n"
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert circles(imports_of("round")) == [["round.a", "round.b", "round.c"]]

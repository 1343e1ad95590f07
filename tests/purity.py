"""Says where a room is not pure: ``python -m tests.purity world``, exit code 1 when something was found.

import-linter knows which modules may not be imported.  This looks at what is left: what is called through modules that
are fine in themselves, and anything asynchronous.  The same input must give the same bytes on every machine, so no
clock, no unseeded randomness, no salted ``hash``, no file, no environment.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ALLOWED_PACKAGES = frozenset({"numpy", "tcod", "world"}) | sys.stdlib_module_names
# With a seed these are fine.
SEEDABLE = frozenset({"random.Random", "numpy.random.Generator", "numpy.random.PCG64", "numpy.random.default_rng"})
IMPURE_CALLS = frozenset({"hash", "id", "input", "open", "print", "exec", "eval", "__import__", "vars", "globals"})
IMPURE_MODULES = ("random", "numpy.random", "secrets", "time", "os", "uuid", "datetime")
ASYNCHRONOUS = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)


def impurities(source: str) -> Iterator[tuple[int, str]]:
    """Line and description of everything in a module's ``source`` that may differ from run to run."""
    tree = ast.parse(source)
    names = dict(_imports(tree))
    in_hash = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "__hash__"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for package in _packages(node) - ALLOWED_PACKAGES:
                yield node.lineno, f"imports {package}"
        elif isinstance(node, ASYNCHRONOUS):
            yield node.lineno, "is asynchronous"
        elif isinstance(node, ast.Call):
            name = _resolve(node.func, names)
            seeded = name in SEEDABLE and (node.args or node.keywords)
            if not seeded and _is_impure(name) and not (name == "hash" and node in in_hash):
                yield node.lineno, f"calls {name}"


def _is_impure(name: str) -> bool:
    return name in IMPURE_CALLS or name in SEEDABLE or name.rpartition(".")[0] in IMPURE_MODULES


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each name that an import binds, with what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _packages(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return set() if node.level or node.module is None else {node.module.partition(".")[0]}


def _resolve(function: ast.expr, names: dict[str, str]) -> str:
    """Dotted name of what is called, its first part replaced by what it was imported as; empty for other things."""
    parts: list[str] = []
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if not isinstance(function, ast.Name):
        return ""
    return ".".join([names.get(function.id, function.id), *reversed(parts)])


def main(room: str) -> int:
    found = [
        f"{path}:{line} {what}"
        for path in sorted(Path(room).rglob("*.py"))
        for line, what in sorted(impurities(path.read_text(encoding="utf-8")))
    ]
    print("\n".join(found) if found else f"{room} is pure")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

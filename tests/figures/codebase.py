"""The code in figures: rooms, who imports whom, circles.  ``make figures`` prints them for docs/architecture.md.

    python -m tests.figures.codebase [DIRECTORY]

Files are read, not imported, so an older checkout can be given as ``DIRECTORY``.  An import counts wherever it stands,
in a function and behind ``TYPE_CHECKING`` too.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.test_circles import circles

#: What is no room: tests, and what is not ours or not code.
NO_ROOMS: Final = frozenset({"tests", "docs", "examples", "deploy", "build", "dist", "web"})


class Codebase:
    """The Python files of a checkout by their rooms, and the imports between them."""

    def __init__(self, root: Path) -> None:
        #: By the name under which a module is imported.
        self.files: dict[str, Path] = {}
        for top in (*root.iterdir(), *root.glob("sdk/*/")):
            if top.is_dir() and top.name not in NO_ROOMS and (top / "__init__.py").exists():
                for path in top.rglob("*.py"):
                    parts = path.relative_to(top.parent).with_suffix("").parts
                    self.files[".".join(parts).removesuffix(".__init__")] = path
        #: The modules that each module imports.
        self.imports: dict[str, set[str]] = {name: set(self._imported(name)) - {name} for name in self.files}

    @property
    def rooms(self) -> dict[str, list[str]]:
        """The modules of each room."""
        rooms: dict[str, list[str]] = {}
        for name in sorted(self.files):
            rooms.setdefault(name.partition(".")[0], []).append(name)
        return rooms

    def lines(self, name: str) -> int:
        """Lines of a module, with blanks and comments."""
        return len(self.files[name].read_text().splitlines())

    def pairs(self) -> Counter[tuple[str, str]]:
        """For each room that imports another: how many pairs of modules do it."""
        found: Counter[tuple[str, str]] = Counter()
        for name, imported in self.imports.items():
            found.update((name.partition(".")[0], other.partition(".")[0]) for other in imported)
        return Counter({pair: count for pair, count in found.items() if pair[0] != pair[1]})

    def _imported(self, name: str) -> Iterator[str]:
        for node in ast.walk(ast.parse(self.files[name].read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)
            elif isinstance(node, ast.ImportFrom) and node.module in self.files and not node.level:
                # ``from room import module`` is of the module, else of the room's ``__init__``.
                for alias in node.names:
                    module = f"{node.module}.{alias.name}"
                    yield module if module in self.files else node.module


def main(root: Path) -> None:
    """Print the figures as Markdown."""
    code = Codebase(root)
    print("| room | files | lines | median file |\n| --- | --- | --- | --- |")
    sizes = {room: [code.lines(name) for name in names] for room, names in code.rooms.items()}
    for room, lines in sorted(sizes.items(), key=lambda item: -sum(item[1])):
        print(f"| `{room}` | {len(lines)} | {sum(lines):,} | {statistics.median(lines):.0f} |")
    pairs = code.pairs()
    print(f"\n{len(pairs)} pairs of rooms, {pairs.total()} pairs of modules: ")
    for room in sizes:
        others = ", ".join(f"{to} {count}" for (by, to), count in pairs.most_common() if by == room)
        if others:
            print(f"- {room}: {others}")
    found = circles(code.imports)
    both = {tuple(sorted(pair)) for pair in pairs if pair[::-1] in pairs}
    print(f"\n{len(both)} pairs of rooms that import each other {sorted(both) or ''}")
    print(f"{len(found)} circles of modules {found or ''}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())

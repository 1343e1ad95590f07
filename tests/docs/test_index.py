"""What is written can be found: indexes, links, numbers, and the names that code gives to pages."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
#: A file in backticks, by its path from the top (or from ``sdk/``), and its room.
_FILE = re.compile(r"`((\.?\w+)/[\w./-]+\.(?:css|html|js|lua|md|py|toml|yaml|yml))`")
_DECISION = re.compile(r"decisions/(\d{4})-([a-z-]+)\.md")


def linked(page: Path) -> set[Path]:
    """Files that a page links to."""
    targets = (target for target in _LINK.findall(page.read_text()) if "://" not in target)
    return {(page.parent / target).resolve() for target in targets}


def named_decisions() -> Iterator[tuple[str, str, str]]:
    """File, number and name for each decision that a tracked file names."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    for file in files or [str(path.relative_to(ROOT)) for path in ROOT.glob("*/**/*.py") if ".venv" not in path.parts]:
        path = ROOT / file
        if path.suffix in (".py", ".md", ".yaml", ".yml", ".toml") and path.exists():
            for number, name in _DECISION.findall(path.read_text(errors="replace")):
                yield file, number, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert not [target for target in linked(page) if not target.exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_are_there(page: Path) -> None:
    named = {Path("sdk" if room == "chunkcrawl" else ".") / file for file, room in _FILE.findall(page.read_text())}
    assert not [str(file) for file in named if not (ROOT / file).exists()]


def test_every_page_is_in_the_index() -> None:
    pages = {path.resolve() for path in (*DOCS.glob("*.md"), *DOCS.glob("*.yaml"), DOCS / "decisions" / "README.md")}
    assert pages - {(DOCS / "README.md").resolve()} <= linked(DOCS / "README.md")
    assert (DOCS / "README.md").resolve() in linked(ROOT / "README.md")


def test_every_decision_is_in_the_index_in_order() -> None:
    index = (DOCS / "decisions" / "README.md").read_text()
    assert re.findall(r"\((\d{4}-[a-z-]+\.md)\)", index) == [path.name for path in DECISIONS]


def test_a_number_is_used_once_and_stands_in_the_heading() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert len(numbers) == len(set(numbers))
    for path in DECISIONS:
        assert path.read_text().startswith(f"# {path.name[:4]}: ")


def test_decisions_are_named_by_their_present_number() -> None:
    by_number = {path.name[:4]: path.name[5:-3] for path in DECISIONS}
    number_of = {name: number for number, name in by_number.items()}
    found = list(named_decisions())
    assert len(found) > 10
    wrong = [
        f"{file} names {number}-{name}"
        for file, number, name in found
        # One that is not written yet may be named; one that is, by its own number and name only.
        if by_number.get(number, name) != name or number_of.get(name, number) != number
    ]
    assert not wrong

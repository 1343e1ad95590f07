"""README's tables, against the tree and the command."""

from __future__ import annotations

import re

from chunkcrawl.commands.main import app, commands
from tests.docs.blocks import ROOT

TEXT = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_command_is_in_the_table_once() -> None:
    rows = [line.split("|")[2] for line in section("Commands").splitlines() if line.startswith("| ")]
    named = [name for row in rows for name in re.findall(r"`([a-z-]+)`", row)]
    own = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert sorted(named) == sorted({*commands(), *own})


def test_every_folder_of_code_is_in_the_layout() -> None:
    named = set(re.findall(r"`([a-z_/]+)/`", section("Where things are")))
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms | {"tests", "docs", "deploy", "examples"} <= named
    assert not [name for name in named if not (ROOT / name).is_dir()]


def test_the_first_screen_shows_a_living_world() -> None:
    first = "\n".join(TEXT.splitlines()[:40])
    for wanted in ("agent ─ws─► gateway", "make run", "/watch", "curl -N"):
        assert wanted in first

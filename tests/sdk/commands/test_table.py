"""Which commands there are: the players', and those of other distributions, found without strangers' files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from chunkcrawl.commands import table
from chunkcrawl.commands.table import TABLE, Table, begin, named, tables

MODULE = """
from chunkcrawl.commands.table import Lazy, Table
begun = []
def start():
    begun.append(1)
TABLE = Table({"brew": Lazy("teapot:app", "Make tea.")}, begin="teapot:start")
"""


@pytest.fixture(autouse=True)
def found_anew() -> Iterator[None]:
    tables.cache_clear()
    yield
    tables.cache_clear()
    sys.modules.pop("teapot", None)


def installed(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    def entry_points(**wanted: Any) -> list[EntryPoint]:
        assert wanted == {"group": table.GROUP}
        return list(points)

    monkeypatch.setattr(table, "entry_points", entry_points)


OWN = EntryPoint("players", "chunkcrawl.commands.table:TABLE", table.GROUP)
TEAPOT = EntryPoint("teapot", "teapot:TABLE", table.GROUP)


def test_alone_there_are_the_players_commands_once(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, OWN)
    assert tables() == (TABLE,)


def test_others_follow_and_their_begin_is_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "teapot.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    installed(monkeypatch, TEAPOT, OWN)
    assert [list(one.commands) for one in tables()] == [list(TABLE.commands), ["brew"]]
    begin()
    assert named("teapot:begun") == [1]


def test_a_strangers_file_of_the_same_name_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "teapot.py").write_text("raise SystemExit('a file of the working directory was run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    installed(monkeypatch, TEAPOT)
    before = sys.path[:]
    with pytest.raises(ModuleNotFoundError):
        tables()
    assert sys.path == before


@pytest.mark.parametrize("one", [table.TABLE, named("cli.table:TABLE")], ids=["players", "operators"])
def test_what_a_table_names_is_there(one: Table) -> None:
    targets = {command.target for command in one.commands.values()} | {one.begin, one.check} - {""}
    assert all(callable(named(target)) for target in targets)
    assert all(command.help.endswith(".") for command in one.commands.values())

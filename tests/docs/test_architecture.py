"""The table of Redis keys, against the functions and scripts that make them."""

from __future__ import annotations

import inspect
import re
from types import ModuleType

import pytest

from api import keys as api_keys
from cluster.archive_stream import GROUP, STATS
from cluster.backup_age import LAST_BACKUP
from streaming import keys
from streaming.lua import GIVEN, code_names
from tests.docs.blocks import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
TABLE = TEXT.partition("## Redis keys")[2].partition("Pub/Sub channels")[0]
FIRST_CELLS = " ".join(line.split("|")[1] for line in TABLE.splitlines() if line.startswith("| `"))
DOCUMENTED = set(re.findall(r"`([a-z_:]+)", FIRST_CELLS))
ROOMS = ("streaming", "store", "cluster", "api")


def prefix(name: str) -> str:
    """A key up to its first variable part."""
    return name.partition("{")[0]


def made_by(module: ModuleType) -> set[str]:
    """Keys that the functions of a module make, up to what varies."""
    functions = [value for _, value in inspect.getmembers(module, inspect.isfunction)]
    return {prefix(function(*["{}"] * len(inspect.signature(function).parameters))) for function in functions}


@pytest.mark.parametrize("module", [keys, api_keys])
def test_keys_that_functions_make(module: ModuleType) -> None:
    made = made_by(module) - {"ctl:agent:", "ctl:mcp:"}
    assert len(made) > 8
    assert made <= DOCUMENTED


def test_keys_with_fixed_names() -> None:
    fixed = {keys.WORLD, keys.CHUNKS, keys.POPULATION, keys.PRESENCE, keys.STATUS, keys.METRICS, keys.ARCHIVE_STREAM}
    assert fixed | {STATS, LAST_BACKUP} <= DOCUMENTED
    assert f"consumer group `{GROUP}`" in TABLE


def test_keys_that_scripts_use() -> None:
    """``AGENT`` in a script is what ``keys.agent`` makes, or the value ``keys.AGENT``."""
    texts = [path.read_text() for room in (*ROOMS, "operations") for path in (ROOT / room).rglob("*.lua")]
    names = {name for text in texts for name in code_names(text) if name.isupper()} - GIVEN
    made = {name.lower(): vars(module).get(name, "") for name in names for module in (keys, api_keys)}
    used = {value for value in made.values() if isinstance(value, str) and value}
    for module in (keys, api_keys):
        used |= {
            prefix(function("{}")) for name, function in inspect.getmembers(module, inspect.isfunction) if name in made
        }
    assert len(used) > 20
    assert {name for name in used if not name.startswith("ctl:")} <= DOCUMENTED


def test_nothing_documented_is_gone() -> None:
    source = "".join(path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    assert not [name for name in DOCUMENTED if f'"{name}' not in source and f"'{name}" not in source]

"""Which commands there are: the players', and those that other installed distributions add to ``chunkcrawl``.

A distribution adds its own with an entry point in the group ``chunkcrawl.commands`` that names a ``Table``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

__all__ = ["GROUP", "TABLE", "Lazy", "Table", "begin", "named", "tables"]

GROUP: Final = "chunkcrawl.commands"


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that is imported when it is used: ``module:attribute`` of a Typer app, and its line in the help.

    Of an app with several commands the one of the same name is taken, of any other app the whole.
    """

    target: str
    help: str


@dataclass(frozen=True, slots=True)
class Table:
    """What one distribution adds.

    Args:
        commands: By name, in the order of the help.
        begin: ``module:function`` called without arguments before anything else of that distribution is imported.
        check: ``module:function`` called without arguments before a command runs; it may end the program.
    """

    commands: dict[str, Lazy] = field(default_factory=dict)
    begin: str = ""
    check: str = ""


_APP: Final = "chunkcrawl.commands.app:app"

TABLE: Final = Table(
    {
        "signup": Lazy(_APP, "Make an account."),
        "login": Lazy(_APP, "Log in with e-mail and password, on another machine or again."),
        "key": Lazy(_APP, "Create, list and revoke API keys."),
        "agent": Lazy(_APP, "List agents of yours; say who may read what they think."),
        "session": Lazy(_APP, "Open a session and print it."),
        "play": Lazy(_APP, "Play in the terminal, by hand or with a bot."),
        "watch": Lazy(_APP, "Watch a chunk, or follow an agent of yours."),
        "history": Lazy(_APP, "Show what an agent of yours did."),
        "say": Lazy(_APP, "Let an agent say something."),
        "scenario": Lazy(_APP, "Run a scripted scenario and check what it expects."),
        "mcp": Lazy(_APP, "Let a language model play an agent over MCP."),
    }
)


@cache
def tables() -> tuple[Table, ...]:
    """Return all tables: the players' first, then the others by the names of their entry points."""
    found = sorted(entry_points(group=GROUP), key=lambda one: one.name)
    with _without_strangers_modules():
        return (TABLE, *(point.load() for point in found if point.value.partition(":")[0] != __name__))


def begin() -> None:
    """Call the ``begin`` of every table."""
    for table in tables():
        if table.begin:
            with _without_strangers_modules():
                call = named(table.begin)
            call()


def named(target: str) -> Any:
    """Return what ``module:attribute`` names, importing the module."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


@contextmanager
def _without_strangers_modules() -> Iterator[None]:
    """Leave the working directory and ``PYTHONPATH`` out of the path: files of everyday names may lie there."""
    before = sys.path[:]
    strangers = {os.path.abspath(entry) for entry in ["", *os.environ.get("PYTHONPATH", "").split(os.pathsep)]}
    sys.path[:] = [entry for entry in before if os.path.abspath(entry) not in strangers]
    try:
        yield
    finally:
        sys.path[:] = before

"""Where our processes look for modules: not in the directory somebody happens to stand in.

Our packages have everyday names (``api``, ``config``, ``world``), and so have many people's files.  Python looks in the
working directory (``python -m``) and in ``PYTHONPATH`` before it looks where packages are installed.
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = ["HOME", "PACKAGES", "kept_entries", "module_argv", "source_tree", "use_own_packages"]

PACKAGES: Final = (
    *("api", "cli", "cluster", "config", "embedded", "loadtest", "migrations", "operations", "store", "streaming"),
    *("web", "world"),
)

#: The directory that holds our packages.
HOME: Final = Path(__file__).resolve().parents[1]


def use_own_packages() -> None:
    """Take what could shadow our packages out of this process's path, and out of the one its children will have.

    Entries of ``PYTHONPATH`` stay unless they are the working directory or hold something of a name of ours.  Call it
    before anything of ours is imported but this module.
    """
    given = os.environ.get("PYTHONPATH")
    entries = given.split(os.pathsep) if given else []
    kept = kept_entries(entries)
    dropped = {_resolved(entry) for entry in entries} - {_resolved(entry) for entry in kept}
    if sys.path and _resolved(sys.path[0]) == _resolved(""):  # `python -m`
        dropped.add(_resolved(""))
    sys.path[:] = [entry for entry in sys.path if _resolved(entry) not in dropped or _installs(entry)]
    if source_tree():
        kept = [str(HOME), *(entry for entry in kept if _resolved(entry) != HOME)]
    if kept:
        os.environ["PYTHONPATH"] = os.pathsep.join(kept)
    elif given is not None:
        del os.environ["PYTHONPATH"]


def kept_entries(entries: Iterable[str]) -> list[str]:
    """Return the entries of ``PYTHONPATH`` that may stay, as absolute paths; an empty one is the working directory."""
    kept = []
    for entry in entries:
        path = _resolved(entry)
        if path == HOME or (path != _resolved("") and not _shadows(path)):
            kept.append(str(path))
    return kept


def source_tree() -> bool:
    """Return whether our packages are run from their sources, and not from where packages are installed."""
    return not _installs(str(HOME))


def module_argv(module: str) -> list[str]:
    """Return the command line that runs a module of ours without the working directory on its path."""
    return [sys.executable, "-P", "-m", module]


def _shadows(directory: Path) -> bool:
    return any((directory / name).is_dir() or (directory / f"{name}.py").exists() for name in PACKAGES)


def _installs(entry: str) -> bool:
    """Return whether packages are installed there: whatever else lies there, Python can't do without it."""
    known = [*site.getsitepackages(), site.getusersitepackages()]
    return _resolved(entry) in {_resolved(path) for path in known}


def _resolved(entry: str) -> Path:
    return Path(entry or os.curdir).resolve()

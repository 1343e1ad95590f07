"""A copy of this tree in which some places read differently, for processes that are to behave differently there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.scenarios import ROOT

#: What no process of ours needs, at the top of the tree.
LEFT_OUT = ("build", "data", "deploy", "dist", "docs")


@dataclass(frozen=True, slots=True)
class Patch:
    """``old`` stands once in the file ``path``; it is to be ``new``."""

    path: str
    old: str
    new: str


def patched_tree(directory: Path, patches: Iterable[Patch]) -> Path:
    """Copy the tree to ``directory``, which must not exist, with the patches; raises when one does not fit."""
    shutil.copytree(ROOT, directory, ignore=_left_out)
    for patch in patches:
        file = directory / patch.path
        text = file.read_text()
        assert text.count(patch.old) == 1, (
            f"{patch.path} has changed: it has {patch.old!r} {text.count(patch.old)} times"
        )
        file.write_text(text.replace(patch.old, patch.new))
    return directory


def _left_out(directory: str, names: list[str]) -> set[str]:
    top = LEFT_OUT if Path(directory) == ROOT else ()
    return {name for name in names if name.startswith(".") or name in ("__pycache__", "node_modules", *top)}

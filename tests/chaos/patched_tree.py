"""A copy of this tree in which some places read differently, for processes that are to behave differently there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.scenarios import ROOT

#: What a process needs of the tree, and what is never copied.
LEFT_OUT = shutil.ignore_patterns(
    *(".*", "__pycache__", "node_modules", "build", "dist", "docs", "data", "*.egg-info", "deploy"),
)


@dataclass(frozen=True, slots=True)
class Patch:
    """``old`` stands once in the file ``path``; it is to be ``new``."""

    path: str
    old: str
    new: str


def patched_tree(directory: Path, patches: Iterable[Patch]) -> Path:
    """Copy the tree to ``directory``, which must not exist, with the patches; raises when one does not fit."""
    shutil.copytree(ROOT, directory, ignore=LEFT_OUT)
    for patch in patches:
        file = directory / patch.path
        text = file.read_text()
        assert text.count(patch.old) == 1, (
            f"{patch.path} has changed: it has {patch.old!r} {text.count(patch.old)} times"
        )
        file.write_text(text.replace(patch.old, patch.new))
    return directory

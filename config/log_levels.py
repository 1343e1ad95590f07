"""Levels of the log, one for all and others for single modules: ``streaming.hub=debug,api=warning``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_MODULE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z", re.ASCII)


def parse_levels(text: str) -> dict[str, int]:
    """Return the levels by module, as the setting has them.

    Raises:
        ValueError: a part is not ``module=level``.
    """
    levels = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        module, _, level = (piece.strip() for piece in part.partition("="))
        if not _MODULE.match(module) or level not in LEVELS:
            raise ValueError(f"must be like api=warning,streaming.hub=debug; levels are {', '.join(LEVELS)}")
        levels[module] = LEVELS[level]
    return levels


class LevelTable:
    """Which level holds for a module: that of the longest part of its name that has one, else the general one."""

    def __init__(self, general: int, by_module: Mapping[str, int]) -> None:
        self._general = general
        self._by_module = dict(by_module)
        self._found: dict[str, int] = {}

    @property
    def least(self) -> int:
        """Below this nothing is logged, whoever logs it."""
        return min([self._general, *self._by_module.values()])

    @property
    def modules(self) -> list[str]:
        """Those with a level of their own."""
        return list(self._by_module)

    def of(self, module: str) -> int:
        """Return the level of a module; of ``""`` the general one."""
        level = self._found.get(module)
        if level is None:
            level = self._found[module] = self._look_up(module)
        return level

    def _look_up(self, module: str) -> int:
        name = module
        while name:
            if name in self._by_module:
                return self._by_module[name]
            name = name.rpartition(".")[0]
        return self._general

"""The environments under names that ``gymnasium.make`` and ``make_vec`` know."""

from __future__ import annotations

from typing import Any, Final

import gymnasium

#: By name: what it is made with.  Any option may be given in its place: ``gymnasium.make(name, company=3)``.
NAMES: Final[dict[str, dict[str, Any]]] = {
    "Chunkcrawl/Harvest-v0": {"observation": "window", "actions": "steps"},
    "Chunkcrawl/HarvestFeatures-v0": {"observation": "features", "actions": "steps"},
    "Chunkcrawl/MoveTo-v0": {"observation": "chunk", "actions": "cells"},
}


def register_all() -> None:
    """Register all names; a second time changes nothing."""
    for name, options in NAMES.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="chunkcrawl_env.single:ChunkcrawlEnv",
                vector_entry_point="chunkcrawl_env.vector:ChunkcrawlVectorEnv",
                kwargs=options,
            )

"""The rules that a world keeps from its making: fields of the hash ``world``, and what is said when settings differ.

See docs/decisions/0005-rules-of-a-world.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import TypeAdapter

from config.settings import ENV_PREFIX, Settings
from world.rules import WORLD_RULES, WorldRules

DIGITS_MOST: Final = 15
SHOWN_CHARS: Final = 40

#: A rule may be what the setting may be.
_BOUNDS: Final[Mapping[str, TypeAdapter[Any]]] = {
    name: TypeAdapter(Annotated[(int, *Settings.model_fields[name].metadata)]) for name in WORLD_RULES
}


def rules_in(world: Mapping[str, str]) -> WorldRules | None:
    """Return the rules in the hash ``world``; None: an older version has made it, and nobody has started it since.

    Raises:
        ValueError: they are not what a start of ours writes.
    """
    if any(name not in world for name in WORLD_RULES):
        return None
    return WorldRules(**{name: _whole_number(world[name]) for name in WORLD_RULES})


def rules_fault(world: Mapping[str, str]) -> str | None:
    """Return what is wrong with the rules in the hash ``world``, damaged or from elsewhere; None: nothing.

    No rules at all are right: an older version has made it.
    """
    there = [name for name in WORLD_RULES if name in world]
    if there and len(there) < len(WORLD_RULES):
        return f"of its rules there are {', '.join(there)} alone"
    for name in there:
        try:
            _BOUNDS[name].validate_python(_whole_number(world[name]))
        except ValueError:
            return f"{name} can't be {ascii(world[name])[:SHOWN_CHARS]}"
    try:
        rules_in(world)
    except ValueError as error:
        return str(error)
    return None


def _whole_number(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= DIGITS_MOST:
        return int(value)
    raise ValueError(f"{ascii(value)[:SHOWN_CHARS]} is no whole number")


def stored(rules: WorldRules) -> dict[str, str]:
    """Return the rules as fields of the hash ``world``."""
    return {name: str(getattr(rules, name)) for name in WORLD_RULES}


def in_words(rules: WorldRules) -> str:
    """Return the rules as a part of a sentence."""
    return (
        f"{rules.tick_hz} ticks a second, {rules.gold_nodes_min} to {rules.gold_nodes_max} gold nodes a chunk, "
        f"{rules.gold_per_node_min} to {rules.gold_per_node_max} units a node"
    )


def unused_settings(settings: Settings, seed: int, rules: WorldRules) -> str | None:
    """Return one line about the settings that were given and differ from the world's; None when there are none.

    What nobody has given asks for nothing: a default is not held against the world.
    """
    kept = {"world_seed": seed} | {name: getattr(rules, name) for name in WORLD_RULES}
    given = {name: getattr(settings, name) for name in kept if name in settings.model_fields_set}
    differ = [
        f"{ENV_PREFIX}{name.upper()}={value} (here {kept[name]})"
        for name, value in given.items()
        if value != kept[name]
    ]
    if not differ:
        return None
    return (
        f"Not used: {', '.join(differ)}. A world keeps what it was made with; for one with yours give `chunkcrawl up` "
        "a fresh data directory (--data DIR), or an empty Redis and database."
    )


def rules_taken(rules: WorldRules) -> str:
    """Return the line for a world of an older version, which has just got its rules."""
    return f"This world had no rules of its own; from now on it keeps those of this start: {in_words(rules)}."

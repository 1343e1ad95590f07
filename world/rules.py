"""The numbers of the game that may differ between worlds.

Defaults are the contract's (docs/protocol.md, "Constants").  The size of a chunk is not among
them: it is a constant of the protocol, see ``world.grid``.  Which of them a world keeps for good, and why those:
docs/decisions/0005-rules-of-a-world.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

MS_PER_S: Final = 1_000

#: Version of what the rules do: the same inputs give the same states under the same version.  It rises with every
#: change by which they would not, in whatever module, so that a recording is never run again by other rules unnoticed.
RULES_VERSION: Final = 1


def made_by_other_rules(version: int, ours: int) -> str:
    """Return why what another version of the rules made is not run, and the remedy."""
    return (
        f"it was made by version {version} of the rules, this release has version {ours}: use the release that wrote it"
    )


_MAY_BE_ZERO: Final = frozenset({"regen_ticks", "npcs_per_chunk", "gold_nodes_min", "gold_nodes_max", "demo"})


@dataclass(frozen=True, slots=True)
class WorldRules:
    """What a world is made with and keeps: the ground is made, and ticks are numbered, by these.

    Raises:
        ValueError: a number is out of its range (the message names the field).
    """

    tick_hz: int = 5
    gold_nodes_min: int = 3
    #: Nodes per chunk, both ends included.
    gold_nodes_max: int = 6
    gold_per_node_min: int = 5
    gold_per_node_max: int = 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in _MAY_BE_ZERO else 1
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{field.name} must be a whole number of at least {least}, not {value!r}")
        if self.gold_nodes_min > self.gold_nodes_max or self.gold_per_node_min > self.gold_per_node_max:
            raise ValueError("gold_nodes_min and gold_per_node_min must not be above their max")


WORLD_RULES: Final = tuple(field.name for field in fields(WorldRules))


@dataclass(frozen=True, slots=True)
class Rules(WorldRules):
    """Settings of the simulation; all times are in ticks.

    Raises:
        ValueError: a number is out of its range (the message names the field).
    """

    harvest_ticks_per_unit: int = 5
    #: Ticks from a node's last unit to the node being full again; 0: never.
    regen_ticks: int = 300

    #: Agents in a chunk from which on nobody joins there; walking in is not limited by it.
    spawn_chunk_capacity: int = 64
    collect_idle_ticks: int = 300
    #: The longest message in code points, counted after normalisation.
    chat_max_chars: int = 200
    #: Decided command ids that an agent's record remembers, to recognise one submitted twice.
    recent_commands: int = 8

    handoff_retry_ticks: int = 5
    #: Longest wait of an agent at a boundary, for a neighbour or for a cell in it; then ``failed(blocked)``.
    handoff_cap_ticks: int = 25

    #: Slimes in a generated chunk; only with ``demo``.
    npcs_per_chunk: int = 1
    npc_step_ticks: int = 5
    #: NPCs and demo actors exist.
    demo: bool = True

    @property
    def of_world(self) -> WorldRules:
        """The ones that a world made with these keeps."""
        return WorldRules(**{name: getattr(self, name) for name in WORLD_RULES})

    def in_world(self, kept: WorldRules) -> Rules:
        """Return these, but with what the world has ``kept`` from its making."""
        return replace(self, **{name: getattr(kept, name) for name in WORLD_RULES})

    @property
    def tick_ms(self) -> int:
        """Milliseconds of world time per tick."""
        return MS_PER_S // self.tick_hz

    def to_json(self) -> dict[str, Any]:
        """Return all fields, as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Rules:
        """Read what ``to_json`` wrote; missing fields take their defaults, unknown ones raise ``TypeError``."""
        return cls(**data)

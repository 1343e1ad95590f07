"""Commands as agents send them, and the strict reading of untrusted JSON into them.

Used by the shard and, before a challenge is issued, by the ingress: both must say the same.
Source: docs/protocol.md, "Playing".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from world.grid import WIDTH
from world.ids import NodeId
from world.inputs import Refusal
from world.text import normalise

SAFE_INTEGER = 2**53 - 1
"""Beyond it JSON readers disagree about a number's value."""
NODE_ID_MAX_CHARS = 160
CHAT_MAX_CHARS = 200

INVALID = Refusal("invalid_cmd")
OUT_OF_BOUNDS = Refusal("out_of_bounds")


@dataclass(frozen=True, slots=True)
class MoveTo:
    """Walk to a cell of the chunk; a boundary cell leaves it on that side."""

    x: int
    y: int

    def to_json(self) -> dict[str, Any]:
        """The command as sent."""
        return {"type": "move_to", "x": self.x, "y": self.y}


@dataclass(frozen=True, slots=True)
class Harvest:
    """Dig at a node of the chunk, at most one cell away."""

    node_id: NodeId

    def to_json(self) -> dict[str, Any]:
        """The command as sent."""
        return {"type": "harvest", "node_id": self.node_id}


@dataclass(frozen=True, slots=True)
class Say:
    """Say a line to everyone in the chunk; ``text`` is in its normal form."""

    text: str

    def to_json(self) -> dict[str, Any]:
        """The command with its text as it will be heard."""
        return {"type": "say", "text": self.text}


Command = MoveTo | Harvest | Say


def parse_command(cmd: object, chat_max_chars: int = CHAT_MAX_CHARS) -> Command | Refusal:
    """Read parsed JSON as a command; never raises.

    Types are taken literally: ``true`` and ``1.0`` are no whole numbers, a field too many or too few is an
    error.  Answers a ``Refusal`` with ``invalid_cmd``, or ``out_of_bounds`` for whole numbers off the grid.
    """
    if not isinstance(cmd, dict):
        return INVALID
    kind = cmd.get("type")
    if not isinstance(kind, str):
        return INVALID
    if kind == "move_to" and len(cmd) == 3:
        return _move_to(cmd.get("x"), cmd.get("y"))
    if kind == "harvest" and len(cmd) == 2:
        return _harvest(cmd.get("node_id"))
    if kind == "say" and len(cmd) == 2:
        return _say(cmd.get("text"), chat_max_chars)
    return INVALID


def _move_to(x: object, y: object) -> MoveTo | Refusal:
    if type(x) is not int or type(y) is not int:
        return INVALID
    if abs(x) > SAFE_INTEGER or abs(y) > SAFE_INTEGER:
        return INVALID
    if not (0 <= x < WIDTH and 0 <= y < WIDTH):
        return OUT_OF_BOUNDS
    return MoveTo(x, y)


def _harvest(node_id: object) -> Harvest | Refusal:
    if type(node_id) is not str or not 1 <= len(node_id) <= NODE_ID_MAX_CHARS:
        return INVALID
    if not node_id.isascii() or not node_id.isprintable():
        return INVALID
    return Harvest(NodeId(node_id))


def _say(text: object, chat_max_chars: int) -> Say | Refusal:
    if type(text) is not str:
        return INVALID
    heard = normalise(text)
    if heard is None or len(heard) > chat_max_chars:
        return INVALID
    return Say(heard)

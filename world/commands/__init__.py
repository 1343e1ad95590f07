"""The commands of agents: one module each, registered here, and the strict reading of untrusted JSON into them.

Used by the shard and, before a challenge is issued, by the gateway: both must say the same.
Source: docs/protocol.md, "Playing".  How to add one: CONTRIBUTING.md.
"""

from __future__ import annotations

from typing import Any, Final

from world.command import INVALID, Command, CommandRule
from world.commands import give, harvest, move_to, say
from world.inputs import Refusal
from world.rules import Rules
from world.running import Running

DEFAULT_RULES: Final = Rules()

#: Every kind of command by its ``type`` on the wire.
RULES: Final[dict[str, CommandRule[Any, Any]]] = {
    rule.KIND: rule for rule in (move_to.MoveToRule(), harvest.HarvestRule(), say.SayRule(), give.GiveRule())
}


class UnknownCommand(LookupError):
    """A record names a kind of command that this version does not have: a newer one wrote it."""


def parse_command(cmd: object, rules: Rules = DEFAULT_RULES) -> Command | Refusal:
    """Read parsed JSON as a command; never raises.

    Types are taken literally: ``true`` and ``1.0`` are no whole numbers, a field too many or too few is an
    error.  Answers a ``Refusal`` with ``invalid_cmd``, or ``out_of_bounds`` for whole numbers off the grid.
    """
    if not isinstance(cmd, dict):
        return INVALID
    kind = cmd.get("type")
    rule = RULES.get(kind) if isinstance(kind, str) else None
    if rule is None or cmd.keys() - {"type"} != rule.FIELDS:
        return INVALID
    command: Command | Refusal = rule.read(cmd, rules)
    return command


def rule_named(kind: str) -> CommandRule[Any, Any]:
    """Return the rule of a kind of command.

    Raises:
        UnknownCommand: there is none.
    """
    rule = RULES.get(kind)
    if rule is None:
        raise UnknownCommand(f"no command is called {kind!r}: a newer version wrote this record; run that one")
    return rule


def rule_of(running: Running) -> CommandRule[Any, Any]:
    """Return the rule by which a running command goes on."""
    return RULES[running.KIND]

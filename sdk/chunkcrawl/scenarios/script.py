"""Scripted scenarios: what agents do, and what must then be so.  The file's shape, read and checked; nothing runs here.

    name: leaving in the north
    agents: [scout, miner]
    steps:
      - {agent: scout, move_to: [25, 49]}
      - {agent: scout, expect: {chunk_not: chunk-0, y: 0}}
      - together:
          - {agent: scout, say: "Hello from up here"}
          - {agent: miner, harvest: nearest}
      - {agent: scout, move_to: [0, 0], ends: unreachable}

Every step has one thing to do: ``move_to``, ``leave``, ``say``, ``harvest``, ``bot``, ``expect``, ``hear``, ``wait_s``,
``reconnect`` or ``together``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from chunkcrawl.bots.rules import BotName
from chunkcrawl.wire.messages import Direction

__all__ = ["Expectation", "Scenario", "ScenarioError", "Step", "parse_scenario"]

ACTIONS: Final = ("move_to", "leave", "say", "harvest", "bot", "expect", "hear", "wait_s", "reconnect", "together")
WITHOUT_AGENT: Final = ("wait_s", "together")
WITH_END: Final = ("move_to", "leave", "say", "harvest")

_Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]{1,64}$")]
_Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=3600)]


class ScenarioError(ValueError):
    """The file is not a scenario; the text says where and why."""


class Expectation(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What must hold about an agent; all that is given must hold at once.

    Attributes:
        at: Its cell ``[x, y]``.
        x, y: One coordinate alone.
        chunk: The chunk it is in; ``chunk_not``: one that it is not in.
        gold: What it carries exactly; ``gold_min``: at least.
        sees: Agents of this scenario, or of any other name, that are in the same chunk.
        alone: Whether nobody else is in the chunk.
    """

    at: tuple[int, int] | None = None
    x: int | None = None
    y: int | None = None
    chunk: str | None = None
    chunk_not: str | None = None
    gold: int | None = None
    gold_min: int | None = None
    sees: list[str] = []
    alone: bool | None = None


class Step(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One thing to do.  ``ends`` is how a command must end: ``completed``, or the reason of its refusal or failure."""

    agent: str | None = None
    move_to: tuple[int, int] | None = None
    leave: Direction | None = None
    say: str | None = None
    harvest: str | None = None
    bot: BotName | None = None
    expect: Expectation | None = None
    hear: str | None = None
    wait_s: _Seconds | None = None
    reconnect: Literal[True] | None = None
    together: list[Step] | None = None
    ends: str = "completed"
    within_s: _Seconds = 30.0
    for_s: _Seconds = 10.0

    @property
    def action(self) -> str:
        """The name of the one thing to do."""
        return next(name for name in ACTIONS if getattr(self, name) is not None)

    def __str__(self) -> str:
        what = getattr(self, self.action)
        detail = f"{len(what)} steps" if self.action == "together" else msgspec.json.encode(what).decode()
        return f"{self.agent} {self.action} {detail}" if self.agent else f"{self.action} {detail}"


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file.  ``seed`` is that of its bots."""

    name: str
    agents: Annotated[list[_Name], Meta(min_length=1, max_length=200)]
    steps: Annotated[list[Step], Meta(min_length=1)]
    seed: int = 0


def parse_scenario(text: str | bytes) -> Scenario:
    """Read a scenario.

    Raises:
        ScenarioError: It is no YAML, or not a scenario.
    """
    try:
        scenario = msgspec.yaml.decode(text, type=Scenario)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ScenarioError(str(error)) from error
    if len(set(scenario.agents)) != len(scenario.agents):
        raise ScenarioError("an agent is named twice")
    for place, step in _numbered(scenario.steps, "steps"):
        _check(step, place, scenario.agents)
    return scenario


def _numbered(steps: list[Step], place: str) -> Iterator[tuple[str, Step]]:
    for number, step in enumerate(steps, 1):
        here = f"{place}[{number}]"
        yield here, step
        yield from _numbered(step.together or [], f"{here}.together")


def _check(step: Step, place: str, agents: list[str]) -> None:
    given = [name for name in ACTIONS if getattr(step, name) is not None]
    if len(given) != 1:
        found = ", ".join(given) or "nothing"
        raise ScenarioError(f"{place}: one of {', '.join(ACTIONS)} is needed, found {found}")
    if (given[0] in WITHOUT_AGENT) != (step.agent is None):
        raise ScenarioError(f"{place}: {given[0]} {'takes no' if step.agent else 'needs an'} agent")
    if step.agent is not None and step.agent not in agents:
        raise ScenarioError(f"{place}: there is no agent {step.agent!r}")
    if step.ends != "completed" and given[0] not in WITH_END:
        raise ScenarioError(f"{place}: {given[0]} has no end to expect")

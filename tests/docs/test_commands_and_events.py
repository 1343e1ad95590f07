"""Each command and each event of the world is told everywhere: contract, schema, SDK, page, language models."""

from __future__ import annotations

import ast
import re

import pytest

from chunkcrawl import Agent
from tests.docs.asyncapi import SCHEMAS
from tests.docs.blocks import ROOT
from world.commands import RULES

#: Whose command it ended hears of it by its result.
NOT_FOR_MODELS = {"blocked"}


def events() -> set[str]:
    """The kinds that rules give to ``ShardState.event``."""
    found: set[str] = set()
    for path in (ROOT / "world").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "event":
                kind = node.args[1]
                assert isinstance(kind, ast.Constant), f"{path}:{node.lineno}: an event without a name"
                found.add(str(kind.value))
    return found


EVENTS = sorted(events())


def read(file: str) -> str:
    return (ROOT / file).read_text()


@pytest.mark.parametrize("kind", sorted(RULES))
def test_a_command_is_told(kind: str) -> None:
    assert re.search(rf"^- `{kind} {{", read("docs/protocol.md"), re.MULTILINE)
    assert kind in [one["properties"]["type"]["const"] for one in SCHEMAS["Command"]["oneOf"]]
    assert callable(getattr(Agent, kind))


def test_the_documented_events_are_the_worlds() -> None:
    types = [one["properties"]["type"] for one in SCHEMAS["WorldEvent"]["oneOf"]]
    assert sorted(kind for said in types for kind in said.get("enum", [said.get("const")])) == EVENTS


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_is_told(kind: str) -> None:
    assert re.search(rf"`{kind}\b", read("docs/protocol.md"))
    assert f'case "{kind}":' in read("web/watch/js/state/news.js")
    assert kind in NOT_FOR_MODELS or f'"{kind}"' in read("sdk/chunkcrawl/mcp/happenings.py")

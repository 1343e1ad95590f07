"""What both SDKs must have alike, read off the code: commands, reasons of refusal, errors."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from chunkcrawl import Agent, errors
from chunkcrawl.journeys import outcomes
from chunkcrawl.watcher import WatcherOptions
from tests.sdk_js.node import ROOT
from world.commands import RULES

SDK = ROOT / "sdk-js"
ERRORS = (SDK / "src" / "errors.js").read_text()
#: Node's fetch and browsers know no proxies of the environment.
PYTHON_ALONE = {"UnusableProxy", "Fault"}


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


@pytest.mark.parametrize("kind", sorted(RULES))
def test_every_command_is_a_method(kind: str) -> None:
    assert re.search(rf"^  (async )?{camel(kind)}\(", (SDK / "src" / "agent.js").read_text(), re.MULTILINE)
    assert re.search(rf"^  {camel(kind)}\(", (SDK / "types" / "agent.d.ts").read_text(), re.MULTILINE)


def test_every_reason_of_refusal_has_the_same_type() -> None:
    listed = re.search(r"export const REFUSALS = new Map\(\[(.*?)\]\);", ERRORS, re.DOTALL)
    assert listed
    found = dict(re.findall(r'\["(\w+)", (\w+)\]', listed[1]))
    assert found == {reason: kind.__name__ for reason, kind in errors.REFUSALS.items()}


def test_the_errors_are_the_same_with_the_same_parents_and_reasons() -> None:
    ours = {name: getattr(errors, name) for name in errors.__all__ if name not in PYTHON_ALONE}
    classes = {name: kind for name, kind in ours.items() if isinstance(kind, type)}
    found = dict(re.findall(r"^export class (\w+) extends (\w+)", ERRORS, re.MULTILINE))
    assert found == {name: kind.__bases__[0].__name__.replace("Exception", "Error") for name, kind in classes.items()}
    reasons = dict(re.findall(r'^export class (\w+) [^\n]*\{\n  static reason = "(\w+)";', ERRORS, re.MULTILINE))
    assert reasons == {
        name: kind.__dict__["reason"]
        for name, kind in classes.items()
        if "reason" in kind.__dict__ and name != "ApiError"
    }


def test_the_versions_are_the_same() -> None:
    package = json.loads((SDK / "package.json").read_text())
    python = tomllib.loads((ROOT / "sdk" / "pyproject.toml").read_text())
    assert package["version"] == python["project"]["version"]
    assert "dependencies" not in package


def test_journeys_end_alike() -> None:
    found = re.findall(r"^export class (\w+)", (SDK / "src" / "journeys" / "outcomes.js").read_text(), re.MULTILINE)
    assert sorted(found) == sorted(outcomes.__all__)


@pytest.mark.parametrize("name", ["go_to", "explore", "harvest_nearest", "follow", "history"])
def test_what_an_agent_does_beside_single_commands_is_in_both(name: str) -> None:
    assert callable(getattr(Agent, name))
    for file in ("src/agent.js", "types/agent.d.ts"):
        assert re.search(rf"^  (async )?\*?{camel(name)}\(", (SDK / file).read_text(), re.MULTILINE), file


@pytest.mark.parametrize("name", ["from_tick", "speed"])
def test_watchers_play_the_past_alike(name: str) -> None:
    assert name in WatcherOptions.__annotations__
    assert re.search(rf"^  {camel(name)}\?:", (SDK / "types" / "watcher.d.ts").read_text(), re.MULTILINE)

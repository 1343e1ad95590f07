"""A setting's default stands in ``config.settings`` alone: what has to repeat it says the same."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.accounts.passwords import Passwords
from api.challenge.store import ChallengeRules
from api.services import challenge_rules
from api.sockets.connections import Connections
from chunkcrawl.transport.address import USUAL_BASE
from cli.up_command import up
from cluster.configs import rules_of, shard_config
from cluster.shard.config import ShardConfig
from config.settings import Settings, default
from world.rules import Rules

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "cli", "cluster", "embedded", "loadtest", "operations", "store", "streaming")
#: Where compose.yaml means something else than a setting's default.
ON_PURPOSE = {"CHUNKCRAWL_TRUSTED_PROXIES"}
#: Of the same name as a setting, but not it: each with the reason.
NOT_A_SETTING = {
    "loadtest/plan.py:drain_s": "how long a generator waits for its last results",
    "embedded/children.py:host": "where our own servers listen, which is loopback whatever the gateways do",
    "cli/backup.py:recordings": "whether a backup takes them along, which is said for each",
    "operations/operator_redis.py:database_url": "of the servers that were found; empty: there is none",
    "loadtest/server_reading.py:shards": "how many have told their figures",
}
#: Held by the tests above.
HELD = {
    *("api/sockets/connections.py:heartbeat_s", "api/sockets/connections.py:revoke_within_s"),
    "api/limits/strikes.py:strikes_max",
}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("CHUNKCRAWL_"):
            monkeypatch.delenv(name)


def test_the_rules_of_the_game_are_those_of_the_settings() -> None:
    """``world`` is pure and knows no settings."""
    assert rules_of(Settings()) == Rules()


def test_parts_made_without_settings_have_their_defaults() -> None:
    settings = Settings()
    assert shard_config(settings, rules_of(settings)) == ShardConfig()
    assert challenge_rules(settings) == ChallengeRules()


@pytest.mark.parametrize(
    ("function", "parameter", "setting"),
    [
        (Passwords, "processes", "password_processes"),
        (Passwords, "queue_max", "password_queue_max"),
        (Connections, "heartbeat_s", "heartbeat_s"),
        (Connections, "revoke_within_s", "revoke_within_s"),
    ],
)
def test_parameters_have_the_settings_default(function: Callable[..., Any], parameter: str, setting: str) -> None:
    assert inspect.signature(function).parameters[parameter].default == default(setting)


@pytest.mark.parametrize(
    ("option", "setting"), [("shards", "shards"), ("gateways", "gateways"), ("port", "port"), ("data", "data_dir")]
)
def test_up_shows_the_settings_default(option: str, setting: str) -> None:
    [shown] = [found.show_default for found in inspect.get_annotations(up, eval_str=True)[option].__metadata__]
    assert shown == str(default(setting))


def test_the_sdk_looks_where_a_server_listens() -> None:
    assert f"http://{default('host')}:{default('port')}" == USUAL_BASE


def test_compose_repeats_defaults() -> None:
    found = re.findall(r"\$\{(CHUNKCRAWL_\w+):-([^}]*)\}", (ROOT / "compose.yaml").read_text())
    names = {f"CHUNKCRAWL_{name.upper()}": name for name in Settings.model_fields}
    repeated = {name: value for name, value in found if name in names and name not in ON_PURPOSE}
    assert repeated
    assert repeated == {name: str(default(names[name])) for name in repeated}


@pytest.mark.parametrize("file", ["compose.yaml", "deploy/Caddyfile", "deploy/Dockerfile"])
def test_where_gateways_listen_is_the_same_in_deployments(file: str) -> None:
    ports = set(re.findall(r"(?:gateway|127\.0\.0\.1|EXPOSE|_PORT):? ?(\d{4})\b", (ROOT / file).read_text()))
    assert str(default("port")) in ports


def test_docs_say_the_default_where_they_name_it() -> None:
    """As ``14 days (`CHUNKCRAWL_EVENT_LOG_KEEP_DAYS`)``."""
    seen = 0
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for number, name in re.findall(r"(\d+) \w+ \(`CHUNKCRAWL_(\w+)`\)", page.read_text()):
            assert int(number) == default(name.lower()), (page, name)
            seen += 1
    assert seen


def literal_defaults() -> Iterator[str]:
    """Fields and parameters that bear a setting's name and a default of their own."""
    for path in sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            pairs: list[tuple[str, ast.expr | None]] = []
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                pairs = [(node.target.id, node.value)]
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args.defaults
                plain = node.args.args[len(node.args.args) - len(given) :]
                pairs = [(arg.arg, value) for arg, value in zip(plain, given, strict=True)]
                pairs += [(a.arg, v) for a, v in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
            for name, value in pairs:
                if name in Settings.model_fields and isinstance(value, ast.Constant) and value.value is not None:
                    yield f"{path.relative_to(ROOT)}:{name}"


def test_no_other_default_bears_a_settings_name() -> None:
    """A new one takes ``config.settings.default``, or is held above."""
    assert set(literal_defaults()) == HELD | NOT_A_SETTING.keys()

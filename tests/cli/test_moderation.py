"""``chunkcrawl mute``, ``unmute`` and ``strikes`` on a real Valkey."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as BlockingRedis
from typer.testing import CliRunner

from api import keys as api_keys
from chunkcrawl.commands import main as cli
from streaming import keys
from streaming.lua import fragment

AGENT = "scout-1"


@pytest.fixture
def redis(valkey_url: str) -> Any:
    client = BlockingRedis.from_url(valkey_url)
    client.flushall()
    client.hset(keys.agent(AGENT), "account", "acc_1")
    yield client
    client.close()


Invoke = Callable[..., tuple[int, str]]


@pytest.fixture
def invoke(redis: Any, valkey_url: str, postgres_url: str) -> Invoke:
    def run(*words: str, url: str = valkey_url, **environment: str) -> tuple[int, str]:
        found = CliRunner().invoke(
            cli.app,
            list(words),
            env={"CHUNKCRAWL_REDIS_URL": url, "CHUNKCRAWL_DATABASE_URL": postgres_url, **environment},
            prog_name="chunkcrawl",
        )
        return found.exit_code, found.output

    return run


def strike(redis: Any) -> None:
    count = fragment("api/limits/count_strike.lua", api_keys)
    redis.eval(count + "return count_strike(ARGV[1], 3, 3600000, 600000)", 0, AGENT)


def test_an_agent_that_has_done_nothing(invoke: Invoke) -> None:
    assert invoke("strikes", AGENT) == (0, "scout-1 is not muted.\nStrikes: none.\n")
    assert json.loads(invoke("strikes", AGENT, "--json")[1]) == {
        "agent_id": AGENT,
        "strikes": 0,
        "forgets_in_ms": 0,
        "muted_by": None,
        "muted_ms": 0,
    }


def test_muting_lasts_as_long_as_was_said(invoke: Invoke, redis: Any) -> None:
    code, output = invoke("mute", AGENT)
    assert code == 0
    assert output.startswith("scout-1 is muted by an operator for another 10:00 min.")
    assert 590_000 < redis.pttl(api_keys.mute(AGENT)) <= 600_000
    code, output = invoke("mute", AGENT, "--minutes", "1440", "--json")
    found = json.loads(output)
    assert (code, found["muted_by"]) == (0, "operator")
    assert 1_439 * 60_000 < found["muted_ms"] <= 1_440 * 60_000
    assert "24:00:00 h" in invoke("strikes", AGENT)[1] or "23:59:" in invoke("strikes", AGENT)[1]


def test_unmuting_ends_the_mute_and_the_strikes(invoke: Invoke, redis: Any) -> None:
    invoke("mute", AGENT)
    strike(redis)
    assert invoke("unmute", AGENT) == (0, "scout-1 is not muted.\nStrikes: none.\n")
    assert not redis.exists(api_keys.mute(AGENT), api_keys.strikes(AGENT))
    assert invoke("unmute", AGENT)[0] == 0


def test_strikes_are_shown_until_they_mute(invoke: Invoke, redis: Any) -> None:
    for number in (1, 2):
        strike(redis)
        found = json.loads(invoke("strikes", AGENT, "--json")[1])
        assert (found["strikes"], found["muted_by"]) == (number, None)
    assert "Strikes: 2; the oldest is forgotten in" in invoke("strikes", AGENT)[1]
    strike(redis)
    found = json.loads(invoke("strikes", AGENT, "--json")[1])
    assert (found["strikes"], found["muted_by"]) == (0, "strikes")
    assert "is muted by its strikes for another" in invoke("strikes", AGENT)[1]


@pytest.mark.parametrize("command", ["mute", "unmute", "strikes"])
def test_refusals(invoke: Invoke, redis: Any, tmp_path: Path, command: str) -> None:
    code, output = invoke(command, "scout-2")
    assert (code, output) == (1, "error: no agent scout-2 has been in this world\n")
    assert redis.keys("mute:*") == []
    assert invoke(command, "scout 1")[0] == 2
    assert invoke(command, "--", "")[0] == 2
    code, output = invoke(command, AGENT, url="redis://127.0.0.1:1")
    assert code == 3
    assert output.startswith("error: ")
    code, output = invoke(command, AGENT, "--data", str(tmp_path), url="")
    assert code == 3
    assert "start one with `chunkcrawl up`" in output


@pytest.mark.parametrize("minutes", ["0", "-5", "525601", "ten", "nan"])
def test_a_time_that_is_none_is_refused(invoke: Invoke, redis: Any, minutes: str) -> None:
    assert invoke("mute", AGENT, "--minutes", minutes)[0] == 2
    assert redis.keys("mute:*") == []


@pytest.mark.parametrize("command", ["mute", "unmute", "strikes"])
def test_help_has_examples(invoke: Invoke, command: str) -> None:
    code, output = invoke(command, "--help")
    assert code == 0
    assert f"Examples: chunkcrawl {command} scout-1" in " ".join(output.split())

"""``chunkcrawl estimate``, with the coefficients that are shipped."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from chunkcrawl.commands import main as cli


def run(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(cli.app, ["estimate", *words], prog_name="chunkcrawl")
    return found.exit_code, found.output


def test_a_small_world_can_be_served() -> None:
    code, output = run("--agents", "500", "--spectators", "100")
    assert code == 0
    assert "2,500" not in output
    assert "3,000 deltas a second" in output
    for part in ("gateways", "shards", "valkey", "postgres", "archiver"):
        assert part in output


def test_a_world_that_no_part_holds_is_an_exit_code_and_a_name() -> None:
    code, output = run("--agents", "1000000", "--json")
    found = json.loads(output)
    assert code == 1
    assert "valkey" in found["full"]
    assert found["limits"]["valkey"] < 1_000_000
    code, output = run("--agents", "1000000", "--partitioned", "--json")
    assert "valkey" not in json.loads(output)["full"]
    assert json.loads(output)["parts"]["valkey"]["processes"] > 3


@pytest.mark.parametrize(
    "words", [(), ("--agents", "0"), ("--agents", "1", "--commands", "-1"), ("--agents", "1", "--per-chunk", "0")]
)
def test_wrong_usage(words: tuple[str, ...]) -> None:
    assert run(*words)[0] == 2


def test_what_is_not_given_is_as_measured() -> None:
    usual, slower = (json.loads(run("--agents", "500", *words, "--json")[1]) for words in ((), ("--commands", "0.1")))
    assert slower["rates_per_s"]["commands"] == 50
    assert slower["cores"] < usual["cores"]

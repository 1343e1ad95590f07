"""``chunkcrawl status --moves``, ``pin`` and ``unpin`` on a real Valkey."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from redis import Redis as BlockingRedis
from rich.console import Console
from typer.testing import CliRunner

from chunkcrawl.commands import main as cli
from cli.moves import moves_table
from cluster.balance.moves import MoveRecord
from streaming import keys

WORDS = "shard-0 at 62.0 %, shard-1 at 11.0 % of a core; the chunk costs 20.5 %"
MOVED = MoveRecord(1_764_487_729_123, "chunk-12345", 0, 1, "load", WORDS, "moved", 1.4)
FAILED = MoveRecord(1_764_487_700_000, "chunk-7", 2, 0, "leaving", "shard-2 is to be empty", "failed")


@pytest.fixture
def redis(valkey_url: str) -> Any:
    client = BlockingRedis.from_url(valkey_url)
    client.flushall()
    client.hset(keys.WORLD, mapping={"seed": "1", "epoch_ms": "1", "shard_count": "2"})
    client.sadd(keys.CHUNKS, "chunk-0", "chunk-7")
    yield client
    client.close()


Invoke = Callable[..., tuple[int, str]]


@pytest.fixture
def invoke(redis: Any, valkey_url: str, postgres_url: str) -> Invoke:
    del redis
    environment = {"CHUNKCRAWL_REDIS_URL": valkey_url, "CHUNKCRAWL_DATABASE_URL": postgres_url}

    def run(*words: str) -> tuple[int, str]:
        found = CliRunner().invoke(cli.app, list(words), env=environment, prog_name="chunkcrawl")
        return found.exit_code, found.output

    return run


def test_a_chunk_and_a_shard_are_pinned_and_let_go(invoke: Invoke, redis: Any) -> None:
    assert invoke("pin", "chunk-7") == (0, "chunk-7 stays where it is.\n")
    assert invoke("pin", "chunk-7") == (0, "chunk-7 was pinned already.\n")
    code, output = invoke("pin", "shard-1", "--json")
    assert (code, json.loads(output)) == (0, {"what": "shard-1", "pinned": True})
    assert redis.smembers(keys.PINS) == {b"chunk-7", b"shard-1"}
    assert invoke("unpin", "chunk-7") == (0, "chunk-7 may move again.\n")
    assert invoke("unpin", "chunk-7") == (0, "chunk-7 was not pinned.\n")


@pytest.mark.parametrize(("what", "told"), [("chunk-9", "no chunk chunk-9"), ("shard-2", "no shard-2 among 2 shards")])
def test_what_there_is_not_is_refused_in_one_line(invoke: Invoke, redis: Any, what: str, told: str) -> None:
    code, output = invoke("pin", what)
    assert code == 1
    assert output.startswith("error: ")
    assert output.count("\n") == 1
    assert told in output
    assert not redis.exists(keys.PINS)


def test_moves_are_told_newest_first_and_with_what_is_pinned(invoke: Invoke, redis: Any) -> None:
    for record in (FAILED, MOVED):
        redis.lpush(keys.MOVES, orjson.dumps(record.to_json()))
    invoke("pin", "shard-1")
    code, output = invoke("status", "--moves")
    assert code == 0
    lines = [line for line in output.splitlines() if " chunk-" in line]
    assert lines[0].split()[:5] == ["11-30", "07:28:49", "chunk-12345", "shard-0", "shard-1"]
    assert WORDS in lines[0]
    assert lines[0].rstrip().endswith(" 1.4")
    assert lines[1].rstrip().endswith("leaving: shard-2 is to be empty; it did not move")
    assert "Pinned: shard-1" in output
    code, output = invoke("status", "--moves", "--json")
    assert json.loads(output) == {"moves": [MOVED.to_json(), FAILED.to_json()], "pinned": ["shard-1"]}


def test_a_world_in_which_nothing_has_moved(invoke: Invoke) -> None:
    code, output = invoke("status", "--moves")
    assert code == 0
    assert "No chunk has moved" in output


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_cut_off(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(moves_table([MOVED, FAILED], ["chunk-7", "shard-1"]))
    text = out.getvalue()
    assert "…" not in text
    for name in ("chunk-12345", "chunk-7", "shard-0", "shard-1", "shard-2", "20.5", "1.4"):
        assert name in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("command", ["pin", "unpin", "status"])
def test_help_has_examples(invoke: Invoke, command: str) -> None:
    code, output = invoke(command, "--help")
    assert code == 0
    assert f"chunkcrawl {command} " in output

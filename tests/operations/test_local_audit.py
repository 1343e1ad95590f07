"""What the command line does to the stores itself stands in the audit log, or is not done."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis as BlockingRedis
from typer.testing import CliRunner

from api import keys as api_keys
from chunkcrawl.commands import main as cli
from streaming import keys
from tests.api.operator.status import NODE_ID, status

AWAY = "postgresql://chunkcrawl:hunter2@127.0.0.1:1/none"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def redis(valkey_url: str) -> Iterator[Any]:
    client = BlockingRedis.from_url(valkey_url)
    client.flushall()
    client.hset(keys.WORLD, mapping={"seed": "1", "epoch_ms": "1", "shard_count": "2"})
    client.hset(keys.agent("scout-1"), "account", "acc_1")
    client.sadd(keys.CHUNKS, "chunk-0")
    client.set(keys.STATUS, json.dumps(status(bounds=[2, 8])))
    yield client
    client.close()


@pytest.fixture
def run(redis: Any, valkey_url: str, fresh_postgres_url: str) -> Run:
    del redis

    def invoke(*words: str, database_url: str = fresh_postgres_url) -> tuple[int, str]:
        environment = {"CHUNKCRAWL_REDIS_URL": valkey_url, "CHUNKCRAWL_DATABASE_URL": database_url}
        found = CliRunner().invoke(cli.app, list(words), env=environment, prog_name="chunkcrawl")
        return found.exit_code, found.output

    return invoke


def test_every_action_has_its_line_with_its_outcome(run: Run) -> None:
    for words, code in (
        (("mute", "scout-1", "--minutes", "5"), 0),
        (("unmute", "scout-9"), 1),
        (("pin", "chunk-0"), 0),
        (("pin", "chunk-9"), 1),
        (("unpin", "chunk-0"), 0),
        (("drain", "nowhere"), 1),
        (("undrain", NODE_ID[:8]), 1),
        (("scale", "--shards", "9"), 1),
        (("scale", "--shards", "2", "--wait", "5"), 0),
        (("strikes", "scout-1"), 0),
    ):
        assert run(*words)[0] == code, words
    lines = json.loads(run("audit", "--json")[1])
    assert [(line["action"], line["subject"], line["outcome"]) for line in reversed(lines)] == [
        ("mute", "scout-1", "done"),
        ("unmute", "scout-9", "refused"),
        ("pin", "chunk-0", "done"),
        ("pin", "chunk-9", "refused"),
        ("unpin", "chunk-0", "done"),
        ("drain", "nowhere", "refused"),
        ("undrain", NODE_ID, "refused"),
        ("scale", "", "refused"),
        ("scale", "", "done"),
    ]
    assert {(line["operator"], line["address"]) for line in lines} == {
        (f"cli:{getpass.getuser()}@{socket.gethostname()}", "local")
    }
    by_subject = {line["subject"]: line for line in lines}
    assert by_subject["scout-1"]["details"] == {"minutes": 5}
    assert by_subject["chunk-9"]["reason"].startswith("there is no chunk chunk-9")
    assert all(line["ended_ms"] for line in lines)


@pytest.mark.parametrize(
    "words",
    [("mute", "scout-1"), ("pin", "chunk-0"), ("scale", "--shards", "3"), ("drain", NODE_ID[:8])],
)
def test_what_can_not_be_written_down_is_not_done(run: Run, redis: Any, words: tuple[str, ...]) -> None:
    code, told = run(*words, database_url=AWAY)
    assert (code, told.count("\n")) == (3, 1)
    assert told.startswith("error: nothing was done")
    assert "CHUNKCRAWL_DATABASE_URL" in told
    assert "hunter2" not in told
    assert not redis.exists(keys.PINS, keys.DRAINED, api_keys.mute("scout-1"))
    assert redis.hget(keys.WORLD, keys.WANTED_SHARDS) is None


def test_where_there_is_no_database_it_is_done_and_said(run: Run, redis: Any) -> None:
    code, told = run("pin", "chunk-0", database_url="")
    assert (code, redis.smembers(keys.PINS)) == (0, {b"chunk-0"})
    assert told.splitlines()[0] == "note: not in the audit log, for CHUNKCRAWL_DATABASE_URL names no database"
    assert run("strikes", "scout-1", database_url=AWAY)[0] == 0, "looking needs no line"
    assert run("status", "--json", database_url=AWAY)[0] == 0


def test_a_database_of_an_older_release_has_no_line_and_it_is_done(
    run: Run, redis: Any, blank_postgres_url: str
) -> None:
    code, told = run("pin", "chunk-0", database_url=blank_postgres_url)
    assert (code, redis.smembers(keys.PINS)) == (0, {b"chunk-0"})
    assert told.splitlines()[0].startswith("note: not in the audit log, for the database has none yet")


def test_a_failure_of_redis_is_a_failed_line(run: Run, redis: Any) -> None:
    redis.delete(keys.PINS)
    redis.set(keys.PINS, "not a set")
    assert run("pin", "chunk-0")[0] == 3
    [line] = json.loads(run("audit", "--json")[1])
    assert (line["outcome"], line["reason"]) == ("failed", "ResponseError")

"""The commands with ``--url``: at a real gateway, over a cluster made up in Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from typer.testing import CliRunner

from api.accounts.tokens import new_id, new_operator_token
from chunkcrawl.commands import main as cli
from cli import drain, server_jobs, status
from cluster.balance.moves import MoveRecord
from cluster.move_log import end
from cluster.operating import ClusterOperating
from config.settings import Settings
from store import audit, operators
from streaming import keys
from tests.api.gates import Gate, running
from tests.api.operator.status import NODE_ID, make_up
from tests.api.operator.status import status as made_up
from tests.api.support import FakeWorld

#: What was set on the other machine: nothing but the token.
NOTHING_HERE = dict.fromkeys(
    ("CHUNKCRAWL_REDIS_URL", "CHUNKCRAWL_DATABASE_URL", "CHUNKCRAWL_BASE", "CHUNKCRAWL_OPERATOR_TOKEN")
)
Run = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
async def gate(fresh_postgres_url: str, valkey_url: str, redis: Redis, tmp_path: Path) -> AsyncIterator[Gate]:
    settings = Settings(
        environment="prod",
        secret_pepper="x" * 40,
        database_url=fresh_postgres_url,
        redis_url=valkey_url,
        backup_dir=str(tmp_path / "backups"),
    )
    await make_up(redis, agents=2)
    async with running(settings, FakeWorld(redis=redis), ClusterOperating(redis, settings)) as gate:
        yield gate


async def token_of(gate: Gate, role: str) -> str:
    token = new_operator_token()
    await operators.create(
        gate.services.engine,
        operator_id=new_id("opr"),
        name=role,
        role=role,
        prefix=token.prefix,
        token_hash=token.digest,
        expires_at=None,
    )
    return token.plain


@pytest.fixture
async def run(gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for module, name in ((status, "REFRESH_S"), (drain, "POLL_S"), (server_jobs, "POLL_S")):
        monkeypatch.setattr(module, name, 0.05)
    monkeypatch.chdir(tmp_path)
    token = await token_of(gate, "operator")

    async def invoke(*words: str, token: str = token) -> tuple[int, str]:
        environment = {**NOTHING_HERE, "CHUNKCRAWL_OPERATOR_TOKEN": token}
        asked = [*words, "--url", gate.base]
        # The gateway is in this process too: what it logs is no output of the command's.
        with capture_logs():
            found = await asyncio.to_thread(CliRunner().invoke, cli.app, asked, env=environment, prog_name="chunkcrawl")
        return found.exit_code, found.output

    return invoke


async def test_moderation_and_pins_say_what_they_say_on_the_servers_machine(run: Run) -> None:
    code, told = await run("mute", "a-0", "--minutes", "5")
    assert (code, told.startswith("a-0 is muted by an operator for another ")) == (0, True)
    code, told = await run("strikes", "a-0", "--json")
    found = json.loads(told)
    assert (code, found["agent_id"], found["muted_by"]) == (0, "a-0", "operator")
    assert set(found) == {"agent_id", "strikes", "forgets_in_ms", "muted_by", "muted_ms"}
    assert await run("unmute", "a-0") == (0, "a-0 is not muted.\nStrikes: none.\n")
    code, told = await run("mute", "nobody")
    assert (code, told.startswith("error: agent_not_found: "), told.count("\n")) == (1, True, 1)
    assert await run("pin", "chunk-1") == (0, "chunk-1 stays where it is.\n")
    assert await run("pin", "chunk-1") == (0, "chunk-1 was pinned already.\n")
    assert (await run("pin", "chunk-99"))[0] == 1
    assert (await run("pin", "../world/freeze"))[0] == 1
    assert await run("unpin", "chunk-1") == (0, "chunk-1 may move again.\n")
    assert await run("unpin", "chunk-1") == (0, "chunk-1 was not pinned.\n")


async def test_status_is_the_same_as_there(run: Run, redis: Redis) -> None:
    code, told = await run("status", "--json")
    assert (code, json.loads(told)) == (0, made_up())
    code, told = await run("status")
    assert (code, "shard-1" in told, "2 shards on 1 nodes" in told) == (0, True, True)
    record = MoveRecord(1_764_487_729_123, "chunk-1", 0, 1, "load", "too busy", "moved", 1.4)
    await end(redis, record)
    await run("pin", "shard-1")
    code, told = await run("status", "--moves", "--json")
    assert (code, json.loads(told)) == (0, {"moves": [record.to_json()], "pinned": ["shard-1"]})
    await redis.delete(keys.STATUS)
    code, told = await run("status")
    assert (code, told.count("\n"), "unavailable: " in told) == (3, 1, True)


async def test_scaling_and_draining_are_waited_for(run: Run, redis: Redis) -> None:
    code, told = await run("scale", "--shards", "2", "--json")
    assert (code, json.loads(told.splitlines()[-1])["shards"]) == (0, 2)
    assert await redis.hget(keys.WORLD, keys.WANTED_SHARDS) == b"2"
    code, told = await run("scale", "--shards", "3", "--wait", "0.2")
    assert (code, "it goes on" in told) == (1, True)
    code, told = await run("drain", "node-1")
    assert (code, told.count("\n"), "error: " in told) == (1, 1, True), "the last one"
    other = {**made_up()["nodes"][0], "node": "b" * 8, "id": "b" * 56, "name": "node-2", "head": False}
    drained = {**other, "drained": True, "actors": {}}
    await redis.set(keys.STATUS, orjson.dumps(made_up(nodes=[*made_up()["nodes"], drained])))
    await redis.hset(keys.DRAINED, "b" * 56, "operator")
    code, told = await run("drain", "node-2", "--json")
    assert (code, json.loads(told)) == (0, {"node": "b" * 56, "empty": True, "left": []})
    code, told = await run("undrain", "node-2")
    assert (code, "may be used again" in told) == (0, True)
    assert not await redis.hexists(keys.DRAINED, "b" * 56)
    code, told = await run("undrain", NODE_ID[:8])
    assert (code, "is not drained" in told) == (1, True)


@pytest.mark.slow
async def test_checks_and_backups_are_made_there_and_waited_for(run: Run, gate: Gate, redis: Redis) -> None:
    await redis.delete(keys.agent("a-0"), keys.agent("a-1"))
    code, told = await run("fsck", "--json")
    report = json.loads(told)
    assert (code, report["whole"], report["chunks"], report["agents"]) == (1, False, 4, 0)
    assert {"code", "subject", "text"} == set(report["findings"][0])
    code, told = await run("backup", "--verify", "none")
    assert (code, told.startswith("error: backup_not_found: ")) == (1, True)
    for words in (("backup", "/srv/x"), ("backup", "x", "--recordings"), ("backup", "x", "--data", "y")):
        code, told = await run(*words)
        assert (code, told.count("\n")) == (2, 1), told
    lines = await audit.lines(gate.services.engine, limit=10)
    assert [(line.action, line.outcome) for line in lines] == [("verify", "refused"), ("fsck", "failed")]


async def test_whoever_may_only_look_is_told_so(run: Run, gate: Gate) -> None:
    viewer = await token_of(gate, "viewer")
    assert (await run("status", token=viewer))[0] == 0
    assert (await run("strikes", "a-0", token=viewer))[0] == 0
    for words in (("mute", "a-0"), ("scale", "--shards", "3"), ("drain", "node-1"), ("fsck",), ("backup", "x")):
        code, told = await run(*words, token=viewer)
        assert (code, told.count("\n"), "viewer" in told) == (1, 1, True), words
    code, told = await run("status", token="dco_none")
    assert (code, told.count("\n"), "operator create" in told) == (3, 1, True)


@pytest.mark.parametrize("command", ["status", "scale", "drain", "undrain", "pin", "mute", "strikes", "backup", "fsck"])
async def test_help_shows_an_example_with_a_server(command: str) -> None:
    found = CliRunner().invoke(cli.app, [command, "--help"], prog_name="chunkcrawl")
    assert "--url https://world.example" in " ".join(found.output.split())

"""``chunkcrawl status``: what its table shows, however narrow the terminal is."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from typing import Any

import pytest
from redis import Redis as BlockingRedis
from rich.console import Console
from typer.testing import CliRunner

from chunkcrawl.commands import main as cli
from cli.status import _table, _watch
from cluster.drain.nodes import ClusterNode
from operations.operator_redis import NoWorld
from streaming import keys
from world.rules import WorldRules

SHARD = {
    "tick": 12_345_678,
    "stalled": False,
    "chunks": 1_234,
    "agents": 12_345,
    "cpu": 0.8766,
    "tick_ms": {"p50": 101.1, "p99": 199.9},
    "commit_ms": {"p50": 101.1, "p99": 199.9},
}
NAMES = [*(f"shard-{number}" for number in (0, 127)), "gateway-100", "archiver-0", "a-name-that-is-rather-long"]


def status() -> dict[str, Any]:
    actors: dict[str, Any] = dict.fromkeys(NAMES, SHARD) | {"gateway-100": {"connections": 10_000}}
    actors["archiver-0"] = {"error": "no answer within [2] s"}
    return {
        "rules": asdict(WorldRules()),
        "shards": 128,
        "nodes": [{"alive": True}],
        "moving": {"to_move": 0, "moved": 0},
        "balance": {"loads": {"0": 0.7654}},
        "actors": actors,
    }


@pytest.mark.parametrize("width", [80, 100, 200])
def test_nothing_is_cut_off(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(_table(status()))
    text = out.getvalue()
    assert "…" not in text
    for name in NAMES:
        assert any(line.split()[:1] == [name] for line in text.splitlines()), text
    assert max(map(len, text.splitlines())) <= width
    assert "Made with 5 ticks a second, 3 to 6 gold nodes a chunk" in " ".join(text.split())


def plain(status: dict[str, Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(_table(status))
    return out.getvalue()


def shown(status: dict[str, Any]) -> str:
    return " ".join(plain(status).split())


def test_a_shard_shows_what_it_uses_and_what_its_chunks_cost() -> None:
    busy = status()
    busy["actors"]["gateway-100"]["cpu"] = 0.25
    lines = {line.split()[0]: line for line in plain(busy).splitlines() if line.split()}
    assert "87.7 / 76.5" in lines["shard-0"]
    assert "87.7" in lines["shard-127"], "of one that has just begun it is not known what its chunks cost"
    assert "/ 76.5" not in lines["shard-127"]
    assert "25.0" in lines["gateway-100"]
    busy.pop("balance")
    assert "76.5" not in shown(busy), "a coordinator of an older release does not say"


def test_nodes_are_named_as_they_are_drained_with_what_is_on_them() -> None:
    nodes = [
        ClusterNode("a" * 56, "10.0.0.1", "one[1]", 2.0, 1.0, drained=True),
        ClusterNode("b" * 56, "10.0.0.2", "two", 2.0, 1.0, actors={"shard-0": 0.1, "gateway-0": 0.1}),
    ]
    text = shown(status() | {"nodes": [node.describe() for node in nodes]})
    assert "Node aaaaaaaa (one[1], 10.0.0.1), drained: empty" in text
    assert "Node bbbbbbbb (two, 10.0.0.2): gateway-0, shard-0" in text
    assert "Node " not in shown(status() | {"nodes": [nodes[1].describe()]}), "one node goes without saying"


def test_releases_are_named_while_there_are_several() -> None:
    ours = {"node": "a", "release": "0.2.0", "messages": 3}
    mixed = status() | ours
    mixed["actors"] = {"shard-0": SHARD | {"node": "a"}, "shard-1": SHARD | ours}
    text = shown(mixed)
    assert "Release 0.2.0, messages 3: coordinator, shard-1" in text
    assert "Release an older one, messages ?: shard-0" in text
    mixed["actors"].pop("shard-0")
    assert "Release" not in shown(mixed)


def test_a_number_beyond_the_bounds_of_a_world_that_scales_is_refused(valkey_url: str) -> None:
    redis: Any = BlockingRedis.from_url(valkey_url)
    redis.flushall()
    redis.hset(keys.WORLD, "shard_count", 2)
    redis.set(keys.STATUS, json.dumps({"bounds": [2, 8]}))
    words = ["scale", "--shards", "9", "--wait", "0"]
    found = CliRunner().invoke(cli.app, words, env={"CHUNKCRAWL_REDIS_URL": valkey_url}, prog_name="chunkcrawl")
    assert found.exit_code == 1
    assert found.output == "error: this world scales by itself, between 2 and 8 shards\n"
    assert redis.hget(keys.WORLD, keys.WANTED_SHARDS) is None
    redis.close()


class Watched:
    """Somebody who watches: what there is to be read, a second each, and then Ctrl-C."""

    def __init__(self, *read: dict[str, Any] | None) -> None:
        self._read = iter(read)
        self._now = 0.0

    def glance(self) -> dict[str, Any] | None:
        try:
            return next(self._read)
        except StopIteration:
            raise KeyboardInterrupt from None

    def pause(self, seconds: float) -> None:
        self._now += seconds

    def clock(self) -> float:
        return self._now

    def sees(self) -> str:
        out = io.StringIO()
        console = Console(file=out, width=200, force_terminal=True)
        with pytest.raises(KeyboardInterrupt):
            _watch(console, status(), self.glance, pause=self.pause, clock=self.clock)
        return out.getvalue()


def test_a_coordinator_that_moves_is_waited_for() -> None:
    seen = Watched(status(), None, None, None, status(), *[None] * 59, status()).sees()
    for second in (1, 2, 3, 59):
        assert f"No status for {second} s: the coordinator is moving" in seen
    assert "12345678" in seen.rpartition("is moving")[0], "with the last status that there was"
    assert "shard-127" in seen.rpartition("is moving")[2], "and then the next"


def test_a_coordinator_that_does_not_come_back_ends_the_watching() -> None:
    watched = Watched(*[None] * 100)
    with pytest.raises(NoWorld, match="no status for 61 s: is the world up"):
        _watch(Console(file=io.StringIO()), status(), watched.glance, pause=watched.pause, clock=watched.clock)

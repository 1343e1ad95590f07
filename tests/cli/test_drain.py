"""``chunkcrawl drain`` and ``undrain`` on a real Valkey, with a coordinator that is a few lines here."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis as BlockingRedis
from typer.testing import CliRunner

from chunkcrawl.commands import main as cli
from cli import drain, last_status
from cluster.drain.nodes import ClusterNode
from streaming import keys

A, B = ("a" * 56, "b" * 56)


class Coordinator:
    """Writes its status and takes actors off a drained node, one with each status."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self.nodes = {A: ["shard-0", "gateway-0", "coordinator"], B: ["shard-1"]}
        self.stuck: set[str] = set()
        self.silent: list[str] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.02):
            drained = {name.decode() for name in self.redis.hkeys(keys.DRAINED)}
            self.write(drained)
            for node in drained & self.nodes.keys():
                for name in [name for name in self.nodes[node] if name not in self.stuck][:1]:
                    self.nodes[node].remove(name)
                    self.nodes[B].append(name)

    def write(self, drained: set[str]) -> None:
        nodes = [
            ClusterNode(
                *(id_, "10.0.0.1", f"node-{id_[0]}", 2.0, 1.0), False, id_ in drained, dict.fromkeys(names, 0.1)
            )
            for id_, names in self.nodes.items()
        ]
        actors: dict[str, Any] = {name: {} for names in self.nodes.values() for name in names}
        actors |= {name: {"error": ""} for name in self.silent}
        status = {"nodes": [node.describe() for node in nodes], "actors": actors, "misplaced": 0}
        self.redis.set(keys.STATUS, json.dumps(status))

    def end(self) -> None:
        self._end.set()
        self._thread.join()


@pytest.fixture
def redis(valkey_url: str) -> Iterator[Any]:
    client = BlockingRedis.from_url(valkey_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def coordinator(redis: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Coordinator]:
    monkeypatch.setattr(drain, "POLL_S", 0.05)
    made = Coordinator(redis)
    yield made
    made.end()


Invoke = Callable[..., tuple[int, str]]


@pytest.fixture
def invoke(valkey_url: str, postgres_url: str) -> Invoke:
    environment = {"CHUNKCRAWL_REDIS_URL": valkey_url, "CHUNKCRAWL_DATABASE_URL": postgres_url}

    def run(*words: str) -> tuple[int, str]:
        found = CliRunner().invoke(cli.app, list(words), env=environment, prog_name="chunkcrawl")
        return found.exit_code, found.output

    return run


def test_a_node_is_drained_when_nothing_is_left_on_it(coordinator: Coordinator, invoke: Invoke) -> None:
    code, said = invoke("drain", "aaaa")
    assert (code, coordinator.nodes[A]) == (0, [])
    assert "aaaaaaaa (node-a, 10.0.0.1) is empty, and stays so until `chunkcrawl undrain aaaaaaaa`." in said
    assert invoke("drain", "node-a")[0] == 0, "again is no fault"
    assert invoke("undrain", "a") == (0, "aaaaaaaa (node-a, 10.0.0.1) may be used again.\n")
    code, said = invoke("undrain", "a")
    assert (code, "is not drained" in said) == (1, True)


def test_the_last_node_and_an_unknown_one_are_refused_in_one_line(
    coordinator: Coordinator, invoke: Invoke, redis: Any
) -> None:
    assert invoke("drain", "a")[0] == 0
    for words, why in (
        (("drain", "b"), "the last node"),
        (("drain", "nowhere"), "no node is called 'nowhere'; there are"),
    ):
        code, said = invoke(*words)
        assert code == 1
        assert said.startswith("error: ")
        assert why in said
        assert len(said.splitlines()) == 1
    assert redis.hkeys(keys.DRAINED) == [A.encode()]


def test_what_takes_too_long_goes_on_and_is_named(coordinator: Coordinator, invoke: Invoke) -> None:
    coordinator.stuck = {"gateway-0"}
    code, said = invoke("drain", "a", "--wait", "1", "--json")
    assert code == 1
    assert json.loads(said.splitlines()[0]) == {"node": A, "empty": False, "left": ["gateway-0"]}
    assert "Not empty within 1 s: gateway-0. It goes on" in said


def test_an_actor_that_hangs_may_be_anywhere(coordinator: Coordinator, invoke: Invoke) -> None:
    coordinator.silent = ["shard-9"]
    code, said = invoke("drain", "a", "--wait", "1")
    assert (code, "shard-9 (gives no answer)" in said) == (1, True)


def test_a_coordinator_that_knows_nothing_of_draining_is_not_waited_for(redis: Any, invoke: Invoke) -> None:
    status = {"nodes": [{"node": "aaaaaaaa", "alive": True}], "actors": {}, "misplaced": 0}
    redis.set(keys.STATUS, json.dumps(status))
    began = time.monotonic()
    code, said = invoke("drain", "a")
    assert (code, "a release that can't drain" in said) == (1, True)
    assert time.monotonic() - began < 60


def test_without_a_world_it_says_so(redis: Any, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_status, "STATUS_WAIT_S", 0.1)
    code, said = invoke("drain", "a")
    assert (code, "is the world up?" in said) == (3, True)

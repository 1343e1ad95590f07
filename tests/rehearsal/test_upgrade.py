"""Worlds that older versions have made start with this one, and go on.

Each archive in ``worlds/`` is what such a version left when it was stopped while agents played (``keep_world`` makes
them), without PostgreSQL's cluster, which is made anew from SQL.  An archive needs neither that version's history nor
its dependencies, and shows the same as long as it lies there.
"""

from __future__ import annotations

import asyncio
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from chunkcrawl import Api
from cluster.world_rules import rules_in
from embedded.postgres import DEFAULT_VERSION
from embedded.services import EmbeddedServices
from operations import pg_tools
from operations.world_dump import WorldDump, read_world
from streaming.connect import connect
from tests.rehearsal.players import plays_on
from tests.rehearsal.system import System, run
from world.rules import WorldRules

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WORLDS = sorted(Path(__file__).with_name("worlds").glob("*.tar.xz"))
STATUS_WITHIN_S = 60.0
OTHERS = {"CHUNKCRAWL_GOLD_NODES_MIN": "1", "CHUNKCRAWL_GOLD_NODES_MAX": "1", "CHUNKCRAWL_TICK_HZ": "10"}


@pytest.fixture(params=WORLDS, ids=lambda path: path.name.partition(".")[0])
def left(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory with ``data`` as that version left it, and ``known.json``."""
    place = Path(tempfile.mkdtemp(prefix="ccupgrade-"))
    with tarfile.open(request.param) as archive:
        archive.extractall(place, filter="data")
    with EmbeddedServices(place / "data") as urls:
        asyncio.run(_fill(urls.database_url, place / "database.sql"))
    yield place
    shutil.rmtree(place, ignore_errors=True)


async def _fill(database_url: str, sql: Path) -> None:
    tool = await pg_tools.find("psql", DEFAULT_VERSION)
    await pg_tools.run(tool, database_url, ["--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(sql)])


@pytest.fixture
def system(left: Path) -> Iterator[System]:
    made = System(left)
    yield made
    made.stop()


def stopped_world(data: Path) -> WorldDump:
    """What the Redis of a stopped world holds."""

    async def dumped(url: str) -> WorldDump | None:
        redis = connect(url)
        try:
            return await read_world(redis)
        finally:
            await redis.aclose()

    with EmbeddedServices(data, redis_alone=True) as urls:
        found = asyncio.run(dumped(urls.redis_url))
    assert found is not None
    return found


def nodes(dump: WorldDump) -> dict[str, list[str]]:
    """The gold nodes of each chunk, as its last delta shows them."""
    deltas = {id_: orjson.loads(chunk.last.partition("\n")[2]) for id_, chunk in dump.chunks.items() if chunk.last}
    return {id_: [node["node_id"] for node in delta["resources"]] for id_, delta in deltas.items()}


async def play_on(base: str, known: dict[str, Any], before: WorldDump) -> None:
    async with Api(base) as api:
        listed = await api.agents(auth=known["api_key"])
        assert {agent["agent_id"] for agent in listed} == set(known["agents"])
        key = await api.create_key(known["account_id"], auth=(known["email"], known["password"]))
        assert key.api_key != known["api_key"]
    names = known["agents"]
    await asyncio.gather(*(plays_on(base, known["api_key"], name, before.agents[name]["rec"]) for name in names))


def test_a_world_of_an_older_version_goes_on(left: Path, system: System) -> None:
    known = orjson.loads((left / "known.json").read_bytes())
    before = stopped_world(system.data)
    assert any(agent.get("busy") for agent in before.agents.values()), "nobody was under way: the test shows too little"
    assert len(before.chunks) > 1
    system.start(known["settings"])
    had_rules = rules_in(before.world) is not None
    assert ("This world had no rules of its own" in system.said) is not had_rules
    assert run("fsck", "--data", system.data)[0] == 0
    asyncio.run(play_on(system.base, known, before))
    code, said = run("history", "--agent", known["agents"][0], "--data", system.data, "--limit", "1000")
    assert code == 0
    assert "join" in said
    system.stop()

    after = stopped_world(system.data)
    assert rules_in(after.world) == WorldRules(
        **{name.removeprefix("CHUNKCRAWL_").lower(): int(value) for name, value in made_with(known).items()}
    )
    shown = nodes(after)
    assert {id_: shown[id_] for id_ in nodes(before) if id_ in shown} == {
        id_: found for id_, found in nodes(before).items() if id_ in shown
    }

    system.start(OTHERS)
    assert "Not used: CHUNKCRAWL_TICK_HZ=10 (here 5), CHUNKCRAWL_GOLD_NODES_MIN=1 (here 7)" in system.said
    assert "7 to 9 gold nodes a chunk" in status_of(system)
    system.stop()
    assert "7 to 9 gold nodes a chunk" in run("status", "--data", system.data)[1]
    assert rules_in(stopped_world(system.data).world) == rules_in(after.world)
    assert nodes(stopped_world(system.data))["chunk-0"] == shown["chunk-0"]
    assert run("fsck", "--data", system.data)[0] == 0


def status_of(system: System) -> str:
    """What ``status`` says of a world that runs; the coordinator writes it some seconds after the start."""
    end = time.monotonic() + STATUS_WITHIN_S
    while True:
        code, said = run("status", "--data", system.data)
        if code == 0:
            return " ".join(said.split())
        assert time.monotonic() < end, said
        time.sleep(0.5)


def made_with(known: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in known["settings"].items() if "GOLD" in name}

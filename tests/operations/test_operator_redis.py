"""How operator commands find a world's Redis: of a world that runs, of a stopped one, of none."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chunkcrawl.commands import main as cli
from cluster import graph
from cluster.world_rules import stored
from embedded.services import EmbeddedServices
from operations.operator_redis import find_redis
from streaming import keys
from streaming.connect import connect
from world.rules import WORLD_RULES, WorldRules

SECRET = "hunter2"


def invoke(*words: str, **environment: str) -> tuple[int, str]:
    own: dict[str, str | None] = {
        "CHUNKCRAWL_REDIS_URL": None,
        "CHUNKCRAWL_DATABASE_URL": None,
        "CHUNKCRAWL_DATA_DIR": None,
    }
    result = CliRunner().invoke(cli.app, list(words), env=own | environment, prog_name="chunkcrawl")
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def stopped() -> Iterator[Path]:
    """A data directory whose world is stopped: one chunk, nobody in it."""
    directory = Path(tempfile.mkdtemp(prefix="chunkcrawl-stopped-"))
    with EmbeddedServices(directory, redis_alone=True) as urls:

        async def fill() -> None:
            redis = connect(urls.redis_url)
            await graph.init_world(redis, seed=1, shard_count=2)
            await redis.aclose()

        asyncio.run(fill())
    yield directory
    shutil.rmtree(directory)


@pytest.mark.services
def test_a_stopped_world_is_looked_at_and_left_as_it_was(stopped: Path) -> None:
    assert invoke("fsck", "--data", str(stopped)) == (0, "Whole: 1 chunks, 0 agents.\n")
    code, output = invoke("status", "--data", str(stopped))
    assert code == 3
    assert output.startswith("The world is stopped. It has 1 chunks, 0 agents stand in it, for 2 shards;")
    assert output.endswith("Made with 5 ticks a second, 3 to 6 gold nodes a chunk, 5 to 20 units a node.\n")
    code, output = invoke("status", "--json", CHUNKCRAWL_DATA_DIR=str(stopped))
    rules = {name: int(value) for name, value in stored(WorldRules()).items()}
    assert json.loads(output) == {"running": False, "shards": 2, "chunks": 1, "agents": 0, "rules": rules}
    assert invoke("strikes", "nobody", "--data", str(stopped))[0] == 1
    assert not (stopped / "services.json").exists()
    assert not (stopped / "postgres").exists()
    with find_redis(str(stopped), stopped_too=True) as found:
        assert found.stopped
        assert "in use by another run" in invoke("fsck", "--data", str(stopped))[1]


@pytest.mark.services
def test_of_a_stopped_world_without_rules_or_with_damaged_ones_status_says_so(stopped: Path) -> None:
    def change(**fields: str) -> None:
        async def put() -> None:
            redis = connect(found.redis_url)
            await redis.hdel(keys.WORLD, *WORLD_RULES)
            for name, value in fields.items():
                await redis.hset(keys.WORLD, name, value)
            await redis.aclose()

        with EmbeddedServices(stopped, redis_alone=True) as found:
            asyncio.run(put())

    change()
    assert invoke("status", "--data", str(stopped))[1].endswith("Its rules are written at its next start.\n")
    change(**stored(WorldRules()) | {"tick_hz": "often"})
    code, output = invoke("status", "--data", str(stopped))
    assert (code, len(output.splitlines())) == (3, 1), output
    assert "tick_hz can't be 'often'" in output
    change(**stored(WorldRules()))


@pytest.mark.services
def test_what_a_killed_run_left_behind_is_no_running_world(stopped: Path) -> None:
    (stopped / "services.json").write_text('{"redis_url": "redis://127.0.0.1:1", "database_url": ""}')
    assert invoke("fsck", "--data", str(stopped))[0] == 0


@pytest.mark.parametrize("words", ["status", "fsck", "scale --shards 2", "mute a", "unmute a", "strikes a"])
@pytest.mark.parametrize("url", [f"redis+sentinel://:{SECRET}@h/m", f"redis://:{SECRET}@h/{SECRET}", "http://h"])
def test_a_url_that_can_not_be_used_is_2_and_a_line(words: str, url: str) -> None:
    code, output = invoke(*words.split(), CHUNKCRAWL_REDIS_URL=url)
    assert (code, len(output.splitlines())) == (2, 1), output
    assert output.startswith("CHUNKCRAWL_REDIS_URL: ")
    assert SECRET not in output


@pytest.mark.parametrize("words", ["status", "fsck", "scale --shards 2", "mute a", "unmute a", "strikes a"])
def test_no_world_is_3_and_a_line(words: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file"):
        code, output = invoke(*words.split(), "--data", str(place))
        assert (code, len(output.splitlines())) == (3, 1), output
        assert "chunkcrawl up" in output
    code, output = invoke(*words.split(), CHUNKCRAWL_REDIS_URL=f"redis://:{SECRET}@127.0.0.1:1")
    assert (code, len(output.splitlines())) == (3, 1), output
    assert SECRET not in output

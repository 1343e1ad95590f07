from __future__ import annotations

import io
import json

import pytest
from redis.asyncio import Redis

from cluster.local import LocalWorld
from config.logs import configure_logging
from config.settings import Settings
from tests.cluster.worlds import player

pytestmark = pytest.mark.usefixtures("logging_put_back")

TEXT = "what nobody but the chunk should read"


def logged_to(levels: str) -> io.StringIO:
    out = io.StringIO()
    settings = Settings(environment="prod", secret_pepper="p" * 32, log_level="warning", log_levels=levels)
    configure_logging(settings, out)
    return out


async def play(redis: Redis) -> list[str]:
    async with LocalWorld(redis, shards=1) as world:
        walker = await player(world, "walker")
        await walker.move(25, 30)
        assert (await walker.submit({"type": "say", "text": TEXT})).accepted
        await walker.result()
        return walker.submitted


async def test_a_command_can_be_followed_into_the_shard(redis: Redis) -> None:
    out = logged_to("cluster.shard=debug")
    moved, said = await play(redis)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    results = [line for line in lines if line["event"] == "world_result"]
    assert [line["server_cmd_id"] for line in results] == [moved, said]
    for line in results:
        assert (line["agent_id"], line["chunk_id"], line["trace_id"]) == ("walker", "chunk-0", "trace")
        assert line["event_id"] == f"chunk-0:{line['tick']}:0"
    assert {"world_join", "world_chat"} <= {line["event"] for line in lines}
    assert TEXT not in out.getvalue()


async def test_without_asking_for_it_there_is_nothing(redis: Redis) -> None:
    out = logged_to("")
    await play(redis)
    assert "world_result" not in out.getvalue()

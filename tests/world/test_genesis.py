"""New chunks and the demo's population."""

from __future__ import annotations

from tests.world.harness import HALL, TinyCluster
from world.genesis import demo_population, new_chunk
from world.ids import Tick
from world.inputs import Join, Joined
from world.rules import Rules

DEMO, PROD = Rules(demo=True), Rules(demo=False)


def test_the_demo_stands_where_the_contract_says() -> None:
    """demo-player at the centre of chunk-0, a real agent that moves; users and creatures to look at."""
    world = TinyCluster(rules=DEMO)
    for record in demo_population(DEMO):
        reply = world.shards[0].apply(Join(record, record.chunk_id, (record.x, record.y)))
        assert reply == Joined(record.x, record.y)
    world.pump()
    world.run()
    delta = world.home[HALL].chunk_delta(HALL)
    places = {agent["id"]: (agent["x"], agent["y"]) for agent in delta["agents"]}
    assert places["demo-player"] == (25, 25)
    assert set(places) == {"demo-player", "demo-user-1", "demo-user-2", "demo-user-3"}
    assert [npc["id"] for npc in delta["npcs"]] == ["demo-npc-1", "demo-npc-2"]
    assert world.move("demo-player", 26, 25).accepted
    world.run_until_idle()
    assert world.place("demo-player")[1:] == (26, 25)


def test_nobody_in_prod() -> None:
    assert demo_population(PROD) == []
    assert new_chunk(1, 0, None, PROD).npcs == new_chunk(1, 4, "N", PROD).npcs == ()


def test_new_chunks() -> None:
    hall, other = new_chunk(1, 0, None, DEMO), new_chunk(1, 4, "N", DEMO, Tick(9), {"N": HALL})
    assert (hall.chunk_id, hall.pinned, hall.idle_since) == ("chunk-0", True, 0)
    assert (other.chunk_id, other.pinned, other.tick, other.idle_since) == ("chunk-4", False, 9, 9)
    assert other.neighbors == {"N": "chunk-0", "E": None, "S": None, "W": None}

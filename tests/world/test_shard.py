"""The three doors of a shard's world."""

from __future__ import annotations

import json

import pytest

from tests.world.harness import HALL, QUIET, TinyCluster, is_empty
from tests.world.play import recorded_play
from world.chunk import Chunk
from world.genesis import new_chunk
from world.ids import AgentId, ChunkId
from world.inputs import Load
from world.recording import decode_input, state_digest
from world.rules import Rules
from world.shard import ShardWorld


def test_ticks_only_rise() -> None:
    """A number that is not above the last one does nothing; any number above it will do."""
    shard = ShardWorld(QUIET, 1, 0)
    assert [shard.step(tick) for tick in (3, 3, 2, 10)] == [True, False, False, True]
    assert shard.tick == 10


def test_nothing_happens_twice(world: TinyCluster) -> None:
    """What was taken is forgotten."""
    world.join("a", 20, 25)
    world.run()
    assert is_empty(world.shards[0].take())
    world.run()
    assert is_empty(world.shards[0].take())


def test_a_delta_only_for_ticks_with_a_change(world: TinyCluster) -> None:
    world.join("a", 20, 25)
    world.run(2)
    shown = len(world.deltas)
    world.run(50)
    assert len(world.deltas) == shown


def test_agents_in_a_delta_are_sorted(world: TinyCluster) -> None:
    for number, name in enumerate(("m", "b", "z", "a")):
        world.join(name, 20 + 2 * number, 25)
    world.leave("m")
    world.run()
    assert [agent["id"] for agent in world.deltas[-1].payload["agents"]] == ["a", "b", "z"]


def test_a_payload_is_not_changed_by_what_comes_after(world: TinyCluster) -> None:
    """The runtime may encode late: a delta keeps showing its own tick."""
    world.join("a", 20, 25)
    world.move("a", 24, 25)
    world.run(4)
    xs = [delta.payload["agents"][0]["x"] for delta in world.deltas if delta.payload["agents"]]
    assert xs == [21, 22, 23, 24]


def test_the_present_state_has_no_events(world: TinyCluster) -> None:
    world.join("a", 20, 25)
    world.run()
    delta = world.shards[0].chunk_delta(HALL)
    assert delta == {**world.deltas[-1].payload, "events": []}
    assert set(delta) == {"chunk_id", "tick", "agents", "npcs", "resources", "events"}


def test_looking_in(world: TinyCluster) -> None:
    shard = world.shards[0]
    assert (shard.population, shard.population_of(HALL), shard.chunk_ids, shard.holds(HALL)) == (0, 0, [HALL], True)
    world.join("b", 20, 25)
    world.join("a", 22, 25)
    assert [agent.agent_id for agent in shard.agents(HALL)] == ["a", "b"]
    assert (shard.population, shard.population_of(HALL), sorted(shard.agent_ids)) == (2, 2, ["a", "b"])
    nowhere = ChunkId("chunk-9")
    assert (shard.agents(nowhere), shard.population_of(nowhere), shard.holds(nowhere)) == ([], 0, False)
    assert shard.agent(AgentId("nobody")) is None
    with pytest.raises(KeyError):
        shard.chunk_static(nowhere)


def test_idle_chunks_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of chunks in which nobody is: a step touches none of them."""
    shard = ShardWorld(Rules(demo=True), 1, 0)
    for number in range(1, 301):
        shard.apply(Load(new_chunk(1, number, "W", shard.rules), []))
    shard.step(1)
    assert len(shard.take().deltas) == 300
    touched: list[ChunkId] = []
    monkeypatch.setattr(Chunk, "payload", lambda chunk, *_: touched.append(chunk.id))
    for tick in range(2, 200):
        shard.step(tick)
        assert is_empty(shard.take())
    assert not touched


def test_the_world_and_its_shard_count_do_not_show() -> None:
    """Pitfall B15: the same play in one chunk on one shard and on four: the same deltas and private events."""
    logs = []
    for shards in (1, 4):
        world = TinyCluster(shards=shards)
        for number in range(20):
            world.join(f"agent-{number:02}")
        for turn in range(60):
            for number in range(20):
                world.move(f"agent-{number:02}", 15 + (turn * 7 + number * 3) % 20, 20 + (turn + number * 5) % 10)
            world.run()
        logs.append(([delta for delta in world.deltas if delta.chunk_id == HALL], world.private))
    assert logs[0] == logs[1]


def test_a_quiet_world_goes_the_same_way_and_tells_no_more_than_everybody_sees() -> None:
    """Of two shards that hand chunks over: the same state after each line of their recordings, the same events."""
    told = 0
    for lines, _ in recorded_play(seed=8, shards=2, ticks=80):
        header = json.loads(lines[0])
        rules, seed, shard = Rules.from_json(header["rules"]), header["world_seed"], header["shard"]
        heard, quiet = ShardWorld(rules, seed, shard), ShardWorld(rules, seed, shard, quiet=True)
        for text in lines[1:]:
            line = json.loads(text)
            if line["rec"] == "input":
                order = decode_input(line)
                assert heard.apply(order) == quiet.apply(order)
            elif line["rec"] == "step":
                assert heard.step(line["tick"]) == quiet.step(line["tick"])
                assert state_digest(heard) == state_digest(quiet)
            elif line["rec"] == "take":
                loud, low = heard.take(), quiet.take()
                told += len(loud.private)
                assert (low.private, low.chunks, low.archive) == ([], {}, [])
                assert low.agents.keys() <= {agent_id for _, agent_id, joined in loud.members if not joined}
                assert (low.requests, low.closed, low.departures) == (loud.requests, loud.closed, loud.departures)
                events = [(one.chunk_id, event) for one in loud.deltas for event in one.payload["events"]]
                assert events == [(one.chunk_id, event) for one in low.deltas for event in one.payload["events"]]
    assert told > 100

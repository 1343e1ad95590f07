"""Saying something."""

from __future__ import annotations

from tests.world.harness import HALL, TinyCluster, refused
from world.ids import ChunkId


def test_heard_in_the_next_tick(world: TinyCluster) -> None:
    """One chat event in the chunk, in its normal form; the ack echoes what will be heard."""
    world.join("a", 20, 25)
    decision = world.submit("a", {"type": "say", "text": "hi\nthere e\u0301"})
    assert decision.accepted
    assert world.told("a", "command_ack")[-1]["echo"] == {"type": "say", "text": "hithere \u00e9"}
    world.run()
    assert world.events(kind="chat") == [{"type": "chat", "from": "a", "text": "hithere \u00e9"}]
    assert world.ending("a") == ("completed", None)
    world.run(3)
    assert len(world.events(kind="chat")) == 1


def test_chunk_scope(cluster: TinyCluster) -> None:
    """Heard where the speaker is, and nowhere else."""
    cluster.join("a", 48, 24)
    cluster.move("a", 49, 24)
    cluster.run_until_idle()
    cluster.submit("a", {"type": "say", "text": "over here"})
    cluster.run()
    assert not cluster.events(HALL, "chat")
    assert cluster.events(ChunkId("chunk-1"), "chat") == [{"type": "chat", "from": "a", "text": "over here"}]


def test_in_order(world: TinyCluster) -> None:
    """Two in one tick are heard in the order of acceptance."""
    world.join("a", 20, 25)
    world.join("b", 22, 25)
    world.submit("b", {"type": "say", "text": "first"})
    world.submit("a", {"type": "say", "text": "second"})
    world.run()
    assert [event["text"] for event in world.events(kind="chat")] == ["first", "second"]


def test_speaking_is_a_command_like_others(world: TinyCluster) -> None:
    """A second one before the tick is busy, and while walking nobody speaks."""
    world.join("a", 20, 25)
    world.submit("a", {"type": "say", "text": "one"})
    assert refused(world.submit("a", {"type": "say", "text": "two"})) == "busy"
    world.run()
    world.move("a", 24, 25)
    assert refused(world.submit("a", {"type": "say", "text": "three"})) == "busy"


def test_leaving_before_it_is_heard(world: TinyCluster) -> None:
    """Not heard, and failed: never neither nor both."""
    world.join("a", 20, 25)
    world.submit("a", {"type": "say", "text": "wait"})
    world.leave("a")
    world.run()
    assert world.ending("a") == ("failed", "disconnected")
    assert not world.events(kind="chat")

"""A reload puts an empty world in the place of the old one, and what was decided before it counts no more."""

from __future__ import annotations

from pathlib import Path

from cluster.shard.memory import ShardMemory
from tests.cluster.shard.parts import memory_with_hall
from world.ids import HALL
from world.inputs import Keep
from world.rules import Rules


def test_a_new_world_is_empty_and_of_another_generation() -> None:
    memory = memory_with_hall(tick=7)
    before, generation = memory.world, memory.generation
    memory.begin_anew(epoch=2)
    assert memory.world is not before
    assert not memory.world.holds(HALL)
    assert memory.generation > generation
    assert memory.tick == 7


def test_outdating_leaves_the_world_and_ends_its_generation() -> None:
    memory = memory_with_hall()
    before, generation = memory.world, memory.generation
    memory.outdate()
    assert memory.world is before
    assert memory.generation > generation


def test_each_world_is_recorded_in_a_file_of_its_own_which_is_closed(tmp_path: Path) -> None:
    memory = ShardMemory(3, Rules(demo=False), 1, record_dir=str(tmp_path))
    for epoch in (5, 6):
        memory.begin_anew(epoch)
        memory.world.apply(Keep(HALL))
    memory.close()
    closed = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert sorted(closed) == ["shard-3-5-1.jsonl", "shard-3-6-2.jsonl"]
    memory.world.apply(Keep(HALL))  # nothing that comes after it is written
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == closed


def test_without_a_directory_nothing_is_recorded(tmp_path: Path) -> None:
    memory = ShardMemory(3, Rules(demo=False), 1)
    memory.begin_anew(1)
    memory.close()
    assert list(tmp_path.iterdir()) == []

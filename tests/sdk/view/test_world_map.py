"""The map that lasts: what it takes in, which ways it knows, what is gone, and the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chunkcrawl.view.world_map import MapUnreadable, WorldMap
from chunkcrawl.view.world_view import WorldView
from tests.sdk.builders import delta, event, static

#: A 5 x 5 chunk with a door on each side.
OPEN = ["##.##", "#...#", ".....", "#...#", "##.##"]
NODE = {"node_id": "g", "type": "gold", "x": 1, "y": 0, "max_remaining": 5}


class Walk:
    """A view and a map that an agent's walk fills."""

    def __init__(self) -> None:
        self.view, self.map, self.tick = WorldView("me"), WorldMap(), 0

    def enter(self, chunk_id: str, tiles: list[str] = OPEN, *, gold: int = 0, **neighbors: str | None) -> None:
        sides: dict[str, str | None] = {"N": None, "E": None, "S": None, "W": None}
        fixed = static(chunk_id, tiles, neighbors=sides | neighbors, resource_nodes=[NODE])
        self.feed(event("chunk_static", **fixed))
        self.happen(chunk_id, resources=[{"node_id": "g", "remaining": gold}])

    def happen(self, chunk_id: str, **more: Any) -> None:
        self.tick += 1
        self.feed(event("chunk_delta", **delta(self.tick, ("me", 2, 2), chunk_id=chunk_id, **more)))

    def feed(self, one: Any) -> None:
        self.view.feed(one)
        self.map.note(self.view, 1_000 + self.tick)


def walked() -> Walk:
    """Home, then two to the east, then back home by another door in the north."""
    walk = Walk()
    walk.enter("home", E="one", N="three", gold=2)
    walk.enter("one", W="home", E="two")
    walk.enter("two", W="one", gold=5)
    return walk


def test_it_knows_what_was_seen_and_when() -> None:
    known = walked().map.chunks
    assert list(known) == ["home", "three", "one", "two"]
    assert (known["two"].gold, known["two"].seen_ms, known["two"].tick) == (5, 1_003, 3)
    assert known["home"].exits == ["N", "E", "S", "W"]
    assert known["home"].grid[0] == [1, 1, 0, 1, 1]
    assert (known["three"].entered, known["three"].neighbors) == (False, {"S": "home"})


def test_ways_go_through_the_fewest_doors() -> None:
    walk = walked()
    assert walk.map.route("home", "two") == ["E", "E"]
    assert walk.map.route("two", "home") == ["W", "W"]
    assert walk.map.route("two", "three") == ["W", "W", "N"]
    assert walk.map.route("two", "two") == []
    assert walk.map.route("two", "nowhere") is None
    assert walk.map.route("nowhere", "two") is None
    walk.enter("two", W="one", S="home")
    assert walk.map.route("two", "home") == ["S"]


def test_unknown_doors_and_gold_come_by_distance() -> None:
    walk = walked()
    doors = list(walk.map.unknown_doors("two"))
    assert doors[:3] == [([], "N"), ([], "E"), ([], "S")]
    assert doors[3:5] == [(["W"], "N"), (["W"], "S")]
    assert (["W", "W"], "N") in doors  # home's door to three, where nobody has been
    assert [(way, chunk.chunk_id) for way, chunk in walk.map.gold_chunks("one")] == [(["E"], "two"), (["W"], "home")]


def test_a_chunk_that_was_collected_is_gone() -> None:
    walk = walked()
    walk.enter("one", W="home", E="two")
    walk.happen("one", events=[{"type": "neighbor_unlinked", "dir": "E"}])
    gone = walk.map.chunks["two"]
    assert (gone.gone, gone.gold, walk.map.route("one", "two")) == (True, 0, None)
    assert ([], "E") in list(walk.map.unknown_doors("one"))
    walk.happen("one", events=[{"type": "neighbor_linked", "dir": "E", "chunk_id": "new"}])
    assert walk.map.route("one", "new") == ["E"]
    assert walk.map.chunks["two"].gone


def test_a_door_that_leads_elsewhere_now_tells_that_a_chunk_is_gone() -> None:
    walk = walked()
    walk.enter("home", E="other")
    assert walk.map.chunks["one"].gone
    assert walk.map.chunks["three"].gone
    assert walk.map.route("home", "other") == ["E"]
    assert walk.map.route("home", "two") is None


def test_another_terrain_under_an_id_is_another_world() -> None:
    walk = walked()
    walk.enter("one", ["#####", "#...#", "....#", "#...#", "#####"])
    assert set(walk.map.chunks) == {"one"}


def test_what_was_seen_longest_ago_is_forgotten_first() -> None:
    walk = Walk()
    walk.map = WorldMap(chunks_max=3)
    for number in range(6):
        walk.enter(f"c{number}")
    assert list(walk.map.chunks) == ["c3", "c4", "c5"]


def test_a_file_holds_all_of_it(tmp_path: Path) -> None:
    walk, file = walked(), tmp_path / "deep" / "map.json"
    assert WorldMap.load(file).chunks == {}
    walk.map.save(file)
    assert WorldMap.load(file).chunks == walk.map.chunks
    assert [path.name for path in file.parent.iterdir()] == ["map.json"]
    assert set(WorldMap.load(file, chunks_max=2).chunks) == {"one", "two"}


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"version":1}', b'{"version":2,"chunks":[]}', b'{"version":1,"chunks":[{}]}', b"\xff", b"nonsense"],
)
def test_a_file_that_is_no_map_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "map.json"
    file.write_bytes(content)
    with pytest.raises(MapUnreadable, match=r"map\.json .*move it away to begin a new one"):
        WorldMap.load(file)


def test_sides_that_there_are_not_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    file.write_text('{"version":1,"chunks":[{"chunk_id":"a","neighbors":{"UP":"b"}},{"chunk_id":"c"}]}')
    assert set(WorldMap.load(file).chunks) == {"c"}

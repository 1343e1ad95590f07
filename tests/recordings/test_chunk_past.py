"""The past of chunks: byte for byte what their watchers were sent, whole over pages, shards, segments and lives."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from recordings.chunk_past import read_past, tick_at
from recordings.past_page import PastPage
from recordings.places import Directory
from recordings.track import Catalog
from tests.recordings.simulate import PACE, SourcedCluster, SourcedWorld, given_of, write
from tests.world.play import PLAY_RULES, Script
from world.ids import shard_of
from world.outputs import Output

TICKS: Final = 150


@dataclass
class Played:
    """A recording, and what was sent."""

    directory: Path
    catalog: Catalog
    sent: dict[str, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    closed: dict[str, int] = field(default_factory=dict)
    #: By chunk and tick, its moving things after the last commit of that tick.
    states: dict[str, dict[int, Any]] = field(default_factory=lambda: defaultdict(dict))
    shards_of: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))


def play(directory: Path, shards: int, *, seed: int = 6, ticks: int = TICKS) -> Played:
    result = Played(directory, Catalog(Directory(directory)))

    class Sending(SourcedWorld):
        def take(self) -> Output:
            output = super().take()
            for delta in output.deltas:
                assert delta.tick not in result.sent[delta.chunk_id]
                result.sent[delta.chunk_id][delta.tick] = orjson.dumps(delta.payload)
                result.shards_of[delta.chunk_id].add(self.shard)
            for chunk in self.chunk_ids:
                result.states[chunk][self.tick] = self.chunk_delta(chunk)
            result.closed |= dict.fromkeys(output.closed, self.tick)
            return output

    class Cluster(SourcedCluster):
        def make_shard(self, number: int) -> SourcedWorld:
            return Sending(self.rules, self.seed, number, pace=PACE)

    cluster = Cluster(shards, PLAY_RULES, seed)
    script = Script(cluster, seed, hand_overs=shards > 1)
    for _ in range(ticks):
        script.turn()
    write(directory, list(given_of(cluster)), segment_s=12)
    return result


@pytest.fixture(scope="module", params=[1, 3], ids=["one shard", "handed over"])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(tmp_path_factory.mktemp("past"), request.param)


def pages(catalog: Catalog, chunk: str, first: int, last: int, limit: int = 500) -> list[PastPage]:
    found: list[PastPage] = []
    while first <= last:
        page = read_past(catalog, chunk, first, last, limit)
        assert page.last >= first or page.ended, page
        found.append(page)
        if page.ended or page.closed is not None:
            break
        first = page.last + 1
    return found


def shown(found: list[PastPage]) -> dict[int, bytes]:
    result: dict[int, bytes] = {}
    for page in found:
        for delta in page.deltas:
            assert page.first <= delta.tick <= page.last
            assert delta.tick > max(result, default=-1)
            result[delta.tick] = delta.payload
    return result


def test_every_delta_as_it_was_sent(played: Played) -> None:
    assert len(played.sent) > 2
    for chunk, sent in played.sent.items():
        found = pages(played.catalog, chunk, 0, TICKS + 50)
        assert shown(found) == sent
        assert not any(page.gap for page in found)
        assert found[-1].closed == played.closed.get(chunk)
        assert found[-1].ended == (chunk not in played.closed)


def test_chunks_moved_in_the_play_with_three_shards(played: Played) -> None:
    if len(list(played.directory.glob("shard-002-*"))):
        assert max(len(shards) for shards in played.shards_of.values()) > 1


@pytest.mark.parametrize("limit", [1, 7])
def test_small_pages_are_whole_together(played: Played, limit: int) -> None:
    chunk = max(played.sent, key=lambda one: len(played.sent[one]))
    found = pages(played.catalog, chunk, 40, 90, limit)
    assert shown(found) == {tick: data for tick, data in played.sent[chunk].items() if 40 <= tick <= 90}
    assert all(len(page.deltas) <= limit for page in found)


def test_a_page_says_what_it_begins_from(played: Played) -> None:
    """The chunk as it was then, by the inputs that were taken until that tick."""
    for first in range(20, TICKS - 10, 7):
        page = read_past(played.catalog, "chunk-0", first, first + 2)
        assert page.state is not None
        assert page.static is not None
        state, was = orjson.loads(page.state), orjson.loads(orjson.dumps(played.states["chunk-0"][first - 1]))
        assert {**state, "tick": 0} == {**was, "tick": 0}
        assert orjson.loads(page.static)["chunk_id"] == "chunk-0"


def test_a_chunk_is_looked_for_first_where_it_was_found(played: Played) -> None:
    catalog = fresh(played)
    shards = list(catalog.tracks())
    for chunk, homes in played.shards_of.items():
        read_past(catalog, chunk, 1, TICKS, 1)
        assert catalog.order_for(chunk, shards)[0] in homes
    assert catalog.order_for("chunk-never-asked", shards)[0] == shard_of("chunk-never-asked", len(shards))


def test_a_chunk_that_never_was(played: Played) -> None:
    page = read_past(played.catalog, "chunk-999", 10, 20)
    assert page.state is None
    assert page.deltas == []
    assert page.last == 20


def test_nothing_is_recorded(tmp_path: Path) -> None:
    page = read_past(Catalog(Directory(tmp_path)), "chunk-0", 10, 20)
    assert (page.last, page.ended, page.gap, page.state) == (9, True, None, None)


def test_beyond_the_end(played: Played) -> None:
    page = read_past(played.catalog, "chunk-0", 10_000, 10_100)
    assert page.ended
    assert page.deltas == []
    assert page.state is not None
    assert page.last == 9_999


def test_a_moment_is_found(played: Played) -> None:
    """Ticks are 200 ms here."""
    for tick in (60, 100, 150):
        found = tick_at(played.catalog, "chunk-0", 1_000_000 + tick * 200)
        assert found is not None
        assert abs(found - tick) <= 2
    assert tick_at(played.catalog, "chunk-0", 5) is None


# -- what can't be shown --


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(tmp_path_factory.mktemp("alone"), 1, ticks=200)


@pytest.fixture
def alone(untouched: Played, tmp_path: Path) -> Played:
    return replace(untouched, directory=shutil.copytree(untouched.directory, tmp_path / "copy"))


def segments(played: Played) -> list[Path]:
    return sorted(played.directory.glob("*.ccrec"))


def fresh(played: Played) -> Catalog:
    return Catalog(Directory(played.directory))


def test_what_is_older_than_what_is_kept(alone: Played) -> None:
    segments(alone)[0].unlink()
    first, *rest = pages(fresh(alone), "chunk-0", 5, 250)
    assert first.gap is not None
    assert first.gap.reason == "before_first"
    assert first.gap.first == 5
    assert first.state is not None
    assert orjson.loads(first.state)["tick"] == first.gap.last
    expected = {tick: data for tick, data in alone.sent["chunk-0"].items() if tick > first.gap.last}
    assert shown([first, *rest]) == expected
    only = read_past(fresh(alone), "chunk-0", 5, 9)
    assert only.gap is not None
    assert (only.gap.first, only.gap.last, only.last, only.state, only.ended) == (5, 9, 9, None, False)


def test_a_segment_that_is_missing_in_the_middle(alone: Played) -> None:
    segments(alone)[1].unlink()
    found = pages(fresh(alone), "chunk-0", 0, 250)
    (gap,) = [page.gap for page in found if page.gap]
    assert gap.reason == "missing"
    expected = {tick: data for tick, data in alone.sent["chunk-0"].items() if not gap.first <= tick <= gap.last}
    assert shown(found) == expected
    assert expected != alone.sent["chunk-0"]


def test_a_damaged_segment_is_a_hole(alone: Played) -> None:
    path = segments(alone)[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found = pages(fresh(alone), "chunk-0", 0, 250)
    gaps = [page.gap for page in found if page.gap]
    assert [gap.reason for gap in gaps] == ["missing"]
    missing = set(alone.sent["chunk-0"]) - set(shown(found))
    assert all(any(gap.first <= tick <= gap.last for gap in gaps) for tick in missing)


def test_other_rules(alone: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recordings.entry.RULES_VERSION", -1)
    page = read_past(fresh(alone), "chunk-0", 5, 9)
    assert page.gap is not None
    assert (page.gap.reason, page.gap.first, page.gap.last) == ("other_rules", 5, 9)
    assert page.last == 9

"""The recorder's process is killed before, at and after everything that it does, while agents play.

Ray starts it again each time.  Then everything that the shards have committed is in the recording, each entry and each
command once, and ``chunkcrawl verify`` finds nothing wrong and nothing missing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from cli.verify import app
from recordings.places import Directory
from recordings.verify import verify
from tests.chaos.recorded import held
from tests.chaos.recorder_tree import recorder_tree
from tests.cluster.scenarios import run_scenario

LIMIT_S = 1_500
AGENTS = 12

#: In the order of docs/decisions/0090-recordings.md; the last two lose the oldest segment, as they should.
POINTS = (
    *("read", "taken", "a life begins", "its header is told"),
    *("before writing", "half a block", "a block", "before fsync", "after fsync"),
    *("one shard on the disk", "on the disk", "digests told", "trimming", "trimmed"),
    *("a segment ends", "half an index", "an index", "before the name", "after the name", "the name on the disk"),
    *("an empty file", "a file with its head"),
    *("before mending", "the torn end cut off", "half an index in mending", "mended", "mended and named"),
    *("before sending", "half sent", "sent", "before removing", "removed"),
    *("before cutting", "cut"),
)


def proved(directory: Path, *words: str) -> dict[str, Any]:
    """What ``chunkcrawl verify`` says of a directory in which nothing is wrong."""
    result = CliRunner().invoke(app, [str(directory), "--json", *words])
    said: dict[str, Any] = orjson.loads(result.stdout)
    assert (said["findings"], result.exit_code) == ([], 0)
    return said


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.timeout(LIMIT_S + 20)
def test_a_recorder_killed_at_any_point_leaves_each_input_once(tmp_path: Path) -> None:
    orders, out = tmp_path / "orders", tmp_path / "out"
    tree = recorder_tree(tmp_path / "tree", orders)
    words = (str(orders), str(out), os.environ.get("RECORDER_AGENTS", str(AGENTS)), *POINTS)
    found = run_scenario("tests.chaos.recorder_killed_scenario", *words, limit_s=LIMIT_S, tree=tree)
    seed = f"CHAOS_SEED={found['seed']}"
    rounds: list[dict[str, Any]] = found["rounds"]
    for one in rounds:
        print(*(f"{name}: {value}" for name, value in one.items()), sep="; ")
    assert [one["point"] for one in rounds] == [*POINTS], seed
    for one in rounds:
        assert one["findings"] == [], (one, seed)
        assert one["after"] != one["ended"], (one, seed)
    assert (found["unsettled"], found["holes"], found["findings"], found["missing"]) == ([], [], [], 0), seed

    # What is left after the oldest was cut, by itself; its ends are those of the world.
    there = Directory(out / "there")
    verdict = verify(there)
    assert ([finding.line for finding in verdict.findings], verdict.not_run) == ([], 0), seed
    assert {str(shard): end.text for shard, end in verdict.ends.items()} == found["ends"], seed
    # And with it: all that there was, from the first entry on.
    left = {path.name for path in (out / "there").iterdir()}
    cut = [path for path in (out / "saved").iterdir() if path.name not in left]
    assert cut, seed
    whole = Path(shutil.copytree(out / "there", out / "whole"))
    for path in cut:
        shutil.copyfile(path, whole / path.name)
    said = proved(whole, "--published", str(out / "told.jsonl"))
    assert min(said["digests"], said["published"], said["crossings"]) > 0, said
    assert not [note for note in said["notes"] if "not compared" in note or "undone" in note], said["notes"]
    inside = held(whole)
    print(f"{len(found['accepted'])} commands accepted; {len(inside.entries)} entries; {said}")
    assert inside.entries_twice == [], seed
    assert found["accepted"], seed
    assert inside.not_once(found["accepted"]) == {}, seed
    ends = {(shard, int(end.split()[0])): int(end.split()[1]) for shard, end in found["ends"].items() if end}
    for (shard, epoch), last in ends.items():
        numbers = {n for number, of, n in inside.entries if (str(number), of) == (shard, epoch)}
        assert numbers == set(range(last + 1)), (shard, epoch, seed)

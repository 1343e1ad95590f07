"""``chunkcrawl verify`` on the command line."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from cli.verify import app
from recordings.digests import one_line
from recordings.entry import read_entry, unpack
from recordings.lane import Given
from tests.recordings.simulate import played, write


def invoke(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def given() -> list[Given]:
    return played(seed=8, shards=1, ticks=60)


@pytest.fixture
def recordings(given: list[Given], tmp_path: Path) -> Path:
    return write(tmp_path / "recordings", given)


def test_what_is_whole(recordings: Path) -> None:
    code, out, err = invoke(str(recordings))
    assert code == 0, err
    assert "All is as recorded." in out
    assert "ends with tick 60" in err


def test_what_is_not_is_named(recordings: Path) -> None:
    path = next(recordings.glob("*.ccrec"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    code, out, _ = invoke(str(recordings))
    assert code == 1
    assert "checksum" in out
    code, out, _ = invoke(str(recordings), "--json")
    assert code == 1
    said = orjson.loads(out)
    assert said["same"] is False
    assert said["findings"][0]["field"] == "checksum"


def test_against_what_was_published(recordings: Path, given: list[Given], tmp_path: Path) -> None:
    lines = []
    for one in given:
        entry = read_entry(one.position.chain, unpack(one.message)[1])
        for chunk_id, parts in entry.digests.items():
            lines.append({"type": "chunk_digest", "chunk_id": chunk_id, "tick": entry.tick, "digest": one_line(parts)})
    told = tmp_path / "told.jsonl"
    told.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    code, out, _ = invoke(str(recordings), "--published", str(told))
    assert code == 0
    assert f"{len(lines)} published digests" in out
    answer = {"chunk_id": lines[0]["chunk_id"], "digests": [{"tick": lines[0]["tick"], "digest": "0" * 64}]}
    told.write_bytes(orjson.dumps(answer))
    code, out, _ = invoke(str(recordings), "--published", str(told))
    assert code == 1
    assert "watchers were told" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{tmp}/nowhere"], "no directory"),
        (["{tmp}"], "no recordings"),
        (["{tmp}", "--published", "{tmp}/bad"], "line 1"),
        (["nothing://there"], "nothing://"),
        (["{tmp}", "--from", "-1"], "--from"),
    ],
)
def test_wrong_usage_is_a_line(words: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("nonsense")
    code, _, err = invoke(*(word.format(tmp=tmp_path) for word in words))
    assert code == 2
    assert says in err
    assert "Traceback" not in err

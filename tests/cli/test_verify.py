"""``chunkcrawl verify`` on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from cli.verify import Lines, app
from recordings.digests import one_line
from recordings.entry import read_entry, unpack
from recordings.lane import Given
from recordings.verify import Mismatch, Proof
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


def test_what_a_terminal_would_act_on_is_written_out(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids in a recording are of whoever made it."""
    found = Mismatch(0, "chunk-\x1b[2J", 5, "agents", "agent-\x1b]0;x", "a.ccrec")
    monkeypatch.setattr("cli.verify.run_again", lambda *_, **__: Proof([found], ["shard 0 begins \x1b[1m"], segments=1))
    code, out, err = invoke(str(recordings))
    assert code == 1
    assert "\x1b" not in out + err
    assert "\\u001b[2J" in out
    assert "\\u001b[1m" in err


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


def at(tick: int) -> str:
    """The time of a tick, as ``simulate`` has it, in the words of an ISO time."""
    return datetime.fromtimestamp((1_000_000 + tick * 200) / 1_000, UTC).isoformat()


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some files of each shard: 150 ticks in files of a minute's tenth."""
    return write(tmp_path_factory.mktemp("longer"), played(seed=8, shards=2, ticks=150), segment_s=6)


def figures(*words: str) -> dict[str, Any]:
    code, out, err = invoke(*words, "--json")
    assert code == 0, err + out
    said: dict[str, Any] = orjson.loads(out)
    return said


def test_a_time_is_as_good_as_a_tick(longer: Path) -> None:
    whole = figures(str(longer))
    by_time = figures(str(longer), "--from", at(60), "--to", at(100))
    assert abs(by_time["from_tick"] - 60) <= 1
    assert abs(by_time["to_tick"] - 100) <= 1
    ticks = (str(by_time["from_tick"]), str(by_time["to_tick"]))
    assert figures(str(longer), "--from", ticks[0], "--to", ticks[1]) == by_time
    assert 0 < by_time["digests"] < whole["digests"]
    mixed = figures(str(longer), "--from", at(60), "--to", ticks[1])
    assert mixed == by_time


def test_times_beyond_the_recordings_are_their_ends(longer: Path) -> None:
    said = figures(str(longer), "--from", "1970-01-01T00:00", "--to", "1s")
    assert (said["from_tick"], said["to_tick"]) == (None, None)
    assert said["digests"] == figures(str(longer))["digests"]


def test_what_was_looked_at_is_said(longer: Path) -> None:
    code, out, err = invoke(str(longer), "--to", "80")
    assert code == 0
    assert "from the beginning to tick 80" in err
    assert "All is as recorded." in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from", "10m"], "don't reach that time"),
        (["--to", "1970-01-01T00:00"], "don't reach that time"),
        (["--from", "100000"], "nothing is recorded there: the recordings go from tick"),
        (["--from", "90", "--to", "60"], "after tick 60"),
        (["--from", "soon"], "must be like"),
        (["--to", "2y"], "must be like"),
    ],
)
def test_moments_that_there_are_not(words: list[str], says: str, longer: Path) -> None:
    code, _, err = invoke(str(longer), *words)
    assert code == 2
    assert says in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_times_of_recordings_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "shard-000-0000000000001-1-0.ccrec").write_bytes(b"nonsense")
    code, _, err = invoke(str(tmp_path), "--from", "2h")
    assert code == 2
    assert "no recording that can be run again" in err


def test_help_has_examples_and_exit_codes() -> None:
    code, out, _ = invoke("--help")
    assert code == 0
    for part in ("--from 2h", "--from 2026-03-01T12:00", "--chunk chunk-7", "--published", "Exit codes"):
        assert part in " ".join(out.split())


def test_long_work_says_how_far_it_is_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = Lines(lambda: now[0])
    for second in range(100):
        now[0] = float(second)
        lines.told(second, 100)
    assert capsys.readouterr().err.splitlines() == ["verifying: 30%", "verifying: 60%", "verifying: 90%"]

"""``chunkcrawl fork`` on the command line, and its world started for real."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.fork import app
from embedded.children import free_port
from operations.fork import FORK_FILE
from recordings.places import place_of
from recordings.verify import verify
from tests.cluster.started import Started
from tests.recordings.simulate import played, write

TICKS = 119
COMMAND = Path(sys.executable).with_name("chunkcrawl")


def invoke(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("recordings"), played(seed=6, shards=2, ticks=TICKS)))


def test_it_says_how_to_start(recordings: str, tmp_path: Path) -> None:
    code, out, err = invoke("--at", "60", "--from", recordings, str(tmp_path / "fork"))
    assert code == 0, err
    assert "as of tick 60" in out
    assert f"chunkcrawl up --data {tmp_path / 'fork'}" in out
    code, _, err = invoke("--at", "60", "--from", recordings, str(tmp_path / "fork"))
    assert code == 2
    assert "holds something already" in err


def test_a_time(recordings: str, tmp_path: Path) -> None:
    """The play began at 1,000 s, with 200 ms a tick."""
    code, out, err = invoke("--at", "1970-01-01T00:16:52", "--from", recordings, str(tmp_path / "fork"))
    assert code == 0, err
    assert "as of tick 60" in out or "as of tick 59" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "5000"], "they go from tick 0"),
        (["--at", "2h"], "don't reach that time"),
        (["--at", "60", "--chunks", "chunk-0,chunk-77"], "there was no chunk-77"),
    ],
)
def test_what_is_refused_leaves_nothing(recordings: str, tmp_path: Path, words: list[str], said: str) -> None:
    code, _, err = invoke(*words, "--from", recordings, str(tmp_path / "fork"))
    assert code == 2
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_no_recordings(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        code, _, err = invoke("--at", "5", "--from", str(place), str(tmp_path / "fork"))
        assert code == 2
        assert "error: " in err


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(300)
def test_it_starts_and_both_verify(recordings: str, tmp_path: Path) -> None:
    """The fork goes on from the tick with everybody standing there; its recording is as right as the original."""
    directory = tmp_path / "fork"
    assert invoke("--at", "100", "--from", recordings, str(directory))[0] == 0
    assert (directory / FORK_FILE).exists()
    words = ["up", "--no-demo", "--shards", "1", "--port", str(free_port()), "--data", str(directory)]
    for start in (1, 2):
        run = Started([COMMAND, *words], cwd=tmp_path)
        run.read_until("Ctrl-C")
        assert ("begins as a fork" in run.output) == (start == 1), run.output
        os.killpg(run.process.pid, signal.SIGTERM)
        assert run.end() == 0, run.output
    proof = verify(place_of(str(directory / "recordings")))
    assert proof.same, proof.findings
    assert proof.inputs > 0
    assert proof.ends[0] is not None
    assert verify(place_of(recordings)).same

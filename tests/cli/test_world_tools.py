"""The world's tools on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.world_tools import app
from world.recording import RecordedWorld
from world.rules import Rules


def invoke(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    lines: list[str] = []
    world = RecordedWorld(Rules(), world_seed=5, shard=0, sink=lines.append)
    for tick in range(1, 4):
        world.step(tick)
        world.take()
    world.close()
    path = tmp_path / "shard-0.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_hall_is_drawn_north_up() -> None:
    code, output = invoke("show-chunk", "0")
    lines = output.splitlines()
    assert code == 0
    assert len(lines) == 51
    assert {len(line) for line in lines[:50]} == {50}
    assert lines[0] == "#" * 23 + "...." + "#" * 23  # the corridor to the north edge
    assert lines[50].startswith("exits N E S W, ")
    assert sum(line.count("$") for line in lines[:50]) == int(lines[50].split()[5])


def test_chunk_follows_from_its_seed_and_entry() -> None:
    first, again = (
        invoke("show-chunk", "7", "--seed", "42", "--entry", "w"),
        invoke("show-chunk", "7", "--seed", "42", "--entry", "W"),
    )
    assert first == again
    assert first != invoke("show-chunk", "7", "--seed", "43", "--entry", "W")
    assert "W" in first[1].splitlines()[50]


@pytest.mark.parametrize("words", [("show-chunk", "-1"), ("show-chunk", "7", "--entry", "X"), ("show-chunk", "seven")])
def test_unusable_arguments_are_usage_errors(words: tuple[str, ...]) -> None:
    assert invoke(*words)[0] == 2


def test_replay_of_a_recording_is_the_same(recording: Path) -> None:
    code, output = invoke("replay", str(recording), "--verify")
    assert code == 0, output
    assert "3 outputs" in output
    assert re.search(r"^[0-9a-f]{32}  the state in the end$", output, re.MULTILINE)
    assert "The same as recorded." in output


def test_replay_that_differs_names_the_line(recording: Path) -> None:
    lines = recording.read_text().splitlines()
    number = next(index for index, line in enumerate(lines) if '"take"' in line)
    lines[number] = '{"rec":"take","digest":"0"}'
    recording.write_text("\n".join(lines))
    code, output = invoke("replay", str(recording), "--verify")
    assert code == 1
    assert f"first at line {number + 1}" in output


@pytest.mark.parametrize("text", ["", "nonsense\n", "{}\n", "\x00\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    code, output = invoke("replay", str(path))
    assert code == 1
    assert "is not a recording" in output


def test_broken_off_recording_is_said_to_be(recording: Path) -> None:
    recording.write_text("\n".join(recording.read_text().splitlines()[:-1]))
    code, output = invoke("replay", str(recording), "--verify")
    assert code == 0
    assert "no closing line" in output

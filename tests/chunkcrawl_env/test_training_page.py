"""The page about training: its programs run, its tables are the code's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.observations import FEATURES, sight_of
from chunkcrawl_env.planes import LAYERS
from chunkcrawl_env.registration import NAMES
from tests.docs.blocks import ROOT, blocks, programs

PAGE = ROOT / "docs" / "training.md"
TEXT = PAGE.read_text()
PROGRAMS = programs(PAGE)


def run(name: str, directory: Path) -> str:
    path = directory / name
    path.write_text(PROGRAMS[name])
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, path], cwd=directory, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_program_draws_and_counts(tmp_path: Path) -> None:
    told = run("random_play.py", tmp_path)
    assert "@" in told
    assert re.search(r"^\d+ gold in 500 steps$", told, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "random_play.py"])
def test_programs_run(name: str, tmp_path: Path) -> None:
    told = run(name, tmp_path)
    assert name == "own_reward.py" or "(11, 11, 6)" in told or "(128, 11, 11, 6)" in told


@pytest.mark.parametrize("script", blocks(PAGE, "sh"), ids=lambda text: text.splitlines()[-1])
def test_shell_blocks_are_shell(script: str) -> None:
    assert subprocess.run(["bash", "-n"], input=script, text=True, timeout=10).returncode == 0


def test_every_option_is_told() -> None:
    told = set(re.findall(r"`(\w+)=?", TEXT))
    assert {field.name for field in fields(EnvConfig)} <= told
    assert set(NAMES) <= set(re.findall(r"`(Chunkcrawl/[\w-]+)`", TEXT))


def test_layers_and_features_are_in_their_order() -> None:
    table = TEXT.partition("| layer |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(LAYERS)
    table = TEXT.partition("| number | value |")[2].partition("\n\n")[0]
    ends = [int(number) for number in re.findall(r"^\| (?:\d+(?:, |\.\.))?(\d+) \|", table, re.MULTILINE)]
    assert ends[-1] == len(FEATURES) - 1
    assert sight_of(EnvConfig(observation="features")).shape == (24,)
    for number, feature in ((9, "can dig"), (11, "steps to it"), (16, "N is nearer to an exit"), (23, "has an exit W")):
        assert FEATURES[number] == feature

"""The environments' wheel: small, whole, and the same play with it on every Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.chunkcrawl_env.play import digests
from tests.deploy.test_wheels import ROOT, run

PYTHONS = ("python3.11", "python3.12", "python3.13")
SCRIPT = ROOT / "tests" / "chunkcrawl_env" / "play.py"
#: What PettingZoo and Gymnasium say of it.
CHECK = """
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test
import gymnasium, sys
import chunkcrawl_env

parallel_api_test(chunkcrawl_env.parallel_env(agents=3, max_steps=20), num_cycles=50)
check_env(gymnasium.make("Chunkcrawl/Harvest-v0").unwrapped, skip_render_check=True)
assert not {"ray", "redis", "fastapi"} & sys.modules.keys()
print("checked")
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is committed."""
    directory = tmp_path_factory.mktemp("env-wheel")
    source = directory / "source"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{ROOT}", source], check=True, timeout=100)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(directory)]
    run(*pip, source / "chunkcrawl_env", cwd=directory)
    return next(directory.glob("chunkcrawl_env-*.whl"))


def python_of(name: str) -> str:
    """An interpreter that starts, pyenv's too; the test is skipped where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in (shutil.which(name), *pyenv.glob(f"{name.removeprefix('python')}.*/bin/python")):
        if found and subprocess.run([found, "-c", ""], capture_output=True, timeout=60).returncode == 0:
            return str(found)
    pytest.skip(f"no {name} on this machine")


def test_it_has_every_file_of_the_environments_and_of_the_world(wheel: Path) -> None:
    """The world's own files, not copies that are kept: what is in the wheel is what is committed."""
    listing = ["git", "ls-files", "chunkcrawl_env/*.py", "world/*.py", "chunkcrawl_env/py.typed"]
    tracked = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
        assert names == set(tracked)
        assert all(file.read(name) == (ROOT / name).read_bytes() for name in names)


@pytest.mark.parametrize("name", PYTHONS)
def test_the_same_play_on_every_python(wheel: Path, tmp_path: Path, name: str) -> None:
    """Without the extra, in an environment that has neither Ray nor servers."""
    python = python_of(name)
    run(python, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    run(tmp_path / "venv/bin/pip", "install", "--quiet", wheel, cwd=tmp_path)
    listed = run(tmp_path / "venv/bin/python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path)
    assert not {"ray", "redis", "gymnasium"} & {line.partition("=")[0] for line in listed.splitlines()}
    script = shutil.copy(SCRIPT, tmp_path)
    assert json.loads(run(tmp_path / "venv/bin/python", script, "7", cwd=tmp_path)) == digests(7)


def test_the_extra_brings_the_environments(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    run(tmp_path / "venv/bin/pip", "install", "--quiet", f"{wheel}[rl]", cwd=tmp_path)
    assert "checked" in run(tmp_path / "venv/bin/python", "-c", CHECK, cwd=tmp_path)

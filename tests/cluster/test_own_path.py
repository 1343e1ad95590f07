"""Files with everyday names beside the user do not shadow our packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import up
from cluster import own_path
from cluster.own_path import HOME, PACKAGES, kept_entries

SHADOW = "raise RuntimeError('shadowed by ' + __file__)\n"
LOOK = """
import json, os, sys
from cluster.own_path import use_own_packages
use_own_packages()
import api, config, store, world
print(json.dumps([sys.path, os.environ.get("PYTHONPATH"), *(m.__file__ for m in (api, config, store, world))]))
"""


@pytest.fixture
def everyday(tmp_path: Path) -> Path:
    """A user's directory that has something of each name but ``cluster``, which the test itself has to import."""
    for name in set(PACKAGES) - {"cluster"}:
        (tmp_path / f"{name}.py").write_text(SHADOW)
    (tmp_path / "config.py").unlink()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "__init__.py").write_text(SHADOW)
    return tmp_path


def run(argv: list[str], cwd: Path, python_path: str | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if python_path is not None:
        environment["PYTHONPATH"] = python_path
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_demo_agents_are_ours(everyday: Path) -> None:
    demo = up.Demo("http://127.0.0.1:1", 1, everyday / "demo.log")
    assert "--agents" in run([*demo._argv, "--help"], everyday)


def test_entries_that_could_shadow_are_left_out(
    everyday: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(everyday)
    library = tmp_path_factory.mktemp("library")
    (library / "worlds.py").touch()
    given = ["", ".", str(everyday), str(library), str(HOME), str(library / "not-there")]
    assert kept_entries(given) == [str(library), str(HOME), str(library / "not-there")]


@pytest.mark.parametrize("entry", ["", "{everyday}", ".:{everyday}"])
def test_path_of_a_command_and_of_its_children(everyday: Path, entry: str) -> None:
    given = f"{entry.format(everyday=everyday)}{os.pathsep}/some/library"
    printed = run([sys.executable, "-c", LOOK], everyday, given)
    path, for_children, *files = json.loads(printed)
    assert all(Path(file).is_relative_to(HOME) for file in files)
    assert {str(everyday), "", "."}.isdisjoint(path)
    assert for_children.split(os.pathsep)[-1] == "/some/library"
    assert str(everyday) not in for_children


def test_where_packages_are_installed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's ``client`` may lie there: without that directory nothing could be imported at all."""
    installed = [entry for entry in sys.path if entry.endswith("site-packages")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(installed))
    monkeypatch.setattr(sys, "path", list(sys.path))
    own_path.use_own_packages()
    assert set(installed) <= set(sys.path)

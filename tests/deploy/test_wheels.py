"""The two distributions: the SDK alone is small and plays, the server's wheel adds its commands to the same program."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES_MOST = 12
BYTES_MOST = 20 * 1024 * 1024

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*argv: Path | str, cwd: Path, ok: bool = True) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=500)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both wheels by the name of their distribution, built from a copy of what is committed."""
    directory = tmp_path_factory.mktemp("wheels")
    source = directory / "source"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{ROOT}", source], check=True, timeout=100)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(directory)]
    run(*pip, source / "sdk", source, cwd=directory)
    return {path.name.partition("-")[0]: path for path in directory.glob("*.whl")}


@pytest.fixture(scope="module")
def sdk(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the SDK alone."""
    directory = tmp_path_factory.mktemp("sdk")
    run(sys.executable, "-m", "venv", directory / "venv", cwd=directory)
    run(directory / "venv/bin/pip", "install", "--quiet", wheels["chunkcrawl"], cwd=directory)
    return directory


def test_the_sdk_alone_is_small(sdk: Path) -> None:
    """A dozen packages and 20 MB at most, pip and what came with the environment apart."""
    site = next((sdk / "venv/lib").glob("python3.*/site-packages"))
    pip_list = ["pip", "list", "--format=freeze", "--exclude", "pip", "--exclude", "setuptools"]
    listed = run(sdk / "venv/bin/python", "-m", *pip_list, cwd=sdk)
    assert 1 < len(listed.splitlines()) <= PACKAGES_MOST, listed
    files = [path for path in site.rglob("*") if path.is_file()]
    own = [path for path in files if path.relative_to(site).parts[0] not in ("pip", "setuptools")]
    assert sum(path.stat().st_size for path in own) < BYTES_MOST


def test_the_sdk_alone_is_ready_to_play(sdk: Path) -> None:
    """No module of an everyday name comes with it; the command says which extra it needs."""
    site = next((sdk / "venv/lib").glob("python3.*/site-packages"))
    assert not [name for name in ("client", "api", "world", "cli", "config", "web") if (site / name).exists()]
    assert "Agent" in run(sdk / "venv/bin/python", "-c", "from chunkcrawl import Agent, Watcher; print(Agent)", cwd=sdk)
    assert "pip install 'chunkcrawl[cli]'" in run(sdk / "venv/bin/chunkcrawl", "--help", cwd=sdk, ok=False)


def test_the_extra_brings_the_players_commands(sdk: Path, wheels: dict[str, Path]) -> None:
    run(sdk / "venv/bin/pip", "install", "--quiet", f"{wheels['chunkcrawl']}[cli]", cwd=sdk)
    told = run(sdk / "venv/bin/chunkcrawl", "--help", cwd=sdk)
    assert "signup" in told
    assert "backup" not in told
    said = run(sdk / "venv/bin/chunkcrawl", "watch", "demo", "--base", "http://127.0.0.1:9", cwd=sdk, ok=False)
    assert "Traceback" not in said


def test_the_servers_wheel_has_every_file_and_names_its_commands(wheels: dict[str, Path]) -> None:
    """Every committed file of its rooms, and an entry point by which the command finds it."""
    rooms = [
        "api",
        "cli",
        "cluster",
        "config",
        "embedded",
        "loadtest",
        "migrations",
        "operations",
        "store",
        "streaming",
        "web",
        "world",
    ]
    listing = ["git", "ls-files", *rooms]
    tracked = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with zipfile.ZipFile(wheels["chunkcrawl_server"]) as wheel:
        names = set(wheel.namelist())
        points = next(wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    scripts = [str(path.relative_to(ROOT / "sdk-js" / "src")) for path in (ROOT / "sdk-js" / "src").rglob("*.js")]
    assert len(scripts) > 10
    # A link in the checkout, files in the wheel: what the pages load from /sdk/.
    assert not {f"web/sdk/{script}" for script in scripts} - names
    assert not set(tracked.split()) - names - {"web/sdk"}
    assert "operators = cli.table:TABLE" in points
    assert not [name for name in names if name.startswith(("chunkcrawl/", "sdk/", "tests/"))]

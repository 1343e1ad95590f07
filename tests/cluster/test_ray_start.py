"""A Ray cluster of our own is nobody else's: what it listens on, who it believes, what it leaves, what it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]

OTHER_UID = 12345

#: Starts a cluster, tells about it, and ends it when its standard input does.
OWN_RAY = """
import json, os, signal, stat, sys
import psutil, ray
from cluster.ray_start import join_ray, leave_ray

def heard(number, frame): pass
signal.signal(signal.SIGTERM, heard)
environment = dict(os.environ)
directory = join_ray(None, "somebody", num_cpus=1)

@ray.remote
def look():
    import api, config, store, world
    files = [module.__file__ for module in (api, config, store, world)]
    return sys.path, files, os.environ.get("RAY_AUTH_TOKEN")

path, files, token = ray.get(look.remote())
processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
print(json.dumps({
    "path": path,
    "files": files,
    "token": token,
    "environment": {name: value for name, value in os.environ.items() if environment.get(name) != value},
    "listens": sorted({c.laddr.ip for p in processes for c in p.net_connections("inet") if c.status == "LISTEN"}),
    "words": [word for p in processes for word in p.cmdline()],
    "directory": str(directory.path),
    "handler": signal.getsignal(signal.SIGTERM) is heard,
    "address": ray.get_runtime_context().gcs_address,
}), flush=True)
sys.stdin.read()
leave_ray(directory)
"""

#: Another user of the machine, who has read all that is public about Ray, calls its control store.
STRANGER = """
import os, sys
from ray._raylet import GcsClient
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
try:
    GcsClient(address=sys.argv[1]).internal_kv_put(b"evil", b"1", True, None, 10)
    print("written")
except Exception as error:
    print("refused", type(error).__name__)
"""


@dataclass(frozen=True)
class Running:
    """The cluster, and where it was started from."""

    told: dict[str, Any]
    home: Path
    user: Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A cluster started among files with everyday names, under a long TMPDIR."""
    home, user = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("user")
    for name in ("api", "config", "store", "world", "redis", "structlog"):
        (user / f"{name}.py").write_text("raise RuntimeError('shadowed by ' + __file__)\n")
    temporary = home / ("t" * 80)
    temporary.mkdir()
    # In a script elsewhere: with `-c` the script itself would stumble over the files.
    script = home / "own_ray.py"
    script.write_text(OWN_RAY)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary)}
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=user,
        env=environment,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "it has not started"
        told = json.loads(line)
        yield Running(told, home, user)
        process.communicate("")
    assert not Path(told["directory"]).exists()


def test_workers_import_nothing_of_the_users(running: Running) -> None:
    assert str(running.user) not in running.told["path"]
    assert str(running.home) not in running.told["path"], "nor of the directory of the script"
    assert not any(Path(file).is_relative_to(running.user) for file in running.told["files"])


def test_everything_listens_on_loopback(running: Running) -> None:
    addresses = [ip_address(text.removeprefix("::ffff:")) for text in running.told["listens"]]
    assert addresses
    assert all(address.is_loopback for address in addresses), addresses


def test_token_is_made_for_the_run_and_stands_nowhere(running: Running) -> None:
    token = running.told["token"]
    assert len(token) >= 32
    assert not (running.home / ".ray").exists(), "another user could read it there"
    assert not any(token in word for word in running.told["words"])
    assert not any("AUTH" in name for name in running.told["environment"]), "children that are not Ray's don't need it"


def test_nobody_gathers_lines_for_drivers_that_want_none(running: Running) -> None:
    names = {Path(word).name for word in running.told["words"]}
    assert "raylet" in names
    assert "log_monitor.py" not in names


def test_directory_is_its_users_alone(running: Running) -> None:
    assert Path(running.told["directory"]).stat().st_mode & 0o077 == 0


def test_handlers_of_signals_stay(running: Running) -> None:
    assert running.told["handler"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("mode", ["disabled", "token"])
def test_another_user_writes_nothing_into_the_control_store(running: Running, mode: str, tmp_path: Path) -> None:
    environment = os.environ | {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": "0" * 64, "HOME": str(tmp_path)}
    argv = [sys.executable, "-c", STRANGER, running.told["address"], str(OTHER_UID)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["refused", "AuthenticationError"], done.stderr

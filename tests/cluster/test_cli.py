"""The ``chunkcrawl`` command's root: what it lists, what it loads, and how it refuses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster import cli

ROOT = Path(__file__).parents[2]
# What a command that needs none of it must not have loaded.
HEAVY = ("ray", "fastapi", "sqlalchemy", "redis", "numpy", "tcod", "httpx", "pydantic", "client", "world", "api")


def invoke(*words: str, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        cli.app, list(words), env={"CHUNKCRAWL_PORT": None, **environment}, prog_name="chunkcrawl"
    )
    return result.exit_code, result.output


def test_help_lists_every_command_and_loads_none() -> None:
    script = (
        "import sys\n"
        "from cluster import cli\n"
        "try: cli.app(['--help'], prog_name='chunkcrawl')\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for name in ("up", *cli.LAZY):
        assert f" {name} " in done.stdout


def test_version() -> None:
    code, output = invoke("--version")
    assert code == 0
    assert output.startswith("chunkcrawl ")


def test_unknown_command_is_a_usage_error() -> None:
    code, output = invoke("upp")
    assert code == 2
    assert "'upp'" in output


@pytest.mark.parametrize("name", cli.LAZY)
def test_lazy_command_is_there_and_has_help(name: str) -> None:
    code, output = invoke(name, "--help")
    assert code == 0, output
    assert f"chunkcrawl {name}" in output


def test_up_on_a_taken_port_names_port_and_variable(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = invoke("up", "--data", str(tmp_path / "data"), CHUNKCRAWL_PORT=str(port))
    assert code == 1
    assert f"Port {port}" in output
    assert "CHUNKCRAWL_PORT" in output
    assert not (tmp_path / "data").exists()


def test_up_with_bad_settings_names_the_variable() -> None:
    code, output = invoke("up", "--shards", "0")
    assert code == 2
    assert "CHUNKCRAWL_SHARDS" in output
    code, output = invoke("up", CHUNKCRAWL_ENVIRONMENT="prod")
    assert code == 2
    assert "CHUNKCRAWL_SECRET_PEPPER" in output

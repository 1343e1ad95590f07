"""The ``chunkcrawl`` command's root: what it lists, what it loads, and how it refuses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chunkcrawl.commands import main as cli
from embedded.children import free_port

ROOT = Path(__file__).parents[3]
# What a command that needs none of it must not have loaded.
HEAVY = ("ray", "fastapi", "sqlalchemy", "redis", "numpy", "tcod", "httpx", "pydantic", "world", "api")


def invoke(*words: str, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        cli.app, list(words), env={"CHUNKCRAWL_PORT": None, **environment}, prog_name="chunkcrawl"
    )
    return result.exit_code, result.output


def test_help_lists_every_command_and_loads_none() -> None:
    script = (
        "import sys\n"
        "from chunkcrawl.commands import main as cli\n"
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
    for name in ("up", *cli.commands()):
        assert f" {name} " in done.stdout


def test_version() -> None:
    code, output = invoke("--version")
    assert code == 0
    assert output.startswith("chunkcrawl ")


def test_unknown_command_is_a_usage_error() -> None:
    code, output = invoke("upp")
    assert code == 2
    assert "'upp'" in output


@pytest.mark.parametrize("name", cli.commands())
def test_lazy_command_is_there_and_has_help(name: str) -> None:
    code, output = invoke(name, "--help")
    assert code == 0, output
    assert f"chunkcrawl {name}" in output


def test_a_variable_with_a_slip_ends_every_command_with_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for words in ("up", "status", "doctor", "watch demo", "key list", "load", "completion bash"):
        code, output = invoke(*words.split(), CHUNKCRAWL_ENVIRONMNET="prod", CHUNKCRAWL_CONFIG_DIR=str(tmp_path))
        assert (code, len(output.splitlines())) == (2, 1), output
        assert "CHUNKCRAWL_ENVIRONMNET: there is no such variable; the nearest is CHUNKCRAWL_ENVIRONMENT" in output


def test_a_command_of_clients_loads_no_settings_of_the_server(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from chunkcrawl.commands import main as cli\n"
        "try: cli.app(['key', 'list'], prog_name='chunkcrawl')\n"
        "except SystemExit: pass\n"
        "print('config.settings' in sys.modules)\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "CHUNKCRAWL_CONFIG_DIR": str(tmp_path), "CHUNKCRAWL_PORT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("level", ["info", "debug"])
def test_what_nobody_foresaw_is_one_line_and_the_way_to_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    def fail(name: str) -> None:
        raise ZeroDivisionError("first\nsecond \x1b[31m")

    monkeypatch.setenv("CHUNKCRAWL_LOG_LEVEL", level)
    monkeypatch.setattr(cli, "load", fail)
    monkeypatch.setattr(cli, "begin", lambda: None)
    monkeypatch.setattr(cli, "heed_like_ctrl_c", lambda: None)  # this process is pytest's
    monkeypatch.setattr(sys, "argv", ["chunkcrawl", "status"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("error: ZeroDivisionError: first second ?[31m (")
    assert ("Traceback" in said) is (level == "debug")
    assert level == "debug" or len(said.splitlines()) == 1


@pytest.mark.parametrize("shell", cli.SHELLS)
def test_completion_prints_what_each_shell_wants(shell: str) -> None:
    code, output = invoke("completion", shell)
    assert code == 0
    assert cli.COMPLETE_VARIABLE in output


def test_completion_takes_the_shell_of_the_environment_or_asks() -> None:
    assert invoke("completion", SHELL="/usr/bin/fish")[0] == 0
    code, output = invoke("completion", SHELL="/bin/csh")
    assert code == 2
    assert "bash" in output


@pytest.mark.parametrize(
    ("words", "offered"),
    [("sta", "status"), ("key c", "create"), ("up --p", "--port"), ("login --pass", "--password-stdin")],
)
def test_completion_knows_the_commands_of_other_rooms(words: str, offered: str) -> None:
    asked = {"COMP_WORDS": f"chunkcrawl {words}", "COMP_CWORD": str(len(words.split()))}
    done = subprocess.run(
        [sys.executable, "-m", "chunkcrawl.commands.main"],
        cwd=ROOT,
        env=os.environ | asked | {cli.COMPLETE_VARIABLE: "complete_bash"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [offered], done.stderr


@pytest.mark.parametrize("place", ["a file", "below a file"])
def test_a_data_directory_that_is_a_file(tmp_path: Path, place: str) -> None:
    (tmp_path / "it").write_text("")
    data = tmp_path / "it" / ("" if place == "a file" else "data")
    code, output = invoke("up", "--data", str(data), CHUNKCRAWL_PORT=str(free_port()))
    assert code == 1
    assert f"error: {data} can't be used as data directory: that is no directory. Name another one" in output
    assert "Traceback" not in output


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

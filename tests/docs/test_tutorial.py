"""The tutorial, followed literally: every block of it runs."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chunkcrawl.commands.main import commands
from chunkcrawl.embedded import EmbeddedWorld
from tests.docs.blocks import ROOT, blocks, programs

PAGE = ROOT / "docs" / "tutorial.md"
PROGRAMS = programs(PAGE)
SHELL = blocks(PAGE, "sh")


def write_all(directory: Path, agent_id: str = "digger-1") -> None:
    for name, text in PROGRAMS.items():
        (directory / name).write_text(text.replace("digger-1", agent_id))


def run(directory: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=directory, env=os.environ | environment, capture_output=True, text=True, timeout=150
    )


def pytest_argv(name: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", name]


def test_every_program_is_run_by_a_block_after_it_or_used_by_one() -> None:
    text = PAGE.read_text()
    assert len(PROGRAMS) == 6
    for name in PROGRAMS:
        command = f"pytest {name}" if name.startswith("test_") else f"python {name}"
        assert name == "digger.py" or text.index(command) > text.index(f"# {name}")


def test_every_command_is_there() -> None:
    names = re.findall(r"chunkcrawl (?!import )([a-z-]+)", PAGE.read_text())
    assert len(names) >= 5
    from chunkcrawl.commands.app import app

    own = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert set(names) <= {*commands(), *own}


@pytest.mark.parametrize("script", SHELL, ids=lambda text: text.splitlines()[-1])
def test_shell_blocks_are_shell(script: str) -> None:
    assert subprocess.run(["bash", "-n"], input=script, text=True, timeout=10).returncode == 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_compile(name: str) -> None:
    compile(PROGRAMS[name], name, "exec")


def test_the_test_without_a_server(tmp_path: Path) -> None:
    write_all(tmp_path)
    done = run(tmp_path, *pytest_argv("test_digger.py"))
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_test_without_a_server_can_fail(tmp_path: Path) -> None:
    write_all(tmp_path)
    digger = tmp_path / "digger.py"
    digger.write_text(digger.read_text().replace("cell == view.position", "cell != view.position"))
    assert run(tmp_path, *pytest_argv("test_digger.py")).returncode == 1


# -- against a running world --


@pytest.fixture(scope="module")
def world() -> Iterator[EmbeddedWorld]:
    with EmbeddedWorld(base=os.environ.get("CHUNKCRAWL_TEST_BASE")) as running:
        yield running


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_followed_to_the_end(world: EmbeddedWorld, tmp_path: Path) -> None:
    """Account and key by the page's own lines, then its programs one after the other."""
    account = SHELL[1].replace("me@", f"me-{secrets.token_hex(4)}@") + 'printf %s "$CHUNKCRAWL_API_KEY"'
    here = {"CHUNKCRAWL_BASE": world.base, "CHUNKCRAWL_CONFIG_DIR": str(tmp_path / "config")}
    made = run(ROOT, "bash", "-ec", account, CHUNKCRAWL_PASSWORD="a long password", **here)
    assert made.returncode == 0, made.stderr
    here["CHUNKCRAWL_API_KEY"] = made.stdout.splitlines()[-1]
    assert here["CHUNKCRAWL_API_KEY"].startswith("dcw_")
    agent_id = f"digger-{secrets.token_hex(4)}"
    write_all(tmp_path, agent_id)

    looked = run(tmp_path, sys.executable, "look.py", **here)
    assert re.match(r"I stand in chunk-\d+ at \(\d+, \d+\)\n", looked.stdout), looked.stderr
    assert re.search(r"-node-\d has \d+ gold, beside \(\d+, \d+\)", looked.stdout)
    walked = run(tmp_path, sys.executable, "walk.py", **here)
    assert walked.stdout.startswith("refused: unreachable\n"), walked.stderr
    assert "now at" in walked.stdout
    dug = run(tmp_path, sys.executable, "agent.py", **here)
    owned = re.search(r"I own (\d+) gold", dug.stdout)
    assert owned, dug.stderr
    assert int(owned[1]) >= 5
    tested = run(tmp_path, *pytest_argv("test_agent.py"), CHUNKCRAWL_TEST_BASE=world.base)
    assert "1 passed" in tested.stdout, tested.stdout + tested.stderr

"""The JavaScript SDK's own tests, ``*.test.mjs`` beside this file, in Node; one process for each."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.sdk_js.node import ROOT, needs_node, program

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.test.mjs"))

pytestmark = needs_node


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HERE)))
def test_it_passes_in_node(file: Path) -> None:
    argv = [program(), "--test", "--test-reporter=tap", str(file)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = next(line for line in done.stdout.splitlines() if line.startswith("# pass "))
    assert int(counted.removeprefix("# pass ")) > 0


def test_there_are_some() -> None:
    assert FILES


#: Modules without a test file of their own, and the one that tests them.
ELSEWHERE = {
    "errors.js": "agent.test.mjs",
    "index.js": "types/declared.test.mjs",
    "journeys/outcomes.js": "journeys/journey.test.mjs",
    "transport/connection.js": "agent.test.mjs",
    "transport/conversation.js": "agent.test.mjs",
    "transport/node_socket.js": "agent.test.mjs",
    "transport/session.js": "transport/api.test.mjs",
    "transport/web_socket.js": "../browser/test_watch_page.py",
}


def test_a_module_has_tests_of_its_name_or_is_listed() -> None:
    source = ROOT / "sdk-js" / "src"
    modules = [str(path.relative_to(source)) for path in sorted(source.rglob("*.js"))]
    own = [module for module in modules if (HERE / module).with_suffix(".test.mjs").exists()]
    assert sorted({*modules} - {*own}) == sorted(ELSEWHERE)
    assert all((HERE / file).exists() for file in ELSEWHERE.values())


@pytest.mark.slow
def test_the_agent_plays_over_the_runtimes_own_web_socket_too() -> None:
    """Where Node has one, as it does from 22 on, and 20 with a flag; browsers' is the same."""
    has = [program(), "-e", "process.exit(globalThis.WebSocket ? 0 : 1)"]
    own = subprocess.run(has, timeout=60).returncode == 0
    flags = [] if own else ["--experimental-websocket", "--no-warnings"]
    argv = [program(), *flags, "--test", "--test-reporter=tap", str(HERE / "agent.test.mjs")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr

"""``chunkcrawl fork`` on the command line, and its world started for real."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from chunkcrawl import Agent
from chunkcrawl.errors import Forbidden
from cli.fork import app
from embedded.children import free_port
from operations.fork import FORK_FILE, read_fork
from recordings.places import place_of
from recordings.verify import verify
from tests.cluster.started import Started
from tests.recordings.simulate import played, write
from world.records import AgentRecord

TICKS = 119
COMMAND = Path(sys.executable).with_name("chunkcrawl")


def invoke(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("recordings"), played(seed=6, shards=2, ticks=TICKS)))


def test_it_says_how_to_start(recordings: str, tmp_path: Path) -> None:
    code, out, err = invoke("--at", "60", "--from", recordings, str(tmp_path / "fork"))
    assert code == 0, err
    assert "as of tick 60" in out
    assert f"chunkcrawl up --data {tmp_path / 'fork'}" in out
    code, _, err = invoke("--at", "60", "--from", recordings, str(tmp_path / "fork"))
    assert code == 2
    assert "holds something already" in err


def test_a_time(recordings: str, tmp_path: Path) -> None:
    """The play began at 1,000 s, with 200 ms a tick."""
    code, out, err = invoke("--at", "1970-01-01T00:16:52", "--from", recordings, str(tmp_path / "fork"))
    assert code == 0, err
    assert "as of tick 60" in out or "as of tick 59" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "5000"], "they go from tick 0"),
        (["--at", "2h"], "don't reach that time"),
        (["--at", "60", "--chunks", "chunk-0,chunk-77"], "there was no chunk-77"),
    ],
)
def test_what_is_refused_leaves_nothing(recordings: str, tmp_path: Path, words: list[str], said: str) -> None:
    code, _, err = invoke(*words, "--from", recordings, str(tmp_path / "fork"))
    assert code == 2
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_no_recordings(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        code, _, err = invoke("--at", "5", "--from", str(place), str(tmp_path / "fork"))
        assert code == 2
        assert "error: " in err


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(300)
async def test_it_starts_and_both_verify(recordings: str, tmp_path: Path) -> None:
    """The fork goes on from the tick with everybody standing there; its recording is as right as the original."""
    directory = tmp_path / "fork"
    assert invoke("--at", "100", "--from", recordings, str(directory))[0] == 0
    there = read_fork(directory / FORK_FILE).world()
    idle = next(one for name in sorted(there.agent_ids) if (one := there.agent(name)) is not None and not one.running)
    port = free_port()
    words = ["up", "--no-demo", "--shards", "1", "--port", str(port), "--data", str(directory)]
    for start in (1, 2):
        run = Started([COMMAND, *words], cwd=tmp_path)
        try:
            run.read_until("Ctrl-C")
            assert ("begins as a fork" in run.output) == (start == 1), run.output
            if start == 1:
                await take_over(f"http://127.0.0.1:{port}", idle)
        finally:
            os.killpg(run.process.pid, signal.SIGTERM)
        assert run.end() == 0, run.output
    proof = verify(place_of(str(directory / "recordings")))
    assert proof.same, proof.findings
    assert proof.inputs > 0
    assert verify(place_of(recordings)).same


async def take_over(base: str, record: AgentRecord) -> None:
    """The first account that plays an agent finds it as it stood, and has it; the second does not get it."""
    keys = [await new_key(base, number) for number in (1, 2)]
    async with Agent.connect(base, agent_id=record.agent_id, api_key=keys[0]) as me:
        assert me.chunk_id == record.chunk_id
        assert me.position == (record.x, record.y)
        await me.say("another story")
        with pytest.raises(Forbidden, match="another account"):
            async with Agent.connect(base, agent_id=record.agent_id, api_key=keys[1]):
                pass


async def new_key(base: str, number: int) -> str:
    async with httpx.AsyncClient(base_url=base, timeout=60, trust_env=False) as http:
        person = {"email": f"fork-{number}@example.org", "password": "a long password for a fork"}
        account = (await http.post("/v1/signup", json=person)).raise_for_status().json()
        headers = {"Authorization": f"Bearer {account['account_token']}"}
        made = await http.post("/v1/keys", json={"account_id": account["account_id"]}, headers=headers)
        key: str = made.raise_for_status().json()["api_key"]
        return key

"""An hour of a played world, recorded faster than real time: it verifies, here and under other Pythons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from recordings.places import Directory
from recordings.verify import verify
from tests.bench.bench_recordings import HZ, record
from tests.deploy.test_env_wheel import PYTHONS, python_of
from tests.deploy.test_wheels import ROOT, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: All that it takes to prove a recording.
NEEDS: Final = ("numpy", "tcod", "orjson", "zstandard")
SCRIPT: Final = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from recordings.places import Directory
from recordings.verify import verify
proof = verify(Directory(Path(sys.argv[2])))
assert not {"ray", "redis", "sqlalchemy", "fastapi", "pydantic"} & sys.modules.keys()
print(json.dumps([[one.line for one in proof.findings], proof.entries, proof.digests, proof.frames, proof.crossings]))
"""


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hour")
    record(directory, agents=60, hours=1.0, shards=2)
    return directory


def test_nothing_is_wrong_with_an_hour(hour: Path) -> None:
    proof = verify(Directory(hour))
    assert [finding.line for finding in proof.findings] == []
    assert proof.ticks >= 2 * 3_600 * HZ - 2 * 300
    assert proof.digests > 3_600
    assert proof.frames >= 2 * 55
    assert proof.crossings > 60


@pytest.mark.parametrize("name", PYTHONS)
def test_another_python_says_the_same(hour: Path, tmp_path: Path, name: str) -> None:
    """With four packages, and none of the server's."""
    python = python_of(name)
    run(python, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    pins = (ROOT / "requirements.lock").read_text().splitlines()
    wanted = [line.removesuffix(" \\") for line in pins if line.split("==")[0] in NEEDS]
    assert {line.split("==")[0] for line in wanted} == set(NEEDS)
    run(tmp_path / "venv/bin/python", "-m", "pip", "install", "--quiet", *wanted, cwd=tmp_path)
    said = json.loads(run(tmp_path / "venv/bin/python", "-c", SCRIPT, ROOT, hour, cwd=tmp_path))
    proof = verify(Directory(hour))
    assert said == [[], proof.entries, proof.digests, proof.frames, proof.crossings]

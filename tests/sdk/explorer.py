"""The README's explorer, in whichever language: it comes home, and with gold."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES_MOST = 25


def explorer(name: str, language: str, chunks: int, gold: int) -> str:
    """The file in ``examples``, which the README shows but for its first lines, as an agent of this test alone."""
    example = (ROOT / "examples" / name).read_text()
    code = example.split("\n\n", 1)[1]
    assert f"```{language}\n{code}```" in (ROOT / "README.md").read_text()
    assert len(code.splitlines()) <= LINES_MOST
    mine = re.sub(r"scout-\d", f"scout-{secrets.token_hex(4)}", example)
    smaller = re.sub(r"explore\(10\b", f"explore({chunks}", mine)
    smaller, count = re.subn(r"(?i)(nearest)\(100\b", rf"\1({gold}", smaller)
    assert count == 1
    return smaller


def came_home(argv: Sequence[str], env: Mapping[str, str], cwd: Path, chunks: int, gold: int) -> None:
    """Run it, and read what it says."""
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=1400, cwd=cwd)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if not re.match(r"[\w.-]+: ", line)]
    assert re.fullmatch(rf"found (chunk-\d+, ){{{chunks - 1}}}chunk-\d+, now at chunk-\d+:\d+,\d+", said[0]), said
    assert re.fullmatch(r"took \d+ gold, now at chunk-\d+:\d+,\d+", said[1]), said
    assert re.match(r"arrived at chunk-0:", said[2]), said
    assert int(said[3].split()[-3]) >= gold

"""The declarations as TypeScript's own compiler reads them: what a user may write passes, mistakes are found."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.sdk_js.node import ROOT, needs_node, program

HERE = Path(__file__).parent / "types"
COMPILER = "typescript@5.9.3"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), needs_node]


def test_what_a_user_writes_has_types_and_mistakes_are_found(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm, which brings the compiler")
    install = [npm, "install", "--no-audit", "--no-fund", "--silent", COMPILER, str(ROOT / "sdk-js")]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    if done.returncode != 0:
        pytest.skip(f"npm could not install {COMPILER}: {done.stderr[-200:]}")
    for name in ("use.ts", "tsconfig.json"):
        shutil.copy(HERE / name, tmp_path)
    tsc = [program(), "node_modules/typescript/bin/tsc", "-p", "tsconfig.json"]
    done = subprocess.run(tsc, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stdout) == (0, "")
    # Each mistake is expected by a comment; without them the compiler finds as many.
    use = (HERE / "use.ts").read_text()
    (tmp_path / "use.ts").write_text(use.replace("// @ts-expect-error", "// "))
    done = subprocess.run(tsc, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.stdout.count("error TS") == use.count("// @ts-expect-error") > 5

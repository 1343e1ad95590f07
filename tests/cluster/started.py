"""A command in a process of its own, read line by line until it says something."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

END_S = 90.0


class Started:
    """The command that runs, in a session of its own and without our settings."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        output: int = subprocess.PIPE,
    ) -> None:
        without_settings = {name: value for name, value in os.environ.items() if not name.startswith("CHUNKCRAWL_")}
        self.process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=without_settings | {"PYTHONUNBUFFERED": "1"} | dict(environment or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        #: What it has printed, as far as that was read.
        self.output = ""

    def read_until(self, text: str) -> None:
        """Read until a line has ``text`` in it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        raise AssertionError(f"{text!r} was not printed:\n{self.output}")

    def end(self) -> int:
        """Read the rest and wait for the end; returns the exit code."""
        assert self.process.stdout is not None
        self.output += self.process.stdout.read()
        return self.process.wait(END_S)

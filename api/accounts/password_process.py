"""One hashing process (``password_worker``), as a thread uses it: ask, wait, start it again when it is gone."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from pathlib import Path
from typing import Final

import structlog

from api.accounts import password_worker
from api.piped_process import PipedProcess
from config.errors import TryAgain

__all__ = ["HashingFailed", "HashingProcess"]

log = structlog.get_logger(__name__)

#: After this a process is taken for stuck and ended.  A hash takes 20 ms, some more on a busy machine.
ANSWER_WITHIN_S: Final = 30.0
READ_BYTES: Final = 4096


class HashingFailed(TryAgain):
    """No process gave an answer, the second neither."""

    reason = "hashing_failed"


class HashingProcess(PipedProcess):
    """Not for two threads at once.  Nothing is started before the first question."""

    def __init__(self, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        super().__init__()
        self._answer_within_ms = int(answer_within_s * 1000)

    def hash(self, password: str) -> str:
        """Return a new hash of ``password``.  Raises ``HashingFailed``."""
        return str(self._ask({"password": password}))

    def matches(self, password_hash: str | None, password: str) -> bool:
        """Return whether ``password`` is the one; None takes as long as a wrong one.  Raises ``HashingFailed``."""
        return self._ask({"password": password, "hash": password_hash}) is True

    def _ask(self, request: dict[str, str | None]) -> str | bool:
        line = json.dumps(request).encode() + b"\n"
        for _ in range(2):  # it may have died meanwhile; asking again changes nothing
            if self._closed:
                break
            try:
                answer: str | bool = json.loads(self._converse(line))
                return answer
            except (OSError, ValueError) as error:
                log.warning("password_process_failed", error=type(error).__name__)
                self._end()
        raise HashingFailed

    def _converse(self, line: bytes) -> bytes:
        """Send a line; return the answer.  Raises ``OSError``: the process can't be started, is gone, or is silent."""
        process = self._running(_start)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        waiting = select.poll()
        waiting.register(process.stdout, select.POLLIN)
        answer = b""
        while not answer.endswith(b"\n"):
            if not waiting.poll(self._answer_within_ms):
                raise TimeoutError
            data = process.stdout.read1(READ_BYTES)  # type: ignore[attr-defined]
            if not data:
                raise ConnectionResetError
            answer += data
        return answer


def _start() -> subprocess.Popen[bytes]:
    # -P: neither this package's directory nor the working directory come before the libraries.
    return subprocess.Popen(
        [sys.executable, "-P", str(Path(password_worker.__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

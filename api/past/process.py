"""One process that reads recordings (``recordings.past_worker``): ask, wait, start it again when it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

import recordings
from api.piped_process import PipedProcess
from config.errors import TryAgain

__all__ = ["PastProcess", "PastUnavailable"]

log = structlog.get_logger(__name__)

#: After this a process is taken for stuck and ended.  A page takes some tenths of a second, from an object store more.
ANSWER_WITHIN_S: Final = 30.0
LENGTH_BYTES: Final = 4
ROOT: Final = Path(recordings.__file__).parents[1]


class PastUnavailable(TryAgain):
    """Recordings can't be read now."""

    reason = "past_unavailable"


class PastProcess(PipedProcess):
    """Not for two threads at once.  Nothing is started before the first question."""

    def __init__(self, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        super().__init__()
        self._answer_within_s = answer_within_s

    def ask(self, request: dict[str, Any]) -> bytes:
        """Return the answer to a request; asking again changes nothing.  Raises ``PastUnavailable``."""
        line = orjson.dumps(request) + b"\n"
        for _ in range(2):  # it may have died meanwhile
            if self._closed:
                break
            try:
                return self._converse(line)
            except OSError as error:
                log.warning("past_process_failed", error=type(error).__name__)
                self._end()
        raise PastUnavailable

    def _converse(self, line: bytes) -> bytes:
        """Send a line; return the answer.  Raises ``OSError``: the process can't be started, is gone, or is silent."""
        process = self._running(_start)
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(self._answer_within_s, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            length = int.from_bytes(process.stdout.read(LENGTH_BYTES), "little")
            answer = process.stdout.read(length)
        except ValueError:  # its pipe was closed meanwhile
            raise ConnectionResetError from None
        finally:
            watchdog.cancel()
        if not length or len(answer) != length:
            raise ConnectionResetError
        return answer


def _start() -> subprocess.Popen[bytes]:
    known = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", "recordings.past_worker"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": known},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

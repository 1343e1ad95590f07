"""What the embedded servers have in common: one child process, started again where it was, stopped in order."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from embedded import children
from embedded.children import Rung


class EmbeddedServer(ABC):
    """A server of ours as a child process."""

    name: ClassVar[str]
    #: Signals that let it write its data out, then one that does not ask.
    stop_ladder: ClassVar[Sequence[Rung]]

    _process: subprocess.Popen[bytes] | None = None

    def __init__(self) -> None:
        #: What the operator has to be told of the last starts, a line each; whoever tells it empties the list.
        self.notices: list[str] = []

    @abstractmethod
    def start(self) -> str:
        """Start the server and wait until it answers; returns its URL.

        Raises:
            ServiceError: It does not start; the text has the end of its log.
        """

    def ensure_running(self) -> bool:
        """Start the server again, on the same port, if it has ended by itself; returns whether it had.

        Raises:
            ServiceError: It does not start again.
        """
        if self._process is None or self._process.poll() is None:
            return False
        self.start()
        return True

    def stop(self) -> None:
        """Stop the server, its data written out; safe to call twice."""
        if self._process is not None:
            children.stop(self._process, self.stop_ladder)
            self._process = None

"""Tests side by side: which process runs which, and how all of them end.  A plugin, ``-p tests.side_by_side -n 2``.

pytest-xdist starts the processes and sends them test files, whole, so what a module's fixtures start is started once.
Here is said which file comes next, and what Ctrl-C does:

- Files that start Ray come first, those that need PostgreSQL or Valkey last, what needs neither stands between them.
  Half of the processes take from the front and half from the back.  So as a rule one Ray cluster starts at a time, the
  two kinds of waiting go on beside each other, and in the end only short files are left to share out.
- A process that runs tests is in a session of its own, where no Ctrl-C of the terminal reaches it.  It gets one SIGINT
  from here and time to stop what its fixtures have started; xdist alone would kill it after ten seconds.  SIGTERM does
  the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any, Final

import pytest
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

#: How long a process may take to stop what it has started; a world that does not end is killed before.
END_S: Final = 90.0


class BothEnds(LoadFileScheduling):  # type: ignore[misc]  # it ships no types
    """Files go to whoever is free, from the front of the queue or from its back."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        if self.nodes.index(node) % 2:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


class EndsInOrder:
    """In the process that only shares out: an interrupt reaches all others, and is waited for."""

    def __init__(self) -> None:
        self._running: list[WorkerController] = []

    def pytest_testnodeready(self, node: WorkerController) -> None:
        self._running.append(node)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        for node in self._running:
            if not node.channel.isclosed():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(node.gateway._rinfo().pid, signal.SIGINT)
        for node in self._running:
            with contextlib.suppress(node.channel.RemoteError, node.channel.TimeoutError):
                node.channel.waitclose(END_S)


class EndsOnce:
    """In a process that runs tests: the second interrupt must not cut short what the first has begun."""

    def pytest_keyboard_interrupt(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt_once(number: int, frame: object) -> None:
    """Do as Ctrl-C does; make passes on what a whole group is told, so the signal comes twice."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        os.setsid()
        config.pluginmanager.register(EndsOnce())
    elif config.option.dist != "no":
        config.option.loadscopereorder = False
        signal.signal(signal.SIGTERM, _interrupt_once)
        config.pluginmanager.register(EndsInOrder())


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BothEnds:
    return BothEnds(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of the queue, and within a file as it was."""
    markers: dict[Path, set[str]] = {}
    for item in items:
        markers.setdefault(item.path, set()).update(mark.name for mark in item.iter_markers())
    items.sort(key=lambda item: _place(markers[item.path]))


def _place(markers: set[str]) -> int:
    """Where in the queue a file stands whose tests bear these markers."""
    return 0 if "ray" in markers else 2 if "services" in markers else 1

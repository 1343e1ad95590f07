"""Which signals end a command in order: Ctrl-C, SIGTERM, and SIGHUP, which comes when a terminal is closed."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType

__all__ = ["heed_like_ctrl_c", "heeded_signals", "print_no_more_where_nobody_reads"]


def heeded_signals() -> list[signal.Signals]:
    """Return SIGINT and SIGTERM, and SIGHUP unless this process was started to ignore it, as ``nohup`` does.

    One terminal that closes sends SIGHUP two or three times (the kernel, one shell, the next): only the first counts.
    """
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    return signals


def heed_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP do whatever Ctrl-C does at that moment, where they would end the process as it stands.

    Nothing changes in a process that ignores SIGINT, as a shell script starts those it puts into the background.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _press_ctrl_c)


def print_no_more_where_nobody_reads() -> None:
    """Send standard output and error nowhere if their terminal or the reader of their pipe has gone away.

    Otherwise the first line about stopping would raise, and nothing be stopped.
    """
    for fd in (1, 2):
        watched = select.poll()
        watched.register(fd, 0)  # POLLHUP and POLLERR are reported unasked
        if any(events & (select.POLLHUP | select.POLLERR) for _, events in watched.poll(0)):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, fd)
            os.close(nowhere)


def _press_ctrl_c(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGHUP:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    print_no_more_where_nobody_reads()
    signal.raise_signal(signal.SIGINT)

"""What a command does when it is told to end by something other than Ctrl-C."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest

from chunkcrawl.commands.interrupts import heeded_signals

COMMAND = """
import asyncio, sys
from chunkcrawl.commands.interrupts import heed_like_ctrl_c

async def work():
    try:
        print("up", flush=True)
        await asyncio.sleep(600)
    finally:
        print("cleaned up", file=sys.stderr, flush=True)

heed_like_ctrl_c()
try:
    asyncio.run(work())
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr, flush=True)
    sys.exit(130)
"""


def start(*wrapper: str) -> subprocess.Popen[str]:
    argv = [*wrapper, sys.executable, "-c", COMMAND]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ends_as_with_ctrl_c(number: signal.Signals) -> None:
    with start() as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines() == ["cleaned up", "interrupted"]


def test_terminal_that_has_gone_away_keeps_nothing_from_being_cleaned_up() -> None:
    """The kernel's SIGHUP and two shells'."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdout=slave, stderr=slave, start_new_session=True
    ) as process:
        os.close(slave)
        assert os.read(master, 100).startswith(b"up")
        os.close(master)
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 130


def test_nohup_is_heeded() -> None:
    with start("env", "--ignore-signal=HUP") as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert errors.count("interrupted") == 1
    assert process.returncode == 130


def test_in_the_background_of_a_script_sigterm_still_ends_it() -> None:
    with start("env", "--ignore-signal=INT") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM


def test_hangup_counts_unless_it_was_ignored() -> None:
    assert heeded_signals() == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert heeded_signals() == [signal.SIGINT, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)

"""Lines that are written by a thread: none lost or out of order below the bound, and told when beyond it."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from config.log_writer import LogWriter

DEADLINE_S = 10.0


class Slow(io.StringIO):
    """A file on a disk that stands still until ``going``."""

    def __init__(self) -> None:
        super().__init__()
        self.going = threading.Event()
        self.writing = threading.Event()

    def write(self, text: str) -> int:
        self.writing.set()
        assert self.going.wait(DEADLINE_S)
        return super().write(text)


def lost(count: int) -> str:
    return f"{count} lost\n"


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_lines_are_written_in_order_without_waiting_for_the_disk() -> None:
    out = Slow()
    writer = LogWriter(out, lost)
    for number in range(1_000):
        writer.later(f"{number}\n")
    out.going.set()
    until(lambda: out.getvalue().count("\n") == 1_000)
    assert out.getvalue().split() == [str(number) for number in range(1_000)]
    writer.close()


def test_what_is_urgent_comes_after_what_was_said_before() -> None:
    out = io.StringIO()
    writer = LogWriter(out, lost)
    for number in range(500):
        (writer.write if number % 50 == 49 else writer.later)(f"{number}\n")
        if number % 50 == 49:
            assert out.getvalue().split() == [str(one) for one in range(number + 1)]
    writer.close()


def test_beyond_the_bound_lines_are_lost_and_that_is_told() -> None:
    out = Slow()
    writer = LogWriter(out, lost, lines_most=10)
    writer.later("first\n")
    assert out.writing.wait(DEADLINE_S)
    for number in range(25):
        writer.later(f"{number}\n")
    out.going.set()
    writer.close()
    assert out.getvalue().split("\n") == ["first", *map(str, range(10)), "15 lost", ""]


def test_after_closing_lines_are_written_at_once() -> None:
    out = io.StringIO()
    writer = LogWriter(out, lost)
    writer.later("one\n")
    writer.close()
    writer.later("two\n")
    assert out.getvalue() == "one\ntwo\n"


def test_a_broken_disk_ends_nothing() -> None:
    class Broken(io.StringIO):
        broken = True

        def write(self, text: str) -> int:
            if self.broken:
                raise OSError("no space")
            return super().write(text)

    out = Broken()
    writer = LogWriter(out, lost)
    writer.later("one\n")
    until(lambda: not writer._queue)
    out.broken = False
    writer.later("two\n")
    until(lambda: "two" in out.getvalue())
    writer.close()


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "raise ValueError"])
def test_a_process_that_ends_by_itself_has_written_everything(end: str) -> None:
    code = (
        "import sys; from config.log_writer import LogWriter\n"
        "writer = LogWriter(sys.stdout, str)\n"
        "for number in range(300): writer.later(f'{number}\\n')\n" + end
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout.split() == [str(number) for number in range(300)]

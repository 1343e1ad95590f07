from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from api.accounts import password_process
from api.accounts.password_process import HashingFailed, HashingProcess
from api.accounts.passwords import Passwords
from api.errors import ApiError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    passwords = Passwords("pepper", processes=2, queue_max=3)
    yield passwords
    passwords.close()


async def hash_by(passwords: Passwords, password: str) -> str:
    with passwords.place() as place:
        return await place.hash(password)


async def matches_by(passwords: Passwords, password_hash: str | None, password: str) -> bool:
    with passwords.place() as place:
        return await place.matches(password_hash, password)


@pytest.mark.parametrize(
    "password", ["correct horse", "p\u00e4ss \U0001f600", "x" * 128, "nul\0inside", "\ud800 alone"]
)
async def test_the_right_password_matches_and_no_other(passwords: Passwords, password: str) -> None:
    hashed = await hash_by(passwords, password)
    assert hashed.startswith("$argon2id$")
    assert await matches_by(passwords, hashed, password)
    assert not await matches_by(passwords, hashed, password + "x")


async def test_the_same_password_is_hashed_differently_each_time(passwords: Passwords) -> None:
    assert await hash_by(passwords, "password") != await hash_by(passwords, "password")


async def test_composed_and_decomposed_are_one_password(passwords: Passwords) -> None:
    hashed = await hash_by(passwords, "p\u00e4ssw\u00f6rd")
    assert await matches_by(passwords, hashed, unicodedata.normalize("NFD", "p\u00e4ssw\u00f6rd"))


async def test_without_the_pepper_a_hash_is_no_use(passwords: Passwords) -> None:
    hashed = await hash_by(passwords, "password")
    other = Passwords("another pepper")
    assert not await matches_by(other, hashed, "password")
    other.close()


@pytest.mark.parametrize("stored", [None, "!", "", "$argon2id$broken"])
async def test_nobody_and_a_broken_hash_match_nothing(passwords: Passwords, stored: str | None) -> None:
    assert not await matches_by(passwords, stored, "nobody's password")


async def test_beyond_the_bound_a_request_is_refused_at_once_and_later_ones_pass(passwords: Passwords) -> None:
    """Two are hashed, three wait, the sixth is refused; the event loop goes on meanwhile."""
    await asyncio.gather(*(hash_by(passwords, "password") for _ in range(2)))
    processes = children()
    assert len(processes) == 2
    for process in processes:
        process.suspend()
    waiting = [asyncio.create_task(hash_by(passwords, "password")) for _ in range(5)]
    await asyncio.sleep(0)
    assert passwords.full
    with pytest.raises(ApiError, match="overloaded") as caught:
        await hash_by(passwords, "password")
    assert caught.value.status_code == 503
    assert not any(task.done() for task in waiting)
    for process in processes:
        process.resume()
    assert len(set(await asyncio.gather(*waiting))) == 5
    assert await matches_by(passwords, await hash_by(passwords, "password"), "password")


async def test_a_place_is_taken_before_anything_is_hashed_and_given_back_however_it_ends(passwords: Passwords) -> None:
    with ExitStack() as places:
        for _ in range(5):
            places.enter_context(passwords.place())
        with pytest.raises(ApiError, match="overloaded"), passwords.place():
            pass
    with pytest.raises(ZeroDivisionError), passwords.place():
        divmod(1, 0)
    assert not passwords.full
    assert not children(), "a place alone starts nothing"


async def test_hashing_takes_no_cpu_that_others_want(passwords: Passwords) -> None:
    """It runs in processes of their own at the lowest priority; this one uses next to nothing for it."""
    await hash_by(passwords, "password")
    (process,) = children()
    assert process.nice() == 19
    if hasattr(os, "SCHED_IDLE"):
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
    began = time.process_time()
    await asyncio.gather(*(hash_by(passwords, "password") for _ in range(5)))
    assert time.process_time() - began < process.cpu_times().user


async def test_a_process_that_dies_is_replaced_and_nobody_notices(passwords: Passwords) -> None:
    hashed = await hash_by(passwords, "password")
    for _ in range(3):
        for process in children():
            process.kill()
        assert await matches_by(passwords, hashed, "password")
    (process,) = children()
    process.suspend()
    waiting = asyncio.create_task(matches_by(passwords, hashed, "password"))
    await asyncio.sleep(0.05)
    process.kill()  # with the question on its way
    assert await waiting


async def test_without_a_process_it_is_unavailable(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(ApiError, match="unavailable"):
        await hash_by(passwords, "password")


async def test_one_that_gives_no_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    process = HashingProcess()
    process.hash("password")
    (stuck,) = children()
    stuck.suspend()
    start = password_process._start

    def start_patiently() -> subprocess.Popen[bytes]:
        # The next one may take as long as a busy machine lets it.
        process._answer_within_ms = 30_000
        return start()

    monkeypatch.setattr(password_process, "_start", start_patiently)
    process._answer_within_ms = 200
    assert process.hash("password").startswith("$argon2id$")
    assert not stuck.is_running()
    process.close()
    assert not children()
    with pytest.raises(HashingFailed):
        process.hash("password")


async def test_closed_they_end_at_once_and_whoever_waits_is_told() -> None:
    passwords = Passwords("pepper")
    await hash_by(passwords, "password")
    children()[0].suspend()
    waiting = asyncio.create_task(hash_by(passwords, "password"))
    await asyncio.sleep(0.05)
    passwords.close()
    with pytest.raises(ApiError, match="unavailable"):
        await waiting
    assert not children()


def test_they_end_with_whoever_started_them() -> None:
    """Killed, so that nothing can be tidied up."""
    program = (
        "import os, signal; from api.accounts.password_process import HashingProcess; process = HashingProcess();"
        "process.hash('password'); print(process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(killed.stdout)).wait(10)


def children() -> list[psutil.Process]:
    """Hashing processes of this one that live."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and any(
                "password_worker" in word for word in process.cmdline()
            ):
                found.append(process)
    return found

"""Passwords: Argon2 in processes of their own, with a bounded queue before them.

Hashing one costs some 20 ms and 19 MiB on purpose.  Those who play must not wait for it, so it is done at the lowest
priority, which a thread of this process can't have for itself; and it must not be a way to fill the memory, so at most
``processes`` run at once, and with ``queue_max`` waiting, one more is refused as ``overloaded``.  Whoever asks takes a
place first and looks into the database afterwards, so that a flood of passwords is none of queries.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from api import metrics
from api.accounts.password_process import HashingFailed, HashingProcess
from api.errors import ApiError

T = TypeVar("T")

MIN_CHARS: Final = 8
MAX_CHARS: Final = 128


class Passwords:
    """Who hashes and checks passwords.  ``close`` ends the processes; none is started before its first use.

    Args:
        pepper: this installation's secret; a copy of the database alone is then no use to a guesser.
        processes: how many hash at once.
        queue_max: how many may wait.
    """

    def __init__(self, pepper: str, *, processes: int = 1, queue_max: int = 32) -> None:
        self._pepper = pepper.encode()
        #: A thread waits for each process.
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="passwords")
        self._idle = [HashingProcess() for _ in range(processes)]
        self._all = tuple(self._idle)
        self._bound = processes + queue_max
        self._under_way = 0

    @property
    def full(self) -> bool:
        """Return whether one more would be refused."""
        return self._under_way >= self._bound

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Take a place in the queue for the block, before anything else is done for a password.

        Raises:
            ApiError: ``overloaded``: too many wait.
        """
        if self.full:
            raise ApiError("overloaded")
        self._under_way += 1
        metrics.PASSWORDS_WAITING.set(self._under_way)
        try:
            yield Place(self)
        finally:
            self._under_way -= 1
            metrics.PASSWORDS_WAITING.set(self._under_way)

    def close(self) -> None:
        """End the processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._all:
            process.close()

    async def _run(self, work: Callable[[HashingProcess], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._with_process, work)
        except HashingFailed:
            raise ApiError("unavailable") from None

    def _with_process(self, work: Callable[[HashingProcess], T]) -> T:
        process = self._idle.pop()  # there is one for each thread
        try:
            return work(process)
        finally:
            self._idle.append(process)

    def _seasoned(self, password: str) -> str:
        # NFC: the same password typed on another system may come decomposed.
        text = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
        return base64.b64encode(hmac.digest(self._pepper, text, "sha256")).decode()


class Place:
    """A place in the queue (``Passwords.place``).  Raises ``ApiError``: ``unavailable``: it can't be done."""

    __slots__ = ("_passwords",)

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords

    async def hash(self, password: str) -> str:
        """Return a new hash of ``password``."""
        seasoned = self._passwords._seasoned(password)
        return await self._passwords._run(lambda process: process.hash(seasoned))

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Return whether ``password`` is the one; None (no such account) takes as long as a wrong one."""
        seasoned = self._passwords._seasoned(password)
        return await self._passwords._run(lambda process: process.matches(password_hash, seasoned))

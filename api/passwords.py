"""Passwords: Argon2 in a few threads of their own, with a bounded queue before them.

Hashing one costs some 15 ms and 19 MiB on purpose.  It must neither stop the event loop nor be a way to fill the
memory, so at most ``threads`` run at once; with ``queue_max`` waiting, one more is refused as ``overloaded``.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api import metrics
from api.errors import ApiError

T = TypeVar("T")

MIN_CHARS: Final = 8
MAX_CHARS: Final = 128

# The parameters that OWASP's cheat sheet gives first for Argon2id.
MEMORY_KIB: Final = 19_456
ITERATIONS: Final = 2
LANES: Final = 1


class Passwords:
    """Hashes and checks passwords.  ``close`` ends the threads.

    Args:
        pepper: this installation's secret; a copy of the database alone is then no use to a guesser.
        threads: how many hash at once.
        queue_max: how many may wait.
    """

    def __init__(self, pepper: str, *, threads: int = 2, queue_max: int = 32) -> None:
        self._pepper = pepper.encode()
        self._hasher = PasswordHasher(time_cost=ITERATIONS, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._bound = threads + queue_max
        self._under_way = 0
        #: Checked against when there is no such account, so that its absence does not show in the time.
        self._nobodys = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """Raises ``ApiError`` (``overloaded``) when too many wait."""
        return await self._run(lambda: self._hasher.hash(self._seasoned(password)))

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether ``password`` is the one; None (no such account) takes as long as a wrong one.  Raises as ``hash``."""
        return await self._run(lambda: self._verify(password_hash, password))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._under_way >= self._bound:
            raise ApiError("overloaded")
        self._under_way += 1
        metrics.PASSWORDS_WAITING.set(self._under_way)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._under_way -= 1
            metrics.PASSWORDS_WAITING.set(self._under_way)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobodys, self._seasoned(password))
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def _seasoned(self, password: str) -> bytes:
        # NFC: the same password typed on another system may come decomposed.
        text = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
        return base64.b64encode(hmac.digest(self._pepper, text, "sha256"))

"""A process that hashes passwords: one request a line on standard input, one answer a line on standard output.

Run as a script by ``api.accounts.password_process``, with nothing of ours imported, so that it is there in some 40 ms.
It takes the CPU that nobody else wants, and ends with the end of its input: when the gateway ends, whichever way.

    {"password": ...}               -> the hash, a string
    {"password": ..., "hash": ...}  -> whether it is that password's; a hash of null costs the same and is false
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# The parameters that OWASP's cheat sheet gives first for Argon2id.
MEMORY_KIB: Final = 19_456
ITERATIONS: Final = 2
LANES: Final = 1

LEAST_PRIORITY: Final = 19


def main() -> None:
    """Answer until the input ends."""
    # Ctrl-C and a closed terminal reach the whole group; the gateway decides when this ends.
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    _step_back()
    hasher = PasswordHasher(time_cost=ITERATIONS, memory_cost=MEMORY_KIB, parallelism=LANES)
    #: Checked against when there is no such account, so that its absence does not show in the time.
    nobodys = hasher.hash("nobody's password")
    for line in sys.stdin.buffer:
        print(json.dumps(_answer(hasher, nobodys, json.loads(line))), flush=True)


def _step_back() -> None:
    """Take only the CPU that nobody else wants: whoever else wakes up has it at once."""
    with contextlib.suppress(OSError):
        os.nice(LEAST_PRIORITY)
    with contextlib.suppress(AttributeError, OSError):  # Linux; a process of the least priority still ends its slice
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _answer(hasher: PasswordHasher, nobodys: str, request: dict[str, str | None]) -> str | bool:
    password = request["password"] or ""
    if "hash" not in request:
        return hasher.hash(password)
    stored = request["hash"]
    try:
        hasher.verify(nobodys if stored is None else stored, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


if __name__ == "__main__":
    main()

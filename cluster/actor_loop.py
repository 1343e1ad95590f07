"""The loop of an actor: one coroutine that runs as long as the process, and the process ends when it fails.

Ray takes an actor for alive as long as its process is, so one whose loops have ended must not go on answering calls.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, Final

import structlog

log = structlog.get_logger(__name__)

EXIT_FAILED: Final = 70


def run_or_exit(actor: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run ``work`` from now on; needs a running loop.

    An error in it is logged and ends the process; Ray starts a new one.  Cancelled, it just ends.  Keep the task: the
    loop itself does not.
    """
    return asyncio.get_running_loop().create_task(_run(actor, work), name=actor)


async def _run(actor: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        log.error("actor_ended", actor=actor, error=repr(error), exc_info=True)
        os._exit(EXIT_FAILED)

"""Tasks that talk to Redis and still end when they are told to.

redis-py writes each command under ``asyncio.wait_for`` when a socket timeout is set.  On Python 3.11 a cancellation
that arrives in the turn in which the write is done is swallowed there (python/cpython#86296, mended in 3.12 only):
measured, every second ``task.cancel()`` on a task that talks to Redis was lost, and the task lived on.  It also
costs a task per command.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class _CancellableSend:
    """Mixin before a redis-py connection class: writes under ``asyncio.timeout``, which passes cancellation on."""

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()
        try:
            self._writer.writelines([command] if isinstance(command, bytes) else command)
            async with asyncio.timeout(self.socket_timeout):
                await self._writer.drain()
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("Timeout writing to socket") from None
        except OSError as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"Error while writing to socket: {error}") from error
        except BaseException:
            # Half a command may be on its way: the connection is of no more use.
            await self.disconnect(nowait=True)
            raise


def make_cancellable(pool: ConnectionPool) -> None:
    """Let ``pool`` make connections whose commands can be cancelled.  Call before its first use."""
    cls = pool.connection_class
    if not issubclass(cls, _CancellableSend):
        pool.connection_class = type(f"Cancellable{cls.__name__}", (_CancellableSend, cls), {})


#: How long a cancelled task may take before it is cancelled once more.
AGAIN_AFTER_S: Final = 0.5


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel ``tasks`` and wait until they are done, however often a library below them swallows the cancellation.

    Their exceptions are taken notice of and dropped.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_AFTER_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()

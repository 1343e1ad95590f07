"""Calls of a model that reach another gateway than the one that plays its session, over control channels of Redis.

    asking gateway  ── call ─►  ctl:mcp:{host}          host  ── beat, progress, done, gone ─►  ctl:mcp:{asking gateway}

Nothing here is kept: a message that is lost, or a host that dies, shows as silence, and the asking gateway says that
the outcome is not known.  When nobody listens to the host any more that is known at once, and nothing was done.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from api import keys
from api.accounts.auth import RedisCalls
from chunkcrawl.mcp.answer import Answer
from chunkcrawl.mcp.toolbox import ToolProgress
from config.errors import ServerError, TryAgain
from streaming.hub import Hub, Subscription
from streaming.lua import load

__all__ = ["EVERYBODY", "HostGone", "HostLost", "Relay"]

log = structlog.get_logger(__name__)

#: The channel that all gateways listen to.
EVERYBODY: Final = "all"
BEAT_S: Final = 2.0
#: A host that has not even beaten for so long is lost.
SILENT_S: Final = 8.0
SERVED_MAX: Final = 256
WAITING_MAX: Final = 64
MESSAGE_MAX_BYTES: Final = 256 * 1024

PUBLISH: Final = load("cluster/hosted/publish.lua")


class HostGone(TryAgain):
    """The host does not play the session any more; nothing was done."""

    reason = "mcp_host_gone"


class HostLost(ServerError):
    """The host fell silent, or stopped, while it carried the call out; what became of it is not known."""

    reason = "mcp_host_lost"


class RelayMessage(msgspec.Struct, omit_defaults=True):
    """What gateways say to each other.

    ``kind``: ``call``, ``stop`` (of a call); ``beat``, ``progress``, ``done``, ``gone``, ``lost`` (about it); to all:
    ``cancel`` (the call of a session that has this request id), ``end`` (a session).
    """

    kind: str
    call_id: str = ""
    sender: str = ""
    session_id: str = ""
    request_id: str = ""
    tool: str = ""
    arguments: dict[str, Any] = {}
    done: float = 0.0
    total: float | None = None
    text: str = ""
    fields: dict[str, Any] = {}


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(RelayMessage)

Serve = Callable[[str, str, dict[str, Any], ToolProgress], Awaitable[Answer]]


class Relay:
    """One gateway's end.

    Args:
        hub: brings what others say.
        redis: batched calls.
        gateway: this one's name.
        serve: carries a call of a session out here; raises ``HostGone`` when it is not played here.
        heard: is told of ``cancel`` and ``end``.
    """

    def __init__(
        self, hub: Hub, redis: RedisCalls, gateway: str, serve: Serve, heard: Callable[[RelayMessage], None]
    ) -> None:
        self._hub = hub
        self._redis = redis
        self._gateway = gateway
        self._serve = serve
        self._heard = heard
        self._asked: dict[str, asyncio.Queue[RelayMessage]] = {}
        self._served: dict[str, asyncio.Task[None]] = {}
        self._listening: list[Subscription] = []

    async def start(self) -> None:
        """Begin to listen.  Raises ``HubUnavailable``."""
        names = (self._gateway, EVERYBODY)
        self._listening = [self._hub.listen(keys.mcp_control(name), self._take) for name in names]
        try:
            for subscription in self._listening:
                await subscription.ready()
        except BaseException:
            self._stop_listening()
            raise

    async def close(self) -> None:
        """Stop; whoever waits for a call that is served here is told that it is lost."""
        for task in list(self._served.values()):
            task.cancel()
        await asyncio.gather(*self._served.values(), return_exceptions=True)
        self._stop_listening()

    def _stop_listening(self) -> None:
        for subscription in self._listening:
            subscription.close()
        self._listening = []

    async def say(self, to: str, message: RelayMessage) -> int:
        """Say something to a gateway, or to ``EVERYBODY``; return how many heard it.  Raises ``RedisError``."""
        call = PUBLISH(channel=keys.mcp_control(to), message=_ENCODER.encode(message))
        return int(await self._redis.run(call))

    async def call(
        self, host: str, session_id: str, tool: str, arguments: dict[str, Any], progress: ToolProgress
    ) -> Answer:
        """Have another gateway carry a call out; cancelled, it is cancelled there too.

        Raises:
            HostGone: nothing was done; whoever asks may play the session itself.
            HostLost: it is not known what was done.
        """
        call_id = secrets.token_hex(8)
        answers = self._asked[call_id] = asyncio.Queue(WAITING_MAX)
        asking = RelayMessage("call", call_id, self._gateway, session_id, tool=tool, arguments=arguments)
        try:
            if not await self.say(host, asking):
                raise HostGone
            return await self._answer(answers, progress)
        except asyncio.CancelledError:
            stop = asyncio.ensure_future(self.say(host, RelayMessage("stop", call_id)))
            stop.add_done_callback(_ignored)
            raise
        finally:
            del self._asked[call_id]

    async def _answer(self, answers: asyncio.Queue[RelayMessage], progress: ToolProgress) -> Answer:
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    message = await answers.get()
            except TimeoutError:
                raise HostLost from None
            match message.kind:
                case "done":
                    return Answer(message.text, message.fields)
                case "gone":
                    raise HostGone
                case "lost":
                    raise HostLost
                case "progress":
                    await progress(message.done, message.total, message.text)

    # -- what others say --

    def _take(self, message: bytes | None) -> None:
        if message is None or len(message) > MESSAGE_MAX_BYTES:
            return
        try:
            heard = _DECODER.decode(message)
        except ValueError:
            log.warning("mcp_message_not_read")
            return
        match heard.kind:
            case "call":
                self._served[heard.call_id] = asyncio.get_running_loop().create_task(self._carry_out(heard))
            case "stop":
                if heard.call_id in self._served:
                    self._served[heard.call_id].cancel()
            case "cancel" | "end":
                self._heard(heard)
            case _:
                answers = self._asked.get(heard.call_id)
                if answers is not None and not answers.full():
                    answers.put_nowait(heard)

    async def _carry_out(self, asked: RelayMessage) -> None:
        async def tell(kind: str, **more: Any) -> None:
            await self.say(asked.sender, RelayMessage(kind, asked.call_id, **more))

        async def progress(done: float, total: float | None, text: str) -> None:
            await tell("progress", done=done, total=total, text=text)

        async def beat() -> None:
            while True:
                await tell("beat")
                await asyncio.sleep(BEAT_S)

        beating = asyncio.ensure_future(beat())
        try:
            if len(self._served) > SERVED_MAX:
                raise HostGone
            answer = await self._serve(asked.session_id, asked.tool, asked.arguments, progress)
            await tell("done", text=str(answer), fields=answer.fields)
        except HostGone:
            await tell("gone")
        except asyncio.CancelledError:
            await tell("lost")
            raise
        except Exception as error:
            log.error("mcp_call_failed", tool=asked.tool, error=type(error).__name__)
            await tell("lost")
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            self._served.pop(asked.call_id, None)


def _ignored(task: asyncio.Future[int]) -> None:
    if not task.cancelled():
        task.exception()

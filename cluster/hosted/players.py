"""The agents that models play through this gateway, and where the calls of a session are carried out."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog
from redis.exceptions import RedisError
from starlette.types import ASGIApp

from api.accounts.auth import RedisCalls
from chunkcrawl.errors import ChunkcrawlError, TakenOver
from chunkcrawl.mcp.answer import Answer
from chunkcrawl.mcp.toolbox import ToolProgress
from cluster.hosted.hosted_agent import HostedAgent
from cluster.hosted.in_process import ModelPeer
from cluster.hosted.relay import EVERYBODY, HostGone, HostLost, Relay, RelayMessage
from cluster.hosted.sessions import ModelSession, ModelSessions
from streaming.cancellable import end
from streaming.hub import Hub

__all__ = ["ModelCaller", "Players"]

log = structlog.get_logger(__name__)

KEEP_EVERY_S: Final = 5.0
#: How often a call may find another gateway than it was told of.
TRIES: Final = 4
CLOSE_TOGETHER_S: Final = 4.0

REFUSED: Final = (RedisError, OSError, TimeoutError)
LOST: Final = (
    "outcome_unknown: the gateway that played for you has ended meanwhile; observe before you repeat anything."
)


@dataclass(frozen=True, slots=True)
class ModelCaller:
    """Who calls: a model's session with the key that it has shown.  ``peer``: whose address it counts as."""

    session_id: str
    account_id: str
    key_id: str
    api_key: str
    peer: ModelPeer

    def __repr__(self) -> str:
        """Without the key."""
        return f"ModelCaller({self.session_id})"


class Players:
    """Connects agents as calls need them, and lets them leave when they are idle.

    Args:
        app: the gateway's own.
        redis: batched calls.
        hub: brings what other gateways say.
        sessions: of models.
        most: how many agents are played here at most.
        idle_s: after so long without a call an agent leaves the world; the next call brings it back.
    """

    def __init__(
        self,
        app: ASGIApp,
        redis: RedisCalls,
        hub: Hub,
        sessions: ModelSessions,
        *,
        most: int,
        idle_s: float,
    ) -> None:
        self.gateway = f"gw_{secrets.token_hex(8)}"
        self._app = app
        self._redis = redis
        self._sessions = sessions
        self._most = most
        self._idle_s = idle_s
        self._players: dict[str, HostedAgent] = {}
        #: By session, as long as somebody holds one or waits for it.
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._being_opened = 0
        self._under_way: dict[asyncio.Task[Answer], tuple[str, str]] = {}
        self._ended_by: dict[asyncio.Task[Answer], Answer] = {}
        self._relay = Relay(hub, redis, self.gateway, self._serve, self._heard)
        self._keeping: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self.draining = False

    def __len__(self) -> int:
        return len(self._players)

    async def start(self) -> None:
        """Begin; needs a running loop.  Raises ``HubUnavailable``."""
        await self._relay.start()
        self._keeping = asyncio.get_running_loop().create_task(self._keep(), name="mcp-keep")

    async def drain(self) -> None:
        """Answer what is under way, and let all agents go, for other gateways to play; within some seconds."""
        self.draining = True
        for task in list(self._under_way):
            self._end(task, "draining", "this gateway stops; call again, another one goes on.")
        await self._relay.close()
        leaving = [asyncio.ensure_future(self._leave(player)) for player in list(self._players.values())]
        if leaving:
            await asyncio.wait(leaving, timeout=CLOSE_TOGETHER_S)

    async def close(self) -> None:
        """End what is left."""
        await self.drain()
        if self._keeping is not None:
            await end(self._keeping)
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)

    # -- calls --

    async def call(
        self, caller: ModelCaller, request_id: str, tool: str, arguments: dict[str, Any], progress: ToolProgress
    ) -> Answer:
        """Carry a call out, wherever its session is played; it never raises for what the world refuses."""
        work = self._carry_out(caller, tool, arguments, progress)
        task = asyncio.get_running_loop().create_task(work, name=f"mcp {tool}")
        self._under_way[task] = (caller.session_id, request_id)
        try:
            await asyncio.wait({task})
            ended_by = self._ended_by.get(task)
            return ended_by if ended_by is not None and task.cancelled() else task.result()
        finally:
            task.cancel()
            self._under_way.pop(task, None)
            self._ended_by.pop(task, None)

    async def choose(self, caller: ModelCaller, agent_id: str) -> Answer:
        """Play an agent from now on: one of the account's, or a new one."""
        session = await self._sessions.use(caller.session_id, caller.account_id)
        if session is None:
            return _refusal("session_ended", "connect anew, then call play_as.")
        if session.agent_id != agent_id or session.host not in ("", self.gateway):
            await self._let_go(session)
        await self._sessions.choose(caller.session_id, agent_id)
        return await self.call(caller, "", "observe", {"budget_tokens": 200}, _quiet)

    async def cancel(self, session_id: str, request_id: str) -> None:
        """End the call that a session made with a request id, whichever gateway it reached.  Raises ``RedisError``."""
        message = RelayMessage("cancel", session_id=session_id, request_id=request_id)
        self._heard(message)
        await self._relay.say(EVERYBODY, message)

    async def end(self, session_id: str, account_id: str) -> bool:
        """End a session; return False when there is none.  Raises ``RedisError``."""
        host = await self._sessions.end(session_id, account_id)
        if host is None:
            return False
        message = RelayMessage("end", session_id=session_id)
        self._heard(message)
        if host not in ("", self.gateway):
            await self._relay.say(host, message)
        return True

    # -- private: where a call goes --

    async def _carry_out(
        self, caller: ModelCaller, tool: str, arguments: dict[str, Any], progress: ToolProgress
    ) -> Answer:
        lost = ""
        for _ in range(TRIES):
            session = await self._sessions.use(caller.session_id, caller.account_id)
            if session is None:
                return _refusal("session_ended", "connect anew, then call play_as.")
            if not session.agent_id:
                return _refusal("no_agent", "call play_as first; agents lists those you have.")
            host = session.host if session.host != lost else ""
            if host in ("", self.gateway):
                host = await self._sessions.claim(caller.session_id, self.gateway, lost=lost)
            if host == self.gateway:
                player = await self._player(caller, session)
                return player if isinstance(player, Answer) else await player.call(tool, arguments, progress)
            if not host:
                continue
            try:
                return await self._relay.call(host, caller.session_id, tool, arguments, progress)
            except HostGone:
                lost = host
            except HostLost:
                await self._sessions.claim(caller.session_id, self.gateway, lost=host)
                return Answer(LOST, {"ok": False, "reason": "outcome_unknown"})
        return _refusal("unavailable", "this session is on its way from one gateway to another; call again.")

    async def _player(self, caller: ModelCaller, session: ModelSession) -> HostedAgent | Answer:
        """Return the session's agent, connected now if it is not."""
        opening = self._opening.get(caller.session_id)
        if opening is None:
            opening = self._opening[caller.session_id] = asyncio.Lock()
        async with opening:
            player = self._players.get(caller.session_id)
            if player is not None and player.agent.agent_id == session.agent_id:
                return player
            if player is not None:
                await self._leave(player, keep=True)
            if self.draining:
                return _refusal("draining", "this gateway stops; call again, another one goes on.")
            if len(self._players) + self._being_opened >= self._most:
                return _refusal("overloaded", "too many models play here; try again in a minute.")
            self._being_opened += 1
            try:
                player = await HostedAgent.open(
                    self._app,
                    caller.peer,
                    self._redis,
                    session_id=caller.session_id,
                    agent_id=session.agent_id,
                    api_key=caller.api_key,
                )
            except ChunkcrawlError as error:
                return _refusal(error.reason, str(error))
            finally:
                self._being_opened -= 1
            self._players[caller.session_id] = player
            return player

    async def _serve(self, session_id: str, tool: str, arguments: dict[str, Any], progress: ToolProgress) -> Answer:
        player = self._players.get(session_id)
        if player is None or self.draining:
            raise HostGone
        return await player.call(tool, arguments, progress)

    def _heard(self, message: RelayMessage) -> None:
        if message.kind == "end":
            player = self._players.get(message.session_id)
            if player is not None:
                self._later(player)
            return
        for task, (session_id, request_id) in list(self._under_way.items()):
            if (session_id, request_id) == (message.session_id, message.request_id) and request_id:
                self._end(task, "cancelled", "the agent stands still soon.")

    def _end(self, task: asyncio.Task[Answer], reason: str, text: str) -> None:
        self._ended_by[task] = _refusal(reason, text)
        task.cancel()

    # -- private: leaving --

    async def _let_go(self, session: ModelSession) -> None:
        """Have whichever gateway plays the session let its agent go."""
        player = self._players.get(session.session_id)
        if player is not None:
            await self._leave(player)
        elif session.host not in ("", self.gateway):
            await self._relay.say(session.host, RelayMessage("end", session_id=session.session_id))
            await self._sessions.claim(session.session_id, self.gateway, lost=session.host)

    def _later(self, player: HostedAgent) -> None:
        task = asyncio.get_running_loop().create_task(self._leave(player))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _leave(self, player: HostedAgent, *, keep: bool = False) -> None:
        """Let an agent leave; ``keep``: the session goes on here."""
        if self._players.get(player.session_id) is player:
            del self._players[player.session_id]
        try:
            await player.close()
            if isinstance(player.agent.ended, TakenOver):
                # To go on by itself would take the agent back from whoever has it now, again and again.
                await self._sessions.lose(player.session_id, self.gateway, player.agent.agent_id)
            opening = self._opening.get(player.session_id)
            begun_anew = player.session_id in self._players or (opening is not None and opening.locked())
            if not keep and not begun_anew:
                await self._sessions.leave(player.session_id, self.gateway)
        except REFUSED as error:
            log.info("mcp_session_not_left", error=type(error).__name__)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            for player in list(self._players.values()):
                ended = player.agent.ended is not None and not isinstance(player.agent.ended, TakenOver)
                if player.idle_s > (KEEP_EVERY_S if ended else self._idle_s):
                    self._later(player)
            try:
                lost = await self._sessions.keep(self.gateway, list(self._players)) if self._players else []
                for player in list(self._players.values()):
                    await player.save_map()
            except REFUSED as error:
                log.info("mcp_sessions_not_kept", error=type(error).__name__)
                continue
            for session_id in lost:
                if session_id in self._players:
                    self._later(self._players[session_id])


async def _quiet(done: float, total: float | None, text: str) -> None:
    """Tell nobody."""


def _refusal(reason: str, text: str) -> Answer:
    return Answer(f"{reason}: {text}", {"ok": False, "reason": reason})

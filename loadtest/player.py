"""A simulated agent: joins, plays, and comes back when its connection breaks or the scenario breaks it."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from chunkcrawl.errors import ChunkcrawlError, InvalidSession, NotReady
from chunkcrawl.transport.backoff import RESTART_SPREAD_S, Backoff
from chunkcrawl.transport.connection import (
    CLOSE_POLICY,
    CLOSE_RESTART,
    CLOSE_TAKEN_OVER,
    PING_AFTER_S,
    SILENCE_MAX_S,
    STOOD_AFTER_S,
)
from chunkcrawl.transport.http import Session
from chunkcrawl.transport.sessions import SessionKeeper
from chunkcrawl.wire.codec import encode
from loadtest.behaviour import BEHAVIOURS
from loadtest.commands import Commands
from loadtest.connection import PicowsConnection, open_connection
from loadtest.group import AgentGroup
from loadtest.slow import Slowness

__all__ = ["SimulatedAgent"]

#: Mean time between two cuts of an agent's connection in the scenario ``reconnect``.
CUT_EVERY_S: Final = 10.0

#: One of how many agents reads slowly in the scenario ``slow-reader``.
SLOW_EVERY: Final = 4


class SimulatedAgent:
    """One agent.  ``run`` plays until the group closes; ``sweep`` is to be called about once a second."""

    def __init__(self, group: AgentGroup, number: int, rng: random.Random) -> None:
        plan = group.plan
        self._group, self._rng = group, rng
        self._agent_id = f"load-{plan.run_id}-{number}"
        self._sessions = SessionKeeper.of_role(group.api, "agent", self._agent_id, api_key=group.api_key, rng=rng)
        self._cuts = plan.scenario == "reconnect"
        self._slow = Slowness(rng) if plan.scenario == "slow-reader" and number % SLOW_EVERY == 0 else None
        behaviour = BEHAVIOURS[plan.scenario]
        #: Its side of the conversation.
        self.commands = Commands(group, self._agent_id, behaviour, rng, timed=self._slow is None)
        self._session: Session | None = None
        self._connection: PicowsConnection | None = None
        self._began_at = 0.0
        self._joined = self._counted = False
        self._pinged_at = 0.0
        self._cut_at = 0.0

    # -- connections --

    async def run(self) -> None:
        """Stay connected; returns when the group closes, or when the server refuses for good."""
        backoff = Backoff(self._rng)
        self._began_at = time.perf_counter()
        while self._group.open:
            try:
                self._session = await self._sessions.current()
                connection = await self._opened(self._session)
            except ChunkcrawlError as error:
                if not await self._group.pause(error, backoff, joined=self._joined):
                    return
                continue
            spread_s = await self._play_on(connection, self._session)
            if connection.close_code == CLOSE_TAKEN_OVER:
                return
            if connection.ours or time.perf_counter() - self._began_at > STOOD_AFTER_S:
                backoff.reset()
            if self._group.open:
                await asyncio.sleep(backoff.next_delay(spread_s=spread_s))

    async def _opened(self, session: Session) -> PicowsConnection:
        query = {"agent_id": self._agent_id}
        if self.commands.protocol.last_event_id:
            query["last_event_id"] = self.commands.protocol.last_event_id
        if self._joined:
            self._began_at = time.perf_counter()
        try:
            return await open_connection(self._group, session, query, self, slow=self._slow is not None)
        except InvalidSession as error:
            # The session's fault first: another one is tried before it counts.
            self._sessions.dead(session)
            raise NotReady(503, error.reason) from None

    async def _play_on(self, connection: PicowsConnection, session: Session) -> float | None:
        """Wait until the connection ends; return over what time all clients should come back, None: at once."""
        if not self._group.open:
            connection.close()
        keeping = asyncio.get_running_loop().create_task(self._sessions.keep(session))
        try:
            await connection.ended
        finally:
            keeping.cancel()
            self._ended(connection)
            connection.close()  # when this was cancelled
        if connection.close_code == CLOSE_POLICY:
            self._sessions.dead(session)
        return RESTART_SPREAD_S if connection.close_code in CLOSE_RESTART else None

    def _ended(self, connection: PicowsConnection) -> None:
        self._connection = None
        self._count(False)
        self.commands.lost()
        if not connection.ours:
            self._group.measures.counts["disconnects"] += 1
            self._group.measures.count_as("closed", connection.close_code or "broken")

    def close(self) -> None:
        """Leave in order."""
        if self._connection is not None:
            self._connection.close()

    # -- for the connection --

    def opened(self, connection: PicowsConnection) -> None:
        """See ``Hearer``."""
        if self._session is None:
            return
        self._connection = connection
        self._cut_at = time.perf_counter() + self._rng.expovariate(1 / CUT_EVERY_S)
        self.commands.opened(connection, self._session)

    def heard(self, connection: PicowsConnection, raw: bytes, now: float) -> None:
        """See ``Hearer``."""
        if connection is not self._connection:
            return
        self.commands.heard(raw, now)
        if self.commands.shown and not self._counted:
            self._group.measures.times["resume" if self._joined else "join"].record(now - self._began_at)
            self._group.measures.counts["resumes" if self._joined else "joins"] += 1
            if not self._joined:
                self._group.let_in(now)
            self._count(True)
            self._joined = True

    def _count(self, here: bool) -> None:
        if here is not self._counted:
            self._counted = here
            self._group.agents += 1 if here else -1

    # -- now and then --

    def sweep(self, now: float) -> None:
        """Give up what nobody answers, notice silence, and do what the scenario does to connections."""
        self.commands.sweep(now)
        connection = self._connection
        if connection is None:
            return
        heard_at = connection.heard_at
        if self._slow is not None:
            self._slow.apply(connection, now, going=self._group.going)
            # A server that has given up a connection that was not read may have ended it without a word.
            heard_at = now if self._slow.paused else max(heard_at, self._slow.reading_since)
        if now - heard_at > SILENCE_MAX_S:
            self._group.measures.counts["silences"] += 1
            connection.cut()
        elif now - heard_at > PING_AFTER_S and self._pinged_at < heard_at:
            self._pinged_at = now
            connection.send(encode("ping", {}))
        if self._cuts and self._counted and self._group.going and now >= self._cut_at:
            self._group.measures.counts["cuts"] += 1
            connection.cut()

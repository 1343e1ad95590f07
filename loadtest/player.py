"""A simulated agent: joins, plays, and comes back when its line breaks or the scenario breaks it."""

from __future__ import annotations

import asyncio
import random
import time

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
from loadtest.crew import Crew
from loadtest.line import Line, open_line
from loadtest.slow import Slowness

__all__ = ["Player"]

CUT_EVERY_S = 10.0
"""Mean time between two cuts of an agent's line in the scenario ``reconnect``."""

SLOW_EVERY = 4
"""Of so many agents one reads slowly in the scenario ``slow-reader``."""


class Player:
    """One agent. ``run`` plays until the crew closes; ``sweep`` is to be called about once a second.

    Attributes:
        commands: Its side of the conversation.
    """

    def __init__(self, crew: Crew, number: int, rng: random.Random) -> None:
        plan = crew.plan
        self._crew, self._rng = crew, rng
        self._agent_id = f"load-{plan.run_id}-{number}"
        self._sessions = SessionKeeper.of_role(crew.api, "agent", self._agent_id, api_key=crew.api_key, rng=rng)
        self._cuts = plan.scenario == "reconnect"
        self._slow = Slowness(rng) if plan.scenario == "slow-reader" and number % SLOW_EVERY == 0 else None
        behaviour = BEHAVIOURS[plan.scenario]
        self.commands = Commands(crew, self._agent_id, behaviour, rng, timed=self._slow is None)
        self._session: Session | None = None
        self._line: Line | None = None
        self._began_at = 0.0
        self._joined = self._counted = False
        self._pinged_at = 0.0
        self._cut_at = 0.0

    # -- connections --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stay connected; returns when the crew closes, or when the server refuses for good."""
        backoff = Backoff(self._rng)
        self._began_at = time.perf_counter()
        while self._crew.open:
            try:
                self._session = await self._sessions.current()
                line = await self._opened_line(self._session)
            except ChunkcrawlError as error:
                if not await self._crew.pause(error, backoff, joined=self._joined):
                    return
                continue
            spread_s = await self._connection(line, self._session)
            if line.close_code == CLOSE_TAKEN_OVER:
                return
            if line.ours or time.perf_counter() - self._began_at > STOOD_AFTER_S:
                backoff.reset()
            if self._crew.open:
                await asyncio.sleep(backoff.next_delay(spread_s=spread_s))

    async def _opened_line(self, session: Session) -> Line:
        query = {"agent_id": self._agent_id}
        if self.commands.protocol.last_event_id:
            query["last_event_id"] = self.commands.protocol.last_event_id
        if self._joined:
            self._began_at = time.perf_counter()
        try:
            return await open_line(self._crew, session, query, self, slow=self._slow is not None)
        except InvalidSession as error:
            # The session's fault first: another one is tried before it counts.
            self._sessions.dead(session)
            raise NotReady(503, error.reason) from None

    async def _connection(self, line: Line, session: Session) -> float | None:
        """Until the line ends. Returns over what time all clients should come back; None: at once."""
        if not self._crew.open:
            line.close()
        keeping = asyncio.get_running_loop().create_task(self._sessions.keep(session))
        try:
            await line.ended
        finally:
            keeping.cancel()
            self._ended(line)
            line.close()  # when this was cancelled
        if line.close_code == CLOSE_POLICY:
            self._sessions.dead(session)
        return RESTART_SPREAD_S if line.close_code in CLOSE_RESTART else None

    def _ended(self, line: Line) -> None:
        self._line = None
        self._count(False)
        self.commands.lost()
        if not line.ours:
            self._crew.measures.counts["disconnects"] += 1
            self._crew.measures.count_as("closed", line.close_code or "broken")

    def close(self) -> None:
        """Leave in order."""
        if self._line is not None:
            self._line.close()

    # -- for the line -------------------------------------------------------------------------------------------------

    def opened(self, line: Line) -> None:
        """See ``Hearer``."""
        if self._session is None:
            return
        self._line = line
        self._cut_at = time.perf_counter() + self._rng.expovariate(1 / CUT_EVERY_S)
        self.commands.opened(line, self._session)

    def heard(self, line: Line, raw: bytes, now: float) -> None:
        """See ``Hearer``."""
        if line is not self._line:
            return
        self.commands.heard(raw, now)
        if self.commands.shown and not self._counted:
            self._crew.measures.times["resume" if self._joined else "join"].record(now - self._began_at)
            self._crew.measures.counts["resumes" if self._joined else "joins"] += 1
            self._crew.joined += not self._joined
            self._count(True)
            self._joined = True

    def _count(self, here: bool) -> None:
        if here is not self._counted:
            self._counted = here
            self._crew.agents += 1 if here else -1

    # -- now and then -------------------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Give up what nobody answers, notice silence, and do what the scenario does to lines."""
        self.commands.sweep(now)
        line = self._line
        if line is None:
            return
        heard_at = line.heard_at
        if self._slow is not None:
            self._slow.apply(line, now, going=self._crew.going)
            # A server that has given up a line that was not read may have ended it without a word.
            heard_at = now if self._slow.paused else max(heard_at, self._slow.reading_since)
        if now - heard_at > SILENCE_MAX_S:
            self._crew.measures.counts["silences"] += 1
            line.cut()
        elif now - heard_at > PING_AFTER_S and self._pinged_at < heard_at:
            self._pinged_at = now
            line.send(encode("ping", {}))
        if self._cuts and self._counted and self._crew.going and now >= self._cut_at:
            self._crew.measures.counts["cuts"] += 1
            line.cut()

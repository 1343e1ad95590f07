"""What a gateway does with consumed commands, apart from any connection: submit, give up, adjust the difficulty."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Final

import structlog
from redis.exceptions import RedisError

from api import metrics
from api.accounts.auth import RedisCalls
from api.challenge.challenge import Challenge
from api.challenge.store import ChallengeRules, ChallengeStore
from api.ports import SubmittedCommand, World, WorldUnavailable
from config.logs import described
from streaming.shared_clock import now_ms

log = structlog.get_logger(__name__)

#: After a command's deadline no shard accepts it.  It is given up a little later, for one that was accepted just before
#: would be refused after all, which costs its shard a look back at its last commit.
GIVE_UP_AFTER_MS: Final = 1_000

GIVE_UP_TRIES: Final = 20
PAUSE_S: Final = 0.25
GIVEN_UP_RETRY_MS: Final = 1_000

REDIS_FAILURES: Final = (RedisError, OSError, TimeoutError)


class Ingress:
    """What the handlers of one gateway share.

    Args:
        redis: batched calls.
        world: where commands go.
        rules: times and limits.
        clock: milliseconds of Unix time, by the clock that gateways and shards share; a test's own.
        find_banned: of what an agent wants to say, the line of the list of banned words that forbids it, or None.
    """

    def __init__(
        self,
        redis: RedisCalls,
        world: World,
        rules: ChallengeRules,
        clock: Callable[[], int] = now_ms,
        find_banned: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        self.store = ChallengeStore(redis, rules)
        self.world = world
        self.rules = rules
        self.clock = clock
        self.find_banned = find_banned
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Run ``work`` on its own, even when the connection that caused it ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    @property
    def waiting(self) -> int:
        """Commands under way and small background tasks."""
        return len(self._tasks)

    async def drain(self, timeout_s: float) -> None:
        """Let what was submitted be decided; what is left after ``timeout_s`` is for the next gateway to resume."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def submit(self, challenge: Challenge, deadline_ms: int) -> None:
        """Have a consumed command decided, in the background."""
        self.start(self._submit(challenge, deadline_ms))

    def adjust(self, agent_id: str, counts: list[bytes]) -> None:
        """Apply the difficulty's rules to fresh counts, in the background."""
        if counts:
            self.start(self._adjust(agent_id, counts))

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("ingress_task_failed", exc_info=task.exception())

    async def _submit(self, challenge: Challenge, deadline_ms: int) -> None:
        command = SubmittedCommand(
            agent_id=challenge.agent_id,
            server_cmd_id=challenge.server_cmd_id,
            client_cmd_id=challenge.client_cmd_id,
            cmd=challenge.cmd,
            trace_id=challenge.trace_id,
            deadline_ms=deadline_ms,
        )
        began = time.perf_counter()
        with metrics.COMMANDS_WAITING.track_inprogress():
            while self.clock() <= deadline_ms + GIVE_UP_AFTER_MS:
                try:
                    decision = await self.world.submit(command)
                except WorldUnavailable:
                    await asyncio.sleep(PAUSE_S)
                    continue
                except Exception as error:  # a fault over there must not leave the agent without an answer
                    log.error("submit_failed", server_cmd_id=challenge.server_cmd_id, **described(error))
                    await asyncio.sleep(PAUSE_S)
                    continue
                metrics.COMMANDS_DECIDED.labels(str(decision.accepted).lower()).inc()
                metrics.COMMAND_DECISION_S.observe(time.perf_counter() - began)
                return
            await self._give_up(challenge)

    async def _give_up(self, challenge: Challenge) -> None:
        for _ in range(GIVE_UP_TRIES):
            try:
                refused = await self.store.give_up(challenge, self.clock(), GIVEN_UP_RETRY_MS)
            except REDIS_FAILURES:
                await asyncio.sleep(PAUSE_S)
                continue
            if refused.outcome == "refused":
                metrics.COMMANDS_UNDECIDED.inc()
                log.warning(
                    "command_undecided",
                    trace_id=challenge.trace_id,
                    server_cmd_id=challenge.server_cmd_id,
                    agent_id=challenge.agent_id,
                )
            return

    async def _adjust(self, agent_id: str, counts: list[bytes]) -> None:
        try:
            level = await self.store.adjust_difficulty(agent_id, counts, self.clock())
        except REDIS_FAILURES:
            return
        if level is not None:
            log.info("challenge_difficulty_moved", agent_id=agent_id, difficulty=level)

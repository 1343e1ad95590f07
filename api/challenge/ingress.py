"""What a gateway does for its agents' commands apart from any connection: submit, give up, write back.

One for all connections of the gateway, with what it keeps of their agents (``api.challenge.handshake``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from redis.exceptions import RedisError

from api import metrics
from api.accounts.auth import RedisCalls
from api.challenge.challenge import Challenge
from api.challenge.handshake import Handshake, Handshakes
from api.challenge.store import ChallengeRules, ChallengeStore
from api.limits.leased_tokens import LeasedTokens
from api.limits.rate_limit import Bucket
from api.ports import SubmittedCommand, World, WorldUnavailable
from config.logs import described
from config.traces import Tracing
from streaming.shared_clock import now_ms

T = TypeVar("T")

log = structlog.get_logger(__name__)

#: How long after its deadline a command is given up.  No shard accepts it then; one that was accepted just before would
#: be refused after all, which costs its shard a look back at its last commit.
GIVE_UP_AFTER_MS: Final = 1_000

PAUSE_S: Final = 0.25
GIVEN_UP_RETRY_MS: Final = 1_000
#: How long a gateway that stops may take to write back what is left.
WRITE_BACK_S: Final = 2.0

REDIS_FAILURES: Final = (RedisError, OSError, TimeoutError)


class _Submitted:
    """A command on its way to its shard."""

    __slots__ = ("began", "challenge", "command", "handshake", "unsaid")

    def __init__(self, handshake: Handshake, challenge: Challenge, command: SubmittedCommand, *, unsaid: bool) -> None:
        self.handshake = handshake
        self.challenge = challenge
        self.command = command
        self.unsaid = unsaid
        self.began = time.perf_counter()


class Ingress:
    """What the command handlers of one gateway share.

    Args:
        redis: batched calls.
        world: where commands go.
        rules: times and limits.
        clock: milliseconds of Unix time, by the clock that gateways and shards share; a test's own.
        tracing: makes the spans of sampled commands; None: there are none.
        find_banned: of what an agent wants to say, the line of the list of banned words that forbids it, or None.
    """

    def __init__(
        self,
        redis: RedisCalls,
        world: World,
        rules: ChallengeRules,
        clock: Callable[[], int] = now_ms,
        find_banned: Callable[[str], int | None] = lambda _: None,
        tracing: Tracing | None = None,
    ) -> None:
        self.store = ChallengeStore(redis, rules)
        self.world = world
        self.rules = rules
        self.clock = clock
        self.find_banned = find_banned
        self.tracing = tracing
        self.handshakes = Handshakes(
            rules, lambda who: LeasedTokens(redis, Bucket("command_account", who, rules.account_commands))
        )
        #: What is under way: tasks, and for each command that needs none a future.
        self._tasks: set[asyncio.Future[Any]] = set()

    def start(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Run ``work`` on its own, even when the connection that caused it ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    @property
    def waiting(self) -> int:
        """Commands under way and small background tasks."""
        return len(self._tasks)

    async def drain(self, timeout_s: float) -> None:
        """Wait until what was submitted is decided or given up, ``timeout_s`` at most; then give leased tokens back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._tasks:  # one may start another: a message that may be said is then submitted
                    await asyncio.wait(self._tasks)
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITE_BACK_S):
                await asyncio.gather(*(self._written(account.give_back) for account in self.handshakes.accounts))
        await self.kill()

    async def kill(self) -> None:
        """End whatever is under way, at once."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    # -- commands --

    def submit(self, handshake: Handshake, challenge: Challenge, deadline_ms: int) -> None:
        """Have a consumed command decided, in the background."""
        unsaid, handshake.unsaid = handshake.unsaid, False
        if handshake.trace is not None:
            handshake.trace.submitted()
        command = SubmittedCommand(
            agent_id=challenge.agent_id,
            server_cmd_id=challenge.server_cmd_id,
            client_cmd_id=challenge.client_cmd_id,
            cmd=challenge.cmd,
            trace_id=challenge.trace_id,
            deadline_ms=deadline_ms,
            challenge=challenge.message if unsaid else b"",
            issued_ms=challenge.issued_ms,
        )
        submitted = _Submitted(handshake, challenge, command, unsaid=unsaid)
        if not self._submit_at_once(submitted):
            _counted_as_waiting(self.start(self._submit(submitted)))

    def _submit_at_once(self, submitted: _Submitted) -> bool:
        """Submit without a task, as nearly every command can be; False: nothing was done."""
        if self.clock() > submitted.command.deadline_ms:
            return False
        under_way: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def decided(accepted: bool | None) -> None:
            if under_way.done():
                return  # given up with everything else
            if accepted is None:
                _counted_as_waiting(self.start(self._submit(submitted)))
            else:
                self._decided(submitted, accepted=accepted)
            self._tasks.discard(under_way)
            under_way.set_result(None)

        if not self.world.submit_at_once(submitted.command, decided):
            return False
        self._tasks.add(under_way)
        _counted_as_waiting(under_way)
        return True

    async def _submit(self, submitted: _Submitted) -> None:
        """Submit until it is decided or given up."""
        command = submitted.command
        while self.clock() <= command.deadline_ms + GIVE_UP_AFTER_MS:
            try:
                decision = await self.world.submit(command)
            except WorldUnavailable:
                await asyncio.sleep(PAUSE_S)
                continue
            except Exception as error:  # a fault over there must not leave the agent without an answer
                log.error("submit_failed", server_cmd_id=command.server_cmd_id, **described(error))
                await asyncio.sleep(PAUSE_S)
                continue
            self._decided(submitted, accepted=decision.accepted)
            return
        await self._give_up(submitted.handshake, submitted.challenge, unsaid=submitted.unsaid)

    def _decided(self, submitted: _Submitted, *, accepted: bool) -> None:
        metrics.DECIDED[accepted].inc()
        metrics.COMMAND_DECISION_S.observe(time.perf_counter() - submitted.began)
        self.decided(submitted.handshake, submitted.challenge, accepted=accepted)

    async def _give_up(self, handshake: Handshake, challenge: Challenge, *, unsaid: bool) -> None:
        while True:  # until Redis is there: nobody else knows of the command
            try:
                refused = await self.store.give_up(challenge, self.clock(), GIVEN_UP_RETRY_MS, unsaid=unsaid)
            except REDIS_FAILURES:
                await asyncio.sleep(PAUSE_S)
                continue
            break
        if refused:
            metrics.COMMANDS_UNDECIDED.inc()
            log.warning(
                "command_undecided",
                trace_id=challenge.trace_id,
                server_cmd_id=challenge.server_cmd_id,
                agent_id=challenge.agent_id,
            )
        self.decided(handshake, challenge, accepted=False)

    def decided(self, handshake: Handshake, challenge: Challenge, *, accepted: bool) -> None:
        """Note that the command is decided, or that its agent was told that it is refused."""
        if handshake.trace is not None:
            handshake.trace.decided(challenge.server_cmd_id, accepted=accepted)
        handshake.decided(challenge.server_cmd_id, accepted=accepted)
        self._forget(handshake)

    def reopen(self, handshake: Handshake, challenge: Challenge) -> None:
        """Note that an answered challenge could not be used; it may be answered again if its connection is there."""
        self.handshakes.reopen(handshake, challenge)
        self._forget(handshake)

    # -- writing back --

    def note(self, handshake: Handshake) -> None:
        """Forget the agent's open challenge, which is over unanswered, and tell the owner of it, in the background."""
        challenge = handshake.challenge
        if challenge is not None and challenge.state == "ISSUED" and handshake.unsaid:
            self.start(self._written(partial(self.store.note, challenge)))
        self.handshakes.drop(handshake)

    def adjust(self, handshake: Handshake) -> None:
        """Apply the difficulty's rules to the agent's counts; write a level that has moved, in the background."""
        level = handshake.difficulty.wanted(self.clock())
        if level is not None:
            self.start(self._adjust(handshake, level))

    def leave(self, handshake: Handshake) -> None:
        """Count a connection of the agent out; the last one writes back what has to outlive it, in the background."""
        handshake.connections -= 1
        if handshake.connections == 0:
            handshake.follow(None)
            tokens, handshake.tokens = handshake.tokens, 0
            counts, submitted = handshake.difficulty.unsent(), handshake.submitted
            if tokens or counts or submitted is not None:
                undecided_ms = self.rules.decide_within_ms + GIVE_UP_AFTER_MS
                undecided = "" if submitted is None else submitted.server_cmd_id
                leave = partial(self.store.leave, handshake.agent_id, tokens, counts, undecided, undecided_ms)
                self.start(self._written(leave))
            self._forget(handshake)

    def _forget(self, handshake: Handshake) -> None:
        account = self.handshakes.forget(handshake)
        if account is not None and account.held:
            self.start(self._written(account.give_back))

    async def _adjust(self, handshake: Handshake, level: int) -> None:
        difficulty, now = handshake.difficulty, self.clock()
        try:
            found, changed_ms = await self.store.set_level(handshake.agent_id, level, difficulty.changed_ms, now)
        except REDIS_FAILURES:
            return
        difficulty.moved(found, changed_ms)
        if changed_ms == now:
            log.info("challenge_difficulty_moved", agent_id=handshake.agent_id, difficulty=found)

    async def _written(self, write: Callable[[], Coroutine[object, object, None]]) -> None:
        try:
            await write()
        except REDIS_FAILURES as error:
            log.info("handshake_not_written_back", error=repr(error))

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("ingress_task_failed", exc_info=task.exception())


def _counted_as_waiting(under_way: asyncio.Future[None]) -> None:
    """Count a command as waiting until what brings it to its shard has ended, in whichever way."""
    metrics.COMMANDS_WAITING.inc()
    under_way.add_done_callback(_no_longer_waiting)


def _no_longer_waiting(_: asyncio.Future[None]) -> None:
    metrics.COMMANDS_WAITING.dec()

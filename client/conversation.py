"""Commands over a connection that comes and goes: one at a time, tried again when that is safe.

``Conversation`` drives ``AgentProtocol`` with real time and a socket's ``send``: it solves proofs, matches outcomes to
waiting callers, and decides when silence has lasted too long.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from client.backoff import Backoff
from client.errors import (
    Busy,
    ChunkcrawlError,
    CommandRefused,
    ExpiredChallenge,
    OutcomeUnknown,
    RateLimited,
    ServerUnreachable,
)
from client.http import Session
from client.messages import Event, SessionReady
from client.protocol import Accepted, AgentProtocol, Completed, NeedProof, Output, Send, SessionKeys, Settled, Stage
from client.signing import INLINE_DIFFICULTY_MAX, solve, solve_aside

__all__ = ["REPLY_TIMEOUT_S", "Conversation"]

REPLY_TIMEOUT_S = 12.0
"""Longer than a challenge's record lives (10 s): who is silent for so long has nothing to say any more."""

RETRY_WAIT_MAX_S = 30.0
"""A refusal that asks for more patience than this (a mute, say) is given to the caller at once."""

RETRY_BASE_S = 0.25


class Pending:
    """One request as its caller sees it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asked_at_s = loop.time()
        self.decided: asyncio.Future[None] = loop.create_future()
        self.outcome: asyncio.Future[Completed | None] = loop.create_future()
        # Whoever waited may have been cancelled; an error that nobody fetches is no bug to report.
        self.outcome.add_done_callback(lambda future: future.cancelled() or future.exception())

    def decide(self) -> None:
        """The server has accepted or refused it."""
        if not self.decided.done():
            self.decided.set_result(None)

    def settle(self, outcome: Completed | ChunkcrawlError | None) -> None:
        """The end, once; None means that it never reached the server's decision."""
        if not self.outcome.done():
            if isinstance(outcome, ChunkcrawlError):
                self.outcome.set_exception(outcome)
            else:
                self.outcome.set_result(outcome)
        self.decide()


class Conversation:
    """See the module's docstring.

    Attributes:
        ack_s: Seconds from the last accepted command's request to its ack, proof of work included; None before.
    """

    def __init__(
        self,
        protocol: AgentProtocol,
        *,
        send: Callable[[str], Awaitable[None]],
        on_event: Callable[[Event], None],
        rng: random.Random,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
    ) -> None:
        self._protocol = protocol
        self._send, self._on_event = send, on_event
        self._rng = rng
        self._reply_timeout_s = reply_timeout_s
        self._turn = asyncio.Lock()
        self._pending: dict[str, Pending] = {}
        self._proofs: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        self._ready_at_s = 0.0
        self._end: ChunkcrawlError | None = None
        self.ack_s: float | None = None

    # -- for the link -------------------------------------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        """A socket is open with this session."""
        self._protocol.connected(SessionKeys(session.session_jti, session.cmd_secret or ""))

    async def frame(self, frame: bytes) -> None:
        """A message came in."""
        self._protocol.receive(frame)
        await self._work()

    def lost(self) -> None:
        """The socket is gone; what was accepted goes on without us."""
        self._ready.clear()
        self._drop_proofs()
        self._protocol.disconnected()
        for output in self._protocol.take():
            self._note(output)

    def finish(self, error: ChunkcrawlError) -> None:
        """There will be no other connection: everybody who waits gets ``error``."""
        self._end = error
        self._drop_proofs()
        self._ready.set()
        for pending in self._pending.values():
            pending.settle(error)
        self._pending.clear()

    # -- for callers --------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether commands can be sent right now."""
        return self._ready.is_set() and self._end is None

    def check_open(self) -> None:
        """Raise what ended the conversation, if it has ended.

        Raises:
            AgentClosed, ApiError: As ``finish`` was given it.
        """
        if self._end is not None:
            raise self._end

    async def perform(self, cmd: Mapping[str, Any], *, retries: int, hold: bool) -> Completed:
        """Carry out a command and wait for its end.

        Args:
            cmd: The command.
            retries: Further tries after ``busy``, ``rate_limited`` or ``expired_challenge``, with the server's
                ``retry_after_ms`` or growing jittered waits in between.
            hold: Whether other commands wait until this one has ended; otherwise only until it is accepted.

        Raises:
            CommandRefused, CommandFailed: By the server's reason.
            OutcomeUnknown: The line was lost and nothing more was heard of it.
            ServerUnreachable: The line was lost again and again before the command got through.
            AgentClosed, ApiError: There is no connection any more.
        """
        backoff = Backoff(self._rng, base_s=RETRY_BASE_S, cap_s=4.0)
        while True:
            try:
                completed = await self._once(cmd, hold)
            except (Busy, RateLimited, ExpiredChallenge) as refused:
                wait_s = self._patience_s(refused, backoff, retries)
            else:
                if completed is not None:
                    return completed
                if backoff.tries >= max(retries, 1):
                    raise ServerUnreachable("the line was lost before the command was decided")
                wait_s = backoff.next_delay()
            await asyncio.sleep(wait_s)

    def _patience_s(self, refused: CommandRefused, backoff: Backoff, retries: int) -> float:
        hint_s = (refused.retry_after_ms or 0) / 1000
        if backoff.tries >= retries or hint_s > RETRY_WAIT_MAX_S:
            raise refused
        return backoff.next_delay(at_least_s=hint_s)

    async def _once(self, cmd: Mapping[str, Any], hold: bool) -> Completed | None:
        pending = Pending(asyncio.get_running_loop())
        client_cmd_id = None
        try:
            async with self._turn:
                await self._ready.wait()
                self.check_open()
                client_cmd_id = self._protocol.request(cmd)
                self._pending[client_cmd_id] = pending
                pending.asked_at_s = asyncio.get_running_loop().time()
                await self._work()
                await self._decided(client_cmd_id, pending)
                if hold:
                    return await pending.outcome
            return await pending.outcome
        finally:
            if client_cmd_id is not None:
                self._pending.pop(client_cmd_id, None)
                self._protocol.forget(client_cmd_id)

    async def _decided(self, client_cmd_id: str, pending: Pending) -> None:
        loop = asyncio.get_running_loop()
        while True:
            done, _ = await asyncio.wait({pending.decided}, timeout=self._reply_timeout_s)
            if done:
                return
            if not self._ready.is_set() or loop.time() - self._ready_at_s < self._reply_timeout_s:
                continue  # the answer may be among what a connection that has just come back brings
            unanswered = self._protocol.stage(client_cmd_id) in (Stage.REQUESTED, Stage.CHALLENGED)
            pending.settle(None if unanswered else OutcomeUnknown("no ack for the answer that was sent"))
            return

    # -- private ------------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Do what the protocol asks for, until it asks for nothing more."""
        while outputs := self._protocol.take():
            for output in outputs:
                if isinstance(output, Send):
                    await self._send(output.frame)
                elif isinstance(output, NeedProof):
                    self._prove(output)
                else:
                    self._note(output)

    def _note(self, output: Output) -> None:
        if isinstance(output, Accepted | Settled):
            pending = self._pending.get(output.client_cmd_id)
            if pending is None:
                return
            if isinstance(output, Accepted):
                self.ack_s = asyncio.get_running_loop().time() - pending.asked_at_s
                pending.decide()
            else:
                pending.settle(None if output.outcome == "retry" else output.outcome)
        elif not isinstance(output, Send | NeedProof):
            if isinstance(output.event, SessionReady):
                self._ready_at_s = asyncio.get_running_loop().time()
                self._ready.set()
            self._on_event(output.event)

    def _prove(self, need: NeedProof) -> None:
        if need.difficulty <= INLINE_DIFFICULTY_MAX:
            proof = solve(need.nonce, need.cmd_hash, need.difficulty) or ""
            self._protocol.prove(need.server_cmd_id, proof)
            return
        task = asyncio.get_running_loop().create_task(self._prove_aside(need))
        self._proofs.add(task)
        task.add_done_callback(self._proofs.discard)

    async def _prove_aside(self, need: NeedProof) -> None:
        proof = await solve_aside(need.nonce, need.cmd_hash, need.difficulty)
        self._protocol.prove(need.server_cmd_id, proof)
        await self._work()

    def _drop_proofs(self) -> None:
        for task in self._proofs:
            task.cancel()

"""Commands over a connection that comes and goes: one at a time, tried again when that is safe.

``Conversation`` drives ``AgentProtocol`` with real time and a socket's ``send``: it solves proofs, matches outcomes to
waiting callers, and decides when silence has lasted too long.  No wait is without a bound:

    the whole of a command          ``timeout_s`` of ``perform``: turn, connection, tries and result
    the challenge, then the ack     ``REPLY_TIMEOUT_S`` on one connection
    the result                      ``RESULT_TIMEOUT_S`` from when the world shows the agent idle
    both, after ``resync_required`` ``LOST_AFTER_S``: what had been said meanwhile is lost, and comes at once or never
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from chunkcrawl.errors import (
    Busy,
    ChunkcrawlError,
    CommandDropped,
    CommandRefused,
    ExpiredChallenge,
    OutcomeUnknown,
    RateLimited,
    ServerUnreachable,
    StillRunning,
)
from chunkcrawl.transport.backoff import Backoff
from chunkcrawl.transport.http import Session
from chunkcrawl.wire.messages import Event, ResyncRequired, SessionReady
from chunkcrawl.wire.protocol import (
    Accepted,
    AgentProtocol,
    Completed,
    NeedProof,
    Output,
    Send,
    SessionKeys,
    Settled,
    Stage,
)
from chunkcrawl.wire.signing import INLINE_DIFFICULTY_MAX, solve, solve_aside

__all__ = ["COMMAND_TIMEOUT_S", "REPLY_TIMEOUT_S", "Conversation"]

#: The time of a command from call to end, unless its caller says otherwise: longer than any way through a chunk takes.
COMMAND_TIMEOUT_S: Final = 600.0

#: Longer than a challenge's record lives (10 s): who is silent for so long has nothing to say any more.
REPLY_TIMEOUT_S: Final = 12.0

#: An accepted command whose agent stands idle for so long is over, though its result never came.  Longer than a chunk's
#: recovery on another node, before which the command may not have begun to show.
RESULT_TIMEOUT_S: Final = 30.0

LOST_AFTER_S: Final = 3.0
#: How often a wait looks whether it has lasted too long.
LOOKS: Final = 3

#: A refusal that asks for more patience than this (a mute, say) is given to the caller at once.
RETRY_WAIT_MAX_S: Final = 30.0

RETRY_BASE_S: Final = 0.25


class Pending:
    """One request as its caller sees it.  ``stage`` is how far it had come when its caller left it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client_cmd_id: str) -> None:
        self.asked_at_s = loop.time()
        self.client_cmd_id = client_cmd_id
        self.stage: Stage | None = None
        self.decided: asyncio.Future[None] = loop.create_future()
        self.outcome: asyncio.Future[Completed | None] = loop.create_future()
        # Whoever waited may have been cancelled; an error that nobody fetches is no bug to report.
        self.outcome.add_done_callback(lambda future: future.cancelled() or future.exception())

    def decide(self) -> None:
        """Note that the server has accepted or refused it."""
        if not self.decided.done():
            self.decided.set_result(None)

    def settle(self, outcome: Completed | ChunkcrawlError | None) -> None:
        """Note the outcome, once; None means that it never reached the server's decision."""
        if not self.outcome.done():
            if isinstance(outcome, ChunkcrawlError):
                self.outcome.set_exception(outcome)
            else:
                self.outcome.set_result(outcome)
        self.decide()


class Attempt:
    """A command over all its tries: the try that is on, or was the last."""

    def __init__(self) -> None:
        self.pending: Pending | None = None


class Conversation:
    """The commands of one agent over any number of connections.

    Attributes:
        ack_s: Seconds from the last accepted command's request to its ack, proof of work included; None before.
    """

    def __init__(
        self,
        protocol: AgentProtocol,
        *,
        send: Callable[[str], Awaitable[None]],
        on_event: Callable[[Event], None],
        is_active: Callable[[], bool],
        rng: random.Random,
    ) -> None:
        """Begin without a connection; ``is_active`` says whether the world shows the agent doing something."""
        self._protocol = protocol
        self._send, self._on_event, self._is_active = send, on_event, is_active
        self._rng = rng
        self._turn = asyncio.Lock()
        self._pending: dict[str, Pending] = {}
        self._proofs: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        self._ready_at_s = 0.0
        self._resynced_at_s = 0.0
        self._end: ChunkcrawlError | None = None
        self.ack_s: float | None = None

    # -- for the connection --

    def opened(self, session: Session) -> None:
        """Go on over a new socket, open with this session."""
        self._protocol.connected(SessionKeys(session.session_jti, session.cmd_secret or ""))

    async def frame(self, frame: bytes) -> None:
        """Take a message."""
        self._protocol.receive(frame)
        await self._work()

    def lost(self) -> None:
        """Note that the socket is gone; commands that were accepted go on in the world."""
        self._ready.clear()
        self._drop_proofs()
        self._protocol.disconnected()
        for output in self._protocol.take():
            self._note(output)

    def finish(self, error: ChunkcrawlError) -> None:
        """End for good: everybody who waits gets ``error``."""
        self._end = error
        self._drop_proofs()
        self._ready.set()
        for pending in self._pending.values():
            pending.settle(error)
        self._pending.clear()

    # -- for callers --

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

    async def perform(
        self, cmd: Mapping[str, Any], *, retries: int, hold: bool, timeout_s: float | None = COMMAND_TIMEOUT_S
    ) -> Completed:
        """Carry out a command and wait for its end.

        Args:
            cmd: The command.
            retries: Further tries after ``busy``, ``rate_limited`` or ``expired_challenge``, with the server's
                ``retry_after_ms`` or growing jittered waits in between.
            hold: Whether other commands wait until this one has ended; otherwise only until it is accepted.
            timeout_s: Of all that together; None for as long as the connection and the world let it last.

        Raises:
            CommandRefused, CommandFailed: By the server's reason.
            CommandDropped: Not decided within ``timeout_s``, and withdrawn.
            StillRunning: Accepted, and not over within ``timeout_s``.
            OutcomeUnknown: The connection or the server's history was lost and nothing more was heard of it.
            ServerUnreachable: No connection within ``timeout_s``, or it was lost again and again.
            AgentClosed, ApiError: There is no connection any more.
        """
        attempt = Attempt()
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                return await self._tries(cmd, attempt, retries, hold)
        except TimeoutError:
            if not limit.expired():
                raise
        return self._late(attempt, timeout_s or 0.0)

    async def _tries(self, cmd: Mapping[str, Any], attempt: Attempt, retries: int, hold: bool) -> Completed:
        backoff = Backoff(self._rng, base_s=RETRY_BASE_S, cap_s=4.0)
        while True:
            attempt.pending = None
            try:
                completed = await self._once(cmd, attempt, hold)
            except (Busy, RateLimited, ExpiredChallenge) as refused:
                wait_s = self._patience_s(refused, backoff, retries)
            else:
                if completed is not None:
                    return completed
                if backoff.tries >= max(retries, 1):
                    raise ServerUnreachable("the connection was lost before the command was decided")
                wait_s = backoff.next_delay()
            await asyncio.sleep(wait_s)

    def _patience_s(self, refused: CommandRefused, backoff: Backoff, retries: int) -> float:
        hint_s = (refused.retry_after_ms or 0) / 1000
        if backoff.tries >= retries or hint_s > RETRY_WAIT_MAX_S:
            raise refused
        return backoff.next_delay(at_least_s=hint_s)

    def _late(self, attempt: Attempt, timeout_s: float) -> Completed:
        """Return the outcome of a command whose time is up if it has just come; raise what it came to otherwise.

        Raises:
            ChunkcrawlError: As ``perform``.
        """
        pending = attempt.pending
        if pending is not None and pending.outcome.done() and (completed := pending.outcome.result()) is not None:
            return completed
        self.check_open()
        if pending is not None and pending.stage is Stage.ACCEPTED:
            raise StillRunning(f"accepted, and not over after {timeout_s:g} s: it goes on", pending.client_cmd_id)
        if pending is not None and pending.stage is Stage.ANSWERED:
            raise OutcomeUnknown(f"no decision within {timeout_s:g} s; it may still be carried out")
        if not self.connected:
            raise ServerUnreachable(f"no connection within {timeout_s:g} s; the command was not sent and will not be")
        raise CommandDropped(f"not decided within {timeout_s:g} s; it was withdrawn, and nothing will happen")

    async def _once(self, cmd: Mapping[str, Any], attempt: Attempt, hold: bool) -> Completed | None:
        try:
            async with self._turn:
                await self._ready.wait()
                self.check_open()
                pending = attempt.pending = Pending(asyncio.get_running_loop(), self._protocol.request(cmd))
                self._pending[pending.client_cmd_id] = pending
                await self._work()
                await self._decided(pending)
                if hold:
                    return await self._ended(pending)
            return await self._ended(pending)
        finally:
            if attempt.pending is not None:
                self._leave(attempt.pending)

    def _leave(self, pending: Pending) -> None:
        """Forget a command that nobody waits for any more; an unanswered challenge of it stays unanswered."""
        self._pending.pop(pending.client_cmd_id, None)
        pending.stage = self._protocol.stage(pending.client_cmd_id)
        if pending.stage is Stage.CHALLENGED:
            self._drop_proofs()  # only one command at a time is challenged
        self._protocol.forget(pending.client_cmd_id)

    async def _decided(self, pending: Pending) -> None:
        """Wait for the ack; a silence that lasts settles the command."""

        def lost() -> ChunkcrawlError | None:
            unanswered = self._protocol.stage(pending.client_cmd_id) in (Stage.REQUESTED, Stage.CHALLENGED)
            return None if unanswered else OutcomeUnknown("no ack for the answer that was sent; see where the agent is")

        await self._waited(pending, pending.decided, REPLY_TIMEOUT_S, lambda: False, lost)

    async def _ended(self, pending: Pending) -> Completed | None:
        """Wait for the end of an accepted command, for as long as the world shows that it may be running."""

        def lost() -> ChunkcrawlError:
            return OutcomeUnknown("accepted, but its result was lost on the way; see where the agent is")

        await self._waited(pending, pending.outcome, RESULT_TIMEOUT_S, self._is_active, lost)
        return await pending.outcome

    async def _waited(
        self,
        pending: Pending,
        end: asyncio.Future[Any],
        patience_s: float,
        is_running: Callable[[], bool],
        lost: Callable[[], ChunkcrawlError | None],
    ) -> None:
        """Wait for ``end``; settle with ``lost`` what does not come within ``patience_s`` of an open connection.

        Time without a connection does not count: the answer may be among what the next one brings.  After
        ``resync_required`` only that beginning can bring it.
        """
        loop = asyncio.get_running_loop()
        since_s = began_s = loop.time()
        while not end.done():
            await asyncio.wait({end}, timeout=min(patience_s, LOST_AFTER_S) / LOOKS)
            now_s = loop.time()
            if not self._ready.is_set() or is_running():
                since_s = now_s
            bound_s = min(patience_s, LOST_AFTER_S) if self._resynced_at_s > began_s else patience_s
            if now_s - max(since_s, self._ready_at_s, self._resynced_at_s) >= bound_s:
                pending.settle(lost())

    # -- private --

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
            elif isinstance(output.event, ResyncRequired):
                self._resynced_at_s = asyncio.get_running_loop().time()
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

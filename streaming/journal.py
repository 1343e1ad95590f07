"""The journal: one numbered, fenced, atomic commit of whatever a shard has just decided.

A commit is one Lua call (``streaming.commit``).  The script first checks, and only then writes:

1. the lease: ``shard:{n}.epoch`` is the writer's (else ``fenced``: another epoch of the shard has begun);
2. the number: ``shard:{n}.seq`` is below the commit's (else ``dup``: the answer of an earlier try was lost), and not
   below the last one that was answered (else ``behind``: Redis came back without commits that it had confirmed);
3. the conditions: what the commit relies on still stands (else ``cond``): the reservations of departures, the seats
   that joining agents have claimed, commands that their gateway has not refused meanwhile.

So a commit may be sent again until its answer arrives, and runs once.  While Redis is away ``commit`` waits and
tries again; the shard holds its world still meanwhile.  After ``behind`` or ``cond`` nothing of it was written; the
shard takes a new lease (``renew``), which keeps copies of it that are still under way from running later, and goes
back to what Redis holds.  See docs/decisions/0021-journal.md.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

import structlog
from redis.exceptions import (
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from config.errors import ServerError
from streaming import keys
from streaming.commit import COMMIT, Batch
from streaming.lua import Call, CommandExecutor, load, run
from streaming.retry_pause import RetryPause

log = structlog.get_logger(__name__)

RETRY_FIRST_S: Final = 0.05
RETRY_MOST_S: Final = 1.0

ACQUIRE: Final = load("streaming/acquire_lease.lua")
RENEW: Final = load("streaming/renew_lease.lua")

#: Refusals of a server that is full, busy or not the master now: they pass.  Any other error answer to a script means
#: that it has failed halfway, and sending it again would repeat its first half.
PASSING: Final = (ClusterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
PASSING_WORDS: Final = ("BUSY", "MISCONF", "NOREPLICAS")


class Fenced(ServerError):
    """Another epoch of this shard holds the lease: this process must write nothing more and end."""

    reason = "fenced"


class CommitRefused(ServerError):
    """Nothing of the commit was written, and nothing of it may be: memory has to go back to what Redis holds."""

    reason = "commit_refused"

    def __init__(self, why: str, lost: list[str]) -> None:
        super().__init__(f"{why}: {', '.join(lost)}")
        #: What the script said: ``cond`` or ``behind``.
        self.why = why
        #: The handoffs, agents and commands whose condition did not hold.
        self.lost = lost


class Journal:
    """The commits of one epoch of one shard."""

    def __init__(self, redis: CommandExecutor, shard: int, holder: str, epoch: int, seq: int) -> None:
        self._redis = redis
        self._key = keys.shard(shard)
        self._shard = shard
        self._holder = holder
        self._answered = seq
        self.epoch = epoch
        self.seq = seq
        self.stalled_since: float | None = None
        self.stalled_s = 0.0

    @classmethod
    async def acquire(cls, redis: CommandExecutor, shard: int) -> tuple[Journal, int]:
        """Take the shard's lease from whoever holds it; return the journal and the last committed tick (-1: none)."""
        holder = secrets.token_hex(8)
        epoch, seq, tick = await run(redis, ACQUIRE(shard=keys.shard(shard), holder=holder))
        return cls(redis, shard, holder, int(epoch), int(seq)), int(tick)

    async def renew(self) -> None:
        """Begin a new epoch of this lease, so that nothing sent under the old one can run any more.

        Not while a commit is under way.

        Raises:
            Fenced: the lease is somebody else's.
        """
        answer = await self._send(RENEW(shard=self._key, holder=self._holder))
        if answer[0] != b"ok":
            raise self._fenced(answer)
        self.epoch, self._answered = int(answer[1]), int(answer[2])
        self.seq = max(self.seq, self._answered)

    async def commit(self, batch: Batch) -> None:
        """Write ``batch``, once, waiting for Redis as long as it takes.  One commit at a time.

        Raises:
            Fenced: the lease is somebody else's; nothing was written.
            CommitRefused: nothing was written; the same world state must not be committed again as it is.
            ResponseError: the script failed halfway; what it has written is not known.
        """
        self.seq += 1
        call = COMMIT(
            shard=self._key,
            epoch=self.epoch,
            seq=self.seq,
            tick=batch.tick,
            answered=self._answered,
            conditions=len(batch.conditions) // 4,
            words=[*batch.conditions, *batch.ops],
        )
        answer = await self._send(call)
        outcome = answer[0]
        if outcome in (b"ok", b"dup"):
            self._answered = self.seq
        elif outcome == b"fenced":
            raise self._fenced(answer)
        else:
            raise CommitRefused(outcome.decode(), [lost.decode() for lost in answer[1:]])

    def _fenced(self, answer: list[bytes]) -> Fenced:
        return Fenced(f"shard {self._shard}: epoch {self.epoch} is over, {answer[1].decode()} has begun")

    async def _send(self, call: Call) -> list[bytes]:
        pause = RetryPause(RETRY_FIRST_S, RETRY_MOST_S)
        while True:
            try:
                answer: list[bytes] = await run(self._redis, call)
                self._resumed()
                return answer
            except (RedisError, OSError, TimeoutError) as error:
                if isinstance(error, ResponseError) and not _passes(error):
                    raise
                self._stalled(error)
                await pause.wait()

    def _stalled(self, error: Exception) -> None:
        if self.stalled_since is None:
            self.stalled_since = time.monotonic()
            log.warning("journal_stalled", shard=self._shard, error=repr(error))

    def _resumed(self) -> None:
        if self.stalled_since is not None:
            self.stalled_s = time.monotonic() - self.stalled_since
            self.stalled_since = None
            log.warning("journal_resumed", shard=self._shard, stalled_s=round(self.stalled_s, 3))


def _passes(error: ResponseError) -> bool:
    return isinstance(error, PASSING) or str(error).startswith(PASSING_WORDS)

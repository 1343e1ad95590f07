"""The journal: one numbered, fenced, atomic commit of whatever a shard has just decided.

A commit is one Lua call.  The script first checks, and only then writes:

1. the lease: ``shard:{n}.epoch`` is the writer's (else ``fenced``: another life of the shard has begun);
2. the number: ``shard:{n}.seq`` is below the commit's (else ``dup``: the answer of an earlier try was lost), and not
   below the last one that was answered (else ``behind``: Redis came back without commits that it had confirmed);
3. the conditions: what the commit relies on still stands (else ``cond``): the promises of departures, the seats that
   joining agents have claimed, commands that their gateway has not refused meanwhile.

So a commit may be sent again until its answer arrives, and runs once.  While Redis is away ``commit`` waits and
tries again; the shard holds its world still meanwhile.  After ``behind`` or ``cond`` nothing of it was written; the
shard takes a new lease (``renew``), which keeps copies of it that are still under way from running later, and goes
back to what Redis holds.  See docs/decisions/0021-journal.md.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field

import structlog
from redis.asyncio import Redis
from redis.exceptions import (
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from streaming import keys
from streaming.lua import APPEND_AGENT_EVENT, Script

log = structlog.get_logger(__name__)

#: Upper bound of the archive stream; what the archiver has not read by then is lost to the event log (not to the game).
ARCHIVE_MAXLEN = 200_000

RETRY_FIRST_S = 0.05
RETRY_MOST_S = 1.0

COMMIT = Script(
    "commit",
    APPEND_AGENT_EVENT
    + """
local function take_back(chunk, cell, handoff)
  local held = redis.call('HGET', 'resv:' .. chunk, cell)
  if held and string.match(held, '^(%S+) ') == handoff then redis.call('HDEL', 'resv:' .. chunk, cell) end
end
local shard, epoch, seq = KEYS[1], ARGV[1], tonumber(ARGV[2])
local tick, now_ms, answered, conditions = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local lease = redis.call('HMGET', shard, 'epoch', 'seq')
if lease[1] ~= epoch then return {'fenced', lease[1] or ''} end
local last = tonumber(lease[2] or '0')
if last >= seq then return {'dup'} end
if last < answered then return {'behind', lease[2] or '0'} end
local i = 7
if conditions > 0 then
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  local lost = {'cond'}
  for _ = 1, conditions do
    local kind, ok = ARGV[i], false
    if kind == 'P' then -- a cell is promised: handoff, chunk, cell
      local held = redis.call('HGET', 'resv:' .. ARGV[i + 2], ARGV[i + 3])
      if held then
        local id, deadline = string.match(held, '^(%S+) (%d+)$')
        ok = id == ARGV[i + 1] and tonumber(deadline) > now
      end
    elseif kind == 'A' then -- an agent is bound to a chunk: agent, chunk
      ok = redis.call('HGET', 'agent:' .. ARGV[i + 1], 'chunk') == ARGV[i + 2]
    elseif kind == 'C' then -- a command was not refused by its gateway: server_cmd_id
      ok = redis.call('HGET', 'chal:' .. ARGV[i + 1], 'state') ~= 'REFUSED'
    end
    if not ok then lost[#lost + 1] = ARGV[i + 1] end
    i = i + 4
  end
  if #lost > 1 then return lost end
end
local n = #ARGV
while i <= n do
  local op = ARGV[i]
  if op == 'D' then -- an entry of a chunk's stream: chunk, id, minid, message
    local key = 'stream:chunk:' .. ARGV[i + 1]
    redis.call('XADD', key, 'MINID', '~', ARGV[i + 3], ARGV[i + 2], 'm', ARGV[i + 4])
    redis.call('PUBLISH', key, ARGV[i + 2] .. ' ' .. ARGV[i + 4])
    i = i + 5
  elseif op == 'E' then -- an event of an agent: agent, kind, trace, payload
    append_agent_event(ARGV[i + 1], ARGV[i + 2], now_ms, ARGV[i + 3], ARGV[i + 4])
    i = i + 5
  elseif op == 'R' then -- an agent's record: agent, chunk, here, busy, record
    redis.call('HSET', 'agent:' .. ARGV[i + 1], 'chunk', ARGV[i + 2], 'here', ARGV[i + 3], 'busy', ARGV[i + 4],
      'rec', ARGV[i + 5], 'at', tick)
    i = i + 6
  elseif op == 'F' then -- a decided command frees its slot: agent, server_cmd_id
    local key = 'inflight:' .. ARGV[i + 1]
    if redis.call('GET', key) == ARGV[i + 2] then redis.call('DEL', key) end
    i = i + 3
  elseif op == 'S' then -- a chunk's hidden state: chunk, state
    redis.call('HSET', 'chunk:' .. ARGV[i + 1], 'state', ARGV[i + 2])
    i = i + 3
  elseif op == 'T' then -- a chunk's static: chunk, payload
    redis.call('SET', 'static:' .. ARGV[i + 1], ARGV[i + 2])
    i = i + 3
  elseif op == '+' then -- an agent stands in a chunk: chunk, agent
    if redis.call('SADD', 'members:' .. ARGV[i + 1], ARGV[i + 2]) == 1 then
      redis.call('HINCRBY', 'population', ARGV[i + 1], 1)
    end
    i = i + 3
  elseif op == '-' then -- and has left it: chunk, agent
    if redis.call('SREM', 'members:' .. ARGV[i + 1], ARGV[i + 2]) == 1 then
      redis.call('HINCRBY', 'population', ARGV[i + 1], -1)
    end
    i = i + 3
  elseif op == 'X' then -- a departure to another shard: chunk there, handoff, arrival
    redis.call('HSET', 'inbox:' .. ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
    i = i + 4
  elseif op == 'Z' then -- an arrival is seated: chunk, cell, handoff
    redis.call('HDEL', 'inbox:' .. ARGV[i + 1], ARGV[i + 3])
    take_back(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
    i = i + 4
  elseif op == 'V' then -- a cell is promised: chunk, cell, handoff, milliseconds
    local t = redis.call('TIME')
    local deadline = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[i + 4]
    redis.call('HSET', 'resv:' .. ARGV[i + 1], ARGV[i + 2], ARGV[i + 3] .. ' ' .. string.format('%d', deadline))
    i = i + 5
  elseif op == 'G' then -- a fact for the event log: payload
    redis.call('XADD', 'stream:archive', 'MAXLEN', '~', """
    + str(ARCHIVE_MAXLEN)
    + """, '*', 'm', ARGV[i + 1])
    i = i + 2
  else
    return redis.error_reply('unknown op ' .. op)
  end
end
redis.call('HSET', shard, 'seq', ARGV[2], 'tick', tick)
return {'ok'}
""",
)

ACQUIRE = Script(
    "acquire",
    """
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'holder', ARGV[1])
local rest = redis.call('HMGET', KEYS[1], 'seq', 'tick')
return {epoch, tonumber(rest[1] or '0'), tonumber(rest[2] or '-1')}
""",
)

# By holder and not by epoch, so that it may be sent again when its answer was lost.
RENEW = Script(
    "renew",
    """
local lease = redis.call('HMGET', KEYS[1], 'holder', 'epoch', 'seq')
if lease[1] ~= ARGV[1] then return {'fenced', lease[2] or ''} end
return {'ok', redis.call('HINCRBY', KEYS[1], 'epoch', 1), tonumber(lease[3] or '0')}
""",
)

#: Refusals of a server that is full, busy or not the master now: they pass.  Any other error answer to a script means
#: that it has failed halfway, and sending it again would repeat its first half.
PASSING = (ClusterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
PASSING_WORDS = ("BUSY", "MISCONF", "NOREPLICAS")


class Fenced(Exception):
    """Another life of this shard holds the lease: this process must write nothing more and end."""


class CommitRefused(Exception):
    """Nothing of the commit was written, and nothing of it may be: memory has to go back to what Redis holds.

    Attributes:
        why: ``cond`` or ``behind``.
        lost: of what a condition did not hold: handoffs, agents, commands.
    """

    def __init__(self, why: str, lost: list[str]) -> None:
        super().__init__(f"{why}: {', '.join(lost)}")
        self.why = why
        self.lost = lost


@dataclass(slots=True)
class Batch:
    """The operations of one commit, in order, as the script reads them."""

    tick: int = 0
    conditions: list[str] = field(default_factory=list)
    ops: list[str | bytes | int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.ops)

    def chunk_entry(
        self, chunk_id: str, entry_id: str, prev: str, kind: str, ts_ms: int, trace_id: str, payload: bytes, minid: str
    ) -> None:
        """Append to a chunk's stream and publish.  ``entry_id`` must be above every earlier one of the stream."""
        message = f"{prev} {kind} {ts_ms} {trace_id}\n".encode() + payload
        self.ops += ("D", chunk_id, entry_id, minid, message)

    def agent_event(self, agent_id: str, kind: str, trace_id: str, payload: bytes) -> None:
        """Append a private event to an agent's stream and publish it."""
        self.ops += ("E", agent_id, kind, trace_id, payload)

    def agent_record(self, agent_id: str, chunk_id: str, *, here: bool, busy: str, record: bytes) -> None:
        """Write where an agent is.  ``here``: it stands in the world; ``busy``: kind of its running command."""
        self.ops += ("R", agent_id, chunk_id, "1" if here else "0", busy, record)

    def free_inflight(self, agent_id: str, server_cmd_id: str) -> None:
        self.ops += ("F", agent_id, server_cmd_id)

    def chunk_state(self, chunk_id: str, state: bytes) -> None:
        self.ops += ("S", chunk_id, state)

    def chunk_static(self, chunk_id: str, payload: bytes) -> None:
        self.ops += ("T", chunk_id, payload)

    def member(self, chunk_id: str, agent_id: str, *, joined: bool) -> None:
        self.ops += ("+" if joined else "-", chunk_id, agent_id)

    def departure(self, chunk_id: str, cell: tuple[int, int], handoff_id: str, arrival: bytes) -> None:
        """Put an arrival into ``chunk_id``'s inbox, on condition that its cell is still promised to ``handoff_id``."""
        self.conditions += ("P", handoff_id, chunk_id, f"{cell[0]},{cell[1]}")
        self.ops += ("X", chunk_id, handoff_id, arrival)

    def seated(self, chunk_id: str, cell: tuple[int, int], handoff_id: str) -> None:
        self.ops += ("Z", chunk_id, f"{cell[0]},{cell[1]}", handoff_id)

    def reserve(self, chunk_id: str, cell: tuple[int, int], handoff_id: str, ttl_ms: int) -> None:
        self.ops += ("V", chunk_id, f"{cell[0]},{cell[1]}", handoff_id, ttl_ms)

    def only_if_bound(self, agent_id: str, chunk_id: str) -> None:
        """On condition that the agent's record still names ``chunk_id``: nobody has claimed a seat elsewhere for it."""
        self.conditions += ("A", agent_id, chunk_id, "")

    def only_if_not_refused(self, server_cmd_id: str) -> None:
        """On condition that no gateway has told the agent that this command was refused."""
        self.conditions += ("C", server_cmd_id, "", "")

    def archive(self, payload: bytes) -> None:
        self.ops += ("G", payload)


class Journal:
    """The commits of one life of one shard."""

    def __init__(self, redis: Redis, shard: int, holder: str, epoch: int, seq: int) -> None:
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
    async def acquire(cls, redis: Redis, shard: int) -> tuple[Journal, int]:
        """Take the shard's lease from whoever holds it.  Returns the journal and the last committed tick (-1: none)."""
        holder = secrets.token_hex(8)
        epoch, seq, tick = await redis.eval(ACQUIRE.source, 1, keys.shard(shard), holder)
        return cls(redis, shard, holder, int(epoch), int(seq)), int(tick)

    async def renew(self) -> None:
        """Begin a new epoch of this life, so that nothing sent under the old one can run any more.

        Not while a commit is under way.

        Raises:
            Fenced: the lease is somebody else's.
        """
        answer = await self._send(RENEW, [self._holder])
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
        now_ms, conditions = int(time.time() * 1000), len(batch.conditions) // 4
        args = [self.epoch, self.seq, batch.tick, now_ms, self._answered, conditions]
        answer = await self._send(COMMIT, [*args, *batch.conditions, *batch.ops])
        outcome = answer[0]
        if outcome in (b"ok", b"dup"):
            self._answered = self.seq
        elif outcome == b"fenced":
            raise self._fenced(answer)
        else:
            raise CommitRefused(outcome.decode(), [lost.decode() for lost in answer[1:]])

    def _fenced(self, answer: list[bytes]) -> Fenced:
        return Fenced(f"shard {self._shard}: epoch {self.epoch} is over, {answer[1].decode()} has begun")

    async def _send(self, script: Script, args: list[str | bytes | int]) -> list[bytes]:
        delay = RETRY_FIRST_S
        while True:
            try:
                answer: list[bytes] = await self._redis.execute_command(  # type: ignore[no-untyped-call]
                    "EVALSHA", script.sha, 1, self._key, *args
                )
                self._resumed()
                return answer
            except NoScriptError:
                await self._load(script)
            except (RedisError, OSError, TimeoutError) as error:
                if isinstance(error, ResponseError) and not _passes(error):
                    raise
                self._stalled(error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MOST_S)

    async def _load(self, script: Script) -> None:
        try:
            await self._redis.script_load(script.source)
        except (RedisError, OSError, TimeoutError) as error:
            self._stalled(error)
            await asyncio.sleep(RETRY_FIRST_S)

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
